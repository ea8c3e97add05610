"""Splitting an input into chunks and putting the chunks' tables together: nothing is lost, moved or changed."""

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import TEST_DATA
from dna_lm import chunks, sequences
from dna_lm.errors import UserError

WILD_TYPES, MUTANTS = TEST_DATA / "snv_wild_type.fasta", TEST_DATA / "snv_mutant.fasta"


@given(st.lists(st.integers()), st.integers(1, 12))
def test_chunks_are_the_items_in_order(items, size):
    parts = [list(chunk) for chunk in chunks.chunks(items, size)]
    assert sum(parts, []) == items
    assert all(len(part) == size for part in parts[:-1]) and all(0 < len(part) <= size for part in parts[-1:])


def records(folder):
    return [record for path in sorted(folder.iterdir()) for record in sequences.read_fasta(path)]


@pytest.mark.parametrize("size, n_chunks", [(1, 200), (90, 3), (200, 1), (10_000, 1)])
def test_pairs_keep_their_order(run_script, tmp_path, size, n_chunks):
    out = tmp_path / "out"
    done = run_script("split.py", "--wild-type", WILD_TYPES, "--mutant", MUTANTS, "--size", size, "--output", out)
    assert done.returncode == 0 and f"200 pairs in {n_chunks} chunk" in done.stderr
    assert records(out / "wild_type") == list(sequences.read_fasta(WILD_TYPES))
    assert records(out / "mutant") == list(sequences.read_fasta(MUTANTS))
    assert len(list((out / "mutant").iterdir())) == n_chunks


def test_records_paired_by_identifier_are_paired_by_order_afterwards(run_script, tmp_path):
    wild_types, mutants, out = tmp_path / "w.fasta", tmp_path / "m.fasta", tmp_path / "out"
    wild_types.write_text(">a\nACGT\n>b\nggna\n>c\nTTTT\n")
    mutants.write_text(">c\nTTTA\n>a\nACGA\n>b\nGGNC\n")
    pair = ["--wild-type", wild_types, "--mutant", mutants, "--pair-by", "id"]
    assert run_script("split.py", *pair, "--size", 2, "--output", out).returncode == 0
    assert [record.id for record in records(out / "mutant")] == ["a", "b", "c"]
    assert [record.sequence for record in records(out / "wild_type")] == ["ACGT", "GGNA", "TTTT"]


def test_a_record_without_a_name_keeps_its_number(run_script, tmp_path):
    fasta, out = tmp_path / "x.fasta", tmp_path / "out"
    fasta.write_text(">\nAC\n>\nGT\n")
    run_script("split.py", "--wild-type", fasta, "--mutant", fasta, "--size", 1, "--output", out)
    assert [record.id for record in records(out / "mutant")] == ["record_1", "record_2"]


def test_a_vcf_goes_through_byte_for_byte(run_script, tmp_path):
    vcf, out, back = TEST_DATA / "variants.vcf", tmp_path / "out", tmp_path / "back.vcf"
    run_script("split.py", "--variants", vcf, "--size", 7, "--output", out)
    parts = sorted((out / "variants").iterdir())
    assert len(parts) > 2 and all(part.read_bytes().startswith(b"##fileformat=VCF") for part in parts)
    assert run_script("collapse.py", "--tables", *parts, "--output", back).returncode == 0
    assert back.read_bytes() == vcf.read_bytes()


def test_a_bgzipped_vcf_is_read(run_script, tmp_path):
    vcf = TEST_DATA / "variants_sorted.vcf.gz"
    run_script("split.py", "--variants", vcf, "--size", 100, "--output", tmp_path / "out")
    assert (tmp_path / "out/variants/chunk_000001.vcf").read_bytes() == gzip.decompress(vcf.read_bytes())


@given(st.lists(st.lists(st.binary(max_size=9).filter(lambda row: b"\n" not in row), max_size=4), min_size=1))
def test_collapsed_rows_are_the_rows(tmp_path_factory, tables):
    folder = tmp_path_factory.mktemp("tables")
    for number, rows in enumerate(tables):
        (folder / str(number)).write_bytes(b"".join(row + b"\n" for row in [b"id\tl2", *rows]))
    chunks.collapse([(str(number), folder / str(number)) for number in range(len(tables))], folder / "all")
    assert (folder / "all").read_bytes() == b"".join(row + b"\n" for row in [b"id\tl2", *sum(tables, [])])


@pytest.mark.parametrize(
    "second, message",
    [
        (b"id\tl1\n", "'two' has another header than 'one'"),
        (b"id\tl2\na\t1", "'two': the last line has no end"),
        (b"id\tl2", "'two' has another header than 'one'"),
        (b"", "'two' is empty"),
        (b"##fileformat=VCFv4.2\n", "'two' is a VCF whose header has no line #CHROM"),
    ],
)
def test_a_chunk_that_does_not_fit_is_refused(tmp_path, second, message):
    one, two = tmp_path / "1", tmp_path / "2"
    one.write_bytes(b"id\tl2\n")
    two.write_bytes(second)
    with pytest.raises(UserError, match=message):
        chunks.collapse([("one", one), ("two", two)], tmp_path / "out")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--wild-type", WILD_TYPES, "--mutant", TEST_DATA / "cftr_mutant.fasta"], "mutant FASTA has 2 records"),
        (["--variants", TEST_DATA / "bad_truncated.vcf"], "VCF, line"),
        (["--variants", TEST_DATA / "bad_no_variant.vcf"], "no variant"),
    ],
)
def test_a_fault_leaves_no_chunk(run_script, tmp_path, arguments, message):
    done = run_script("split.py", *arguments, "--size", 1, "--output", tmp_path / "out")
    assert done.returncode == 1 and message in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_more_chunks_than_a_collection_should_have_are_refused():
    chunks.refuse_too_many(100_000, 10)
    with pytest.raises(UserError, match="100001 records make 10001 chunks of 10.*take at least 11 records a chunk"):
        chunks.refuse_too_many(100_001, 10)
