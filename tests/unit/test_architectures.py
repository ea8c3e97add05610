"""Every architecture that docs/models.md names: layers, scores and their rounding, on small random models."""

import random
import re

import numpy as np
import pytest
import torch

import random_models
from conftest import ROOT
from dna_lm.engine import encoder, pooling
from dna_lm.engine.encoder import Budget, Embedding
from dna_lm.engine.loading import load_checkpoint
from dna_lm.errors import UserError
from dna_lm.inputs.fasta import Record
from naive import Naive
from scored import embed, score_pairs, scores_of

FAMILIES = random_models.CAUSAL_FAMILIES | random_models.MASKED_FAMILIES
# Relative to the largest number: what float32 may round otherwise in another order.
ROUNDING = 1e-5


@pytest.fixture(scope="module", params=FAMILIES)
def model(request, tmp_path_factory):
    """A family's name, its model loaded by the library, and read by transformers alone."""
    folder = random_models.save_family(tmp_path_factory.mktemp("model"), request.param)
    return request.param, load_checkpoint(folder), Naive(folder, masked=request.param in random_models.MASKED_FAMILIES)


def sequences_of(n, seed, longest=60):
    """Sequences of many lengths, shorter and longer than any limit in the models' settings."""
    letters = random.Random(seed)
    return ["".join(letters.choices("ACGT", k=letters.randint(1, longest))) for _ in range(n)]


def pairs_of(n, seed, longest=60):
    """A wild type with a base of its middle replaced, removed or added."""
    for number, wild_type in enumerate(sequences_of(n, seed, longest)):
        middle, base = len(wild_type) // 2, wild_type[len(wild_type) // 2]
        new = ["ACGT".replace(base, "")[number % 3], "", base + "A"][number % 3]
        mutant = wild_type[:middle] + new + wild_type[middle + 1 :] or "A"
        yield Record("p", wild_type, "ok"), Record("p", mutant, "ok")


def assert_close(found, expected):
    expected = np.asarray(expected)
    np.testing.assert_allclose(found, expected, rtol=ROUNDING, atol=ROUNDING * abs(expected).max())


def test_layers_are_what_enters_and_leaves_the_blocks(model):
    """Layer 0 is the input of the first block, layer k the output of block k, the last layer that of the trunk."""
    _, loaded, naive = model
    sequences = sequences_of(5, seed=1)
    for number in range(loaded.n_layers + 1):
        embedding = Embedding("hidden", number, "mean")
        found, _ = encoder.encode(loaded, loaded.tokenise(sequences), embedding, False, Budget())
        assert found.shape[1] == embedding.width(loaded)
        assert_close(found, [naive.embedding(sequence, "hidden", number, "mean") for sequence in sequences])
        counted_from_the_last = Embedding("hidden", number - loaded.n_layers - 1, "mean")
        again, _ = encoder.encode(loaded, loaded.tokenise(sequences), counted_from_the_last, False, Budget())
        np.testing.assert_array_equal(again, found)


def test_scores_are_those_of_transformers(model):
    _, loaded, naive = model
    pairs = list(pairs_of(6, seed=2, longest=60 if loaded.is_causal else 40))
    rows = score_pairs(loaded, pairs, ("l2", "llr"), batch_tokens=300)
    size = max(naive.embedding(wild_type.sequence).norm().item() for wild_type, _ in pairs)
    distances = [naive.l2(a.sequence, b.sequence) for a, b in pairs]
    np.testing.assert_allclose([row.scores["l2"] for row in rows], distances, rtol=ROUNDING, atol=ROUNDING * size)
    ratio = naive.causal_llr if loaded.is_causal else naive.masked_llr
    ratios = [ratio(a.sequence, b.sequence) for a, b in pairs]
    # A ratio is the difference of two sums of up to 60 log-probabilities.
    np.testing.assert_allclose([row.scores["llr"] for row in rows], ratios, rtol=ROUNDING, atol=2e-4)
    assert np.std(ratios) > 0.01


def bits_promised():
    """Family -> what docs/measurements.md promises for one thread and for several: `same bits` or `rounding`."""
    text = (ROOT / "docs" / "measurements.md").read_text()
    rows = re.findall(r"^\| (`.+`) \| (same bits|rounding) \| (same bits|rounding) \|$", text, re.MULTILINE)
    return {family: promises for families, *promises in rows for family in re.findall("`(.+?)`", families)}


def test_every_family_has_a_promise():
    assert bits_promised().keys() == FAMILIES.keys()


@pytest.fixture
def threads():
    """A function that sets the number of threads; the old number is restored after the test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def assert_same_scores(loaded, pairs, promise):
    """A pair has the same score in other batches: to the last bit or within rounding, as docs/measurements.md says."""
    rows = score_pairs(loaded, pairs, scores_of(loaded))
    order = random.Random(4).sample(range(len(pairs)), len(pairs))
    for batch_tokens, chosen in ((1, order[:6]), (100, order[:7]), (5000, order[5:])):
        again = score_pairs(loaded, [pairs[number] for number in chosen], scores_of(loaded), batch_tokens)
        for name in scores_of(loaded):
            found, expected = [row.scores[name] for row in again], [rows[number].scores[name] for number in chosen]
            if promise == "same bits":
                assert found == expected, name
            else:
                size = max(abs(row.scores[name]) for row in rows)
                np.testing.assert_allclose(found, expected, rtol=0, atol=ROUNDING * size)


def test_a_score_belongs_to_its_pair_on_one_thread(model, threads):
    family, loaded, _ = model
    threads(1)
    assert_same_scores(
        loaded, list(pairs_of(12, seed=3, longest=60 if loaded.is_causal else 40)), bits_promised()[family][0]
    )


@pytest.mark.parametrize(
    "family", [family for family, (_, several) in bits_promised().items() if several == "same bits"]
)
def test_a_score_belongs_to_its_pair_on_several_threads(family, tmp_path, threads):
    """With enough tokens for an activation's buffer to be divided between threads."""
    loaded = load_checkpoint(random_models.save_family(tmp_path, family))
    threads(3)
    assert_same_scores(loaded, list(pairs_of(16, seed=5, longest=400)), "same bits")


