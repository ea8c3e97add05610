"""The source of one row per mutant of a stretch of DNA."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from Bio.Seq import complement

from dna_lm.inputs import alleles
from dna_lm.inputs.fasta import NOT_ACGT, Record
from dna_lm.inputs.stretches import BASES, Stretch, mutants
from dna_lm.model.checkpoint import Checkpoint
from dna_lm.scoring import fitting, pipeline
from dna_lm.scoring.forecast import Checked
from dna_lm.scoring.pipeline import Item
from dna_lm.scoring.rows import ScoredPair
from dna_lm.scoring.settings import Settings
from dna_lm.statuses import INVALID_BASE, OK, TOO_LONG

# Bases that are read on either side: of an interval, and of each base where the whole is too long. A base's effect
# depends on its neighbours.
FLANK = 100
# Windows of a sequence whose tokens are counted.
_N_TRIED = 16


@dataclass(frozen=True, slots=True)
class Mutation:
    """A base of a stretch, by its index in the record from 0, and what replaces it; None for an unreadable stretch.

    start: where in the record the bases that are read begin, from 0.
    """

    stretch: Stretch
    at: int | None = None
    alt: str | None = None
    start: int = 0

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
    def n_beyond(self) -> int:
        return len(self.mutation.stretch.record.sequence) - (self.counts.wt_length or 0)

    @property
    def what(self) -> str:
        at = self.mutation.position
        return self.id if at is None else f"{self.id} {at} {self.mutation.stretch.bases[at - 1]}→{self.mutation.alt}"

    @property
    def dependencies(self) -> np.ndarray | None:
        """The `changes` of the bases of the stretch: float64 (bases,), NaN for the mutated base and where undefined."""
        if self.changes is None:
            return None
        stretch, start = self.mutation.stretch, self.mutation.start
        if len(self.changes) == len(stretch.record.sequence):
            return self.changes[stretch.first : stretch.end]
        whole = np.full(len(stretch.record.sequence), math.nan)
        whole[start : start + len(self.changes)] = self.changes
        return whole[stretch.first : stretch.end]

    @property
    def influence(self) -> float | None:
        """The mean of the `changes` that there are."""
        defined = [] if self.changes is None else self.changes[~np.isnan(self.changes)]
        return float(np.mean(defined)) if len(defined) else None


@dataclass(frozen=True)
class MutationSource:
    """Every substitution, and with `deletions` every deletion of one base, of the stretches that `read` yields.

    A stretch that cannot be read has one row, with its status and no position. One that is too long for the model is
    read in a window around each base, of `around` bases on either side, or as many as the model can read. flank: the
    bases that `read` adds on either side of an interval; None for sequences.
    """

    noun = "mutations"
    is_ranked = False

    read: Callable[[], Iterable[Stretch]]
    deletions: bool = False
    flank: int | None = None
    around: int = FLANK
    compute = staticmethod(pipeline.score)

    def check(self) -> Checked:
        n_of_length = Counter()
        contigs = {}
        for stretch in self.read():
            if stretch.contig:
                contigs[stretch.place[0]] = stretch.contig
            n_of_length[len(stretch.record.sequence)] += (len(BASES) - 1 + self.deletions) * len(stretch.bases)

        def n_bases(checkpoint: Checkpoint) -> int:
            return sum(
                n * 2 * (self._window if checkpoint.fewest_tokens(length) > checkpoint.max_tokens else length)
                for length, n in n_of_length.items()
            )

        return Checked(False, n_of_length.total(), n_bases, alleles.styles("intervals", contigs))

    @property
    def _window(self) -> int:
        return 2 * max(self.around, self.flank or 0) + 1

    def items(self, checkpoint: Checkpoint, settings: Settings) -> Iterator[Item]:
        for stretch in self.read():
            record = stretch.record
            # One row instead of thousands that are each read again to find the same.
            record = replace(record, status=_status_of(checkpoint, record, settings.strand))
            window = None
            if record.status == TOO_LONG:
                window = _fitting(checkpoint, record.sequence, settings.strand, self._window)
            elif record.status != OK:
                yield Item(Mutation(stretch), record, record)
                continue
            for at, alt, wild_type, mutant, start in mutants(stretch, self.deletions, window):
                status = INVALID_BASE if window and NOT_ACGT.search(wild_type) else OK
                pair = (Record(record.id, sequence, status) for sequence in (wild_type, mutant))
                yield Item(Mutation(stretch, at, alt, start), *pair)

    def rows(self, computed: Iterator[tuple[Any, ScoredPair]]) -> Iterator[MutationRow]:
        for mutation, found in computed:
            counts = found.counts
            if mutation.at is None:
                counts = replace(counts, wt_length=len(mutation.stretch.record.sequence) or None, mut_length=None)
            elif found.changes is not None:
                found.changes[mutation.at - mutation.start] = math.nan
            yield MutationRow(found.id, found.status, found.scores, counts, found.changes, mutation=mutation)

    def as_text(self) -> dict[str, object]:
        flank = {} if self.flank is None else {"flank": self.flank}
        return {"deletions": self.deletions} | flank | {"around": self._window // 2}


def _status_of(checkpoint: Checkpoint, record: Record, strand: str) -> str:
    status = pipeline.status_of(checkpoint, [record])
    if status in (OK, INVALID_BASE):
        # Of a long one, the windows without unknown bases can be read.
        is_long = fitting.most_tokens(checkpoint, [record.sequence], strand) > checkpoint.max_tokens
        status = TOO_LONG if is_long else status
    return status


def _fitting(checkpoint: Checkpoint, sequence: str, strand: str, window: int) -> int:
    """The longest odd window, up to `window` bases, that the model can read at places all along a sequence."""

    def windows(length: int) -> list[str]:
        places = np.linspace(0, len(sequence) - length, _N_TRIED).astype(int).tolist()
        return [sequence[at : at + length] for at in places]

    window = fitting.longest_window(checkpoint, windows, strand, min(window, len(sequence)))
    return window - (window + 1) % 2 or 1
