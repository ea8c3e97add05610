"""How chunks of a larger input are named and marked. Knows no file."""

import re
from typing import NamedTuple

# What the mark is called: in a FASTA file's first description, in a VCF's header, and in the name of a table's last
# column, which is empty: no cell, no line and no other column is changed, and `inputs.collapsing` takes it away again.
CHUNK = "dna_lm_chunk"

_MARK = re.compile(r"(\d+)/(\d+):(\S+)")


class Mark(NamedTuple):
    """Which chunk a file is, from 1, of how many, and of which input."""

    number: int
    total: int
    digest: str

    def __str__(self) -> str:
        return f"{self.number}/{self.total}:{self.digest}"


def read_mark(given: str) -> Mark | None:
    """The mark from its text, or None."""
    found = _MARK.fullmatch(given)
    return found and Mark(int(found[1]), int(found[2]), found[3])


def chunk_name(number: int) -> str:
    """The name of a chunk, counted from 1, without extension; the order of names is the order of chunks."""
    return f"chunk_{number:06}"
