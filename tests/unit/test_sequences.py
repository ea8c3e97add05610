"""FASTA parsing, the policy on letters, and pairing."""

import bz2
import gzip
import lzma

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dna_lm.errors import UserError
from dna_lm.inputs.fasta import PairCounts, check_pairs, pairs_by_id, pairs_by_order, read_fasta
from dna_lm.pairs.source import PairSource


@pytest.fixture
def fasta(tmp_path):
    def write(content, name="x.fasta"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_letters_are_normalised_and_ambiguous_records_kept(fasta):
    path = fasta(">a first\r\nacg\r\nUuT \t A\r\n\r\n>b\nACGNRT\n>c\nAC-GT\n>d\rACGT\r")
    records = [(record.id, record.sequence, record.status) for record in read_fasta(path)]
    assert records == [
        ("a", "ACGTTTA", "ok"),
        ("b", "ACGNRT", "invalid_base"),
        ("c", "AC-GT", "invalid_base"),
        ("d", "ACGT", "ok"),
    ]


def test_gzip_is_told_by_content_not_by_name(fasta):
    path = fasta(gzip.compress(b">a\nACGT\n") + gzip.compress(b">b\nTTTT\n"), "x.fasta")
    assert [record.sequence for record in read_fasta(path)] == ["ACGT", "TTTT"]
    assert [record.id for record in read_fasta(fasta(">a\nA\n", "plain.fasta.gz"))] == ["a"]


def test_a_header_without_a_name_gets_its_number(fasta):
    assert [record.id for record in read_fasta(fasta(">\nA\n> \nC\n>x\nG\n"))] == ["record_1", "record_2", "x"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds no record"),
        ("\n \n", "holds no record"),
        ("ACGT\n>a\nACGT\n", "line 1: expected a FASTA header .*, found 'ACGT'"),
        ("\n>b\n\n>c\n", r"record 1 \('b'\), line 2: the sequence is empty.* \(2 of 2 records"),
        (
            ">p\nACGT\nMKL\n",
            r"record 1 \('p'\), line 1, base 7: 'L' is not a nucleotide code.*\(is this a protein\?\)$",
        ),
        (">a\nA\n" * 89 + ">p\nL\n" * 10, "record 90 .* line 179, base 1: 'L' is not .* protein.* \\(10 of 99 records"),
        (">a\nMKVLAAGIVGLLLAQWE\n", "line 1, base 4: 'L' is not a nucleotide code"),
        (b"\x00\x01\xfe\xff>binary", "not a plain text file in UTF-8"),
        (">a\x1b[31m\nACGT\n", "line 1: the identifier holds a control character"),
        (">a\nACGT\n".encode("utf-16"), "this is text in UTF-16: save it in UTF-8"),
        (">a\nACGT\n".encode("utf-16-le"), "not a plain text file in UTF-8"),
        (bz2.compress(b">a\nACGT\n"), "this is a bzip2 file: decompress it"),
        (lzma.compress(b">a\nACGT\n"), "this is an xz file: decompress it"),
        (b"PK\x03\x04 a zip", "this is a zip archive"),
        (gzip.compress(b">a\nACGTACGTACGT\n" * 500)[:60], "damaged or cut short"),
        (gzip.compress(b">a\nACGT\n")[:-6] + b"abcdef", "damaged or cut short"),
    ],
)
def test_a_file_that_is_not_dna_is_refused_with_its_place(fasta, content, message):
    with pytest.raises(UserError, match=message):
        list(read_fasta(fasta(content)))


def test_a_byte_order_mark_and_old_line_ends_are_read(fasta):
    path = fasta(b"\xef\xbb\xbf>a\rAC\rGT\r>b\rA\r")
    assert [(record.id, record.sequence) for record in read_fasta(path)] == [("a", "ACGT"), ("b", "A")]


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match="is a folder"):
        list(read_fasta(tmp_path))


def test_a_few_bad_records_keep_their_place(fasta, caplog):
    path = fasta(">a\nACGT\n>empty\n>p\nACGTL\n>\xe9\nAC\n".encode("latin-1"))
    records = [(record.id, record.sequence, record.status) for record in read_fasta(path)]
    expected = [("a", "ACGT", "ok"), ("empty", "", "empty"), ("p", "ACGTL", "invalid_base"), ("\\xe9", "AC", "ok")]
    assert records == expected
    assert "record 2 ('empty'), line 3: the sequence is empty" in caplog.text and "2 of 4 records" in caplog.text
    many = fasta(">a\nA\n" * 90 + ">p\nL\n" * 10)
    assert [record.status for record in read_fasta(many)] == ["ok"] * 90 + ["invalid_base"] * 10


def test_missing_file_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match="cannot read .*No such file"):
        list(read_fasta(tmp_path / "none.fasta"))


