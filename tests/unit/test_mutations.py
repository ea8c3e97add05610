"""Which rows are the same mutation: against the mutant sequences themselves, and joins against a naive loop."""

import itertools
import logging
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dna_lm import mutations
from dna_lm.errors import UserError
from dna_lm.evaluate import joining, labels
from dna_lm.inputs import alleles
from test_variants import Sequences, spellings

P_OR_N = labels.binary(["p"], ["n"])


def write(path, header, rows):
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in (header, *rows)), encoding="utf-8")
    return str(path)


# --- one row ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(
            (text, 1210)
            for text in ("1210", " 1210 ", "1,210", "1'210", "1 210", "1210.0", "1,210.00", "1.21e+03", '"1,210"')
        ),
        ("1e5", 100_000),
        ("12,345,678", 12_345_678),
        *((text, None) for text in ("", "NA", "nan", ".", "-1", "12.5", "1.2345e+03", "12,10", "1_210", "x", "１")),
    ],
)
def test_whole_numbers_as_spreadsheets_and_r_write_them(text, number):
    assert mutations.position(text) == number


@pytest.mark.parametrize(
    ("cells", "key"),
    [
        (("10", "a", "g"), "10:A>G"),
        (("10", "A", "U"), "10:A>T"),
        (("10", "CA", "C"), "11:A>-"),
        (("11", "A", "-"), "11:A>-"),  # ANNOVAR: the first base that is deleted
        (("10", "C", "CAG"), "11:->AG"),
        (("10", "-", "AG"), "11:->AG"),  # ANNOVAR, MAF: the base before
        (("10", "AC", "AT"), "11:C>T"),
        (("10", "ACG", "TCG"), "10:A>T"),
        (("10", "AC", "GTT"), "10:AC>GTT"),
        (("10", "N", "<DEL>"), "10:N><DEL>"),
        (("10", "A", "*"), "10:A>*"),
    ],
)
def test_spellings_that_need_no_reference(cells, key):
    assert str(mutations.change(*cells)) == key


@pytest.mark.parametrize("cells", [("NA", "A", "C"), ("10", "", "C"), ("10", "A", "NA"), ("0", "A", "C")])
def test_a_row_with_a_missing_cell_has_no_place(cells):
    assert mutations.change(*cells) is None


@given(spellings(), spellings())
@settings(suppress_health_check=[HealthCheck.filter_too_much], max_examples=300)
def test_any_spelling_has_the_key_of_its_mutant_sequence(drawn, others):
    """With the normalised spelling and shift of some, all spellings of a mutant are found, and no others."""
    sequence, (known, *found) = drawn
    reference = Sequences(c=sequence)
    if not (known[1] and known[2]) or known[1] == known[2]:
        return
    # Other changes near it, of this sequence.
    for _, ref, alt in others[1]:
        at = len(ref) % len(sequence)
        found.append((at, sequence[at : at + len(ref)], alt))
    repeats = mutations.Repeats()
    start, ref, alt = alleles.normalise(reference, "c", *known)
    shift = alleles.shift(reference, "c", start, ref, alt)
    own = mutations.normalised_change([str(start + 1), ref, alt, str(shift)])
    repeats.add("c", own)
    for start, ref, alt in found:
        if ref and alt and ref != alt:
            same = sequence[:start] + alt + sequence[start + len(ref) :] == (
                sequence[: known[0]] + known[2] + sequence[known[0] + len(known[1]) :]
            )
            key = repeats.leftmost("c", mutations.change(str(start + 1), ref, alt))
            assert (str(key) == str(own)) == same


