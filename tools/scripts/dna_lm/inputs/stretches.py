"""Stretches of DNA in which every base is to be mutated: whole FASTA records, or intervals of a reference.

Knows nothing of models.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dna_lm.errors import UserError, quoted
from dna_lm.inputs import alleles, regions
from dna_lm.inputs.fasta import Record
from dna_lm.inputs.reference import Reference
from dna_lm.statuses import UNKNOWN_CONTIG, WINDOW_OFF_END

BASES = "ACGT"
DELETION = "-"


@dataclass(frozen=True, slots=True)
class Stretch:
    """DNA to mutate: the bases `first` to `end` (half-open, from 0) of a record, whose others are read around them.

    `place`: the sequence and the position, from 0, that the base `first` has in a reference; None for a FASTA record.
    `strand`: that of the interval, `+`, `-` or `.`; bases are always those of the forward strand.
    """

    record: Record
    first: int
    end: int
    place: tuple[str, int] | None = None
    strand: str = "."

    @property
    def bases(self) -> str:
        """The bases to mutate."""
        return self.record.sequence[self.first : self.end]

    @property
    def dna(self) -> tuple:
        """What the model reads, what of it is mutated, and where it is: equal for the same DNA given twice."""
        return self.record.sequence, self.first, self.end, self.place

    @property
    def start(self) -> int:
        """The number of the first base: 1, or its position in the reference, from 1."""
        return self.place[1] + 1 if self.place else 1


def from_records(records: Iterable[Record]) -> Iterator[Stretch]:
    """A `Stretch` for each FASTA record: all of it."""
    for record in records:
        yield Stretch(record, 0, len(record.sequence))


def from_intervals(path: str, file_format: str, reference: Reference, flank: int) -> Iterator[Stretch]:
    """A `Stretch` for each interval of a BED or GFF file, with `flank` bases of the reference on either side.

    At a sequence's end the flanks are shifted, not shortened: the other side gets the bases that one side lacks. An
    interval whose flanks the sequence has no room for, or whose sequence the reference does not have, has no bases and
    a status. Raises `UserError` for an interval past the end of its sequence, and when the reference has none of the
    sequences.
    """
    unknown, n_known = {}, 0
    for interval in regions.read_regions(path, file_format, "intervals"):
        contig, start, end = interval.contig, interval.start, interval.end
        length = reference.lengths.get(contig)
        if length is None:
            unknown.setdefault(contig)
            yield Stretch(Record(interval.name, "", UNKNOWN_CONTIG), 0, 0, (contig, start), interval.strand)
            continue
        n_known += 1
        if end > length:
            raise UserError(
                f"intervals ({file_format.upper()}), line {interval.line}: it ends at {end}, past the end of "
                f"{quoted(contig)}, which has {length} bases in the reference: the two do not belong together"
            )
        window = alleles.around(start, end - start, 2 * flank + 1, length)
        if window is None:
            yield Stretch(Record(interval.name, "", WINDOW_OFF_END), 0, 0, (contig, start), interval.strand)
            continue
        record = reference.record(interval.name, contig, *window)
        yield Stretch(record, start - window[0], end - window[0], (contig, start), interval.strand)
    if not n_known:
        alleles.refuse_unknown(list(unknown), list(reference.lengths), "intervals")


def mutants(stretch: Stretch, deletions: bool = False) -> Iterator[tuple[int, str, str]]:
    """Yield (index from 0, new base or `-`, mutant sequence), from the first base on; substitutions come before `-`."""
    sequence = stretch.record.sequence
    for at in range(stretch.first, stretch.end):
        before, after = sequence[:at], sequence[at + 1 :]
        for base in BASES:
            if base != sequence[at]:
                yield at, base, before + base + after
        if deletions:
            yield at, DELETION, before + after
