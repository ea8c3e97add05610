"""The compression of a file, from its first bytes, and whether a bgzip file that has no end block was cut."""

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

from dna_lm.errors import UserError

PLAIN, GZIP, BGZIP = "plain", "gzip", "bgzip"
# First bytes of formats that are not read.
_OTHERS = {
    b"\xfd7zXZ\0": "an xz file: decompress it",
    **{b"BZh%d1AY&SY" % level: "a bzip2 file: decompress it" for level in range(1, 10)},
    b"PK\3\4": "a zip archive: extract the file from it",
    b"\x28\xb5\x2f\xfd": "a zstd file: decompress it",
    b"\xff\xfe": "text in UTF-16: save it in UTF-8",
    b"\xfe\xff": "text in UTF-16: save it in UTF-8",
}

# The SAM specification, section 4.1: blocks of gzip whose extra field begins with "BC", and an empty block at the end.
_HEADER = 18
_EMPTY_BLOCK = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
# bgzip puts this many bytes of text in every block but the last.
_FULL = 65_280
# Programs that end blocks at line ends put in fewer, but few lines are longer than the rest of this share.
_NEARLY_FULL = 0.95


def compression(path: str | os.PathLike, role: str) -> str:
    """`plain`, `gzip` or `bgzip`, by the file's first bytes.

    role: what messages call the file. Raises `UserError` for another compression, and for text in UTF-16.
    """
    with open(path, "rb") as handle:
        start = handle.read(_HEADER)
    for first, name in _OTHERS.items():
        if start.startswith(first):
            raise UserError(f"{role}: this is {name}")
    if not start.startswith(b"\x1f\x8b"):
        return PLAIN
    return BGZIP if _is_block(start) else GZIP


def _is_block(start):
    return len(start) == _HEADER and start.startswith(b"\x1f\x8b") and start[3] & 4 and start[12:14] == b"BC"


def has_end(path: str | os.PathLike) -> bool:
    """Whether a bgzip file has the empty block that ends it."""
    with open(path, "rb") as handle:
        handle.seek(max(0, os.path.getsize(path) - len(_EMPTY_BLOCK)))
        return handle.read() == _EMPTY_BLOCK


def seems_cut(path: str | os.PathLike) -> bool:
    """Whether a bgzip file without an end block was cut: within a block, or after one that is as full as others.

    Only the last block of a whole file has less text than the others.
    """
    with open(path, "rb") as handle:
        sizes = [n_bytes for _, n_bytes in blocks(handle)]
        if sizes and sizes[-1] is None:
            return True
    *others, last = [n_bytes for n_bytes in sizes if n_bytes] or [0]
    full = min(others, default=_FULL)
    return last >= (full if set(others) == {_FULL} else _NEARLY_FULL * full)


def blocks(handle: BinaryIO) -> Iterator[tuple[int, int | None]]:
    """(place in the file, bytes of text) of each block of a bgzip file; None for a block that is not complete."""
    place, end = 0, handle.seek(0, os.SEEK_END)
    while place < end:
        handle.seek(place)
        start = handle.read(_HEADER)
        after = place + struct.unpack("<H", start[16:])[0] + 1 if _is_block(start) else end + 1
        n_bytes = None
        if after <= end:
            handle.seek(after - 4)
            (n_bytes,) = struct.unpack("<I", handle.read(4))
        yield place, n_bytes
        place = after
