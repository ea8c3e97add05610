"""The scores of a VCF in words, as a Markdown report.

Its first sentences say how many alleles have a score, and which scores are the largest. Nothing in it grows with the
number of alleles. Text of the VCF and of the regions passes through `inert`.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from dna_lm.galaxy import FILES, Page
from dna_lm.outputs.markdown import Blocks, fitting, inert, limited, number_text, table
from dna_lm.outputs.report_blocks import model_and_settings, recommended_settings, unscored, warning_list
from dna_lm.scores import SCORES, meaning
from dna_lm.scoring.job import Facts
from dna_lm.variants import distribution
from dna_lm.variants.ranking import INDELS, SUBSTITUTIONS, UNSCORED, Largest, group_of
from dna_lm.variants.source import VariantRow

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

    def add(self, row: VariantRow) -> None:
        """Count a row; keep it if its score is among the largest so far."""
        self.n_lines += row.allele.is_last
        self.statuses[row.status] += 1
        group = group_of(row)
        if group == UNSCORED:
            return
        self.samples[group].add(row.scores[self.score])
        self.largest[group].add(row)

    @property
    def has_percentiles(self) -> bool:
        """Whether rows have a percentile of the score."""
        return any(row.has_percentiles for top in self.largest.values() for row in top.rows())

    @property
    def groups(self) -> list[int]:
        """The groups that have scores."""
        return [group for group, sample in self.samples.items() if sample.n]


@contextmanager
def report(
    path: str, score: str, facts: Facts, plot: str | None, page: Page = FILES
) -> Iterator[Callable[[VariantRow], None]]:
    """The report as a Markdown file. score: the one that the table is ranked by; plot: from `markdown.plot_block`."""
    summary = Summary(score)
    yield summary.add
    with open(path, "w", encoding="utf-8") as handle:
        handle.write(written(summary, facts, plot, page))


@contextmanager
def picture(path: str, score: str) -> Iterator[Callable[[VariantRow], None]]:
    """A PNG file of the distribution of the score."""
    summary = Summary(score)
    yield summary.add
    groups = {GROUPS[group].capitalize(): sample for group, sample in summary.samples.items()}
    distribution.draw(path, groups, SCORES[score].label)


def written(summary: Summary, facts: Facts, plot: str | None, page: Page = FILES) -> str:
    """The text of the report, short enough for the page."""
    warnings = warning_list(facts.warnings.texts())

    def compose(rows: int) -> Blocks:
        blocks = ["# Variant scores", *_answer(summary), *recommended_settings(facts.provenance), *warnings]
        for group in summary.groups:
            blocks += [f"## Largest impact: {GROUPS[group]}", _largest_table(summary, group, rows)]
        if summary.groups:
            picture = [plot] if plot else []
            blocks += ["## Distribution of the score", *picture, _distribution_table(summary)]
            blocks += ["## What the numbers mean, and what not", _meaning(summary)]
        blocks += unscored(summary.statuses, "Alleles")
        return blocks + model_and_settings(facts.provenance)

    return fitting(compose, page)


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


def _in_words(row: VariantRow, score: str) -> str:
    """`**chr1:300 G→A** (rs1): L2 (Euclidean) distance 6.829, percentile 40, region exon`."""
    name = f" ({_text(row.id)})" if _has_id(row) else ""
    texts = [f"{SCORES[score].label} {number_text(row.scores[score])}"]
    if (percentile := row.percentile(score)) is not None:
        texts.append(f"percentile {percentile:.4g}")
    if row.region is not None:
        texts.append(f"region {_text(row.region)}")
    return f"**{_place(row)} {_change(row)}**{name}: {', '.join(texts)}"


def _counted(number, noun, plural=None):
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def _text(text: str) -> str:
    return inert(limited(text, MAX_NAME))


def _has_id(row: VariantRow) -> bool:
    """Whether the identifier is the VCF's own, not the variant itself."""
    return row.id != f"{row.chrom}:{row.pos}:{row.ref}>{row.alt}"


def _place(row: VariantRow) -> str:
    return f"{_text(row.chrom)}:{row.pos}"


def _change(row: VariantRow) -> str:
    return "→".join(inert(limited(text, MAX_ALLELE)) for text in (row.ref, row.alt))


# --- tables ----------------------------------------------------------------------------------------------------------


def _largest_table(summary: Summary, group: int, rows: int) -> str:
    found = summary.largest[group].rows()[:rows]
    texts = {"Position": _place, "Change": _change}
    if any(map(_has_id, found)):
        texts["ID"] = lambda row: _text(row.id) if _has_id(row) else ""
    if found[0].region is not None:
        texts["Region"] = lambda row: _text(row.region)
    numbers = {SCORES[summary.score].name: lambda row: number_text(row.scores[summary.score])}
    if found[0].has_percentiles:
        numbers["Percentile"] = lambda row: _percentile(row, summary.score)
    columns = texts | numbers
    cells = [[text(row) for text in columns.values()] for row in found]
    return table(list(columns), cells, len(texts), summary.samples[group].n, "score")


def _percentile(row: VariantRow, score: str) -> str:
    percentile = row.percentile(score)
    return "" if percentile is None else f"{percentile:.4g}"


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
    largest = "the lowest ratio counts as the largest impact"
    lines = [meaning(summary.score, "the window", "the two windows", largest)]
    if summary.has_percentiles:
        impact = "less" if SCORES[summary.score].grows else "more"
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
