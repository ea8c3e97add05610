"""The contract: a score belongs to its pair. Checked against one sequence at a time, and against other batches."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import TEST_DATA, save_random_mixtral
from dna_lm.engine import encoder, pooling, products
from dna_lm.engine.encoder import Budget, Embedding
from dna_lm.engine.loading import load_checkpoint
from dna_lm.inputs.fasta import Record
from naive import Naive
from scored import embed, random_pairs, score_pairs, scores_of

# One forward pass in float32 rounds otherwise than another: relative to the size of the numbers pooled.
ROUNDING = 1e-5


@pytest.fixture(scope="module")
def mixtral(random_mixtral):
    return load_checkpoint(random_mixtral), Naive(random_mixtral)


@pytest.fixture(scope="module")
def esm():
    folder = TEST_DATA / "models" / "tiny-esm"
    return load_checkpoint(folder), Naive(folder, masked=True)


@pytest.fixture(params=["mixtral", "esm"])
def model(request):
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("strand", ["forward", "reverse", "mean"])
@pytest.mark.parametrize("how_pooled", pooling.POOLINGS)
@pytest.mark.parametrize(("representation", "layer"), [("logits", -1), ("hidden", -1), ("hidden", 1), ("hidden", 0)])
def test_l2_equals_one_sequence_at_a_time(model, representation, layer, how_pooled, strand):
    loaded, naive = model
    pairs = list(random_pairs(12, seed=1))
    how = {"representation": representation, "layer": layer, "pooling": how_pooled}
    rows = score_pairs(loaded, pairs, ("l2",), embedding=Embedding(representation, layer, how_pooled), strand=strand)
    expected = [naive.l2(a.sequence, b.sequence, strand=strand, **how) for a, b in pairs]
    size = naive.embedding(pairs[0][0].sequence, **how).norm().item()
    np.testing.assert_allclose([row.scores["l2"] for row in rows], expected, rtol=ROUNDING, atol=ROUNDING * size)


@pytest.mark.parametrize("strand", ["forward", "reverse", "mean"])
def test_embeddings_equal_one_sequence_at_a_time(model, strand):
    loaded, naive = model
    records = [record for record, _ in random_pairs(10, seed=2)]
    for embedding in (Embedding(), Embedding("hidden", 2, "mean")):
        rows = embed(loaded, records, embedding, strand)
        for record, row in zip(records, rows, strict=True):
            expected = naive.embedding(
                record.sequence, embedding.representation, embedding.layer, embedding.pooling, strand
            ).numpy()
            assert row.embedding.shape == (embedding.width(loaded),)
            np.testing.assert_allclose(row.embedding, expected, rtol=ROUNDING, atol=ROUNDING * abs(expected).max())


def test_causal_llr_equals_the_sum_of_token_log_probabilities(mixtral):
    loaded, naive = mixtral
    pairs = list(random_pairs(30, seed=3))
    found = [row.scores["llr"] for row in score_pairs(loaded, pairs, ("llr",))]
    expected = [naive.causal_llr(a.sequence, b.sequence) for a, b in pairs]
    np.testing.assert_allclose(found, expected, rtol=ROUNDING, atol=2e-3)
    assert np.std(expected) > 1


def test_a_layer_and_the_ratio_come_in_one_run(mixtral):
    loaded, naive = mixtral
    pairs = list(random_pairs(8, seed=9))
    rows = score_pairs(loaded, pairs, ("l2", "llr"), embedding=Embedding("hidden", 1, "mean"))
    ratios = score_pairs(loaded, pairs, ("llr",))
    for row, ratio, (wild_type, mutant) in zip(rows, ratios, pairs, strict=True):
        assert row.scores["llr"] == ratio.scores["llr"]
        expected = naive.l2(wild_type.sequence, mutant.sequence, representation="hidden", layer=1, pooling="mean")
        assert row.scores["l2"] == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_masked_llr_equals_masking_one_sequence_at_a_time(esm):
    loaded, naive = esm
    pairs = list(random_pairs(15, seed=4, lengths=(1, 80)))
    found = [row.scores["llr"] for row in score_pairs(loaded, pairs, ("llr",), batch_tokens=100)]
    expected = [naive.masked_llr(a.sequence, b.sequence) for a, b in pairs]
    np.testing.assert_allclose(found, expected, rtol=ROUNDING, atol=1e-4)
    assert np.std(expected) > 0.01


def test_all_scores_in_one_run_equal_their_definitions(mixtral):
    loaded, naive = mixtral
    pairs = list(random_pairs(10, seed=5))
    for row, (wild_type, mutant) in zip(score_pairs(loaded, pairs, scores_of(loaded)), pairs, strict=True):
        a, b = naive.embedding(wild_type.sequence), naive.embedding(mutant.sequence)
        near = {"rel": 1e-4, "abs": 1e-3}
        assert row.scores["l1"] == pytest.approx((a - b).abs().sum().item(), **near)
        assert row.scores["inner_product"] == pytest.approx(torch.dot(a, b).item(), **near)
        cosine = torch.nn.functional.cosine_similarity(a, b, dim=0).item()
        assert row.scores["cosine_distance"] == pytest.approx(1 - cosine, abs=1e-6)


@pytest.mark.cpu
@settings(max_examples=8, deadline=None)
@given(st.integers(1, 3000), st.data())
def test_a_score_belongs_to_its_pair(model_and_pairs, batch_tokens, data):
    """The same pair gets the same score to the last bit, in any order, any split and any token budget."""
    loaded, pairs, rows = model_and_pairs
    order = data.draw(st.permutations(range(len(pairs))))
    order = order[: data.draw(st.integers(1, len(order)))]
    found = score_pairs(loaded, [pairs[number] for number in order], scores_of(loaded), batch_tokens=batch_tokens)
    for number, row in zip(order, found, strict=True):
        assert row == rows[number]


@pytest.fixture(scope="module", params=["mixtral", "esm"])
def model_and_pairs(request):
    loaded, _ = request.getfixturevalue(request.param)
    pairs = list(random_pairs(16, seed=6, lengths=(1, 60)))
    return loaded, pairs, score_pairs(loaded, pairs, scores_of(loaded))


def test_long_logits_pooled_in_slices_equal_the_whole(random_mixtral, monkeypatch):
    loaded, naive = load_checkpoint(random_mixtral), Naive(random_mixtral)
    monkeypatch.setitem(pooling._SLICES, "cpu", (7, 2**22))
    pairs = list(random_pairs(12, seed=7))
    for how in pooling.POOLINGS:
        rows = score_pairs(loaded, pairs, ("l2", "llr"), embedding=Embedding(pooling=how))
        expected = [naive.l2(a.sequence, b.sequence, pooling=how) for a, b in pairs]
        np.testing.assert_allclose([row.scores["l2"] for row in rows], expected, rtol=1e-4, atol=1e-3)
        ratios = [naive.causal_llr(a.sequence, b.sequence) for a, b in pairs]
        np.testing.assert_allclose([row.scores["llr"] for row in rows], ratios, rtol=1e-5, atol=2e-3)


def test_identical_sequences_are_computed_once(model, monkeypatch):
    """Counted in tokens that the trunk reads: those of one sequence, padded to the rows of a matrix product."""
    loaded, _ = model
    read = []
    trunk = loaded.trunk.forward
    monkeypatch.setattr(loaded.trunk, "forward", lambda ids, **how: read.append(ids.numel()) or trunk(ids, **how))
    [tokens] = loaded.tokenise(["ACGTTGACCATG" * 4])
    budget = Budget()
    embeddings, _ = encoder.encode(loaded, [tokens] * 50, Embedding(), False, budget)
    assert len(read) == 1 and len(tokens) <= read[0] < len(tokens) + products.ROWS
    assert (budget.given, budget.computed) == (50 * len(tokens), len(tokens))
    assert embeddings.shape[0] == 50 and len(np.unique(embeddings, axis=0)) == 1


def test_every_expert_and_every_choice_is_used(random_mixtral, tmp_path):
    """Our products per expert equal transformers' own loop, also when some expert gets no token."""
    from transformers import AutoModelForCausalLM

    for folder in (random_mixtral, save_random_mixtral(tmp_path, num_experts_per_tok=1, num_local_experts=8)):
        model = AutoModelForCausalLM.from_pretrained(folder).eval()
        ids = torch.tensor(load_checkpoint(folder).tokenise(["ACGTTTGCA", "GGGTTTGCA"])[0])[None]
        with torch.no_grad():
            model.set_experts_implementation("eager")
            expected = model(ids).logits
            model.set_experts_implementation(products.NAME)
            torch.testing.assert_close(model(ids).logits, expected, rtol=1e-5, atol=1e-4)


