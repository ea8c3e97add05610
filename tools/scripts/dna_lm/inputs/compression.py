"""The compression of a file, from its first and last bytes: plain, gzip, or bgzip, whole or cut short."""

import os

PLAIN, GZIP, BGZIP = "plain", "gzip", "bgzip"

# The SAM specification, section 4.1: blocks of gzip whose extra field begins with "BC", and an empty block at the end.
_EMPTY_BLOCK = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


def compression(path: str | os.PathLike) -> str:
    """`plain`, `gzip` or `bgzip`, by the file's first bytes."""
    with open(path, "rb") as handle:
        start = handle.read(18)
    if not start.startswith(b"\x1f\x8b"):
        return PLAIN
    has_extra_field = len(start) == 18 and start[3] & 4
    return BGZIP if has_extra_field and start[12:14] == b"BC" else GZIP


def is_cut_short(path: str | os.PathLike) -> bool:
    """Whether a bgzip file lacks the empty block that ends it: it can be cut between two blocks and unpack well."""
    with open(path, "rb") as handle:
        handle.seek(max(0, os.path.getsize(path) - len(_EMPTY_BLOCK)))
        return handle.read() != _EMPTY_BLOCK
