"""Known answers of published models: tokens of tokenizers that are here, and the check of a model."""

from collections import Counter

import pytest
import torch

from conftest import ROOT, TEST_DATA, read_table
from dna_lm.engine.loading import load_checkpoint
from dna_lm.known import answers
from dna_lm.model.checkpoint import load_unchecked

MODELS, ORACLES = TEST_DATA / "models", ROOT / "tests" / "oracles"
# Models whose published tokenizer is that of a folder here.
TOKENIZED = {
    "togethercomputer/evo-1-8k-base": ORACLES / "evo1",
    "arcinstitute/evo2_7b": ORACLES / "evo2",
    "LongSafari/hyenadna-tiny-1k-seqlen-hf": ORACLES / "hyenadna",
    "kuleshov-group/caduceus-ps_seqlen-131k_d_model-256_n_layer-16": ORACLES / "caduceus_ps",
    "kuleshov-group/caduceus-ph_seqlen-131k_d_model-256_n_layer-16": ORACLES / "caduceus_ph",
    "kuleshov-group/PlantCAD2-Small-l24-d0768": ORACLES / "plantcad2",
    "genbio-ai/AIDO.DNA-300M": ORACLES / "aido_dna",
    "GenerTeam/GENERator-v2-eukaryote-1.2b-base": ORACLES / "generator_v2",
    "InstaDeepAI/nucleotide-transformer-v2-50m-multi-species": ORACLES / "nucleotide_transformer_v2",
    "InstaDeepAI/nucleotide-transformer-v2-50m-3mer-multi-species": ORACLES / "nucleotide_transformer_v2_3mer",
    "GenerTeam/GENERator-eukaryote-1.2b-base": ORACLES / "generator_v1",
    "HuggingFaceBio/Carbon-3B": ORACLES / "carbon",
}


@pytest.mark.parametrize("model_id", TOKENIZED)
def test_the_tokens_of_each_piece_of_dna_are_those_published(model_id):
    checkpoint, _ = load_unchecked(TOKENIZED[model_id], "float32")
    known = answers.answers(model_id)
    sequences = answers.probes()
    assert known.keys() == sequences.keys() and len(known) == 32
    counts = {probe: len(answers.token_ids(checkpoint, sequence)) for probe, sequence in sequences.items()}
    assert counts == {probe: answer.tokens for probe, answer in known.items()}


def test_there_are_answers_of_most_models():
    assert len(answers.known_models()) > 90


@pytest.mark.parametrize(("name", "stride"), [("demo-mixtral", 0), ("tiny-esm", 6), ("tiny-esm", 1)])
@torch.inference_mode()
def test_sums_are_those_of_the_definition(name, stride):
    """Token by token, with the whole model."""
    loaded = load_checkpoint(MODELS / name)
    _, model = load_unchecked(MODELS / name, "float32")
    ids = answers.token_ids(loaded, next(iter(answers.probes().values()))[:90])
    assert not set(ids) & loaded.special_token_ids
    total = 0.0
    for at, token in enumerate(ids):
        if loaded.is_causal:
            given, place = ids[:at], at - 1
            if not given:
                continue
        else:
            given = [loaded.mask_token_id if n % stride == at % stride else other for n, other in enumerate(ids)]
            given = given if stride > 1 else [loaded.mask_token_id if n == at else t for n, t in enumerate(ids)]
            place = at
        total += torch.log_softmax(model(torch.tensor([given])).logits[0, place].double(), -1)[token].item()
    found = answers.log_likelihood(loaded, ids, stride if stride != 1 else len(ids))
    assert found == pytest.approx(total, rel=1e-5)


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Answers of `demo/mixtral`, made here: those of the demonstration model, changed by a function."""

    def make(change=lambda total: total):
        model = load_checkpoint(MODELS / "demo-mixtral")
        known = {}
        for probe, sequence in answers.probes().items():
            ids = answers.token_ids(model, sequence)
            known[probe] = answers.Answer(len(ids), 0, change(answers.log_likelihood(model, ids)))
        real = answers.answers
        monkeypatch.setattr(answers, "answers", lambda name: known if name == "demo/mixtral" else real(name))

    return make


@pytest.mark.parametrize(
    ("change", "verdict", "conclusion"),
    [
        (lambda total: total, "as published", "this is the published model"),
        (lambda total: total * 1.004, "as published in 16 bits", "this is the published model"),
        (lambda total: total * 1.05, "another number", "this is NOT the published model"),
    ],
)
def test_the_verdict_is_in_words(run_script, tmp_path, stand_in, change, verdict, conclusion):
    stand_in(change)
    done = run_script("check_model.py", MODELS / "demo-mixtral", "--model", "demo/mixtral", "--output", "out.tsv")
    assert done.returncode == 0 and f"demo/mixtral: {conclusion}: 32 pieces of DNA: {verdict} 32" in done.stderr
    rows = read_table(tmp_path / "out.tsv")
    assert Counter(row["verdict"] for row in rows) == {verdict: 32}
    for row in rows:
        found, published, difference = (
            float(row[name]) for name in ("log_likelihood", "published_log_likelihood", "difference")
        )
        assert difference == pytest.approx(found - published, abs=1e-3)
    assert "are more likely to the model than their bases in random order" in done.stderr


def test_a_model_given_another_id_is_told_apart(run_script):
    done = run_script("check_model.py", MODELS / "demo-mixtral", "--model", "RaphaelMourad/Mistral-DNA-v1-1M-hg38")
    assert "this is NOT the published model" in done.stderr


def test_an_unknown_id_is_one_line(run_script):
    done = run_script("check_model.py", MODELS / "demo-mixtral", "--model", "x/y")
    assert done.returncode == 1 and "error: no answers of the model 'x/y' are known" in done.stderr


def test_the_folder_may_say_the_id(tmp_path):
    for name in (
        "arcinstitute--evo2_7b",
        "arcinstitute--evo2_7b_0123456789ab",
        "models--arcinstitute--evo2_7b/snapshots/x",
    ):
        assert answers.id_of(tmp_path / name) == "arcinstitute/evo2_7b"
    assert answers.id_of(tmp_path / "arcinstitute--evo2_7b_base_0123") == "arcinstitute/evo2_7b_base"
    copy = "LongSafari--hyenadna-tiny-1k-seqlen-hf"
    for name in (copy, f"{copy}_0123", f"models--{copy}/snapshots/x"):
        assert answers.id_of(tmp_path / name) == "LongSafari/hyenadna-tiny-1k-seqlen"
    assert answers.id_of(tmp_path / "mine") is None
