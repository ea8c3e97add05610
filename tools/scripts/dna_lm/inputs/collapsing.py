"""Tables and VCF files of many jobs put together: one header, then every row unchanged.

Knows what a header is, and where rows have their status; nothing of models or scores.
"""

import re
import shutil
from collections import Counter
from collections.abc import Iterable

from dna_lm import statuses
from dna_lm.errors import UserError, quoted
from dna_lm.inputs import vcf

# The line of a scored VCF's header that says how its INFO fields begin.
_PREFIX = re.compile(rb"^##dna_lm=<ID=(\w+)", re.MULTILINE)


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
            with _opened(path, name) as source:
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


def _opened(path, name):
    try:
        return open(path, "rb")
    except OSError as error:
        raise UserError(f"cannot read {quoted(name)}: {error.strerror}") from error


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
        raise UserError(f"{quoted(name)} is empty: it has no header")
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
