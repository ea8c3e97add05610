"""Tables in: the header, checked rows, columns by name, cells that are numbers.

Knows the layout of a table (one header line, an empty cell for a missing number), and not what its columns mean. Cells
are separated by tabs; a file whose header has none, but commas or semicolons, is read as they come from a spreadsheet.
A fault is a `UserError` that names the table and the line; no line is dropped silently.
"""

import contextlib
import csv
import itertools
import json
import logging
import math
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TextIO

import numpy as np

from dna_lm import names, pipes
from dna_lm.errors import UserError, counted, quoted
from dna_lm.galaxy import short_labels

log = logging.getLogger(__name__)

# How a table says that a row has no number: the suite's own tables leave the cell empty, R writes NA, pandas nan.
MISSING = {"", "na", "nan"}

# The fourth power of a score is part of Welch's degrees of freedom: below this limit the sum of a million is finite.
LARGEST = 1e70

# Lines in which the header is looked for: titles and comments come before it.
_MOST_BEFORE_HEADER = 200
_SEPARATORS = {"\t": "tab", ",": "comma", ";": "semicolon"}

_QUOTED_ALONE = re.compile(r'^\s*"(?:[^"]|"")*"[\s,;]*$')

# Rows that are turned into numbers at once.
_PORTION = 10_000


@dataclass
class Table:
    """An open table. `title` is what messages call it; `names` are its columns; `lines` are the rows not yet read.

    line: number of the header. separator: a tab, or what stands between cells instead.
    """

    title: str
    names: list[str]
    lines: Iterator[tuple[int, list[str]]]
    line: int = 1
    separator: str = "\t"

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """(number of the line, cells) of each row, as many cells as the header has names. Empty lines are no rows."""
        for number, fields in self.lines:
            if len(fields) == len(self.names):
                yield number, fields
            elif fields and fields != [""]:
                names_of_rows = "; R's names of rows need a name" if len(fields) == len(self.names) + 1 else ""
                raise UserError(
                    f"{self.title}, line {number}: {counted(len(fields), 'field')} where the header has "
                    f"{len(self.names)}{self._separated()}{names_of_rows}"
                )

    def _separated(self) -> str:
        """What a message adds about a table without tabs."""
        return "" if self.separator == "\t" else f" (the file is {_SEPARATORS[self.separator]}-separated)"

    def place(self, column: str, role: str) -> int:
        """Where a column is, from 0. role: what it is for, in the message when there is none."""
        if column not in self.names:
            raise UserError(
                f"{self.title} has no column {quoted(column)} ({role}); its columns: {quoted_list(self.names)}"
                + self._no_header(column)
            )
        times = self.names.count(column)
        if times > 1:
            raise UserError(f"{self.title} has {times} columns called {quoted(column)}: rename all but one")
        return self.names.index(column)

    def place_of(self, column: str | int, role: str) -> int:
        """As `place`, of a column that has a name, or a number from 1."""
        if not isinstance(column, int):
            return self.place(column, role)
        if not 1 <= column <= len(self.names):
            raise UserError(
                f"{self.title} has no column {column} ({role}): it has {counted(len(self.names), 'column')}"
            )
        return column - 1

    def place_of_score(self, column: str) -> int:
        """As `place`; the message names only the columns that can be scores, for which it reads the next rows."""
        if column not in self.names:
            numeric = quoted_list(self._numeric_columns())
            raise UserError(
                f"{self.title} has no column {quoted(column)} (score); its numeric columns: {numeric}"
                + self._no_header(column)
            )
        return self.place(column, "score")

    def _no_header(self, column: str) -> str:
        """What else a message says when the line that was taken for the header is not one."""
        for number, fields in islice(self.lines, _MOST_BEFORE_HEADER):
            if column in fields:
                return f". Line {number} has it: remove the lines above"
        if any(_is_number(name) for name in self.names):
            return f". Line {self.line} looks like data: put a line with the names of the columns above it"
        return self._separated()

    def _numeric_columns(self) -> list[str]:
        """Names of the columns in which the next rows have numbers and no other text."""
        with_number, with_text = set(), set()
        self.lines, ahead = itertools.tee(self.lines)
        for _, fields in islice(ahead, 1000):
            for place, cell in enumerate(fields[: len(self.names)]):
                if cell.strip().lower() not in MISSING:
                    (with_number if _is_number(cell) else with_text).add(place)
        return [name for place, name in enumerate(self.names) if place in with_number - with_text]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


