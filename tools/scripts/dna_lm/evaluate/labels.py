"""Labels in: from columns of the score table, from another table or from INFO of a VCF.

Also which labels are positive, and why rows have none. Knows how labels are written and how their rows are found, and
nothing of metrics.
"""

import logging
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from urllib.parse import unquote

import numpy as np

from dna_lm import contigs, mutations
from dna_lm.errors import UserError, quoted
from dna_lm.evaluate import clinvar
from dna_lm.evaluate.joining import Rows
from dna_lm.inputs import tables, vcf
from dna_lm.mutations import ID, MUTATION, NO_PLACE, PLACE, POSITION, Row, first_twice
from dna_lm.names import clean_label

log = logging.getLogger(__name__)

NOT_FOUND = "no label"
# Characters of a message that lists values.
_MOST_VALUES = 90
# A label file's record: number of the line, which mutation it is, and the wanted cells.
Record = tuple[int, Row, tuple[str, ...]]


@dataclass(frozen=True)
class Labels:
    """Labels of rows: 1 and 0, or measured numbers, float64 (rows,), NaN with a `reason`; and how they were found.

    `values` times `sign` are the numbers as they were written. written: how often each cell is there, as a label.
    """

    values: np.ndarray
    reasons: list[str | None]
    found_by: str
    written: Counter[str]
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
    if text.lower() in {*tables.MISSING, "."}:
        return math.nan, NOT_FOUND
    value = tables.number(text, "", "", 0)
    return value, None


# --- where cells are -------------------------------------------------------------------------------------------------


def own_column(rows: Rows, column: str, reading: Reading) -> Labels:
    """Labels in a column of the first score table."""
    return _labels(rows.texts[column], reading, column, "the score table", "a column of the score table")


def from_file(
    path: str, rows: Rows, column: str, reading: Reading, others: Sequence[str]
) -> tuple[Labels, dict[str, list[str]]]:
    """Labels of a table or VCF, and the cells of `others`, more of its columns (INFO fields), for each row.

    The place of a row decides where both have one, else its id. Raises `UserError` if no row is found, if records with
    different labels belong to one row, and if the ids contradict the places.
    """
    wanted = (column, *others)
    finder = _Finder(rows)
    with ExitStack() as stack:
        if vcf.is_vcf(path):
            title, records = "the VCF with labels", _vcf_records(path, wanted)
        else:
            title = "the table with labels"
            records = _table_records(stack.enter_context(tables.open_table(path, title)), wanted)
        for record in records:
            finder.add(*record)
    cells, found_by = finder.found(title)
    labels = _labels([row[0] if row else None for row in cells], reading, column, title, found_by)
    return labels, {name: [row[at] if row else "" for row in cells] for at, name in enumerate(others, 1)}


def columns_of(path: str) -> list[str]:
    """Names of the columns of a table, or of the INFO fields that a VCF declares."""
    if not vcf.is_vcf(path):
        with tables.open_table(path, "the table with labels", quiet=True) as table:
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


def _table_records(table: tables.Table, wanted: Sequence[str]) -> Iterator[Record]:
    places = [table.place(name, "labels") for name in wanted]
    keys = mutations.Columns(table.names)
    if not keys.kinds and not keys.has_position:
        raise UserError(
            f"{table.title} has neither a column 'id' nor the columns {PLACE}, nor, for the scores of one sequence, "
            f"{POSITION}"
        )
    alt_at = keys.alt
    for line, fields in table.rows():
        cells = tuple(fields[at] for at in places)
        # A line of a VCF has several alternate alleles.
        for alt in fields[alt_at].split(",") if alt_at is not None else ("",):
            if alt_at is not None:
                fields[alt_at] = alt
            yield line, keys.row(fields), cells


def _vcf_records(path: str, wanted: Sequence[str]) -> Iterator[Record]:
    header, declared, seen = [], None, set()
    for line in vcf.read_lines(path, header):
        if declared is None:
            declared = _declared(header)
        info = dict(entry.partition("=")[::2] for entry in line.text.split("\t", 8)[7].rstrip("\r\n").split(";"))
        seen.update(info)
        for number, alt in enumerate(line.alts):
            row = Row(
                "" if line.id == vcf.MISSING else line.id,
                vcf.readable(line.chrom),
                mutations.change(str(line.pos), line.ref, alt),
            )
            yield line.number, row, tuple(_value(info, name, declared.get(name), number, line) for name in wanted)
    if wanted[0] not in seen:
        fields = tables.quoted_list(sorted(seen - {vcf.MISSING}))
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


