"""Labels in: from columns of the score table, from another table or from INFO of a VCF; which are positive, and why
rows have none.

Knows how labels are written and how their rows are found, and nothing of metrics.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from urllib.parse import unquote

import numpy as np

from dna_lm import columns
from dna_lm.errors import UserError, quoted
from dna_lm.evaluate import clinvar
from dna_lm.evaluate.joining import ID, PLACE, Rows, first_twice, key_of, key_places
from dna_lm.inputs import vcf
from dna_lm.labels import clean_label

NOT_FOUND = "no label"
# A label file's record: number of the line, key of each kind, and the wanted cells.
Record = tuple[int, dict[str, str], tuple[str, ...]]


@dataclass(frozen=True)
class Labels:
    """Labels of rows: 1 and 0, or measured numbers, float64 (rows,), NaN with a `reason`; and how they were found.

    `values` times `sign` are the numbers as they were written.
    """

    values: np.ndarray
    reasons: list[str | None]
    found_by: str
    sign: float = 1.0


# --- what a cell means -----------------------------------------------------------------------------------------------

Reading = Callable[[str], tuple[float, str | None]]  # from a cell to its label, or NaN and the reason


def binary(positive: Sequence[str], negative: Sequence[str]) -> Reading:
    """Cells that are labels as they are written. Raises `UserError` for a value that is positive and negative."""
    values = _values(positive, negative)

    def read(cell: str) -> tuple[float, str | None]:
        label = clean_label(cell)
        if label in values:
            return values[label], None
        return math.nan, f"label {label}" if label not in ("", ".") else NOT_FOUND

    return read


def of_clinvar(positive: Sequence[str], negative: Sequence[str]) -> Reading:
    """ClinVar's CLNSIG; an empty list of values stands for ClinVar's usual ones."""
    values = _values(positive or clinvar.POSITIVE, negative or clinvar.NEGATIVE)

    def read(cell: str) -> tuple[float, str | None]:
        label = clinvar.classification(cell)
        if label in values:
            return values[label], None
        return math.nan, clinvar.reason(label) if label not in ("", ".") else NOT_FOUND

    return read


def _values(positive: Sequence[str], negative: Sequence[str]) -> dict[str, float]:
    positive, negative = ([clean_label(value) for value in values] for values in (positive, negative))
    if both := set(positive) & set(negative):
        raise UserError(f"the label {quoted(min(both))} is both positive and negative: name it once")
    return dict.fromkeys(positive, 1.0) | dict.fromkeys(negative, 0.0)


def measured(cell: str) -> tuple[float, str | None]:
    """Cells that are numbers."""
    text = cell.strip()
    if text.lower() in {*columns.MISSING, "."}:
        return math.nan, NOT_FOUND
    value = columns.number(text, "", "", 0)
    return value, None


# --- where cells are -------------------------------------------------------------------------------------------------


def own_column(rows: Rows, column: str, reading: Reading) -> Labels:
    """Labels in a column of the first score table."""
    return _labels(rows.texts[column], reading, column, "the score table", "a column of the score table")


def from_file(
    path: str, rows: Rows, column: str, reading: Reading, others: Sequence[str]
) -> tuple[Labels, dict[str, list[str]]]:
    """Labels of a table or VCF, and the cells of `others`, more of its columns (INFO fields), for each row.

    A row of the score tables is found by its id or by chrom, pos, ref and alt: in a VCF first by the latter. Raises
    `UserError` if no row is found, or if records with different labels belong to one row.
    """
    wanted = (column, *others)
    with ExitStack() as stack:
        if vcf.is_vcf(path):
            title, kinds, records = "the VCF with labels", (PLACE, ID), _vcf_records(path, wanted)
        else:
            title, kinds = "the table with labels", (ID, PLACE)
            records = _table_records(stack.enter_context(columns.open_table(path, title)), wanted)
        kind, cells, n_matched, n_records = _found(rows, records, kinds, title)
    found_by = f"{kind}; {n_matched:,} of the {n_records:,} records of {title} have a row in the score table"
    labels = _labels([row[0] if row else None for row in cells], reading, column, title, found_by)
    return labels, {name: [row[at] if row else "" for row in cells] for at, name in enumerate(others, 1)}


def columns_of(path: str) -> list[str]:
    """Names of the columns of a table, or of the INFO fields that a VCF declares."""
    if not vcf.is_vcf(path):
        with columns.open_table(path, "the table with labels") as table:
            return table.names
    header = []
    next(vcf.read_lines(path, header), None)
    return list(_declared(header))


def _declared(header: Sequence[str]) -> dict[str, str]:
    """INFO field -> how many values it has, of a VCF's header."""
    return {
        text.partition("ID=")[2].partition(",")[0]: text.partition("Number=")[2].partition(",")[0]
        for text in header
        if text.startswith("##INFO=<")
    }


def _table_records(table: columns.Table, wanted: Sequence[str]) -> Iterator[Record]:
    places = [table.place(name, "labels") for name in wanted]
    keys = key_places(table.names)
    if not keys:
        raise UserError(f"{table.title} has neither a column 'id' nor the columns {PLACE}")
    for line, fields in table.rows():
        key = {kind: key_of(kind, [fields[at] for at in at_places]) for kind, at_places in keys.items()}
        yield line, key, tuple(fields[at] for at in places)


