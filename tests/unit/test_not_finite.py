"""Model output that is not a finite number: its row has a status, and the number is in no result."""

import csv

import numpy as np
import pyBigWig
import pysam
import pytest
from safetensors.torch import load_file, save_file

import random_models
from conftest import TEST_DATA
from dna_lm.engine.encoder import Embedding
from dna_lm.engine.loading import load_checkpoint
from dna_lm.inputs.fasta import Record
from scored import embed, score_pairs

# A token, 3 bases in phase, that the model below cannot read. It is in no sequence of the checks after loading.
UNREADABLE = "GGG"


@pytest.fixture(scope="module")
def overflowing(tmp_path_factory):
    """A model whose embedding of one token is finite, and whose square is not."""
    folder = random_models.save(tmp_path_factory.mktemp("model"), "gpt_neox", "3-mers", frame=False)
    weights = load_file(folder / "model.safetensors")
    [[token]] = load_checkpoint(folder).tokenise([UNREADABLE])
    weights["gpt_neox.embed_in.weight"][token, ::2] = 3e38
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def is_readable(*sequences):
    return not any(s[at : at + 3] == UNREADABLE for s in sequences for at in range(0, len(s), 3))


def test_a_pair_with_an_output_that_is_not_finite_has_a_status_and_no_score(overflowing):
    loaded = load_checkpoint(overflowing)
    # In some sequences the unreadable token is the first, and so the first of all sequences that are read together.
    pairs = [("ACGTTG", "ACTTTG"), ("GGCACG", "GGGACG"), ("GGGACT", "GGGACC"), ("A", "C")]
    assert [is_readable(*pair) for pair in pairs] == [True, False, False, True]
    records = [(Record("a", a, "ok"), Record("a", b, "ok")) for a, b in pairs]
    for wanted in (("l2",), ("llr",), ("cosine_distance", "l2", "llr")):
        rows = score_pairs(loaded, records, wanted)
        assert [row.status for row in rows] == ["ok", "not_finite", "not_finite", "ok"]
        for row in rows:
            assert all((row.scores[name] is None) == (row.status != "ok") for name in wanted)
            assert row.counts.wt_tokens and row.counts.mut_tokens
        alone = score_pairs(loaded, [records[0], records[3]], wanted)
        assert alone == [rows[0], rows[3]]


def test_an_embedding_that_is_not_finite_is_left_out(overflowing):
    """One strand whose output is not finite is enough for the mean of both to have none."""
    loaded = load_checkpoint(overflowing)
    records = [Record("a", "ACGACG", "ok"), Record("b", "ACGGGG", "ok"), Record("c", "ACGCCC", "ok")]
    rows = embed(loaded, records, Embedding("hidden", 2, "mean"), "mean")
    assert [row.status for row in rows] == ["ok", "not_finite", "not_finite"]
    assert np.isfinite(rows[0].embedding).all() and all(np.isnan(row.embedding).all() for row in rows[1:])


def test_a_score_beyond_float32_is_not_finite_either(overflowing):
    """The embeddings themselves, 3e38 in many coordinates, are finite; their distance is larger than float32 holds."""
    loaded = load_checkpoint(overflowing)
    records = [(Record("a", a, "ok"), Record("a", b, "ok")) for a, b in (("ACGTTG", "ACTTTG"), ("ACGTTG", "GGGTTG"))]
    rows = score_pairs(loaded, records, embedding=Embedding("hidden", 0))
    assert [row.status for row in rows] == ["ok", "not_finite"]


def test_the_cosine_of_a_zero_vector_is_no_score(tmp_path):
    folder = random_models.save_family(tmp_path, "gpt2")
    weights = load_file(folder / "model.safetensors")
    # Layer 0 of the last token, [SEP], at the fourth position.
    separator = load_checkpoint(folder).tokenise(["T"])[0][-1]
    weights["transformer.wpe.weight"][3] = -weights["transformer.wte.weight"][separator]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    loaded = load_checkpoint(folder)
    records = [(Record("a", a, "ok"), Record("a", b, "ok")) for a, b in (("AC", "AG"), ("ACG", "ACT"), ("AC", "ACT"))]
    last = Embedding("hidden", 0, "last")
    statuses = [row.status for row in score_pairs(loaded, records, ("cosine_distance",), embedding=last)]
    assert statuses == ["not_finite", "ok", "not_finite"]
    statuses = [row.status for row in score_pairs(loaded, records, embedding=last)]
    assert statuses == ["ok", "ok", "ok"]


