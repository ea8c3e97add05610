"""Encoders that transformers lacks: every form of a published file, plain loops, and what only looks like one."""

import json
import random
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import random_models
from conftest import ROOT, TEST_DATA
from dna_lm.engine import encoder
from dna_lm.engine.encoder import Budget, Embedding
from dna_lm.engine.loading import load_checkpoint
from dna_lm.errors import UserError
from dna_lm.families import dnabert2
from dna_lm.model import pickles
from scored import assert_same_bits, random_pairs, score_pairs
from test_layers import MODULES, imports_of

ORACLES = ROOT / "tests" / "oracles"
BERTS = ("gena_lm", "gena_lm_lastln", "dnabert2")
ALL = (*BERTS, "nucleotide_transformer_v2_3mer")
SEQUENCE = "ACGTTGCATTAGCCGATACCAGTTTGACTA"
HEAD_WEIGHTS = ("cls.predictions.decoder.weight", "cls.predictions.decoder.bias", "cls.predictions.bias")


@pytest.fixture
def edited(tmp_path):
    """A function that copies a tiny model, with other settings (`None` removes one) and changed weights."""

    def edit(name, change=None, **settings):
        folder = tmp_path / f"{name}-{len(list(tmp_path.iterdir()))}"
        shutil.copytree(ORACLES / name, folder)
        config = json.loads((folder / "config.json").read_text()) | settings
        config = {name: value for name, value in config.items() if value is not None}
        (folder / "config.json").write_text(json.dumps(config))
        if change:
            weights = load_file(folder / "model.safetensors")
            save_file(change(weights), folder / "model.safetensors", metadata={"format": "pt"})
        return folder

    return edit


@torch.inference_mode()
def outputs_of(folder):
    """Hidden states and logits, or `None` without a head, of a short sequence."""
    loaded = load_checkpoint(folder)
    states = loaded.trunk(torch.tensor(loaded.tokenise([SEQUENCE]), device=loaded.device)).last_hidden_state
    return states, loaded.head and loaded.logits(states)


def assert_same_outputs(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours, theirs)


# --- forms of a checkpoint -------------------------------------------------------------------------------------------


def without(*endings):
    return lambda weights: {name: tensor for name, tensor in weights.items() if not name.endswith(endings)}


def with_dead_weights(weights):
    """With heads of other tasks, as BertForPreTraining and a classifier have them."""
    width = weights["bert.embeddings.word_embeddings.weight"].shape[1]
    for name, n_outputs in (("bert.pooler.dense", width), ("cls.seq_relationship", 2), ("classifier", 3)):
        weights |= {f"{name}.weight": torch.ones(n_outputs, width), f"{name}.bias": torch.ones(n_outputs)}
    return weights | {"bert.embeddings.position_ids": torch.arange(128)[None]}


def without_prefix(weights):
    return {name.removeprefix("bert."): tensor for name, tensor in weights.items() if name.startswith("bert.")}


def without_head(weights):
    return {name: tensor for name, tensor in weights.items() if name.startswith("bert.")}


@pytest.mark.parametrize("name", BERTS)
@pytest.mark.parametrize(
    "change",
    [
        with_dead_weights,
        without("position_ids"),
        without("decoder.weight"),
        without("decoder.bias"),
        without("predictions.bias"),
        without("decoder.weight", "decoder.bias"),
        without("embeddings.word_embeddings.weight"),
    ],
)
def test_a_file_may_have_either_name_of_a_weight_and_weights_of_other_tasks(edited, name, change):
    def with_both_biases(weights):
        return weights | {"cls.predictions.bias": weights["cls.predictions.decoder.bias"].clone()}

    assert_same_outputs(
        outputs_of(edited(name, lambda weights: change(with_both_biases(weights)))), outputs_of(ORACLES / name)
    )


