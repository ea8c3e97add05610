"""The lines of a text file, plain, gzip or bgzip: the one reader of FASTA, VCF, BED and GFF.

Knows compression, encodings and line ends, and nothing of what a line says.
"""

import gzip
import logging
import os
import zlib
from collections.abc import Iterator

from dna_lm import pipes
from dna_lm.errors import UserError, counted, quoted
from dna_lm.inputs import compression
from dna_lm.inputs.compression import BGZIP, GZIP, PLAIN

log = logging.getLogger(__name__)

# How far the first line end is looked for.
_LONGEST_FIRST_LINE = 2**16
_BLOCK = 1 << 20
# How binary formats begin once they are unpacked.
_BINARY = {"BCF": "a BCF file: convert it with bcftools view", "BAM": "a BAM file", "CRAM": "a CRAM file"}


def lines(
    path: str | os.PathLike, role: str, errors: str = "backslashreplace", keep_ends: bool = False
) -> Iterator[str]:
    r"""Yield the lines of a text file in UTF-8, without a byte order mark.

    Lines end in \n, \r\n or \r, which become \n; with `keep_ends` \r\n stays, and \r ends lines only if it ends the
    first. The last line may have no end. errors: Python's name of what becomes of bytes that are not UTF-8. role: what
    messages call the file. A pipe is copied first. Raises `UserError` for a file that cannot be read to its end, is
    compressed otherwise, is cut short, or is not text.
    """
    number = 0
    line = "\n"
    packed = PLAIN
    try:
        if os.path.isdir(path):
            raise UserError(f"{role}: {quoted(path)} is a folder, not a file")
        regular = pipes.regular(path)
        packed = compression.compression(regular, role)
        newline = "\n" if keep_ends and not _ends_in_return(regular, packed) else None
        opener = open if packed == PLAIN else gzip.open
        with opener(regular, "rt", encoding="utf-8-sig", errors=errors, newline=newline) as handle:
            for number, line in enumerate(handle, 1):
                if "\0" in line:
                    kind = next(
                        (kind for first, kind in _BINARY.items() if number == 1 and line.startswith(first)), None
                    )
                    raise UserError(
                        f"{role}: this is {kind}"
                        if kind
                        else f"{role}, line {number}: a zero byte: this is not a plain text file in UTF-8"
                    )
                yield line
        has_end = line.endswith(("\n", "\r"))
        if packed == BGZIP and not compression.has_end(regular):
            if not has_end or compression.seems_cut(regular):
                raise UserError(f"{role}: the bgzip file is cut short after line {number}: upload it again")
            log.warning(
                "%s: the bgzip file has no end block. It is read as whole, with %s: if it should have more, it was cut "
                "short", role, counted(number, "line"),
            )  # fmt: skip
        if packed == GZIP and not has_end and _has_parts(regular):
            raise UserError(
                f"{role}: line {number} has no line end and the gzip file has several parts, so one may be missing: "
                "upload it again, or end the line"
            )
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(
            f"{role}: the {packed} file is damaged or cut short after line {number}: upload it again"
        ) from (error)
    except OSError as error:
        raise UserError(f"{role}: cannot read {quoted(path)}: {error.strerror}") from error


def _ends_in_return(path, packed):
    r"""Whether the first line ends in \r alone, as all lines of old Macs do."""
    with open(path, "rb") if packed == PLAIN else gzip.open(path) as handle:
        return b"\r" in handle.readline(_LONGEST_FIRST_LINE).removesuffix(b"\r\n")


def _has_parts(path):
    """Whether a gzip file has more than one member: it can be cut between two and unpack well."""
    member = zlib.decompressobj(wbits=31)
    with open(path, "rb") as handle:
        while block := handle.read(_BLOCK):
            while block:
                member.decompress(block, _BLOCK)
                if member.eof:
                    return bool(member.unused_data.strip(b"\0") or handle.read().strip(b"\0"))
                block = member.unconsumed_tail
    return False
