"""Which mutation a row of a table is, and which rows of two tables are the same mutation.

Knows identifiers, places and alleles in their spellings, and no scores, labels or files. A place is a chromosome (or
the name of a sequence), a position, a reference and an alternate allele. It is compared without the bases that both
alleles share. A table of "Score variants" also says how far an insertion or deletion can be moved (`shift`), so that
every other spelling of it is found without the reference.
"""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from dna_lm import contigs
from dna_lm.errors import UserError, quoted

# What can say which mutation a row is, and the columns of each. `position` is one of a sequence of "Score every
# mutation", which `id` names.
ID, PLACE, MUTATION = "id", "chrom, pos, ref and alt", "id, position, ref and alt"
KEYS = {PLACE: ("chrom", "pos", "ref", "alt"), MUTATION: ("id", "position", "ref", "alt"), ID: ("id",)}
# Which mutation of a sequence a row of labels is, when only one sequence has scores.
POSITION = "position, ref and alt"
NORMALISED = ("norm_pos", "norm_ref", "norm_alt", "shift")
# Names of these columns in other tables, such as the supplement of Findlay et al. 2018: `position (hg19)`.
_NAMES = {
    "id": re.compile("id", re.IGNORECASE),
    "chrom": re.compile("#?chrom|chromosome|chr|contig", re.IGNORECASE),
    "pos": re.compile(r"pos(ition)?( \(.*\))?", re.IGNORECASE),
    "ref": re.compile("ref(erence)?([ _.]?(allele|base))?", re.IGNORECASE),
    "alt": re.compile("alt(ernate|ernative)?([ _.]?(allele|base))?", re.IGNORECASE),
}
_OWN = ("position", *NORMALISED)

# 210, and 210.0, 1,210 and 1e+05 as spreadsheets and R write whole numbers.
_GROUPED = re.compile(r"\d{1,3}(?:[,' \u00a0\u202f]\d{3})+(?:\.0*)?")
_WHOLE = re.compile(r"\d{1,18}\.0*|\d(?:\.\d+)?[eE]\+?\d{1,2}")
_BASES = re.compile("[A-Za-z]+")
_NO_BASES = re.compile("-+")
# An identifier of digits is the number of a row: that of another file belongs to another row.
_ROW_NUMBER = re.compile(r"\d+")
NO_PLACE = "no place"
UNKNOWN = (None,) * 4
# Chromosomes that a message lists.
_LISTED = 5


def position(text: str) -> int | None:
    """The number in a cell, or None: `1210`, `1,210`, `1210.0` and `1.21e+03` are one position."""
    # Excel quotes a cell with a comma in tab-separated text, too.
    text = text.strip().strip('"')
    if not text.isdecimal() and _GROUPED.fullmatch(text):
        text = re.sub(r"[^\d.]", "", text)
    if text.isascii() and text.isdecimal() and len(text) <= 18:
        return int(text)
    number = float(text) if text.isascii() and _WHOLE.fullmatch(text) else 0.5
    return int(number) if number.is_integer() and number < 1e18 else None


def trimmed(start: int, ref: str, alt: str) -> tuple[int, str, str]:
    """Start, reference and alternate without the end that both share, then without the beginning that they share."""
    shared = _common_prefix(ref[::-1], alt[::-1])
    ref, alt = ref[: len(ref) - shared], alt[: len(alt) - shared]
    shared = _common_prefix(ref, alt)
    return start + shared, ref[shared:], alt[shared:]


def _common_prefix(first, second):
    for place, (a, b) in enumerate(zip(first, second, strict=False)):
        if a != b:
            return place
    return min(len(first), len(second))


