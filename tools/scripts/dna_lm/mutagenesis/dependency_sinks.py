"""The outputs made of dependencies: options, the table, written base by base, the map, and the limit to both."""

import argparse
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np

from dna_lm import cli
from dna_lm.errors import UserError, quoted
from dna_lm.inputs.stretches import Stretch
from dna_lm.mutagenesis import dependency_map
from dna_lm.mutagenesis.dependency_map import Panel
from dna_lm.mutagenesis.source import Mutation
from dna_lm.outputs import figures
from dna_lm.outputs.tables import Row, cell
from dna_lm.scoring import job
from dna_lm.statuses import OK

# Bases of a stretch. Its table has a million rows, about 30 MB.
MOST_BASES = 1_000
# Substitutions of a base, of which the largest dependency counts.
_SUBSTITUTIONS = 3

Sink = Callable[[Mutation, Row], None]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options for dependencies."""
    group = parser.add_argument_group("dependencies: how much a mutation changes the prediction for each other base")
    group.add_argument("--dependencies", metavar="TSV", help="table of all pairs of a mutated and another base")
    group.add_argument("--dependency-map", metavar="FILE", help="picture of them")
    group.add_argument("--dependency-map-format", choices=figures.FORMATS, help="(default: png)")
    group.add_argument(
        "--dependency-bases",
        type=cli.at_least(1),
        metavar="N",
        help="refuse a longer sequence or interval, and several with more pairs of bases than one "
        f"(default: {MOST_BASES})",
    )
    group.add_argument("--influence", action="store_true", help="column of each substitution's mean dependency")


def check_options(arguments: argparse.Namespace) -> None:
    """Fill in defaults. Raises `UserError` for options without the option that they belong to."""
    cli.refuse_unless_given(arguments, "dependency_map", dependency_map_format="png")
    if not arguments.dependency_map:
        cli.refuse_unless_given(arguments, "dependencies", dependency_bases=None)


def outputs(arguments: argparse.Namespace) -> list[job.Output]:
    """The outputs that `job.run` is to write."""
    draw = partial(picture, strand=arguments.strand, file_format=arguments.dependency_map_format)
    return [(arguments.dependencies, table), (arguments.dependency_map, draw)]


def limited(read: Callable[[], Iterable[Stretch]], arguments: argparse.Namespace) -> Iterator[Stretch]:
    """The stretches that `read` yields.

    Raises `UserError` when pairs of bases are asked for and a stretch is too long, or all together have too many pairs.
    """
    if not (arguments.dependencies or arguments.dependency_map):
        yield from read()
        return
    most_bases = arguments.dependency_bases or MOST_BASES
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

        def write(mutation: Mutation, row: Row) -> None:
            nonlocal has_header
            if not has_header:
                places = ("chrom", "pos", "target_pos") if mutation.stretch.place else ()
                print(*places, "id", "position", "target", "dependency", sep="\t", file=handle)
                has_header = True
            add_profile(mutation, row)

        yield write


@contextmanager
def picture(
    path: str, strand: str, file_format: str = "png", most_panels: int = dependency_map.MOST_PANELS
) -> Iterator[Sink]:
    """A picture of the dependencies of the first stretches; of the same DNA in the same surroundings one panel."""
    panels, n_not_drawn, is_causal = [], 0, False
    last = None
    drawn = set()

    def fill(stretch: Stretch, position: int, dependencies: np.ndarray) -> None:
        if panels and panels[-1].stretch is stretch:
            panels[-1].dependencies[position - 1] = dependencies

    add_profile = _largest(fill)

    def add(mutation: Mutation, row: Row) -> None:
        nonlocal n_not_drawn, is_causal, last
        if mutation.at is None:
            return
        if mutation.stretch is not last:
            last, is_causal = mutation.stretch, mutation.is_causal
            if last.dna in drawn:
                pass
            elif len(panels) < most_panels:
                drawn.add(last.dna)
                panels.append(Panel(last, np.full((len(last.bases),) * 2, np.nan, np.float32)))
            else:
                n_not_drawn += 1
        add_profile(mutation, row)

    yield add
    dependency_map.draw(path, panels, strand, is_causal, file_format, n_not_drawn)


def _largest(use: Callable[[Stretch, int, np.ndarray], None]) -> Sink:
    """A sink that calls `use` with each stretch and position whose substitutions all have dependencies.

    It passes on, for each base of the stretch, the largest of them: float64 (bases,).
    """
    waiting = []

    def add(mutation: Mutation, _row: Row) -> None:
        if mutation.dependencies is None:
            return
        if waiting and (waiting[0].stretch is not mutation.stretch or waiting[0].at != mutation.at):
            waiting.clear()
        waiting.append(mutation)
        if len(waiting) == _SUBSTITUTIONS:
            use(mutation.stretch, mutation.position, np.max([each.dependencies for each in waiting], axis=0))
            waiting.clear()

    return add
