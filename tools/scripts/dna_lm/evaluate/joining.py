"""Score tables in: their columns, and one row for each mutation of several tables.

Knows the columns of the suite's tables by name, and nothing of labels or metrics. Which rows are the same mutation is
what `mutations` says; the place decides where both tables have one.
"""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from dna_lm import mutations
from dna_lm.errors import UserError, counted, quoted
from dna_lm.inputs import tables
from dna_lm.mutations import ID, MUTATION, PLACE, Mutations, first_twice
from dna_lm.names import clean_label
from dna_lm.scores import SCORES
from dna_lm.statuses import OK

log = logging.getLogger(__name__)

# What baselines are made of.
COUNTS = ("wt_length", "mut_length", "n_differences", "changed_tokens")


@dataclass(frozen=True)
class ScoreColumn:
    """One score of one table: `name` in outputs, `column` and `table` (a label) of its numbers (rows,), NaN if none."""

    name: str
    column: str
    table: str
    values: np.ndarray


@dataclass
class Rows:
    """The rows of all score tables, joined.

    mutations: which they are; ids: what the rows are called in outputs.
    counts: table -> column -> numbers (rows,). reasons: table -> why each row has no scores there, or None.
    texts: other columns of the first table. joined_by: a sentence for each further table.
    """

    ids: list[str]
    mutations: Mutations
    scores: list[ScoreColumn]
    counts: dict[str, dict[str, np.ndarray]]
    reasons: dict[str, list[str | None]]
    alleles: list[tuple[str, str]] | None
    texts: dict[str, list[str]]
    joined_by: list[str] = field(default_factory=list)


def read_tables(labelled: Sequence[tuple[str, str]], scores: Sequence[str], texts: Sequence[str]) -> Rows:
    """The joined rows of score tables.

    labelled: (label, path) pairs; scores: names of score columns, each of which at least one table has (empty: all
    scores of the suite); texts: other columns of the first table. Rows that only a later table has come at the end.
    Raises `UserError` for tables that cannot be read or joined.
    """
    labelled = [(clean_label(label), path) for label, path in labelled]
    names = [label for label, _ in labelled]
    if twice := first_twice(names):
        raise UserError(f"two tables are called {quoted(twice)}: give each its own label")
    opened = [_read(label, path, scores, texts if at == 0 else ()) for at, (label, path) in enumerate(labelled)]
    found = {score.column for table in opened for score in table.scores}
    for name in scores:
        if name not in found:  # opened again for the message, which lists the columns that it has
            with tables.open_table(labelled[0][1], _title(*labelled[0])) as table:
                table.place_of_score(name)
    joined = opened[0]
    for label, table in zip(names[1:], opened[1:], strict=True):
        joined = _join(joined, table, names[0], label)
    if twice := first_twice([score.name for score in joined.scores]):
        raise UserError(f"two scores would be called {quoted(twice)}, TABLE:SCORE: give the tables other labels")
    if len(opened) == 1:
        joined.scores = [replace(score, name=score.column) for score in joined.scores]
    return joined


def _title(label: str, path: str) -> str:
    return f"score table {quoted(label or path)}"


