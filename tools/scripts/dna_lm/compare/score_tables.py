"""Reads labelled score columns from score tables, and writes the comparison's two tables.

Knows the layout of the tables (tab-separated, one header line), but no statistics. A group is one column of scores,
with NaN for a row without a score. A line that cannot be read ends in a `UserError` that names the table and the line;
no row is dropped silently.
"""

from array import array
from collections.abc import Collection, Iterable, Sequence

import numpy as np

from dna_lm import columns
from dna_lm.compare.statistics import Group, Result
from dna_lm.errors import UserError, quoted
from dna_lm.labels import clean_label

# More groups than this can neither be read in a plot nor compared in pairs: the column is probably the wrong one.
MAX_GROUPS = 40

# The scores of a group, and its ids or None.
Columns = tuple[array, list[str] | None]


def split_group(argument: str) -> tuple[str, str]:
    """`LABEL=TABLE` at its first `=`: (label, path). A label with `=` in it needs a --groups file."""
    label, equals, path = argument.partition("=")
    if not equals or not path:
        raise UserError(f"--group takes LABEL=TABLE, found {quoted(argument)}")
    return label, path


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
    title: str,
    column: str,
    group_column: str | int | None,
    with_ids: bool,
    only: Collection[str] = (),
) -> dict[str | None, Columns]:
    """The columns of each label; without a group column the only label is None. title: of the table, in messages."""
    with columns.open_table(path, title) as table:
        score_at = table.place_of_score(column)
        group_at = None if group_column is None else table.place_of(group_column, "group")
        id_at = table.names.index("id") if with_ids and "id" in table.names else None
        groups = {}
        for number, fields in table.rows():
            label = None if group_at is None else clean_label(fields[group_at])
            if label == "":
                raise UserError(f"{title}, line {number}: no group in column {quoted(table.names[group_at])}")
            if only and label not in only:
                continue
            if label not in groups:
                if len(groups) == MAX_GROUPS:
                    raise UserError(
                        f"{title}, line {number}: more than {MAX_GROUPS} groups in column "
                        f"{quoted(table.names[group_at])}: is it the column that says which group a row belongs to?"
                    )
                groups[label] = (array("d"), None if id_at is None else [])
            scores, ids = groups[label]
            scores.append(columns.number(fields[score_at], column, title, number))
            if ids is not None:
                ids.append(fields[id_at])
        if missing := [label for label in only if label not in groups]:
            raise UserError(
                f"{title} has no row of group {quoted(missing[0])} in column {quoted(table.names[group_at])}"
            )
    if not groups:
        raise UserError(f"{title} has a header and no rows")
    return groups


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


def _write(path: str, header: Sequence[str], rows: Iterable[Sequence]) -> None:
    with open(path, "w", encoding="utf-8", newline="\n") as handle:
        for row in (header, *rows):
            handle.write("\t".join(map(columns.cell, row)) + "\n")
