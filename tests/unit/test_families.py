"""Every family of architectures: the scores equal transformers' own class, one sequence at a time."""

import dataclasses
import json
import random
import shutil

import numpy as np
import pytest
import torch

from conftest import TEST_DATA
from dna_lm.engine import encoder, pooling
from dna_lm.engine.encoder import Budget, Embedding
from dna_lm.engine.loading import load_checkpoint
from dna_lm.inputs.fasta import Record
from naive import Naive
from scored import assert_same_bits, random_pairs, score_pairs

ROUNDING = 1e-5
CAUSAL = ["tiny-mistral", "tiny-llama", "tiny-gpt-neox", "tiny-gpt2", "tiny-mamba"]
MASKED = ["tiny-bert", "tiny-modernbert", "tiny-esm"]


@pytest.fixture(scope="module", params=CAUSAL + MASKED)
def model(request):
    folder = TEST_DATA / "models" / request.param
    return load_checkpoint(folder), Naive(folder, masked=request.param in MASKED)


def pairs_of(n, seed, longest=100):
    """Pairs with a change, long enough for every family's tokens."""
    return random_pairs(n, seed, (8, longest), removed=(1, 1, 1, 3), added=(1, 1, 1, 4))


@pytest.mark.parametrize("how_pooled", pooling.POOLINGS)
@pytest.mark.parametrize(("representation", "layer"), [("logits", -1), ("hidden", -1), ("hidden", 1), ("hidden", 0)])
def test_l2_equals_one_sequence_at_a_time(model, representation, layer, how_pooled):
    loaded, naive = model
    pairs = list(pairs_of(12, seed=1))
    how = {"representation": representation, "layer": layer, "pooling": how_pooled}
    rows = score_pairs(loaded, pairs, ("l2",), embedding=Embedding(representation, layer, how_pooled), strand="mean")
    expected = [naive.l2(a.sequence, b.sequence, strand="mean", **how) for a, b in pairs]
    size = naive.embedding(pairs[0][0].sequence, **how).norm().item()
    np.testing.assert_allclose([row.scores["l2"] for row in rows], expected, rtol=ROUNDING, atol=ROUNDING * size)


def test_llr_equals_one_sequence_at_a_time(model):
    loaded, naive = model
    pairs = list(pairs_of(12, seed=2, longest=60))
    found = [row.scores["llr"] for row in score_pairs(loaded, pairs, ("llr",), batch_tokens=300)]
    ratio = naive.causal_llr if loaded.is_causal else naive.masked_llr
    expected = [ratio(a.sequence, b.sequence) for a, b in pairs]
    np.testing.assert_allclose(found, expected, rtol=ROUNDING, atol=1e-4)
    assert np.std(expected) > 0.01


def test_a_score_belongs_to_its_pair(model, one_thread):
    """A score is the same to the last bit, whatever other pairs are in the batch.

    With several threads torch's GELU of ModernBERT rounds the end of each thread's share otherwise, by some 1e-7.
    """
    loaded, _ = model
    assert_same_bits(loaded, list(pairs_of(16, seed=3, longest=60)))


def edited(name, folder, **changes):
    """A copy of a tiny model with other settings, whose weights stay as they are."""
    shutil.copytree(TEST_DATA / "models" / name, folder, dirs_exist_ok=True)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))
    return folder


ROTARY = {
    "dynamic": {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 10000.0},
    "longrope": {
        "rope_type": "longrope",
        "rope_theta": 10000.0,
        "original_max_position_embeddings": 20,
        "factor": 2.0,
        "short_factor": [1.0] * 4,
        "long_factor": [3.0] * 4,
    },
}


@pytest.mark.parametrize("kind", ROTARY)
def test_positions_stretched_by_length_are_those_of_the_sequence_alone(tmp_path, kind):
    """What dynamic rotary embeddings keep of the longest sequence before must not reach the next one."""
    folder = edited("tiny-llama", tmp_path, rope_parameters=ROTARY[kind], max_position_embeddings=20)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(config | {"model_max_length": 200}))
    loaded = load_checkpoint(folder)
    loaded = dataclasses.replace(loaded, max_tokens=200)
    for length in (12, 150, 40, 12):
        sequence = "".join(random.Random(length).choices("ACGT", k=length))
        embeddings, _ = encoder.encode(loaded, loaded.tokenise([sequence]), Embedding(), False, Budget())
        # A new one each time: transformers' own keeps the longest too.
        expected = Naive(folder).embedding(sequence).numpy()
        np.testing.assert_allclose(embeddings[0], expected, rtol=ROUNDING, atol=ROUNDING * abs(expected).max())