@given(spellings())
@settings(suppress_health_check=[HealthCheck.filter_too_much], max_examples=300)
def test_the_shift_is_the_number_of_places_to_the_right(drawn):
    sequence, found = drawn
    reference = Sequences(c=sequence)
    for spelling in found:
        if not (spelling[1] and spelling[2]) or spelling[1] == spelling[2]:
            continue
        start, ref, alt = mutations.trimmed(*alleles.normalise(reference, "c", *spelling))
        mutant = sequence[:start] + alt + sequence[start + len(ref) :]
        n_places = 1
        if not (ref and alt):
            # All places at which something of this length can be left out, or put in, to make the same sequence.
            n_places = sum(
                sequence[:at] + mutant[at : at + len(alt)] + sequence[at + len(ref) :] == mutant
                for at in range(len(sequence) - len(ref) + 1)
            )
        assert alleles.shift(reference, "c", *alleles.normalise(reference, "c", *spelling)) == n_places - 1


# --- joins against a naive loop --------------------------------------------------------------------------------------

CONTIGS = {"1": "ACACACACGTTTTTTGCAGCAGCAGA", "X": "GGGGATATATATCCCCCCATG", "MT": "TTAGTTAGTTAGACCCCA"}
STYLES = {
    "plain": str,
    "ucsc": {"1": "chr1", "X": "chrX", "MT": "chrM"}.get,
    "plink": {"1": "1", "X": "23", "MT": "26"}.get,
}


@st.composite
def files(draw):
    """Score rows (contig, start, REF, ALT) of different mutants, and records in other spellings with labels."""
    mutants = {}
    for _ in range(draw(st.integers(1, 12))):
        contig = draw(st.sampled_from(sorted(CONTIGS)))
        sequence = CONTIGS[contig]
        start = draw(st.integers(0, len(sequence) - 1))
        end = draw(st.integers(start, min(len(sequence), start + 4)))
        alt = draw(st.text("ACGT", max_size=4))
        mutant = sequence[:start] + alt + sequence[end:]
        before = next((n for n in range(min(len(sequence), len(mutant))) if sequence[n] != mutant[n]), 0)
        spelled = set()
        for first in range(max(0, before - 8), before + 1):
            for last in range(len(sequence) - first):
                ref, alt = sequence[first : len(sequence) - last], mutant[first : len(mutant) - last]
                if ref and alt and ref != alt and sequence[len(sequence) - last :] == mutant[len(mutant) - last :]:
                    spelled.add((first, ref, alt))
        if spelled:
            mutants[contig, mutant] = sorted(spelled)
    rows = [(contig, mutant, draw(st.sampled_from(found))) for (contig, mutant), found in mutants.items()]
    in_labels = [row for row in rows if draw(st.booleans())]
    records = [(contig, mutant, draw(st.sampled_from(mutants[contig, mutant]))) for contig, mutant, _ in in_labels]
    return rows, draw(st.permutations(records)), [draw(st.sampled_from("pn")) for _ in records]


@given(files(), st.sampled_from(sorted(STYLES)), st.sampled_from(["none", "numbers", "names"]), st.randoms())
@settings(suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow], max_examples=150, deadline=None)
def test_labels_in_other_spellings_are_those_of_the_same_mutant_sequence(tmp_path_factory, drawn, style, ids, random):
    rows, records, classes = drawn
    if not records:
        return
    folder = tmp_path_factory.mktemp("join")
    names = [f"v{n}" for n in range(len(rows))] if ids == "names" else [str(n) for n in range(len(rows))]
    header = ["chrom", "pos", "ref", "alt", "id", "l2", *mutations.NORMALISED]
    table = []
    for name, (contig, _, (start, ref, alt)) in zip(names, rows, strict=True):
        reference = Sequences(c=CONTIGS[contig])
        normal = alleles.normalise(reference, "c", start, ref, alt)
        shift = alleles.shift(reference, "c", *normal)
        table.append([contig, start + 1, ref, alt, name, 1.0, normal[0] + 1, *normal[1:], shift])
    name_of = {row[:2]: name for name, row in zip(names, rows, strict=True)}
    numbered = random.sample(range(len(records)), len(records))
    labelled = []
    for record, label, number in zip(records, classes, numbered, strict=True):
        contig, _, (start, ref, alt) = record
        name = {"none": ".", "numbers": number, "names": name_of[record[:2]]}[ids]
        labelled.append([name, STYLES[style](contig), random.choice([start + 1, f"{start + 1}.0"]), ref, alt, label])
    scores = write(folder / "s.tsv", header, table)
    path = write(folder / "l.tsv", ["id", "chrom", "pos", "ref", "alt", "y"], labelled)
    found = joining.read_tables([("a", scores)], ["l2"], [])
    naive = [
        next((float(label == "p") for other, label in zip(records, classes, strict=True) if other[:2] == row[:2]), None)
        for row in rows
    ]
    values = labels.from_file(path, found, "y", P_OR_N, [])[0].values.tolist()
    assert [None if math.isnan(value) else value for value in values] == naive


