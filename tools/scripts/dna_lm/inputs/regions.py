"""Named regions of a genome, from BED or GFF, and the names of those that an interval overlaps.

Knows nothing of variants or models. Memory grows with the number of regions.
"""

import gzip
import zlib
from array import array
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from dna_lm.errors import UserError, counted, quoted
from dna_lm.inputs import compression
from dna_lm.labels import clean_label, without

FORMATS = ("bed", "gff")
BETWEEN_NAMES = "+"


class Region(NamedTuple):
    """A region of a sequence, half-open, from 0, and the line of the file that has it, from 1.

    strand: `+`, `-`, or `.` if the file says none.
    """

    contig: str
    start: int
    end: int
    name: str
    line: int
    strand: str = "."


def read_regions(path: str, file_format: str, role: str = "regions") -> Iterator[Region]:
    """Yield the `Region`s of a BED file (named by its fourth column, else `contig:start-end`) or of a GFF or GTF file.

    A GFF region is named after its type: exon, CDS. Raises `UserError` with the line's number for any other file.
    """
    number = n_regions = 0
    parse = {"bed": _bed, "gff": _gff}[file_format]
    role = f"{role} ({file_format.upper()})"
    try:
        opener = open if compression.compression(path) == compression.PLAIN else gzip.open
        with opener(path, "rt", encoding="utf-8-sig", errors="replace") as handle:
            for number, text in enumerate(handle, 1):
                text = text.rstrip("\r\n")
                if file_format == "gff" and text.startswith(("##FASTA", ">")):
                    break
                if not text.strip() or text.startswith(("#", "track ", "browser ")):
                    continue
                region = parse(text, number, f"{role}, line {number}")
                n_regions += 1
                yield region
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{role}: the gzip file is damaged or cut short after line {number}") from error
    except OSError as error:
        raise UserError(f"{role}: cannot read {quoted(path)}: {error.strerror}") from error
    if not n_regions:
        raise UserError(f"{role}: the file holds no region")


def _bed(text, number, where):
    columns = text.split("\t") if "\t" in text else text.split()
    if len(columns) < 3:
        raise UserError(f"{where}: {counted(len(columns), 'column')}: BED has a sequence, a start and an end, and tabs")
    start, end = _numbers(columns[1:3], where)
    if start >= end:
        raise UserError(f"{where}: start {start} is not before end {end}: BED counts from 0 and leaves the end out")
    name = clean_label(columns[3]) if len(columns) > 3 else ""
    strand = _strand(columns[5]) if len(columns) > 5 else "."
    return Region(columns[0], start, end, name or f"{clean_label(columns[0])}:{start}-{end}", number, strand)


def _gff(text, number, where):
    columns = text.split("\t")
    if not 8 <= len(columns) <= 9:
        raise UserError(f"{where}: {counted(len(columns), 'column')} separated by tabs where GFF has 9")
    start, end = _numbers(columns[3:5], where)
    if not 1 <= start <= end:
        raise UserError(f"{where}: start {start} and end {end}: GFF counts from 1, and the start is not after the end")
    return Region(columns[0], start - 1, end, clean_label(columns[2]) or "unnamed", number, _strand(columns[6]))


def _strand(text):
    return text if text in ("+", "-") else "."


def _numbers(texts, where):
    for text in texts:
        if not (text.isascii() and text.isdecimal()) or len(text) > 18:
            raise UserError(f"{where}: {quoted(text, 30)} is not a position")
    return map(int, texts)


class Regions:
    """Regions to look names up in. `contigs` are the names of the sequences that have any."""

    def __init__(self, regions: Iterable[Region], only: Collection[str] = ()) -> None:
        """`only`: names to keep; empty for all. Raises `UserError` for a name that no region has."""
        self._names = {}
        arrays = {}
        for region in regions:
            if only and region.name not in only:
                continue
            starts, ends, names = arrays.setdefault(region.contig, (array("q"), array("q"), array("l")))
            starts.append(region.start)
            ends.append(region.end)
            names.append(self._names.setdefault(region.name, len(self._names)))
        if missing := [name for name in only if name not in self._names]:
            raise UserError(f"regions: none is called {quoted(missing[0])}")
        self._names = list(self._names)
        # A region may be called none.
        self._outside = without("region", self._names)
        self._contigs = {contig: _sorted(*columns) for contig, columns in arrays.items()}

    @property
    def contigs(self) -> list[str]:
        """The names of the sequences that have regions."""
        return list(self._contigs)

    def names(self, contig: str, start: int, end: int) -> str:
        """The names of the regions that share a base with `start` to `end` (from 0, end excluded), or `none`
        (`no region` if a region is called so).

        An empty interval, where bases are inserted, is in a region that has the base before and the base after it.
        Several names are in alphabetical order, each once, as in `exon+intron`.
        """
        if contig not in self._contigs:
            return self._outside
        starts, ends, highest, names = self._contigs[contig]
        if start == end:
            start, end = start - 1, end + 1
            overlap = lambda s, e: (s <= start) & (e >= end)  # noqa: E731
        else:
            overlap = lambda s, e: (s < end) & (e > start)  # noqa: E731
        stop = np.searchsorted(starts, end, "left")
        first = np.searchsorted(highest[:stop], start, "right")
        hits = names[first:stop][overlap(starts[first:stop], ends[first:stop])]
        return BETWEEN_NAMES.join(sorted({self._names[name] for name in hits})) or self._outside


def _sorted(starts, ends, names):
    """Arrays in the order of the starts, with the highest end up to each place: it never falls, to be searched in."""
    starts, ends, names = map(np.asarray, (starts, ends, names))
    order = np.argsort(starts, kind="stable")
    return starts[order], ends[order], np.maximum.accumulate(ends[order]), names[order]
