"""Alleles, their one spelling and their windows; VCF lines kept or refused; regions and backgrounds."""

import gzip
import math
import os
import random
import re
from collections import Counter
from itertools import permutations
from types import SimpleNamespace

import pysam
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from conftest import TEST_DATA
from dna_lm.errors import UserError
from dna_lm.inputs import alleles, genes, regions, stretches, vcf
from dna_lm.inputs.reference import open_reference
from dna_lm.variants import background

HEADER = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


class Sequences:
    """A reference in memory."""

    name = "reference.fa"

    def __init__(self, **sequences):
        self.sequences = sequences
        self.lengths = {name: len(bases) for name, bases in sequences.items()}

    def fetch(self, contig, start, end):
        assert 0 <= start <= end <= self.lengths[contig]
        return self.sequences[contig][start:end]


def alleles_of(folder, reference, lines, window=21, indel_window=alleles.SAME_FLANKS):
    """The alleles of VCF lines given as 'CHROM POS REF ALT'."""
    path = folder / "x.vcf"
    rows = (line.split() for line in lines)
    path.write_text(HEADER + "".join(f"{c}\t{p}\t.\t{r}\t{a}\t.\t.\t.\n" for c, p, r, a in rows))
    return list(alleles.read_alleles(path, reference, window, indel_window))


# --- one spelling --------------------------------------------------------------------------------------------------

dna = st.text("ACGT", min_size=1, max_size=6)
# Short units repeated: where spellings abound.
repeats = st.lists(st.tuples(dna, st.integers(1, 6)), min_size=4, max_size=12).map(
    lambda parts: "".join(unit * times for unit, times in parts)
)


@st.composite
def spellings(draw):
    """A sequence and two spellings of one change of it: (start, REF, ALT), from 0."""
    sequence = draw(repeats)
    start = draw(st.integers(0, len(sequence) - 1))
    end = draw(st.integers(start, min(len(sequence), start + 6)))
    alt = draw(st.text("ACGT", max_size=6))
    mutant = sequence[:start] + alt + sequence[end:]
    found = []
    for _ in range(2):
        # Any stretch outside of which the two sequences agree spells the change; neither allele may be empty.
        most = min(len(sequence), len(mutant))
        before = next((n for n in range(most) if sequence[n] != mutant[n]), most)
        first = draw(st.integers(0, before))
        most -= first
        after = next((n for n in range(most) if sequence[-1 - n] != mutant[-1 - n]), most)
        last = draw(st.integers(0, after))
        found.append((first, sequence[first : len(sequence) - last], mutant[first : len(mutant) - last]))
    return sequence, found


@given(spellings())
@settings(suppress_health_check=[HealthCheck.filter_too_much], max_examples=400)
def test_spellings_of_a_variant_are_one(drawn):
    """And that one still makes the same sequence, is trimmed, and cannot be written further to the left."""
    sequence, found = drawn
    reference = Sequences(c=sequence)
    found = [spelling for spelling in found if spelling[1] and spelling[2] and spelling[1] != spelling[2]]
    made = {sequence[:start] + alt + sequence[start + len(ref) :] for start, ref, alt in found}
    normal = {alleles.normalise(reference, "c", *spelling) for spelling in found}
    assert len(normal) == len(made) <= 1
    for start, ref, alt in normal:
        assert sequence[start : start + len(ref)] == ref
        assert {sequence[:start] + alt + sequence[start + len(ref) :]} == made
        assert ref and alt
        # The two conditions of Tan et al.: the last bases differ, and the first ones too unless one is alone. At the
        # sequence's start the base that an indel keeps is the one after it.
        if not (start == 0 and ref[-1] == alt[-1]):
            assert ref[-1] != alt[-1]
            assert ref[0] != alt[0] or min(len(ref), len(alt)) == 1


@given(spellings(), st.integers(1, 30))
def test_a_mutant_window_in_its_place_gives_the_changed_sequence(tmp_path_factory, drawn, window):
    sequence, found = drawn
    lines = [f"c {start + 1} {ref} {alt}" for start, ref, alt in found if ref and alt]
    if not lines:
        return
    for allele in alleles_of(tmp_path_factory.mktemp("x"), Sequences(c=sequence), lines, window):
        line = allele.line
        if allele.window is None:
            assert allele.status in (alleles.NO_CHANGE, alleles.WINDOW_OFF_END)
            continue
        start, end = allele.window
        assert allele.wild_type == sequence[start:end]
        written = sequence[: line.pos - 1] + allele.written_alt + sequence[line.pos - 1 + len(line.ref) :]
        assert sequence[:start] + allele.mutant + sequence[end:] == written
        assert len(allele.wild_type) == window - 1 + len(allele.ref)
        assert len(allele.mutant) == window - 1 + len(allele.alt)


