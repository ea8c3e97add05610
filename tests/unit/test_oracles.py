"""Families of the suite's own: the numbers of their authors' own code, on tiny models in the published format."""

import json

import numpy as np
import pytest
import torch

from conftest import ROOT
from dna_lm.engine import forward
from dna_lm.model import internals
from dna_lm.model.checkpoint import load_unchecked

FOLDERS = sorted((ROOT / "tests" / "oracles").iterdir())
# Those whose published tokenizer is replaced by one of the tests' own.
OWN_TOKENIZERS = {"dnabert2", "gena_lm", "gena_lm_lastln"}
of_published_tokenizers = pytest.mark.parametrize(
    "oracle",
    [folder for folder in FOLDERS if folder.name not in OWN_TOKENIZERS],
    indirect=True,
    ids=lambda folder: folder.name,
)
# Of the largest number. The authors' float32 code of these families is itself no more exact.
ROUNDING = {"hyenadna": 3e-4, "evo1": 3e-5}


@pytest.fixture(scope="module", params=FOLDERS, ids=lambda folder: folder.name)
def oracle(request):
    """Folder, checkpoint, whole model, and the authors' numbers."""
    checkpoint, model = load_unchecked(request.param, "float32")
    return request.param, checkpoint, model, np.load(request.param / "expected.npz")


def numbers_of(expected, name):
    """The authors' numbers of a kind: number of the sequence -> array."""
    return {key.split("/")[0]: expected[key] for key in expected if key.endswith(f"/{name}")}


def described(folder):
    return json.loads((folder / "expected.json").read_text())


def assert_close(folder, found, expected):
    rounding = ROUNDING.get(folder.name, 1e-5)
    assert found.shape == expected.shape
    assert abs(found - expected).max() <= rounding * abs(expected).max()


@torch.inference_mode()
def test_logits_are_those_of_the_authors(oracle):
    folder, _, model, expected = oracle
    for ids, logits in (("input_ids", "logits"), ("masked_input_ids", "masked_logits")):
        of_authors = numbers_of(expected, logits)
        assert of_authors or ids != "input_ids"
        for key, numbers in of_authors.items():
            given = torch.from_numpy(expected[f"{key}/{ids}"])[None].to(model.device)
            found = model(given).logits[0].cpu().numpy()
            columns = described(folder).get("logit_columns", slice(-numbers.shape[1], None))
            assert_close(folder, found[:, columns], numbers)
    for key, numbers in numbers_of(expected, "masked_logits_at_mask").items():
        ids = expected[f"{key}/masked_input_ids"]
        found = model(torch.from_numpy(ids)[None].to(model.device)).logits[0].cpu().numpy()
        [place] = np.flatnonzero(ids != expected[f"{key}/input_ids"])
        assert_close(folder, found[place], numbers)


@torch.inference_mode()
def test_layers_are_those_of_the_authors(oracle):
    folder, checkpoint, _, expected = oracle
    last = numbers_of(expected, "last_hidden_state")
    for key, states in numbers_of(expected, "hidden_states").items():
        ids = torch.from_numpy(expected[f"{key}/input_ids"])[None].to(checkpoint.device)
        with forward.watching_layers(checkpoint, range(checkpoint.n_layers)) as found:
            found_last = checkpoint.trunk(ids, use_cache=False).last_hidden_state[0].cpu().numpy()
        for layer, numbers in found.items():
            assert_close(folder, numbers[0].cpu().numpy(), states[layer])
        assert_close(folder, found_last, last.pop(key, states[-1]))
    # Of some families, only the last layer has a vector for each token.
    for key, states in last.items():
        ids = torch.from_numpy(expected[f"{key}/input_ids"])[None].to(checkpoint.device)
        assert_close(folder, checkpoint.trunk(ids, use_cache=False).last_hidden_state[0].cpu().numpy(), states)


def token_ids(folder, checkpoint, text):
    """Token ids as the authors' tokenizer was called for the numbers here."""
    # GENERator's was given whole sequences; its authors' scripts cut them before, and so does the suite.
    sequence = text if folder.name.startswith("generator") else checkpoint.reading.text(text)
    return internals.token_ids(checkpoint.tokenizer, [sequence])[0]


@of_published_tokenizers
def test_tokens_are_those_of_the_authors(oracle):
    folder, checkpoint, _, expected = oracle
    sequences = described(folder)["sequences"]
    assert sequences
    # Evo 1's authors put token 0 in front where they score a sequence, not here.
    start = [0] if folder.name.startswith("evo1") else []
    for number, sequence in enumerate(sequences):
        assert token_ids(folder, checkpoint, sequence) == start + expected[f"seq{number}/input_ids"].tolist()


@of_published_tokenizers
def test_any_text_has_the_tokens_of_the_authors(oracle):
    """Lower case, N, other letters, blanks and marks: most never come from the suite, which reads A, C, G and T."""
    folder, checkpoint, _, _ = oracle
    cases = json.loads((folder / "tokenizer_cases.json").read_text())["cases"]
    # Here GENERator's authors did not put `<s>` in front.
    start = [checkpoint.tokenizer.bos_token_id] if folder.name.startswith("generator") else []
    start = [0] if folder.name.startswith("evo1") else start
    found = {case["text"]: token_ids(folder, checkpoint, case["text"]) for case in cases}
    assert found == {case["text"]: start + case["ids"] for case in cases}
    assert len(cases) > 40
