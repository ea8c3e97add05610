"""The scores of every mutation in words: a Markdown report that begins with the positions that matter most.

Knows rows and payloads of `mutagenesis`. The positions kept are few; of the sequences only lengths are kept. Text of
the input passes through `inert`.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from dna_lm.errors import counted
from dna_lm.galaxy import FILES, Page
from dna_lm.inputs.stretches import DELETION, Stretch
from dna_lm.mutagenesis import hover_map
from dna_lm.mutagenesis.source import MutationRow
from dna_lm.outputs.markdown import Blocks, fitting, inert, limited, number_text, table
from dna_lm.outputs.report_blocks import model_and_settings, recommended_settings, unscored, warning_list
from dna_lm.scores import SCORES, meaning
from dna_lm.scoring.job import Facts
from dna_lm.statuses import OK

N_LARGEST = 20
N_IN_ANSWER = 3
MAX_NAME = 60  # bytes


@dataclass
class Position:
    """The scores of the substitutions of one base: by the base put there."""

    stretch: Stretch
    at: int
    scores: dict[str, float] = field(default_factory=dict)

    @property
    def mean(self) -> float:
        """The mean of the scores."""
        return sum(self.scores.values()) / len(self.scores)

    @property
    def number(self) -> int:
        """Of the base in its stretch, from 1."""
        return self.at - self.stretch.first + 1

    @property
    def base(self) -> str:
        """The base of the sequence."""
        return self.stretch.record.sequence[self.at]


class Summary:
    """What the report says of the rows of one score.

    The rows of a stretch, and of a base in it, must come one after the other.
    """

    def __init__(self, score: str) -> None:
        self.score = score
        self.statuses: Counter[str] = Counter()
        self.n_stretches = self.n_minus = 0
        self._first: Stretch | None = None
        self._scores_of_first: dict[tuple[int, str], float] = {}
        self._sign = -1 if SCORES[score].grows else 1
        self._largest: list[Position] = []
        self._stretch: Stretch | None = None
        self._position: Position | None = None

    def add(self, row: MutationRow) -> None:
        """Count a row, and keep its position if it is among those with the largest effect so far."""
        mutation = row.mutation
        self.statuses[row.status] += 1
        if mutation.stretch is not self._stretch:
            self._stretch = mutation.stretch
            self.n_stretches += 1
            self.n_minus += mutation.stretch.strand == "-"
            self._first = self._first or mutation.stretch
        if row.status != OK or mutation.alt == DELETION:
            return
        if self.n_stretches == 1 and len(mutation.stretch.bases) <= hover_map.MAX_BASES:
            self._scores_of_first[mutation.at - mutation.stretch.first, mutation.alt] = row.scores[self.score]
        position = self._position
        if position is None or position.stretch is not mutation.stretch or position.at != mutation.at:
            self._keep()
            position = self._position = Position(mutation.stretch, mutation.at)
        position.scores[mutation.alt] = row.scores[self.score]

    def _keep(self):
        """Add the last position to the largest ones; the same base of the same DNA, given twice, is kept once."""
        position, self._position = self._position, None
        if position is None:
            return
        self._largest.append(position)
        if len(self._largest) >= 20 * N_LARGEST:
            self._largest = self.largest()

    def largest(self) -> list[Position]:
        """The positions whose substitutions have the largest effect on average; of equal ones the first."""
        self._keep()
        places = {}
        for position in sorted(self._largest, key=lambda position: self._sign * position.mean):
            places.setdefault((position.stretch.dna, position.at), position)
            if len(places) == N_LARGEST:
                break
        return list(places.values())

    def hover_map(self) -> str | None:
        """The heat map that answers to the mouse; None for several sequences, a long one, or one without scores."""
        if self.n_stretches != 1 or not self._scores_of_first:
            return None
        return hover_map.block(self._first.bases, self._scores_of_first, self.score)

    def strongest(self, position: Position) -> tuple[str, float]:
        """The base whose substitution has the largest effect, and its score."""
        return min(position.scores.items(), key=lambda item: self._sign * item[1])


@contextmanager
def report(
    path: str, score: str, facts: Facts, picture: str | None, page: Page = FILES
) -> Iterator[Callable[[MutationRow], None]]:
    """The report on one score as a Markdown file. picture: from `markdown.plot_block`, of the heat map."""
    summary = Summary(score)
    yield summary.add
    with open(path, "w", encoding="utf-8") as handle:
        handle.write(written(summary, facts, picture, page))


def written(summary: Summary, facts: Facts, picture: str | None, page: Page = FILES) -> str:
    """The text of the report, short enough for the page."""
    largest = summary.largest()
    warnings = facts.warnings.texts() + _warnings(summary)
    in_genome = any(position.stretch.place for position in largest)
    hover = summary.hover_map() if page.draws_charts else None

    def compose(rows: int) -> Blocks:
        blocks = ["# Score of every mutation", *_answer(summary, largest)]
        blocks += recommended_settings(facts.provenance)
        blocks += unscored(summary.statuses, "Mutations, sequences or intervals")
        blocks += warning_list(warnings)
        if picture:
            blocks += ["## Heat map", picture]
        # It is left out before the table gets shorter than `N_LARGEST`.
        if hover and rows > N_LARGEST:
            blocks += [
                "Point at a cell for its score. Positions are counted from 1 in the sequence or interval.",
                hover,
            ]
        if largest:
            blocks += ["## Most sensitive positions", _table(summary, largest[:rows], in_genome, len(largest))]
        blocks += ["## What the numbers mean, and what not", _meaning(summary)]
        return blocks + model_and_settings(facts.provenance)

    return fitting(compose, page)


def _answer(summary: Summary, largest: list[Position]) -> Blocks:
    total, n_scored = summary.statuses.total(), summary.statuses[OK]
    # A stretch that cannot be read has one row.
    what = counted(summary.n_stretches, "sequence or interval", "sequences or intervals")
    text = f"**{n_scored:,} of {counted(total, 'row')}** of {what} have a score."
    if not largest:
        return [text]
    lines = []
    for position in largest[:N_IN_ANSWER]:
        alt, score = summary.strongest(position)
        lines.append(
            f"- **{position.base} at {_place(position)}**: mean {number_text(position.mean)}; the strongest mutation "
            f"is {position.base}→{alt}, {number_text(score)}"
        )
    label = SCORES[summary.score].label
    return [f"{text} The bases whose substitutions have the largest effect ({label}):", "\n".join(lines)]


def _place(position: Position) -> str:
    name = inert(limited(position.stretch.record.id, MAX_NAME))
    if not position.stretch.place:
        return f"position {position.number} of {name}"
    return f"{_coordinate(position)} (position {position.number} of {name})"


def _coordinate(position: Position) -> str:
    contig, start = position.stretch.place
    return f"{inert(limited(contig, MAX_NAME))}:{start + position.number}"


def _table(summary: Summary, positions: list[Position], in_genome: bool, total: int) -> str:
    header = [*(["Place"] if in_genome else []), "Name", "Position", "Base", "Strongest mutation"]
    n_texts = len(header)
    header += ["Its score", "Mean score"]
    cells = []
    for position in positions:
        alt, score = summary.strongest(position)
        place = [_coordinate(position)] if in_genome else []
        name = inert(limited(position.stretch.record.id, MAX_NAME))
        texts = [*place, name, str(position.number), position.base, f"{position.base}→{alt}"]
        cells.append([*texts, number_text(score), number_text(position.mean)])
    return table(header, cells, n_texts, total, "score")


def _warnings(summary: Summary) -> list[str]:
    """What misleads a reader of these scores, one sentence or two each."""
    found = []
    if summary.n_minus:
        which = counted(summary.n_minus, "interval is", "intervals are")
        found.append(
            f"**{which} on the minus strand.** Position, ref and alt are those of the forward strand. To join the "
            "table with measurements along the gene, use position&#95;on&#95;strand and change&#95;on&#95;strand."
        )
    return found


def _meaning(summary: Summary) -> str:
    expected = "a base with a low mean is one that the model expects"
    lines = [
        meaning(summary.score, "the sequence", "sequence and mutant", expected),
        "The mean of a position is that of its substitutions. The ends of a sequence have less context than its "
        "middle; intervals can be read with bases on either side.",
        "Compare scores only within one model, one length and one choice of settings.",
        "A sensitive position need not matter to a cell. The model reads letters only: it knows nothing of genes, "
        "codons, splice sites or measurements.",
    ]
    return "\n".join(f"- {line}" for line in lines)
