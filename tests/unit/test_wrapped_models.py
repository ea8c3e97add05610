"""Checkpoints whose config.json names code that only wraps a class of transformers, and others that look like them."""

import json
import re
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from conftest import TEST_DATA
from dna_lm.engine.encoder import Embedding
from dna_lm.engine.loading import load_checkpoint
from dna_lm.errors import UserError
from scored import random_pairs, score_pairs

WRAPPERS = {
    "tiny-llama": {"AutoModelForCausalLM": "modeling_generator.GENERatorForCausalLM"},
    "tiny-mistral": {"AutoModelForCausalLM": "owner/name--modeling_mistral.MistralForCausalLM"},
    "tiny-bert": {
        "AutoConfig": "configuration_bert.BertConfig",
        "AutoModelForMaskedLM": "modeling_bert.BertForMaskedLM",
        "AutoModelForSequenceClassification": "dnabert_layer.DNABertForSequenceClassification",
    },
    "tiny-mamba": {
        "AutoConfig": "configuration_mamba.MambaConfig",
        "AutoModel": "modeling_mamba.MambaModel",
        "AutoModelForCausalLM": "modeling_mamba.MambaForCausalLM",
    },
}


@pytest.fixture
def wrapped(tmp_path):
    """Copy a tiny model, with `auto_map` and other settings, and weights changed by a function."""

    def copy(name, auto_map, change=None, **settings):
        folder = shutil.copytree(TEST_DATA / "models" / name, tmp_path / "model", dirs_exist_ok=True)
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | settings | {"auto_map": auto_map}))
        if change:
            weights = load_file(folder / "model.safetensors")
            change(weights)
            save_file(weights, folder / "model.safetensors")
        return folder

    return copy


@pytest.mark.parametrize("name", WRAPPERS)
def test_a_wrapper_is_read_as_the_class_that_it_wraps(wrapped, name):
    pairs = list(random_pairs(5, 1, (8, 60)))
    expected = score_pairs(load_checkpoint(TEST_DATA / "models" / name), pairs, ("l2", "llr"))
    assert score_pairs(load_checkpoint(wrapped(name, WRAPPERS[name])), pairs, ("l2", "llr")) == expected


@pytest.mark.parametrize(
    ("name", "auto_map"),
    [
        ("tiny-llama", {"AutoModelForCausalLM": "modeling_generator.GENERatorV9ForCausalLM"}),
        ("tiny-llama", {"AutoModelForCausalLM": "modeling_mistral.MistralForCausalLM"}),
        ("tiny-mistral", {"AutoModelForCausalLM": "modeling_generator.GENERatorForCausalLM"}),
        ("tiny-mamba", {"AutoConfig": "configuration_other.OtherConfig"}),
        ("tiny-mamba", {"AutoModelForCausalLM": ["modeling_mamba.MambaForCausalLM", None]}),
        ("tiny-gpt2", {"AutoModelForCausalLM": "modeling_gpt2.GPT2LMHeadModel"}),
        # The name of a family that has other weights.
        ("tiny-bert", {"AutoModel": "modeling_bert.BertForMaskedLM"}),
        ("tiny-esm", {"AutoModelForMaskedLM": "modeling_esm.EsmForMaskedLM"}),
        ("tiny-mamba", {"AutoModelForMaskedLM": "modeling_caduceus.CaduceusForMaskedLM"}),
        ("tiny-llama", "modeling_llama"),
    ],
)
def test_other_code_is_refused(wrapped, name, auto_map):
    with pytest.raises(UserError, match=r"config.json names its own code \(auto_map\), which is never run here"):
        load_checkpoint(wrapped(name, auto_map))


def test_a_wrapper_with_a_weight_of_its_own_is_another_architecture(wrapped):
    def add(weights):
        weights["model.norm_2.weight"] = torch.ones(8)

    with pytest.raises(
        UserError, match="the weights have what the architecture 'mistral' does not have.*'model.norm_2"
    ):
        load_checkpoint(wrapped("tiny-mistral", WRAPPERS["tiny-mistral"], add))


def test_a_wrapper_that_lacks_a_weight_is_refused(wrapped):
    def remove(weights):
        del weights["model.layers.1.input_layernorm.weight"]

    with pytest.raises(UserError, match="the checkpoint lacks weights that its config.json calls for"):
        load_checkpoint(wrapped("tiny-llama", WRAPPERS["tiny-llama"], remove))


def test_a_wrapper_with_weights_of_another_shape_is_refused(wrapped):
    def widen(weights):
        weights["model.layers.0.mlp.up_proj.weight"] = torch.ones(128, 16)

    with pytest.raises(UserError, match="weights of another shape"):
        load_checkpoint(wrapped("tiny-llama", WRAPPERS["tiny-llama"], widen))


def test_a_wrapper_without_its_head_has_hidden_states(wrapped):
    folder = wrapped("tiny-mistral", WRAPPERS["tiny-mistral"], lambda weights: weights.pop("lm_head.weight"))
    pairs = list(random_pairs(5, 1, (8, 60)))
    hidden = Embedding("hidden", -1, "mean")
    expected = score_pairs(load_checkpoint(TEST_DATA / "models" / "tiny-mistral"), pairs, ("l2",), embedding=hidden)
    model = load_checkpoint(folder)
    assert model.head is None
    assert score_pairs(model, pairs, ("l2",), embedding=hidden) == expected


@pytest.mark.parametrize("name", ["tiny-bert", "tiny-gpt2", "tiny-llama", "tiny-mamba"])
def test_a_layer_with_a_weight_of_its_own_is_of_another_architecture(tmp_path, name):
    """Without `auto_map` too: a checkpoint with another normalisation is not one of transformers' class."""
    folder = shutil.copytree(TEST_DATA / "models" / name, tmp_path, dirs_exist_ok=True)
    weights = load_file(folder / "model.safetensors")
    first = next(name for name in weights if re.search(r"\.0\..*\.weight$", name))
    added = re.sub(r"(\.0\.).*", r"\1another_norm.weight", first)
    save_file(weights | {added: torch.ones(8)}, folder / "model.safetensors")
    with pytest.raises(UserError, match=f"does not have, so they are of another one: '{added}'"):
        load_checkpoint(folder)
