"""What in the settings and in the rows of a table misleads its reader.

The warnings are in the reports, and in the log, whose first lines Galaxy shows with the dataset.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from html import unescape

from dna_lm import statuses
from dna_lm.errors import counted
from dna_lm.outputs.markdown import inert
from dna_lm.scores import LLR, SCORES
from dna_lm.scoring.rows import Row, ScoredPair

# Warn when the number of tokens changes in more than this share of the rows, and when the longest sequence has more
# than this many times the bases of the shortest.
MANY = 0.1
UNEQUAL = 1.1
# And when more than this share of changed sequences have a distance of exactly 0.
UNSEEN = 0.01


def of_settings(is_demonstration: bool, strand: str, is_mirrored: bool) -> list[str]:
    """Warnings about the model and the strand, as Markdown. is_mirrored: see `pipeline.is_mirrored`."""
    found = []
    if is_demonstration:
        found.append(
            "**The demonstration model was used.** It is for learning how the tools work. Its scores say nothing about "
            "biology."
        )
    if strand != "mean" and not is_mirrored:
        found.append(
            f"**One strand was read** ({strand}). Most models give another result on the other strand; the "
            "mean of both does not depend on the strand of the file."
        )
    return found


@dataclass
class Warnings:
    """What in the settings and in the rows of a table misleads its reader.

    noun: what a row is, in the plural. is_ranked: whether the table is ranked with insertions and deletions apart.
    settings: from `of_settings`; the job adds them when the model is loaded.
    """

    noun: str = "pairs"
    is_ranked: bool = False
    settings: list[str] = field(default_factory=list, init=False)
    n_scored: int = field(default=0, init=False)
    n_indels: int = field(default=0, init=False)
    n_shorter: int = field(default=0, init=False)
    n_other_tokens: int = field(default=0, init=False)
    n_other_lengths: int = field(default=0, init=False)
    n_changed: int = field(default=0, init=False)
    _windows: Counter[int] = field(default_factory=Counter, init=False)
    _n_unseen: Counter[str] = field(default_factory=Counter, init=False)
    _ranges: dict[str, tuple[int, int]] = field(default_factory=dict, init=False)
    _has_ratios: bool = field(default=False, init=False)
    _has_percentiles: bool = field(default=False, init=False)

    def add(self, row: Row) -> None:
        """Count a row. One without a score, or of a single sequence, counts for nothing."""
        if row.status != statuses.OK or not isinstance(row, ScoredPair):
            return
        counts = row.counts
        self._has_ratios, self._has_percentiles = LLR in row.scores, row.has_percentiles
        n_wild_type, n_mutant = counts.wt_length, counts.mut_length
        self.n_scored += 1
        self.n_other_tokens += counts.wt_tokens != counts.mut_tokens
        self.n_other_lengths += n_wild_type != n_mutant
        self.n_indels += row.is_indel
        if row.n_beyond:
            self._windows[n_wild_type] += 1
        self.n_shorter += n_mutant < n_wild_type
        if counts.n_differences:
            self.n_changed += 1
            self._n_unseen.update(name for name, value in row.scores.items() if SCORES[name].formula and value == 0)
        # In most inputs one of these is constant: the wild types, or, of windows with the same flanks, the shorter one.
        for name, length in (("wild type", n_wild_type), ("shorter", min(n_wild_type, n_mutant))):
            low, high = self._ranges.get(name, (length, length))
            self._ranges[name] = min(low, length), max(high, length)

    def texts(self) -> list[str]:
        """All warnings, one sentence or two each, as Markdown."""
        return self.settings + self.of_rows()

    def of_rows(self) -> list[str]:
        """The warnings about the rows."""
        found = []
        for name, number in self._n_unseen.items():
            if number > UNSEEN * self.n_changed:
                found.append(
                    f"**{inert(name)} is exactly 0 in {number:,} of {self.n_changed:,} changed sequences.** With the "
                    "pooling *max*, a change is not seen where another token has the largest number. Choose the "
                    "pooling *mean*, or a log-likelihood ratio."
                )
        if self._windows:
            low, high = min(self._windows), max(self._windows)
            size = f"{high:,}" if low == high else f"{low:,} to {high:,}"
            found.append(
                f"**{self._windows.total():,} of {self.n_scored:,} {self.noun} were read in windows of {size} bases** "
                "around the base that changes, because the whole is longer than the model reads."
            )
        if 0 < self.n_indels < self.n_scored and not (self._has_percentiles or self.is_ranked):
            are_deletions = self.n_shorter == self.n_indels
            names = ("deletion",) if are_deletions else ("insertion or deletion", "insertions and deletions")
            indels = counted(self.n_indels, *names)
            found.append(
                f"**The table has {indels} among its substitutions.** They move every base after them and tend to "
                "score higher, so do not rank them together."
            )
        if self.n_other_tokens > MANY * self.n_scored:
            found.append(
                f"**The number of tokens changes in {self.n_other_tokens:,} of {self.n_scored:,} {self.noun}.** A "
                "part of their scores says how the tokenizer cuts the sequence: look at the column changed&#95;tokens "
                "as well."
            )
        if self.n_other_lengths and self._has_ratios:
            found.append(
                f"**Wild type and mutant differ in length in {self.n_other_lengths:,} of {self.n_scored:,} "
                f"{self.noun}**, which moves a log-likelihood ratio: compare only mutations of one kind and length, or "
                "percentiles."
            )
        if self._ranges and all(high > UNEQUAL * low for low, high in self._ranges.values()):
            low, high = self._ranges["wild type"]
            found.append(
                f"**The model read sequences of {low:,} to {high:,} bases.** A mutation of a short sequence tends to "
                "score higher, so compare only sequences of one length."
            )
        return found


def plain(warning: str) -> str:
    """A warning without its Markdown, for the log."""
    return unescape(re.sub(r"\*+", "", warning))