@pytest.fixture
def memory_of_nan(monkeypatch):
    """Whatever transformers makes room for, and does not fill, is not a number."""
    make = torch.empty_like

    def make_nan(tensor, *arguments, **options):
        made = make(tensor, *arguments, **options)
        return made.fill_(torch.nan) if made.is_floating_point() and made.device.type == "cpu" else made

    monkeypatch.setattr(torch, "empty_like", make_nan)


@pytest.mark.parametrize("name", BERTS)
@pytest.mark.parametrize("change", [without_prefix, without_head, without("decoder.bias", "predictions.bias")])
def test_without_a_head_hidden_states_are_the_same(edited, memory_of_nan, name, change):
    loaded = load_checkpoint(edited(name, change))
    assert loaded.head is None and {"cls.predictions.bias", "cls.predictions.decoder.bias"} <= set(loaded.missing_head)
    states, _ = encoder.encode(loaded, loaded.tokenise([SEQUENCE]), Embedding("hidden"), False, Budget())
    whole = load_checkpoint(ORACLES / name)
    expected, _ = encoder.encode(whole, whole.tokenise([SEQUENCE]), Embedding("hidden"), False, Budget())
    np.testing.assert_array_equal(states, expected)


def test_nucleotide_transformer_may_have_the_head_of_another_task(edited, memory_of_nan):
    def with_classifier(weights):
        weights = {name: tensor for name, tensor in weights.items() if not name.startswith("lm_head.")}
        return weights | {"classifier.out_proj.weight": torch.ones(2, 16), "classifier.out_proj.bias": torch.ones(2)}

    folder = edited("nucleotide_transformer_v2_3mer", with_classifier)
    loaded = load_checkpoint(folder)
    assert loaded.head is None and "lm_head.bias" in loaded.missing_head
    assert torch.equal(outputs_of(folder)[0], outputs_of(ORACLES / "nucleotide_transformer_v2_3mer")[0])


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("gena_lm", "embeddings.position_embeddings.weight"),
        ("gena_lm", "layer.1.post_attention_ln.bias"),
        ("gena_lm", "layer.0.attention.self.key.bias"),
        ("gena_lm_lastln", "last_layer_ln.weight"),
        ("dnabert2", "embeddings.token_type_embeddings.weight"),
        ("dnabert2", "layer.1.attention.self.Wqkv.bias"),
        ("dnabert2", "layer.0.mlp.layernorm.weight"),
        ("nucleotide_transformer_v2_3mer", "layer.1.LayerNorm.bias"),
        ("nucleotide_transformer_v2_3mer", "emb_layer_norm_after.weight"),
    ],
)
def test_a_missing_weight_of_the_trunk_is_refused(edited, name, ending):
    with pytest.raises(UserError, match=f"lacks weights that its config.json calls for: .*{ending}"):
        load_checkpoint(edited(name, without(ending)))


# --- what looks like one of them -------------------------------------------------------------------------------------


def test_bert_of_transformers_that_names_the_classes_of_gena_lm_is_refused(tmp_path):
    shutil.copytree(TEST_DATA / "models" / "tiny-bert", tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text())
    auto_map = json.loads((ORACLES / "gena_lm" / "config.json").read_text())["auto_map"]
    (tmp_path / "config.json").write_text(json.dumps(config | {"auto_map": auto_map, "pre_layer_norm": True}))
    with pytest.raises(UserError, match="names its own code"):
        load_checkpoint(tmp_path)


def test_esm_of_transformers_that_names_the_classes_of_nucleotide_transformer_is_refused(tmp_path):
    shutil.copytree(TEST_DATA / "models" / "tiny-esm", tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text())
    auto_map = json.loads((ORACLES / "nucleotide_transformer_v2" / "config.json").read_text())["auto_map"]
    (tmp_path / "config.json").write_text(json.dumps(config | {"auto_map": auto_map, "add_bias_fnn": False}))
    with pytest.raises(UserError, match="names its own code"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("name", "model_type"),
    [(name, model_type) for name in BERTS for model_type in ("bert", None)]
    + [("nucleotide_transformer_v2_3mer", "esm"), ("nucleotide_transformer_v2_3mer", None)],
)
def test_without_auto_map_the_weights_tell_the_family(edited, name, model_type):
    folder = edited(name, auto_map=None, model_type=model_type)
    assert load_checkpoint(folder).trunk.config.model_type.startswith("dna_lm_")
    assert_same_outputs(outputs_of(folder), outputs_of(ORACLES / name))


