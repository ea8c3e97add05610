"""A large input cut into chunks, one for each job of a collection.

A chunk is marked as a chunk: a FASTA file in the description of its first record, a VCF in its header. The rules for a
whole input (something can be scored; the VCF is not of another genome build) are not applied to a chunk. They are
applied to all rows when the jobs' tables are put together (`collapsing`).
"""

import gzip
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from dna_lm.errors import UserError, counted
from dna_lm.inputs import compression, vcf
from dna_lm.inputs.fasta import Record

T = TypeVar("T")

# Every dataset is several rows of Galaxy's database and one line of its pages: larger collections are slow.
MAX_CHUNKS = 10_000

_WILD_TYPE, _MUTANT = "dna_lm_chunk=wild_type", "dna_lm_chunk=mutant"
# A limit for files whose lines do not end in \n: such a file is a single line.
_LONGEST_TITLE = 2**16


def in_chunks(items: Iterable[T], size: int) -> Iterator[Iterator[T]]:
    """Yield iterators over `size` items each, the last over what is left. Read each to its end before the next."""
    items = iter(items)
    for first in items:
        yield itertools.chain([first], itertools.islice(items, size - 1))


def chunk_name(number: int, extension: str) -> str:
    """The file name of a chunk, counted from 1; the order of names is the order of chunks."""
    return f"chunk_{number:06}.{extension}"


def refuse_too_many(n_records: int, size: int) -> None:
    """Raise `UserError` when chunks of `size` records would be more than `MAX_CHUNKS`."""
    n_chunks = -(-n_records // size)
    if n_chunks > MAX_CHUNKS:
        raise UserError(
            f"{n_records} records make {n_chunks} chunks of {size}, more than the {MAX_CHUNKS} that one collection "
            f"should have: take at least {-(-n_records // MAX_CHUNKS)} records a chunk"
        )


def write_pairs(pairs: Iterable[tuple[Record, Record]], size: int, wild_types: Path, mutants: Path) -> int:
    """Write (wild-type, mutant) `Record`s to FASTA chunks in two existing folders; returns the number of chunks.

    Sequences are written as the models read them, and the n-th record of a chunk belongs to the n-th of its partner,
    however they were paired before. The first record's description marks the file as a chunk, of wild types or mutants.
    """
    number = 0
    for number, chunk in enumerate(in_chunks(pairs, size), 1):
        name = chunk_name(number, "fasta")
        with (
            open(Path(wild_types, name), "w", encoding="utf-8") as wild_type_file,
            open(Path(mutants, name), "w", encoding="utf-8") as mutant_file,
        ):
            marks = f" {_WILD_TYPE}", f" {_MUTANT}"
            for wild_type, mutant in chunk:
                print(f">{wild_type.id}{marks[0]}\n{wild_type.sequence}", file=wild_type_file)
                print(f">{mutant.id}{marks[1]}\n{mutant.sequence}", file=mutant_file)
                marks = "", ""
    return number


def is_fasta_chunk(path: str) -> bool:
    """Whether a FASTA file, plain or compressed, is a chunk of a larger one."""
    return _fasta_mark(path) in (_WILD_TYPE, _MUTANT)


def are_fasta_chunks(wild_type_path: str, mutant_path: str) -> bool:
    """Whether two FASTA files are chunks, one of wild types and one of mutants (in either role)."""
    return {_fasta_mark(wild_type_path), _fasta_mark(mutant_path)} == {_WILD_TYPE, _MUTANT}


def _fasta_mark(path):
    opener = open if compression.compression(path) == compression.PLAIN else gzip.open
    with opener(path, "rb") as handle:
        words = handle.readline(_LONGEST_TITLE).split()
    return words[-1].decode("utf-8", "replace") if words else None


def write_variants(lines: Iterable[str], size: int, header: list[str], folder: Path) -> int:
    """Write VCF lines to chunks in an existing folder, each with the header's lines; returns the number of chunks.

    `lines` are the texts of whole lines; `header` is complete when the first of them is read. Each chunk's
    header has one more line, which marks it as a chunk.
    """
    number = 0
    for number, chunk in enumerate(in_chunks(lines, size), 1):
        with vcf.open_for_writing(Path(folder, chunk_name(number, "vcf"))) as handle:
            handle.writelines(vcf.header_of_chunk(header))
            handle.writelines(chunk)
    return number


def chunk_counts(n_records: int, n_chunks: int, noun: str) -> str:
    """How many records are in how many chunks, in words."""
    return f"{counted(n_records, noun)} in {counted(n_chunks, 'chunk')}"
