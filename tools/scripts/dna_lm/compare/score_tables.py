"""Reads labelled score columns from score tables, and writes the comparison's two tables.

Knows the layout of the tables (tab-separated, one header line), but no statistics. A group is one column of scores,
with NaN for a row without a score. A line that cannot be read ends in a `UserError` that names the table and the line;
no row is dropped silently.
"""

import json
import math
from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import TextIO

import numpy as np

from dna_lm.compare.statistics import Group, Result
from dna_lm.errors import UserError, counted, quoted
from dna_lm.labels import clean_label, short_labels

# How a table says that a row has no score: the suite's own tables leave the cell empty, R writes NA, pandas nan.
NOT_SCORED = {"", "na", "nan"}

# More groups than this can neither be read in a plot nor compared in pairs: the column is probably the wrong one.
MAX_GROUPS = 40

# The fourth power of a score is part of Welch's degrees of freedom: below this limit the sum of a million is finite.
LARGEST = 1e70


# The scores of a group, and its ids or None.
Columns = tuple[array, list[str] | None]


def split_group(argument: str) -> tuple[str, str]:
    """`LABEL=TABLE` at its first `=`: (label, path). A label with `=` in it needs a --groups file."""
    label, equals, path = argument.partition("=")
    if not equals or not path:
        raise UserError(f"--group takes LABEL=TABLE, found {quoted(argument)}")
    return label, path


def read_group_list(path: str) -> list[tuple[str, str]]:
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


def read_groups(labelled_paths: Iterable[tuple[str, str]], column: str, with_ids: bool = False) -> list[Group]:
    """One group from each table, in order. labelled_paths: (label, path) pairs; column: the score column's name.

    with_ids: read the column `id` too, if there is one. Raises `UserError`.
    """
    groups = {}
    for label, path in labelled_paths:
        label = clean_label(label)
        if not label:
            raise UserError(f"a group of table {quoted(path)} has an empty label")
        if label in groups:
            raise UserError(f"two groups are called {quoted(label)}: give each its own label")
        scores, ids = _read(path, f"table of group {quoted(label)}", column, None, with_ids)[None]
        groups[label] = Group(label, np.frombuffer(scores), ids)
    return list(groups.values())


def read_grouped_table(
    path: str, column: str, group_column: str | int, with_ids: bool = False, only: Collection[str] = ()
) -> list[Group]:
    """One group for each value of `group_column` (a name, or a number from 1) in one table.

    only: the labels of the groups to keep; empty for all. Groups are in order of first appearance. Raises `UserError`.
    """
    groups = _read(path, f"table {quoted(path)}", column, group_column, with_ids, only)
    return [Group(label, np.frombuffer(scores), ids) for label, (scores, ids) in groups.items()]


def _read(
    path: str,
    name: str,
    column: str,
    group_column: str | int | None,
    with_ids: bool,
    only: Collection[str] = (),
) -> dict[str | None, Columns]:
    """The columns of each label; without a group column the only label is None. name: of the table, in messages."""
    try:
        with open(path, encoding="utf-8-sig") as handle:
            return _parse(handle, name, column, group_column, with_ids, only)
    except UnicodeDecodeError as error:
        raise UserError(f"{name} is not text: a score table is tab-separated text in UTF-8") from error
    except OSError as error:
        raise UserError(f"cannot read {name}: {error.strerror}") from error


def _parse(
    handle: TextIO,
    name: str,
    column: str,
    group_column: str | int | None,
    with_ids: bool,
    only: Collection[str],
) -> dict[str | None, Columns]:
    lines = enumerate((line.rstrip("\n") for line in handle), start=1)
    header = next(lines, (1, ""))[1]
    if "\0" in header:
        raise UserError(f"{name} is binary: a score table is tab-separated text in UTF-8")
    if not header.strip():
        raise UserError(f"{name} is empty: need a header line with the column names")
    names = header.lstrip("#").split("\t")
    score_at = _find_score(names, column, name, lines)
    group_at = None if group_column is None else _find_group(names, group_column, name)
    id_at = names.index("id") if with_ids and "id" in names else None

    groups = {}
    for number, line in lines:
        fields = line.split("\t")
        if len(fields) != len(names):
            if not line:  # an empty line is not a record
                continue
            raise UserError(f"{name}, line {number}: {counted(len(fields), 'field')} where the header has {len(names)}")
        label = None if group_at is None else clean_label(fields[group_at])
        if label == "":
            raise UserError(f"{name}, line {number}: no group in column {quoted(names[group_at])}")
        if only and label not in only:
            continue
        if label not in groups:
            if len(groups) == MAX_GROUPS:
                raise UserError(
                    f"{name}, line {number}: more than {MAX_GROUPS} groups in column {quoted(names[group_at])}: "
                    "is it the column that says which group a row belongs to?"
                )
            groups[label] = (array("d"), None if id_at is None else [])
        scores, ids = groups[label]
        scores.append(_score(fields[score_at], column, name, number))
        if ids is not None:
            ids.append(fields[id_at])
    if missing := [label for label in only if label not in groups]:
        raise UserError(f"{name} has no row of group {quoted(missing[0])} in column {quoted(names[group_at])}")
    if not groups:
        raise UserError(f"{name} has a header and no rows")
    return groups


