"""If a sequence is longer than the model reads, each base gets its own window."""

import random

import pytest

from conftest import TEST_DATA, read_table

MODELS = TEST_DATA / "models"
CHROMOSOME = "".join(random.Random(5).choices("ACGT", k=900))


@pytest.fixture
def genome(tmp_path):
    (tmp_path / "genome.fasta").write_text(f">chr1\n{CHROMOSOME}\n")
    return tmp_path / "genome.fasta"


def scores_of_all_substitutions(run_script, tmp_path, genome, model, window, positions, *options):
    """By Score variants, in windows of as many bases."""
    lines = [
        f"chr1\t{at}\t.\t{CHROMOSOME[at - 1]}\t{alt}\t.\t.\t.\n"
        for at in positions
        for alt in "ACGT"
        if alt != CHROMOSOME[at - 1]
    ]
    header = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    (tmp_path / "all.vcf").write_text(header + "".join(lines))
    given = "--model", model, "--variants", "all.vcf", "--reference", genome, "--window", window
    assert run_script("score_variants.py", *given, "--output", "v.tsv", *options).returncode == 0
    return {(int(row["pos"]), row["alt"]): row for row in read_table(tmp_path / "v.tsv")}


@pytest.mark.parametrize("name", ["tiny-gpt2", "tiny-bert", "tiny-mistral"])
def test_scores_are_those_of_the_variants(run_script, tmp_path, genome, name):
    model, scores = MODELS / name, ("--scores", "l2", "llr")
    done = run_script(
        "mutagenesis.py", "--model", model, "--sequences", genome, "--output", "m.tsv", "--report", "r.md", *scores
    )
    assert done.returncode == 0
    rows = read_table(tmp_path / "m.tsv")
    assert len(rows) == 3 * 900 and {row["status"] for row in rows} == {"ok"}
    [window] = {int(row["wt_length"]) for row in rows}
    assert window % 2 == 1 and 40 < window <= 201
    said = f"2,700 of 2,700 mutations were read in windows of {window} bases around the base that changes"
    assert said in done.stderr and said in (tmp_path / "r.md").read_text().replace("**", "")
    positions = [*range(1, 12), *range(440, 450), *range(890, 901)]
    others = scores_of_all_substitutions(run_script, tmp_path, genome, model, window, positions, *scores)
    compared = [row for row in rows if int(row["position"]) in positions]
    assert len(compared) == len(others) == 3 * len(positions)
    for row in compared:
        other = others[int(row["position"]), row["alt"]]
        assert (row["l2"], row["llr"]) == (other["l2"], other["llr"])


def test_an_interval_has_its_flank_in_each_window(run_script, tmp_path, genome):
    """As far as the model reads: with fewer bases on either side, windows are shorter. Neighbours are never missing."""
    (tmp_path / "gene.bed").write_text("chr1\t200\t700\tgene\t0\t-\n")
    given = "--model", MODELS / "tiny-bert", "--intervals", "gene.bed", "--reference", genome, "--flank"
    windows = {}
    for flank in (0, 100):
        assert run_script("mutagenesis.py", *given, flank, "--output", "m.tsv", "--track", "t.bw").returncode == 0
        rows = read_table(tmp_path / "m.tsv")
        assert len(rows) == 1500 and {row["status"] for row in rows} == {"ok"}
        [windows[flank]] = {int(row["wt_length"]) for row in rows}
    others = scores_of_all_substitutions(
        run_script, tmp_path, genome, MODELS / "tiny-bert", windows[100], range(201, 701, 13)
    )
    for row in rows:
        place = 200 + int(row["position"])
        if (place, row["alt"]) in others:
            assert row["l2"] == others[place, row["alt"]]["l2"]


def test_unknown_bases_cost_only_the_windows_that_have_them(run_script, tmp_path):
    (tmp_path / "x.fasta").write_text(f">long\n{CHROMOSOME[:450]}N{CHROMOSOME[450:]}\n")
    given = "--model", MODELS / "tiny-bert", "--sequences", "x.fasta", "--output", "m.tsv"
    assert run_script("mutagenesis.py", *given).returncode == 0
    rows = read_table(tmp_path / "m.tsv")
    half = int(next(row["wt_length"] for row in rows if row["status"] == "ok")) // 2
    for row in rows:
        is_near = abs(int(row["position"]) - 451) <= half
        assert row["status"] == ("invalid_base" if is_near else "ok")


def test_a_window_that_no_model_reads_is_refused_with_the_longest(run_script, tmp_path, genome):
    (tmp_path / "a.vcf").write_text(
        f"##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\nchr1\t450\t.\t{CHROMOSOME[449]}\tN\t.\t.\t.\n"
        f"chr1\t460\t.\t{CHROMOSOME[459]}\t{'ACGT'.replace(CHROMOSOME[459], '')[0]}\t.\t.\t.\n"
    )
    given = "--model", MODELS / "tiny-bert", "--variants", "a.vcf", "--reference", genome, "--output", "out.tsv"
    done = run_script("score_variants.py", *given, "--window", 501)
    assert done.returncode == 1 and "choose at most about " in done.stderr.splitlines()[0]
    longest = int(done.stderr.split("at most about ")[1].split()[0])
    assert run_script("score_variants.py", *given, "--window", longest).returncode == 0
    done = run_script("score_variants.py", *given, "--window", longest + 2)
    assert done.returncode == 1