class Change(NamedTuple):
    """What a mutation does to its sequence: `alt` takes the place of `ref` from `start`, counted from 0, both trimmed.

    shift: by how many bases an insertion or deletion can be moved to the right, if it is known to be at its leftmost
    place. A symbol such as <DEL> is kept as it is written.
    """

    start: int
    ref: str
    alt: str
    shift: int | None = None

    def __str__(self) -> str:
        """The key of the change: equal for equal changes."""
        return f"{self.start + 1}:{self.ref or '-'}>{self.alt or '-'}"

    @property
    def family(self) -> str | None:
        """Equal for all places of an insertion or deletion that is moved within a repeat; None for another change.

        Moved by one base, its first base becomes its last, so these bases counted from position 0 stay the same.
        """
        if bool(self.ref) == bool(self.alt):
            return None
        bases = self.ref or self.alt
        turn = -self.start % len(bases)
        return f"{'-' if self.ref else '+'}{bases[turn:]}{bases[:turn]}"

    def moved(self, start: int) -> "Change":
        """The same insertion or deletion at another place of its repeat."""
        turn = (start - self.start) % len(self.ref or self.alt)
        ref, alt = (bases[turn:] + bases[:turn] for bases in (self.ref, self.alt))
        return Change(start, ref, alt)


def change(pos: str, ref: str, alt: str) -> Change | None:
    """The change of a table's cells; None when one is missing or the position is not a number from 1.

    `-` stands for no bases, as ANNOVAR and MAF write it: bases are inserted after `pos`, or deleted from `pos` on.
    """
    start, ref, alt = position(pos), ref.strip(), alt.strip()
    if not start or not ref or not alt or "NA" in (ref, alt):
        return None
    start -= 1
    if len(ref) == len(alt) == 1 and ref.isalpha() and alt.isalpha():
        return Change(start, _letters(ref), _letters(alt))
    if _NO_BASES.fullmatch(ref):
        ref, start = "", start + 1
    if _NO_BASES.fullmatch(alt):
        alt = ""
    if not (ref or alt) or not all(_BASES.fullmatch(bases) for bases in (ref, alt) if bases):
        return Change(start, ref, alt)
    return Change(*trimmed(start, _letters(ref), _letters(alt)))


def _letters(bases):
    return bases.upper().replace("U", "T")


def normalised_change(cells: Sequence[str]) -> Change | None:
    """The change of the cells `NORMALISED`, or None when they are empty."""
    found, shift = change(*cells[:3]), position(cells[3])
    return None if found is None or shift is None else Change(found.start, found.ref, found.alt, shift)


# --- the rows of a table ---------------------------------------------------------------------------------------------


class Row(NamedTuple):
    """Which mutation one row is. `contig` and `sequence` name what the changes are on; a change is None if unknown.

    id: empty for none; change: at `chrom` and `pos`; in_sequence: at `position` of the sequence `id`, or without a
    column `id` of one that is not named; parts: chrom, position and alleles where the columns say only some of them,
    each None if unknown.
    """

    id: str
    contig: str = ""
    change: Change | None = None
    in_sequence: Change | None = None
    parts: tuple = UNKNOWN


