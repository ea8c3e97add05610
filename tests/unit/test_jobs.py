"""What a scoring job promises whatever it scores: columns in their order, flat memory, sinks that get every row."""

import csv
import os
import subprocess
import sys

import pytest

from conftest import ROOT, TEST_DATA

DEMO = TEST_DATA / "models" / "demo-mixtral"
REFERENCE = TEST_DATA / "reference.fasta"
COUNTS = ["wt_length", "mut_length", "n_differences", "wt_tokens", "mut_tokens", "changed_tokens", "ends"]
PAIRS = ("--wild-type", TEST_DATA / "indel_wild_type.fasta.gz", "--mutant", TEST_DATA / "indel_mutant.fasta.gz")
VARIANTS = ("--variants", TEST_DATA / "variants.vcf", "--reference", REFERENCE)
INTERVALS = ("--intervals", TEST_DATA / "intervals.bed", "--reference", REFERENCE)
NORMALISED = ["norm_pos", "norm_ref", "norm_alt", "shift"]
PERCENTILES = ["llr_percentile", "l2_percentile", "n_background"]


@pytest.mark.parametrize(
    ("script", "options", "before", "between", "after"),
    [
        ("score_pairs.py", PAIRS, ["id"], [], []),
        (
            "score_variants.py",
            VARIANTS,
            ["chrom", "pos", "ref", "alt", "id"],
            [],
            ["window_start", "window_end", "kind", *NORMALISED],
        ),
        (
            "score_variants.py",
            (*VARIANTS, "--background", 1, "--regions", TEST_DATA / "regions.bed"),
            ["chrom", "pos", "ref", "alt", "id"],
            PERCENTILES,
            ["window_start", "window_end", "region", "kind", *NORMALISED],
        ),
        (
            "mutagenesis.py",
            ("--sequences", TEST_DATA / "one_sequence.fasta.gz"),
            ["id", "position", "ref", "alt"],
            [],
            [],
        ),
        (
            "mutagenesis.py",
            INTERVALS,
            ["chrom", "pos", "id", "position", "ref", "alt", "strand", "position_on_strand", "change_on_strand"],
            [],
            [],
        ),
    ],
)
def test_a_table_begins_with_what_was_scored_and_its_scores(run_script, script, options, before, between, after):
    done = run_script(script, "--model", DEMO, *options, "--scores", "llr", "l2", "--output", "out.tsv")
    assert done.returncode == 0, done.stderr
    with open("out.tsv") as table:
        header = table.readline().rstrip("\n").split("\t")
    assert header == [*before, "status", "llr", "l2", *between, *COUNTS, *after]


def test_the_tutorials_padding_leaves_ratios_alone(run_script):
    """The tutorial has no log-likelihood ratio. Both columns are those of a job that computes nothing else."""
    tables = []
    for name, options in (
        ("both", ["--tutorial", "--scores", "l2", "llr"]),
        ("l2", ["--tutorial", "--scores", "l2"]),
        ("llr", ["--scores", "llr"]),
    ):
        done = run_script("score_pairs.py", "--model", DEMO, *PAIRS, *options, "--output", f"{name}.tsv")
        assert done.returncode == 0, done.stderr
        with open(f"{name}.tsv", newline="") as table:
            tables.append(list(csv.DictReader(table, delimiter="\t")))
    for both, *alone in zip(*tables, strict=True):
        assert [both["l2"], both["llr"]] == [alone[0]["l2"], alone[1]["llr"]]


def run_alone(program, *arguments):
    """What a Python program prints in a separate process, whose memory is not that of the tests."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "tools" / "scripts")}
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def peak_memory(script, *options):
    """The largest resident size of a process that runs a script, in MiB."""
    # Not that of wait4, which has the size of the parent at the fork in it.
    program = """if True:
        import re, runpy, sys
        sys.argv = sys.argv[1:]
        runpy.run_path(sys.argv[0], run_name="__main__")
        with open("/proc/self/status") as status:
            print(int(re.search(r"VmHWM:\\s+(\\d+) kB", status.read())[1]) // 2**10)
    """
    return int(run_alone(program, ROOT / "tools" / "scripts" / script, "--model", DEMO, *options))


@pytest.mark.cpu
def test_memory_does_not_grow_with_the_lines_of_a_vcf(tmp_path):
    """Ten times the lines, each with 2,500 genotypes, are 45 MB more of text."""
    genotypes = "\t".join(["0/1"] * 2500)
    samples = "\t".join(f"s{number}" for number in range(2500))
    header = f"##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t{samples}\n"
    bases = "".join(line.strip() for line in REFERENCE.read_text().split(">")[1].splitlines()[1:])
    places = [(at, base) for at, base in enumerate(bases.upper(), 1) if base in "ACG" and 50 < at < 1900]
    peaks = []
    for n_lines in (500, 5000):
        lines = (places[number % 400] for number in range(n_lines))
        text = "".join(f"chr1\t{at}\t.\t{base}\tT\t.\t.\t.\tGT\t{genotypes}\n" for at, base in lines)
        (tmp_path / "in.vcf").write_text(header + text)
        outputs = ("--output", tmp_path / "out.tsv", "--output-vcf", tmp_path / "out.vcf")
        given = ("--variants", tmp_path / "in.vcf", "--reference", REFERENCE, "--window", 15)
        peaks.append(peak_memory("score_variants.py", *given, *outputs))
        assert (tmp_path / "out.vcf").read_text().count(f"\tGT\t{genotypes}\n") == n_lines
    assert peaks[1] - peaks[0] < 20, peaks


@pytest.mark.cpu
def test_memory_does_not_grow_with_the_pairs_of_a_file(tmp_path):
    """Python's memory, for eight times the records. What the matrix library keeps is not counted."""
    # In a separate process: what other tests leave behind is freed at any time. The first run imports and warms up.
    program = """if True:
        import runpy, sys, tracemalloc
        script, folder, *options = sys.argv[1:]
        for n_pairs in (1, 600, 4800):
            for name, base in (("wt", "A"), ("mut", "C")):
                sequences = (f"{number:014b}".translate(str.maketrans("01", "GT")) for number in range(n_pairs))
                text = "".join(f">{number}\\n{sequence}{base}\\n" for number, sequence in enumerate(sequences))
                with open(f"{folder}/{name}.fasta", "w") as handle:
                    handle.write(text)
            if n_pairs > 1:
                tracemalloc.start()
            sys.argv = [script, *options]
            runpy.run_path(script, run_name="__main__")
            print(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    """
    files = ("--wild-type", tmp_path / "wt.fasta", "--mutant", tmp_path / "mut.fasta", "--output", tmp_path / "out.tsv")
    script = ROOT / "tools" / "scripts" / "score_pairs.py"
    _, few, many = map(int, run_alone(program, script, tmp_path, "--model", DEMO, *files).split())
    # 0.2 MB was measured; 1.7 MB with a list of all rows.
    assert many - few < 800_000, (few, many)