@contextmanager
def open_table(path: str, title: str, quiet: bool = False) -> Iterator[Table]:
    """Open a table in UTF-8 text. title: what messages call it. Raises `UserError` for what is not a table.

    What is unusual about it is logged, unless `quiet`.
    """
    try:
        # Line ends are those of the rows: a quoted cell may have one.
        with open(pipes.regular(path), encoding="utf-8-sig", newline=None) as handle:
            yield _table(handle, title, quiet)
    except UnicodeDecodeError as error:
        raise UserError(f"{title} is not text: a table is tab-separated text in UTF-8") from error
    except OSError as error:
        raise UserError(f"cannot read {title}: {error.strerror}") from error


def _table(handle: TextIO, title: str, quiet: bool) -> Table:
    ahead = list(islice(handle, _MOST_BEFORE_HEADER))
    if "\0" in "".join(ahead[:1]):
        raise UserError(f"{title} is binary: a table is tab-separated text in UTF-8")
    if not any(line.strip() for line in ahead):
        raise UserError(f"{title} is empty: need a header line with the column names")
    at, separator = _header(ahead)
    lines = itertools.chain(ahead[at:], handle)
    rows = _cells(lines, separator, at, title)
    number, names = next(rows)
    if at and not quiet:
        log.warning("%s: the header is line %d; the lines before it are left out", title, at + 1)
    if separator != "\t" and not quiet:
        log.warning("%s is %s-separated, not tab-separated: it is read so", title, _SEPARATORS[separator])
    names[0] = names[0].lstrip("#")
    return Table(title, names, rows, number, separator)


def _header(lines: Sequence[str]) -> tuple[int, str]:
    """Which of the first lines has the names of the columns, from 0, and what separates them.

    It is the first one that is neither empty, nor a comment, nor a title: text in the first cell alone, above lines of
    several cells.
    """
    # How many lines have text after each of the separators: nearly all after the true one. Titles and cells have commas
    # and semicolons, but seldom tabs.
    counts = {sign: sum(_has_several(line, sign) for line in lines) for sign in _SEPARATORS}
    separator = max(counts, key=counts.get)
    if 2 * sum("\t" in line for line in lines) >= sum(bool(line.strip()) for line in lines):
        separator = "\t"
    for at, line in enumerate(lines):
        if line.strip() and not line.startswith("##") and (not counts[separator] or _has_several(line, separator)):
            return at, separator
    return next(at for at, line in enumerate(lines) if line.strip()), separator


def _has_several(line: str, separator: str) -> bool:
    # A title in quotes is one cell, whatever is in it.
    line = _QUOTED_ALONE.sub("", line)
    return bool(line.partition(separator)[2].replace(separator, "").strip())


def _cells(lines: Iterator[str], separator: str, n_before: int, title: str) -> Iterator[tuple[int, list[str]]]:
    """(number of the line, cells) of each row, the header first."""
    header = next(lines, "")
    lines = itertools.chain([header], lines)
    # R quotes texts, spreadsheets those with a separator. A tab-separated table is else as it is: quotes are text.
    if separator == "\t" and not (header.startswith('"') and header.rstrip().endswith('"')):
        for number, line in enumerate(lines, n_before + 1):
            yield number, line.rstrip("\n").split("\t")
        return
    reader = csv.reader(lines, delimiter=separator, strict=True, skipinitialspace=separator != "\t")
    try:
        yield from ((n_before + reader.line_num, fields) for fields in reader)
    except csv.Error as error:
        raise UserError(
            f"{title}, line {n_before + reader.line_num}: a cell in quotes cannot be read ({error}): save the table as "
            "tab-separated text"
        ) from error


