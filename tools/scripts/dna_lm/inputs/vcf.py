"""VCF in and out: the text of every line is kept, checked, and written again with more INFO.

Knows the format's columns and nothing of references, windows or models. htslib mends or drops what it does not
understand; here a line goes out as it came in, whatever its INFO and genotypes say, or the file is refused with the
number of the line.
"""

import contextlib
import gzip
import os
import re
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TextIO

from dna_lm.errors import UserError, counted, quoted
from dna_lm.inputs import compression

MISSING = "."
COLUMNS = ("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO")
# A header line with this key marks the file as a chunk of a larger one.
CHUNK_KEY = "##dna_lm_chunk="

_FORMAT = re.compile(r"##fileformat=VCFv4\.\d")
_DNA = re.compile(r"[ACGTURYSWKMBDHVN]+", re.IGNORECASE)
# A symbol instead of a sequence: <DEL>, a breakend (of two ends or one), an allele that an upstream deletion removed.
_SYMBOLIC = re.compile(r"<[^<>\s,]+>|\*|[A-Za-z.]*[\[\]][^\[\]\s,]+[\[\]][A-Za-z.]*|\.[A-Za-z]+|[A-Za-z]+\.")
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


def is_symbolic(alt: str) -> bool:
    """Whether an ALT entry that `read_lines` let through is a symbol instead of a sequence."""
    return alt != MISSING and not _DNA.fullmatch(alt)


def read_lines(path: str, header: list[str] | None = None, refused_ids: Collection[str] = ()) -> Iterator[Line]:
    """Yield the `Line`s of a VCF file, plain, gzip or bgzip. The header's lines are appended to the list `header`.

    Text is UTF-8 whose other bytes are kept (`surrogateescape`). Raises `UserError`, with the line's number, for a
    file that is cut short or is not a VCF: no header, another number of columns than the header has, CHROM, REF or ALT
    empty or invalid, POS invalid, no newline at the end; and for an INFO key among `refused_ids`.
    """
    number = 0
    try:
        with _open(path) as handle:
            n_columns = None
            for number, text in enumerate(handle, 1):
                if not text.endswith("\n"):
                    raise UserError(
                        f"VCF, line {number}: the last line has no line end, so the file may be cut short: "
                        "complete the line, or upload the file again"
                    )
                if "\0" in text:
                    raise UserError(f"VCF, line {number}: a zero byte: this is not a text file")
                if n_columns is None:
                    n_columns = _header_line(number, text)
                    if header is not None:
                        header.append(text)
                else:
                    yield _line(number, text, n_columns, refused_ids)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"VCF: the gzip file is damaged or cut short after line {number}: upload it again") from error
    except OSError as error:
        raise UserError(f"VCF: cannot read {quoted(path)}: {error.strerror}") from error
    if not number:
        raise UserError("VCF: the file is empty")
    if n_columns is None:
        raise UserError(f"VCF: it ends at line {number}, in its header: the line that begins with #CHROM is missing")


def _open(path):
    packed = compression.compression(path)
    if packed == compression.BGZIP:
        if compression.is_cut_short(path):
            # How much is left tells a user where to look.
            n_lines = 0
            with gzip.open(path) as handle, contextlib.suppress(EOFError, zlib.error, gzip.BadGzipFile):
                for _ in handle:
                    n_lines += 1
            raise UserError(f"VCF: the bgzip file is cut short after line {n_lines}: upload it again")
        with gzip.open(path) as handle:
            if handle.read(3) == b"BCF":
                raise UserError("VCF: this is a BCF file: convert it with bcftools view")
    opener = open if packed == compression.PLAIN else gzip.open
    return opener(path, "rt", encoding="utf-8", errors="surrogateescape", newline="\n")


def _header_line(number, text):
    """The number of columns when this is the header's last line, else None."""
    text = text.rstrip(_LINE_END)
    if number == 1:
        if not _FORMAT.match(text):
            raise UserError(
                f"VCF, line 1: expected '##fileformat=VCFv4...', found {quoted(text, 30)}: give a VCF with its header"
            )
        return None
    if text.startswith("##"):
        return None
    columns = text.split("\t")
    if not text.startswith("#"):
        raise UserError(f"VCF, line {number}: expected the line #CHROM..., found {quoted(text, 30)}")
    if tuple(columns[:8]) != COLUMNS or columns[8:9] not in ([], ["FORMAT"]):
        raise UserError(
            f"VCF, line {number}: {quoted(text)} is not a header: the columns are {' '.join(COLUMNS)}, tab-separated, "
            "then FORMAT and one column a sample where there are genotypes"
        )
    return len(columns)


