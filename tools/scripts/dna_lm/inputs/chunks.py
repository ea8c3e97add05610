"""A big input cut into chunks, one for each job of a collection, and the jobs' tables put together again.

Knows the order of records, what a header is, and where rows have their status; nothing of models or scores.

A chunk is marked as a chunk: a FASTA file in the description of its first record, a VCF in its header. The rules for a
whole input (something can be scored; the VCF is not of another genome build) are not applied to a chunk. They are
applied to all rows when the chunks are put together.
"""

import gzip
import itertools
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from dna_lm import statuses
from dna_lm.errors import UserError, counted, quoted
from dna_lm.inputs import compression, vcf

if TYPE_CHECKING:
    # Putting tables together needs no package.
    from dna_lm.inputs.fasta import Record

T = TypeVar("T")

# Every dataset is several rows of Galaxy's database and one line of its pages: larger collections are slow.
MAX_CHUNKS = 10_000

_WILD_TYPE, _MUTANT = "dna_lm_chunk=wild_type", "dna_lm_chunk=mutant"
# A limit for files whose lines do not end in \n: such a file is a single line.
_LONGEST_TITLE = 2**16
# The line of a scored VCF's header that says how its INFO fields begin.
_PREFIX = re.compile(rb"^##dna_lm=<ID=(\w+)", re.MULTILINE)


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


def write_pairs(pairs: "Iterable[tuple[Record, Record]]", size: int, wild_types: Path, mutants: Path) -> int:
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


def collapse(tables: Iterable[tuple[str, str]], output: str, allow_ref_mismatches: bool = False) -> Counter[str]:
    """Write tables, or VCF files, one after the other into `output`, their header once; rows are copied byte for byte.

    `tables` are (name, path) in the order wanted. The header's line that marks a VCF as a chunk is left out.
    Returns the number of rows with each status; it is empty for files that have none. Raises `UserError` for a table
    without a header, with another header than the first one's, or whose last line has no end and so may be cut short;
    when no row of all of them is ok; and, unless `allow_ref_mismatches`, when too many REF alleles are mismatches.
    """
    first_name = first_header = None
    counts = Counter()
    with open(output, "wb") as target:
        for name, path in tables:
            with open(path, "rb") as source:
                header = _read_header(source, name)
                if first_header is None:
                    first_name, first_header = name, header
                    statuses_of = _statuses_of(header)
                    target.write(header)
                elif header != first_header:
                    raise UserError(
                        f"{quoted(name)} has another header than {quoted(first_name)}: "
                        "were they made by the same tool with the same settings?"
                    )
                _refuse_cut_short(source, name)
                if statuses_of is None:
                    shutil.copyfileobj(source, target, 1 << 20)
                    continue
                for row in source:
                    counts.update(statuses_of(row))
                    target.write(row)
    if first_header is None:
        raise UserError("the collection is empty: nothing to put together")
    counts = Counter({status.decode("utf-8", "replace"): number for status, number in counts.items()})
    statuses.refuse_nothing_scored(counts)
    if not allow_ref_mismatches and (message := statuses.mismatches(counts)):
        raise UserError(
            f"{message}: the VCF and the reference are probably of different genome builds: score the chunks with the "
            "reference that the VCF was made with, or allow mismatches (--allow-ref-mismatches)"
        )
    return counts


def _statuses_of(header):
    """A function from a row (bytes) to the list of its statuses, or None when rows with this header have none."""
    if header.startswith(b"##fileformat=VCF"):
        prefixes = _PREFIX.findall(header)
        if not prefixes:
            return None
        # A VCF scored with several models has the fields of the last one last.
        field = re.compile(rb"(?:^|;)" + prefixes[-1] + rb"_STATUS=([^;]*)")

        def of_line(row):
            info = row.rstrip(b"\r\n").split(b"\t", 8)[7:8]
            match = info and field.search(info[0])
            return match[1].split(b",") if match else []

        return of_line
    columns = header.rstrip(b"\r\n").split(b"\t")
    # Other programs' tables may have a status too, which means something else.
    if b"status" not in columns or not {b"wt_tokens", b"tokens"} & set(columns):
        return None
    at = columns.index(b"status")
    return lambda row: row.rstrip(b"\r\n").split(b"\t", at + 1)[at : at + 1]


def _read_header(source, name):
    """The first line, or a VCF's header without the line that marks a chunk; `source` is then at the first row."""
    header = source.readline()
    if not header:
        raise UserError(f"{quoted(name)} is empty: it has not even a header")
    if header.startswith(b"##fileformat=VCF"):
        line = header
        while line.startswith(b"##"):
            line = source.readline()
            header += line
        if not line.startswith(b"#CHROM"):
            raise UserError(f"{quoted(name)} is a VCF whose header has no line #CHROM")
        before, key, after = header.rpartition(b"\n" + vcf.CHUNK_KEY.encode())
        if key:
            header = before + b"\n" + after.partition(b"\n")[2]
    return header


def _refuse_cut_short(source, name):
    place = source.tell()
    source.seek(-1, 2)
    if source.read(1) != b"\n":
        raise UserError(f"{quoted(name)}: the last line has no end, so the file may be cut short: run its job again")
    source.seek(place)


def chunk_counts(n_records: int, n_chunks: int, noun: str) -> str:
    """How many records are in how many chunks, in words."""
    return f"{counted(n_records, noun)} in {counted(n_chunks, 'chunk')}"