def _read(label: str, path: str, scores: Sequence[str], texts: Sequence[str]) -> Rows:
    with tables.open_table(path, _title(label, path)) as table:
        names = table.names
        chosen = [name for name in dict.fromkeys(scores or SCORES) if name in names]
        if not chosen:
            wanted = tables.quoted_list(list(scores or SCORES))
            raise UserError(f"{table.title} has none of the scores {wanted}; its columns: {tables.quoted_list(names)}")
        places = mutations.Columns(names)
        parts = {names[at] for at in places.used}
        parts |= {"status"} & set(names)
        read = tables.read_columns(
            table, [*parts, *(name for name in texts if name not in parts)], [*chosen, *(set(COUNTS) & set(names))]
        )
    n = len(read[chosen[0]])
    rows = zip(*(read[names[at]] for at in places.used), strict=True) if places.used else iter([()] * n)
    which = Mutations.of((places.row(dict(zip(places.used, cells, strict=True))) for cells in rows), places.kinds)
    ids = which.ids or [""] * n
    if PLACE in which.places:
        written = map(":".join, zip(*(read[names[at]] for at in places.place(PLACE)), strict=True))
        ids = [name or place for name, place in zip(ids, written, strict=True)]
    ids = [name or f"row {number}" for number, name in enumerate(ids, 1)]
    alleles = None
    for kind in (kind for kind in (PLACE, MUTATION) if kind in places.kinds):
        alleles = list(zip(*(read[names[at]] for at in places.place(kind)[2:]), strict=True))
    status = read.get("status", [OK] * n)
    reasons = {text: None if text == OK else clean_label(text) or None for text in set(status)}
    return Rows(
        ids,
        which,
        [ScoreColumn(f"{label}:{name}", name, label, read[name]) for name in chosen],
        {label: {name: read[name] for name in COUNTS if name in read}},
        {label: [reasons[text] for text in status]},
        alleles,
        {name: read[name] for name in texts},
    )


def _join(first: Rows, other: Rows, name: str, label: str) -> Rows:
    """The rows of both. name, label: what the tables are called."""
    in_first, in_other = mutations.in_one_spelling(first.mutations, other.mutations)
    first, other = replace(first, mutations=in_first), replace(other, mutations=in_other)
    kind, at = _matched(first.mutations, other.mutations, name, label)
    n, n_other = len(first.ids), len(other.ids)
    only_other = np.setdiff1d(np.arange(n_other), at[at >= 0])
    # Of each joined row, its place in either table, or -1.
    in_first = np.concatenate((np.arange(n), np.full(len(only_other), -1)))
    in_other = np.concatenate((at, only_other))

    def numbers(values: np.ndarray, places: np.ndarray) -> np.ndarray:
        return np.where(places < 0, np.nan, values[places])

    def both(a: list, b: list) -> list:
        return [*a, *(b[place] for place in only_other)]

    def listed(values: list, places: np.ndarray, missing: str) -> list:
        return [missing if place < 0 else values[place] for place in places]

    sides = (first.mutations, np.flatnonzero(at < 0), name, label), (other.mutations, only_other, label, name)
    for table, rows, title, absent in sides:
        text = f"are not in table {quoted(absent, 30)}"
        if warning := mutations.unmatched(rows.tolist(), table, f"table {quoted(title, 30)}", text):
            log.warning("%s", warning)
    tables = ((first, in_first), (other, in_other))
    return Rows(
        both(first.ids, other.ids),
        first.mutations.joined(other.mutations, at.tolist(), only_other.tolist()),
        [
            ScoreColumn(score.name, score.column, score.table, numbers(score.values, places))
            for rows, places in tables
            for score in rows.scores
        ],
        {
            table: {column: numbers(values, places) for column, values in counts.items()}
            for rows, places in tables
            for table, counts in rows.counts.items()
        },
        {
            table: listed(reasons, places, "no such row")
            for rows, places in tables
            for table, reasons in rows.reasons.items()
        },
        None if first.alleles is None or other.alleles is None else both(first.alleles, other.alleles),
        {column: [*values, *[""] * len(only_other)] for column, values in first.texts.items()},
        [*first.joined_by, f"{label} with {name}: {kind}"],
    )


