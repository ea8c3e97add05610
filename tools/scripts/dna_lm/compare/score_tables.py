"""Labelled score columns out of score tables, and the comparison's two tables of results.

Knows the layout of the tables (tab-separated, one header line) and nothing of statistics. A group is one float
column, with NaN for a row that was not scored. A line that does not fit ends in a `UserError` naming the table and
the line; no row is dropped silently.
"""

import json
import math
from array import array
from itertools import islice

import numpy as np

from dna_lm.compare.statistics import Group
from dna_lm.errors import UserError, counted, quoted
from dna_lm.labels import clean_label

# How a table says that a row has no score: the suite's own tables leave the cell empty, R writes NA, pandas nan.
NOT_SCORED = {"", "na", "nan"}

# More groups than this can neither be read in a plot nor compared in pairs: it is the wrong column.
MAX_GROUPS = 40

# Welch's degrees of freedom have the fourth power of a score, which is then still finite, summed over a million rows.
LARGEST = 1e70


def split_group(argument):
    """`LABEL=TABLE` at its first `=`: (label, path). A label with `=` in it needs a --groups file."""
    label, equals, path = argument.partition("=")
    if not equals or not path:
        raise UserError(f"--group takes LABEL=TABLE, found {quoted(argument)}")
    return label, path


def read_group_list(path):
    """(label, path) pairs from a JSON file `[{"label": …, "table": …}, …]`: labels may hold any character."""
    try:
        with open(path, encoding="utf-8") as handle:
            listed = [(entry["label"], entry["table"]) for entry in json.load(handle)]
        # A number would be taken for an open file.
        if not all(isinstance(table, str) for _, table in listed):
            raise ValueError("a table is not the path of a file")
        return listed
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f'{quoted(path)} is not a JSON list of {{"label": …, "table": …}}: {error}') from error


def read_groups(labelled_paths, column, with_ids=False):
    """One `Group` a table, in order. labelled_paths: (label, path) pairs; column: the score column's name.

    with_ids: keep the `id` column too, where there is one. Raises `UserError`.
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


def read_grouped_table(path, column, group_column, with_ids=False, only=()):
    """One `Group` for each value of `group_column` (a name, or a column number from 1) in one table.

    only: the labels of the groups to keep; empty for all. Groups are in order of first appearance. Raises `UserError`.
    """
    found = _read(path, f"table {quoted(path)}", column, group_column, with_ids, only)
    return [Group(label, np.frombuffer(scores), ids) for label, (scores, ids) in found.items()]


def _read(path, name, column, group_column, with_ids, only=()):
    """{label: (scores, ids)}; the only label is None without a group column."""
    try:
        with open(path, encoding="utf-8-sig") as handle:
            return _parse(handle, name, column, group_column, with_ids, only)
    except UnicodeDecodeError as error:
        raise UserError(f"{name} is not text: a score table is tab-separated text in UTF-8") from error
    except OSError as error:
        raise UserError(f"cannot read {name}: {error.strerror}") from error


def _parse(handle, name, column, group_column, with_ids, only):
    lines = enumerate((line.rstrip("\n") for line in handle), start=1)
    header = next(lines, (1, ""))[1]
    if "\0" in header:
        raise UserError(f"{name} is binary: a score table is tab-separated text in UTF-8")
    if not header.strip():
        raise UserError(f"{name} is empty: need a header line with the column names")
    names = header.lstrip("#").split("\t")
    score_at = _find(names, column, name, "score", lines)
    group_at = None if group_column is None else _find(names, group_column, name, "group", lines)
    id_at = names.index("id") if with_ids and "id" in names else None

    found = {}
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
        if label not in found:
            if len(found) == MAX_GROUPS:
                raise UserError(
                    f"{name}, line {number}: more than {MAX_GROUPS} groups in column {quoted(names[group_at])}: "
                    "is it the column that says which group a row belongs to?"
                )
            found[label] = (array("d"), None if id_at is None else [])
        scores, ids = found[label]
        scores.append(_score(fields[score_at], column, name, number))
        if ids is not None:
            ids.append(fields[id_at])
    if missing := [label for label in only if label not in found]:
        raise UserError(f"{name} has no row of group {quoted(missing[0])} in column {quoted(names[group_at])}")
    if not found:
        raise UserError(f"{name} has a header and no rows")
    return found


def _score(cell, column, name, number):
    text = cell.strip()
    if text.lower() in NOT_SCORED:
        return math.nan
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or "_" in text:  # Python reads 1_000 as a number, nothing else does
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


def _find(names, wanted, table, what, lines):
    if isinstance(wanted, int):
        if not 1 <= wanted <= len(names):
            raise UserError(f"{table} has no column {wanted} ({what}): it has {counted(len(names), 'column')}")
        return wanted - 1
    times = names.count(wanted)
    if times == 1:
        return names.index(wanted)
    if times:
        raise UserError(f"{table} has {times} columns called {quoted(wanted)}: rename all but one")
    if what == "score":
        candidates, kind = _numeric(names, lines), "numeric columns"
    else:
        candidates, kind = names, "columns"
    listed = ", ".join(quoted(name, 30) for name in candidates[:20]) or "none"
    raise UserError(f"{table} has no column {quoted(wanted)} ({what}); its {kind}: {listed}")


def _numeric(names, lines):
    """Names of the columns that hold a number in some of the next rows and nothing else."""
    number_seen, other_seen = set(), set()
    for _, line in islice(lines, 1000):
        for at, cell in enumerate(line.split("\t")[: len(names)]):
            if cell.strip().lower() in NOT_SCORED:
                continue
            try:
                float(cell)
                number_seen.add(at)
            except ValueError:
                other_seen.add(at)
    return [name for at, name in enumerate(names) if at in number_seen - other_seen]


# --- results ---------------------------------------------------------------------------------------------------------

_EFFECTS = ("auc", "cliffs_delta", "hedges_g", "rank_biserial", "hedges_g_paired")
RESULT_COLUMNS = (
    ("comparison", "group_a", "group_b", "test", "n_a", "n_b", "n_left_out")
    + ("statistic", "df", "df_error", "p", "p_corrected")
    + tuple(f"{effect}{limit}" for effect in _EFFECTS for limit in ("", "_low", "_high"))
)
SUMMARY_COLUMNS = ("group", "n", "n_not_scored", "mean", "sd", "median", "q1", "q3", "min", "max")


def write_results(path, results):
    """One row a test (`groups.Result`), columns `RESULT_COLUMNS`; a number that does not apply is an empty cell."""
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


def write_summaries(path, groups, summaries):
    """One row a group, columns `SUMMARY_COLUMNS`; summaries: a dict of `groups.summarise` for each group."""
    rows = [
        [group.label, *(summary[name] for name in SUMMARY_COLUMNS[1:])]
        for group, summary in zip(groups, summaries, strict=True)
    ]
    _write(path, SUMMARY_COLUMNS, rows)


def _write(path, columns, rows):
    with open(path, "w", encoding="utf-8", newline="\n") as handle:
        for row in (columns, *rows):
            handle.write("\t".join(map(_cell, row)) + "\n")


def _cell(value):
    if isinstance(value, float):  # shortest text that reads back as the same number
        return "" if math.isnan(value) else repr(float(value))
    return str(value)