@pytest.mark.parametrize("name", ALL)
def test_classes_of_another_author_are_refused(edited, name):
    with pytest.raises(UserError, match="names its own code"):
        load_checkpoint(edited(name, auto_map={"AutoModel": "modeling_other.OtherForMaskedLM"}))


@pytest.mark.parametrize(
    ("name", "weight"),
    [
        # BERT normalises the sums, GENA-LM what enters attention.
        ("gena_lm", "bert.encoder.layer.0.attention.output.LayerNorm.weight"),
        ("gena_lm", "bert.encoder.last_layer_ln.weight"),
        ("dnabert2", "bert.embeddings.position_embeddings.weight"),
        ("dnabert2", "bert.encoder.layer.1.mlp.gated_layers.bias"),
        ("nucleotide_transformer_v2_3mer", "esm.embeddings.layer_norm.weight"),
        ("nucleotide_transformer_v2_3mer", "esm.encoder.layer.0.intermediate.dense.bias"),
    ],
)
def test_a_weight_that_the_family_does_not_have_is_refused(edited, name, weight):
    with pytest.raises(UserError, match=f"another one: '{weight}'"):
        load_checkpoint(edited(name, lambda weights: weights | {weight: torch.ones(16)}))


# --- settings --------------------------------------------------------------------------------------------------------


def test_the_last_normalisation_is_the_default(edited):
    """As in the authors' code, where the setting is absent from the models that have it."""
    assert "last_layer_norm" not in json.loads((ORACLES / "gena_lm_lastln" / "config.json").read_text())
    expected = outputs_of(ORACLES / "gena_lm_lastln")
    assert_same_outputs(outputs_of(edited("gena_lm_lastln", last_layer_norm=True)), expected)
    assert_same_outputs(outputs_of(edited("gena_lm_lastln", pre_layer_norm=None)), expected)
    with pytest.raises(UserError, match="another one: 'bert.encoder.last_layer_ln.bias'"):
        load_checkpoint(edited("gena_lm_lastln", last_layer_norm=False))
    with pytest.raises(UserError, match="lacks weights .* 'bert.encoder.last_layer_ln.bias'"):
        load_checkpoint(edited("gena_lm", last_layer_norm=None))


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("gena_lm", {"hidden_act": "gelu_new"}, "hidden_act is 'gelu_new': of GENA-LM, only models with 'gelu' can"),
        ("gena_lm", {"position_embedding_type": "relative_key"}, "position_embedding_type is 'relative_key'"),
        ("gena_lm", {"pre_layer_norm": False}, "pre_layer_norm is 'False': of GENA-LM, only models with 'True'"),
        ("gena_lm", {"last_layer_norm": "yes"}, "last_layer_norm is 'yes', not true or false"),
        ("gena_lm", {"is_decoder": True}, "is_decoder makes its attention causal"),
        ("gena_lm", {"tie_word_embeddings": False}, "tie_word_embeddings is 'False'"),
        ("gena_lm", {"sparse_attention": {"block": 64}}, "sparse_attention is set: .* only models with full attention"),
        ("gena_lm", {"sparse_config_cls": "a.B"}, "sparse_config_cls is set"),
        ("gena_lm", {"layer_norm_eps": "small"}, "layer_norm_eps is 'small', not a number"),
        ("dnabert2", {"hidden_act": "silu"}, "hidden_act is 'silu': of DNABERT-2"),
        ("dnabert2", {"is_decoder": True}, "is_decoder makes its attention causal"),
        ("dnabert2", {"type_vocab_size": 0}, "type_vocab_size is '0', not a whole number above 0"),
        ("nucleotide_transformer_v2_3mer", {"position_embedding_type": "absolute"}, "position_embedding_type is 'abs"),
        ("nucleotide_transformer_v2_3mer", {"token_dropout": True}, "token_dropout is 'True'"),
        ("nucleotide_transformer_v2_3mer", {"emb_layer_norm_before": True}, "emb_layer_norm_before is 'True'"),
        *((name, {"num_attention_heads": 5}, "not a multiple of 5 num_attention_heads") for name in ALL),
        *((name, {"hidden_size": 8}, "weights of another shape than config.json says") for name in ALL),
        *((name, {"intermediate_size": 56}, "weights of another shape than config.json says") for name in ALL),
        *((name, {"vocab_size": 500}, "weights of another shape than config.json says") for name in ALL),
        *((name, {"vocab_size": "many"}, "vocab_size is 'many', not a whole number above 0") for name in ALL),
        *((name, {"num_hidden_layers": 1}, "more layers than config.json says") for name in ALL),
        *((name, {"num_hidden_layers": 3}, "lacks weights that its config.json calls for") for name in ALL),
        *((name, {"num_hidden_layers": 10**9}, "describes a larger model") for name in ALL),
        *((name, {"intermediate_size": 10**9}, "describes a larger model") for name in ALL),
        ("gena_lm", {"max_position_embeddings": 64}, "weights of another shape than config.json says"),
        ("gena_lm", {"type_vocab_size": 3}, "weights of another shape than config.json says"),
    ],
)
def test_settings_that_cannot_be_followed_are_refused_in_one_line(edited, name, settings, message):
    with pytest.raises(UserError, match=message) as error:
        load_checkpoint(edited(name, **settings))
    assert "\n" not in str(error.value)