def _matched(first: Mutations, other: Mutations, name: str, label: str) -> tuple[str, np.ndarray]:
    """What the tables are joined by, and for each row of the first its row in the other, or -1."""
    kind = next((kind for kind in (PLACE, MUTATION) if kind in first.places and kind in other.places), None)
    titles = f"table {quoted(name, 20)}", f"table {quoted(label, 20)}"
    if kind is not None:
        keys, other_keys = (list(zip(*table.places[kind], strict=True)) for table in (first, other))
        found = _by_place(keys, other_keys, first.ids, other.ids)
        if (found < 0).all():
            _refuse(_no_row_in_common(kind, first, other), first, other, name, label)
        if kind == PLACE:
            _check_ids(first, other, found, titles)
        return kind + _in_order(found), found
    if first.ids is None or other.ids is None:
        _refuse(f"because they share neither id nor {PLACE}", first, other, name, label)
    for table, ids in ((name, first.ids), (label, other.ids)):
        if twice := first_twice(ids):
            fault = f"by id: {quoted(twice, 15)} appears twice in table {quoted(table, 15)}"
            _refuse(f"{fault}, and not both have {PLACE}", first, other, name, label)
    place = {key: at for at, key in enumerate(other.ids) if key}
    found = np.array([place.get(key, -1) for key in first.ids])
    if (found < 0).all():
        _refuse(_no_row_in_common(ID, first, other), first, other, name, label)
    for at in np.flatnonzero(found >= 0).tolist():
        if not mutations.same_parts(parts := first.part(at), other_parts := other.part(found[at])):
            raise UserError(mutations.parts_contradict(first.ids[at], parts, other_parts, *titles))
    return ID + _in_order(found), found


def _in_order(found: np.ndarray) -> str:
    return ", in the same order" if (found == np.arange(len(found))).all() else ""


def _by_place(keys: list, other_keys: list, ids: list[str] | None, other_ids: list[str] | None) -> np.ndarray:
    """For each row its row in the other table, or -1.

    Of several rows of one mutation, those with the same identifier belong together, and then the others in order.
    """
    there = {}
    for at, key in enumerate(other_keys):
        if key[1]:
            there.setdefault(key, []).append(at)
    here = Counter(keys)
    found = np.array([there[key][0] if here[key] == 1 == len(there.get(key, ())) else -1 for key in keys])
    several = {}
    for at, key in enumerate(keys):
        if found[at] < 0 and key in there:
            several.setdefault(key, []).append(at)
    for key, rows in several.items():
        of_id = {}
        for row in reversed(there[key]) if ids and other_ids else ():
            of_id.setdefault(other_ids[row], []).append(row)
        for at in rows:
            if ids and of_id.get(ids[at]):
                found[at] = of_id[ids[at]].pop()
        taken = set(found[rows].tolist())
        rest = (row for row in there[key] if row not in taken)
        for at in rows:
            if found[at] < 0:
                found[at] = next(rest, -1)
    return found


def _no_row_in_common(kind: str, first: Mutations, other: Mutations) -> str:
    shared = mutations.once(first.ids or ()).keys() & mutations.once(other.ids or ()) if kind == PLACE else None
    examples = [table.example(kind) for table in (first, other)]
    text = "for example"
    if shared:
        # As when both are numbered from 1.
        text = f"{quoted(min(shared), 15)} is"
        examples = [table.place_of(table.ids.index(min(shared))) for table in (first, other)]
    word = ID if kind == ID else "place"
    return f"by {word}: no row in common, {text} {' and '.join(quoted(example, 20) for example in examples)}"


def _check_ids(first: Mutations, other: Mutations, found: np.ndarray, titles: Sequence[str]) -> None:
    """Look at the identifiers of rows that were joined by their places: they must not say otherwise."""
    if first.ids is None or other.ids is None:
        return
    here, there = mutations.once(first.ids), mutations.once(other.ids)
    n_wrong, worst, text = 0, "", ""
    for at in np.flatnonzero(found >= 0).tolist():
        own, others = first.ids[at], other.ids[found[at]]
        shared = own if own in here and own in there else others
        if own == others or shared not in here or shared not in there:
            continue
        places = first.place_of(here[shared]), other.place_of(there[shared])
        if places[0] == places[1]:
            continue
        n_wrong += 1
        # Of several, one that is not the number of a row.
        if not worst or (mutations.is_row_number(worst) and not mutations.is_row_number(shared)):
            worst = shared
            text = mutations.contradiction(shared, *places, *titles)
    if warning := mutations.check_ids(n_wrong, worst, text):
        log.warning("%s", warning)


def _refuse(fault: str, first: Mutations, other: Mutations, name: str, label: str) -> None:
    raise UserError(
        f"tables {quoted(name, 20)} and {quoted(label, 20)} cannot be joined {fault}: give tables of the same "
        f"mutations ({counted(first.n, 'row')} and {other.n})"
    )