class Columns:
    """Where a table says which mutation a row is. `kinds`: which of `KEYS` its columns can say; `used`: the columns.

    `has_position`: whether they say where a mutation is in a sequence; `alt`: where alternate alleles are.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._at = {}
        for name, pattern in _NAMES.items():
            # The suite's own name first: a table may have `position` as well as `pos`.
            own = [at for at, other in enumerate(names) if other == name]
            found = own or [at for at, other in enumerate(names) if pattern.fullmatch(other.strip())]
            if found:
                self._at[name] = found[0]
        self._at |= {name: names.index(name) for name in _OWN if name in names}
        if "chrom" not in self._at and "pos" in self._at:
            self._at.setdefault("position", self._at["pos"])
        self.kinds = [kind for kind, parts in KEYS.items() if all(part in self._at for part in parts)]
        self.used = sorted(set(self._at.values()))
        self._normalised = all(name in self._at for name in NORMALISED)
        self.has_position = all(name in self._at for name in KEYS[MUTATION][1:])
        self.alt = self._at["alt"] if PLACE in self.kinds or self.has_position else None

    def place(self, kind: str) -> list[int]:
        """Where the columns of a key are."""
        return [self._at[part] for part in KEYS[kind]]

    def row(self, cells: Mapping[int, str] | Sequence[str]) -> Row:
        """The mutation of a row. cells: those of the columns `used`, by their place in the table."""
        at = self._at
        name = cells[at["id"]].strip() if "id" in at else ""
        # Other programs' words for a row without an identifier.
        name = "" if name in (".", "NA", "nan") else name
        on_contig = in_sequence = None
        contig = cells[at["chrom"]].strip() if "chrom" in at else ""
        if PLACE in self.kinds and contig:
            if self._normalised:
                on_contig = normalised_change([cells[at[part]] for part in NORMALISED])
            on_contig = on_contig or change(*(cells[at[part]] for part in KEYS[PLACE][1:]))
        if self.has_position and (name or "id" not in at):
            in_sequence = change(*(cells[at[part]] for part in KEYS[MUTATION][1:]))
        parts = UNKNOWN
        if PLACE not in self.kinds:
            pos = position(cells[at["pos"]]) if "pos" in at else None
            alleles = [_letters(cells[at[part]].strip()) if part in at else "" for part in ("ref", "alt")]
            parts = (contig or None, pos, *(text or None for text in alleles))
        return Row(name, contig, on_contig, in_sequence, parts)


@dataclass
class Repeats:
    """Where insertions and deletions can be moved to: contig and family -> the first and last start of each."""

    places: dict[tuple[str, str], list[tuple[int, int]]] = field(default_factory=dict)
    _sorted: bool = True

    def add(self, contig: str, found: Change) -> None:
        """Remember a change whose `shift` is known."""
        if found.shift and (family := found.family):
            self.places.setdefault((contig, family), []).append((found.start, found.start + found.shift))
            self._sorted = False

    def update(self, other: "Repeats", names: Mapping[str, str]) -> None:
        """Remember those of another table, whose contigs have other `names` here."""
        for (contig, family), places in other.places.items():
            self.places.setdefault((names.get(contig, contig), family), []).extend(places)
            self._sorted = False

    def leftmost(self, contig: str, found: Change) -> Change:
        """The change at the leftmost place that is known for it."""
        family = found.family if self.places and found.shift is None else None
        if family is None:
            return found
        if not self._sorted:
            for places in self.places.values():
                places.sort()
            self._sorted = True
        places = self.places.get((contig, family), ())
        # Of one family, two different mutations never share a place.
        at = bisect_right(places, found.start, key=lambda place: place[0]) - 1
        if at < 0 or places[at][1] < found.start:
            return found
        return found.moved(places[at][0])

    def __bool__(self) -> bool:
        return bool(self.places)


@dataclass
class Mutations:
    """The mutations of all rows of a table.

    ids: identifiers, "" for none, or None without any. places: kind (`PLACE`, `MUTATION`) -> the contig and the key of
    the change of each row, "" where it is not known. parts: of each row, when the table has no places. repeats: of
    `PLACE`.
    """

    n: int
    ids: list[str] | None
    places: dict[str, tuple[list[str], list[str]]]
    parts: list[tuple] | None
    repeats: Repeats

    @classmethod
    def of(cls, rows: Iterable[Row], kinds: Sequence[str]) -> "Mutations":
        """kinds: of the table's `Columns`."""
        collected = Collector(kinds)
        for row in rows:
            collected.add(row)
        return collected.mutations()

    def renamed(self, known: Iterable[str]) -> "Mutations":
        """With the `known` names for the contigs that have one."""
        if PLACE not in self.places:
            return self
        names, keys = self.places[PLACE]
        new = contigs.matched(dict.fromkeys(names), known)
        repeats = Repeats()
        repeats.update(self.repeats, new)
        places = self.places | {PLACE: ([new.get(name, name) for name in names], keys)}
        return Mutations(self.n, self.ids, places, self.parts, repeats)

    def moved(self, repeats: Repeats) -> "Mutations":
        """With insertions and deletions at the leftmost places that `repeats` know."""
        if PLACE not in self.places or not repeats:
            return self
        names, keys = self.places[PLACE]
        keys = [
            str(repeats.leftmost(name, found)) if (found := _indel(key)) else key
            for name, key in zip(names, keys, strict=True)
        ]
        return Mutations(self.n, self.ids, self.places | {PLACE: (names, keys)}, self.parts, self.repeats)

    def joined(self, other: "Mutations", at: Sequence[int], rows: Sequence[int]) -> "Mutations":
        """These rows, and then those `rows` of another table. at: the row there of each of these rows, or -1.

        What this table does not say of any row (identifiers, a kind of place) is what the other one says.
        """
        ids = _either(self.ids, other.ids, at, rows, "")
        places = {}
        for kind in (PLACE, MUTATION):
            columns = zip(*(table.places.get(kind, (None, None)) for table in (self, other)), strict=True)
            places[kind] = tuple(_either(*column, at, rows, "") for column in columns)
        places = {kind: found for kind, found in places.items() if None not in found}
        parts = _either(self.parts, other.parts, at, rows, UNKNOWN) if PLACE not in places else None
        repeats = Repeats()
        for table in (self, other):
            repeats.update(table.repeats, {})
        return Mutations(self.n + len(rows), ids, places, parts, repeats)

    def place_of(self, row: int, kind: str | None = None) -> str:
        """The place of a row in a message, or nothing."""
        kind = kind or next(iter(self.places), None)
        if kind is None or not self.places[kind][1][row]:
            return ""
        return ":".join(column[row] for column in self.places[kind])

    def name(self, row: int) -> str:
        """What a message calls a row: its identifier, or its place."""
        return (self.ids[row] if self.ids else "") or self.place_of(row)

    def example(self, kind: str) -> str:
        """The first key of a kind in a message."""
        if kind == ID:
            return next(filter(None, self.ids))
        return self.place_of(next(at for at, key in enumerate(self.places[kind][1]) if key), kind)

    def part(self, row: int) -> tuple:
        """Chromosome, position, reference and alternate of a row, None for what is unknown or spelled in many ways."""
        if PLACE not in self.places:
            return self.parts[row] if self.parts else UNKNOWN
        contig, key = (column[row] for column in self.places[PLACE])
        return _parts(contig, key)

    def by_contig(self, rows: Iterable[int]) -> Counter[str]:
        """Name of the chromosome -> how many of the `rows` it has; one without a place is under its absence."""
        names, keys = self.places.get(PLACE, ((), ()))
        return Counter((names[row] if keys[row] else NO_PLACE) for row in rows) if names else Counter()