def test_the_longest_input_is_that_of_the_table_of_positions(edited):
    """DNABERT-2 has none, whatever its config.json says."""
    assert load_checkpoint(ORACLES / "gena_lm").max_tokens == 128
    loaded = load_checkpoint(edited("dnabert2", max_position_embeddings=16))
    assert len(loaded.tokenise([SEQUENCE * 40])[0]) > 300 and loaded.max_tokens == 10**9
    long = Embedding("hidden", -1, "mean")
    assert np.isfinite(encoder.encode(loaded, loaded.tokenise([SEQUENCE * 40]), long, False, Budget())[0]).all()


# --- the same numbers, by plain loops in float64 ---------------------------------------------------------------------


class Plain:
    """The architectures in numpy, from the tensors of a file. Every method takes one sequence."""

    def __init__(self, folder):
        weights = load_file(folder / "model.safetensors")
        # A weight with two names is in the file once.
        weights.setdefault("cls.predictions.decoder.weight", weights.get("bert.embeddings.word_embeddings.weight"))
        for bias, other in (HEAD_WEIGHTS[1:], HEAD_WEIGHTS[:0:-1]):
            weights.setdefault(bias, weights.get(other))
        self.weights = {name: tensor.double().numpy() for name, tensor in weights.items() if tensor is not None}
        self.config = json.loads((folder / "config.json").read_text())
        self.eps = self.config.get("layer_norm_eps", 1e-12)

    def linear(self, name, states):
        return states @ self.weights[f"{name}.weight"].T + self.weights.get(f"{name}.bias", 0)

    def norm(self, name, states):
        if f"{name}.bias" not in self.weights:
            # RMSNorm.
            return states / np.sqrt((states**2).mean(-1, keepdims=True) + self.eps) * self.weights[f"{name}.weight"]
        centred = states - states.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + self.eps)
        return scaled * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def attention(self, query, key, value, turn=lambda states: states, slopes=None):
        """One head and one query at a time."""
        n_tokens, n_heads = len(query), self.config["num_attention_heads"]
        attended = np.empty_like(query)
        for head, columns in enumerate(np.split(np.arange(query.shape[1]), n_heads)):
            q, k = turn(query[:, columns]), turn(key[:, columns])
            for here in range(n_tokens):
                products = k @ q[here] / np.sqrt(len(columns))
                if slopes:
                    products -= slopes[head] * abs(np.arange(n_tokens) - here)
                shares = np.exp(products - products.max())
                attended[here, columns] = shares / shares.sum() @ value[:, columns]
        return attended

    def layers(self):
        return range(self.config["num_hidden_layers"])

    def bert_head(self, states):
        states = self.norm(
            "cls.predictions.transform.LayerNorm", gelu(self.linear("cls.predictions.transform.dense", states))
        )
        return self.linear("cls.predictions.decoder", states)

    def gena_lm(self, ids):
        embeddings = "bert.embeddings"
        states = self.weights[f"{embeddings}.word_embeddings.weight"][ids]
        states = states + self.weights[f"{embeddings}.position_embeddings.weight"][: len(ids)]
        states = self.norm(
            f"{embeddings}.LayerNorm", states + self.weights[f"{embeddings}.token_type_embeddings.weight"][0]
        )
        for number in self.layers():
            layer = f"bert.encoder.layer.{number}"
            entering = self.norm(f"{layer}.pre_attention_ln", states)
            parts = [self.linear(f"{layer}.attention.self.{name}", entering) for name in ("query", "key", "value")]
            states = states + self.linear(f"{layer}.attention.output.dense", self.attention(*parts))
            entering = self.norm(f"{layer}.post_attention_ln", states)
            inner = gelu(self.linear(f"{layer}.intermediate.dense", entering))
            states = states + self.linear(f"{layer}.output.dense", inner)
        if self.config.get("last_layer_norm", True):
            states = self.norm("bert.encoder.last_layer_ln", states)
        return self.bert_head(states)

    def bert_embeddings(self, ids):
        tables = [self.weights[f"bert.embeddings.{name}_embeddings.weight"] for name in ("word", "token_type")]
        return self.norm("bert.embeddings.LayerNorm", tables[0][ids] + tables[1][0])

    def dnabert2(self, ids):
        states = self.bert_embeddings(ids)
        for number in self.layers():
            layer = f"bert.encoder.layer.{number}"
            parts = np.split(self.linear(f"{layer}.attention.self.Wqkv", states), 3, axis=1)
            attended = self.attention(*parts, slopes=SLOPES[self.config["num_attention_heads"]])
            attended = self.linear(f"{layer}.attention.output.dense", attended)
            states = self.norm(f"{layer}.attention.output.LayerNorm", attended + states)
            gate, up = np.split(self.linear(f"{layer}.mlp.gated_layers", states), 2, axis=1)
            states = self.norm(f"{layer}.mlp.layernorm", self.linear(f"{layer}.mlp.wo", gelu(gate) * up) + states)
        return self.bert_head(states)

    def mutbert(self, ids):
        states = self.bert_embeddings(ids)
        for number in self.layers():
            layer = f"bert.encoder.layer.{number}"
            parts = [self.linear(f"{layer}.attention.self.{name}", states) for name in ("query", "key", "value")]
            attended = self.linear(f"{layer}.attention.output.dense", self.attention(*parts, turn=turned))
            states = self.norm(f"{layer}.attention.output.LayerNorm", attended + states)
            inner = self.linear(f"{layer}.output.dense", gelu(self.linear(f"{layer}.intermediate.dense", states)))
            states = self.norm(f"{layer}.output.LayerNorm", inner + states)
        return self.bert_head(states)

    def aido_dna(self, ids):
        def turn(states):
            n_turned = int(self.config.get("rotary_percent", 1) * states.shape[1])
            return np.concatenate([turned(states[:, :n_turned]), states[:, n_turned:]], axis=1)

        states = self.weights["bert.embeddings.word_embeddings.weight"][ids]
        for number in self.layers():
            layer = f"bert.encoder.layer.{number}"
            entering = self.norm(f"{layer}.attention.ln", states)
            parts = [self.linear(f"{layer}.attention.self.{name}", entering) for name in ("query", "key", "value")]
            states = states + self.linear(f"{layer}.attention.output.dense", self.attention(*parts, turn=turn))
            entering = self.norm(f"{layer}.ln", states)
            gate, up = (self.linear(f"{layer}.mlp.{name}_proj", entering) for name in ("gate", "up"))
            states = states + self.linear(f"{layer}.mlp.down_proj", gate / (1 + np.exp(-gate)) * up)
        return self.bert_head(self.norm("bert.encoder.ln", states))

    def nucleotide_transformer(self, ids):
        states = self.weights["esm.embeddings.word_embeddings.weight"][ids]
        for number in self.layers():
            layer = f"esm.encoder.layer.{number}"
            entering = self.norm(f"{layer}.attention.LayerNorm", states)
            parts = [self.linear(f"{layer}.attention.self.{name}", entering) for name in ("query", "key", "value")]
            states = states + self.linear(f"{layer}.attention.output.dense", self.attention(*parts, turn=turned))
            entering = self.norm(f"{layer}.LayerNorm", states)
            gate, up = np.split(self.linear(f"{layer}.intermediate.dense", entering), 2, axis=1)
            states = states + self.linear(f"{layer}.output.dense", gate / (1 + np.exp(-gate)) * up)
        states = self.norm("esm.encoder.emb_layer_norm_after", states)
        states = self.norm("lm_head.layer_norm", gelu(self.linear("lm_head.dense", states)))
        return self.linear("lm_head.decoder", states) + self.weights["lm_head.bias"]


