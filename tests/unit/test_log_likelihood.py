"""Log-likelihoods of embedded sequences, against one sequence at a time, log-softmax by numpy in float64."""

import math
import random

import numpy as np
import pytest
import torch
from Bio.Seq import reverse_complement

from conftest import ROOT, TEST_DATA, assert_refused, read_table
from dna_lm.embedding import source
from dna_lm.engine.encoder import Embedding
from dna_lm.engine.loading import load_checkpoint
from dna_lm.errors import UserError
from dna_lm.inputs.fasta import Record
from dna_lm.model.checkpoint import load_unchecked
from dna_lm.scoring.settings import Settings
from naive import Naive
from scored import embed, score_pairs

MODELS, ORACLES = TEST_DATA / "models", ROOT / "tests" / "oracles"
DEMO, HEADLESS, ESM = (MODELS / name for name in ("demo-mixtral", "headless-mixtral", "tiny-esm"))
rng = random.Random(5)
RECORDS = [
    Record(f"r{at}", "".join(rng.choices("ACGT", k=n)), "ok") for at, n in enumerate((6, 7, 12, 23, 23, 40, 41, 60, 90))
]
# Folder -> whether the model is causal, and bases of a token that a sequence is cut to fill.
KINDS = {
    "generator_v2": (True, 6),
    "carbon": (True, 1),
    "hyenadna": (True, 1),
    "dnabert1_k3": (False, 1),
    "nucleotide_transformer_v2_3mer": (False, 1),
    "caduceus_ps": (False, 1),
    "caduceus_ph": (False, 1),
}


def log_softmax(logits):
    logits = logits.double().cpu().numpy()
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


@torch.no_grad()
def naive_log_likelihood(model, ids, special, mask, is_causal):
    """The sum over the tokens that are not special, each from its own naive forward pass."""
    total = 0.0
    for position, token in enumerate(ids):
        if token in special or (is_causal and position == 0):
            continue
        if is_causal:
            logits = model(torch.tensor([ids[:position]], device=model.device)).logits[0, -1]
        else:
            masked = torch.tensor([[*ids[:position], mask, *ids[position + 1 :]]], device=model.device)
            logits = model(masked).logits[0, position]
        total += log_softmax(logits)[token]
    return total


def assert_close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-4)


@pytest.mark.parametrize("strand", ["forward", "reverse", "mean"])
@pytest.mark.parametrize("name", ["demo-mixtral", "tiny-gpt2", "tiny-mamba", "tiny-esm", "tiny-bert"])
def test_it_is_that_of_transformers_one_sequence_at_a_time(name, strand):
    loaded = load_checkpoint(MODELS / name)
    naive = Naive(MODELS / name, masked=not loaded.is_causal, dtype=torch.float64)
    for embedding in (Embedding(), Embedding("hidden", 1, "mean")):
        rows = embed(loaded, RECORDS, embedding, strand, log_likelihood=True)
        plain = embed(loaded, RECORDS, embedding, strand)
        for row, without, record in zip(rows, plain, RECORDS, strict=True):
            # The embedding is the same to the last bit.
            assert row.embedding.tobytes() == without.embedding.tobytes()
            expected = []
            for sequence in (record.sequence, reverse_complement(record.sequence)):
                ids = naive.ids(sequence)[0].tolist()
                mask = naive.tokenizer.mask_token_id
                expected.append(naive_log_likelihood(naive.model, ids, naive.special, mask, loaded.is_causal))
            expected = {"forward": expected[0], "reverse": expected[1], "mean": sum(expected) / 2}[strand]
            assert_close(row.log_likelihood, expected)
            assert_close(row.bits_per_base, -expected / math.log(2) / len(record.sequence))


@pytest.mark.parametrize("strand", ["forward", "reverse", "mean"])
@pytest.mark.parametrize("name", KINDS)
def test_it_is_that_of_kmers_and_families_of_the_suite(name, strand):
    """The whole model, without the engine; what is cut off is not counted as read."""
    is_causal, k = KINDS[name]
    loaded = load_checkpoint(ORACLES / name)
    checkpoint, model = load_unchecked(ORACLES / name, "float32")
    assert loaded.is_causal == is_causal
    rows = embed(loaded, RECORDS, Embedding("hidden", -1, "mean"), strand, log_likelihood=True)
    for row, record in zip(rows, RECORDS, strict=True):
        expected = []
        for reverse in (False, True):
            [ids] = checkpoint.tokenise([record.sequence], reverse)
            special, mask = checkpoint.special_token_ids, checkpoint.mask_token_id
            expected.append(naive_log_likelihood(model, ids, special, mask, is_causal))
        expected = {"forward": expected[0], "reverse": expected[1], "mean": sum(expected) / 2}[strand]
        assert_close(row.log_likelihood, expected)
        n_bases = len(record.sequence) // k * k
        assert_close(row.bits_per_base, -expected / math.log(2) / n_bases)


