"""The source of one row per mutant of a stretch of DNA."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from Bio.Seq import complement

from dna_lm.inputs.fasta import Record
from dna_lm.inputs.stretches import BASES, Stretch, mutants
from dna_lm.model.checkpoint import Checkpoint
from dna_lm.scoring import pipeline
from dna_lm.scoring.forecast import Checked
from dna_lm.scoring.pipeline import COUNTS, DEPENDENCIES, Item, Row
from dna_lm.scoring.settings import STRANDS, Settings
from dna_lm.statuses import OK, TOO_LONG


@dataclass(frozen=True, slots=True)
class Mutation:
    """A base of a stretch, by its index in the record from 0, and what replaces it; None for an unreadable stretch.

    `dependencies`: how much it changes the prediction for each base of the stretch, float64 (bases,), NaN for none;
    None if they are not computed. `is_causal`: whether the model is.
    """

    stretch: Stretch
    at: int | None = None
    alt: str | None = None
    is_causal: bool = False
    dependencies: np.ndarray | None = field(default=None, compare=False)

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
class MutationSource:
    """Every substitution, and with `deletions` every deletion of one base, of the stretches that `read` yields.

    A row has chrom and pos (from 1) for a stretch with a place; then id, position (from 1, in the stretch), ref, alt;
    for a stretch with a place strand, position_on_strand and change_on_strand; then status, the scores and the counts.
    A stretch that cannot be read has one row, with its status and no position.
    `influence`: a row has the mean dependency of all other bases that the model reads, before the counts.
    """

    read: Callable[[], Iterable[Stretch]]
    deletions: bool = False
    influence: bool = False
    compute = staticmethod(pipeline.score)

    def check(self) -> Checked:
        n_mutants = n_bases = 0
        for stretch in self.read():
            n_of_stretch = (len(BASES) - 1 + self.deletions) * len(stretch.bases)
            n_mutants += n_of_stretch
            n_bases += n_of_stretch * 2 * len(stretch.record.sequence)
        return Checked(False, n_mutants, n_bases)

    def items(self, checkpoint: Checkpoint, settings: Settings) -> Iterator[Item]:
        for stretch in self.read():
            record = stretch.record
            # One row instead of thousands that are each read again to find the same.
            record = replace(record, status=_status_of(checkpoint, record, settings.strand))
            if record.status != OK:
                yield Item(Mutation(stretch), record, record)
                continue
            for at, alt, sequence in mutants(stretch, self.deletions):
                mutation = Mutation(stretch, at, alt, checkpoint.is_causal)
                yield Item(mutation, record, Record(record.id, sequence, OK))

    def rows(self, computed: Iterator[tuple[Any, Row]]) -> Iterator[tuple[Mutation, Row]]:
        for mutation, scored in computed:
            stretch, position = mutation.stretch, mutation.position
            row = {}
            if stretch.place:
                row = {"chrom": stretch.place[0], "pos": position and stretch.place[1] + position}
            if position is None:
                scored |= {"wt_length": len(stretch.record.sequence) or None, "mut_length": None}
            row |= {"id": scored.pop("id"), "position": position}
            row |= {"ref": position and stretch.bases[position - 1], "alt": mutation.alt}
            if stretch.place:
                on_strand, change = mutation.along_strand
                row |= {"strand": stretch.strand, "position_on_strand": on_strand, "change_on_strand": change}
            if DEPENDENCIES in scored:
                counts = {name: scored.pop(name) for name in COUNTS}
                changes = scored.pop(DEPENDENCIES)
                if changes is not None:
                    changes[mutation.at] = math.nan
                    mutation = replace(mutation, dependencies=changes[stretch.first : stretch.end])
                scored |= {"influence": _mean(changes)} if self.influence else {}
                scored |= counts
            yield mutation, row | scored


def _mean(changes):
    """The mean of the dependencies that there are, or None."""
    defined = [] if changes is None else changes[~np.isnan(changes)]
    return float(np.mean(defined)) if len(defined) else None


def _status_of(checkpoint, record, strand):
    status = pipeline.status_of(checkpoint, [record])
    if status == OK and checkpoint.is_far_too_long(record.sequence):
        return TOO_LONG
    if status == OK:
        strands = (checkpoint.tokenise([record.sequence], reverse) for reverse in STRANDS[strand])
        status = TOO_LONG if any(len(ids) > checkpoint.max_tokens for [ids] in strands) else OK
    return status
