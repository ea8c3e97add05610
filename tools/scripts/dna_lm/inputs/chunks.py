"""A large input cut into chunks, one for each job of a collection.

A chunk is marked as a chunk, with its number, how many there are, and a digest of the whole: a FASTA file in the
description of its first record, a VCF in its header, a table made from either in the name of its last column, which is
empty (`tables`). The rules for a whole input (something can be scored; the VCF is not of another genome build) are not
applied to a chunk. They are applied to all rows when the jobs' tables are put together (`collapsing`).
"""

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from dna_lm.errors import UserError, counted
from dna_lm.inputs import text, vcf
from dna_lm.inputs.fasta import CHUNK_KEY, Record
from dna_lm.marks import Mark, chunk_name, read_mark

T = TypeVar("T")

# Every dataset is several rows of Galaxy's database and one line of its pages: larger collections are slow.
MAX_CHUNKS = 10_000

_WILD_TYPE, _MUTANT = "wild_type", "mutant"


class Whole:
    """What the chunks of one input have in common: their number, and a digest of its records and of the size."""

    def __init__(self, size: int) -> None:
        self.size, self.n_records = size, 0
        self._digest = hashlib.sha256(f"{size}\n".encode())

    def watched(self, records: Iterable[T], content: Callable[[T], str]) -> Iterator[T]:
        """Pass records on and count them in. content: what decides whether two of them are the same."""
        for record in records:
            self.n_records += 1
            self._digest.update(content(record).encode("utf-8", "surrogateescape"))
            yield record

    def mark(self, number: int) -> Mark:
        """Of a chunk, counted from 1, when all records have been counted in."""
        return Mark(number, -(-self.n_records // self.size), self._digest.hexdigest()[:16])


def in_chunks(items: Iterable[T], size: int) -> Iterator[Iterator[T]]:
    """Yield iterators over `size` items each, the last over what is left. Read each to its end before the next."""
    items = iter(items)
    for first in items:
        yield itertools.chain([first], itertools.islice(items, size - 1))


def refuse_too_many(n_records: int, size: int) -> None:
    """Raise `UserError` when chunks of `size` records would be more than `MAX_CHUNKS`."""
    n_chunks = -(-n_records // size)
    if n_chunks > MAX_CHUNKS:
        raise UserError(
            f"{n_records} records make {n_chunks} chunks of {size}, more than the {MAX_CHUNKS} that one collection "
            f"should have: take at least {-(-n_records // MAX_CHUNKS)} records a chunk"
        )


def content_of_pair(pair: tuple[Record, Record]) -> str:
    """What is written of a pair, for `Whole.watched`."""
    return "".join(f">{record.id}\n{record.sequence}\n" for record in pair)


def write_pairs(pairs: Iterable[tuple[Record, Record]], whole: Whole, wild_types: Path, mutants: Path) -> int:
    """Write (wild-type, mutant) `Record`s to FASTA chunks in two existing folders; returns the number of chunks.

    Sequences are written as the models read them, and the n-th record of a chunk belongs to the n-th of its partner,
    however they were paired before. The first record's description marks the file as a chunk, of wild types or mutants.
    """
    number = 0
    for number, chunk in enumerate(in_chunks(pairs, whole.size), 1):
        name = f"{chunk_name(number)}.fasta"
        with (
            open(Path(wild_types, name), "w", encoding="utf-8") as wild_type_file,
            open(Path(mutants, name), "w", encoding="utf-8") as mutant_file,
        ):
            marks = [f" {CHUNK_KEY}{role},{whole.mark(number)}" for role in (_WILD_TYPE, _MUTANT)]
            for wild_type, mutant in chunk:
                print(f">{wild_type.id}{marks[0]}\n{wild_type.sequence}", file=wild_type_file)
                print(f">{mutant.id}{marks[1]}\n{mutant.sequence}", file=mutant_file)
                marks = "", ""
    return number


def mark_of_fasta(path: str) -> Mark | None:
    """The mark of a FASTA file, plain or compressed, that is a chunk of a larger one."""
    _, mark = _fasta_mark(path)
    return mark


def mark_of_pair(wild_type_path: str, mutant_path: str) -> Mark | None:
    """The mark of two FASTA files that are chunks, one of wild types and one of mutants (in either role).

    Raises `UserError` for two chunks that do not belong together.
    """
    (role, mark), (other_role, other) = map(_fasta_mark, (wild_type_path, mutant_path))
    if {role, other_role} != {_WILD_TYPE, _MUTANT}:
        return None
    # The digest of one file ends in its role.
    whole, other_whole = (given._replace(digest=given.digest.partition("-")[0]) for given in (mark, other))
    if whole != other_whole:
        raise UserError(
            f"wild-type FASTA is chunk {whole.number} of {whole.total}, mutant FASTA chunk {other.number} of "
            f"{other.total}{'' if whole.digest == other_whole.digest else ' of another input'}: give chunks that "
            "belong together"
        )
    return whole


def _fasta_mark(path):
    """(wild_type or mutant, mark) from the first line of a chunk; (None, None) for another file."""
    words = next(text.lines(path, "FASTA"), "").split()
    role, _, given = words[-1].removeprefix(CHUNK_KEY).partition(",") if words else ("", "", "")
    mark = read_mark(given) if role in (_WILD_TYPE, _MUTANT) else None
    return (role, mark._replace(digest=f"{mark.digest}-{role}")) if mark else (None, None)


def content_of_line(line: vcf.Line) -> str:
    """What is written of a VCF's line, for `Whole.watched`."""
    return line.text


def write_variants(lines: Iterable[str], whole: Whole, header: list[str], folder: Path) -> int:
    """Write VCF lines to chunks in an existing folder, each with the header's lines; returns the number of chunks.

    `lines` are the texts of whole lines; `header` is complete when the first of them is read. Each chunk's
    header has one more line, which marks it as a chunk.
    """
    number = 0
    for number, chunk in enumerate(in_chunks(lines, whole.size), 1):
        with vcf.open_for_writing(Path(folder, f"{chunk_name(number)}.vcf")) as handle:
            handle.writelines(vcf.header_of_chunk(header, str(whole.mark(number))))
            handle.writelines(chunk)
    return number


def chunk_counts(n_records: int, n_chunks: int, noun: str) -> str:
    """How many records are in how many chunks, in words."""
    return f"{counted(n_records, noun)} in {counted(n_chunks, 'chunk')}"