class _Finder:
    """The rows of the score table that the records of a file of labels belong to, as the records come.

    It keeps what belongs to a row, and of the other records only their number.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = table = rows.mutations
        self._ids = mutations.once(table.ids or ())
        self._index = {kind: _index(*table.places[kind]) if kind in table.places else {} for kind in (PLACE, MUTATION)}
        # By position alone, where all rows are on one sequence or chromosome.
        self._alone = {POSITION + kind: kind for kind in (MUTATION, PLACE) if len(self._index[kind]) == 1}
        self._index |= {alone: {"": next(iter(self._index[kind].values()))} for alone, kind in self._alone.items()}
        self._styles = {}
        for name in self._index[PLACE]:
            self._styles.setdefault(contigs.key(name), []).append(name)
        # Name of a chromosome in the file -> its name in the score table, as long as no other name is its style.
        self._names = {}
        # Kind, name of the chromosome -> key -> (line, cells) of the record.
        self._hits = {}
        # The first fault of each of these.
        self._faults = {}
        self._n_records = Counter()
        self._n_matched = Counter()
        self._n_unmatched = {kind: Counter() for kind in (*self._index, ID)}
        # Position -> base of the only sequence, and the records that have another one there.
        self._bases, self._n_other_base, self._other_base = {}, Counter(), {}
        self._wrong_ids = {}
        self._elsewhere = self._contradicting = None
        self._example = {}

    def add(self, line: int, row: Row, cells: tuple[str, ...]) -> None:
        """One record: its line, which mutation it is, and its cells."""
        self._n_records[ID] += 1
        is_on_contig = bool(row.contig)
        if row.change is not None and self._index[MUTATION] and not self._index[PLACE]:
            # The column of the sequence of a FASTA file is called chrom.
            row = Row(row.contig if row.contig in self._index[MUTATION] else row.id, in_sequence=row.change)
        found = self._by_place(line, row, cells) if row.contig else None
        if row.in_sequence is not None:
            self._example.setdefault(MUTATION, f"{row.id}:{row.in_sequence}".lstrip(":"))
            if row.id or is_on_contig:
                self._n_records[MUTATION] += 1
                self._hit(MUTATION, row.id, row.id, str(row.in_sequence), line, cells)
            for alone in self._alone if not is_on_contig else ():
                self._by_position(alone, row.in_sequence, line, cells)
        elif MUTATION in self._rows.places:
            self._n_unmatched[MUTATION][NO_PLACE] += 1
        if not row.id:
            return
        self._example.setdefault(ID, row.id)
        at = self._ids.get(row.id)
        if at is None:
            return
        self._by_id(line, row, cells, at, found)

    def _by_place(self, line: int, row: Row, cells: tuple[str, ...]) -> list[int] | None:
        """The rows at the record's place."""
        if row.change is None:
            self._n_unmatched[PLACE][NO_PLACE] += 1
            return None
        self._n_records[PLACE] += 1
        self._example.setdefault(PLACE, f"{row.contig}:{row.change}")
        if row.contig not in self._names:
            # The names of this chromosome in other styles, and those that PLINK numbers.
            styles = {
                style: None for key in (contigs.key(row.contig), "X", "Y", "MT") for style in self._styles.get(key, ())
            }
            self._names[row.contig] = contigs.matched([row.contig], styles).get(row.contig)
        name = self._names[row.contig]
        found = row.change if name is None else self._rows.repeats.leftmost(name, row.change)
        return self._hit(PLACE, row.contig, name, str(found), line, cells)

    def _by_position(self, alone: str, change: mutations.Change, line: int, cells: tuple[str, ...]) -> None:
        """The rows at a position of the only sequence. Its reference bases tell whether it is the records' sequence."""
        self._n_records[alone] += 1
        self._hit(alone, "", "", str(change), line, cells)
        if alone not in self._bases:
            parts = (key.replace(">", ":").split(":") for key in self._index[alone][""])
            self._bases[alone] = {start: ref for start, ref, _ in parts if len(ref) == 1 and ref != "-"}
        own = self._bases[alone].get(str(change.start + 1), change.ref)
        if len(change.ref) == 1 and own != change.ref:
            self._n_other_base[alone] += 1
            self._other_base.setdefault(alone, (line, change, own))

    def _hit(self, kind: str, written: str, name: str | None, key: str, line: int, cells: tuple) -> list[int] | None:
        found = self._index[kind].get(name, {}).get(key)
        if not found:
            self._n_unmatched[kind][written] += 1
            return None
        self._n_matched[kind, written] += 1
        before = self._hits.setdefault((kind, written), {}).setdefault(key, (line, cells))
        if before[1] != cells:
            self._faults.setdefault((kind, written), (before[0], line, f"{name}:{key}"))
        return found

    def _by_id(self, line: int, row: Row, cells: tuple[str, ...], at: int, found: list[int] | None) -> None:
        place = f"{row.contig}:{row.change}" if row.change is not None else ""
        if place and at not in (found or (at,)):
            # The place says another row than the identifier.
            wrong = self._wrong_ids.setdefault(row.contig, [0, "", ""])
            wrong[0] += 1
            if not wrong[1] or (mutations.is_row_number(wrong[1]) and not mutations.is_row_number(row.id)):
                wrong[1:] = row.id, place
        elif place and not found and self._elsewhere is None:
            self._elsewhere = row.id, place
        parts = mutations.parts_of(row)
        if self._contradicting is None and not mutations.same_parts(self._rows.part(at), parts):
            self._contradicting = row.id, self._rows.part(at), parts
        self._n_matched[ID] += 1
        before = self._hits.setdefault(ID, {}).setdefault(row.id, (line, cells))
        if before[1] != cells:
            self._faults.setdefault(ID, (before[0], line, row.id))

    def found(self, title: str) -> tuple[list[tuple[str, ...] | None], str]:
        """The cells of the record of each row, or None, and how they were found. title: what the file is called."""
        # One kind for all rows: a row without a place is not found by its id, which may be the number of a row.
        kind = next((kind for kind in (PLACE, MUTATION) if self._index[kind] and self._n_records[kind]), ID)
        with_hits = {key if key == ID else key[0] for key in self._hits}
        if kind != PLACE and kind not in with_hits:
            kind = next((alone for alone in self._alone if alone in with_hits), kind)
        if kind in self._alone:
            self._check_bases(kind, title)
        elif kind == ID and MUTATION in self._example and ID not in self._example and MUTATION in self._rows.places:
            self._refuse(
                f"{title} has no column 'id' with the name of a sequence, which the scores of several sequences need"
                if MUTATION not in self._alone.values()
                else self._no_record(MUTATION, (self._rows.example(MUTATION), self._example[MUTATION]), title)
            )
        if kind == ID and (self._rows.ids is None or ID not in self._example):
            self._refuse(f"they share neither id nor {PLACE}: add one of these to the score table or to {title}")
        cells = [None] * self._rows.n
        n_matched = self._fill(kind, cells, title) if kind != ID else self._fill_by_id(cells, title)
        if kind == PLACE:
            self._check_ids(title)
        for warning in (
            mutations.unmatched(
                (at for at, row in enumerate(cells) if row is None),
                self._rows,
                "the score table",
                f"have no record in {title}",
            ),
            self._unmatched(kind, n_matched, title),
        ):
            if warning:
                log.warning("%s", warning)
        n_records = self._n_records[ID]
        how = POSITION if kind in self._alone else kind
        others = [(written, name) for written, name in self._names.items() if name and written != name]
        if kind == PLACE and others:
            written, name = (quoted(text, 20) for text in others[0])
            how += f", with names of chromosomes in another style ({written} as {name})"
        return cells, f"{how}; {n_matched:,} of the {n_records:,} records of {title} have a row in the score table"

    def _fill(self, kind: str, cells: list, title: str) -> int:
        """Put the records into `cells` by their places; returns how many have a row."""
        names = {name: name for name in self._index[kind]}
        if kind == PLACE:
            names = contigs.matched(self._names, self._index[PLACE])
        n_matched = 0
        for written, known in self._names.items() if kind == PLACE else names.items():
            name = names.get(written)
            hits = self._hits.get((kind, written), {})
            if name is None or name != known:
                # Another name of the file is a style of this one: which is meant is not known.
                self._n_unmatched[kind][written] += self._n_matched[kind, written] if hits else 0
                self._wrong_ids.pop(written, None)
                continue
            if fault := self._faults.get((kind, written)):
                self._refuse_different(kind, fault, title)
            n_matched += self._n_matched[kind, written]
            for key, (_, found) in hits.items():
                for at in self._index[kind][name][key]:
                    cells[at] = found
        if not n_matched:
            example = self._rows.example(kind), self._example.get(kind, "")
            if kind == PLACE and self._elsewhere:
                name, place = self._elsewhere
                example = self._rows.place_of(self._ids[name]), place
                same = f" (both are called {quoted(name, 15)})"
            else:
                same = ""
            self._refuse(self._no_record(kind, example, title) + same)
        return n_matched

    def _fill_by_id(self, cells: list, title: str) -> int:
        if twice := first_twice(self._rows.ids or ()):
            self._refuse(
                f"by id: {quoted(twice, 30)} appears twice in the score table: give both {PLACE} or {MUTATION}"
            )
        if fault := self._faults.get(ID):
            self._refuse_different(ID, fault, title)
        hits = self._hits.get(ID, {})
        if not hits:
            self._refuse(self._no_record(ID, (self._rows.example(ID), self._example[ID]), title))
        if self._contradicting:
            raise UserError(mutations.parts_contradict(*self._contradicting, "the score table", title))
        for name, (_, found) in hits.items():
            cells[self._ids[name]] = found
        return self._n_matched[ID]

    def _check_ids(self, title: str) -> None:
        """Say that identifiers of records at the place of a row are those of other rows, or refuse them."""
        wrong = list(self._wrong_ids.values())
        _, name, place = next(
            (one for one in wrong if not mutations.is_row_number(one[1])), (wrong or [(0, "", "")])[0]
        )
        own = self._rows.place_of(self._ids[name]) if name else ""
        text = mutations.contradiction(name, own, place, "the score table", title)
        if warning := mutations.check_ids(sum(one[0] for one in wrong), name, text):
            log.warning("%s", warning)

    def _check_bases(self, kind: str, title: str) -> None:
        """Refuse records of another sequence, of which some match by chance: few may have another base there."""
        number = self._n_other_base[kind]
        if 10 * number > self._n_records[kind]:
            line, change, own = self._other_base[kind]
            self._refuse(
                f"{number:,} of {self._n_records[kind]:,} records of {title} have another base than the sequence, "
                f"first line {line}: {change.ref} at position {change.start + 1}, where it is {own}. Count from 1"
            )

    def _unmatched(self, kind: str, n_matched: int, title: str) -> str | None:
        n_records = self._n_records[ID]
        if n_matched == n_records:
            return None
        text = f"{n_records - n_matched:,} of {n_records:,} records of {title} have no row in the score table"
        counts = self._n_unmatched[kind]
        return text + (f": {mutations.listed_contigs(counts)}" if kind == PLACE and counts else "")

    @staticmethod
    def _no_record(kind: str, example: tuple[str, str], title: str) -> str:
        here, there = (quoted(text, 25) for text in example)
        word = ID if kind == ID else "place"
        return f"no record has the {word} of a row, for example {here} in the score table and {there} in {title}"

    @staticmethod
    def _refuse_different(kind: str, fault: tuple[int, int, str], title: str) -> None:
        first, second, name = fault
        raise UserError(
            f"by {kind}: lines {first} and {second} of {title} have different values for {quoted(name, 40)}: leave "
            "one of them"
        )

    @staticmethod
    def _refuse(text: str) -> None:
        raise UserError(f"the labels cannot be joined to the scores: {text}")


