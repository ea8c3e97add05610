"""The scores of a VCF in words: a Markdown report whose first sentences say how many alleles have a score, and which
scores are the largest.

Nothing in it grows with the number of alleles. Text of the VCF and of the regions passes through `inert`.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from dna_lm.inputs.alleles import Allele
from dna_lm.outputs.markdown import Blocks, fitting, inert, limited, number_text, table
from dna_lm.outputs.report_blocks import model_and_settings, unscored, warning_list
from dna_lm.outputs.tables import Row
from dna_lm.scores import LLR, SCORES
from dna_lm.scoring.warnings import Warnings
from dna_lm.variants import distribution
from dna_lm.variants.ranking import INDELS, SUBSTITUTIONS, UNSCORED, Largest, group_of

N_LARGEST = 20
# Bytes of a name of a sequence or region, and of each allele of a change.
MAX_NAME, MAX_ALLELE = 60, 24

GROUPS = {SUBSTITUTIONS: "substitutions", INDELS: "insertions and deletions"}


class Summary:
    """What the report and its picture say of the rows of one score, which is the one that they are ranked by."""

    def __init__(self, score: str) -> None:
        self.score = score
        self.n_lines = 0
        self.statuses: Counter[str] = Counter()
        self.samples = {group: distribution.Sample() for group in GROUPS}
        self.largest = {group: Largest(N_LARGEST, score) for group in GROUPS}

    def add(self, allele: Allele, row: Row) -> None:
        """Count a row; keep it if its score is among the largest so far."""
        self.n_lines += allele.is_last
        self.statuses[row["status"]] += 1
        group = group_of(row)
        if group == UNSCORED:
            return
        self.samples[group].add(row[self.score])
        self.largest[group].add(row)

    @property
    def has_percentiles(self) -> bool:
        """Whether rows have a percentile of the score."""
        return any(f"{self.score}_percentile" in row for top in self.largest.values() for row in top.rows())

    @property
    def groups(self) -> list[int]:
        """The groups that have scores."""
        return [group for group, sample in self.samples.items() if sample.n]


@dataclass(frozen=True)
class Settings:
    """What the report says of the job.

    scores: those of the table, which is ranked by the first. texts: name -> value of the model and the settings.
    warnings: the job completes them. plot: from `markdown.plot_block`.
    """

    scores: tuple[str, ...]
    texts: Mapping[str, object]
    warnings: Warnings
    plot: str | None
    galaxy: bool = False


@contextmanager
def report(path: str, settings: Settings) -> Iterator[Callable[[Allele, Row], None]]:
    """The report as a Markdown file."""
    summary = Summary(settings.scores[0])
    yield summary.add
    with open(path, "w", encoding="utf-8") as handle:
        handle.write(written(summary, settings))


@contextmanager
def picture(path: str, score: str) -> Iterator[Callable[[Allele, Row], None]]:
    """A PNG file of the distribution of the score."""
    summary = Summary(score)
    yield summary.add
    groups = {GROUPS[group].capitalize(): sample for group, sample in summary.samples.items()}
    distribution.draw(path, groups, SCORES[score].label)


def written(summary: Summary, settings: Settings) -> str:
    """The text of the report, short enough for Galaxy."""
    warnings = warning_list(settings.warnings.texts())

    def compose(rows: int) -> Blocks:
        blocks = ["# Variant scores", *_answer(summary), *warnings]
        for group in summary.groups:
            blocks += [f"## Largest impact: {GROUPS[group]}", _largest_table(summary, group, rows)]
        if summary.groups:
            picture = [settings.plot] if settings.plot else []
            blocks += ["## Distribution of the score", *picture, _distribution_table(summary)]
            blocks += ["## What the numbers mean, and what not", _meaning(summary)]
        blocks += unscored(summary.statuses, "Alleles")
        return blocks + model_and_settings(settings.texts)

    return fitting(compose, galaxy=settings.galaxy)


# --- the result in sentences -----------------------------------------------------------------------------------------


def _answer(summary: Summary) -> Blocks:
    counts = [f"{summary.samples[group].n:,} {GROUPS[group]}" for group in summary.groups]
    n_scored = sum(sample.n for sample in summary.samples.values())
    alleles = _counted(summary.statuses.total(), "allele")
    lines = _counted(summary.n_lines, "line")
    text = f"**{n_scored:,} of {alleles}** ({lines} of the VCF) have a score"
    first_of_groups = "\n".join(
        f"- Largest impact among the {GROUPS[group]}: {_in_words(summary.largest[group].rows()[0], summary.score)}"
        for group in summary.groups
    )
    return [text + (f": {' and '.join(counts)}." if counts else "."), *([first_of_groups] if counts else [])]


def _in_words(row: Row, score: str) -> str:
    """`**chr1:300 G→A** (rs1): L2 (Euclidean) distance 6.829, percentile 40, region exon`."""
    name = f" ({_text(row['id'])})" if _has_id(row) else ""
    texts = [f"{SCORES[score].label} {number_text(row[score])}"]
    if (percentile := row.get(f"{score}_percentile")) is not None:
        texts.append(f"percentile {percentile:.4g}")
    if "region" in row:
        texts.append(f"region {_text(row['region'])}")
    return f"**{_place(row)} {_change(row)}**{name}: {', '.join(texts)}"


def _counted(number, noun, plural=None):
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def _text(text: str) -> str:
    return inert(limited(text, MAX_NAME))


def _has_id(row: Row) -> bool:
    """Whether the identifier is the VCF's own, not the variant itself."""
    return row["id"] != f"{row['chrom']}:{row['pos']}:{row['ref']}>{row['alt']}"