def test_pairs_by_order_refuse_unequal_counts_both_ways(fasta):
    three, two = fasta(">a\nA\n>b\nC\n>c\nG\n", "3.fa"), fasta(">x\nA\n>y\nC\n", "2.fa")
    with pytest.raises(UserError, match="mutant FASTA has 2 records, wild-type FASTA has 3"):
        list(pairs_by_order(three, two))
    with pytest.raises(UserError, match="mutant FASTA has 3 records, wild-type FASTA has 2"):
        list(pairs_by_order(two, three))


def test_pairs_by_id_follow_the_wild_type_file(fasta):
    wild_types, mutants = fasta(">b\nC\n>a\nA\n>c\nN\n", "w.fa"), fasta(">c x\nGG\n>a\nAA\n>b\nCC\n", "m.fa")
    pairs = [(w.id, w.sequence, w.status, m.sequence) for w, m in pairs_by_id(wild_types, mutants)]
    assert pairs == [("b", "C", "ok", "CC"), ("a", "A", "ok", "AA"), ("c", "N", "invalid_base", "GG")]


@pytest.mark.parametrize(
    ("wild_types", "mutants", "message"),
    [
        (">a\nA\n>b\nC\n", ">a\nA\n>a\nC\n", "mutant FASTA, record 2: the identifier 'a' appears twice"),
        (">a\nA\n>a\nC\n", ">a\nA\n>b\nC\n", "wild-type FASTA, record 2: the identifier 'a' appears twice"),
        (">a\nA\n>b\nC\n", ">a\nA\n>z\nC\n", "record 2: 'b' is not an identifier of the mutant FASTA"),
        (">a\nA\n>b\nC\n", ">a\nA\n", "mutant FASTA has 1 record, wild-type FASTA has 2"),
    ],
)
def test_pairs_by_id_refuse_what_cannot_be_paired(fasta, wild_types, mutants, message):
    with pytest.raises(UserError, match=message):
        list(pairs_by_id(fasta(wild_types, "w.fa"), fasta(mutants, "m.fa")))


@given(st.lists(st.tuples(st.from_regex(r"[!-=?-~]{1,20}", fullmatch=True), st.text("ACGTacgtuU", min_size=1))))
def test_what_is_written_is_read(tmp_path_factory, records):
    path = tmp_path_factory.mktemp("fasta") / "x.fasta"
    path.write_text("".join(f">{name}\n{sequence}\n" for name, sequence in records))
    if not records:
        with pytest.raises(UserError):
            list(read_fasta(path))
        return
    expected = [(name, sequence.upper().replace("U", "T")) for name, sequence in records]
    assert [(record.id, record.sequence) for record in read_fasta(path)] == expected


# --- identifiers in another order ------------------------------------------------------------------------------------


def records_of(names, bases="ACGT"):
    return "".join(f">{name}\n{bases}{'ACGT'[n % 4] * (n + 1)}\n" for n, name in names)


def test_the_same_identifiers_in_another_order_are_paired_by_identifier(fasta, caplog):
    caplog.set_level("INFO")
    names = [f"s{n}" for n in range(6)]
    wild_types = fasta(records_of(enumerate(names)), "w.fa")
    moved = [(n, names[n]) for n in (2, 5, 0, 3, 1, 4)]
    mutants = fasta(records_of(moved, "ACCT"), "m.fa")
    counts = check_pairs(wild_types, mutants)
    n_bases = 2 * sum(4 + n + 1 for n in range(6))
    assert counts == PairCounts("id", 6, 0, n_bases)
    assert caplog.messages == [
        "5 of 6 pairs had different identifiers, and both files have the same ones in another order: "
        "paired by identifier instead"
    ]
    source = PairSource(wild_types, mutants)
    source.check()
    pairs = [(item.wild_type, item.mutant) for item in source.items(None, None)]
    assert [(w.id, m.id, m.sequence) for w, m in pairs] == [
        (w.id, w.id, w.sequence.replace("ACGT", "ACCT", 1)) for w, _ in pairs
    ]


@pytest.mark.parametrize(
    ("wild_types", "mutants", "message"),
    [
        (
            "abc",
            "bcd",
            "record 2 is 'b' in the wild-type FASTA and 'c' in the mutant FASTA, where the first is another",
        ),
        ("abbc", "bbac", "identifier 'b' appears twice|record 1 is 'a' in the wild-type FASTA and 'b' in the mutant"),
        ("aabb", "bbaa", "record 1 is 'a' in the wild-type FASTA and 'b' in the mutant FASTA"),
    ],
)
def test_identifiers_that_belong_to_other_records_are_refused(fasta, wild_types, mutants, message):
    paths = (fasta(records_of(enumerate(names)), f"{at}.fa") for at, names in enumerate((wild_types, mutants)))
    with pytest.raises(UserError, match=message):
        check_pairs(*paths)


@pytest.mark.parametrize(("wild_types", "mutants"), [("abc", "xyz"), ("aab", "abb"), ("aaa", "aaa"), ("aab", "aab")])
def test_other_identifiers_are_paired_by_order(fasta, wild_types, mutants):
    paths = (fasta(records_of(enumerate(names)), f"{at}.fa") for at, names in enumerate((wild_types, mutants)))
    assert check_pairs(*paths).pair_by == "order"