def _index(names: Sequence[str], keys: Sequence[str]) -> dict[str, dict[str, list[int]]]:
    """Name of a contig -> key of a change -> its rows. Rows of one allele have one label."""
    index = {}
    for at, (name, key) in enumerate(zip(names, keys, strict=True)):
        if key:
            index.setdefault(name, {}).setdefault(key, []).append(at)
    return index


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
    written = Counter(clean_label(text) for text in cells if text is not None)
    return Labels(values, reasons, found_by, written)


def refuse_useless(labels: Labels, column: str, is_measured: bool) -> None:
    """Raise `UserError` without any positive or any negative label, or without any measured number."""
    if is_measured:
        if np.isnan(labels.values).all():
            found = Counter(reason for reason in labels.reasons if reason)
            listed = ", ".join(f"{quoted(text, 30)} {number}" for text, number in found.most_common(3))
            raise UserError(f"no row has a measured number in {quoted(column, 30)}; rows by reason: {listed}")
        return
    for value, name in ((1, "positive"), (0, "negative")):
        if not (labels.values == value).any():
            raise UserError(
                f"no row has a {name} label in {quoted(column, 30)}; values found: {_listed(labels.written)}. Name the "
                f'{name} ones, as they are written, in "{name.capitalize()} values" (--{name})'
            )


def _listed(written: Counter[str]) -> str:
    """The most frequent values that fit into a message."""
    found = [(text, number) for text, number in written.most_common() if text not in ("", ".")]
    texts = [f"{quoted(text, 30)} {number:,}" for text, number in found[:8]]
    while len(shown := ", ".join(texts)) > _MOST_VALUES:
        texts.pop()
    rest = len(found) - len(texts)
    return (shown + (f" and {rest:,} more" if rest else "")) or "none"


def turned(labels: Labels) -> Labels:
    """Measured labels, of which smaller ones meant a larger effect, so that larger ones do."""
    return replace(labels, values=-labels.values, sign=-1.0)
