"""Tracks of every mutation's score along the genome."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dna_lm.bigwig import write_bigwig
from dna_lm.inputs.reference import Reference
from dna_lm.inputs.stretches import DELETION
from dna_lm.scoring.mutagenesis import Mutation
from dna_lm.tables import Row


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
