"""Groups of the records of FASTA files: by the file that a record comes from, or by a column of a table.

Knows identifiers and names, nothing of sequences.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Sequence

from dna_lm.errors import UserError, quoted
from dna_lm.inputs import tables
from dna_lm.names import clean_label

log = logging.getLogger(__name__)

_TITLE = "table of groups"


def read_groups(path: str, column: str | int, records: Iterable[str]) -> dict[str, str]:
    """Identifier -> group, from a table with a header line. The memory grows with the table.

    column: of the groups, a name or a number from 1; records: identifiers of the records, read only when no column is
    called `id`: then the identifiers are in the one column that has any of them, which is said. A column without a name
    is the number of a row. An empty group is "". Raises `UserError` for a table that cannot be read or has no column of
    identifiers, a row without an identifier, and an identifier with two groups.
    """
    groups, known = {}, {}
    id_at = _id_column(path, column, records)
    with tables.open_table(path, _TITLE, quiet=True) as table:
        group_at = table.place_of(column, "group")
        for number, cells in table.rows():
            name = cells[id_at].strip()
            group = clean_label(cells[group_at])
            if not name:
                raise UserError(f"{_TITLE}, line {number}: no identifier in column {quoted(table.names[id_at])}")
            if groups.setdefault(name, known.setdefault(group, group)) != group:
                raise UserError(
                    f"{_TITLE}, line {number}: {quoted(name)} is in group {quoted(group)}, and on an earlier line in "
                    f"group {quoted(groups[name])}: a record has one group"
                )
    if not groups:
        raise UserError(f"{_TITLE} has a header and no rows")
    return groups


def _id_column(path, column, records):
    with tables.open_table(path, _TITLE) as table:
        group_at = table.place_of(column, "group")
        lowered = [name.strip().lower() for name in table.names]
        id_at = lowered.index("id") if "id" in lowered else None
        if id_at is None:
            id_at = _column_of(table, set(records), group_at)
        if group_at == id_at:
            raise UserError(
                f"{_TITLE}: column {quoted(table.names[id_at])} has the identifiers of the records: choose the column "
                f"of the groups, one of {tables.quoted_list(table.names)}"
            )
    return id_at


def _column_of(table, identifiers, group_at):
    """The only named column that has any of the identifiers."""
    counts, examples = Counter(), None
    for _, cells in table.rows():
        examples = examples or cells
        counts.update(at for at, cell in enumerate(cells) if at != group_at and cell.strip() in identifiers)
    if examples is None:
        raise UserError(f"{_TITLE} has a header and no rows")
    found = Counter({at: number for at, number in counts.items() if table.names[at].strip()})
    if len(found) == 1:
        at = next(iter(found))
        log.warning(
            "%s has no column 'id': the identifiers of the records are in column %s (%d rows)",
            _TITLE,
            quoted(table.names[at], 30),
            found[at],
        )
        return at
    if found:
        listed = ", ".join(f"{quoted(table.names[at], 20)} {number:,}" for at, number in found.most_common(4))
        raise UserError(
            f"{_TITLE}: several columns have identifiers of records (rows: {listed}): call the right one 'id'"
        )
    if counts:
        raise UserError(
            f"{_TITLE}: a column without a name has identifiers of records; it may have numbers of rows, as R and "
            "pandas write them: call it 'id' if it has identifiers"
        )
    raise UserError(
        f"no record has an identifier of the {_TITLE}, for example {quoted(next(iter(identifiers), ''), 30)} in the "
        f"FASTA; columns of the table: {tables.quoted_list(table.names[:6])}. Call that of the identifiers 'id'"
    )


def labelled_files(labelled: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """(label, path) pairs with the labels as they are shown. Raises `UserError` for an empty one, or two equal ones."""
    cleaned = [(clean_label(label), path) for label, path in labelled]
    names = [label for label, _ in cleaned]
    for label, path in cleaned:
        if not label:
            raise UserError(f"the file {quoted(path)} has an empty label: groups are named after their files")
        if names.count(label) > 1:
            raise UserError(f"two files are called {quoted(label)}: groups are named after their files, so rename one")
    return cleaned