def split_table(argument: str) -> tuple[str, str]:
    """`LABEL=FILE` or `FILE`: (label, path). A file without a label is named after itself, without its extension."""
    label, equals, path = argument.partition("=")
    if equals and path and not os.path.exists(argument):
        return label, path
    return short_labels([os.path.basename(argument)])[0], argument


def read_table_list(path: str, numbered: bool = False) -> list[tuple[str, str]]:
    """(label, path) pairs from a JSON list of objects `{"label": …, "table": …}` or `{"name": …, "table": …}`.

    A label is not changed. Labels are made from names of datasets by `galaxy.short_labels`. Labels and names may
    contain any character. numbered: datasets of one name are numbered, such as `x`, `x (2)`. Raises `UserError` for
    another file.
    """
    try:
        with open(path, encoding="utf-8") as handle:
            entries = json.load(handle)
        # open() would take a number for an open file.
        if not all(isinstance(entry["table"], str) for entry in entries):
            raise ValueError("a table is not the path of a file")
        labels = short_labels([entry["name"] for entry in entries if "label" not in entry])
        made = iter(names.numbered(labels) if numbered else labels)
        return [(entry["label"] if "label" in entry else next(made), entry["table"]) for entry in entries]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f'{quoted(path)} is not a JSON list of {{"label": …, "table": …}}: {error}') from error


def number(cell: str, column: str, title: str, line: int) -> float:
    """The number in a cell, NaN for a missing one. column, title, line: where it is, for the message."""
    text = cell.strip()
    if text.lower() in MISSING:
        return math.nan
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or "_" in text:  # Python reads 1_000 as a number, other programs do not
        raise UserError(
            f"{title}, line {line}: {quoted(cell)} in column {quoted(column)} is not a finite number "
            "(a row without a score has an empty cell)"
        )
    if abs(value) > LARGEST:
        raise UserError(
            f"{title}, line {line}: {quoted(cell)} in column {quoted(column)} is beyond ±{LARGEST:g}: variances "
            "of such numbers cannot be computed"
        )
    return value


def read_columns(table: Table, texts: Sequence[str], numbers: Sequence[str]) -> dict[str, list[str] | np.ndarray]:
    """The wanted columns of a table, by name: lists of text, and float64 arrays (rows,) with NaN for a missing number.

    Equal texts are one object, so that a column of few values takes little memory. Raises `UserError` for a cell that
    is not a number, and for a table without rows.
    """
    text_at = {name: table.place(name, "text") for name in texts}
    number_at = {name: table.place_of_score(name) for name in numbers}
    found = {name: [] for name in texts}
    parts = {name: [] for name in numbers}
    known = {}
    rows = table.rows()
    while portion := list(islice(rows, _PORTION)):
        for name, place in text_at.items():
            found[name] += [known.setdefault(fields[place], fields[place]) for _, fields in portion]
        for name, place in number_at.items():
            parts[name].append(_numbers(portion, place, name, table.title))
        if len(known) > _PORTION:  # a column in which every row has another text
            known.clear()
    if not any(parts.values()) and not any(found.values()):
        raise UserError(f"{table.title} has a header and no rows")
    return found | {name: np.concatenate(arrays) for name, arrays in parts.items()}


def _numbers(portion: Sequence[tuple[int, list[str]]], place: int, column: str, title: str) -> np.ndarray:
    cells = [fields[place] for _, fields in portion]
    with contextlib.suppress(ValueError):
        values = np.array([cell or "nan" for cell in cells], dtype=float)
        # Both of these are looked at again, cell by cell.
        if not (np.abs(values) > LARGEST).any() and "_" not in "".join(cells):
            return values
    return np.array([number(fields[place], column, title, line) for line, fields in portion])


def quoted_list(names: Sequence[str]) -> str:
    """Names of columns in a message."""
    return ", ".join(quoted(name, 30) for name in names[:20]) or "none"


def cell(value: str | int | float | None) -> str:
    """A value as a cell: empty for NaN and None; the shortest text that reads back as the same number."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return repr(float(value)) if isinstance(value, float) else str(value)
