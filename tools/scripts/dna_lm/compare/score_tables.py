"""Reads labelled score columns from score tables, and writes the comparison's two tables.

Knows the layout of the tables (tab-separated, one header line), but no statistics. A group is one column of scores,
with NaN for a row without a score. A line that cannot be read ends in a `UserError` that names the table and the line;
no row is dropped silently.
"""

import itertools
import logging
from array import array
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

import numpy as np

from dna_lm import mutations
from dna_lm.compare.statistics import Group, Result
from dna_lm.errors import UserError, quoted
from dna_lm.inputs import tables
from dna_lm.names import clean_label

# More groups than this can neither be read in a plot nor compared in pairs: the column is probably the wrong one.
MAX_GROUPS = 40

log = logging.getLogger(__name__)

# The scores of a group, and which mutations its rows are, or None.
Columns = tuple[array, mutations.Collector | None]


def split_group(argument: str) -> tuple[str, str]:
    """`LABEL=TABLE` at its first `=`: (label, path). A label with `=` in it needs a --groups file."""
    label, equals, path = argument.partition("=")
    if not equals or not path:
        raise UserError(f"--group takes LABEL=TABLE, found {quoted(argument)}")
    return label, path


def read_groups(labelled_paths: Iterable[tuple[str, str]], column: str, paired: bool = False) -> list[Group]:
    """One group from each table, in order. labelled_paths: (label, path) pairs; column: the score column's name.

    paired: put the rows into the order of the first group, as `_paired` says. Raises `UserError`.
    """
    groups = {}
    for label, path in labelled_paths:
        label = clean_label(label)
        if not label:
            raise UserError(f"a group of table {quoted(path)} has an empty label")
        if label in groups:
            raise UserError(f"two groups are called {quoted(label)}: give each its own label")
        groups[label] = _read(path, f"table of group {quoted(label)}", column, None, paired)[None]
    return _groups(groups, paired)


def read_grouped_table(
    path: str, column: str, group_column: str | int, paired: bool = False, only: Collection[str] = ()
) -> list[Group]:
    """One group for each value of `group_column` (a name, or a number from 1) in one table.

    only: the labels of the groups to keep; empty for all. Groups are in order of first appearance. Raises `UserError`.
    """
    return _groups(_read(path, f"table {quoted(path)}", column, group_column, paired, only), paired)


def _groups(read: dict[str, Columns], paired: bool) -> list[Group]:
    groups = [Group(label, np.frombuffer(scores)) for label, (scores, _) in read.items()]
    return _paired(groups, [rows.mutations() for _, rows in read.values()]) if paired else groups


def _paired(groups: Sequence[Group], rows: Sequence[mutations.Mutations]) -> list[Group]:
    """The groups with their rows in the order of the first group.

    Rows belong together by their order. When a group has the mutations of the first group in another order, they are
    put into its order. Other rows of the same mutations, or of the same identifiers, are refused. Warnings are logged.
    """
    first, *others = groups
    if any(which.n != rows[0].n for which in rows):
        return list(groups)  # refused later
    found = [first]
    # Of each group, the row that stands in each row of the first one; and the groups that share nothing with it.
    orders, unlike = [range(rows[0].n)], []
    for at, (group, which) in enumerate(zip(others, rows[1:], strict=True), 1):
        kind, places = _rows_of(groups, rows, 0, at)
        orders.append(range(which.n) if places is None else places)
        if kind is None:
            unlike.append(at)
        text = ""
        if places is not None:
            group = replace(group, scores=group.scores[places])
            text = (
                f"group {quoted(group.label, 30)} has the rows of group {quoted(first.label, 30)} in another order: "
                f"they were paired by {kind}, not by their order"
            )
        elif kind in (None, mutations.ID) and rows[0].ids and which.ids:
            n_different = sum(a != b for a, b in zip(rows[0].ids, which.ids, strict=True))
            if n_different:
                text = (
                    f"rows were paired by their order, and {n_different:,} of {which.n:,} rows do not have the same id "
                    f"in groups {quoted(first.label, 30)} and {quoted(group.label, 30)}"
                )
        if text:
            log.warning("%s", text)
        found.append(replace(group, pairing=text))
    for a, b in itertools.combinations(range(1, len(groups)), 2):
        if a in unlike or b in unlike:
            _check_order(groups, rows, orders, a, b)
    return found


def _rows_of(
    groups: Sequence[Group], rows: Sequence[mutations.Mutations], a: int, b: int
) -> tuple[str | None, list[int] | None]:
    """As `mutations.rows_of` two groups. Raises `UserError` for rows that cannot be put into one order."""
    kind, places = mutations.rows_of(rows[a], rows[b])
    titles = [f"group {quoted(groups[at].label, 30)}" for at in (a, b)]
    if isinstance(places, int):
        raise UserError(
            f"paired rows: row {places + 1} of {titles[0]}, {quoted(rows[a].name(places), 30)}, is another row of "
            f"{titles[1]} (by {kind}): give both the same mutations once each, or in the same order"
        )
    for row, place in enumerate(places or ()) if kind == mutations.ID else ():
        if not mutations.same_parts(parts := rows[a].part(row), other_parts := rows[b].part(place)):
            texts = (":".join(str(part) for part in each if part is not None) for each in (parts, other_parts))
            raise UserError(
                f"paired rows: the ids are in another order, but "
                f"{mutations.contradiction(rows[a].ids[row], *texts, *titles)}: give both the same order"
            )
    return kind, places


def _check_order(
    groups: Sequence[Group], rows: Sequence[mutations.Mutations], orders: Sequence[Sequence[int]], a: int, b: int
) -> None:
    """Refuse two groups whose rows belong together otherwise than the rows of the first group say."""
    kind, places = _rows_of(groups, rows, a, b)
    there = range(rows[b].n) if places is None else places
    if kind is None or all(there[row] == other for row, other in zip(orders[a], orders[b], strict=True)):
        return
    first, *two = (quoted(groups[at].label, 20) for at in (0, a, b))
    raise UserError(
        f"paired rows: groups {' and '.join(two)} have the same rows (by {kind}) in different orders, and group "
        f"{first} does not say which is right: give all the same order"
    )


def _read(
    path: str,
    title: str,
    column: str,
    group_column: str | int | None,
    paired: bool,
    only: Collection[str] = (),
) -> dict[str | None, Columns]:
    """The columns of each label; without a group column the only label is None. title: of the table, in messages."""
    with tables.open_table(path, title) as table:
        score_at = table.place_of_score(column)
        group_at = None if group_column is None else table.place_of(group_column, "group")
        which = mutations.Columns(table.names) if paired else None
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
                groups[label] = (array("d"), which and mutations.Collector(which.kinds))
            scores, rows = groups[label]
            scores.append(tables.number(fields[score_at], column, title, number))
            if rows is not None:
                rows.add(which.row(fields))
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
            handle.write("\t".join(map(tables.cell, row)) + "\n")
