"""The models of test-data/: trained or random as they say, small, safe to load; their tokenizers cut as promised."""

import functools
import json
import math
from collections import Counter
from pathlib import Path

import pytest
import torch
import transformers
from Bio import SeqIO
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open

from conftest import ROOT, TEST_DATA

MODELS = TEST_DATA / "models"
FILES = {"README.md", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
CLASSES = {
    "demo-mixtral": transformers.AutoModelForCausalLM,
    "tiny-esm": transformers.AutoModelForMaskedLM,
    "headless-mixtral": transformers.AutoModelForSequenceClassification,
}

every_model = pytest.mark.parametrize("name", CLASSES)
dna = st.text("ACGT", min_size=1, max_size=80)


@functools.cache
def load_tokenizer(name):
    return transformers.PreTrainedTokenizerFast.from_pretrained(MODELS / name)


def log2_probabilities(logits):
    """log2 of the softmax of one row of logits, in plain Python floats."""
    logits = [float(logit) for logit in logits]
    largest = max(logits)
    total = sum(math.exp(logit - largest) for logit in logits)
    return [(logit - largest - math.log(total)) / math.log(2) for logit in logits]


def naive_kmers(sequence):
    tokens = []
    while sequence:
        size = 6 if len(sequence) >= 6 and "N" not in sequence[:6] else 1
        tokens.append(sequence[:size])
        sequence = sequence[size:]
    return tokens


@pytest.fixture(scope="module")
def bits_per_base():
    """The demonstration model's loss on windows of the sequence held out from training, and those windows."""
    windows = [str(record.seq) for record in SeqIO.parse(TEST_DATA / "snv_wild_type.fasta", "fasta")]
    tokenizer = load_tokenizer("demo-mixtral")
    model = transformers.AutoModelForCausalLM.from_pretrained(MODELS / "demo-mixtral", dtype=torch.float32).eval()
    bits = 0.0
    for window in windows:
        ids = tokenizer(window)["input_ids"]
        with torch.inference_mode():
            logits = model(torch.tensor([ids])).logits[0]
        # The first token is [CLS] and the last is [SEP]: both are read, neither is a target.
        for place in range(1, len(ids) - 1):
            bits -= log2_probabilities(logits[place - 1])[ids[place]]
    return bits / sum(map(len, windows)), windows


def test_demo_model_beats_the_best_order_0_model_of_unseen_windows(bits_per_base):
    # No order-0 model does better on these windows than the one of their own base frequencies, so neither does one of
    # the training bases.
    bits, windows = bits_per_base
    counts = Counter("".join(windows))
    order_0 = -sum(count / counts.total() * math.log2(count / counts.total()) for count in counts.values())
    assert bits < order_0 - 0.05


def test_demo_model_page_gives_the_loss_that_the_model_has(bits_per_base):
    """The README's figure is for all held-out windows, this one for some: by chance a few hundredths apart."""
    page = (MODELS / "demo-mixtral" / "README.md").read_text()
    rows = [[cell.strip(" *") for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.count("|") == 4]
    losses = {name: tuple(map(float, columns)) for name, *columns in rows if columns[0].startswith(("1.", "2."))}
    bits, _ = bits_per_base
    assert losses["this model"][0] == pytest.approx(bits, abs=0.1)
    (order_0, new_order_0), (order_5, new_order_5), (model, new_model) = (
        losses[name] for name in ("order-0 Markov", "order-5 Markov", "this model")
    )
    assert order_5 < order_0 < 2.1 and new_order_5 < new_order_0 < 2.1
    assert f"On all windows it {verdict(model, order_0, order_5)}." in page
    assert f"it {verdict(new_model, new_order_0, new_order_5)}. The difference" in page.replace("\n", " ")
    assert "not for science" in page


def verdict(model, order_0, order_5):
    beaten = [name for name, bits in (("order 0", order_0), ("order 5", order_5)) if model < bits]
    return f"beats {' and '.join(beaten)}" if beaten else "beats neither"


def test_demo_model_is_of_the_tutorials_family():
    settings = json.loads((MODELS / "demo-mixtral" / "config.json").read_text())
    assert settings["architectures"] == ["MixtralForCausalLM"]
    assert (settings["bos_token_id"], settings["eos_token_id"], settings["pad_token_id"]) == (1, 2, 3)
    assert (settings["num_local_experts"], settings["num_experts_per_tok"]) == (8, 1)
    assert settings["tie_word_embeddings"] is False
    tokens = load_tokenizer("demo-mixtral").convert_ids_to_tokens(range(9))
    assert tokens == ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]", "A", "C", "G", "T"]


@given(dna)
def test_demo_tokens_are_the_sequence_between_cls_and_sep(sequence):
    first, *tokens, last = load_tokenizer("demo-mixtral").tokenize(sequence, add_special_tokens=True)
    assert (first, last) == ("[CLS]", "[SEP]")
    assert "".join(tokens) == sequence


@given(st.text("ACGTN", max_size=80))
def test_esm_tokens_are_6_mers_from_the_left(sequence):
    tokens = load_tokenizer("tiny-esm").tokenize(sequence, add_special_tokens=True)
    assert tokens == ["<cls>", *naive_kmers(sequence)]


def test_esm_vocabulary_is_the_nucleotide_transformers():
    tokenizer = load_tokenizer("tiny-esm")
    tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    assert tokens[:6] == ["<unk>", "<pad>", "<mask>", "<cls>", "AAAAAA", "AAAAAT"]
    assert tokens[4 + 4**6 :] == ["A", "T", "C", "G", "N", "<eos>", "<bos>"]
    assert tokenizer("R")["input_ids"] == [3, tokenizer.unk_token_id]


@every_model
def test_loads_whole(name):
    _, report = CLASSES[name].from_pretrained(MODELS / name, output_loading_info=True)
    assert not any(report.values()), report
    assert load_tokenizer(name).pad_token_id == json.loads((MODELS / name / "config.json").read_text())["pad_token_id"]


@every_model
def test_is_small_and_safe(name):
    files = list((MODELS / name).iterdir())
    assert {file.name for file in files} == FILES
    for file in files:
        assert file.stat().st_size < 1_000_000
        if file.suffix != ".safetensors":
            assert not any(place in file.read_text() for place in ("auto_map", str(ROOT), str(Path.home())))


def test_headless_model_has_a_classifier_and_no_language_model_head():
    with safe_open(MODELS / "headless-mixtral" / "model.safetensors", "pt") as weights:
        names = set(weights.keys())
    assert "score.weight" in names
    assert not any("lm_head" in name for name in names)