@given(files(), st.booleans(), st.randoms())
@settings(suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow], max_examples=100, deadline=None)
def test_tables_in_other_spellings_are_joined_whichever_knows_the_reference(tmp_path_factory, drawn, first, random):
    rows, records, _ = drawn
    if not records:
        return
    folder = tmp_path_factory.mktemp("join")

    def table(name, of, with_normal, style):
        cells = []
        for number, (contig, mutant, (start, ref, alt)) in enumerate(of):
            reference = Sequences(c=CONTIGS[contig])
            normal = alleles.normalise(reference, "c", start, ref, alt)
            normal = [normal[0] + 1, *normal[1:], alleles.shift(reference, "c", *normal)] if with_normal else []
            value = rows.index(next(row for row in rows if row[:2] == (contig, mutant)))
            cells.append([STYLES[style](contig), start + 1, ref, alt, number, value, *normal])
        header = ["chrom", "pos", "ref", "alt", "id", "l2", *(mutations.NORMALISED if with_normal else ())]
        return write(folder / name, header, cells)

    shuffled = random.sample(rows, len(rows))
    paths = [table("a.tsv", shuffled, first, "plain"), table("b.tsv", records, not first, "ucsc")]
    joined = joining.read_tables(list(zip("ab", paths, strict=True)), ["l2"], [])
    there = {row[:2] for row in records}
    values = [rows.index(row) for row in shuffled]
    assert joined.scores[0].values.tolist() == values
    found = [None if math.isnan(value) else value for value in joined.scores[1].values]
    assert found == [value if row[:2] in there else None for value, row in zip(values, shuffled, strict=True)]


# --- what identifiers may say ----------------------------------------------------------------------------------------

PLACES = ["chrom", "pos", "ref", "alt", "id", "l2", "y"]


def placed(folder, name, order, ids, chrom="chr1", columns=PLACES):
    """A table of substitutions at 100, 110, ...; the score of a row says which it is."""
    cells = [
        dict(zip(PLACES, (chrom, 100 + 10 * n, "A", "C", ids[at], n, "p" if n % 2 else "n"), strict=True))
        for at, n in enumerate(order)
    ]
    return write(folder / name, columns, [[row[column] for column in columns] for row in cells])


def join(*paths):
    return joining.read_tables([(chr(97 + at), path) for at, path in enumerate(paths)], ["l2"], ["y"])


def test_numbers_of_rows_do_not_join_tables_that_have_places(tmp_path, caplog):
    numbers = [str(n) for n in range(1, 7)]
    a, b = placed(tmp_path, "a", range(6), numbers), placed(tmp_path, "b", [3, 5, 1, 0, 2, 4], numbers, "1")
    joined = join(a, b)
    assert joined.scores[1].values.tolist() == list(range(6))
    assert caplog.messages == [
        "joined by place: the ids of 6 rows are numbers that mean other rows, "
        "'1' is 'chr1:100:A>C' in table 'a' and 'chr1:130:A>C' in table 'b'"
    ]
    found, _ = labels.from_file(b, join(a), "y", P_OR_N, [])
    assert found.values.tolist() == [0, 1, 0, 1, 0, 1] and "joined by place" in caplog.messages[1]


