"""VCF in and out: the text of every line is kept, checked, and written again with more INFO.

Knows the format's columns and nothing of references, windows or models. htslib mends or drops what it does not
understand; here a line goes out as it came in, whatever its INFO and genotypes say, or the file is refused with the
number of the line.
"""

import contextlib
import logging
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TextIO

from dna_lm.errors import UserError, counted, quoted
from dna_lm.inputs import text
from dna_lm.marks import CHUNK
from dna_lm.statuses import BadRecords

log = logging.getLogger(__name__)

MISSING = "."
COLUMNS = ("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO")
# Other programs write, and read, a VCF that ends after one of these.
_FEWEST_COLUMNS = 5
# A header line with this key marks the file as a chunk of a larger one.
CHUNK_KEY = f"##{CHUNK}="

_FORMAT = "##fileformat="
_KNOWN_FORMAT = re.compile(_FORMAT + r"VCFv4\.\d")
_DNA = re.compile(r"[ACGTURYSWKMBDHVN]+", re.IGNORECASE)
# A symbol instead of a sequence: <DEL>, an inserted A<ctg1>, a breakend (of two ends or one), an allele that is removed
# by a deletion before it.
_SYMBOLIC = re.compile(
    r"[A-Za-z.]*<[^<>\s,]+>[A-Za-z.]*|\*|[A-Za-z.]*[\[\]][^\[\]\s,]+[\[\]][A-Za-z.]*|\.[A-Za-z]+|[A-Za-z]+\."
)
_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_LINE_END = "\r\n"
_META_VALUE = re.compile(r"[^\w ./:;@+=,()#-]", re.ASCII)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of variants; `text` is all of it, its end included, `number` counts from 1 with the header's lines."""

    number: int
    text: str
    chrom: str
    pos: int
    id: str
    ref: str
    alts: tuple[str, ...]


class Field(NamedTuple):
    """An INFO field to add: one value for each alternate allele. `type` is Float, Integer or String."""

    id: str
    type: str
    description: str


def is_dna(allele: str) -> bool:
    """Whether REF or an ALT entry has only letters of DNA."""
    return _DNA.fullmatch(allele) is not None


def is_symbolic(alt: str) -> bool:
    """Whether an ALT entry is a symbol instead of a sequence."""
    return alt != MISSING and not is_dna(alt) and _SYMBOLIC.fullmatch(alt) is not None


def is_vcf(path: str) -> bool:
    """Whether a file begins as a VCF does: with the line of its format, or with the line of its columns.

    One that cannot be read does not: its reader says why.
    """
    with contextlib.suppress(UserError):
        for line in text.lines(path, "VCF"):
            if line.startswith(_FORMAT + "VCF"):
                return True
            if line.strip() and not line.startswith("##"):
                return _columns_of(line) is not None
    return False


def read_lines(path: str, header: list[str] | None = None, refused_ids: Collection[str] = ()) -> Iterator[Line]:
    """Yield the `Line`s of a VCF file, plain, gzip or bgzip. The header's lines are appended to the list `header`.

    Text is UTF-8 whose other bytes are kept (`surrogateescape`). Columns that are missing after ALT are added, with
    `.`, and the last line's end. Empty lines are left out, and lines that begin with # after the header; the latter are
    logged. A line whose REF, ALT or POS is none keeps its place. Raises `UserError`, with the line's number, for a file
    that is cut short or is not a VCF: no header, another number of columns than the header has, CHROM empty, POS not a
    number; for many such lines in a file that is not a chunk; and for an INFO key among `refused_ids`.
    """
    number, line, n_columns, n_between = 0, "", None, 0
    header = [] if header is None else header
    bad = BadRecords()
    for number, line in enumerate(text.lines(path, "VCF", "surrogateescape", keep_ends=True), 1):
        if not line.strip():
            continue
        if n_columns is None:
            n_columns = _header_line(number, line, header)
        elif line.startswith("#"):
            n_between += 1
            if line.startswith(COLUMNS[0]) and _columns_of(line) != n_columns:
                raise UserError(f"VCF, line {number}: another header, with other columns: give one file")
        else:
            found = _line(number, line if line.endswith("\n") else f"{line}\n", n_columns, refused_ids)
            bad.add(_fault(found))
            yield found
    if not number:
        raise UserError("VCF: the file is empty")
    if n_columns is None:
        raise UserError(f"VCF: it ends at line {number}, in its header: the line that begins with #CHROM is missing")
    bad.judge(is_chunk(header))
    if not line.endswith("\n"):
        log.warning("VCF: the last line, %d, has no line end: is the file complete?", number)
    if n_between:
        log.warning("VCF: %s after the header that begin with # are left out", counted(n_between, "line"))