@given(spellings(), st.integers(1, 30))
def test_windows_of_the_same_length_begin_both_sequences_at_one_place(tmp_path_factory, drawn, window):
    """Of the reference and of the changed sequence as a plain edit makes it; all spellings have the same windows."""
    sequence, found = drawn
    lines = [f"c {start + 1} {ref} {alt}" for start, ref, alt in found if ref and alt and ref != alt]
    if not lines:
        return
    folder, reference = tmp_path_factory.mktemp("x"), Sequences(c=sequence)
    found = alleles_of(folder, reference, lines, window, alleles.SAME_LENGTH)
    for allele, with_flanks in zip(found, alleles_of(folder, reference, lines, window), strict=True):
        line = allele.line
        written = sequence[: line.pos - 1] + allele.written_alt + sequence[line.pos - 1 + len(line.ref) :]
        shorter = min(len(sequence), len(written))
        if shorter < window:
            assert (allele.status, allele.window, allele.mutant) == (alleles.WINDOW_OFF_END, None, "")
            continue
        start, end = allele.window
        assert allele.wild_type == sequence[start:end] and allele.mutant == written[start : start + window]
        assert len(allele.wild_type) == len(allele.mutant) == window
        assert allele.status == ("no_change" if allele.mutant == allele.wild_type else "ok")
        # As far to the left of the normalised variant as in a window of a substitution, unless a sequence ends.
        assert start == min(max(0, allele.start - window // 2), shorter - window)
        assert (allele.shifting is None) == (len(line.ref) == len(allele.written_alt))
        if len(allele.ref) == len(allele.alt) == 1:
            assert (allele.window, allele.mutant) == (with_flanks.window, with_flanks.mutant)
    assert len({(allele.window, allele.mutant) for allele in found}) == 1


def test_the_far_boundary_moves(tmp_path):
    """A deletion, an insertion, a combination; at both ends; alleles longer than what the window has after them."""
    sequence = "ACGTTGCAAC" * 3 + "GATTACAGTC"
    cases = {
        "c 21 ACG A": (range(15, 26), "GCAAC" + "A" + "TTGCA"),
        "c 21 A ACC": (range(15, 26), "GCAAC" + "ACC" + "CGT"),
        "c 21 ACG TTTT": (range(15, 26), "GCAAC" + "TTTT" + "TT"),
        "c 21 AC TT": (range(15, 26), "GCAAC" + "TT" + "GTTG"),
        "c 1 AC A": (range(11), "AGTTGCAACAC"),
        # Without its second-last base the sequence is one base shorter, so both windows begin earlier.
        "c 38 GT G": (range(28, 39), "ACGATTACAGC"),
        "c 38 G GA": (range(29, 40), "CGATTACAGAT"),
        "c 21 ACGTTGCAACG A": (range(15, 26), "GCAAC" + "A" + "ATTAC"),
        "c 21 A AGGGGG": (range(15, 26), "GCAAC" + "AGGGGG"),
        "c 21 A AGGGGGGGGG": (range(15, 26), "GCAAC" + "AGGGGG"),
        "c 21 A AGGGGGTTTT": (range(15, 26), "GCAAC" + "AGGGGG"),
    }
    found = alleles_of(tmp_path, Sequences(c=sequence), cases, 11, alleles.SAME_LENGTH)
    # The windows of the last two are equal, though the insertions are not.
    assert [allele.is_cut for allele in found] == [*[False] * 7, True, False, True, True]
    assert not any(allele.is_cut for allele in alleles_of(tmp_path, Sequences(c=sequence), cases, 11))
    assert [allele.status for allele in found] == ["ok"] * len(cases)
    for allele, (places, mutant) in zip(found, cases.values(), strict=True):
        assert (range(*allele.window), allele.mutant) == (places, mutant)


def test_what_windows_of_the_same_length_cannot_show(tmp_path):
    """An unknown base that a deletion moves in; a repeat that fills the rest of the window; a sequence too short."""
    reference = Sequences(c="ACGTTGCAACGGTNTACAGAC", r="TGC" + "CA" * 12 + "GTC", s="ACGTTGCAACG")
    lines = ["c 7 CAA C", "c 7 C CAA", "c 7 CA C", "r 4 CAC C", "r 4 C CAC", "s 4 TT T", "s 4 T TT"]
    expected = ["invalid_base", "ok", "ok", "no_change", "no_change", "window_off_end", "ok"]
    found = alleles_of(tmp_path, reference, lines, 11, alleles.SAME_LENGTH)
    assert [allele.status for allele in found] == expected
    with_flanks = alleles_of(tmp_path, reference, lines, 11)
    assert [allele.status for allele in with_flanks] == ["invalid_base", *["ok"] * 4, "window_off_end", "ok"]


def test_windows_are_centred_and_shifted_at_the_ends(tmp_path):
    sequence = "ACGTTGCAAC" * 6
    reference = Sequences(c=sequence)
    found = alleles_of(tmp_path, reference, ["c 30 C A", "c 1 A C", "c 60 C A", "c 6 G T"], 21)
    assert [allele.window for allele in found] == [(19, 40), (0, 21), (39, 60), (0, 21)]
    assert [len(allele.mutant) for allele in found] == [21] * 4
    # An even window has one base more before than after.
    assert alleles_of(tmp_path, reference, ["c 30 C A"], 20)[0].window == (19, 39)
    # A deletion of two: 10 bases, the base before, the two, 10 bases.
    (deletion,) = alleles_of(tmp_path, reference, ["c 31 ACG A"], 21)
    assert (deletion.window, len(deletion.mutant)) == ((20, 43), 21)
    assert [a.status for a in alleles_of(tmp_path, reference, ["c 30 C A", "c 31 ACG A"], 60)] == [
        "ok",
        "window_off_end",
    ]


def test_every_allele_has_one_row_with_its_status(tmp_path):
    reference = Sequences(c="ACGT" * 10 + "N" + "ACGT" * 10, s="ACGT")
    lines = {
        "c 5 A C,<DEL>,*,.,A,R,G": "ok symbolic_allele symbolic_allele missing_alt no_change invalid_base ok",
        "c 5 A ]s:3]A": "symbolic_allele",
        "c 5 A .C": "symbolic_allele",
        "c 5 C A": "ref_mismatch",
        "c 41 N A": "invalid_base",
        "c 41 A C": "invalid_base",
        "c 40 TN A": "invalid_base",
        "c 38 C A": "invalid_base",
        "c 81 TAC T": "ref_mismatch",
        "other 5 A C": "unknown_contig",
        "s 2 C G": "window_off_end",
        "c 5 a c": "ok",
        "c 6 C U": "ok",
    }
    found = alleles_of(tmp_path, reference, lines)
    assert [allele.status for allele in found] == " ".join(lines.values()).split()
    assert sum(allele.is_last for allele in found) == len(lines)
    assert found[0].id == "c:5:A>C"
    assert found[-1].mutant[found[-1].start - found[-1].window[0]] == "T"


def moved_base_by_base(sequence, start, indel):
    while start and sequence[start - 1] == indel[-1]:
        start, indel = start - 1, indel[-1] + indel[:-1]
    return start, indel


@pytest.mark.parametrize("unit", ["A", "CA", "GATTACA"])
def test_an_indel_moves_left_as_far_as_base_by_base(unit):
    """In repeats that begin at the first base of the sequence, or after another base; longer than one block read."""
    for before in ("", "T", "TC"):
        sequence = before + unit * (600 // len(unit)) + "G"
        for start in [*range(20), *range(250, 265), *range(505, 520)]:
            for length in (len(unit), 2 * len(unit), len(unit) + 1):
                indel = sequence[start : start + length]
                expected = moved_base_by_base(sequence, start, indel)
                assert alleles._leftmost(Sequences(c=sequence), "c", start, indel) == expected


def test_an_indel_at_the_first_base_keeps_the_base_after_it(tmp_path):
    """All spellings of the deletion of one A from the first run, and the spelling of bcftools norm."""
    reference = Sequences(c="AAAACGTTGCAGGCATCAGG")
    lines = ["c 1 AA A", "c 2 AA A", "c 3 AA A", "c 4 AC C", "c 1 AAAACG AAACG"]
    found = {(a.start, a.ref, a.alt, a.window) for a in alleles_of(tmp_path, reference, lines, 5)}
    assert found == {(0, "AA", "A", (0, 6))}


def test_an_indel_at_the_second_base_keeps_the_first(tmp_path):
    reference = Sequences(c="TAAACGTTGCAGGCATCAGG")
    lines = ["c 1 TA T", "c 2 AA A", "c 3 AA A", "c 4 AC C"]
    found = {(a.start, a.ref, a.alt) for a in alleles_of(tmp_path, reference, lines, 5)}
    assert found == {(0, "TA", "T")}
    (insertion,) = alleles_of(tmp_path, reference, ["c 1 T TC"], 5)
    assert (insertion.start, insertion.ref, insertion.alt) == (0, "T", "TC")


def test_the_bases_that_an_allele_replaces(tmp_path):
    """Half-open from 0: of its one spelling, or, without a window, of its REF as written."""
    reference = Sequences(c="ACGTTTGCAACGGATCCATG", s="ACGTACGT")
    changed = {
        "c 6 T A": (5, 6),
        "c 5 TTG TTA": (6, 7),
        "c 6 TG T": (6, 7),
        "c 4 TT T": (3, 4),
        "c 6 T TCC": (6, 6),
        "c 6 TG CA": (5, 7),
        "s 3 G A": (2, 3),
        "s 3 GTA G": (2, 5),
        "c 6 T <DEL>": (5, 6),
        "c 6 TGC .": (5, 8),
        "c 1 A *": (0, 1),
        "x 4 ACG A": (3, 6),
        "c 4 A C": (3, 4),
        "c 4 TTT TTT": (3, 6),
    }
    found = alleles_of(tmp_path, reference, changed, 9)
    assert {line: allele.changed() for line, allele in zip(changed, found, strict=True)} == changed
    without = [allele for allele in found if allele.window is None]
    assert {allele.status for allele in without} == {
        *(alleles.WINDOW_OFF_END, alleles.SYMBOLIC_ALLELE, alleles.MISSING_ALT),
        *(alleles.UNKNOWN_CONTIG, alleles.REF_MISMATCH, alleles.NO_CHANGE),
    }


# --- VCF -----------------------------------------------------------------------------------------------------------


def refused(path, reference=None):
    with pytest.raises(UserError) as raised:
        alleles.check_vcf(path, reference or Sequences(c="ACGT" * 5))
    assert str(raised.value).isprintable()
    return str(raised.value)


GOOD = "c\t5\t.\tA\tC\t.\t.\t.\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty"),
        (GOOD, "line 1: expected '##fileformat.*, found "),
        ("##fileformat=VCFv4.2\n" + GOOD, "line 2: expected .* the line #CHROM.*, found"),
        ("##fileformat=VCFv4.2\n", "ends at line 1, in its header"),
        ("##fileformat=VCFv4.2\n#CHROM\tPOS\n" + GOOD, "line 2: .* is not a header"),
        (HEADER.replace("INFO", "INFO\tFORMAT") + GOOD, "line 3: 8 columns where the header has 9"),
        (HEADER.replace("INFO", "INFO\tmother"), "line 2: .* is not a header"),
        (HEADER, "header ends at line 2 and no variant follows"),
        (HEADER + GOOD + "c\t6\t.\tC\n", "line 4: 4 columns where the header has 8"),
        (HEADER + GOOD.replace("\t", " "), "line 3: 1 column where the header has 8"),
        (HEADER + GOOD + GOOD.rstrip(".\n").rstrip(), "line 4: 7 columns where the header has 8: .* cut short"),
        ("##fileformat=VCFv3.3\n" + HEADER.split("\n", 1)[1] + GOOD, "line 1: expected '##fileformat=VCFv4"),
        (HEADER + GOOD + HEADER.replace("INFO", "INFO\tFORMAT") + GOOD, "line 5: another header"),
        (HEADER + GOOD.replace("A", ""), "line 3: REF is empty"),
        (HEADER + GOOD.replace("A", "."), "line 3: REF is empty"),
        (HEADER + GOOD.replace("A", "<X>"), "line 3: REF is '<X>'"),
        (HEADER + GOOD.replace("C", ""), "line 3: ALT is empty"),
        (HEADER + GOOD.replace("C", "C,"), "line 3: ALT is empty"),
        (HEADER + GOOD.replace("C", "-"), "line 3: ALT has '-'"),
        (HEADER + GOOD.replace("5", "0"), "line 3: POS is 0"),
        (HEADER + GOOD.replace("5", "-1"), "line 3: POS is '-1'"),
        (HEADER + GOOD.replace("5", "x"), "line 3: POS is 'x'"),
        (HEADER + GOOD.replace("5", "9" * 30), "line 3: POS is '9"),
        (HEADER + GOOD.replace("5", "21"), "line 3: POS 21 is past the end of 'c', which has 20 bases"),
        (HEADER + GOOD * 10 + GOOD.replace("5", "21") * 10, "10 of 20 REF alleles differ .* line 13"),
        (HEADER + GOOD * 89 + GOOD.replace("A", "X") * 10, "line 92: REF is 'X'.*10 of 99 records"),
        (HEADER + GOOD.replace("c\t", "\t"), "line 3: CHROM is ''"),
        (HEADER + GOOD.replace("c\t", "\x1b[1m\t"), r"no sequence of the VCF \('\\x1b\[1m'\)"),
        (HEADER + GOOD + "c\t\0", "line 4: a zero byte"),
        (HEADER + GOOD + "c\0\n", "line 4: a zero byte"),
        (HEADER + GOOD.replace("c\t", "x\t"), r"no sequence of the VCF \('x'\) is in the reference \('c'\)"),
        (gzip.compress((HEADER + GOOD * 1000).encode())[:90], "gzip file is damaged or cut short after line"),
    ],
)
def test_a_bad_vcf_is_one_line_that_names_the_line(tmp_path, content, message):
    path = tmp_path / "x.vcf"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert re.search(message, refused(path))