def test_names_that_contradict_places_are_refused_with_a_row(tmp_path):
    names = [f"rs{n}" for n in range(6)]
    a, b = placed(tmp_path, "a", range(6), names), placed(tmp_path, "b", [0, 1, 2, 4, 3, 5], names)
    message = "the ids contradict the places: 'rs[34]' is 'chr1:1[34]0:A>C' in .* and 'chr1:1[34]0:A>C' in .*column id"
    for how in (lambda: join(a, b), lambda: labels.from_file(b, join(a), "y", P_OR_N, [])):
        with pytest.raises(UserError, match=message) as raised:
            how()
        assert len(str(raised.value)) <= 250
    # Names of another kind say nothing, and a third table is joined to what the first two are.
    c = placed(tmp_path, "c", [5, 4, 3, 2, 1, 0], [f"chr1:{n}" for n in range(6)], "Chr1")
    assert [score.values.tolist() for score in join(a, c, a).scores] == [list(map(float, range(6)))] * 3


def test_ids_of_another_chromosome_are_refused(tmp_path):
    names = [f"var{n}" for n in range(6)]
    a, b = placed(tmp_path, "a", range(6), names), placed(tmp_path, "b", range(6), names, "chr2")
    with pytest.raises(UserError, match=r"no row in common, 'var0' is 'chr1:100:A>C' and 'chr2:100:A>C'"):
        join(a, b)
    with pytest.raises(UserError, match=r"'chr1:100:A>C' in .* and 'chr2:100:A>C' in .* .both are called 'var0'."):
        labels.from_file(b, join(a), "y", P_OR_N, [])


@pytest.mark.parametrize(
    ("columns", "chrom", "order", "refused"),
    [
        (["id", "y", "l2"], "chr1", [5, 4, 3, 2, 1, 0], None),
        (["id", "y", "l2", "chrom"], "1", [5, 4, 3, 2, 1, 0], None),
        (["id", "y", "l2", "chrom"], "chr2", [5, 4, 3, 2, 1, 0], "'n[05]' is 'chr1:1.0:A:C' in .* and 'chr2' in "),
        (["id", "y", "l2", "chrom", "pos"], "1", [1, 0, 2, 3, 4, 5], "'n.' is 'chr1:1.0:A:C' in .* and '1:1.0' in "),
    ],
)
def test_ids_alone_are_used_when_nothing_contradicts(tmp_path, columns, chrom, order, refused):
    names = [f"n{n}" for n in range(6)]
    a = placed(tmp_path, "a", range(6), names)
    ids = [names[n] for n in order] if refused is None or len(columns) == 4 else names
    b = placed(tmp_path, "b", order, ids, chrom, columns)
    for how in (
        lambda: join(a, b).scores[1].values.tolist(),
        lambda: labels.from_file(b, join(a), "y", labels.binary(["p"], ["n"]), [])[0].values.tolist(),
    ):
        if refused:
            with pytest.raises(UserError, match=f"the ids alone cannot join these files: {refused}") as raised:
                how()
            assert len(str(raised.value)) <= 250
        else:
            assert how() in ([0, 1, 2, 3, 4, 5], [0, 1, 0, 1, 0, 1])


@pytest.mark.parametrize("order", list(itertools.permutations("abc")))
def test_what_one_of_several_tables_says_of_a_row_joins_all(tmp_path, order):
    """Names and places, names alone, places alone: the second and third of them are joined through the first."""
    names = [f"n{n}" for n in range(6)]
    tables = {
        "a": placed(tmp_path, "a", range(6), names),
        "b": placed(tmp_path, "b", [3, 5, 1, 0, 2], [names[n] for n in (3, 5, 1, 0, 2)], columns=["id", "l2", "y"]),
        "c": placed(tmp_path, "c", [4, 5, 2, 0, 1], [""] * 5, "1", [*PLACES[:4], "l2", "y"]),
    }
    known = {
        "by id": placed(tmp_path, "by_id", range(6), names, columns=["id", "y"]),
        "by place": placed(tmp_path, "by_place", range(6), names, columns=[*PLACES[:4], "y"]),
    }
    if "".join(order) in ("bca", "cba"):  # these two have nothing in common
        with pytest.raises(UserError, match="share neither id nor chrom, pos, ref and alt: give tables of the same"):
            join(*(tables[name] for name in order))
        return
    for path in known.values():
        rows = join(*(tables[name] for name in order))
        found, _ = labels.from_file(path, rows, "y", P_OR_N, [])
        whole = ~np.isnan([score.values for score in rows.scores]).any(axis=0)
        values = [score.values[whole].tolist() for score in rows.scores]
        assert values[0] == values[1] == values[2] and sorted(values[0]) == [0, 1, 2, 5]
        assert found.values[whole].tolist() == [n % 2 for n in values[0]]


