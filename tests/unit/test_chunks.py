"""Splitting an input into chunks and putting the chunks' tables together: nothing is lost, moved or changed."""

import gzip
import re
import shutil
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import ROOT, TEST_DATA, assert_refused
from dna_lm.errors import UserError
from dna_lm.inputs import chunks, collapsing, fasta, vcf
from dna_lm.outputs.tables import table

DEMO = TEST_DATA / "models" / "demo-mixtral"
WILD_TYPES, MUTANTS = TEST_DATA / "snv_wild_type.fasta", TEST_DATA / "snv_mutant.fasta"


def test_a_status_of_another_program_is_only_a_column(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_text("x\tstatus\n1\tdone\n")
    tables = [(name, tmp_path / name) for name in ("a", "b")]
    assert not collapsing.collapse(tables, tmp_path / "all")
    assert (tmp_path / "all").read_text() == "x\tstatus\n1\tdone\n1\tdone\n"


@given(st.lists(st.integers()), st.integers(1, 12))
def test_chunks_are_the_items_in_order(items, size):
    parts = [list(chunk) for chunk in chunks.in_chunks(items, size)]
    assert sum(parts, []) == items
    assert all(len(part) == size for part in parts[:-1]) and all(0 < len(part) <= size for part in parts[-1:])


def records(folder):
    return [record for path in sorted(folder.iterdir()) for record in fasta.read_fasta(path)]


@pytest.mark.parametrize("size, n_chunks", [(1, 200), (90, 3), (200, 1), (10_000, 1)])
def test_pairs_keep_their_order(run_script, tmp_path, size, n_chunks):
    out = tmp_path / "out"
    done = run_script("split.py", "--wild-type", WILD_TYPES, "--mutant", MUTANTS, "--size", size, "--output", out)
    assert done.returncode == 0 and f"200 pairs in {n_chunks} chunk" in done.stderr
    assert records(out / "wild_type") == list(fasta.read_fasta(WILD_TYPES))
    assert records(out / "mutant") == list(fasta.read_fasta(MUTANTS))
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
    wild_types, mutants, out = tmp_path / "w.fasta", tmp_path / "m.fasta", tmp_path / "out"
    wild_types.write_text(">\nAC\n>\nGT\n")
    mutants.write_text(">\nAA\n>\nGG\n")
    run_script("split.py", "--wild-type", wild_types, "--mutant", mutants, "--size", 1, "--output", out)
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
    lines = (tmp_path / "out/variants/chunk_000001.vcf").read_bytes().splitlines(keepends=True)
    [mark] = [line for line in lines if line.startswith(b"##dna_lm_chunk=1/1:")]
    lines.remove(mark)
    assert b"".join(lines) == gzip.decompress(vcf.read_bytes())


@given(st.lists(st.lists(st.binary(max_size=9).filter(lambda row: b"\n" not in row), max_size=4), min_size=1))
def test_collapsed_rows_are_the_rows(tmp_path_factory, tables):
    folder = tmp_path_factory.mktemp("tables")
    for number, rows in enumerate(tables):
        (folder / str(number)).write_bytes(b"".join(row + b"\n" for row in [b"id\tl2", *rows]))
    collapsing.collapse([(str(number), folder / str(number)) for number in range(len(tables))], folder / "all")
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
        collapsing.collapse([("one", one), ("two", two)], tmp_path / "out")


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


def test_a_chunk_is_not_split_again(run_script, tmp_path):
    """The chunks of chunk 1 would all be called chunk 1, and could not be put together."""
    inputs = (["--variants", "variants"], ["--wild-type", "wild_type", "--mutant", "mutant"])
    wholes = (["--variants", TEST_DATA / "variants.vcf"], ["--wild-type", WILD_TYPES, "--mutant", MUTANTS])
    for number, (whole, chunk) in enumerate(zip(wholes, inputs, strict=True)):
        out = tmp_path / str(number)
        assert run_script("split.py", *whole, "--size", 2, "--output", out).returncode == 0
        chunk = [text if text.startswith("--") else min((out / text).iterdir()) for text in chunk]
        done = run_script("split.py", *chunk, "--size", 1, "--output", tmp_path / "again")
        assert_refused(done, "is a chunk already: split the whole input again", tmp_path)
        assert not (tmp_path / "again").exists()


# --- rules for a whole input, which do not apply to chunks ------------------------------------------------------------

HEADER = "##fileformat=VCFv4.2\r\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\r\n"


def vcf_text(*lines):
    rows = (line.split() for line in lines)
    return HEADER + "".join(f"{c}\t{p}\t.\t{r}\t{a}\t.\t.\t.\r\n" for c, p, r, a in rows)


def reference_text():
    """Two sequences of 300 bases; every fourth base, from the first on, is an A."""
    return "".join(f">{name}\n{'ACGTACCTAGGT' * 25}\n" for name in ("c1", "c2"))


@pytest.fixture
def score_variants(run_script, tmp_path):
    """Run score_variants.py on a VCF: its table and annotated VCF, as paths, or how it failed."""
    (tmp_path / "reference.fa").write_text(reference_text())

    def run(variants, name, *options):
        outputs = tmp_path / f"{name}.tsv", tmp_path / f"{name}.vcf"
        done = run_script(
            *("score_variants.py", "--model", DEMO, "--variants", variants, "--reference", tmp_path / "reference.fa"),
            *("--window", 21, "--output", outputs[0], "--output-vcf", outputs[1], *options),
        )
        return done, outputs

    return run


def in_chunks(run_script, score_variants, tmp_path, variants, size, *options):
    """Split, score every chunk, put together: (what collapse.py said of the tables, its table, its VCF)."""
    done = run_script("split.py", "--variants", variants, "--size", size, "--output", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    made = []
    for chunk in sorted((tmp_path / "out" / "variants").iterdir()):
        done, outputs = score_variants(chunk, chunk.stem, *options)
        assert done.returncode == 0, done.stderr
        made.append(outputs)
    assert len(made) > 1
    together = tmp_path / "together.tsv", tmp_path / "together.vcf"
    ended = [
        run_script("collapse.py", "--tables", *parts, "--output", output, *options)
        for parts, output in zip(zip(*made, strict=True), together, strict=True)
    ]
    assert ended[0].returncode == ended[1].returncode
    return ended, together


@pytest.mark.cpu
def test_chunks_in_which_nothing_can_be_scored_change_nothing(run_script, score_variants, tmp_path):
    """Decoys at the end of a sorted VCF, a run of ALT '.', a chunk of mismatches: the unsplit file decides."""
    lines = [f"c1 {place} A {alt}" for place in range(1, 121, 12) for alt in ("C", "G,T", "AC")]
    lines += [f"c1 {place} A ." for place in range(121, 181, 12)]
    lines += [f"c2 {place} C A" for place in (1, 13, 25)]
    lines += [f"decoy{n} 5 A C" for n in range(7)]
    whole = tmp_path / "whole.vcf"
    whole.write_bytes(vcf_text(*lines).encode())
    options = "--scores", "l2", "llr"
    done, expected = score_variants(whole, "unsplit", *options)
    assert done.returncode == 0, done.stderr
    ended, together = in_chunks(run_script, lambda *a: score_variants(*a, *options), tmp_path, whole, 5)
    assert [done.returncode for done in ended] == [0, 0]
    assert [path.read_bytes() for path in together] == [path.read_bytes() for path in expected]
    assert all("55 records: ok 40, unknown_contig 7, missing_alt 5, ref_mismatch 3" in done.stderr for done in ended)


def test_what_no_chunk_can_score_fails_when_put_together(run_script, score_variants, tmp_path):
    whole = tmp_path / "whole.vcf"
    whole.write_bytes(vcf_text(*[f"decoy{n} 5 A C" for n in range(7)], "c1 1 A .").encode())
    done, _ = score_variants(whole, "unsplit")
    assert done.returncode == 1 and "could not read 8 of 8 records" in done.stderr
    ended, together = in_chunks(run_script, score_variants, tmp_path, whole, 3)
    for done in ended:
        assert done.returncode == 1
        assert "error: none of 8 records has a score: unknown_contig 7, missing_alt 1" in done.stderr
    assert not any(path.exists() for path in together)


@pytest.mark.cpu
def test_mismatches_of_all_chunks_count_together(run_script, score_variants, tmp_path):
    """12 of 60 in the whole file, at most 3 of 15 in a chunk."""
    lines = [f"c1 {place} A C" for place in range(1, 193, 4)] + [f"c2 {place} G C" for place in range(1, 49, 4)]
    lines = [line for n in range(12) for line in lines[n::12]]
    whole = tmp_path / "whole.vcf"
    whole.write_bytes(vcf_text(*lines).encode())
    done, _ = score_variants(whole, "unsplit")
    assert done.returncode == 1 and "12 of 60 REF alleles differ from the reference" in done.stderr
    ended, together = in_chunks(run_script, score_variants, tmp_path, whole, 15)
    for done in ended:
        assert done.returncode == 1
        assert "error: 12 of 60 REF alleles differ from the reference: score the chunks" in done.stderr
    assert not any(path.exists() for path in together)
    shutil.rmtree(tmp_path / "out")
    done, expected = score_variants(whole, "unsplit", "--allow-ref-mismatches")
    assert done.returncode == 0, done.stderr
    ended, together = in_chunks(run_script, score_variants, tmp_path, whole, 15, "--allow-ref-mismatches")
    assert [path.read_bytes() for path in together] == [path.read_bytes() for path in expected]


@pytest.mark.cpu
def test_chunks_of_pairs_in_which_nothing_can_be_scored_or_differs_change_nothing(run_script, tmp_path):
    wild_types = ["ACGTTGCATTGA", "TTGACCATGGAC", "ACGNTT", "NNN", "ACGTACGTA", "GGGTTTAAA", "ACGATTTA"]
    mutants = ["ACGTTACATTGA", "TTGCCCATGGAC", "ACGNTA", "NNC", "ACGTACGTA", "GGGTTTAAA", "ACGTTTA"]
    paths = tmp_path / "w.fasta", tmp_path / "m.fasta"
    for path, sequences_of in zip(paths, (wild_types, mutants), strict=True):
        path.write_text("".join(f">r{n} a b\n{bases}\n" for n, bases in enumerate(sequences_of)))

    def score(wild_type, mutant, name, *options):
        output = tmp_path / f"{name}.tsv"
        pair = "--wild-type", wild_type, "--mutant", mutant
        return run_script("score_pairs.py", "--model", DEMO, *pair, "--output", output, *options), output

    done, expected = score(*paths, "unsplit")
    assert done.returncode == 0
    pair = "--wild-type", paths[0], "--mutant", paths[1]
    assert run_script("split.py", *pair, "--size", 2, "--output", tmp_path / "out").returncode == 0
    parts = []
    for wild_type in sorted((tmp_path / "out/wild_type").iterdir()):
        done, output = score(wild_type, tmp_path / "out/mutant" / wild_type.name, wild_type.stem)
        assert done.returncode == 0, done.stderr
        parts.append(output)
    done = run_script("collapse.py", "--tables", *parts, "--output", tmp_path / "together.tsv")
    assert done.returncode == 0 and "7 records: ok 5, invalid_base 2" in done.stderr
    assert (tmp_path / "together.tsv").read_bytes() == expected.read_bytes()

    # Also sequences that are embedded in chunks.
    embed = "embed.py", "--model", DEMO, "--output", tmp_path / "e.tsv", "--input"
    assert run_script(*embed, tmp_path / "out/wild_type/chunk_000002.fasta").returncode == 0
    # --fail-on-unscored applies to each chunk.
    chunk = [tmp_path / "out" / role / "chunk_000002.fasta" for role in ("wild_type", "mutant")]
    assert score(*chunk, "asked", "--fail-on-unscored")[0].returncode == 1
    # The list of wild types chosen for both roles: on another machine the two inputs are copies, not one file.
    same = tmp_path / "copy.fasta"
    same.write_bytes(chunk[0].read_bytes())
    done, _ = score(chunk[0], same, "same")
    assert done.returncode == 1 and "the mutant is identical to its wild type in each of 2 pairs" in done.stderr


def test_identical_pairs_are_refused_before_they_are_split(run_script, tmp_path):
    copy = tmp_path / "copy.fasta"
    copy.write_bytes(MUTANTS.read_bytes())
    for mutant, message in ((MUTANTS, "are the same file"), (copy, "identical to its wild type in each of 200 pairs")):
        split = "split.py", "--wild-type", MUTANTS, "--mutant", mutant, "--size", 90, "--output", tmp_path / "out"
        done = run_script(*split)
        assert done.returncode == 1 and message in done.stderr and not (tmp_path / "out").exists()
    assert run_script(*split, "--allow-identical").returncode == 0


def test_only_a_chunk_is_taken_for_one(run_script, tmp_path):
    run_script("split.py", "--wild-type", WILD_TYPES, "--mutant", MUTANTS, "--size", 90, "--output", tmp_path / "out")
    wild_type, mutant = (tmp_path / "out" / role / "chunk_000003.fasta" for role in ("wild_type", "mutant"))
    assert re.search(r" dna_lm_chunk=wild_type,3/3:[0-9a-f]{16}$", wild_type.read_text().split("\n")[0])
    packed = tmp_path / "packed.fasta.gz"
    packed.write_bytes(gzip.compress(mutant.read_bytes()))
    marks = [chunks.mark_of_fasta(path) for path in (wild_type, mutant, packed)]
    assert {mark[:2] for mark in marks} == {(3, 3)} and marks[0] != marks[1] == marks[2]
    assert chunks.mark_of_pair(wild_type, packed) == chunks.mark_of_pair(mutant, wild_type)
    assert chunks.mark_of_pair(wild_type, packed)[:2] == (3, 3)
    assert not chunks.mark_of_pair(wild_type, wild_type) and not chunks.mark_of_pair(WILD_TYPES, mutant)
    assert not any(map(chunks.mark_of_fasta, (WILD_TYPES, TEST_DATA / "messy.fasta", TEST_DATA / "sequences.fasta")))
    with pytest.raises(UserError, match="wild-type FASTA is chunk 3 of 3, mutant FASTA chunk 2 of 3: give chunks"):
        chunks.mark_of_pair(wild_type, tmp_path / "out/mutant/chunk_000002.fasta")


def test_statuses_of_the_last_model_count(tmp_path):
    """A VCF scored with two models: the rows of the last one decide, whatever its fields are called."""
    header = "##fileformat=VCFv4.2\n##dna_lm=<ID=A,version=1>\n##dna_lm=<ID=B_2,version=1>\n#CHROM\n"
    row = "c\t1\tB_2_STATUS=x\tA\tC,G\t.\t.\tA_STATUS=no_change,ok;B_2_L2=.,1;B_2_STATUS={}\tGT\t0/1\n"
    (tmp_path / "x.vcf").write_text(header + row.format("too_long,ok") + row.format("no_change,no_change"))
    counts = collapsing.collapse([("x", tmp_path / "x.vcf")], tmp_path / "out.vcf")
    assert counts == {"too_long": 1, "ok": 1, "no_change": 2}
    (tmp_path / "x.vcf").write_text(header + row.format("too_long,no_change"))
    with pytest.raises(UserError, match="none of 2 records has a score: too_long 1, no_change 1"):
        collapsing.collapse([("x", tmp_path / "x.vcf")], tmp_path / "out.vcf")


def test_more_chunks_than_a_collection_should_have_are_refused():
    chunks.refuse_too_many(100_000, 10)
    with pytest.raises(UserError, match="100001 records make 10001 chunks of 10.*take at least 11 records a chunk"):
        chunks.refuse_too_many(100_001, 10)


# --- chunks that are missing, doubled, foreign or in another order ----------------------------------------------------


def scored(chunk, name):
    """A table of a chunk's records, marked as `job.run` marks it; of its VCF lines or its FASTA headers."""
    is_vcf = chunk.suffix == ".vcf"
    mark = vcf.mark_of(chunk.read_text().splitlines()) if is_vcf else chunks.mark_of_fasta(chunk)
    path = chunk.parent.parent / name
    with table(path, dict, mark) as write:
        for line in chunk.read_text().splitlines():
            if line.startswith(">") or (is_vcf and not line.startswith("#")):
                row = {
                    "id": line.split()[0 if not is_vcf else 1].lstrip(">"),
                    "status": "ok",
                    "l2": 1.5,
                    "wt_tokens": 3,
                }
                write(row)
    return path


@pytest.fixture
def split_vcf(run_script, tmp_path):
    """Split a VCF of a number of lines; gives the chunks."""

    def split(name, n_lines=23, size=5):
        path = tmp_path / f"{name}.vcf"
        path.write_bytes(vcf_text(*(f"{name} {at} A C" for at in range(1, n_lines + 1))).encode())
        done = run_script("split.py", "--variants", path, "--size", size, "--output", tmp_path / name)
        assert done.returncode == 0, done.stderr
        return sorted((tmp_path / name / "variants").iterdir())

    return split


@pytest.mark.parametrize("kind", ["vcf", "table"])
def test_chunks_are_put_in_their_order_or_refused(split_vcf, run_script, tmp_path, kind):
    whole, foreign, resized = split_vcf("c"), split_vcf("d"), split_vcf("e", 23, 6)

    def named(chunks_of, label):
        if kind == "vcf":
            return chunks_of
        return [scored(chunk, f"{label}{number}.tsv") for number, chunk in enumerate(chunks_of)]

    whole, foreign, resized = named(whole, "c"), named(foreign, "d"), named(resized, "e")
    output = tmp_path / "all"
    done = run_script("collapse.py", "--tables", *(whole[n] for n in (3, 0, 4, 2, 1)), "--output", output)
    assert done.returncode == 0, done.stderr
    if kind == "vcf":
        assert output.read_bytes() == (tmp_path / "c.vcf").read_bytes()
    else:
        rows = "".join(f"{n}\tok\t1.5\t3\n" for n in range(1, 24))
        assert output.read_text() == "id\tstatus\tl2\twt_tokens\n" + rows
    output.unlink()
    for given_chunks, message in (
        (whole[:4], "chunk_000005 is missing: 4 of 5 chunks are given"),
        (whole[1:], "chunk_000001 is missing"),
        ([*whole, whole[2]], f"chunk 3 is given twice, as '{whole[2].name}' and '"),
        (
            [*whole[:2], foreign[2], *whole[3:]],
            f"'{foreign[2].name}' and '{whole[0].name}' are chunks of different",
        ),
        ([*whole[:4], resized[3]], "are chunks of different inputs"),
    ):
        done = run_script("collapse.py", "--tables", *given_chunks, "--output", output)
        assert done.returncode == 1 and re.search(message, done.stderr), done.stderr
        assert not output.exists()


def test_a_chunk_and_a_whole_table_are_not_put_together(split_vcf, run_script, tmp_path):
    one = split_vcf("c", 3, 5)[0]
    (tmp_path / "whole.vcf").write_bytes((tmp_path / "c.vcf").read_bytes())
    done = run_script("collapse.py", "--tables", one, tmp_path / "whole.vcf", "--output", "all")
    assert done.returncode == 1 and "whole.vcf' is not a chunk, and" in done.stderr


def test_tables_called_like_chunks_are_checked_by_their_names(tmp_path):
    """As those of a splitter that leaves no marks, or of another tool; names as in Galaxy, or of files."""
    given_tables = {}
    for number in (1, 2, 3, 10):
        given_tables[number] = tmp_path / f"chunk_{number:06}.tsv"
        given_tables[number].write_text(f"id\tl2\nr{number}\t1\n")
    names = {1: "chunk_000001", 2: given_tables[2].name, 3: "chunk_000003"}
    collapsing.collapse([(names[n], given_tables[n]) for n in (3, 1, 2)], tmp_path / "all")
    assert (tmp_path / "all").read_text() == "id\tl2\nr1\t1\nr2\t1\nr3\t1\n"
    for numbers, message in (((1, 3), "chunk_000002 is missing: 2 of 3"), ((2, 3), "chunk_000001 is missing")):
        with pytest.raises(UserError, match=message):
            collapsing.collapse([(names[n], given_tables[n]) for n in numbers], tmp_path / "all")
    with pytest.raises(UserError, match="chunk 1 is given twice"):
        collapsing.collapse(
            [("chunk_000001", given_tables[1]), ("chunk_000001.tsv", given_tables[2])], tmp_path / "all"
        )
    # Other names say nothing.
    collapsing.collapse([("exon", given_tables[3]), ("chunk_000001", given_tables[1])], tmp_path / "all")
    assert (tmp_path / "all").read_text() == "id\tl2\nr3\t1\nr1\t1\n"


@pytest.mark.parametrize("content", ["{", "[1]", '[{"name": "x"}]', '[{"name": "x", "path": 0}]', "\udcff", "{}x"])
def test_a_list_that_is_none_is_one_line(run_script, tmp_path, content):
    (tmp_path / "list.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    done = run_script("collapse.py", "--list", "list.json", "--output", "out.tsv")
    assert_refused(done, "'list.json' is not a JSON list of", tmp_path)


def test_a_disk_that_is_full_leaves_no_folder(tmp_path):
    """The largest file is limited, as a full disk limits it."""
    (tmp_path / "x.vcf").write_bytes(vcf_text(*(f"c {at} A C" for at in range(1, 5000))).encode())
    program = (
        "import resource, runpy, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)); sys.argv = sys.argv[1:]\n"
        "sys.path.insert(0, sys.argv[0].rpartition('/')[0])\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    split = ROOT / "tools" / "scripts" / "split.py", "--variants", "x.vcf", "--size", "4000", "--output", "new/out"
    (tmp_path / "new").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", program, *split], capture_output=True, text=True, cwd=tmp_path, timeout=60
    )
    assert done.returncode == 1 and done.stderr == "error: cannot write the folder 'new/out': File too large\n"
    assert not list((tmp_path / "new").iterdir())


def test_a_vcf_with_both_names_of_a_sequence_is_not_split(run_script, tmp_path):
    (tmp_path / "x.vcf").write_bytes(vcf_text("1 5 A C", "2 5 A C", "chr1 5 A C").encode())
    done = run_script("split.py", "--variants", "x.vcf", "--size", 1, "--output", tmp_path / "out")
    assert_refused(done, "VCF: '1' and 'chr1' may be one sequence", tmp_path)
    assert not (tmp_path / "out").exists()