def test_lower_precision_stays_close(random_mixtral):
    pairs = list(random_pairs(40, seed=8))
    exact = [row.scores["l2"] for row in score_pairs(load_checkpoint(random_mixtral), pairs, ("l2",))]
    for precision, tolerance in (("bfloat16", 0.2), ("float16", 0.03)):
        rough = [row.scores["l2"] for row in score_pairs(load_checkpoint(random_mixtral, precision), pairs, ("l2",))]
        assert rough != exact
        assert np.median(np.abs(np.subtract(rough, exact))) < tolerance * np.median(exact)


def test_too_long_rows_keep_their_place(mixtral):
    loaded, _ = mixtral
    good, long = Record("a", "ACGTTT", "ok"), Record("b", "ACGT" * 400, "ok")
    rows = score_pairs(loaded, [(good, good), (long, good), (Record("c", "ACN", "invalid_base"), good)])
    assert [(row.id, row.status, row.scores["l2"]) for row in rows] == [
        ("a", "ok", 0.0),
        ("b", "too_long", None),
        ("c", "invalid_base", None),
    ]
    # Whether what is too long is tokenised depends on its length: its tokens are not counted.
    assert [(row.counts.wt_tokens, row.counts.mut_tokens) for row in rows[1:]] == [(None, None)] * 2
