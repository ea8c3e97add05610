"""Score tables in: their columns, and one row for each mutation of several tables.

Knows the columns of the suite's tables by name, and nothing of labels or metrics. Tables of other programs are joined
too: chromosome, position, reference and alternate have the names that people give them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from dna_lm import columns
from dna_lm.errors import UserError, counted, quoted
from dna_lm.labels import clean_label
from dna_lm.scores import SCORES
from dna_lm.statuses import OK

# What can say which mutation a row is, and the columns of each; the first that can is used. `position` is one of a
# sequence of "Score every mutation".
ID, PLACE, MUTATION = "id", "chrom, pos, ref and alt", "id, position, ref and alt"
KEYS = {ID: ("id",), PLACE: ("chrom", "pos", "ref", "alt"), MUTATION: ("id", "position", "ref", "alt")}
# Names of these columns in other tables, such as the supplement of Findlay et al. 2018: `position (hg19)`.
_NAMES = {
    "id": re.compile("id", re.IGNORECASE),
    "chrom": re.compile("chrom|chromosome|chr", re.IGNORECASE),
    "pos": re.compile(r"pos|position( \(.*\))?", re.IGNORECASE),
    "ref": re.compile("ref|reference", re.IGNORECASE),
    "alt": re.compile("alt|alternate", re.IGNORECASE),
}

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

    keys: kind -> the key of each row, for each kind that all rows can have; ids: what the rows are called in outputs.
    counts: table -> column -> numbers (rows,). reasons: table -> why each row has no scores there, or None.
    texts: other columns of the first table. joined_by: a sentence for each further table.
    """

    ids: list[str]
    keys: dict[str, list[str]]
    scores: list[ScoreColumn]
    counts: dict[str, dict[str, np.ndarray]]
    reasons: dict[str, list[str | None]]
    alleles: list[tuple[str, str]] | None
    texts: dict[str, list[str]]
    joined_by: list[str] = field(default_factory=list)


def key_places(names: Sequence[str]) -> dict[str, list[int]]:
    """Kind of key -> where its columns are, for each kind whose columns are all among the `names`."""
    place = {}
    for name, pattern in _NAMES.items():
        # The suite's own name first: a table may have `position` as well as `pos`.
        own = [at for at, other in enumerate(names) if other == name]
        place[name] = next(iter(own or [at for at, other in enumerate(names) if pattern.fullmatch(other)]), None)
    if "position" in names:
        place["position"] = names.index("position")
    found = {kind: [place.get(name) for name in parts] for kind, parts in KEYS.items()}
    return {kind: places for kind, places in found.items() if None not in places}


def key_of(kind: str, cells: Sequence[str]) -> str:
    """The key of a row from the cells of its columns. `chr1` and `1` are the same chromosome, `a` and `A` one base."""
    if kind == ID:
        return cells[0]
    first, position, *alleles = cells
    if kind == PLACE:
        first = first[3:] if first[:3].lower() == "chr" else first
    return ":".join((first, position, *(allele.upper() for allele in alleles)))


def first_twice(keys: Sequence[str]) -> str | None:
    """A key that two rows share, or None."""
    seen = set()
    return next((key for key in keys if key in seen or seen.add(key)), None)


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
    tables = [_read(label, path, scores, texts if at == 0 else ()) for at, (label, path) in enumerate(labelled)]
    found = {score.column for table in tables for score in table.scores}
    for name in scores:
        if name not in found:  # opened again for the message, which lists the columns that it has
            with columns.open_table(labelled[0][1], _title(*labelled[0])) as table:
                table.place_of_score(name)
    joined = tables[0]
    for label, table in zip(names[1:], tables[1:], strict=True):
        joined = _join(joined, table, names[0], label)
    if len(tables) == 1:
        joined.scores = [replace(score, name=score.column) for score in joined.scores]
    return joined


def _title(label: str, path: str) -> str:
    return f"score table {quoted(label or path)}"


def _read(label: str, path: str, scores: Sequence[str], texts: Sequence[str]) -> Rows:
    with columns.open_table(path, _title(label, path)) as table:
        names = table.names
        chosen = [name for name in dict.fromkeys(scores or SCORES) if name in names]
        if not chosen:
            wanted = columns.quoted_list(list(scores or SCORES))
            raise UserError(f"{table.title} has none of the scores {wanted}; its columns: {columns.quoted_list(names)}")
        places = key_places(names)
        parts = {names[at] for found in places.values() for at in found}
        parts |= {"status"} & set(names)
        read = columns.read_columns(
            table, [*parts, *(name for name in texts if name not in parts)], [*chosen, *(set(COUNTS) & set(names))]
        )
    n = len(read[chosen[0]])
    keys = {
        kind: [key_of(kind, cells) for cells in zip(*(read[names[at]] for at in found), strict=True)]
        for kind, found in places.items()
    }
    if ID in keys and not any(keys[ID]):
        del keys[ID]
    ids = keys.get(ID) or keys.get(PLACE) or [f"row {number}" for number in range(1, n + 1)]
    alleles = None
    for found in (places[kind] for kind in (PLACE, MUTATION) if kind in places):
        alleles = list(zip(*(read[names[at]] for at in found[2:]), strict=True))
    status = read.get("status", [OK] * n)
    reasons = {text: None if text == OK else clean_label(text) or None for text in set(status)}
    return Rows(
        list(ids),
        keys,
        [ScoreColumn(f"{label}:{name}", name, label, read[name]) for name in chosen],
        {label: {name: read[name] for name in COUNTS if name in read}},
        {label: [reasons[text] for text in status]},
        alleles,
        {name: read[name] for name in texts},
    )


def _join(first: Rows, other: Rows, name: str, label: str) -> Rows:
    """The rows of both. name, label: what the tables are called."""
    kind, at = _matched(first, other, name, label)
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

    tables = ((first, in_first), (other, in_other))
    return Rows(
        both(first.ids, other.ids),
        {key: both(first.keys[key], other.keys[key]) for key in first.keys if key in other.keys},
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


def _matched(first: Rows, other: Rows, name: str, label: str) -> tuple[str, np.ndarray]:
    """What the tables are joined by, and for each row of the first its row in the other, or -1."""
    shared = [kind for kind in KEYS if kind in first.keys and kind in other.keys]
    # Two rows of one allele are the same mutation in both tables; two rows of one id need not be.
    in_order = shared and all(first.keys[kind] == other.keys[kind] for kind in shared)
    if in_order and (shared != [ID] or not first_twice(first.keys[ID])):
        return f"{shared[-1]}, in the same order", np.arange(len(first.ids))
    faults = []
    for kind in shared:
        twice = [(table, first_twice(rows.keys[kind])) for table, rows in ((name, first), (label, other))]
        if repeated := [f"{quoted(key)} appears twice in table {quoted(table)}" for table, key in twice if key]:
            faults.append(f"by {kind}: {repeated[0]}")
            continue
        place = {key: at for at, key in enumerate(other.keys[kind])}
        at = np.array([place.get(key, -1) for key in first.keys[kind]])
        if (at >= 0).any():
            return kind + (f" ({faults[0]})" if faults else ""), at
        examples = " and ".join(quoted(rows.keys[kind][0], 40) for rows in (first, other))
        faults.append(f"by {kind}: no row in common, for example {examples}")
    if not faults:
        faults = [f"because they share neither id nor {PLACE}"]
    raise UserError(
        f"tables {quoted(name)} and {quoted(label)} cannot be joined {'; '.join(faults)}: give tables of the same "
        f"mutations, with unique ids or with the columns {PLACE} ({counted(len(first.ids), 'row')} and "
        f"{len(other.ids)})"
    )