@pytest.mark.parametrize(
    ("n_right", "n_wrong", "others", "refused"),
    [
        (0, 9, "", ""),
        (0, 10, "", "10 of 10"),
        (90, 10, "", ""),
        (89, 10, "", "10 of 99"),
        (980, 109, "", "109 of 1089"),
        (981, 109, "", ""),
        # Alleles without a comparable REF do not count; alleles with one count even if they cannot be scored.
        (89, 10, "x 1 A C\n" * 50 + "c 1 A .\n" * 50 + "c 1 A <DEL>\n" * 50, "10 of 99"),
        (88, 10, "c 1 A A\nc 1 A N\n", ""),
    ],
)
def test_a_vcf_of_another_genome_build_is_refused(tmp_path, n_right, n_wrong, others, refused):
    """More than one in ten REF alleles, and at least ten, differ from the reference."""
    reference = Sequences(c="ACGT" * 50)
    lines = ["c 5 A C"] * n_right + ["c 6 G GT"] * n_wrong + others.splitlines()
    path = tmp_path / "of_19.vcf"
    path.write_text(HEADER + "".join("{}\t{}\t.\t{}\t{}\t.\t.\t.\n".format(*line.split()) for line in lines))
    if not refused:
        alleles.check_vcf(path, reference)
        return
    message = (
        rf"^{refused} REF alleles differ from the reference, first at line {n_right + 3}: 'c:6' is 'G', and "
        r"'C' in 'reference.fa'\. .*\(--allow-ref-mismatches\)$"
    )
    with pytest.raises(UserError, match=message):
        alleles.check_vcf(path, reference)
    alleles.check_vcf(path, reference, allow_ref_mismatches=True)


