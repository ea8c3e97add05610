"""Caduceus and PlantCaduceus: the model against a loop over tokens in float64, and what their two strands promise."""

import dataclasses
import json
import random
import resource
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from conftest import ROOT, TEST_DATA
from dna_lm.engine import encoder, forward, pooling
from dna_lm.engine.encoder import Budget, Embedding
from dna_lm.engine.loading import load_checkpoint
from dna_lm.errors import UserError
from dna_lm.families import caduceus, registry, selective_scan
from dna_lm.inputs.fasta import Record
from dna_lm.model.checkpoint import load_unchecked
from dna_lm.scoring import pipeline, warnings
from dna_lm.scoring.settings import Settings
from scored import assert_same_bits, embed, random_pairs, score_pairs, scores_of

ORACLES = ROOT / "tests" / "oracles"
PLANT, PLANT_2, PS, PS_UNFUSED, PH = (
    ORACLES / name for name in ("plantcaduceus", "plantcad2", "caduceus_ps", "caduceus_ps_unfused", "caduceus_ph")
)
COMPLEMENT = np.array([0, 1, 2, 3, 4, 5, 6, 10, 9, 8, 7, 11, 12, 13, 14, 15])


# --- the whole model, in numpy, float64, token by token ------------------------------------------------------------


def random_model(folder, of_scan=None, **settings):
    """A folder with a model of random weights in the published format. Returns its weights in float64.

    The tokenizer is Caduceus's.
    """
    shutil.copytree(PS, folder, dirs_exist_ok=True)
    config = json.loads((PS / "config.json").read_text()) | {"d_model": 22, "n_layer": 3} | settings
    config["ssm_cfg"] |= of_scan or {}
    (folder / "config.json").write_text(json.dumps(config))
    of_scan, width = config["ssm_cfg"], config["d_model"]
    inner, n, kernel = of_scan["expand"] * width, of_scan["d_state"], of_scan["d_conv"]
    rank = -(-width // 16) if of_scan["dt_rank"] == "auto" else of_scan["dt_rank"]
    shapes = {
        "in_proj.weight": (2 * inner, width),
        "conv1d.weight": (inner, 1, kernel),
        "conv1d.bias": (inner,),
        "x_proj.weight": (rank + 2 * n, inner),
        "dt_proj.weight": (inner, rank),
        "dt_proj.bias": (inner,),
        "A_log": (inner, n),
        "D": (inner,),
        "out_proj.weight": (width, inner),
    }
    if head := of_scan.get("headdim"):
        others = ("x_proj.weight", "dt_proj.weight", "dt_proj.bias")
        shapes = {name: shape for name, shape in shapes.items() if name not in others} | {
            "in_proj.weight": (2 * inner + 2 * n + inner // head, width),
            "conv1d.weight": (inner + 2 * n, 1, kernel),
            "conv1d.bias": (inner + 2 * n,),
            **dict.fromkeys(("dt_bias", "A_log", "D"), (inner // head,)),
            "norm.weight": (inner,),
        }
    is_wrapped = config["rcps"] and not config["fused_add_norm"]
    norm, submodule = "submodule." * is_wrapped, "submodule." * config["rcps"]
    rng = np.random.default_rng(0)
    table = "embedding.weight" if config["rcps"] else "weight"
    weights = {f"embeddings.word_embeddings.{table}": rng.normal(size=(16, width))}
    weights[f"norm_f.{norm}weight"] = rng.uniform(0.5, 1.5, width)
    for layer in range(config["n_layer"]):
        weights[f"layers.{layer}.norm.{norm}weight"] = rng.uniform(0.5, 1.5, width)
        for direction in ("mamba_fwd", "mamba_rev")[: 1 + config["bidirectional"]]:
            for name, shape in shapes.items():
                size = 1.5 * shape[-1] ** -0.5 if len(shape) > 1 else 0.5
                weights[f"layers.{layer}.mixer.{submodule}{direction}.{name}"] = rng.normal(size=shape) * size
            if direction == "mamba_rev" and config["bidirectional_weight_tie"]:
                for name in ("in_proj.weight", "out_proj.weight"):
                    mixer = f"layers.{layer}.mixer.{submodule}"
                    weights[f"{mixer}mamba_rev.{name}"] = weights[f"{mixer}mamba_fwd.{name}"]
    write_weights(folder, {f"caduceus.backbone.{name}": weight for name, weight in weights.items()})
    return config, {name: weight.astype(np.float32).astype(np.float64) for name, weight in weights.items()}


def write_weights(folder, weights):
    config = json.loads((folder / "config.json").read_text())
    tensors = {name: torch.from_numpy(np.array(weight, np.float32)) for name, weight in weights.items()}
    if config["rcps"]:
        tensors["caduceus.backbone.embeddings.word_embeddings.complement_map"] = torch.from_numpy(COMPLEMENT)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def silu(x):
    return x / (1 + np.exp(-x))


def naive_mamba2(states, weights, prefix, n):
    """One direction of Mamba-2, head by head: states (tokens, width)."""

    def get(name):
        return weights[f"{prefix}.{name}"]

    n_heads, inner = len(get("D")), len(get("norm.weight"))
    gate, source, steps = np.split(states @ get("in_proj.weight").T, [inner, 2 * inner + 2 * n], axis=1)
    kernel, rates = get("conv1d.weight")[:, 0], -np.exp(get("A_log"))
    outputs, state = [], np.zeros((n_heads, inner // n_heads, n))
    for t in range(len(source)):
        u = get("conv1d.bias").copy()
        for back in range(min(t + 1, kernel.shape[1])):
            u += source[t - back] * kernel[:, -1 - back]
        u, drive, readout = np.split(silu(u), [inner, inner + n])
        output = []
        for head, of_head in enumerate(np.split(u, n_heads)):
            step = np.log1p(np.exp(steps[t, head] + get("dt_bias")[head]))
            state[head] = np.exp(rates[head] * step) * state[head] + step * np.outer(of_head, drive)
            output.append(state[head] @ readout + get("D")[head] * of_head)
        gated = np.concatenate(output) * silu(gate[t])
        outputs.append(gated / np.sqrt((gated**2).mean() + 1e-5) * get("norm.weight"))
    return np.array(outputs) @ get("out_proj.weight").T


def naive_mamba(states, weights, prefix, n):
    """One direction: states (tokens, width)."""
    if f"{prefix}.dt_bias" in weights:
        return naive_mamba2(states, weights, prefix, n)

    def get(name):
        return weights[f"{prefix}.{name}"]

    source, gate = np.split(states @ get("in_proj.weight").T, 2, axis=1)
    kernel = get("conv1d.weight")[:, 0]
    outputs, state = [], np.zeros_like(get("A_log"))
    for t in range(len(source)):
        u = get("conv1d.bias").copy()
        for back in range(min(t + 1, kernel.shape[1])):
            u += source[t - back] * kernel[:, -1 - back]
        u = silu(u)
        projected = get("x_proj.weight") @ u
        steps, drive, readout = projected[: -2 * n], projected[-2 * n : -n], projected[-n:]
        steps = np.log1p(np.exp(get("dt_proj.weight") @ steps + get("dt_proj.bias")))[:, None]
        state = np.exp(-steps * np.exp(get("A_log"))) * state + steps * u[:, None] * drive
        outputs.append((state @ readout + get("D") * u) * silu(gate[t]))
    return np.array(outputs) @ get("out_proj.weight").T


def naive_model(config, weights, ids):
    """Layers (each of tokens, width), last hidden states, and logits of a sequence of ids."""
    width, n, is_rcps = config["d_model"], config["ssm_cfg"]["d_state"], config["rcps"]

    def normed(states, name):
        weight = next(weight for key, weight in weights.items() if key.startswith(f"{name}."))
        return states / np.sqrt((states**2).mean(axis=1, keepdims=True) + 1e-5) * weight

    def mixed(states, prefix):
        output = naive_mamba(states, weights, f"{prefix}mamba_fwd", n)
        if config["bidirectional"]:
            output = output + naive_mamba(states[::-1], weights, f"{prefix}mamba_rev", n)[::-1]
        return output

    if not is_rcps:
        table = weights["embeddings.word_embeddings.weight"]
        states, residual, layers = table[ids], 0, []
        for layer in range(config["n_layer"]):
            layers.append(states)
            residual = residual + states
            states = mixed(normed(residual, f"layers.{layer}.norm"), f"layers.{layer}.mixer.")
        last = normed(residual + states, "norm_f")
        return [*layers, states], last, last @ table.T

    def flipped(states):
        return states[::-1, ::-1]

    def on_both(function, first, second):
        return function(first), flipped(function(flipped(second)))

    table = weights["embeddings.word_embeddings.embedding.weight"]
    halves, residual, layers = (table[ids], flipped(table[COMPLEMENT[ids][::-1]])), (0, 0), []
    for layer in range(config["n_layer"]):
        layers.append(np.concatenate(halves, axis=1))
        residual = [before + half for before, half in zip(residual, halves, strict=True)]
        if config["fused_add_norm"]:
            residual = residual[::-1]
        halves = on_both(lambda half, layer=layer: normed(half, f"layers.{layer}.norm"), *residual)
        halves = on_both(lambda half, layer=layer: mixed(half, f"layers.{layer}.mixer.submodule."), *halves)
    layers.append(np.concatenate(halves, axis=1))
    residual = [before + half for before, half in zip(residual, halves, strict=True)]
    first, second = on_both(lambda half: normed(half, "norm_f"), *residual)
    logits = first @ table.T + second[:, ::-1] @ table[COMPLEMENT].T
    assert layers[0].shape[1] == 2 * width
    return layers, np.concatenate((first, second), axis=1), logits


KINDS = {
    "ps": {},
    "ps, two additions": {"fused_add_norm": False},
    "ph": {"rcps": False},
    "ph, without fusing": {"rcps": False, "fused_add_norm": False},
    "products of each direction": {"bidirectional_weight_tie": False},
    "one direction": {"bidirectional": False},
    "other sizes": {"of_scan": {"d_state": 5, "d_conv": 3, "expand": 3, "dt_rank": 7}, "d_model": 17, "n_layer": 2},
    "mamba 2": {"of_scan": {"headdim": 11}},
    "mamba 2, two additions": {"of_scan": {"headdim": 4, "d_state": 6}, "fused_add_norm": False},
    "mamba 2, ph": {"of_scan": {"headdim": 44, "layer": "Mamba2"}, "rcps": False, "d_intermediate": 0},
    "mamba 2, products of each direction": {"of_scan": {"headdim": 2}, "bidirectional_weight_tie": False},
    "mamba 2, one direction": {
        "of_scan": {"headdim": 17, "d_state": 5, "d_conv": 3, "expand": 3},
        "d_model": 17,
        "bidirectional": False,
    },
    "one layer": {"n_layer": 1, "residual_in_fp32": True, "bidirectional_strategy": None, "bidirectional": False},
}


def sequence_of(length, seed=0):
    return "".join(random.Random(seed).choices("ACGT", k=length))


@torch.inference_mode()
def assert_equals_naive(folder, config, weights, n_tokens=70):
    loaded, model = load_unchecked(folder, "float32")
    ids = torch.tensor([random.Random(1).choices(range(12), k=n_tokens)], device=loaded.device)
    with forward.watching_layers(loaded, range(loaded.n_layers + 1)) as layers:
        last = loaded.trunk(ids).last_hidden_state
    expected = naive_model(config, weights, ids[0].cpu().numpy())
    assert len(layers) == loaded.n_layers + 1
    for found, numbers in [
        *((layers[number], states) for number, states in enumerate(expected[0])),
        (last, expected[1]),
        (model(ids).logits, expected[2]),
    ]:
        assert found.shape == (1, *numbers.shape)
        assert abs(found[0].cpu().numpy() - numbers).max() <= 2e-5 * abs(numbers).max()


@pytest.mark.parametrize("kind", KINDS)
def test_the_model_is_a_loop_over_tokens(tmp_path, kind):
    config, weights = random_model(tmp_path, **KINDS[kind])
    assert_equals_naive(tmp_path, config, weights)


@pytest.mark.parametrize("of_scan", [{}, {"headdim": 4}], ids=["mamba", "mamba 2"])
def test_a_long_sequence_is_read_in_blocks(tmp_path, monkeypatch, of_scan):
    """Neither the convolution nor the state ends where a block does, in either direction."""
    config, weights = random_model(tmp_path, of_scan, n_layer=1, d_model=8)
    for tokens in (1, 7, 64):
        monkeypatch.setitem(selective_scan._TOKENS, "cpu", 4 * tokens)
        assert_equals_naive(tmp_path, config, weights, n_tokens=150)


@torch.inference_mode()
def test_blocks_change_nothing_but_rounding(tmp_path, monkeypatch):
    """That a sequence alone has the bits that it has with others is tested in test_instructions.py."""
    random_model(tmp_path)
    loaded = load_checkpoint(tmp_path)
    ids = torch.tensor(loaded.tokenise([sequence_of(900)]))
    expected = forward.sequence_states(loaded, ids)[0]
    monkeypatch.setitem(selective_scan._TOKENS, "cpu", 300)
    monkeypatch.setitem(selective_scan._BLOCK_NUMBERS, "cpu", 2**12)
    monkeypatch.setitem(selective_scan._STEP_NUMBERS, "cpu", 2**9)
    torch.testing.assert_close(forward.sequence_states(loaded, ids)[0], expected, rtol=1e-5, atol=1e-5)


# --- the scan ------------------------------------------------------------------------------------------------------


def scan_inputs(shape, n, largest_step):
    """Inputs, steps, drives, readouts and rates of random numbers; shape: directions, sequences, tokens, channels."""
    generator = torch.Generator().manual_seed(0)
    inputs, steps = torch.randn(shape, generator=generator), torch.rand(shape, generator=generator)
    drives, readouts = (torch.randn(*shape[:-1], n, generator=generator) for _ in range(2))
    rates = -(torch.rand(shape[0], shape[-1], n, generator=generator) * 3).exp()
    return inputs, steps.pow(4) * largest_step, drives, readouts, rates


def naive_scan(inputs, steps, drives, readouts, rates):
    inputs, steps, drives, readouts, rates = (
        tensor.double() for tensor in (inputs, steps, drives, readouts, rates[:, None])
    )
    state, outputs = 0, []
    for t in range(inputs.shape[2]):
        state = torch.exp(steps[:, :, t, :, None] * rates) * state
        state = state + (steps * inputs)[:, :, t, :, None] * drives[:, :, t, None]
        outputs.append((state * readouts[:, :, t, None]).sum(dim=-1))
    return torch.stack(outputs, dim=2)


@pytest.mark.parametrize("largest_step", [1e-6, 0.1, 10, 1e4])
@pytest.mark.parametrize(("shape", "n"), [((2, 3, 40, 32), 16), ((1, 1, 3000, 20), 3), ((2, 1, 1, 7), 4)])
def test_the_scan_is_exact_even_where_decays_vanish(shape, n, largest_step):
    given = scan_inputs(shape, n, largest_step)
    found, expected = selective_scan.selective_scan(*given)[0], naive_scan(*given)
    assert abs(found - expected).max() <= 1e-5 * abs(expected).max()


def test_the_scan_goes_on_from_a_state():
    given = scan_inputs((2, 3, 50, 20), 4, 0.1)
    expected, last = selective_scan.selective_scan(*given)
    first, state = selective_scan.selective_scan(*(tensor[:, :, :21] for tensor in given[:4]), given[4])
    second, state = selective_scan.selective_scan(*(tensor[:, :, 21:] for tensor in given[:4]), given[4], state)
    torch.testing.assert_close(torch.cat((first, second), dim=2), expected)
    torch.testing.assert_close(state, last)


def test_the_scan_takes_no_memory_for_every_state_of_every_token():
    given = scan_inputs((1, 1, 16384, 512), 16, 0.1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    selective_scan.selective_scan(*given)
    # All decays alone would be 512 MB.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**18


# --- files ---------------------------------------------------------------------------------------------------------


def edit(source, folder, change=None, **settings):
    """A copy of a checkpoint with other settings, and its weights as `change` leaves them."""
    shutil.copytree(source, folder, dirs_exist_ok=True)
    config = json.loads((folder / "config.json").read_text())
    of_scan = settings.pop("of_scan", {})
    config["ssm_cfg"] |= of_scan
    (folder / "config.json").write_text(json.dumps(config | settings))
    if change:
        weights = load_file(folder / "model.safetensors")
        weights = change(weights) or weights
        save_file({name: tensor.clone() for name, tensor in weights.items()}, folder / "model.safetensors")
    return folder


@torch.inference_mode()
def outputs_of(folder, ids):
    model = load_unchecked(folder, "float32")[1]
    return model(ids.to(model.device)).logits


def without(weights, *endings):
    return {name: weight for name, weight in weights.items() if not name.endswith(endings)}


@pytest.mark.parametrize("source", [PH, PS, PS_UNFUSED, PLANT], ids=lambda path: path.name)
def test_files_may_hold_either_name_of_a_shared_weight_or_both(tmp_path, source):
    expected_ids = torch.tensor([[3, 4, 5, 6, 3, 3, 1, 2, 6, 5, 4]])
    expected = outputs_of(source, expected_ids)
    weights = load_file(source / "model.safetensors")
    is_plant = any("mamba_rev.in_proj" in name for name in weights)
    assert is_plant == (source == PLANT) and is_plant == any(name.startswith("lm_head.lm_head") for name in weights)
    shared = {
        name: weight for name, weight in weights.items() if "mamba_fwd.in_proj" in name or "mamba_fwd.out" in name
    }
    as_other = {name.replace("fwd", "rev"): weight for name, weight in shared.items()}
    [table] = [weight for name, weight in weights.items() if name.endswith(("embedding.weight", "embeddings.weight"))]
    head = "lm_head.weight" if source == PH else "lm_head.lm_head.weight"
    others = {name: weight for name, weight in weights.items() if name not in shared | as_other and name != head}
    bare = {name.removeprefix("caduceus."): weight for name, weight in others.items() if "lm_head" not in name}
    for number, held in enumerate(
        (
            others | shared,
            others | as_other,
            others | shared | as_other | {head: table},
            without(others | shared, "embedding.weight", "embeddings.weight") | {head: table},
            bare | {name.removeprefix("caduceus."): weight for name, weight in shared.items()},
        )
    ):
        folder = edit(source, tmp_path / str(number), lambda _, held=held: held)
        loaded = load_unchecked(folder, "float32")[0]
        assert loaded.head is not None and not loaded.missing_head
        assert torch.equal(outputs_of(folder, expected_ids), expected)


def test_the_map_of_complements_is_that_of_the_weights(tmp_path):
    ids = torch.tensor([[3, 4, 5, 6, 3, 3, 2, 6]])
    folder = edit(PLANT, tmp_path, complement_map={"0": 6, "1": 5, "10": 3})
    assert torch.equal(outputs_of(folder, ids), outputs_of(PLANT, ids))
    folder = edit(PLANT, tmp_path, lambda weights: without(weights, "word_embeddings.complement_map"))
    with pytest.raises(UserError, match="lacks weights.*complement_map"):
        load_unchecked(folder, "float32")


def test_an_unpadded_vocabulary_is_filled_up(tmp_path):
    assert load_unchecked(edit(PLANT, tmp_path, vocab_size=7), "float32")[0].vocabulary_size == 8


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bidirectional_strategy": "ew_multiply"}, "bidirectional_strategy is 'ew_multiply'"),
        ({"rms_norm": False}, "rms_norm is 'False'"),
        ({"tie_word_embeddings": False}, "tie_word_embeddings is 'False'"),
        ({"of_scan": {"bias": True}}, "bias is 'True'"),
        ({"of_scan": {"conv_bias": False}}, "conv_bias is 'False'"),
        ({"of_scan": {"dt_rank": "half"}}, "dt_rank is 'half'"),
        ({"of_scan": {"d_state": 0}}, "d_state is '0'"),
        ({"ssm_cfg": [1]}, "ssm_cfg is .*not a group"),
        ({"d_model": "16"}, "d_model is '16'"),
        ({"n_layer": None}, "n_layer is 'None'"),
        ({"rcps": 1}, "rcps is '1'"),
        ({"d_intermediate": 32}, "d_intermediate is '32': of Caduceus, only models with '0'"),
        ({"of_scan": {"layer": "Mamba2"}}, "layer of ssm_cfg is 'Mamba2', and the weights are of another kind"),
        ({"n_layer": 3}, "lacks weights"),
        ({"n_layer": 1}, "more layers"),
        ({"d_model": 32}, "another shape"),
        ({"d_model": 10**6}, "another shape"),
        ({"n_layer": 10**6}, "larger model"),
        ({"vocab_size": 9}, "another shape"),
        ({"of_scan": {"d_state": 8}}, "another shape"),
        ({"of_scan": {"dt_rank": 2}}, "another shape"),
        ({"of_scan": {"expand": 1}}, "another shape"),
        ({"of_scan": {"d_conv": 3}}, "another shape"),
        ({"rcps": False}, "another one"),
        ({"fused_add_norm": False}, "another one"),
        ({"bidirectional": False}, "another one"),
    ],
)
def test_other_settings_are_refused_in_one_line(tmp_path, settings, message):
    with pytest.raises(UserError, match=message) as caught:
        load_checkpoint(edit(PLANT, tmp_path, **settings))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"d_intermediate": 32}, "d_intermediate is '32'"),
        ({"of_scan": {"layer": "Mamba1"}}, "layer of ssm_cfg is 'Mamba1', and the weights are of another kind"),
        ({"of_scan": {"ngroups": 2}}, "ngroups is '2'"),
        ({"of_scan": {"norm_before_gate": True}}, "norm_before_gate is 'True'"),
        ({"of_scan": {"rmsnorm": False}}, "rmsnorm is 'False'"),
        ({"of_scan": {"headdim": 5}}, "headdim 5 does not divide the 32 channels"),
        ({"of_scan": {"headdim": 16}}, "another shape"),
        ({"of_scan": {"d_state": 16}}, "another shape"),
        ({"of_scan": {"expand": 1}}, "another shape"),
        ({"n_layer": 3}, "lacks weights"),
        ({"n_layer": 1}, "more layers"),
        ({"fused_add_norm": False}, "another one"),
    ],
)
def test_other_settings_of_mamba_2_are_refused_in_one_line(tmp_path, settings, message):
    with pytest.raises(UserError, match=message) as caught:
        load_checkpoint(edit(PLANT_2, tmp_path, **settings))
    assert "\n" not in str(caught.value)


def test_rates_of_mamba_2_among_the_weights_of_mamba_are_refused(tmp_path):
    """One number for each head."""

    def shorten(weights):
        for name in weights:
            if name.endswith("A_log"):
                weights[name] = weights[name][:, 0].contiguous()

    with pytest.raises(UserError, match="weights of another shape than config.json says"):
        load_checkpoint(edit(PLANT, tmp_path, shorten, of_scan={"headdim": 8}))


def test_mamba_of_transformers_is_another_family():
    shapes = {
        name: list(weight.shape)
        for name, weight in load_file(TEST_DATA / "models/tiny-mamba/model.safetensors").items()
    }
    assert registry.find({}, shapes) is None
    shapes = {name: list(weight.shape) for name, weight in load_file(PS / "model.safetensors").items()}
    assert registry.find({"auto_map": {"AutoModel": "modeling_caduceus.Caduceus"}}, shapes).module == "caduceus"
    assert registry.find({"auto_map": {"AutoModel": "modeling_other.Other"}}, shapes) is None


# --- scores --------------------------------------------------------------------------------------------------------


def pairs_of(n, seed=3, longest=60):
    return list(random_pairs(n, seed, (8, longest), removed=(1, 1, 1, 3), added=(1, 1, 1, 4)))


@pytest.mark.parametrize(
    "kind", ["ps", "ph", "other sizes", "products of each direction", "mamba 2", "mamba 2, one direction"]
)
def test_a_score_belongs_to_its_pair(tmp_path, kind, one_thread):
    """Widths that do not fill vector registers: 22 and 17 channels, 44 and 51 in the scan."""
    random_model(tmp_path, **KINDS[kind])
    assert_same_bits(load_checkpoint(tmp_path), pairs_of(16))


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("source", [PH, PLANT, PLANT_2], ids=lambda path: path.name)
def test_16_bits_give_about_the_same(source, precision):
    records = [Record("a", sequence_of(60), "ok")]
    exact, rough = (
        embed(load_checkpoint(source, name), records, Embedding("hidden", pooling="mean"), "mean")[0].embedding
        for name in ("float32", precision)
    )
    assert 0 < abs(exact - rough).max() < 0.15 * abs(exact).max()


# --- two strands ---------------------------------------------------------------------------------------------------

BOTH_STRANDS = [PLANT, PLANT_2, PS, PS_UNFUSED]


@pytest.fixture(scope="module", params=BOTH_STRANDS, ids=lambda path: path.name)
def mirrored(request):
    return load_checkpoint(request.param)


@pytest.mark.parametrize("how_pooled", ["max", "mean"])
@pytest.mark.parametrize(("representation", "layer"), [("logits", -1), ("hidden", -1), ("hidden", 0), ("hidden", 1)])
def test_the_mirror_image_has_mirrored_outputs(mirrored, representation, layer, how_pooled):
    embedding = Embedding(representation, layer, how_pooled)
    ids = mirrored.tokenise([sequence_of(length, length) for length in (5, 40, 40, 77)])
    images = list(map(mirrored.mirror.ids, ids))
    assert list(map(mirrored.mirror.ids, images)) == ids != images
    of_ids, of_images = (encoder.encode(mirrored, given, embedding, False, Budget())[0] for given in (ids, images))
    expected = mirrored.mirror.pooled(of_ids, representation)
    assert abs(of_images - expected).max() <= 1e-5 * abs(expected).max()
    assert abs(of_images - of_ids).max() > 0.1 * abs(expected).max()


def test_both_strands_have_the_scores_of_one_and_take_the_time_of_one(mirrored):
    pairs, n_computed = pairs_of(12), set()
    for representation in ("logits", "hidden"):
        rows = {
            strand: score_pairs(
                mirrored, pairs, scores_of(mirrored), embedding=Embedding(representation), strand=strand
            )
            for strand in ("forward", "reverse", "mean")
        }
        assert rows["forward"] == rows["reverse"] == rows["mean"]
    for strand in ("forward", "mean"):
        budget = Budget()
        items = [pipeline.Item(None, *pair) for pair in pairs]
        settings = Settings(scores=tuple(scores_of(mirrored)), strand=strand)
        assert pipeline.is_mirrored(mirrored, settings) and not warnings.of_settings(False, strand, True)
        list(pipeline.score(mirrored, items, settings, budget))
        list(pipeline.embed(mirrored, [pipeline.Single(pair[0]) for pair in pairs], Settings(strand=strand), budget))
        n_computed.add(budget.computed)
    assert len(n_computed) == 1


@pytest.mark.parametrize("how_pooled", pooling.POOLINGS)
@pytest.mark.parametrize("representation", ["logits", "hidden"])
@pytest.mark.parametrize("strand", ["reverse", "mean"])
def test_the_other_strand_is_that_which_is_read(representation, how_pooled, strand):
    """PlantCaduceus has no special tokens, so that mirror images are the tokens of reverse complements."""
    plant, embedding = load_checkpoint(PLANT), Embedding(representation, -1, how_pooled)
    reading = dataclasses.replace(plant, mirror=None)
    pairs = pairs_of(8)
    assert plant.tokenise([pairs[0][0].sequence], True) == reading.tokenise([pairs[0][0].sequence], True)
    found, expected = (
        [row.embedding for row in embed(loaded, [record for pair in pairs for record in pair], embedding, strand)]
        for loaded in (plant, reading)
    )
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
    found, expected = (
        [
            [row.scores[name] for name in scores_of(loaded)]
            for row in score_pairs(loaded, pairs, scores_of(loaded), embedding=embedding, strand=strand)
        ]
        for loaded in (plant, reading)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_the_last_token_of_the_other_strand_is_the_first_of_the_given_one():
    """The [SEP] after a sequence comes before its mirror image."""
    loaded, sequence = load_checkpoint(PS), sequence_of(50)
    [ids], [image] = loaded.tokenise([sequence]), loaded.tokenise([sequence], True)
    assert ids[-1] == image[0] == 1 and image == [COMPLEMENT[token] for token in reversed(ids)]
    with torch.inference_mode():
        states = forward.sequence_states(loaded, torch.tensor([ids], device=loaded.device))[0][0].cpu().numpy()
    found = embed(loaded, [Record("a", sequence, "ok")], Embedding("hidden", pooling="last"), "reverse")[0].embedding
    assert abs(found - states[0, ::-1]).max() <= 1e-5 * abs(states).max()


def test_models_of_one_strand_are_read_twice():
    loaded = load_checkpoint(PH)
    assert loaded.mirror is None
    forward_rows, mean_rows = (score_pairs(loaded, pairs_of(3), strand=strand) for strand in ("forward", "mean"))
    assert all(a.scores != b.scores for a, b in zip(forward_rows, mean_rows, strict=True))


def test_a_model_that_says_wrongly_what_its_strands_are_is_refused(tmp_path, monkeypatch):
    def with_map(complement):
        name = "caduceus.backbone.embeddings.word_embeddings.complement_map"
        return edit(PLANT, tmp_path, lambda weights: weights.update({name: torch.tensor(complement)}))

    # Bases are themselves, the mask is a base, the map leads nowhere back, it leads out of the vocabulary.
    for wrong in (
        [0, 1, 2, 3, 4, 5, 6, 7],
        [0, 3, 2, 1, 5, 4, 6, 7],
        [0, 1, 2, 6, 5, 4, 4, 7],
        [0, 1, 2, 6, 5, 4, 3, 9],
    ):
        with pytest.raises(UserError, match="complement_map|cannot run"):
            load_checkpoint(with_map(wrong))
    monkeypatch.setattr(caduceus.ForMaskedLM, "complement", tuple(COMPLEMENT.tolist()))
    with pytest.raises(UserError, match="not mirror images"):
        load_checkpoint(PH)
