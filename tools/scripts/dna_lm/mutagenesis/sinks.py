"""Outputs of one row per mutant: the heat map and the tracks."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict

import numpy as np

from dna_lm.inputs.reference import Reference
from dna_lm.inputs.stretches import BASES, DELETION
from dna_lm.mutagenesis import heatmap
from dna_lm.mutagenesis.source import MutationRow
from dna_lm.outputs.bigwig import write_bigwig
from dna_lm.scoring.rows import Cells

Sink = Callable[[MutationRow], None]


def cells(row: MutationRow, with_influence: bool = False) -> Cells:
    """The columns of a mutant: name -> value, in their order.

    For a stretch with a place chrom and pos, from 1; id, position (from 1, in the stretch), ref, alt; for a stretch
    with a place strand, position_on_strand and change_on_strand; the status, the scores, the influence, the counts.
    """
    mutation = row.mutation
    stretch, position = mutation.stretch, mutation.position
    found: Cells = {}
    if stretch.place:
        found = {"chrom": stretch.place[0], "pos": position and stretch.place[1] + position}
    ref = position and stretch.bases[position - 1]
    found |= {"id": row.id, "position": position, "ref": ref, "alt": mutation.alt}
    if stretch.place:
        on_strand, change = mutation.along_strand
        found |= {"strand": stretch.strand, "position_on_strand": on_strand, "change_on_strand": change}
    found |= {"status": row.status, **row.scores}
    return found | ({"influence": row.influence} if with_influence else {}) | asdict(row.counts)


@contextmanager
def heat_map(
    path: str, score: str, deletions: bool = False, file_format: str = "png", max_bases: int = heatmap.MAX_BASES
) -> Iterator[Sink]:
    """A picture of one score of the first stretches, as many as have `max_bases` together.

    The same bases, read in the same surroundings at the same place, are drawn once.
    """
    alternates = BASES + DELETION * deletions
    landscapes, room, n_not_drawn, n_again = {}, max_bases, 0, 0
    stretch = landscape = None

    def add(row: MutationRow) -> None:
        nonlocal stretch, landscape, room, n_not_drawn, n_again
        mutation = row.mutation
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
        if landscape and row.scores[score] is not None:
            landscape.scores[alternates.index(mutation.alt), mutation.position - 1] = row.scores[score]

    yield add
    heatmap.draw(path, list(landscapes.values()), score, file_format, n_not_drawn, n_again)


def _blank_landscape(stretch, alternates):
    scores = np.full((len(alternates), len(stretch.bases)), math.nan)
    return heatmap.Landscape(stretch.record.id, stretch.bases, stretch.start, alternates, scores)


@contextmanager
def track(path: str, score: str, reference: Reference, base: str | None = None) -> Iterator[Sink]:
    """A bigWig file of one score of stretches with a place: of the substitution by `base`, or the mean of all three.

    A base in several intervals has the mean of them. Bases without a score, and the reference's own base, have no
    number. Memory grows with the number of bases.
    """
    sums = {}

    def add(row: MutationRow) -> None:
        mutation, value = row.mutation, row.scores[score]
        if mutation.at is None or mutation.alt == DELETION or base not in (None, mutation.alt) or value is None:
            return
        pos = mutation.stretch.place[1] + mutation.position
        total = sums.setdefault(mutation.stretch.contig, {}).setdefault(pos, [0.0, 0])
        total[0] += value
        total[1] += 1

    yield add
    means = (
        (contig, pos - 1, pos, total / n)
        for contig in reference.lengths
        for pos, (total, n) in sorted(sums.get(contig, {}).items())
    )
    write_bigwig(path, reference.lengths, means, sums)