class Collector:
    """The mutations of the rows of a table, one row after the other. kinds: of the table's `Columns`."""

    def __init__(self, kinds: Sequence[str]) -> None:
        self._kinds = kinds
        self._ids, self._contigs, self._keys, self._in_sequence, self._parts = [], [], [], [], []
        self._repeats = Repeats()
        self._known = {}
        # Insertions and deletions of which this table does not say how far they can be moved.
        self._raw = []

    def add(self, row: Row) -> None:
        """The next row."""
        if PLACE in self._kinds:
            self._contigs.append(self._known.setdefault(row.contig, row.contig))
            if row.change is not None and row.change.shift is not None:
                self._repeats.add(row.contig, row.change)
            elif row.change is not None and row.change.family:
                self._raw.append(len(self._ids))
            self._keys.append("" if row.change is None else str(row.change))
        else:
            self._parts.append(row.parts)
        if MUTATION in self._kinds:
            self._in_sequence.append("" if row.in_sequence is None else str(row.in_sequence))
        self._ids.append(row.id)

    def mutations(self) -> Mutations:
        """Those of all rows."""
        for at in self._raw if self._repeats else ():
            self._keys[at] = str(self._repeats.leftmost(self._contigs[at], _indel(self._keys[at])))
        places = {PLACE: (self._contigs, self._keys), MUTATION: (self._ids, self._in_sequence)}
        places = {kind: found for kind, found in places.items() if any(found[1])}
        has_parts = any(part is not None for row in self._parts for part in row)
        return Mutations(
            len(self._ids),
            self._ids if any(self._ids) else None,
            places,
            self._parts if has_parts else None,
            self._repeats,
        )