def gelu(numbers):
    return numbers * torch.special.ndtr(torch.from_numpy(numbers)).numpy()


def turned(states):
    """Pairs of numbers as complex ones, turned by the angle of their position and frequency."""
    half = states.shape[1] // 2
    angles = np.outer(np.arange(len(states)), 10_000.0 ** (-np.arange(half) / half))
    pairs = (states[:, :half] + 1j * states[:, half:]) * np.exp(1j * angles)
    return np.concatenate([pairs.real, pairs.imag], axis=1)


# Of the paper: halves of halves for 2**n heads, or others between them.
SLOPES = {
    4: [1 / 4, 1 / 16, 1 / 64, 1 / 256],
    12: [*(0.5**n for n in range(1, 9)), *(0.5**n for n in (0.5, 1.5, 2.5, 3.5))],
}
RANDOM = {
    "gena_lm": {"layer_norm_eps": 1e-5},
    "dnabert2": {"hidden_size": 96, "num_attention_heads": 12},
    "nucleotide_transformer": {"position_embedding_type": "rotary", "add_bias_fnn": False},
    "mutbert": {"architectures": ["RoPEBertForMaskedLM"], "layer_norm_eps": 1e-12},
    "aido_dna": {"layer_norm_eps": 1e-5},
    "aido_dna of the second size": {
        "layer_norm_eps": 1e-5,
        "normalization_type": "RMSNorm",
        "add_linear_bias": False,
        "rotary_percent": 0.5,
    },
}