def _score(cell: str, column: str, name: str, number: int) -> float:
    text = cell.strip()
    if text.lower() in NOT_SCORED:
        return math.nan
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or "_" in text:  # Python reads 1_000 as a number, other programs do not
        raise UserError(
            f"{name}, line {number}: {quoted(cell)} in column {quoted(column)} is not a finite number "
            "(a row without a score has an empty cell)"
        )
    if abs(value) > LARGEST:
        raise UserError(
            f"{name}, line {number}: {quoted(cell)} in column {quoted(column)} is beyond ±{LARGEST:g}: variances "
            "of such numbers cannot be computed"
        )
    return value


def _find_score(names: Sequence[str], column: str, table: str, lines: Iterator[tuple[int, str]]) -> int:
    """The place of the score column. lines: those below the header, read only to say which columns are numeric."""
    if column in names:
        return _only_place(names, column, table)
    numeric = _quoted_list(_numeric_columns(names, lines))
    raise UserError(f"{table} has no column {quoted(column)} (score); its numeric columns: {numeric}")


def _find_group(names: Sequence[str], column: str | int, table: str) -> int:
    """The place of the group column, which has a name, or a number from 1."""
    if isinstance(column, int):
        if not 1 <= column <= len(names):
            raise UserError(f"{table} has no column {column} (group): it has {counted(len(names), 'column')}")
        return column - 1
    if column in names:
        return _only_place(names, column, table)
    raise UserError(f"{table} has no column {quoted(column)} (group); its columns: {_quoted_list(names)}")


def _only_place(names: Sequence[str], column: str, table: str) -> int:
    times = names.count(column)
    if times > 1:
        raise UserError(f"{table} has {times} columns called {quoted(column)}: rename all but one")
    return names.index(column)


def _quoted_list(names: Sequence[str]) -> str:
    return ", ".join(quoted(name, 30) for name in names[:20]) or "none"


def _numeric_columns(names: Sequence[str], lines: Iterator[tuple[int, str]]) -> list[str]:
    """Names of the columns in which the next rows have numbers and no other text."""
    with_number, with_text = set(), set()
    for _, line in islice(lines, 1000):
        for place, cell in enumerate(line.split("\t")[: len(names)]):
            if cell.strip().lower() in NOT_SCORED:
                continue
            try:
                float(cell)
                with_number.add(place)
            except ValueError:
                with_text.add(place)
    return [name for place, name in enumerate(names) if place in with_number - with_text]


# --- results ---------------------------------------------------------------------------------------------------------

_EFFECTS = ("auc", "cliffs_delta", "hedges_g", "rank_biserial", "hedges_g_paired")
RESULT_COLUMNS = (
    ("comparison", "group_a", "group_b", "test", "n_a", "n_b", "n_left_out")
    + ("statistic", "df", "df_error", "p", "p_corrected")
    + tuple(f"{effect}{limit}" for effect in _EFFECTS for limit in ("", "_low", "_high"))
)
SUMMARY_COLUMNS = ("group", "n", "n_not_scored", "mean", "sd", "median", "q1", "q3", "min", "max")


def write_results(path: str, results: Iterable[Result]) -> None:
    """Write one row a test, with the columns `RESULT_COLUMNS`; a number that does not apply is an empty cell."""
    rows = []
    for result in results:
        pair = result.a is not None
        outcome = result.outcome
        cells = ["pair", result.a, result.b] if pair else ["all", "", ""]
        cells += [result.test, *((result.n_a, result.n_b) if pair else ("", "")), result.n_left_out]
        cells += [outcome.statistic, outcome.df, outcome.df_error, outcome.p, result.p_corrected]
        cells += [number for effect in _EFFECTS for number in getattr(result.effects, effect)]
        rows.append(cells)
    _write(path, RESULT_COLUMNS, rows)


def write_summaries(path: str, groups: Iterable[Group], summaries: Iterable[dict[str, float]]) -> None:
    """Write one row a group, with the columns `SUMMARY_COLUMNS`; summaries: of `statistics.summarise`, in order."""
    rows = [
        [group.label, *(summary[name] for name in SUMMARY_COLUMNS[1:])]
        for group, summary in zip(groups, summaries, strict=True)
    ]
    _write(path, SUMMARY_COLUMNS, rows)


def _write(path: str, columns: Sequence[str], rows: Iterable[Sequence]) -> None:
    with open(path, "w", encoding="utf-8", newline="\n") as handle:
        for row in (columns, *rows):
            handle.write("\t".join(map(_cell, row)) + "\n")


def _cell(value: str | int | float) -> str:
    if isinstance(value, float):  # the shortest text that reads back as the same number
        return "" if math.isnan(value) else repr(float(value))
    return str(value)