def test_labels_without_anything_to_join_by_are_refused(tmp_path):
    a = placed(tmp_path, "a", range(6), [f"n{n}" for n in range(6)], columns=["id", "l2", "y"])
    b = placed(tmp_path, "b", range(6), [""] * 6, columns=[*PLACES[:4], "y"])
    with pytest.raises(UserError, match="share neither id nor chrom, pos, ref and alt: add one of these to"):
        labels.from_file(b, join(a), "y", P_OR_N, [])


def test_rows_at_one_place_are_joined_by_id_and_then_in_order(tmp_path):
    """As in intervals that overlap."""
    header = ["chrom", "pos", "ref", "alt", "id", "l2"]
    a = write(tmp_path / "a", header, [["1", 5, "A", "C", name, n] for n, name in enumerate("pqrs")])
    b = write(tmp_path / "b", header, [["1", 5, "A", "C", name, n] for n, name in enumerate("sxpq")])
    joined = joining.read_tables([("a", a), ("b", b)], ["l2"], [])
    assert joined.scores[1].values.tolist() == [2, 3, 1, 0]


def test_chromosomes_in_both_styles_are_not_mixed_up(tmp_path):
    header = ["chrom", "pos", "ref", "alt", "l2"]
    a = write(tmp_path / "a", header, [["1", 5, "A", "C", 1], ["chr1", 5, "A", "C", 2], ["2", 5, "A", "C", 3]])
    b = write(tmp_path / "b", header, [["chr1", 5, "A", "C", 20], ["chr2", 5, "A", "C", 30]])
    joined = joining.read_tables([("a", a), ("b", b)], ["l2"], [])
    assert [math.isnan(joined.scores[1].values[0]), *joined.scores[1].values[1:]] == [True, 20, 30]
    c = write(
        tmp_path / "c", ["chrom", "pos", "ref", "alt", "y"], [["1", 5, "A", "C", "p"], ["chr1", 5, "A", "C", "n"]]
    )
    found, _ = labels.from_file(c, joining.read_tables([("b", b)], ["l2"], []), "y", P_OR_N, [])
    assert found.values[0] == 0 and math.isnan(found.values[1])