@pytest.fixture(scope="module", params=RANDOM)
def random_model(request, tmp_path_factory):
    """A family's name and the folder of a model of random weights."""
    family, folder = request.param.split()[0], tmp_path_factory.mktemp("model")
    return family, random_models.save_own_family(folder, family, **RANDOM[request.param])


@torch.inference_mode()
def test_logits_are_those_of_a_plain_loop(random_model):
    family, folder = random_model
    loaded, plain = load_checkpoint(folder), Plain(folder)
    for length in (1, 30, 300):
        [ids] = loaded.tokenise(["".join(random.Random(length).choices("ACGT", k=length))])
        states = loaded.trunk(torch.tensor([ids], device=loaded.device)).last_hidden_state
        found = loaded.logits(states)[0].double().cpu().numpy()
        expected = getattr(plain, family)(ids)
        assert found.std() > 0.1
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * abs(expected).max())


# --- MutBERT and AIDO.DNA ---------------------------------------------------------------------------------------------


def test_mutbert_as_published(tmp_path):
    """A pickle, whose class has another name than BERT's; the names of the shared table and bias are both there."""
    source, folder = tmp_path / "published", tmp_path / "converted"
    random_models.save_own_family(source, "mutbert", **RANDOM["mutbert"])
    weights = load_file(source / "model.safetensors")
    weights["cls.predictions.decoder.weight"] = weights["bert.embeddings.word_embeddings.weight"]
    weights["cls.predictions.decoder.bias"] = weights["cls.predictions.bias"]
    torch.save(weights, source / "pytorch_model.bin")
    (source / "model.safetensors").unlink()
    config = json.loads((source / "config.json").read_text())
    classes = {"AutoConfig": "Config", "AutoModel": "Model", "AutoModelForMaskedLM": "ForMaskedLM"}
    config["auto_map"] = {name: f"modeling_mutbert.RoPEBert{ending}" for name, ending in classes.items()}
    (source / "config.json").write_text(json.dumps(config | {"model_type": "bert"}))
    pickles.copy_model(source, folder)
    pairs = list(random_pairs(4, 2))
    rows = score_pairs(load_checkpoint(folder), pairs, ("l2", "llr"))
    random_models.save_own_family(tmp_path / "plain", "mutbert", **RANDOM["mutbert"])
    assert rows == score_pairs(load_checkpoint(tmp_path / "plain"), pairs, ("l2", "llr"))