def test_positions_that_are_learned_and_numbered_after_the_padding(tmp_path):
    """Nucleotide Transformer v1: ESM with a table of positions. The longest sequence is read, one more is too long."""
    from transformers import EsmForMaskedLM

    torch.manual_seed(0)
    source = TEST_DATA / "models" / "tiny-esm"
    shutil.copytree(source, tmp_path, dirs_exist_ok=True)
    config = EsmForMaskedLM.config_class.from_pretrained(source)
    config.position_embedding_type, config.max_position_embeddings = "absolute", 22
    EsmForMaskedLM(config).save_pretrained(tmp_path, save_original_format=False)
    loaded, naive = load_checkpoint(tmp_path), Naive(tmp_path, masked=True)
    assert loaded.max_tokens == 20
    longest = "ACGTTG" * 19
    pairs = [(Record("a", longest, "ok"), Record("a", longest[:-1] + "C", "ok"))]
    row = score_pairs(loaded, pairs, ("l2",))[0]
    assert row.counts.wt_tokens == 20
    assert row.scores["l2"] == pytest.approx(naive.l2(longest, longest[:-1] + "C"), rel=1e-4)
    longer = Record("b", longest + "A", "ok")
    assert score_pairs(loaded, [(longer, longer)], ("l2",))[0].status == "too_long"


@pytest.mark.parametrize("name", MASKED)
def test_the_masked_ratio_is_that_of_gpn_and_esm(name):
    """GPN and ESM: mask the token of the variant in the reference, logit of the alternate token minus the reference's.

    Their tokens are single letters; with k-mers every token that holds the base is the variant's.
    """
    folder = TEST_DATA / "models" / name
    loaded, naive = load_checkpoint(folder), Naive(folder, masked=True)
    reference = "".join(random.Random(5).choices("ACGT", k=60))
    middle = len(reference) // 2
    for base in "ACGT".replace(reference[middle], ""):
        alternate = reference[:middle] + base + reference[middle + 1 :]
        ids, changed = naive.ids(reference), naive.ids(alternate)
        places = (ids != changed)[0].nonzero()[:, 0]
        masked = ids.index_fill(1, places, naive.tokenizer.mask_token_id)
        with torch.no_grad():
            logits = naive.model(input_ids=masked).logits[0, places]
        rows = torch.arange(len(places))
        expected = (logits[rows, changed[0, places]] - logits[rows, ids[0, places]]).sum().item()
        row = score_pairs(loaded, [(Record("v", reference, "ok"), Record("v", alternate, "ok"))], ("llr",))[0]
        assert row.scores["llr"] == pytest.approx(expected, rel=1e-4, abs=1e-5)
        assert row.counts.changed_tokens == len(places) == {"tiny-bert": 3}.get(name, 1)


def test_a_vocabulary_of_esm_is_read_as_transformers_reads_it(tmp_path):
    """The Nucleotide Transformer has a list of tokens and no tokenizer.json."""
    from transformers import AutoTokenizer

    shutil.copytree(TEST_DATA / "models" / "tiny-esm", tmp_path, dirs_exist_ok=True)
    tokenizer = json.loads((tmp_path / "tokenizer.json").read_text())
    vocabulary = sorted(tokenizer["model"]["vocab"], key=tokenizer["model"]["vocab"].get)
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "vocab.txt").write_text("\n".join(vocabulary))
    for eos in (None, "<eos>"):
        names = {"tokenizer_class": "EsmTokenizer", "eos_token": eos, "model_max_length": 100, "cls_token": "<cls>"}
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(names))
        loaded, expected = load_checkpoint(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
        sequences = ["".join(random.Random(n).choices("ACGT", k=n)) for n in range(1, 80)]
        assert loaded.tokenise(sequences) == [expected(sequence)["input_ids"] for sequence in sequences]
        assert loaded.max_tokens == 100 and loaded.mask_token_id == vocabulary.index("<mask>")
    assert loaded.tokenise(["ACGTTGCAAC"]) == [[vocabulary.index(t) for t in ("<cls>", "ACGTTG", *"CAAC", "<eos>")]]


def test_roles_of_special_tokens_are_found_without_the_tokenizers_settings(tmp_path):
    """As a user brings a model in three files of a history."""
    for name in ("tiny-bert", "tiny-mistral"):
        folder = edited(name, tmp_path / name)
        before = load_checkpoint(folder)
        (folder / "tokenizer_config.json").unlink()
        after = load_checkpoint(folder)
        assert after.special_token_ids == before.special_token_ids == set(range(5))
        assert after.mask_token_id == before.mask_token_id
        pairs = list(pairs_of(3, seed=6))
        assert score_pairs(after, pairs, ("llr",)) == score_pairs(before, pairs, ("llr",))


def test_which_families_share_prefixes():
    shares = {name: bool(load_checkpoint(TEST_DATA / "models" / name).max_shared_tokens) for name in CAUSAL + MASKED}
    assert shares == dict.fromkeys(CAUSAL + MASKED, False) | dict.fromkeys(CAUSAL, True) | {"tiny-mamba": False}


def test_the_class_that_a_checkpoint_was_saved_with_tells_its_direction(tmp_path):
    for declared, is_decoder, causal in (
        ("BertForMaskedLM", False, False),
        ("BertModel", False, False),
        ("BertLMHeadModel", True, True),
        ("BertModel", True, True),
    ):
        folder = edited("tiny-bert", tmp_path, architectures=[declared], is_decoder=is_decoder)
        assert load_checkpoint(folder).is_causal == causal