def test_what_stays_unmatched_is_counted_by_chromosome(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    header = ["chrom", "pos", "ref", "alt"]
    rows = [[f"chr{n}", at, "A", "C", 1] for n in range(1, 9) for at in range(1, 12 - n)]
    a = write(tmp_path / "a", [*header, "l2"], rows)
    b = write(tmp_path / "b", [*header, "y"], [*([*row[:4], "p"] for row in rows[:10]), ["5", "NA", "A", "C", "n"]])
    labels.from_file(b, joining.read_tables([("a", a)], ["l2"], []), "y", P_OR_N, [])
    assert caplog.messages == [
        "42 of 52 rows of the score table have no record in the table with labels: "
        "chr2 9, chr3 8, chr4 7, chr5 6, chr6 5 and 2 more",
        "1 of 11 records of the table with labels have no row in the score table: no place 1",
    ]


def test_a_line_with_several_alternate_alleles_labels_each(tmp_path):
    header = ["chrom", "pos", "ref", "alt"]
    a = write(tmp_path / "a", [*header, "l2"], [["1", 5, "A", "C", 1], ["1", 5, "A", "G", 2], ["1", 6, "C", "T", 3]])
    b = write(tmp_path / "b", [*header, "y"], [["1", 5, "A", "C,G", "p"], ["1", 6, "C", "T", "n"]])
    found, _ = labels.from_file(b, joining.read_tables([("a", a)], ["l2"], []), "y", P_OR_N, [])
    assert found.values.tolist() == [1, 1, 0]


SCANNED = "ACGTTGCA"


def scan(path, names=("promoter",), sequence=SCANNED):
    """A table of *Score every mutation* of sequences: every substitution, and the deletion of the first base."""
    rows = [
        [name, at, ref, alt, at + 0.25 * "ACGT".index(alt) if alt != "-" else 9]
        for name in names
        for at, ref in enumerate(sequence, 1)
        for alt in [*("ACGT".replace(ref, "")), *("-" * (at == 1))]
    ]
    return joining.read_tables([("a", write(path, ["id", "position", "ref", "alt", "l2"], rows))], ["l2"], [])


MEASURED = [(3, "G", "T", 1.5), (1, "A", "-", 2.5), (8, "A", "C", 3.5), (3, "G", "A", 4.5)]


@pytest.mark.parametrize(
    ("columns", "name", "by"),
    [
        ("Position Ref Alt", None, "position, ref and alt"),
        ("pos REF ALT", None, "position, ref and alt"),
        ("id position ref alt", "promoter", "id, position, ref and alt"),
        ("ID Pos Reference_Allele Alternate_Allele", "promoter", "id, position, ref and alt"),
        ("#CHROM POS REF ALT", "promoter", "id, position, ref and alt"),
        ("chromosome position ref alt", "promoter", "id, position, ref and alt"),
        # What each row is called, and not the sequence.
        ("id position ref alt", "variant{}", "position, ref and alt"),
    ],
)
def test_a_scan_has_the_labels_of_tables_as_people_write_them(tmp_path, columns, name, by):
    rows = [[*([name.format(at)] if name else []), *row] for at, row in enumerate(MEASURED)]
    path = write(tmp_path / "y", [*columns.split(), "y"], rows)
    found, _ = labels.from_file(path, scan(tmp_path / "a"), "y", labels.measured, [])
    expected = {(pos, alt): value for pos, _, alt, value in MEASURED}
    keys = [(at, alt) for at, ref in enumerate(SCANNED, 1) for alt in [*("ACGT".replace(ref, "")), *("-" * (at == 1))]]
    np.testing.assert_equal(found.values, [expected.get(key, math.nan) for key in keys])
    assert found.found_by == f"{by}; 4 of the 4 records of the table with labels have a row in the score table"


def test_labels_of_several_or_of_other_sequences_are_refused(tmp_path):
    columns = ["position", "ref", "alt", "y"]
    path = write(tmp_path / "y", columns, MEASURED)
    with pytest.raises(UserError, match="no column 'id' with the name of a sequence, which the scores of several"):
        labels.from_file(path, scan(tmp_path / "a", ("p", "q")), "y", labels.measured, [])
    # Of another sequence a quarter has the same base by chance.
    other = [[at, ref, "G" if ref != "G" else "C", 1] for at, ref in enumerate("CCGAACCA", 1)]
    with pytest.raises(
        UserError, match=r"4 of 8 records .* another base .* first line 2: C at position 1, where it is A"
    ):
        labels.from_file(write(tmp_path / "o", columns, other), scan(tmp_path / "a"), "y", labels.measured, [])
    one = [*([at, ref, "G" if ref != "G" else "C", 1] for at, ref in enumerate(SCANNED, 1)), [3, "G", "T", 2]]
    one += [[at, ref, "N", 1] for at, ref in enumerate(SCANNED[:2], 1)]
    found, _ = labels.from_file(
        write(tmp_path / "n", columns, [*one, [2, "A", "G", 3]]), scan(tmp_path / "a"), "y", labels.measured, []
    )
    assert np.nansum(found.values) == 9 + 1
    named = write(tmp_path / "z", ["id", *columns], [["q", *row] for row in MEASURED])
    with pytest.raises(UserError, match="no record has the place of a row"):
        labels.from_file(named, scan(tmp_path / "a", ("p", "r")), "y", labels.measured, [])
    far = write(tmp_path / "f", columns, [[100 + pos, *row] for pos, *row in MEASURED])
    with pytest.raises(
        UserError, match="no record has the place of a row, for example 'promoter:1:A>C' .* '103:G>T' in"
    ):
        labels.from_file(far, scan(tmp_path / "a"), "y", labels.measured, [])
    for genome in ("19", "chr19"):
        path = write(tmp_path / "c", ["chrom", *columns], [[genome, *row] for row in MEASURED])
        with pytest.raises(UserError, match="no record has the place of a row"):
            labels.from_file(path, scan(tmp_path / "a"), "y", labels.measured, [])


def test_positions_on_the_only_chromosome_need_no_name(tmp_path):
    rows = [
        ["chr1", 100 + at, "promoter", at, ref, alt, at]
        for at, ref in enumerate(SCANNED, 1)
        for alt in "ACGT"
        if alt != ref
    ]
    header = ["chrom", "pos", "id", "position", "ref", "alt", "l2"]
    scores = joining.read_tables([("a", write(tmp_path / "a", header, rows))], ["l2"], [])
    for shift in (0, 100):
        path = write(
            tmp_path / "y", ["Position", "Ref", "Alt", "y"], [[shift + 3, "G", "T", 1.5], [shift + 5, "T", "A", 2.5]]
        )
        found, _ = labels.from_file(path, scores, "y", labels.measured, [])
        assert {rows[at][3]: found.values[at] for at in np.flatnonzero(~np.isnan(found.values))} == {3: 1.5, 5: 2.5}


def test_keys_of_rows_in_another_order():
    assert mutations.belonging("abc", "abc") is None
    assert mutations.belonging("abc", "xyz") is None
    assert mutations.belonging("abc", "cab") == [1, 2, 0]
    assert mutations.belonging("abc", "bcd") == 1
    assert mutations.belonging(["a", "a", "b"], ["b", "a", "a"]) in (0, 2)
    assert mutations.belonging(["", "a", ""], ["", "", "b"]) is None


def test_messages_fit_on_a_line_whatever_the_names(tmp_path, caplog):
    """At most 250 characters, with names as long as people make them."""
    long = "a_very_long_name_of_a_table_or_mutation_" * 3
    names = [f"{n}{long}" for n in range(6)]
    contig, header = f"chr1_{long}", ["chrom", "pos", "ref", "alt", "id", "l2", "y"]

    def table(name, order, ids, contig=contig, columns=header):
        cells = [[contig, 10**8 + n, "A" * 40 + "C", "G" * 40, ids[at], n, "p"] for at, n in enumerate(order)]
        return write(tmp_path / name, columns, [row[: len(columns)] for row in cells])

    def joined(*paths):
        return joining.read_tables([(f"{at}{long}", path) for at, path in enumerate(paths)], ["l2"], [])

    same, numbers = table("a", range(6), names), [str(10**12 + n) for n in range(6)]
    moved = table("b", [1, 0, 2, 3, 4, 5], names)
    elsewhere = table("c", range(6), names, f"chr2_{long}")
    numbered, renumbered = table("d", range(6), numbers), table("e", [1, 0, 2, 3, 4], numbers)
    only_ids = write(tmp_path / "f", ["id", "chrom", "l2", "y"], [[name, f"chr2_{long}", 1, "p"] for name in names])
    twice = write(tmp_path / "g", ["id", "l2", "y"], [[long, 1, "p"], [long, 2, "p"]])
    none = write(tmp_path / "h", ["name", "l2", "y"], [[long, 1, "p"]])
    for other in (moved, elsewhere, only_ids, twice, none):
        for how in (
            lambda other=other: joined(same, other),
            lambda other=other: labels.from_file(other, joined(same), "y", P_OR_N, []),
        ):
            with pytest.raises(UserError) as raised:
                how()
            assert len(str(raised.value)) <= 250, str(raised.value)
    joined(numbered, renumbered)
    labels.from_file(renumbered, joined(numbered), "y", P_OR_N, [])
    assert len(caplog.messages) == 4 and max(map(len, caplog.messages)) <= 250