def _line(number, text, n_columns, refused_ids):
    where = f"VCF, line {number}"
    n_columns_here = text.count("\t") + 1
    # Genotypes stay one text, however many they are.
    columns = text.rstrip(_LINE_END).split("\t", 8)
    if columns == [""]:
        raise UserError(f"{where}: the line is empty: remove it")
    if n_columns_here != n_columns:
        raise UserError(
            f"{where}: {counted(n_columns_here, 'column')} where the header has {n_columns}: "
            "the line is damaged or cut short, or its columns are not separated by tabs"
        )
    chrom, pos, name, ref, alt = columns[:5]
    if bad := _CONTROL_CHARACTER.search("".join(columns[:5])):
        raise UserError(f"{where}: a control character ({quoted(bad[0])}) in the first five columns")
    if not chrom or " " in chrom:
        raise UserError(f"{where}: CHROM is {quoted(chrom)}, which is not the name of a sequence")
    if not _DNA.fullmatch(ref):
        fault = "is empty" if ref in ("", MISSING) else f"is {quoted(ref, 30)}, which is not DNA"
        raise UserError(f"{where}: REF {fault}: give the reference's bases at this place")
    alts = tuple(alt.split(","))
    for allele in alts:
        if allele != MISSING and not _DNA.fullmatch(allele) and not _SYMBOLIC.fullmatch(allele):
            fault = "is empty" if not allele else f"has {quoted(allele, 30)}, which is not an allele"
            raise UserError(f"{where}: ALT {fault}: give bases, a symbolic allele such as <DEL>, or '.'")
    if not (pos.isascii() and pos.isdecimal()) or len(pos) > 18:
        raise UserError(f"{where}: POS is {quoted(pos, 30)}: give a position, counted from 1")
    # A breakend at a telomere is at 0, or one past the end.
    if int(pos) == 0 and not all(map(is_symbolic, alts)):
        raise UserError(f"{where}: POS is 0: positions count from 1")
    if taken := [key for key in _keys(columns[7]) if key in refused_ids]:
        raise UserError(f"{where}: INFO has {quoted(taken[0])} already: choose another prefix for the new fields")
    return Line(number, text, chrom, int(pos), name, ref, alts)


def _keys(info):
    return (entry.partition("=")[0] for entry in info.split(";"))


def check_ids(header: list[str], ids: Collection[str]) -> None:
    """Raise `UserError` when a header, a list of lines, defines one of the INFO `ids` already."""
    for number, text in enumerate(header, 1):
        defined = re.match(r"##INFO=<ID=([^,>]+)", text)
        if defined and defined[1] in ids:
            raise UserError(
                f"VCF, line {number}: the header defines INFO {quoted(defined[1])} already: "
                "choose another prefix for the new fields"
            )


def header_of_chunk(header: list[str]) -> list[str]:
    """The header's lines, with an added line before the last that marks the file as a chunk."""
    end = header[-1][len(header[-1].rstrip(_LINE_END)) :]
    return [*header[:-1], f"{CHUNK_KEY}yes{end}", header[-1]]


def is_chunk(header: list[str]) -> bool:
    """Whether a header, a list of lines, is that of one chunk of a larger file."""
    return any(line.startswith(CHUNK_KEY) for line in header)


def header_with(header: list[str], fields: Iterable[Field], prefix: str, settings: Mapping[str, object]) -> list[str]:
    """The header's lines, with those of the added `fields` and one of `settings` (name -> text) before the last.

    What could end a quoted value, and letters outside ASCII, become `_`.
    """
    end = header[-1][len(header[-1].rstrip(_LINE_END)) :]
    values = "".join(f',{name}="{_META_VALUE.sub("_", str(value))}"' for name, value in settings.items())
    added = [f"##dna_lm=<ID={prefix}{values}>"]
    added += [
        f'##INFO=<ID={field.id},Number=A,Type={field.type},Description="{_META_VALUE.sub("_", field.description)}">'
        for field in fields
    ]
    return [*header[:-1], *(line + end for line in added), header[-1]]


def line_with(line: Line, values: Mapping[str, list[str]]) -> str:
    """The text of a `Line` with more INFO: `values` maps a field's id to the texts of each alternate allele."""
    text = line.text.rstrip(_LINE_END)
    columns = text.split("\t", 8)
    entries = [f"{name}={','.join(texts)}" for name, texts in values.items()]
    columns[7] = ";".join(([] if columns[7] in ("", MISSING) else [columns[7]]) + entries)
    return "\t".join(columns) + line.text[len(text) :]


def open_for_writing(path: str | os.PathLike) -> TextIO:
    """A file to which lines of `read_lines` go back byte for byte."""
    return open(path, "w", encoding="utf-8", errors="surrogateescape", newline="")


def readable(text: str) -> str:
    """A cell of a VCF as valid UTF-8 text for a table."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