def test_another_build_is_refused_where_a_sequence_ends(tmp_path):
    reference = Sequences(c="ACGT")
    path = tmp_path / "x.vcf"
    path.write_text(HEADER + "c\t4\t.\tTAAAA\tT\t.\t.\t.\n" * 10)
    with pytest.raises(UserError, match="'c:4' is 'TAAAA', and 'T' in"):
        alleles.check_vcf(path, reference)


def test_a_bgzip_file_cut_between_blocks_is_noticed(tmp_path):
    assert "line 1: a zero byte" in refused(TEST_DATA / "bad_binary.bin")
    assert "the bgzip file is cut short after line 12" in refused(TEST_DATA / "bad_truncated.vcf.gz")
    (tmp_path / "x.bcf").write_bytes(b"")
    with pysam.VariantFile(str(tmp_path / "x.bcf"), "wb") as empty:
        empty.header.add_line("##contig=<ID=c,length=20>")
    assert "this is a BCF file" in refused(tmp_path / "x.bcf")


def test_telomeric_breakends_are_legal(tmp_path):
    reference = Sequences(c="ACGT" * 5)
    path = tmp_path / "x.vcf"
    path.write_text(HEADER + "c\t0\t.\tN\t.[c:9[\t.\t.\t.\nc\t21\t.\tN\t]c:2].\t.\t.\t.\n")
    alleles.check_vcf(path, reference)
    assert [allele.status for allele in alleles.read_alleles(path, reference, 3)] == ["symbolic_allele"] * 2


def test_lines_are_kept_byte_for_byte(tmp_path):
    """Take away what was added, and the file is the one that came in."""
    source = (TEST_DATA / "variants.vcf").read_bytes().replace(b"mother", b"m\xfctter").replace(b"\n", b"\r\n")
    (tmp_path / "in.vcf").write_bytes(source)
    header = []
    lines = list(vcf.read_lines(tmp_path / "in.vcf", header))
    field = vcf.Field("X_L2", "Float", 'a "quote" \\ and > more')
    with vcf.open_for_writing(tmp_path / "out.vcf") as handle:
        handle.writelines(vcf.header_with(header, [field], "X", {"model": 'a"><b'}))
        for line in lines:
            handle.write(vcf.line_with(line, {"X_L2": ["1.5"] * len(line.alts)}))
    written = (tmp_path / "out.vcf").read_bytes()
    added = [line for line in written.split(b"\n") if b"dna_lm" in line or b"X_L2," in line]
    assert added == [
        b'##dna_lm=<ID=X,model="a___b">\r',
        b'##INFO=<ID=X_L2,Number=A,Type=Float,Description="a _quote_ _ and _ more">\r',
    ]
    for line in added:
        written = written.replace(line + b"\n", b"")
    for values in (b"1.5,1.5,1.5", b"1.5,1.5", b"1.5"):
        written = written.replace(b";X_L2=" + values, b"").replace(b"\tX_L2=" + values, b"\t.")
    assert written == source


def test_a_field_that_is_there_already_is_refused(tmp_path):
    path = tmp_path / "x.vcf"
    path.write_text(HEADER + GOOD.replace(".\t.\t.\n", ".\t.\tA=1;X_L2=3\n"))
    with pytest.raises(UserError, match="line 3: INFO has 'X_L2' already"):
        alleles.check_vcf(path, Sequences(c="ACGT" * 5), {"X_L2"})
    path.write_text(HEADER.replace("#CHROM", "##INFO=<ID=X_L2,Number=A>\n#CHROM") + GOOD)
    with pytest.raises(UserError, match="line 2: the header defines INFO 'X_L2' already"):
        alleles.check_vcf(path, Sequences(c="ACGT" * 5), {"X_L2"})


# --- reference -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["reference.fasta", "reference.fasta.gz"])
def test_a_reference_is_read_in_stretches_and_nothing_is_written_beside_it(tmp_path, name):
    path = tmp_path / name
    path.write_bytes((TEST_DATA / name).read_bytes())
    with open_reference(path) as reference:
        assert reference.lengths == {"chr1": 2000, "chr2": 700, "chr3": 150}
        # In lower case in the file.
        assert set(reference.fetch("chr1", 1050, 1150)) == set("ACGT")
        assert reference.fetch("chr1", 5, 5) == ""
        assert reference.record("x", "chr1", 1190, 1210).status == "invalid_base"
    assert list(tmp_path.iterdir()) == [path]


def test_an_index_older_than_its_file_is_not_believed(tmp_path):
    path = tmp_path / "x.fa"
    path.write_text(">a\nACGT\n")
    pysam.faidx(str(path))
    path.write_text(">b\nACGTACGT\n")
    os.utime(f"{path}.fai", (1, 1))
    with open_reference(path) as reference:
        assert reference.lengths == {"b": 8}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a FASTA file that can be indexed"),
        (b"ACGT\n", "not a FASTA file that can be indexed"),
        (b">a\nAC\nACGT\nAC\n", "lines of a sequence have different lengths: wrap them again.*seqkit seq -w 60.*'a'"),
        (b">a\nACGT\nAC\nACGT\n", "lines of a sequence have different lengths: wrap them again.*at line 4"),
        (b">a\nACGT\n\nACGT\n", "lines of a sequence have different lengths: wrap them again.*at line 4"),
        (b"\xef\xbb\xbf>a\nAC\n", "give text whose sequences begin with a line '>name', without a byte order mark"),
        (b">a\rAC\r", "with line ends of Linux or Windows"),
        (b">a\nACGTACGT\nACG TA\n", "blanks or other characters that are no bases within its lines"),
        (b">a\nACGT ACGT\nACGT ACGT\n>b\nAC\n", "blanks or other characters that are no bases within its lines"),
        (b">a\nAC\n>a\nACG\n", "'a' appears twice"),
        (gzip.compress(b">a\nACGT\n"), "compressed with gzip"),
        (b">\xe9\nACGT\n", "name of a sequence is not text in UTF-8"),
        ((TEST_DATA / "reference.fasta.gz").read_bytes()[:-40], "bgzip file is cut short"),
        (b"\xfd7zXZ\0\0\x04", "reference: this is an xz file: decompress it"),
    ],
)
def test_a_bad_reference_is_one_line(tmp_path, content, message):
    path = tmp_path / "x.fa"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as raised, open_reference(path):
        pytest.fail("it was opened")
    assert str(raised.value).isprintable() and len(str(raised.value)) <= 250


# --- background ----------------------------------------------------------------------------------------------------


def snv_allele(sequence, at, alt, window):
    line = SimpleNamespace(chrom="c")
    return alleles.Allele(line, alt, True, "ok", at, sequence[at], alt, (0, window), sequence[:window])