@pytest.mark.parametrize("name", ["demo-mixtral", "tiny-esm"])
def test_the_difference_of_two_is_the_ratio_of_the_pair(name):
    """Of a masked model where the length changes: for equal lengths it has another definition."""
    loaded = load_checkpoint(MODELS / name)
    both = list(zip(RECORDS[:-1], RECORDS[1:], strict=True))
    both = [pair for pair in both if len(pair[0].sequence) != len(pair[1].sequence)]
    ratios = [row.scores["llr"] for row in score_pairs(loaded, both, ("llr",))]
    found = {row.id: row.log_likelihood for row in embed(loaded, RECORDS, Embedding(), log_likelihood=True)}
    assert ratios == pytest.approx([found[b.id] - found[a.id] for a, b in both], abs=1e-9)


def run(run_script, tmp_path, *options, model=DEMO, records="messy.fasta"):
    done = run_script(
        *("embed.py", "--model", model, "--input", TEST_DATA / records, "--output", "out.tsv", "--log-likelihood"),
        *options,
    )
    assert done.returncode == 0, done.stderr
    return None if "h5ad" in options else read_table(tmp_path / "out.tsv")


def test_tables_and_anndata_have_it_before_the_vector(run_script, tmp_path):
    anndata = pytest.importorskip("anndata")
    rows = run(run_script, tmp_path)
    assert list(rows[0])[:8] == ["id", "status", "length", "tokens", "ends", "log_likelihood", "bits_per_base", "dim_1"]
    unread = [row for row in rows if row["status"] != "ok"]
    assert unread and all(row["log_likelihood"] == row["bits_per_base"] == "" for row in unread)
    run(run_script, tmp_path, "--format", "h5ad")
    data = anndata.read_h5ad(tmp_path / "out.tsv")
    assert list(data.obs) == ["id", "length", "tokens", "ends", "log_likelihood", "bits_per_base"]
    read = [float(row["log_likelihood"]) for row in rows if row["status"] == "ok"]
    assert list(data.obs["log_likelihood"]) == pytest.approx(read, rel=1e-8)


@pytest.mark.parametrize("model", [DEMO, ESM], ids=lambda path: path.name)
def test_padding_of_the_tutorial_does_not_change_it(run_script, tmp_path, model):
    plain = run(run_script, tmp_path, model=model, records="sequences.fasta")
    padded = run(run_script, tmp_path, "--tutorial", model=model, records="sequences.fasta")
    for name in ("log_likelihood", "bits_per_base"):
        assert [row[name] for row in padded] == [row[name] for row in plain]
    assert padded != plain


@pytest.mark.cpu
def test_batches_and_other_records_do_not_change_it():
    for folder in (DEMO, ESM):
        loaded = load_checkpoint(folder)
        rows = embed(loaded, RECORDS, Embedding(), log_likelihood=True)
        alone = [embed(loaded, [record], Embedding(), log_likelihood=True)[0] for record in RECORDS]
        assert [row.log_likelihood for row in rows] == [row.log_likelihood for row in alone]


def test_a_causal_model_computes_no_token_twice(run_script, tmp_path):
    (tmp_path / "one.fasta").write_text(">a\n" + "ACGTTGCA" * 20 + "\n")
    lines = []
    for more in ([], ["--log-likelihood"]):
        done = run_script("embed.py", "--model", DEMO, "--input", "one.fasta", "--output", "out.tsv", *more)
        lines += [line for line in done.stderr.splitlines() if "computed" in line]
    assert len(lines) == 2 and lines[0] == lines[1]


def test_a_model_without_a_head_or_a_mask_is_refused(run_script, tmp_path):
    arguments = "--input", TEST_DATA / "sequences.fasta", "--output", "out.tsv", "--representation", "hidden"
    done = run_script("embed.py", "--model", HEADLESS, *arguments, "--log-likelihood")
    message = "the log-likelihood needs the model's language-model head, .*: leave it out, or choose a checkpoint"
    assert_refused(done, message, tmp_path)


def test_a_long_record_of_a_masked_model_is_refused(run_script, tmp_path, monkeypatch):
    monkeypatch.setattr(source, "MOST_MASKED_TOKENS", 40)
    (tmp_path / "all.fasta").write_text(">short\nACGT\n>with_n\n" + "ACGN" * 100 + "\n>long\n" + "ACGT" * 100 + "\n")
    arguments = "--input", "all.fasta", "--output", "out.tsv", "--log-likelihood"
    done = run_script("embed.py", "--model", ESM, *arguments)
    message = r"record 'long' has \d+ tokens: the log-likelihood of a masked model takes one forward pass for each"
    assert_refused(done, message, tmp_path)
    assert run_script("embed.py", "--model", DEMO, *arguments).returncode == 0


def test_settings_ask_for_the_mask(monkeypatch):
    from dataclasses import replace

    loaded = replace(load_checkpoint(ESM), mask_token_id=None)
    with pytest.raises(UserError, match="the log-likelihood of a masked model needs its mask token"):
        Settings(log_likelihood=True).check(loaded)
    Settings(scores=()).check(loaded)
