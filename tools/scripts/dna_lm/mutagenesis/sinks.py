"""Outputs of one row per mutant: the heat map and the tracks."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from dna_lm.inputs.reference import Reference
from dna_lm.inputs.stretches import BASES, DELETION
from dna_lm.mutagenesis import heatmap
from dna_lm.mutagenesis.source import Mutation
from dna_lm.outputs.bigwig import write_bigwig
from dna_lm.outputs.tables import Row


@contextmanager
def heat_map(
    path: str, score: str, deletions: bool = False, file_format: str = "png", max_bases: int = heatmap.MAX_BASES
) -> Iterator[Callable[[Mutation, Row], None]]:
    """A picture of one score of the first stretches, as many as have `max_bases` together.

    The same bases, read in the same surroundings at the same place, are drawn once.
    """
    alternates = BASES + DELETION * deletions
    landscapes, room, n_not_drawn, n_again = {}, max_bases, 0, 0
    stretch = landscape = None

    def add(mutation: Mutation, row: Row) -> None:
        nonlocal stretch, landscape, room, n_not_drawn, n_again
        if mutation.at is None:
            return
        if mutation.stretch is not stretch:
            stretch, landscape = mutation.stretch, None
            if stretch.dna in landscapes:
                n_again += 1
            elif len(stretch.bases) <= room:
                room -= len(stretch.bases)
                landscape = landscapes[stretch.dna] = _blank_landscape(stretch, alternates)
            else:
                n_not_drawn += 1
        if landscape and row[score] is not None:
            landscape.scores[alternates.index(mutation.alt), mutation.position - 1] = row[score]

    yield add
    heatmap.draw(path, list(landscapes.values()), score, file_format, n_not_drawn, n_again)


def _blank_landscape(stretch, alternates):
    scores = np.full((len(alternates), len(stretch.bases)), math.nan)
    return heatmap.Landscape(stretch.record.id, stretch.bases, stretch.start, alternates, scores)


@contextmanager
def track(
    path: str, score: str, reference: Reference, base: str | None = None
) -> Iterator[Callable[[Mutation, Row], None]]:
    """A bigWig file of one score of stretches with a place: of the substitution by `base`, or the mean of all three.

    A base in several intervals has the mean of them. Bases without a score, and the reference's own base, have no
    number. Memory grows with the number of bases.
    """
    sums = {}

    def add(mutation: Mutation, row: Row) -> None:
        if mutation.at is None or mutation.alt == DELETION or base not in (None, mutation.alt) or row[score] is None:
            return
        total = sums.setdefault(mutation.stretch.contig, {}).setdefault(row["pos"], [0.0, 0])
        total[0] += row[score]
        total[1] += 1

    yield add
    means = (
        (contig, pos - 1, pos, total / n)
        for contig in reference.lengths
        for pos, (total, n) in sorted(sums.get(contig, {}).items())
    )
    write_bigwig(path, reference.lengths, means, sums)
