"""Stretches of DNA in which every base is to be mutated: whole FASTA records, or intervals of a reference.

Knows nothing of models.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from dna_lm.contigs import matched
from dna_lm.errors import quoted
from dna_lm.inputs import alleles, regions
from dna_lm.inputs.fasta import Record
from dna_lm.inputs.reference import Reference
from dna_lm.statuses import EMPTY, OK, OUTSIDE_SEQUENCE, UNKNOWN_CONTIG, WINDOW_OFF_END, BadRecords

BASES = "ACGT"
DELETION = "-"


@dataclass(frozen=True, slots=True)
class Stretch:
    """DNA to mutate: the bases `first` to `end` (half-open, from 0) of a record, whose others are read around them.

    `place`: the sequence and the position, from 0, that the base `first` has in a reference; None for a FASTA record.
    `strand`: that of the interval, `+`, `-` or `.`; bases are always those of the forward strand. `contig`: the
    reference's name of the sequence.
    """

    record: Record
    first: int
    end: int
    place: tuple[str, int] | None = None
    strand: str = "."
    contig: str | None = None

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

    Sequences have the reference's names, or other styles of them. At a sequence's end the flanks are shifted, not
    shortened: the other side gets the bases that one side lacks. An interval without bases, outside its sequence, whose
    flanks the sequence has no room for, or whose sequence the reference does not have, has no bases and a status.
    Raises `UserError` when many intervals are outside their sequences, and when the reference has none or nearly none
    of the sequences.
    """
    role = "intervals"
    names = Counter(interval.contig for interval in regions.read_regions(path, file_format, role))
    contigs = matched(names, reference.lengths)
    unknown = {name: number for name, number in names.items() if name not in contigs}
    alleles.judge_unknown(role, "interval", unknown, names.total() - sum(unknown.values()), reference)
    bad = BadRecords()
    for interval in regions.read_regions(path, file_format, role):
        name, start, end = interval.contig, interval.start, interval.end
        contig = contigs.get(name)
        status = OK
        if start >= end:
            status = EMPTY
        elif contig is None:
            status = UNKNOWN_CONTIG
        else:
            length = reference.lengths[contig]
            is_outside = not 0 <= start < end <= length
            bad.add(_outside(interval, file_format, length) if is_outside and not interval.is_circular else None)
            window = None if is_outside else alleles.around(start, end - start, 2 * flank + 1, length)
            if window is None:
                status = OUTSIDE_SEQUENCE if is_outside else WINDOW_OFF_END
        if status != OK:
            yield Stretch(Record(interval.name, "", status), 0, 0, (name, start), interval.strand, contig)
            continue
        record = reference.record(interval.name, contig, *window)
        yield Stretch(record, start - window[0], end - window[0], (name, start), interval.strand, contig)
    bad.judge()


def _outside(interval, file_format, length):
    end = (
        f"it ends at {interval.end}, past the end of" if interval.end > length else "it starts before the first base of"
    )
    return (
        f"intervals ({file_format.upper()}), line {interval.line}: {end} {quoted(interval.contig)}, which has {length} "
        "bases in the reference: the two do not belong together"
    )


class Mutant(NamedTuple):
    """The base `at` (from 0) of a record, what replaces it (`-`: nothing), and the wild type and mutant that are read.

    start: where in the record the wild type begins, from 0.
    """

    at: int
    alt: str
    wild_type: str
    mutant: str
    start: int = 0


def mutants(stretch: Stretch, deletions: bool = False, window: int | None = None) -> Iterator[Mutant]:
    """Yield the mutants from the first base on; for each base, substitutions come before the deletion.

    window: bases that are read around each base, or None for the whole record. At its ends windows are shifted.
    """
    sequence = stretch.record.sequence
    for at in range(stretch.first, stretch.end):
        start, end = alleles.around(at, 1, window, len(sequence)) if window else (0, len(sequence))
        read, before, after = sequence[start:end], sequence[start:at], sequence[at + 1 : end]
        for base in BASES:
            if base != sequence[at]:
                yield Mutant(at, base, read, before + base + after, start)
        if deletions:
            yield Mutant(at, DELETION, read, before + after, start)