def _place(row: Row) -> str:
    return f"{_text(row['chrom'])}:{row['pos']}"


def _change(row: Row) -> str:
    return "→".join(inert(limited(row[name], MAX_ALLELE)) for name in ("ref", "alt"))


# --- tables ----------------------------------------------------------------------------------------------------------


def _largest_table(summary: Summary, group: int, rows: int) -> str:
    found = summary.largest[group].rows()[:rows]
    texts = {"Position": _place, "Change": _change}
    if any(map(_has_id, found)):
        texts["ID"] = lambda row: _text(row["id"]) if _has_id(row) else ""
    if "region" in found[0]:
        texts["Region"] = lambda row: _text(row["region"])
    numbers = {SCORES[summary.score].name: lambda row: number_text(row[summary.score])}
    if (percentile := f"{summary.score}_percentile") in found[0]:
        numbers["Percentile"] = lambda row: "" if row[percentile] is None else f"{row[percentile]:.4g}"
    columns = texts | numbers
    cells = [[text(row) for text in columns.values()] for row in found]
    return table(list(columns), cells, len(texts), summary.samples[group].n, "score")


def _distribution_table(summary: Summary) -> str:
    cells = []
    for group in summary.groups:
        sample = summary.samples[group]
        numbers = (sample.low, float(np.median(sample.scores)), sample.high)
        cells.append([GROUPS[group].capitalize(), f"{sample.n:,}", *map(number_text, numbers)])
    text = table(["Alleles", "Number", "Smallest", "Median", "Largest"], cells, 1, len(cells))
    if not all(sample.is_complete for sample in summary.samples.values()):
        text += f"\n\nMedian and picture are those of {distribution.SAMPLE_SIZE:,} random alleles of each kind."
    return text


# --- what the numbers mean -------------------------------------------------------------------------------------------


def _meaning(summary: Summary) -> str:
    score = SCORES[summary.score]
    if score.name == LLR:
        text = "log P(mutant) − log P(wild type), in nats. Below 0, the model finds the mutant less likely, so the "
        text += "lowest ratio counts as the largest impact. It does not predict expression."
    elif score.grows:
        text = "how much the model's output for the window changes. 0 is no change. The score has no unit."
    else:
        text = "how similar the model's outputs for the two windows are. A smaller value means more change."
    lines = [f"{score.label}: {text}"]
    if summary.has_percentiles:
        impact = "less" if score.grows else "more"
        lines.append(
            f"A percentile of 97 means that 97 % of random mutations nearby score lower, and so have {impact} impact. "
            "Of 100 variants without any effect, about 5 are among the most extreme 5 %."
        )
    lines += [
        "Compare scores only within one model, one window length and one kind of variant.",
        "A large score does not mean that a variant causes disease. The model reads letters only: it knows nothing of "
        "genes, codons or splice sites.",
    ]
    return "\n".join(f"- {line}" for line in lines)