def read_table(path):
    with open(path, newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


@pytest.fixture
def score(run_script, overflowing, tmp_path):
    """Score the fixture's variants in short windows, with percentiles."""

    def run(*options):
        inputs = ("--variants", TEST_DATA / "variants.vcf", "--reference", TEST_DATA / "reference.fasta")
        inputs += ("--strand", "forward")
        options = (
            "--window",
            "31",
            "--background",
            "40",
            "--background-width",
            "11",
            "--output-vcf",
            "out.vcf",
            *options,
        )
        return run_script("score_variants.py", "--model", overflowing, "--output", "out.tsv", *inputs, *options)

    return run


def test_no_output_of_a_vcf_has_a_number_that_is_not_finite(score, tmp_path):
    windows = ("--wild-type-windows", "wt.fasta", "--mutant-windows", "mut.fasta")
    done = score(*windows)
    assert done.returncode == 0, done.stderr
    rows = read_table(tmp_path / "out.tsv")
    pairs = zip(*(pysam.FastxFile(str(tmp_path / name)) for name in ("wt.fasta", "mut.fasta")), strict=True)
    with_window = [row for row in rows if row["window_start"]]
    for row, (wild_type, mutant) in zip(with_window, pairs, strict=True):
        if row["status"] in ("ok", "not_finite"):
            assert (row["status"] == "ok") == is_readable(wild_type.sequence, mutant.sequence)
    found = [row for row in rows if row["status"] == "not_finite"]
    assert found and any(row["status"] == "ok" for row in rows)
    assert all(row["l2"] == row["l2_percentile"] == "" and row["n_background"] == "0" for row in found)
    assert any(0 < int(row["n_background"]) < 33 for row in rows if row["status"] == "ok")
    assert f"not_finite {len(found)}" in done.stderr and "not a finite number in float32" in done.stderr
    text = (tmp_path / "out.tsv").read_text() + (tmp_path / "out.vcf").read_text().split("#CHROM")[1]
    assert "nan" not in text and "inf" not in text
    with pysam.VariantFile(str(tmp_path / "out.vcf")) as file:
        statuses = [status for line in file for status in line.info["DNALM_STATUS"]]
    assert statuses == [row["status"] for row in rows]


def test_a_job_that_must_score_all_sees_what_is_not_finite(score, tmp_path):
    done = score("--fail-on-unscored")
    assert done.returncode == 1 and "not_finite" in done.stderr
    assert not (tmp_path / "out.tsv").exists()


def test_neither_a_track_nor_a_picture_nor_anndata_holds_it(run_script, overflowing, tmp_path):
    anndata = pytest.importorskip("anndata")
    (tmp_path / "x.fasta").write_text(">a\nACTGGCACT\n>b\nACTGGGACT\n")
    done = run_script(
        "embed.py", "--model", overflowing, "--input", "x.fasta", "--output", "x.h5ad", "--format", "h5ad"
    )
    assert done.returncode == 0, done.stderr
    embedded = anndata.read_h5ad(tmp_path / "x.h5ad")
    assert np.isfinite(embedded.X).all() and list(embedded.obs["id"]) == ["a"]
    assert embedded.uns["not_embedded"]["status"].tolist() == ["not_finite"]
    (tmp_path / "x.bed").write_text("a\t0\t9\n")
    inputs = ("--intervals", "x.bed", "--reference", "x.fasta", "--flank", 0, "--strand", "forward")
    outputs = ("--output", "m.tsv", "--track", "m.bw", "--report", "m.md", "--heatmap", "m.png")
    done = run_script("mutagenesis.py", "--model", overflowing, *inputs, *outputs)
    assert done.returncode == 0, done.stderr
    found = [row for row in read_table(tmp_path / "m.tsv") if row["status"] == "not_finite"]
    assert [(row["position"], row["alt"]) for row in found] == [("6", "G")]
    with pyBigWig.open(str(tmp_path / "m.bw")) as track:
        assert all(np.isfinite(value) for _, _, value in track.intervals("a"))
    assert "nan" not in (tmp_path / "m.md").read_text()


def test_numbers_too_large_for_16_bits_are_told(tmp_path):
    """Weights within the range of float16, and logits beyond it."""
    folder = random_models.save_family(tmp_path, "llama")
    weights = load_file(folder / "model.safetensors")
    weights["lm_head.weight"] *= 3e4
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    pairs = [(Record("a", "ACGTA", "ok"), Record("a", "ACGTC", "ok"))]
    for precision, status in (("float32", "ok"), ("float16", "not_finite")):
        rows = score_pairs(load_checkpoint(folder, precision), pairs)
        assert [row.status for row in rows] == [status]