def test_the_background_is_every_other_substitution_near_by():
    sequence = "ACGTTGCAACGGTATTCAGAC"
    allele = snv_allele(sequence, 10, "T", 21)
    drawn = background.Background(1000, width=5).draw(allele)
    mutants = {mutant.sequence for _, mutant in drawn}
    assert len(drawn) == len(mutants) == 14 and allele.mutant not in mutants
    for mutant in mutants:
        (at,) = [n for n in range(21) if mutant[n] != sequence[n]]
        assert 8 <= at <= 12
    few = background.Background(6, width=5, seed=3)
    assert [m.sequence for _, m in few.draw(allele)] == [m.sequence for _, m in few.draw(allele)]
    assert {m.sequence for _, m in few.draw(allele)} < mutants
    # At the window's edge there is less to draw from.
    assert len(background.Background(1000, width=5).draw(snv_allele(sequence, 0, "T", 21))) == 8


def test_the_same_change_is_found_on_both_strands():
    #           CGT>CAT at 4; its other strand is ACG>ATG, at 9; TCGTT at the end has it again.
    sequence = "TTTCGTTTACGTTTTCGTA"
    allele = snv_allele(sequence, 4, "A", len(sequence))
    drawn = background.Background(1000, width=99, same_change=True).draw(allele)
    found = {next((n, m.sequence[n]) for n in range(len(sequence)) if m.sequence[n] != sequence[n]) for _, m in drawn}
    assert sequence[3:6] == "CGT" and allele.ref == "G"
    expected = {(n, "A") for n in range(1, 18) if sequence[n - 1 : n + 2] == "CGT" and n != 4}
    expected |= {(n, "T") for n in range(1, 18) if sequence[n - 1 : n + 2] == "ACG"}
    assert found == expected and len(found) == 3


def indel(sequence, start, ref, alt, window, beyond=None):
    """An allele whose wild-type window begins the sequence."""
    place = (0, window + len(ref) - 1) if beyond is None else (0, window)
    line = SimpleNamespace(chrom="c")
    return alleles.Allele(line, alt, True, "ok", start, ref, alt, place, sequence[slice(*place)], beyond)


@st.composite
def indels(draw):
    """An allele that changes the length, in windows of either kind, and the sequence from its window on."""
    sequence = draw(repeats.filter(lambda bases: len(bases) >= 30))
    start = draw(st.integers(0, 12))
    n_deleted = draw(st.integers(0, 5))
    alt = sequence[start] + draw(st.text("ACGT", min_size=0 if n_deleted else 1, max_size=6))
    ref = sequence[start : start + n_deleted + 1]
    beyond = sequence[20 : 20 + max(0, len(ref) - len(alt))] if draw(st.booleans()) else None
    allele = indel(sequence, start, ref, alt, 20, beyond)
    assume(len(ref) != len(alt) and allele.mutant != allele.wild_type)
    return sequence, allele