def test_experts_with_another_activation_keep_their_bits_on_one_thread(tmp_path, threads):
    loaded = load_checkpoint(random_models.save_family(tmp_path, "mixtral", hidden_act="gelu"))
    threads(1)
    assert_same_scores(loaded, list(pairs_of(16, seed=6)), "same bits")


def test_which_families_share_prefixes(model):
    family, loaded, _ = model
    assert (loaded.max_shared_tokens > 0) == (family in SHARING)


SHARING = {
    *("cohere", "deepseek_v3", "gemma", "gemma3_text", "gpt2", "gpt_bigcode", "gpt_neox", "granite", "llama"),
    *("mistral", "mixtral", "olmo", "olmo2", "olmoe", "opt", "phi", "qwen3", "qwen3_moe", "starcoder2"),
}


def test_a_sliding_or_chunked_window_limits_what_is_shared(tmp_path):
    for number, settings in enumerate(({"sliding_window": 40}, {"attention_chunk_size": 40})):
        folder = random_models.save_family(tmp_path / str(number), "mistral", **settings)
        assert load_checkpoint(folder).max_shared_tokens == 40


@pytest.mark.parametrize("attention_type", ["block_sparse", "original_full"])
def test_a_bigbird_reads_a_long_sequence_alike_after_a_short_one(tmp_path, attention_type):
    """Compared with a model that is loaded again for each sequence, of 500 bases too, where attention is sparse."""
    folder = random_models.save_family(
        tmp_path, "big_bird", attention_type=attention_type, block_size=16, max_position_embeddings=1024
    )
    loaded = load_checkpoint(folder)
    wild_type = "".join(random.Random(7).choices("ACGT", k=500))
    mutant = wild_type[:250] + "A" * 100 + wild_type[350:]
    long, short = (Record("l", wild_type, "ok"), Record("l", mutant, "ok")), (Record("s", "ACGTTG", "ok"),) * 2
    expected = Naive(folder, masked=True).l2(wild_type, mutant)
    assert expected > 0.1
    for pairs in ([long], [short, long], [long, short]):
        [distance] = [row.scores["l2"] for row in score_pairs(loaded, pairs, ("l2",)) if row.id == "l"]
        assert distance == pytest.approx(expected, rel=1e-3)


def test_layers_are_cut_to_the_sequence_where_the_trunk_pads_it(tmp_path):
    """A Longformer pads each sequence to a multiple of its window."""
    folder = random_models.save_family(tmp_path, "longformer", attention_window=[64] * 3)
    loaded, naive = load_checkpoint(folder), Naive(folder, masked=True)
    sequence = "".join(random.Random(8).choices("ACGT", k=75))
    for number in range(4):
        found, _ = encoder.encode(loaded, loaded.tokenise([sequence]), Embedding("hidden", number), False, Budget())
        assert_close(found[0], naive.embedding(sequence, "hidden", number))


def test_widths_are_those_of_the_output_not_of_the_settings(tmp_path):
    """An OPT's last layer is projected to the width of its token embeddings, 16, and its blocks have 32."""
    loaded = load_checkpoint(random_models.save_family(tmp_path, "opt"))
    for embedding, width in ((Embedding("hidden"), 16), (Embedding("hidden", 1), 32), (Embedding(), 9)):
        assert embedding.width(loaded) == width
        [row] = embed(loaded, [Record("a", "ACGTA", "ok")], embedding)
        assert row.embedding.shape == (width,)


@pytest.mark.parametrize(
    ("family", "settings", "message"),
    [
        ("doge", {"num_experts": 0}, "its output for a token depends on the tokens after it"),
        ("convbert", {"embedding_size": 16}, "does not tell padding from DNA"),
    ],
)
def test_an_architecture_is_refused_for_its_own_reason(tmp_path, monkeypatch, family, settings, message):
    masked = family == "convbert"
    monkeypatch.setitem(random_models.MASKED_FAMILIES if masked else random_models.CAUSAL_FAMILIES, family, settings)
    random_models.save_family(tmp_path, family)
    with pytest.raises(UserError, match=message):
        load_checkpoint(tmp_path)


def test_a_layer_that_cannot_be_told_is_refused(tmp_path, monkeypatch):
    """Flaubert keeps the parts of its blocks in several lists."""
    monkeypatch.setitem(
        random_models.MASKED_FAMILIES, "flaubert", {"emb_dim": 32, "n_layers": 3, "n_heads": 4, "is_encoder": True}
    )
    loaded = load_checkpoint(random_models.save_family(tmp_path, "flaubert"))
    for pool in pooling.POOLINGS:
        Embedding("hidden", -1, pool).check(loaded)
        with pytest.raises(UserError, match="only the last layer .-1. of this model can be read"):
            Embedding("hidden", 1, pool).check(loaded)