def _either(first, other, at, rows, missing):
    """A column of one table, or else of the other, and then of the `rows` of the other; None if neither has it."""
    if first is None and other is None:
        return None
    here = first if first is not None else [missing if place < 0 else other[place] for place in at]
    return [*here, *(missing if other is None else other[row] for row in rows)]


def parts_of(row: Row) -> tuple:
    """As `Mutations.part`, of one row."""
    return row.parts if row.change is None else _parts(row.contig, str(row.change))


def _parts(contig, key):
    pos, _, alleles = key.partition(":")
    ref, _, alt = alleles.partition(">")
    return (contig or None, *((int(pos), ref, alt) if _is_base(ref) and _is_base(alt) else (None,) * 3))


def _indel(key):
    """The insertion or deletion of a key, or None."""
    pos, _, alleles = key.partition(":")
    ref, _, alt = alleles.partition(">")
    if (ref == "-") == (alt == "-"):
        return None
    ref, alt = ref.replace("-", ""), alt.replace("-", "")
    return Change(int(pos) - 1, ref, alt) if _BASES.fullmatch(ref or alt) else None


def _is_base(text):
    return text is not None and len(text) == 1 and text in "ACGTN"


def same_parts(first: tuple, other: tuple) -> bool:
    """Whether what two rows say of chromosome, position and alleles agrees; what only one of them says does."""
    (contig, *rest), (other_contig, *other_rest) = first, other
    if contig and other_contig and contig != other_contig and contigs.key(contig) != contigs.key(other_contig):
        return False
    # Longer alleles have several spellings, at several positions.
    alleles = [text for text in (*rest[1:], *other_rest[1:]) if text is not None]
    if not all(map(_is_base, alleles)):
        return True
    return all(a is None or b is None or a == b for a, b in zip(rest, other_rest, strict=True))


# --- two tables ------------------------------------------------------------------------------------------------------


def in_one_spelling(first: Mutations, other: Mutations) -> tuple[Mutations, Mutations]:
    """Both with the first one's names of contigs, and with the same place for each insertion or deletion.

    A table that knows how far its own can be moved says so for the other, too.
    """
    other = other.renamed(dict.fromkeys(first.places.get(PLACE, ((),))[0]))
    if not first.repeats:
        first = first.moved(other.repeats)
    if not other.repeats:
        other = other.moved(first.repeats)
    return first, other


def once(values: Sequence[str]) -> dict[str, int]:
    """The values that only one row has, and the number of that row from 0; "" is no value."""
    counts = Counter(values)
    return {value: at for at, value in enumerate(values) if value and counts[value] == 1}


def first_twice(values: Iterable[str]) -> str | None:
    """A value that two rows share, or None; "" is no value."""
    seen = set()
    return next((value for value in values if value and (value in seen or seen.add(value))), None)


def is_row_number(name: str) -> bool:
    """Whether an identifier is made of digits: the number of a row of one table is another row in another table."""
    return bool(_ROW_NUMBER.fullmatch(name))


def contradiction(name: str, place: str, other_place: str, first: str, other: str) -> str:
    """What is wrong with an identifier at one place in one table and at another in the other. first, other: titles."""
    return f"{quoted(name, 20)} is {quoted(place, 25)} in {first} and {quoted(other_place, 25)} in {other}"


