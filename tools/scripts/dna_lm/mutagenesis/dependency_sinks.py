"""The outputs made of dependencies: the table, written base by base, the map, and the limit to both."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import numpy as np

from dna_lm.errors import UserError, quoted
from dna_lm.inputs.stretches import Stretch
from dna_lm.mutagenesis import dependency_map
from dna_lm.mutagenesis.dependency_map import Panel
from dna_lm.mutagenesis.source import MutationRow
from dna_lm.outputs.tables import cell
from dna_lm.statuses import OK

# Bases of a stretch. Its table has a million rows, about 30 MB.
MOST_BASES = 1_000
# Substitutions of a base, of which the largest dependency counts.
_SUBSTITUTIONS = 3

Sink = Callable[[MutationRow], None]


def limited(read: Callable[[], Iterable[Stretch]], most_bases: int = MOST_BASES) -> Iterator[Stretch]:
    """The stretches that `read` yields.

    Raises `UserError` when one has more than `most_bases`, or all together have more pairs of bases than one of these.
    """
    n_pairs, most_pairs = 0, most_bases**2
    for stretch in read():
        length = len(stretch.bases) if stretch.record.status == OK else 0
        n_pairs += length**2
        if length > most_bases:
            raise UserError(
                f"dependencies: {quoted(stretch.record.id)} has {length:,} bases, more than {most_bases:,}: mutate a "
                'shorter part of it, or raise "Longest sequence or interval" (--dependency-bases): time and table grow '
                "with the square of the length"
            )
        if n_pairs > most_pairs:
            raise UserError(
                f"dependencies: up to {quoted(stretch.record.id)} there are {n_pairs:,} pairs of bases, more than the "
                f"{most_pairs:,} of a sequence of {most_bases:,}: give fewer sequences, or raise "
                '"Longest sequence or interval" (--dependency-bases)'
            )
        yield stretch


@contextmanager
def table(path: str) -> Iterator[Sink]:
    """A table of each base that is mutated and each other one whose prediction changes, by how much at most.

    Pairs without a dependency (a causal model, a base that is not read) have no line.
    """
    with open(path, "w", encoding="utf-8") as handle:
        has_header = False

        def write_lines(stretch: Stretch, position: int, dependencies: np.ndarray) -> None:
            before, middle = "", f"{stretch.record.id}\t{position}"
            if stretch.place:
                before = f"{stretch.place[0]}\t{stretch.place[1] + position}\t"
            for target in (np.flatnonzero(~np.isnan(dependencies)) + 1).tolist():
                place = f"{before}{stretch.place[1] + target}\t" if stretch.place else ""
                handle.write(f"{place}{middle}\t{target}\t{cell(dependencies[target - 1])}\n")

        add_profile = _largest(write_lines)

        def write(row: MutationRow) -> None:
            nonlocal has_header
            if not has_header:
                places = ("chrom", "pos", "target_pos") if row.mutation.stretch.place else ()
                print(*places, "id", "position", "target", "dependency", sep="\t", file=handle)
                has_header = True
            add_profile(row)

        yield write


@contextmanager
def picture(
    path: str, strand: str, is_causal: bool, file_format: str = "png", most_panels: int = dependency_map.MOST_PANELS
) -> Iterator[Sink]:
    """A picture of the dependencies of the first stretches; of the same DNA in the same surroundings one panel.

    strand: that the model read; is_causal: whether the model is.
    """
    panels, n_not_drawn = [], 0
    last = None
    drawn = set()

    def fill(stretch: Stretch, position: int, dependencies: np.ndarray) -> None:
        if panels and panels[-1].stretch is stretch:
            panels[-1].dependencies[position - 1] = dependencies

    add_profile = _largest(fill)

    def add(row: MutationRow) -> None:
        nonlocal n_not_drawn, last
        mutation = row.mutation
        if mutation.at is None:
            return
        if mutation.stretch is not last:
            last = mutation.stretch
            if last.dna in drawn:
                pass
            elif len(panels) < most_panels:
                drawn.add(last.dna)
                panels.append(Panel(last, np.full((len(last.bases),) * 2, np.nan, np.float32)))
            else:
                n_not_drawn += 1
        add_profile(row)

    yield add
    dependency_map.draw(path, panels, strand, is_causal, file_format, n_not_drawn)


def _largest(use: Callable[[Stretch, int, np.ndarray], None]) -> Sink:
    """A sink that calls `use` with each stretch and position whose substitutions all have dependencies.

    It passes on, for each base of the stretch, the largest of them: float64 (bases,).
    """
    waiting: list[MutationRow] = []

    def add(row: MutationRow) -> None:
        if row.dependencies is None:
            return
        mutation = row.mutation
        if waiting:
            last = waiting[0].mutation
            if last.stretch is not mutation.stretch or last.at != mutation.at:
                waiting.clear()
        waiting.append(row)
        if len(waiting) == _SUBSTITUTIONS:
            use(mutation.stretch, mutation.position, np.max([each.dependencies for each in waiting], axis=0))
            waiting.clear()

    return add
