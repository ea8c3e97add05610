"""Named regions of a genome, from BED or GFF, and the names of those that an interval overlaps.

Knows nothing of variants or models. Memory grows with the number of regions.
"""

import logging
from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from dna_lm.contigs import matched
from dna_lm.errors import UserError, counted, quoted
from dna_lm.inputs import text
from dna_lm.names import clean_label, without
from dna_lm.statuses import BadRecords

log = logging.getLogger(__name__)

FORMATS = ("bed", "gff")
BETWEEN_NAMES = "+"
# Lines of a BED file that a genome browser reads.
_FOR_BROWSERS = "track ", "track\t", "browser ", "browser\t"


# Strands as Ensembl writes them.
_STRANDS = {"+": "+", "-": "-", ".": ".", "?": ".", "": ".", "1": "+", "+1": "+", "-1": "-"}


class Region(NamedTuple):
    """A region of a sequence, half-open, from 0, and the line of the file that has it, from 1.

    strand: `+`, `-`, or `.` if the file says none. is_circular: whether its end may be after that of its sequence, and
    mean the sequence's beginning. A faulty region has its end at its start or before, or a start below 0. attributes:
    the last column of a GFF file.
    """

    contig: str
    start: int
    end: int
    name: str
    line: int
    strand: str = "."
    is_circular: bool = False
    attributes: str = ""


def read_regions(path: str, file_format: str, role: str = "regions") -> Iterator[Region]:
    """Yield the `Region`s of a BED file (named by its fourth column, else `contig:start-end`) or of a GFF or GTF file.

    A GFF region is named after its type: exon, CDS. Raises `UserError` with the line's number for any other file, and
    when many regions are faulty.
    """
    number = 0
    parse = {"bed": _bed, "gff": _gff}[file_format]
    role = f"{role} ({file_format.upper()})"
    bad = BadRecords()
    n_strands = 0
    circular = set()
    for number, line in enumerate(text.lines(path, role), 1):
        line = line.rstrip("\n")
        if file_format == "gff" and line.startswith(("##FASTA", ">")):
            break
        if not line.strip() or line.startswith(("#", *_FOR_BROWSERS)):
            continue
        region, fault = parse(line, number, f"{role}, line {number}")
        bad.add(fault)
        if region.is_circular:
            circular.add(region.contig)
        if region.strand not in _STRANDS:
            n_strands += 1
            if n_strands == 1:
                log.warning("%s, line %d: the strand %s is not +, - or .", role, number, quoted(region.strand, 30))
        strand = _STRANDS.get(region.strand, ".")
        yield region._replace(strand=strand, is_circular=region.contig in circular)
    if not bad.total:
        raise UserError(f"{role}: the file holds no region")
    bad.judge(but="it is not used" if role.startswith("regions") else "it keeps its row, without a score")


def _bed(line, number, where):
    columns = [cell.strip() for cell in (line.split("\t") if "\t" in line else line.split())]
    if len(columns) < 3:
        raise UserError(f"{where}: {counted(len(columns), 'column')}: BED has a sequence, a start and an end, and tabs")
    start, end = _numbers(columns[1:3], where)
    fault = None
    if not 0 <= start < end:
        what = "is before the first base" if start < 0 else f"is not before end {end}"
        fault = f"{where}: start {start} {what}: BED counts from 0 and leaves the end out"
    name = clean_label(columns[3]) if len(columns) > 3 else ""
    name = name or f"{clean_label(columns[0])}:{start}-{end}"
    return Region(columns[0], start, end, name, number, columns[5] if len(columns) > 5 else "."), fault


def _gff(line, number, where):
    columns = [cell.strip() for cell in line.split("\t")]
    if not 8 <= len(columns) <= 9:
        raise UserError(f"{where}: {counted(len(columns), 'column')} separated by tabs where GFF has 9")
    start, end = _numbers(columns[3:5], where)
    fault = None
    if not 1 <= start <= end:
        fault = f"{where}: start {start} and end {end}: GFF counts from 1, and the start is not after the end"
    is_circular = "is_circular=true" in columns[-1].lower()
    name = clean_label(columns[2]) or "unnamed"
    return Region(columns[0], start - 1, end, name, number, columns[6], is_circular, columns[-1]), fault