def _vcf_records(path: str, wanted: Sequence[str]) -> Iterator[Record]:
    header, declared, seen = [], None, set()
    for line in vcf.read_lines(path, header):
        if declared is None:
            declared = _declared(header)
        info = dict(entry.partition("=")[::2] for entry in line.text.split("\t", 8)[7].rstrip("\r\n").split(";"))
        seen.update(info)
        for number, alt in enumerate(line.alts):
            key = {PLACE: key_of(PLACE, (line.chrom, str(line.pos), line.ref, alt))}
            if line.id != vcf.MISSING:
                key[ID] = line.id
            yield line.number, key, tuple(_value(info, name, declared.get(name), number, line) for name in wanted)
    if wanted[0] not in seen:
        fields = columns.quoted_list(sorted(seen - {vcf.MISSING}))
        raise UserError(f"no line of the VCF with labels has INFO {quoted(wanted[0])}; its INFO fields: {fields}")


def _value(info: dict[str, str], name: str, declared: str | None, number: int, line: vcf.Line) -> str:
    """The value of an INFO field for one alternate allele; as text, `%2C` and the like decoded.

    Only a field with one value for each allele (`Number=A`, `R`) is split at its commas: ClinVar's own are one text.
    """
    if name not in info:
        return ""
    text = info[name]
    if declared in ("A", "R"):
        values = text.split(",")
        at = number + (declared == "R")
        expected = len(line.alts) + (declared == "R")
        if len(values) != expected and text != vcf.MISSING:
            raise UserError(
                f"VCF with labels, line {line.number}: INFO {quoted(name)} has {len(values)} values where its header "
                f"(Number={declared}) and the alleles need {expected}"
            )
        text = values[at] if text != vcf.MISSING else text
    return unquote(text)


def _found(
    rows: Rows, records: Iterator[Record], kinds: Sequence[str], title: str
) -> tuple[str, list[tuple[str, ...] | None], int, int]:
    """What rows are found by, the cells of each row's record or None, and how many records have a row, and in all."""
    of_key = {}
    faults = {}
    for kind in (kind for kind in rows.keys if kind in kinds):
        # Two rows of one allele have one label; two rows of one id may be different mutations.
        twice = first_twice(rows.keys[kind]) if kind == ID else None
        if twice:
            faults[kind] = f"{quoted(twice)} appears twice in the score table"
            continue
        of_key[kind] = {}
        for at, key in enumerate(rows.keys[kind]):
            of_key[kind].setdefault(key, []).append(at)
    matched = {kind: {} for kind in of_key}
    n_matched, example = Counter(), {}
    n_records = 0
    for line, keys, cells in records:
        n_records += 1
        for kind, key in keys.items():
            example.setdefault(kind, key)
            if kind in faults or key not in of_key.get(kind, ()):
                continue
            n_matched[kind] += 1
            before = matched[kind].setdefault(key, (line, cells))
            if before[1] != cells:
                faults[kind] = f"lines {before[0]} and {line} of {title} have different values for {quoted(key)}"
    for kind in kinds:
        if matched.get(kind) and kind not in faults:
            cells = [None] * len(rows.ids)
            for key, (_, found) in matched[kind].items():
                for at in of_key[kind][key]:
                    cells[at] = found
            passed = kinds[: kinds.index(kind)]
            used = kind + "".join(f"; not by {other}: {faults[other]}" for other in passed if other in faults)
            return used, cells, n_matched[kind], n_records
    if not faults:
        faults = {
            kind: f"no record has the {kind} of a row, for example {quoted(rows.keys[kind][0], 40)} in the score table "
            f"and {quoted(example[kind], 40)} in {title}"
            for kind in kinds
            if kind in rows.keys and kind in example
        }
    text = "; ".join(f"by {kind}: {fault}" for kind, fault in faults.items())
    text = text or f"they share neither id nor {PLACE}"
    raise UserError(
        f"the labels cannot be joined to the scores: {text}. Give the file that the scores were made from, or one with "
        "the same ids or alleles"
    )


def _labels(cells: Sequence[str | None], reading: Reading, column: str, title: str, found_by: str) -> Labels:
    known = {}
    values, reasons = np.empty(len(cells)), [None] * len(cells)
    for at, text in enumerate(cells):
        if text is None:
            values[at], reasons[at] = math.nan, NOT_FOUND
            continue
        if text not in known:
            try:
                known[text] = reading(text)
            except UserError:
                raise UserError(
                    f"{title}: {quoted(text)} in column {quoted(column)} is not a finite number: leave a cell without "
                    "a measurement empty"
                ) from None
        values[at], reasons[at] = known[text]
    return Labels(values, reasons, found_by)


def refuse_useless(labels: Labels, column: str, is_measured: bool) -> None:
    """Raise `UserError` without any positive or any negative label, or without any measured number."""
    found = Counter(reason for reason in labels.reasons if reason)
    listed = ", ".join(f"{quoted(text, 30)} {number}" for text, number in found.most_common(8)) or "none"
    if is_measured:
        if np.isnan(labels.values).all():
            raise UserError(f"no row has a measured number in {quoted(column)}; rows by reason: {listed}")
        return
    for value, name in ((1, "positive"), (0, "negative")):
        if not (labels.values == value).any():
            raise UserError(
                f"no row has a {name} label in {quoted(column)}; rows without a label, by reason: {listed}. Choose the "
                "values with --positive and --negative"
            )


def turned(labels: Labels) -> Labels:
    """Measured labels, of which smaller ones meant a larger effect, so that larger ones do."""
    return replace(labels, values=-labels.values, sign=-1.0)