def _header_line(number, line, header):
    """Append a line to the header. Gives the number of columns when it is the header's last line, else None."""
    if line.startswith("##"):
        if line.startswith(_FORMAT) and not _KNOWN_FORMAT.match(line):
            raise UserError(f"VCF, line {number}: expected '##fileformat=VCFv4...', found {quoted(line.rstrip(), 30)}")
        header.append(line)
        return None
    if not line.startswith("#"):
        raise UserError(
            f"VCF, line {number}: expected '##fileformat=VCFv4...' or the line #CHROM..., found "
            f"{quoted(line.rstrip(), 30)}: give a VCF with its header"
        )
    n_columns = _columns_of(line)
    if n_columns is None:
        raise UserError(
            f"VCF, line {number}: {quoted(line.rstrip())} is not a header: the columns are {' '.join(COLUMNS)}, "
            "tab-separated, then FORMAT and one column a sample where there are genotypes"
        )
    end = line[len(line.rstrip(_LINE_END)) :] or "\n"
    if not any(given.startswith(_FORMAT) for given in header):
        log.warning("VCF: its header has no line ##fileformat: it is read as VCFv4.2")
    line = line.rstrip(_LINE_END)
    header.append("\t".join([line, *COLUMNS[n_columns:]]) + end)
    return n_columns


def _columns_of(line):
    """The number of columns of the line #CHROM, or None for another line."""
    columns = line.rstrip(_LINE_END).split("\t")
    first = tuple(columns[:8])
    is_header = len(first) >= _FEWEST_COLUMNS and first == COLUMNS[: len(first)] and columns[8:9] in ([], ["FORMAT"])
    return len(columns) if is_header else None


def _line(number, line, n_columns, refused_ids):
    where = f"VCF, line {number}"
    n_columns_here = line.count("\t") + 1
    if n_columns_here != n_columns:
        raise UserError(
            f"{where}: {counted(n_columns_here, 'column')} where the header has {n_columns}: "
            "the line is damaged or cut short, or its columns are not separated by tabs"
        )
    if n_columns < len(COLUMNS):
        bare = line.rstrip(_LINE_END)
        line = bare + f"\t{MISSING}" * (len(COLUMNS) - n_columns) + line[len(bare) :]
    # Genotypes stay one text, however many they are.
    columns = line.rstrip(_LINE_END).split("\t", 8)
    chrom, pos, name, ref, alt = columns[:5]
    if not chrom or " " in chrom:
        raise UserError(f"{where}: CHROM is {quoted(chrom)}, which is not the name of a sequence")
    if not (pos.isascii() and pos.isdecimal()) or len(pos) > 18:
        raise UserError(f"{where}: POS is {quoted(pos, 30)}: give a position, counted from 1")
    if taken := [key for key in _keys(columns[7]) if key in refused_ids]:
        raise UserError(f"{where}: INFO has {quoted(taken[0])} already: choose another prefix for the new fields")
    return Line(number, line, chrom, int(pos), name, ref, tuple(alt.split(",")))