def _numbers(texts, where):
    for given in texts:
        if not given.isascii() or not given.removeprefix("-").isdecimal() or len(given) > 18:
            raise UserError(f"{where}: {quoted(given, 30)} is not a position")
    return map(int, texts)


class Regions:
    """Regions to look names up in.

    `n_of_contig`: name of a sequence as the file has it -> its regions; `contigs`: name -> the reference's name, for
    those that the reference has.
    """

    def __init__(
        self, regions: Iterable[Region], only: Collection[str] = (), lengths: Mapping[str, int] | None = None
    ) -> None:
        """only: names to keep; empty for all. lengths: the sequences of the reference, whose names are looked up.

        Without lengths, names are looked up as the file has them. Raises `UserError` for a name that no region has.
        """
        self._names = {}
        arrays = {}
        circular = []
        for region in regions:
            if (only and region.name not in only) or not 0 <= region.start < region.end:
                continue
            starts, ends, names = arrays.setdefault(region.contig, (array("q"), array("q"), array("l")))
            starts.append(region.start)
            ends.append(region.end)
            names.append(self._names.setdefault(region.name, len(self._names)))
            if region.is_circular:
                circular.append(region)
        if missing := [name for name in only if name not in self._names]:
            raise UserError(f"regions: none is called {quoted(missing[0])}")
        self.n_of_contig = {contig: len(starts) for contig, (starts, _, _) in arrays.items()}
        self.contigs = matched(arrays, lengths) if lengths is not None else {contig: contig for contig in arrays}
        for region in circular:
            length = (lengths or {}).get(self.contigs.get(region.contig), region.end)
            if region.end > length:
                for column, value in zip(
                    arrays[region.contig], (0, region.end - length, self._names[region.name]), strict=True
                ):
                    column.append(value)
        self._names = list(self._names)
        # A region may be called none.
        self._outside = without("region", self._names)
        self._contigs = {self.contigs.get(name, name): _sorted(*columns) for name, columns in arrays.items()}

    def has(self, contig: str) -> bool:
        """Whether a sequence has regions."""
        return contig in self._contigs

    def columns(self, contig: str, start: int, end: int) -> dict[str, str]:
        """What a table says of `start` to `end` (from 0, end excluded): in `region` the names of `found`.

        `none` without any, or `no region` if a region is called so. Several names are in alphabetical order, each once,
        as in `exon+intron`.
        """
        return {"region": BETWEEN_NAMES.join(sorted(self.found(contig, start, end))) or self._outside}

    def found(self, contig: str, start: int, end: int) -> set[str]:
        """The names of the regions that share a base with `start` to `end` (from 0, end excluded).

        An empty interval, where bases are inserted, is in a region that has the base before and the base after it.
        """
        if contig not in self._contigs:
            return set()
        starts, ends, highest, names = self._contigs[contig]
        if start == end:
            start, end = start - 1, end + 1
            overlap = lambda s, e: (s <= start) & (e >= end)  # noqa: E731
        else:
            overlap = lambda s, e: (s < end) & (e > start)  # noqa: E731
        stop = np.searchsorted(starts, end, "left")
        first = np.searchsorted(highest[:stop], start, "right")
        return {self._names[name] for name in names[first:stop][overlap(starts[first:stop], ends[first:stop])]}


def _sorted(starts, ends, names):
    """Arrays in the order of the starts, with the highest end up to each place: it never falls, to be searched in."""
    starts, ends, names = map(np.asarray, (starts, ends, names))
    order = np.argsort(starts, kind="stable")
    return starts[order], ends[order], np.maximum.accumulate(ends[order]), names[order]