def test_bert_without_positions_that_no_class_explains_is_refused(tmp_path):
    """It may be any of several architectures."""
    random_models.save_own_family(tmp_path, "mutbert", model_type="bert", architectures=["BertForMaskedLM"])
    with pytest.raises(UserError, match="lacks weights .*position_embeddings"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rope_scaling": {"type": "dynamic", "factor": 2}}, "rope_scaling is .*: of MutBERT"),
        ({"rope_theta": 500000.0}, "rope_theta is '500000.0'"),
        ({"hidden_act": "relu"}, "hidden_act is 'relu'"),
        ({"num_hidden_layers": 1}, "more layers than config.json says"),
    ],
)
def test_another_mutbert_is_refused(tmp_path, settings, message):
    random_models.save_own_family(tmp_path, "mutbert", **RANDOM["mutbert"])
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | settings))
    with pytest.raises(UserError, match=message):
        load_checkpoint(tmp_path)


def test_aido_dna_as_published(tmp_path):
    """Shards whose index is of pickles that are not there, and no file of a tokenizer."""
    source, folder = tmp_path / "published", tmp_path / "copied"
    shutil.copytree(ORACLES / "aido_dna", source)
    weights = list(load_file(source / "model.safetensors").items())
    (source / "model.safetensors").unlink()
    index = {}
    for number in (0, 1):
        name = f"pytorch_model-0000{number + 1}-of-00002"
        save_file(dict(weights[number::2]), source / f"{name}.safetensors", {"format": "pt"})
        index |= {key: f"{name}.bin" for key, _ in weights[number::2]}
    (source / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    pickles.copy_model(source, folder)
    pairs = list(random_pairs(4, 2))
    expected = score_pairs(load_checkpoint(ORACLES / "aido_dna"), pairs, ("l2", "llr"))
    assert score_pairs(load_checkpoint(folder), pairs, ("l2", "llr")) == expected
    assert any(row.status == "ok" for row in expected)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu': of AIDO.DNA"),
        ({"position_embedding_type": "absolute"}, "position_embedding_type is 'absolute'"),
        ({"normalization_type": "BatchNorm"}, "normalization_type is 'BatchNorm', not 'LayerNorm' or 'RMSNorm'"),
        ({"normalization_type": "RMSNorm"}, "another one"),
        ({"add_linear_bias": False}, "another one"),
        ({"rotary_percent": 0.1}, "rotary_percent is '0.1': a head cannot be divided so"),
        ({"model_type": "bert"}, "the folder has no tokenizer.json, so its tokenizer is missing"),
    ],
)
def test_another_aido_dna_is_refused(edited, settings, message):
    with pytest.raises(UserError, match=message):
        load_checkpoint(edited("aido_dna", **settings))


