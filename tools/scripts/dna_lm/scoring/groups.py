"""Groups of the records of FASTA files: by the file that a record comes from, or by a column of a table.

Knows identifiers and names, nothing of sequences.
"""

from collections.abc import Sequence

from dna_lm import columns
from dna_lm.errors import UserError, quoted
from dna_lm.labels import clean_label

# What a table says of a record without a group, as for a variant without a region.
NONE = "none"

_TITLE = "table of groups"


def read_groups(path: str, column: str | int) -> dict[str, str]:
    """Identifier -> group, from a table with a header line. The memory grows with the table.

    column: of the groups, a name or a number from 1. Identifiers are in the column `id`, or in the first one if there
    is none. An empty group is `NONE`. Raises `UserError` for a table that cannot be read, a row without an identifier,
    and an identifier with two groups.
    """
    groups, known = {}, {}
    with columns.open_table(path, _TITLE) as table:
        group_at = table.place_of(column, "group")
        lowered = [name.strip().lower() for name in table.names]
        id_at = lowered.index("id") if "id" in lowered else 0
        if group_at == id_at:
            raise UserError(
                f"{_TITLE}: column {quoted(table.names[id_at])} has the identifiers of the records: choose the column "
                f"of the groups, one of {columns.quoted_list(table.names)}"
            )
        for number, cells in table.rows():
            name = cells[id_at].strip()
            group = clean_label(cells[group_at]) or NONE
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
