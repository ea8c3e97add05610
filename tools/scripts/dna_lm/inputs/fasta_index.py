"""Whether the index of a FASTA file (`.fai`, and `.gzi` for bgzip) is that of the file as it is now.

Dates do not tell: a file that was copied or unpacked can be older than an index of another version of it. Here the
index is compared with the file, at a few places for each sequence.
"""

import re
import struct
import zlib
from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate
from typing import NamedTuple

from dna_lm.inputs import compression

# A longer header is not looked for.
_LONGEST_HEADER = 2**20
# htslib passes over blanks at the end of a line.
_LINE_END = re.compile(rb"[ \t\r]*\n")


class _Entry(NamedTuple):
    """A line of a `.fai`: a sequence's name, bases, place of the first one, bases and bytes in a line."""

    name: bytes
    length: int
    offset: int
    line_bases: int
    line_bytes: int

    def place(self, base: int) -> int:
        """Where a base, from 0, is in the file."""
        return self.offset + base // self.line_bases * self.line_bytes + base % self.line_bases

    @property
    def end(self) -> int:
        """The place after the last base."""
        return self.place(self.length - 1) + 1 if self.length else self.offset


def fits(path: str, fai: str, gzi: str | None = None) -> bool:
    """Whether an index describes a FASTA file: every header and line end that are looked at, and the file's length."""
    try:
        with open(fai, "rb") as handle:
            rows = [line.rstrip(b"\r\n").split(b"\t") for line in handle if line.strip()]
        entries = sorted((_Entry(row[0], *map(int, row[1:5])) for row in rows), key=lambda entry: entry.offset)
        if not entries:
            return False
        with open(path, "rb") as handle:
            if gzi is None:
                return _describes(entries, lambda start, end: _read(handle, start, end))
            unpacked = _Unpacked(handle, gzi)
            return _describes(entries, unpacked.read)
    except (OSError, ValueError, TypeError, struct.error, zlib.error, ZeroDivisionError):
        return False


def _read(handle, start, end):
    handle.seek(start)
    return handle.read(end - start)


def _describes(entries: list[_Entry], read: Callable[[int, int], bytes]) -> bool:
    """read: gives the file's bytes from one place to another, fewer at its end."""
    last_end = 0
    for entry in entries:
        if not 0 < entry.offset - last_end <= _LONGEST_HEADER or not _has_lines(entry, read):
            return False
        # From the end of one sequence to the first base of the next there are its header, and before it those of
        # sequences without bases, which no index has.
        *others, header, rest = [b"", *read(last_end, entry.offset).lstrip().split(b"\n")]
        if rest or not all(other[:1] in (b"", b">") for other in map(bytes.strip, others)):
            return False
        if not re.fullmatch(rb">[ \t]*" + re.escape(entry.name) + rb"(\s.*)?", header, re.DOTALL):
            return False
        last_end = entry.end
        ends = b"", b"\r", b"\n", b" ", b"\t"
        if entry.length and (read(last_end - 1, last_end) in ends or read(last_end, last_end + 1) not in ends):
            return False
    # More than line ends after the last sequence?
    return not read(last_end, last_end + _LONGEST_HEADER).strip()


def _has_lines(entry, read):
    """Whether the first and the last whole line of a sequence end where they should."""
    if entry.length <= entry.line_bases:
        return True
    whole = (entry.length - 1) // entry.line_bases
    for line in (1, whole):
        start = entry.place(line * entry.line_bases)
        between = read(start - entry.line_bytes + entry.line_bases - 1, start + 1)
        if not _LINE_END.fullmatch(between[1:-1]) or any(byte in b" \t\r\n>" for byte in (between[:1], between[-1:])):
            return False
    return True


class _Unpacked:
    """The text of a bgzip file, read at any place with the help of its index."""

    def __init__(self, handle, gzi: str) -> None:
        with open(gzi, "rb") as index:
            numbers = index.read()
        (n,) = struct.unpack_from("<Q", numbers)
        if len(numbers) != 8 + 16 * n:
            raise ValueError("not an index")
        pairs = [(0, 0), *struct.iter_unpack("<QQ", numbers[8:])]
        self._handle = handle
        self._places, self._starts = zip(*pairs, strict=True)
        self._block = None, b""
        # The index has all blocks with text, where they are.
        blocks = list(compression.blocks(handle))
        starts = accumulate((n_bytes for _, n_bytes in blocks), initial=0)
        expected = list(zip((place for place, _ in blocks), starts, strict=False))
        if pairs != expected[: len(pairs)] or any(n_bytes for _, n_bytes in blocks[len(pairs) :]):
            raise ValueError("the index of another file")

    def read(self, start: int, end: int) -> bytes:
        """Bytes of text from one place to another; fewer at the end of the file."""
        parts = []
        while start < end:
            at = bisect_right(self._starts, start) - 1
            text = self._text(at)
            part = text[start - self._starts[at] : end - self._starts[at]]
            if not part:
                break
            parts.append(part)
            start += len(part)
        return b"".join(parts)

    def _text(self, at):
        if self._block[0] != at:
            place = self._places[at]
            self._block = at, zlib.decompressobj(wbits=31).decompress(_read(self._handle, place, place + 2**16))
        return self._block[1]
