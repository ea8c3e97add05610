"""A big input cut into chunks, one for each job of a collection, and the jobs' tables put together again.

Knows the order of records and what a header is; nothing of models or scores.
"""

import itertools
import shutil
from pathlib import Path

from dna_lm.errors import UserError, counted, quoted

# Every dataset is several rows of Galaxy's database and one line of its pages: larger collections are slow.
MAX_CHUNKS = 10_000


def chunks(items, size):
    """Yield iterators over `size` items each, the last over what is left. Read each to its end before the next."""
    items = iter(items)
    for first in items:
        yield itertools.chain([first], itertools.islice(items, size - 1))


def chunk_name(number, extension):
    """The file name of a chunk, counted from 1; the order of names is the order of chunks."""
    return f"chunk_{number:06}.{extension}"


def refuse_too_many(n_records, size):
    """Raise `UserError` when chunks of `size` records would be more than `MAX_CHUNKS`."""
    n_chunks = -(-n_records // size)
    if n_chunks > MAX_CHUNKS:
        raise UserError(
            f"{n_records} records make {n_chunks} chunks of {size}, more than the {MAX_CHUNKS} that one collection "
            f"should have: take at least {-(-n_records // MAX_CHUNKS)} records a chunk"
        )


def write_pairs(pairs, size, wild_types, mutants):
    """Write (wild-type, mutant) `Record`s to FASTA chunks in two existing folders; returns the number of chunks.

    Sequences are written as the models read them, and the n-th record of a chunk belongs to the n-th of its partner,
    however they were paired before.
    """
    number = 0
    for number, chunk in enumerate(chunks(pairs, size), 1):
        name = chunk_name(number, "fasta")
        with (
            open(Path(wild_types, name), "w", encoding="utf-8") as wild_type_file,
            open(Path(mutants, name), "w", encoding="utf-8") as mutant_file,
        ):
            for wild_type, mutant in chunk:
                print(f">{wild_type.id}\n{wild_type.sequence}", file=wild_type_file)
                print(f">{mutant.id}\n{mutant.sequence}", file=mutant_file)
    return number


def write_variants(lines, size, header, open_chunk, folder):
    """Write VCF lines to chunks in an existing folder, each with the header's lines; returns the number of chunks.

    `lines` are the texts of whole lines; `header` is complete when the first of them is read. `open_chunk(path)` opens
    a file to which text goes back byte for byte.
    """
    number = 0
    for number, chunk in enumerate(chunks(lines, size), 1):
        with open_chunk(Path(folder, chunk_name(number, "vcf"))) as handle:
            handle.writelines(header)
            handle.writelines(chunk)
    return number


def collapse(tables, output):
    """Write tables, or VCF files, one after the other into `output`, their header once; bytes are copied as they are.

    `tables` are (name, path) in the order wanted. Raises `UserError` for a table without a header, with another header
    than the first one's, or whose last line has no end and so may be cut short.
    """
    first_name = first_header = None
    with open(output, "wb") as target:
        for name, path in tables:
            with open(path, "rb") as source:
                header = _read_header(source, name)
                if first_header is None:
                    first_name, first_header = name, header
                    target.write(header)
                elif header != first_header:
                    raise UserError(
                        f"{quoted(name)} has another header than {quoted(first_name)}: "
                        "were they made by the same tool with the same settings?"
                    )
                _refuse_cut_short(source, name)
                shutil.copyfileobj(source, target, 1 << 20)
    if first_header is None:
        raise UserError("the collection is empty: nothing to put together")


def _read_header(source, name):
    """The first line, or all of a VCF's header; `source` then stands at the first row."""
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
    return header


def _refuse_cut_short(source, name):
    place = source.tell()
    source.seek(-1, 2)
    if source.read(1) != b"\n":
        raise UserError(f"{quoted(name)}: the last line has no end, so the file may be cut short: run its job again")
    source.seek(place)


def described(n_records, n_chunks, noun):
    """What was cut into what, in words."""
    return f"{counted(n_records, noun)} in {counted(n_chunks, 'chunk')}"
