"""Tab-separated tables in: the header, checked rows, columns by name, cells that are numbers.

Knows the layout of a table (one header line, tabs, an empty cell for a missing number), and not what its columns mean.
A fault is a `UserError` that names the table and the line; no line is dropped silently.
"""

import contextlib
import json
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TextIO

import numpy as np

from dna_lm import pipes
from dna_lm.errors import UserError, counted, quoted
from dna_lm.labels import short_labels

# How a table says that a row has no number: the suite's own tables leave the cell empty, R writes NA, pandas nan.
MISSING = {"", "na", "nan"}

# The fourth power of a score is part of Welch's degrees of freedom: below this limit the sum of a million is finite.
LARGEST = 1e70

# Rows that are turned into numbers at once.
_PORTION = 10_000


@dataclass
class Table:
    """An open table. `title` is what messages call it; `names` are its columns; `lines` are the lines not yet read."""

    title: str
    names: list[str]
    lines: Iterator[tuple[int, str]]

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """(number of the line, cells) of each row, as many cells as the header has names. Empty lines are no rows."""
        for number, line in self.lines:
            fields = line.split("\t")
            if len(fields) == len(self.names):
                yield number, fields
            elif line:
                raise UserError(
                    f"{self.title}, line {number}: {counted(len(fields), 'field')} where the header has "
                    f"{len(self.names)}"
                )

    def place(self, column: str, role: str) -> int:
        """Where a column is, from 0. role: what it is for, in the message when there is none."""
        if column not in self.names:
            raise UserError(
                f"{self.title} has no column {quoted(column)} ({role}); its columns: {quoted_list(self.names)}"
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
            raise UserError(f"{self.title} has no column {quoted(column)} (score); its numeric columns: {numeric}")
        return self.place(column, "score")

    def _numeric_columns(self) -> list[str]:
        """Names of the columns in which the next rows have numbers and no other text."""
        with_number, with_text = set(), set()
        for _, line in islice(self.lines, 1000):
            for place, cell in enumerate(line.split("\t")[: len(self.names)]):
                if cell.strip().lower() in MISSING:
                    continue
                try:
                    float(cell)
                    with_number.add(place)
                except ValueError:
                    with_text.add(place)
        return [name for place, name in enumerate(self.names) if place in with_number - with_text]


@contextmanager
def open_table(path: str, title: str) -> Iterator[Table]:
    """Open a table in UTF-8 text. title: what messages call it. Raises `UserError` for what is not a table."""
    try:
        with open(pipes.regular(path), encoding="utf-8-sig") as handle:
            yield _table(handle, title)
    except UnicodeDecodeError as error:
        raise UserError(f"{title} is not text: a table is tab-separated text in UTF-8") from error
    except OSError as error:
        raise UserError(f"cannot read {title}: {error.strerror}") from error


def _table(handle: TextIO, title: str) -> Table:
    lines = enumerate((line.rstrip("\n") for line in handle), start=1)
    header = next(lines, (1, ""))[1]
    if "\0" in header:
        raise UserError(f"{title} is binary: a table is tab-separated text in UTF-8")
    if not header.strip():
        raise UserError(f"{title} is empty: need a header line with the column names")
    return Table(title, header.lstrip("#").split("\t"), lines)


def split_table(argument: str) -> tuple[str, str]:
    """`LABEL=FILE` or `FILE`: (label, path). A file without a label is named after itself, without its extension."""
    label, equals, path = argument.partition("=")
    if equals and path and not os.path.exists(argument):
        return label, path
    return short_labels([os.path.basename(argument)])[0], argument


def read_table_list(path: str) -> list[tuple[str, str]]:
    """(label, path) pairs from a JSON list of objects `{"label": …, "table": …}` or `{"name": …, "table": …}`.

    A label is not changed. Labels are made from names of datasets by `labels.short_labels`. Labels and names may
    contain any character. Raises `UserError` for another file.
    """
    try:
        with open(path, encoding="utf-8") as handle:
            entries = json.load(handle)
        # open() would take a number for an open file.
        if not all(isinstance(entry["table"], str) for entry in entries):
            raise ValueError("a table is not the path of a file")
        made = iter(short_labels([entry["name"] for entry in entries if "label" not in entry]))
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