def _fault(line):
    """What is wrong with the REF, ALT or POS of a `Line`, or None."""
    where = f"VCF, line {line.number}"
    if not is_dna(line.ref):
        fault = "is empty" if line.ref in ("", MISSING) else f"is {quoted(line.ref, 30)}, which is not DNA"
        return f"{where}: REF {fault}: give the reference's bases at this place"
    for alt in line.alts:
        if alt != MISSING and not is_dna(alt) and not is_symbolic(alt):
            fault = "is empty" if not alt else f"has {quoted(alt, 30)}, which is not an allele"
            return f"{where}: ALT {fault}: give bases, a symbolic allele such as <DEL>, or '.'"
    # A breakend at a telomere is at 0, or one past the end.
    if line.pos == 0 and not all(map(is_symbolic, line.alts)):
        return f"{where}: POS is 0: positions count from 1"
    return None


def _keys(info):
    return (entry.partition("=")[0] for entry in info.split(";"))


def check_ids(header: list[str], ids: Collection[str]) -> None:
    """Raise `UserError` when a header, a list of lines, defines one of the INFO `ids` already."""
    for number, line in enumerate(header, 1):
        defined = re.match(r"##INFO=<ID=([^,>]+)", line)
        if defined and defined[1] in ids:
            raise UserError(
                f"VCF, line {number}: the header defines INFO {quoted(defined[1])} already: "
                "choose another prefix for the new fields"
            )


def header_of_chunk(header: list[str], mark: str) -> list[str]:
    """The header's lines, with an added line before the last that marks the file as a chunk."""
    return _with_added(header, [CHUNK_KEY + mark])


def mark_of(header: list[str]) -> str | None:
    """The mark of a chunk in a header, a list of lines; None for one of a whole file."""
    return next((line[len(CHUNK_KEY) :].rstrip(_LINE_END) for line in header if line.startswith(CHUNK_KEY)), None)


def is_chunk(header: list[str]) -> bool:
    """Whether a header, a list of lines, is that of one chunk of a larger file."""
    return mark_of(header) is not None


def _with_added(header, lines):
    """The header's lines with others, given without ends, before the last; the line that names the format is first."""
    end = header[-1][len(header[-1].rstrip(_LINE_END)) :]
    first = [line for line in header if line.startswith(_FORMAT)][:1] or [f"{_FORMAT}VCFv4.2{end}"]
    others = [line for line in header[:-1] if not line.startswith(_FORMAT)]
    return [*first, *others, *(line + end for line in lines), header[-1]]


def header_with(header: list[str], fields: Iterable[Field], prefix: str, settings: Mapping[str, object]) -> list[str]:
    """The header's lines, with those of the added `fields` and one of `settings` (name -> text) before the last.

    What could end a quoted value, and letters outside ASCII, become `_`.
    """
    values = "".join(f',{name}="{_META_VALUE.sub("_", str(value))}"' for name, value in settings.items())
    added = [f"##dna_lm=<ID={prefix}{values}>"]
    added += [
        f'##INFO=<ID={field.id},Number=A,Type={field.type},Description="{_META_VALUE.sub("_", field.description)}">'
        for field in fields
    ]
    return _with_added(header, added)


def line_with(line: Line, values: Mapping[str, list[str]]) -> str:
    """The text of a `Line` with more INFO: `values` maps a field's id to the texts of each alternate allele."""
    bare = line.text.rstrip(_LINE_END)
    columns = bare.split("\t", 8)
    entries = [f"{name}={','.join(texts)}" for name, texts in values.items()]
    columns[7] = ";".join(([] if columns[7] in ("", MISSING) else [columns[7]]) + entries)
    return "\t".join(columns) + line.text[len(bare) :]


def open_for_writing(path: str | os.PathLike) -> TextIO:
    """A file to which lines of `read_lines` go back byte for byte."""
    return open(path, "w", encoding="utf-8", errors="surrogateescape", newline="")


def readable(cell: str) -> str:
    """A cell of a VCF as valid UTF-8 text for a table, without control characters."""
    return _CONTROL_CHARACTER.sub(
        "\N{REPLACEMENT CHARACTER}", cell.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    )