def check_ids(n_wrong: int, example: str, text: str) -> str | None:
    """What to say of rows that were joined by their places although `n_wrong` of their identifiers say otherwise.

    example: one of them, of which `text` is the `contradiction`. Raises `UserError` when it is more than a row number.
    """
    if not n_wrong:
        return None
    if not is_row_number(example):
        raise UserError(f"the ids contradict the places: {text}. Correct the column id of one of them, or remove it")
    return f"joined by place: the ids of {n_wrong:,} rows are numbers that mean other rows, {text}"


def parts_contradict(name: str, parts: tuple, other_parts: tuple, first: str, other: str) -> str:
    """The message for rows of one identifier that differ in what both say of their places."""
    texts = [":".join(str(part) for part in row if part is not None) for row in (parts, other_parts)]
    return (
        f"the ids alone cannot join these files: {contradiction(name, *texts, first, other)}. Give both the columns "
        f"{PLACE}"
    )


def listed_contigs(counts: Mapping[str, int]) -> str:
    """Chromosomes and their numbers of rows, the largest first."""
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    shown = ", ".join(f"{quoted(name, 12)[1:-1]} {number:,}" for name, number in ordered[:_LISTED])
    return shown + (f" and {len(ordered) - _LISTED:,} more" if len(ordered) > _LISTED else "")


def unmatched(rows: Iterable[int], table: Mutations, title: str, without: str) -> str | None:
    """A sentence that counts the `rows` of a table by chromosome, or None without any. without: what they do not have.

    title: what the table is called.
    """
    rows = list(rows)
    if not rows:
        return None
    contigs_ = table.by_contig(rows)
    example = table.name(rows[0]) or f"row {rows[0] + 1}"
    return f"{len(rows):,} of {table.n:,} rows of {title} {without}" + (
        f": {listed_contigs(contigs_)}" if contigs_ else f", for example {quoted(example, 30)}"
    )


def rows_of(first: Mutations, other: Mutations) -> tuple[str | None, list[int] | int | None]:
    """The kind of key that says which rows of two tables belong together, or None; and what it says.

    None: rows in their order do. Else the row of `other` for each row of `first`, or the number of a row, as of
    `belonging`. Of several rows of one mutation, the n-th belongs to the n-th.
    """
    first, other = in_one_spelling(first, other)
    for kind in KEYS:
        keys = [_keys_of(kind, table) for table in (first, other)]
        if None in keys:
            continue
        found = belonging(*keys)
        if found is not None or any(a and a == b for a, b in zip(*keys, strict=False)):
            return kind, found
    return None, None


def _keys_of(kind, table):
    if kind == ID:
        return table.ids
    if kind not in table.places:
        return None
    keys = list(map(":".join, zip(*table.places[kind], strict=True)))
    keys = [key if change else "" for key, change in zip(keys, table.places[kind][1], strict=True)]
    times = Counter()
    for at, key in enumerate(keys):
        times[key] += 1
        if key and times[key] > 1:
            keys[at] = f"{key} {times[key]}"
    return keys


def belonging(first: Sequence, other: Sequence) -> list[int] | int | None:
    """Whether the keys of rows that are paired by their order say that other rows belong together.

    None: no key is that of another row. A list: both have the same keys, each once, in another order; the place in
    `other` of each of `first`. A number, from 0: this row of `first` has a key that another row of `other` has, and the
    rest does not fit. "" is no key.
    """
    if list(first) == list(other):
        return None
    here, there = once(first), once(other)
    moved = next((at for name, at in here.items() if at < len(other) and other[at] != name and name in there), None)
    if len(here) == len(there) == len(first) == len(other) and here.keys() == there.keys():
        return [there[name] for name in first]
    if moved is None and all(first) and sorted(first) == sorted(other):
        # The same keys, some of them several times.
        moved = next(at for at, (a, b) in enumerate(zip(first, other, strict=True)) if a != b)
    return moved
