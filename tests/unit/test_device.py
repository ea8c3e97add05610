"""What a GPU would be given, without one: a device that holds no numbers takes its place.

torch's `meta` device has shapes only. It refuses a tensor of another device, and every operation whose result the host
would have to wait for. What passes here waits only for the copies that the tests below allow. Speed is not tested.
"""

from dataclasses import replace
from itertools import product

import pytest
import torch

from conftest import ROOT, TEST_DATA
from dna_lm.engine import attention, encoder, likelihood
from dna_lm.engine.encoder import Budget, Embedding
from dna_lm.engine.pooling import POOLINGS
from dna_lm.errors import UserError
from dna_lm.model import internals, lengths
from dna_lm.model.checkpoint import load_unchecked
from dna_lm.model.tokens import base_tokens

SEQUENCES = ["ACGTTGACCATGGTTCAGAA", "ACGTTGACCAAGGTTCAGAA", "GGTTGACCATGACGTTTACA", "GGTTGACCATGACG"]
FOLDERS = sorted(
    [path for path in (TEST_DATA / "models").iterdir() if path.name != "headless-mixtral"]
    + list((ROOT / "tests" / "oracles").iterdir())
)
# In float32, torch's product for all experts waits for the number of each one's tokens, on a GPU too.
WAITING = {("demo-mixtral", "float32")}
CASES = [(folder, name) for folder in FOLDERS for name in ("float32", "bfloat16") if (folder.name, name) not in WAITING]


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0].name}-{case[1]}")
def checkpoint(request, monkeypatch):
    """A checkpoint on the device without numbers; without the checks of a loaded model, which read numbers."""
    monkeypatch.setenv("DNA_LM_DEVICE", "meta")
    checkpoint, model = load_unchecked(*request.param)
    shares = checkpoint.is_causal and checkpoint.has_mask and internals.replace_attention(model, attention.NAME)
    if request.param[0].name.startswith(("gpn", "ntv3", "phylogpn")):
        # It arranges its weights when it first reads something, which `meta` allows outside of inference mode only.
        checkpoint.trunk(torch.zeros((1, 8), dtype=torch.long, device="meta"))
    return replace(checkpoint, max_shared_tokens=lengths.max_shared_tokens(model.config) if shares else 0)


@pytest.fixture
def copies(monkeypatch):
    """The shapes of what is copied to the host, in order; the host gets zeros."""
    shapes = []

    def copy(tensor):
        assert tensor.device.type == "meta"
        shapes.append(tuple(tensor.shape))
        return torch.zeros(tensor.shape, dtype=tensor.dtype)

    monkeypatch.setattr(torch.Tensor, "cpu", copy)
    return shapes


def one_batch(checkpoint):
    """Token ids of sequences that go through the model together."""
    lists = [tuple(ids[: checkpoint.max_tokens]) for ids in checkpoint.tokenise(SEQUENCES)]
    return sorted({ids for ids in lists if checkpoint.max_shared_tokens or len(ids) == len(lists[0])})


def test_the_host_gets_the_embeddings_of_a_batch_and_nothing_else(checkpoint, copies):
    ids = one_batch(checkpoint)
    layer_of_hidden = 1 if checkpoint.blocks else -1
    for (representation, layer), pooling in product([("logits", -1), ("hidden", layer_of_hidden)], POOLINGS):
        copies.clear()
        embedding = Embedding(representation, layer, pooling)
        embeddings, _ = encoder.encode(checkpoint, ids, embedding, False, Budget(10**6))
        assert copies == [embeddings.shape] and len(embeddings) == len(ids)


def test_the_host_gets_a_number_for_each_predicted_token(checkpoint, copies):
    ids = one_batch(checkpoint)
    if checkpoint.is_causal:
        encoder.encode(checkpoint, ids, None, True, Budget(10**6))
        expected = len(encoder.PrefixTree(ids, checkpoint.max_shared_tokens > 0).ids)
    else:
        wild_type, mutant, changed = ids[0], list(ids[0]), len(ids[0]) // 2
        mutant[changed] = (mutant[changed] + 1) % checkpoint.vocabulary_size
        likelihood.masked_log_likelihood_ratios(checkpoint, [(wild_type, mutant)], [True], Budget(10**6))
        expected = 2
    [[n_numbers]] = copies
    assert 0 < n_numbers <= expected


def test_the_host_gets_four_numbers_for_each_base_that_is_predicted(checkpoint, copies):
    try:
        tokens = base_tokens.find(checkpoint, "this test")
    except UserError:
        return  # tokens that are no k-mers show no single bases
    encoder.encode_and_predict(checkpoint, one_batch(checkpoint), None, False, Budget(10**6), tokens)
    assert {shape[-1] for shape in copies} == {4}