@given(indels(), st.integers(1, 60) | st.just(100_000), st.integers(1, 40), st.integers(1, 3))
@settings(max_examples=300)
def test_the_background_of_an_indel_is_other_indels(drawn, n, width, seed):
    """Each is made by a plain edit at a place near by; all differ; n of them, or all that a plain loop finds."""
    sequence, allele = drawn
    start, ref, alt = allele.trimmed()
    same_length = allele.beyond is not None
    source = sequence[: len(allele.wild_type)] + (allele.beyond or "")
    longer = max(len(ref), len(alt) if same_length else 0)
    possible = set()
    for at in range(start - width // 2, start - width // 2 + width):
        if 0 <= at <= len(allele.wild_type) - longer:
            for bases in set(permutations(alt)):
                mutant = source[:at] + "".join(bases) + source[at + len(ref) :]
                possible.add(mutant[:20] if same_length else mutant)
    possible -= {allele.wild_type, allele.mutant}
    found = background.Background(n, width, seed=seed).draw(allele)
    assert {wild_type.sequence for wild_type, _ in found} <= {allele.wild_type}
    mutants = [mutant.sequence for _, mutant in found]
    assert len(mutants) == len(set(mutants)) and set(mutants) <= possible
    assert len(mutants) == min(n, len(possible))
    again = background.Background(n, width, seed=seed).draw(allele)
    assert [mutant.sequence for _, mutant in again] == mutants
    assert background.Background(n, width, same_change=True).draw(allele) == []


def test_long_insertions_have_as_many_others_as_are_wanted():
    sequence = "ACGTTGCAACGGTATTCAGACTGAC"
    allele = indel(sequence, 10, "G", "GTTACGATCCATC", 21)
    drawn = background.Background(3000, 11).draw(allele)
    assert len(drawn) == 3000
    for _, mutant in drawn[::100]:
        at = next(at for at in range(6, 17) if mutant.sequence[:at] + mutant.sequence[at + 12 :] == sequence[:21])
        assert sorted(mutant.sequence[at : at + 12]) == sorted("TTACGATCCATC")
    # In another file, of another seed.
    some, others = (background.Background(9, 11, seed=seed).draw(allele) for seed in (1, 2))
    assert some != others


@pytest.mark.parametrize("bases", ["AAAAAC", "ACGTAA", "A" * 40 + "C", "TTTTTTTTTC" * 2, "C" * 9])
def test_a_narrow_region_has_all_orders_of_an_insertion(bases):
    sequence = "ACGTTGCAACGGTATTCAGACTGAC"
    allele = indel(sequence, 10, "G", "G" + bases, 21)
    drawn = [mutant.sequence for _, mutant in background.Background(100_000, 1).draw(allele)]
    n_orders = math.factorial(len(bases)) // math.prod(math.factorial(bases.count(base)) for base in set(bases))
    assert len(drawn) == len(set(drawn)) == n_orders - 1
    assert {sequence[:11] + "".join(sorted(bases)) + sequence[11:21]} == {
        mutant[:11] + "".join(sorted(mutant[11 : 11 + len(bases)])) + mutant[11 + len(bases) :]
        for mutant in [*drawn, allele.mutant]
    }


def test_every_order_of_an_allele_is_equally_likely():
    draws = (background._Orders("AAC").drawn(random.Random(seed)) for seed in range(3000))
    counts = Counter(next(orders) for orders in draws)
    assert counts.keys() == {"AAC", "ACA", "CAA"} and min(counts.values()) > 900


def test_a_repeat_has_few_other_deletions():
    """All places of a run are the variant itself."""
    sequence = "CGT" + "A" * 14 + "CGTC"
    assert background.Background(50, 1).draw(indel(sequence, 2, "TA", "T", 20)) == []
    drawn = background.Background(50, 17).draw(indel(sequence, 2, "TA", "T", 20))
    assert {mutant.sequence for _, mutant in drawn} == {"GT" + sequence[3:], "CT" + sequence[3:], "CG" + sequence[3:]}


def test_percentiles_count_ties_half():
    assert background.percentile(3, [1, 2, 3, 4]) == 62.5
    assert background.percentile(0, [1, 2]) == 0
    assert background.percentile(1, []) is None


# --- regions -------------------------------------------------------------------------------------------------------


def read_regions(tmp_path, text, file_format="bed", only=()):
    (tmp_path / "r").write_text(text)
    return regions.Regions(regions.read_regions(tmp_path / "r", file_format), only)


@given(st.data())
def test_overlaps_are_those_of_a_naive_loop(tmp_path_factory, data):
    intervals = data.draw(
        st.lists(st.tuples(st.integers(0, 30), st.integers(1, 12), st.sampled_from("abc")), min_size=1)
    )
    text = "".join(f"c\t{start}\t{start + length}\t{name}\n" for start, length, name in intervals)
    found = read_regions(tmp_path_factory.mktemp("x"), text)
    for start in range(44):
        for end in (start, start + 1, start + 7):
            names = set()
            for first, length, name in intervals:
                bases = set(range(first, first + length))
                inside = {start - 1, start} <= bases if start == end else not bases.isdisjoint(range(start, end))
                names |= {name} if inside else set()
            assert found.columns("c", start, end)["region"] == ("+".join(sorted(names)) or "none")
    assert found.columns("other", 1, 2)["region"] == "none"


def test_gff_counts_from_one_and_names_may_be_chosen(tmp_path):
    gff = "##gff-version 3\nc\tx\tgene\t5\t9\t.\t+\t.\tID=1\nc\tx\texon\t5\t6\t.\t+\t.\tID=2\n##FASTA\n>c\nACGT\n"
    found = read_regions(tmp_path, gff, "gff")
    assert [found.columns("c", at, at + 1)["region"] for at in (3, 4, 5, 6, 8, 9)] == [
        *("none", "exon+gene", "exon+gene", "gene", "gene", "none")
    ]
    assert read_regions(tmp_path, gff, "gff", ["exon"]).columns("c", 6, 7)["region"] == "none"
    with pytest.raises(UserError, match="none is called 'intron'"):
        read_regions(tmp_path, gff, "gff", ["intron"])


@pytest.mark.parametrize(
    ("text", "file_format", "message"),
    [
        ("", "bed", "holds no region"),
        ("track x\n#c\n", "bed", "holds no region"),
        ("c\t5\n", "bed", r"regions \(BED\), line 1: 2 columns"),
        ("c\t1\t2\nc\t5\tx\n", "bed", "line 2: 'x' is not a position"),
        ("c\t5\t5\n", "bed", "line 1: start 5 is not before end 5"),
        ("c\t5\t6\n", "gff", r"regions \(GFF\), line 1: 3 columns"),
        ("c\tx\texon\t0\t9\t.\t+\t.\tID=1\n", "gff", "line 1: start 0 and end 9"),
    ],
)
def test_bad_regions_are_one_line(tmp_path, text, file_format, message):
    with pytest.raises(UserError, match=message):
        read_regions(tmp_path, text, file_format)


def test_regions_without_a_name_have_their_place(tmp_path):
    assert read_regions(tmp_path, "c 5 6\n").columns("c", 5, 6)["region"] == "c:5-6"
    assert read_regions(tmp_path, "track\tname=x\nbrowser\tposition c\nc 5 6\n").n_of_contig == {"c": 1}


def test_a_region_called_none_is_not_outside_all_regions():
    named = regions.Regions([regions.Region("c", 10, 20, "none", 1), regions.Region("c", 30, 40, "exon", 2)])
    assert [named.columns("c", at, at + 1)["region"] for at in (12, 32, 50)] == ["none", "exon", "no region"]
    assert named.columns("d", 1, 2)["region"] == "no region"
    assert regions.Regions([regions.Region("c", 30, 40, "exon", 2)]).columns("c", 1, 2)["region"] == "none"


# --- genes ---------------------------------------------------------------------------------------------------------

# As Ensembl writes GFF3: two transcripts of a gene on the minus strand, one of them without a coding sequence; a
# pseudogene without exons.
ENSEMBL = """\
##gff-version 3
c\tx\tchromosome\t1\t200\t.\t.\t.\tID=chromosome:c
c\tx\tgene\t11\t100\t.\t-\t.\tID=gene:E1;Name=PEX%2C1;gene_id=E1
c\tx\tmRNA\t11\t90\t.\t-\t.\tID=transcript:T1;Parent=gene:E1;Name=PEX-201
c\tx\tthree_prime_UTR\t11\t15\t.\t-\t.\tParent=transcript:T1
c\tx\texon\t11\t30\t.\t-\t.\tParent=transcript:T1;Name=x
c\tx\tCDS\t16\t30\t.\t-\t0\tID=CDS:P1;Parent=transcript:T1
c\tx\tCDS\t51\t70\t.\t-\t0\tID=CDS:P1;Parent=transcript:T1
c\tx\texon\t51\t90\t.\t-\t.\tParent=transcript:T1
c\tx\tlnc_RNA\t31\t100\t.\t-\t.\tID=transcript:T2;Parent=gene:E1
c\tx\texon\t31\t34\t.\t-\t.\tParent=transcript:T2
c\tx\texon\t86\t100\t.\t-\t.\tParent=transcript:T2
c\tx\tpseudogene\t121\t130\t.\t+\t.\tID=gene:E2
"""
# Of each base of `c`, by hand.
ENSEMBL_WORDS = [
    *(["intergenic"] * 10 + ["three_prime_UTR"] * 5 + ["CDS"] * 15 + ["splice_site"] * 2),  # T1's beats T2's exon
    *(["non_coding_exon"] * 2 + ["splice_site"] * 2 + ["intron"] * 12 + ["splice_site"] * 2 + ["CDS"] * 20),
    *(["five_prime_UTR"] * 20 + ["non_coding_exon"] * 10 + ["intergenic"] * 20 + ["gene"] * 10 + ["intergenic"] * 70),
]


def read_genes(tmp_path, gff, only=(), **how):
    (tmp_path / "g").write_text(gff)
    return genes.read_named(tmp_path / "g", "gff", only, **how)


def at_each_base(found, n=200):
    columns = [found.columns("c", at, at + 1) for at in range(n)]
    return [cells["region"] for cells in columns], [cells["gene"] for cells in columns]


def test_a_base_has_the_first_word_of_its_transcripts_and_its_gene(tmp_path):
    words, names = at_each_base(read_genes(tmp_path, ENSEMBL))
    assert words == ENSEMBL_WORDS
    assert names == [""] * 10 + ["PEX,1"] * 90 + [""] * 20 + ["E2"] * 10 + [""] * 70
    assert read_genes(tmp_path, ENSEMBL).columns("d", 5, 6) == {"region": "none", "gene": ""}


def test_several_bases_have_the_first_word_and_an_insertion_the_last(tmp_path):
    found = read_genes(tmp_path, ENSEMBL)
    rank = genes.WORDS.index
    for start in range(1, 140):
        assert found.columns("c", start, start + 6)["region"] == min(ENSEMBL_WORDS[start : start + 6], key=rank)
        assert found.columns("c", start, start)["region"] == max(ENSEMBL_WORDS[start - 1 : start + 1], key=rank)


def test_the_words_of_a_gff_may_be_chosen_also_wider_ones(tmp_path):
    def of(*only):
        return at_each_base(read_genes(tmp_path, ENSEMBL, only))[0]

    exonic = [word.endswith(("UTR", "CDS", "exon")) for word in ENSEMBL_WORDS]
    of_intron = [word in ("intron", "splice_site") for word in ENSEMBL_WORDS]
    assert of("exon", "intron") == [
        "exon" if exon else "intron" if intron else "none" for exon, intron in zip(exonic, of_intron, strict=True)
    ]
    assert of("UTR") == ["UTR" if word.endswith("UTR") else "none" for word in ENSEMBL_WORDS]
    assert set(of("intergenic")) == {"intergenic", "none"}
    with pytest.raises(UserError, match=r"regions: none is called 'mRNA': of genes there are CDS, .*Feature types as"):
        of("mRNA")


def test_other_forms_of_annotation_have_the_same_words(tmp_path):
    def gtf(gene, names=""):
        return "".join(
            f'c\tx\t{kind}\t{start}\t{end}\t.\t{strand}\t.\tgene_id "{gene}"; transcript_id "{name}";{names}\n'
            for kind, start, end, strand, name in [
                *(
                    ("exon", 5, 20, "+", "t"),
                    ("CDS", 10, 20, "+", "t"),
                    ("UTR", 5, 9, "+", "t"),
                    ("UTR", 36, 40, "+", "t"),
                ),
                *(("exon", 31, 40, "+", "t"), ("CDS", 31, 32, "+", "t"), ("stop_codon", 33, 35, "+", "t")),
            ]
        )

    expected = ["intergenic"] * 4 + ["five_prime_UTR"] * 5 + ["CDS"] * 11 + ["splice_site"] * 2 + ["intron"] * 6
    expected += ["splice_site"] * 2 + ["CDS"] * 5 + ["three_prime_UTR"] * 5 + ["intergenic"]
    for text, name in ((gtf("E"), "E"), (gtf("E", ' gene_name "BRCA; 1";'), "BRCA; 1")):
        words, names = at_each_base(read_genes(tmp_path, text), 41)
        assert (words, set(names)) == (expected, {"", name})
    # As NCBI writes GFF3: no UTR and no introns; lines in any order; several parents.
    ncbi = (
        "c\tx\texon\t31\t40\t.\t+\t.\tID=e2;Parent=rna-1,rna-2;gene=ABC\nc\tx\texon\t5\t20\t.\t+\t.\tParent=rna-1\n"
        "c\tx\tCDS\t31\t35\t.\t+\t.\tID=p;Parent=rna-1\nc\tx\tCDS\t10\t20\t.\t+\t.\tID=p;Parent=rna-1\n"
        "c\tx\tmRNA\t5\t40\t.\t+\t.\tID=rna-1;Parent=gene-ABC\n"
    )
    words, names = at_each_base(read_genes(tmp_path, ncbi), 41)
    assert (words, set(names)) == (expected, {"", "ABC"})
    # Bacteria: coding sequences without a transcript. Without any, an exon is not said to be non-coding.
    prokka = "c\tx\tCDS\t3\t8\t.\t-\t0\tID=p1;gene=thrL\nc\tx\tCDS\t9\t12\t.\t-\t0\tID=p2;locus_tag=b2;gene=thrA\n"
    words, names = at_each_base(read_genes(tmp_path, prokka), 13)
    assert words == ["intergenic"] * 2 + ["CDS"] * 10 + ["intergenic"]
    assert names == ["", "", *["thrL"] * 6, *["thrA"] * 4, ""]
    exons = "c\tx\tgene\t1\t9\t.\t+\t.\tID=g\nc\tx\texon\t3\t4\t.\t+\t.\tID=1\nc\tx\texon\t7\t8\t.\t+\t.\tID=2\n"
    assert at_each_base(read_genes(tmp_path, exons), 8)[0] == [
        *["gene"] * 2,
        *["exon"] * 2,
        *["gene"] * 2,
        *["exon"] * 2,
    ]


def test_the_types_of_a_gff_are_kept_on_request_and_where_it_has_no_exons(tmp_path):
    found = read_genes(tmp_path, ENSEMBL, ["exon", "lnc_RNA"], types=True)
    assert found.columns("c", 88, 89) == {"region": "exon+lnc_RNA"}
    peaks = "c\tx\tenhancer\t3\t8\t.\t.\t.\tID=1\nc\tx\tpromoter\t8\t9\t.\t.\t.\tID=2\n"
    assert read_genes(tmp_path, peaks).columns("c", 7, 8) == {"region": "enhancer+promoter"}


# --- contigs in another style, and records that are not on the reference -------------------------------------------


def check(folder, reference, lines, **options):
    path = folder / "x.vcf"
    rows = (line.split() for line in lines)
    path.write_text(HEADER + "".join(f"{c}\t{p}\t.\t{r}\t{a}\t.\t.\t.\n" for c, p, r, a in rows))
    return path, alleles.check_vcf(path, reference, **options)


def test_alleles_are_read_in_the_style_of_the_reference(tmp_path, caplog):
    reference = Sequences(chr1="ACGT" * 10, chrM="ACGT" * 10, scaffold="ACGT" * 10)
    lines = ["1 5 A C", "MT 6 C CT", "scaffold 5 A C", "2 5 A C"]
    caplog.set_level("INFO")
    path, checked = check(tmp_path, reference, lines)
    assert checked.n_of_contig == {"chr1": 1, "chrM": 1, "scaffold": 1}
    assert checked.counts == {"ok": 3, "unknown_contig": 1}
    assert checked.notes == ["VCF: 2 sequences read by the names of the reference: '1' as 'chr1', 'MT' as 'chrM'."]
    assert "1 of 4 alleles of the VCF are on sequences that the reference lacks: '2' 1" in caplog.text
    found = list(alleles.read_alleles(path, reference, 9, contigs=checked.contigs))
    assert [(a.line.chrom, a.contig, a.status) for a in found] == [
        ("1", "chr1", "ok"), ("MT", "chrM", "ok"), ("scaffold", "scaffold", "ok"), ("2", None, "unknown_contig")
    ]  # fmt: skip
    assert found[0].wild_type == ("ACGT" * 10)[:9]


def test_two_styles_of_one_name_are_not_one_sequence(tmp_path):
    _, checked = check(tmp_path, Sequences(chr1="ACGT" * 10), ["1 5 A C", "chr1 5 A C"])
    assert checked.counts == {"ok": 1, "unknown_contig": 1} and checked.n_of_contig == {"chr1": 1}


def test_nearly_all_on_unknown_sequences_is_refused(tmp_path):
    reference = Sequences(c="ACGT" * 10)
    check(tmp_path, reference, ["c 5 A C"] + ["x 5 A C"] * 9)
    with pytest.raises(UserError, match=r"10 of 11 alleles of the VCF are on .* the reference lacks \('x'\)"):
        check(tmp_path, reference, ["c 5 A C"] + ["x 5 A C"] * 10)


def test_what_is_outside_its_sequence_or_no_base_has_a_status(tmp_path):
    reference = Sequences(c="ACGT" * 10)
    lines = ["c 5 A C"] * 3 + ["c 41 A C", "c 0 A C", "c 5 A A<ctg1>", "c 5 A -", "c 5 X C", "c 5 . C"]
    path, checked = check(tmp_path, reference, lines)
    expected = ["ok"] * 3 + ["outside_sequence"] * 2 + ["symbolic_allele"] + ["invalid_base"] * 3
    assert [allele.status for allele in alleles.read_alleles(path, reference, 9)] == expected
    assert checked.counts.total() == len(lines)


REGIONS = "1\t0\t20\texon\n1\t20\t30\tintron\nscaffold\t0\t5\tx\n"


def test_regions_are_looked_up_in_the_style_of_the_reference(tmp_path):
    (tmp_path / "r").write_text(REGIONS)
    lengths = {"chr1": 40, "scaffold": 40}
    found = regions.Regions(regions.read_regions(tmp_path / "r", "bed"), (), lengths)
    assert found.contigs == {"1": "chr1", "scaffold": "scaffold"}
    assert [found.columns("chr1", at, at + 1)["region"] for at in (5, 25, 35)] == ["exon", "intron", "none"]


def test_regions_of_other_sequences_are_refused_or_counted(tmp_path, caplog):
    reference = Sequences(chr1="ACGT" * 10, scaffold="ACGT" * 10)
    (tmp_path / "r").write_text(REGIONS.replace("1\t", "NC_1\t", 1).replace("\n1\t", "\nNC_1\t"))
    named = regions.Regions(regions.read_regions(tmp_path / "r", "bed"), (), reference.lengths)
    _, checked = check(tmp_path, reference, ["chr1 5 A C"] * 10 + ["scaffold 5 A C"])
    with pytest.raises(UserError, match=r"10 of 11 alleles are on sequences without regions \('chr1'\), and .*'NC_1'"):
        alleles.judge_regions(named, checked, False)
    _, checked = check(tmp_path, reference, ["chr1 5 A C"] * 9 + ["scaffold 5 A C"])
    alleles.judge_regions(named, checked, False)
    assert "9 of 10 alleles are on sequences without regions: 'chr1' 9" in caplog.text
    # A sequence without any region is nothing wrong.
    named = regions.Regions(regions.read_regions(tmp_path / "r", "bed"), ["x"], reference.lengths)
    alleles.judge_regions(named, check(tmp_path, reference, ["chr1 5 A C"])[1], False)


def test_blanks_around_cells_are_no_part_of_them(tmp_path):
    for text in ("c\t5\t6\tex\t0\t- \n", "c\t5\t6 \tex\t0\t -\t\n", "c \t5\t6\tex\t0\t-\r\n", "c 5 6 ex 0 - \n"):
        (tmp_path / "r").write_text(text)
        assert list(regions.read_regions(tmp_path / "r", "bed")) == [regions.Region("c", 5, 6, "ex", 1, "-")]
    (tmp_path / "r").write_text("c\tx\texon \t6\t6\t.\t- \t.\tID=1\n")
    [found] = regions.read_regions(tmp_path / "r", "gff")
    assert found._replace(attributes="") == regions.Region("c", 5, 6, "exon", 1, "-")


def test_strands_that_are_not_known_are_said(tmp_path, caplog):
    (tmp_path / "r").write_text("c\t5\t6\tex\t0\t-1\nc\t5\t6\tex\t0\tminus\nc\t5\t6\tex\t0\t?\n")
    assert [region.strand for region in regions.read_regions(tmp_path / "r", "bed")] == ["-", ".", "."]
    assert "line 2: the strand 'minus' is not +, - or ." in caplog.text


def test_bad_intervals_keep_their_place(tmp_path, caplog):
    (tmp_path / "c.fa").write_text(">chr1\n" + "ACGT" * 10 + "\n")
    good = "1\t5\t8\tgood\n" * 3
    (tmp_path / "i.bed").write_text(
        good + "1\t6\t6\tempty\n1\t9\t6\tturned\n1\t38\t41\tend\n1\t-2\t4\tstart\nx\t1\t2\n"
    )
    with open_reference(tmp_path / "c.fa") as reference:
        found = list(stretches.from_intervals(tmp_path / "i.bed", "bed", reference, 2))
        statuses = ["ok"] * 3 + ["empty"] * 2 + ["outside_sequence"] * 2 + ["unknown_contig"]
        assert [stretch.record.status for stretch in found] == statuses
        assert found[0].place == ("1", 5) and found[0].contig == "chr1" and found[0].bases == "CGT"
        assert "line 4: start 6 is not before end 6" in caplog.text and "3 of 8 records" in caplog.text
        for text, message in (
            ("1\t6\t6\n", "line 1: start 6 is not before end 6"),
            (good * 29 + "1\t38\t41\tend\n" * 10, r"line 88: it ends at 41, .*\(10 of 97 records are bad\)"),
        ):
            (tmp_path / "i.bed").write_text(text)
            with pytest.raises(UserError, match=message):
                list(stretches.from_intervals(tmp_path / "i.bed", "bed", reference, 2))


def test_a_circular_feature_goes_on_at_the_beginning(tmp_path):
    (tmp_path / "c.fa").write_text(">c\n" + "ACGT" * 10 + "\n>d\n" + "ACGT" * 10 + "\n")
    gff = "c\tx\tregion\t1\t40\t.\t+\t.\tIs_circular=true\n"
    gff += "c\tx\tgene\t35\t45\t.\t+\t.\tID=1\nd\tx\texon\t35\t45\t.\t+\t.\tID=2\n"
    (tmp_path / "g").write_text(gff)
    with open_reference(tmp_path / "c.fa") as reference:
        found = list(stretches.from_intervals(tmp_path / "g", "gff", reference, 0))
        assert [stretch.record.status for stretch in found] == ["ok", "outside_sequence", "outside_sequence"]
        named = regions.Regions(regions.read_regions(tmp_path / "g", "gff"), ["gene", "exon"], reference.lengths)
    assert [named.columns("c", at, at + 1)["region"] for at in (0, 4, 5, 33, 34, 39)] == [
        "gene",
        "gene",
        "none",
        "none",
        "gene",
        "gene",
    ]
    assert named.columns("d", 2, 3)["region"] == "none"
