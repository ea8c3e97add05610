"""The source of one row per mutant of a stretch of DNA."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from Bio.Seq import complement

from dna_lm.inputs import alleles
from dna_lm.inputs.fasta import Record
from dna_lm.inputs.stretches import BASES, Stretch, mutants
from dna_lm.model.checkpoint import Checkpoint
from dna_lm.scoring import pipeline
from dna_lm.scoring.forecast import Checked
from dna_lm.scoring.pipeline import Item
from dna_lm.scoring.rows import ScoredPair
from dna_lm.scoring.settings import STRANDS, Settings
from dna_lm.statuses import OK, TOO_LONG


@dataclass(frozen=True, slots=True)
class Mutation:
    """A base of a stretch, by its index in the record from 0, and what replaces it; None for an unreadable stretch."""

    stretch: Stretch
    at: int | None = None
    alt: str | None = None

    @property
    def position(self) -> int | None:
        """Of the base in its stretch, from 1."""
        return None if self.at is None else self.at - self.stretch.first + 1

    @property
    def along_strand(self) -> tuple[int | None, str | None]:
        """The position and the change, such as `C>T`, along the strand of the interval: from its end for `-`."""
        position, stretch = self.position, self.stretch
        if position is None:
            return None, None
        ref = stretch.bases[position - 1]
        if stretch.strand != "-":
            return position, f"{ref}>{self.alt}"
        return len(stretch.bases) - position + 1, f"{complement(ref)}>{complement(self.alt)}"


@dataclass(frozen=True)
class MutationRow(ScoredPair):
    """A mutant of a stretch, or a stretch that cannot be read.

    influence: the mean of `changes` over all other bases that the model reads.
    """

    mutation: Mutation = field(kw_only=True)

    @property
    def what(self) -> str:
        at = self.mutation.position
        return self.id if at is None else f"{self.id} {at} {self.mutation.stretch.bases[at - 1]}→{self.mutation.alt}"

    @property
    def dependencies(self) -> np.ndarray | None:
        """The `changes` of the bases of the stretch: float64 (bases,), NaN for the mutated base and where undefined."""
        stretch = self.mutation.stretch
        return None if self.changes is None else self.changes[stretch.first : stretch.end]

    @property
    def influence(self) -> float | None:
        """The mean of the `changes` that there are."""
        defined = [] if self.changes is None else self.changes[~np.isnan(self.changes)]
        return float(np.mean(defined)) if len(defined) else None


@dataclass(frozen=True)
class MutationSource:
    """Every substitution, and with `deletions` every deletion of one base, of the stretches that `read` yields.

    A stretch that cannot be read has one row, with its status and no position. flank: the bases that `read` adds on
    either side of an interval; None for sequences.
    """

    noun = "mutations"
    is_ranked = False

    read: Callable[[], Iterable[Stretch]]
    deletions: bool = False
    flank: int | None = None
    compute = staticmethod(pipeline.score)

    def check(self) -> Checked:
        n_mutants = n_bases = 0
        contigs = {}
        for stretch in self.read():
            if stretch.contig:
                contigs[stretch.place[0]] = stretch.contig
            n_of_stretch = (len(BASES) - 1 + self.deletions) * len(stretch.bases)
            n_mutants += n_of_stretch
            n_bases += n_of_stretch * 2 * len(stretch.record.sequence)
        return Checked(False, n_mutants, n_bases, alleles.styles("intervals", contigs))

    def items(self, checkpoint: Checkpoint, settings: Settings) -> Iterator[Item]:
        for stretch in self.read():
            record = stretch.record
            # One row instead of thousands that are each read again to find the same.
            record = replace(record, status=_status_of(checkpoint, record, settings.strand))
            if record.status != OK:
                yield Item(Mutation(stretch), record, record)
                continue
            for at, alt, sequence in mutants(stretch, self.deletions):
                yield Item(Mutation(stretch, at, alt), record, Record(record.id, sequence, OK))

    def rows(self, computed: Iterator[tuple[Any, ScoredPair]]) -> Iterator[MutationRow]:
        for mutation, found in computed:
            counts = found.counts
            if mutation.at is None:
                counts = replace(counts, wt_length=len(mutation.stretch.record.sequence) or None, mut_length=None)
            elif found.changes is not None:
                found.changes[mutation.at] = math.nan
            yield MutationRow(found.id, found.status, found.scores, counts, found.changes, mutation=mutation)

    def as_text(self) -> dict[str, object]:
        return {"deletions": self.deletions} | ({} if self.flank is None else {"flank": self.flank})


def _status_of(checkpoint: Checkpoint, record: Record, strand: str) -> str:
    status = pipeline.status_of(checkpoint, [record])
    if status == OK and checkpoint.is_far_too_long(record.sequence):
        return TOO_LONG
    if status == OK:
        strands = (checkpoint.tokenise([record.sequence], reverse) for reverse in STRANDS[strand])
        status = TOO_LONG if any(len(ids) > checkpoint.max_tokens for [ids] in strands) else OK
    return status