def test_slopes_of_linear_biases():
    assert dnabert2._slopes(1) == [1 / 256]
    for n_heads, slopes in SLOPES.items():
        assert dnabert2._slopes(n_heads) == slopes


def test_linear_biases_take_no_memory_with_the_square_of_the_tokens():
    biases = dnabert2._biases(10_000, 12, torch.empty(0))
    assert biases.shape == (12, 10_000, 10_000)
    assert biases.untyped_storage().nbytes() <= 4 * 12 * 20_000
    # The last query comes first.
    assert biases[0, 0, 9_990] == -9 / 2 and biases[7, 9_999, 256] == -1


@torch.inference_mode()
@pytest.mark.parametrize("at_once", [1, 400, 2**27])
def test_queries_may_be_read_in_parts(monkeypatch, at_once):
    """As they are where biases take memory: with a mask here, and always on a GPU."""
    loaded = load_checkpoint(ORACLES / "dnabert2")
    short, long = (torch.tensor(loaded.tokenise([SEQUENCE * n]), device=loaded.device) for n in (1, 3))
    n_padding = long.shape[1] - short.shape[1]
    padded = torch.nn.functional.pad(short, (0, n_padding), value=3)
    mask = torch.tensor([[1] * short.shape[1] + [0] * n_padding, [1] * long.shape[1]], device=loaded.device)
    monkeypatch.setattr(dnabert2, "_MAX_BIASES", at_once)
    found = loaded.trunk(torch.cat([padded, long]), attention_mask=mask).last_hidden_state
    for states, ids in zip(found, (short, long), strict=True):
        expected = loaded.trunk(ids).last_hidden_state[0]
        torch.testing.assert_close(states[: len(expected)], expected, rtol=0, atol=1e-5 * expected.abs().max().item())


# --- bits, precisions, start-up --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_a_score_belongs_to_its_pair(one_thread, name):
    assert_same_bits(load_checkpoint(ORACLES / name), list(random_pairs(10, 3, (8, 60))))


def test_a_score_of_a_random_model_belongs_to_its_pair(one_thread, random_model):
    _, folder = random_model
    assert_same_bits(load_checkpoint(folder), list(random_pairs(8, 5, (8, 50))))


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_computes_about_the_same(random_model, precision):
    _, folder = random_model
    loaded, half = load_checkpoint(folder), load_checkpoint(folder, precision)
    assert {parameter.dtype for parameter in half.trunk.parameters()} == {getattr(torch, precision)}
    for embedding in (Embedding(), Embedding("hidden", 1, "mean")):
        ids = loaded.tokenise([SEQUENCE])
        expected, _ = encoder.encode(loaded, ids, embedding, False, Budget())
        found, _ = encoder.encode(half, ids, embedding, False, Budget())
        np.testing.assert_allclose(found, expected, rtol=0, atol=0.05 * abs(expected).max())


def test_no_module_imports_a_family():
    """The registry imports that of a checkpoint. Others would take time at every start."""
    light = {"dna_lm.families", "dna_lm.families.registry", "dna_lm.families.settings"}
    families = {name for name in MODULES if name.startswith("dna_lm.families.")} - light
    for name in MODULES.keys() - families:
        assert not imports_of(MODULES[name]) & families, name
