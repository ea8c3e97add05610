"""Tables and VCF files of many jobs put together: one header, then every row unchanged.

Knows what a header is, and where rows have their status; nothing of models or scores.
"""

import json
import re
import shutil
from collections import Counter
from collections.abc import Sequence
from contextlib import closing

from dna_lm import pipes, statuses
from dna_lm.errors import UserError, quoted
from dna_lm.inputs import vcf
from dna_lm.marks import CHUNK, chunk_name, read_mark

# The line of a scored VCF's header that says how its INFO fields begin.
_PREFIX = re.compile(rb"^##dna_lm=<ID=(\w+)", re.MULTILINE)
# The last column of a chunk's table.
_COLUMN = re.compile(rf"\t{CHUNK}=([^\t]*?)(\r?\n)\Z".encode())
# What the splitter calls its chunks, and Galaxy what is made from each.
_NAME = re.compile(r"chunk_(\d+)(?:\.\w+)*")


def read_list(path: str) -> list[tuple[str, str]]:
    """(name, path) pairs from a JSON list of objects `{"name": …, "path": …}`. Raises `UserError` for another file."""
    try:
        with open(path, encoding="utf-8") as handle:
            entries = json.load(handle)
        # open() would take a number for an open file.
        if not all(isinstance(entry["path"], str) for entry in entries):
            raise ValueError("a path is not a text")
        return [(str(entry["name"]), entry["path"]) for entry in entries]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f'{quoted(path)} is not a JSON list of {{"name": …, "path": …}}: {quoted(error)}') from error


def collapse(tables: Sequence[tuple[str, str]], output: str, allow_ref_mismatches: bool = False) -> Counter[str]:
    """Write tables, or VCF files, one after the other into `output`, their header once; rows are copied byte for byte.

    `tables` are (name, path). Chunks are put in their order, and their marks left out; other files are in the order
    given. Returns the number of rows with each status; it is empty for files that have none. Raises `UserError` for a
    table without a header, with another header than the first one's, or whose last line has no end and so may be cut
    short; for a chunk that is missing, given twice, or of another input; when no row of them is ok, or nearly all are
    on unknown sequences; and, unless `allow_ref_mismatches`, when too many REF alleles are mismatches.
    """
    if not tables:
        raise UserError("the collection is empty: nothing to put together")
    tables = in_order([(name, pipes.regular(path)) for name, path in tables])
    first_name = first_header = None
    counts = Counter()
    with open(output, "wb") as target:
        for name, path in tables:
            with closing(_opened(path, name)) as source:
                header, mark = _read_header(source, name)
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
                has_column = mark is not None and not _is_vcf(header)
                if statuses_of is None and not has_column:
                    shutil.copyfileobj(source, target, 1 << 20)
                    continue
                for row in source:
                    counts.update(statuses_of(row) if statuses_of else ())
                    # The cell below the mark is empty.
                    target.write(b"".join(row.rpartition(b"\t")[::2]) if has_column else row)
    counts = Counter({status.decode("utf-8", "replace"): number for status, number in counts.items()})
    statuses.refuse_nothing_scored(counts)
    n_unknown = counts[statuses.UNKNOWN_CONTIG]
    if n_unknown and statuses.nearly_all(n_unknown, counts.total()):
        raise UserError(
            f"{n_unknown} of {counts.total()} alleles are on sequences that the reference lacks: score the chunks with "
            "the reference that the VCF was made with, or split only what is on its sequences"
        )
    if not allow_ref_mismatches and (message := statuses.mismatches(counts)):
        raise UserError(
            f"{message}: score the chunks with the genome build of the VCF, or choose "
            '"Continue when many REF alleles differ from the reference" (--allow-ref-mismatches)'
        )
    return counts


def in_order(tables: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The (name, path) of chunks, in the order of the whole input; other files as they are given.

    A chunk is known by its mark. Without marks, files called `chunk_000001` and so on are taken for chunks. Raises
    `UserError` for a chunk that is missing, given twice, or of another input.
    """
    marks = []
    for name, path in tables:
        with closing(_opened(path, name)) as source:
            marks.append(_read_header(source, name)[1])
    total = None
    if any(marks):
        first = next(at for at, mark in enumerate(marks) if mark)
        for (name, _), mark in zip(tables, marks, strict=True):
            if mark is None:
                raise UserError(
                    f"{quoted(name)} is not a chunk, and {quoted(tables[first][0])} is one: give all chunks"
                )
            if mark[1:] != marks[first][1:]:
                raise UserError(
                    f"{quoted(name)} and {quoted(tables[first][0])} are chunks of different inputs: give those of one"
                )
        numbers, total = [mark.number for mark in marks], marks[first].total
    else:
        found = [_NAME.fullmatch(name) for name, _ in tables]
        if not all(found):
            return list(tables)
        numbers = [int(match[1]) for match in found]
    of_number = {}
    for number, (name, path) in zip(numbers, tables, strict=True):
        if number in of_number:
            raise UserError(f"chunk {number} is given twice, as {quoted(of_number[number][0])} and {quoted(name)}")
        of_number[number] = name, path
    missing = next((number for number in range(1, (total or max(numbers)) + 1) if number not in of_number), None)
    if missing is not None:
        raise UserError(
            f"{chunk_name(missing)} is missing: {len(tables)} of {total or max(numbers)} chunks are given. Run "
            "its job again, and give all chunks"
        )
    return [of_number[number] for number in sorted(of_number)]


def _opened(path, name):
    try:
        return open(path, "rb")
    except OSError as error:
        raise UserError(f"cannot read {quoted(name)}: {error.strerror}") from error


def _is_vcf(header):
    return header.startswith(b"##fileformat=VCF")


def _statuses_of(header):
    """A function from a row (bytes) to the list of its statuses, or None when rows with this header have none."""
    if _is_vcf(header):
        prefixes = _PREFIX.findall(header)
        if not prefixes:
            return None
        # A VCF scored with several models has the fields of the last one last.
        field = re.compile(rb"(?:^|;)" + prefixes[-1] + rb"_STATUS=([^;]*)")

        def of_line(row: bytes) -> list[bytes]:
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
    """(The first line, or a VCF's header, without the mark of a chunk; the mark). `source` is then at the first row."""
    header = source.readline()
    if not header:
        raise UserError(f"{quoted(name)} is empty: it has no header")
    if not _is_vcf(header):
        found = _COLUMN.search(header)
        return (header[: found.start()] + found[2], _mark(found[1], name)) if found else (header, None)
    lines = [header]
    while lines[-1].startswith(b"##"):
        lines.append(source.readline())
    if not lines[-1].startswith(b"#CHROM"):
        raise UserError(f"{quoted(name)} is a VCF whose header has no line #CHROM")
    key = vcf.CHUNK_KEY.encode()
    marks = [line[len(key) :] for line in lines if line.startswith(key)]
    header = b"".join(line for line in lines if not line.startswith(key))
    return header, _mark(marks[0].strip(), name) if marks else None


def _mark(given, name):
    mark = read_mark(given.decode("utf-8", "replace"))
    if mark is None:
        raise UserError(f"{quoted(name)}: {quoted(given)} does not say which chunk it is: split the input again")
    return mark


def _refuse_cut_short(source, name):
    place = source.tell()
    source.seek(-1, 2)
    if source.read(1) != b"\n":
        raise UserError(f"{quoted(name)}: the last line has no end, so the file may be cut short: run its job again")
    source.seek(place)
