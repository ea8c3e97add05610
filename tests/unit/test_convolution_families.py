"""GPN and HyenaDNA: the same numbers from plain loops in float64, and what is refused."""

import json
import math
import random
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from conftest import ROOT
from dna_lm.engine import encoder
from dna_lm.engine.encoder import Budget, Embedding
from dna_lm.engine.loading import load_checkpoint
from dna_lm.errors import UserError
from dna_lm.families import gpn, hyenadna, long_filter
from dna_lm.inputs.fasta import Record
from scored import assert_same_bits, random_pairs, score_pairs

ORACLES = ROOT / "tests" / "oracles"
ROUNDING = 1e-5
# Transforms spread the rounding of the largest numbers over all tokens.
OF_TRANSFORMS = 1e-4

FIRST = {"model_type": "ConvNet", "n_layers": 3, "kernel_size": 9, "dilation_max": 3, "dilation_cycle": 2}
LATER = {
    "model_type": "GPN",
    "num_hidden_layers": 3,
    "intermediate_size": 96,
    "first_kernel_size": 5,
    "rest_kernel_size": 3,
    "dilation_max": 9,
    "dilation_base": 3,
    "dilation_cycle": 3,
    "bias": False,
    "depthwise": False,
    "slim": False,
    "embedding": "one_hot",
    "mlm_head_transform": True,
    "n_aux_features": 0,
}
CONVNET, BYTENET = LATER | {"encoder": "convnet"}, LATER | {"encoder": "bytenet"}
COMMON = {"hidden_size": 32, "vocab_size": 7, "dilation_double_every": 1}
GPN = {
    "first": FIRST,
    "first, slower dilations": FIRST | {"dilation_double_every": 2, "dilation_cycle": 9},
    "convnet": CONVNET,
    "convnet with biases and a table": CONVNET | {"bias": True, "embedding": "embedding"},
    "convnet by channel, plain head": CONVNET | {"depthwise": True, "mlm_head_transform": False},
    "bytenet": BYTENET | {"bias": True},
    "slim bytenet": BYTENET | {"slim": True},
    "slim bytenet by channel": BYTENET | {"slim": True, "depthwise": True, "bias": True},
}
HYENA = {
    "auto_map": {"AutoModelForCausalLM": "modeling_hyena.HyenaDNAForCausalLM"},
    "model_type": "hyenadna",
    "d_model": 32,
    "n_layer": 2,
    "d_inner": 96,
    "vocab_size": 12,
    "emb_dim": 5,
    "filter_order": 16,
    "max_seq_len": 600,
}
# One weight that says which kind of GPN a checkpoint is.
SIGNS = {
    "ConvNet": {"encoder.0.conv.1.weight": [1, 1, 1]},
    "convnet": {"encoder.layer.0.conv.2.weight": [1, 1, 1]},
    "bytenet": {"encoder.layer.0.layer.6.weight": [1, 1, 1]},
}


def save(folder, settings, seed=0):
    """Write a model of random weights, and return them. Settings: of config.json."""
    torch.manual_seed(seed)
    if "d_model" in settings:
        model = hyenadna.ForCausalLM(hyenadna.configure(settings, {}))
        tokenizer = ORACLES / "hyenadna"
    else:
        settings = COMMON | settings
        model = gpn.ForMaskedLM(gpn.configure(settings, SIGNS[settings.get("encoder", "ConvNet")]))
        tokenizer = ORACLES / "gpn"
    weights = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    for name, tensor in weights.items():
        tensor.copy_(0.3 * torch.randn_like(tensor))
        if tensor.ndim == 1 and name.endswith("weight"):
            tensor.add_(1)
        elif name.endswith("pos_emb.t"):
            tensor.copy_(torch.linspace(0, 1, tensor.shape[1])[None, :, None])
        elif name.endswith(("deltas", "freq")):
            tensor.mul_(10)
    if "d_model" in settings:
        weights = {name: tensor for name, tensor in weights.items() if not name.endswith(("3.freq", "5.freq"))}
    folder.mkdir(exist_ok=True)
    for path in tokenizer.glob("*token*.json"):
        shutil.copyfile(path, folder / path.name)
    if "d_model" in settings:
        edit(folder, "tokenizer_config.json", model_max_length=settings["max_seq_len"])
    (folder / "config.json").write_text(json.dumps(settings))
    save_file(weights, folder / "model.safetensors")
    return {name: tensor.double().numpy() for name, tensor in weights.items()}


def edit(folder, name="config.json", **changes):
    settings = json.loads((folder / name).read_text()) | changes
    (folder / name).write_text(json.dumps({key: value for key, value in settings.items() if value is not None}))


def edit_weights(folder, change):
    weights = load_file(folder / "model.safetensors")
    save_file(change(weights), folder / "model.safetensors")


def outputs(checkpoint, sequence):
    """Logits (tokens, vocabulary) of one sequence, and its token ids."""
    ids = checkpoint.tokenise([sequence])[0]
    with torch.inference_mode():
        states = checkpoint.trunk(torch.tensor([ids], device=checkpoint.device), use_cache=False).last_hidden_state
        return checkpoint.logits(states)[0].cpu().numpy(), ids


def assert_close(found, expected, rounding=ROUNDING):
    assert found.shape == expected.shape
    assert abs(found - expected).max() <= rounding * abs(expected).max()


def dna(n, seed=0):
    return "".join(random.Random(seed).choices("ACGT", k=n))


# Plain loops in float64. `weights` are those below a name.


def below(weights, name):
    return {key.removeprefix(f"{name}."): value for key, value in weights.items() if key.startswith(f"{name}.")}


def norm(weights, states):
    scaled = (states - states.mean(-1, keepdims=True)) / np.sqrt(states.var(-1, keepdims=True) + 1e-5)
    return scaled * weights["weight"] + weights.get("bias", 0)


def linear(weights, states):
    return states @ weights["weight"].T + weights.get("bias", 0)


gelu = np.vectorize(lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2)


def convolution(weights, states, dilation):
    kernel = weights["weight"]
    n_tokens, n_taps = len(states), kernel.shape[-1]
    total = np.zeros((n_tokens, len(kernel)))
    for token in range(n_tokens):
        for tap in range(n_taps):
            neighbour = token + (tap - n_taps // 2) * dilation
            if 0 <= neighbour < n_tokens:
                given = states[neighbour]
                total[token] += kernel[:, 0, tap] * given if kernel.shape[1] == 1 else kernel[:, :, tap] @ given
    return total + weights.get("bias", 0)


def naive_gpn(settings, weights, ids):
    settings = COMMON | {"dilation_base": 2} | settings
    if settings.get("embedding") == "embedding":
        states = weights["model.embeddings.word_embeddings.weight"][ids]
    else:
        states = np.eye(settings["hidden_size"])[ids]
    kind = settings.get("encoder", "first")
    for number in range(3):
        power = (number % settings["dilation_cycle"]) // settings["dilation_double_every"]
        dilation = min(settings["dilation_max"], settings["dilation_base"] ** power)
        if kind == "first":
            layer = below(weights, f"model.encoder.{number}")
            step = gelu(convolution(below(layer, "conv.1"), states, dilation))
            states = states + norm(below(layer, "conv.4"), step)
            states = states + norm(below(layer, "ffn.2"), gelu(linear(below(layer, "ffn.0"), states)))
            continue
        layer = below(weights, f"model.encoder.layer.{number}")
        if kind == "convnet":
            step = convolution(below(layer, "conv.2"), norm(below(layer, "conv.0"), states), dilation)
            states = states + linear(below(layer, "conv.5"), gelu(step))
            step = linear(below(layer, "ffn.1"), norm(below(layer, "ffn.0"), states))
            states = states + linear(below(layer, "ffn.3"), gelu(step))
        else:
            layer = below(layer, "layer")
            step = linear(below(layer, "2"), gelu(norm(below(layer, "0"), states)))
            step = convolution(below(layer, "6"), gelu(norm(below(layer, "3"), step)), dilation)
            states = states + linear(below(layer, "10"), gelu(norm(below(layer, "8"), step)))
    head = below(weights, "cls")
    if kind == "first":
        head = below(head, "decoder")
        return linear(below(head, "3"), norm(below(head, "2"), gelu(linear(below(head, "0"), states))))
    states = norm(below(weights, "model.ln_f"), states)
    if settings["mlm_head_transform"]:
        states = norm(below(head, "transform.2"), gelu(linear(below(head, "transform.0"), states)))
    return linear(below(head, "decoder"), states)


def naive_hyena(weights, ids):
    """The long convolution is a sum over all earlier tokens."""
    states = weights["hyena.backbone.embeddings.word_embeddings.weight"][ids]
    n_tokens = len(states)
    for number in range(2):
        layer = below(weights, f"hyena.backbone.layers.{number}")
        mixer, long = below(layer, "mixer"), below(layer, "mixer.filter_fn")
        projected = linear(below(mixer, "in_proj"), norm(below(layer, "norm1"), states))
        short = np.tile(mixer["short_filter.bias"], (n_tokens, 1))
        for token in range(n_tokens):
            for back in range(min(token + 1, 3)):
                short[token] += mixer["short_filter.weight"][:, 0, 2 - back] * projected[token - back]
        gate, first, value = np.split(short, 3, axis=1)
        value = value * first
        features = long["pos_emb.z"][0, :n_tokens]
        for step in (0, 2, 4):
            features = np.sin(long["implicit_filter.1.freq"] * linear(below(long, f"implicit_filter.{step}"), features))
        window = np.exp(-long["pos_emb.t"][0, :n_tokens] * abs(long["modulation.deltas"][0])) + 0.05
        kernel = linear(below(long, "implicit_filter.6"), features) * window
        mixed = value * long["bias"]
        for token in range(n_tokens):
            mixed[token] += (kernel[: token + 1] * value[token::-1]).sum(axis=0)
        states = states + linear(below(mixer, "out_proj"), mixed * gate)
        inner = linear(below(layer, "mlp.fc1"), norm(below(layer, "norm2"), states))
        inner = inner * (1 + np.tanh(math.sqrt(2 / math.pi) * (inner + 0.044715 * inner**3))) / 2
        states = states + linear(below(layer, "mlp.fc2"), inner)
    return norm(below(weights, "hyena.backbone.ln_f"), states) @ weights["lm_head.weight"].T


@pytest.mark.parametrize("name", GPN)
def test_gpn_is_a_plain_loop(tmp_path, name):
    weights = save(tmp_path, GPN[name])
    checkpoint = load_checkpoint(tmp_path)
    for length in (1, 2, 7, 60):
        logits, ids = outputs(checkpoint, dna(length))
        assert_close(logits, naive_gpn(GPN[name], weights, ids))


@pytest.mark.parametrize("length", [1, 2, 3, 50, 599])
def test_hyenadna_is_a_sum_over_all_earlier_tokens(tmp_path, monkeypatch, length):
    weights = save(tmp_path, HYENA)
    checkpoint = load_checkpoint(tmp_path)
    logits, ids = outputs(checkpoint, dna(length))
    assert len(ids) == length + 1
    assert_close(logits, naive_hyena(weights, ids), OF_TRANSFORMS)
    # As for sequences that do not fit into one block of tokens and one group of channels.
    monkeypatch.setattr(hyenadna, "BLOCK", 64)
    monkeypatch.setattr(long_filter, "BLOCK", 64)
    monkeypatch.setattr(long_filter, "GROUP_NUMBERS", 2**13)
    assert_close(outputs(checkpoint, dna(length))[0], logits, OF_TRANSFORMS)


def test_tokens_after_a_token_do_not_change_its_output(tmp_path):
    save(tmp_path, HYENA)
    checkpoint = load_checkpoint(tmp_path)
    sequence = dna(500)
    first, _ = outputs(checkpoint, sequence)
    for place in (3, 250, 499):
        other = sequence[:place] + "ACGT"["CGTA".index(sequence[place])] + dna(499 - place, seed=1)
        logits, _ = outputs(checkpoint, other)
        assert_close(logits[:place], first[:place], OF_TRANSFORMS)
        assert abs(logits[place] - first[place]).max() > 1e-3


def test_the_longest_input_of_hyenadna_is_its_filter(tmp_path):
    save(tmp_path, HYENA | {"max_seq_len": 40})
    edit(tmp_path, "tokenizer_config.json", model_max_length=100)
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint.max_tokens == 40
    # One of the 40 is [SEP].
    for length, status in ((39, "ok"), (40, "too_long")):
        record = Record("a", dna(length), "ok")
        assert score_pairs(checkpoint, [(record, record)])[0].status == status
    with pytest.raises(ValueError, match="41 tokens, more than the 40"):
        outputs(checkpoint, dna(40))


def test_sizes_of_transforms():
    for n in (1, 2, 3, 63, 64, 65, 2051, 320_003, 2_000_003):
        size = rest = long_filter._transform_size(n)
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        assert rest == 1 and size % 2 == 0 and n <= size <= 1.1 * n + 1


@pytest.mark.parametrize("settings", [FIRST, CONVNET, BYTENET | {"hidden_size": 64, "slim": True}, HYENA])
def test_a_score_belongs_to_its_pair(tmp_path, settings, one_thread):
    """A score is the same to the last bit, whatever other pairs are in the batch."""
    save(tmp_path, settings)
    # Of few lengths, so that batches have several sequences.
    pairs = [pair for length in (24, 33, 64) for pair in random_pairs(8, length, (length, length), (1,), (1,))]
    assert_same_bits(load_checkpoint(tmp_path), pairs)


def test_the_ratio_of_gpn_is_that_of_the_masked_base(tmp_path):
    """Benegas et al. 2023: mask the base in the reference, logit of the alternate base minus the reference's."""
    weights = save(tmp_path, FIRST)
    checkpoint = load_checkpoint(tmp_path)
    reference = dna(41)
    for base in "ACGT".replace(reference[20], ""):
        alternate = reference[:20] + base + reference[21:]
        row = score_pairs(checkpoint, [(Record("v", reference, "ok"), Record("v", alternate, "ok"))], ("llr",))[0]
        masked = ["acgt".index(letter.lower()) + 3 for letter in reference]
        masked[20] = 1
        logits = naive_gpn(FIRST, weights, masked)[20]
        expected = logits["ACGT".index(base) + 3] - logits["ACGT".index(reference[20]) + 3]
        assert row.scores["llr"] == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_the_likelihood_of_hyenadna_is_the_sum_over_its_bases(tmp_path):
    weights = save(tmp_path, HYENA)
    checkpoint = load_checkpoint(tmp_path)
    ids = checkpoint.tokenise([dna(60)])
    _, found = encoder.encode(checkpoint, ids, None, True, Budget())
    logits = naive_hyena(weights, ids[0])
    logits = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    # [SEP] at the end is not DNA, and nothing comes before the first base.
    expected = sum(logits[place - 1, ids[0][place]] for place in range(1, 60))
    assert found[0] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("settings", [FIRST, CONVNET, BYTENET, HYENA])
def test_a_checkpoint_without_head_and_without_the_prefix_of_its_names(tmp_path, settings):
    save(tmp_path, settings)
    whole = load_checkpoint(tmp_path)
    prefix = "hyena." if settings is HYENA else "model."
    heads = ("lm_head.", "cls.")
    edit_weights(tmp_path, lambda weights: {n: w for n, w in weights.items() if not n.startswith(heads)})
    headless = load_checkpoint(tmp_path)
    edit_weights(tmp_path, lambda weights: {n.removeprefix(prefix): w for n, w in weights.items()})
    unprefixed = load_checkpoint(tmp_path)
    ids = whole.tokenise([dna(50)])
    hidden = Embedding("hidden", -1, "mean")
    expected, _ = encoder.encode(whole, ids, hidden, False, Budget())
    for checkpoint in (headless, unprefixed):
        assert checkpoint.head is None
        np.testing.assert_array_equal(encoder.encode(checkpoint, ids, hidden, False, Budget())[0], expected)
    edit_weights(tmp_path, lambda weights: {n: w for n, w in weights.items() if "s.0." not in n and "r.0." not in n})
    with pytest.raises(UserError):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("settings", [FIRST, CONVNET, BYTENET, HYENA])
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_16_bits_on_the_cpu(tmp_path, settings, precision):
    save(tmp_path, settings)
    expected, _ = outputs(load_checkpoint(tmp_path), dna(200))
    logits, _ = outputs(load_checkpoint(tmp_path, precision), dna(200))
    assert np.median(abs(logits - expected)) < 0.02 * abs(expected).max()


def with_frequencies(change):
    """Weights as a pickle has them: the frequencies under all three names, the second and third changed."""

    def add(weights):
        for name in [name for name in weights if name.endswith("1.freq")]:
            for sine in (3, 5):
                weights[name.replace("1.freq", f"{sine}.freq")] = change(weights[name])
        return weights

    return add


def test_the_frequencies_of_hyenadna_may_appear_three_times(tmp_path):
    save(tmp_path, HYENA)
    expected, _ = outputs(load_checkpoint(tmp_path), dna(50))
    edit_weights(tmp_path, with_frequencies(torch.clone))
    np.testing.assert_array_equal(outputs(load_checkpoint(tmp_path), dna(50))[0], expected)
    # Three that differ are used as they are.
    edit_weights(tmp_path, with_frequencies(lambda frequencies: 2 * frequencies))
    assert abs(outputs(load_checkpoint(tmp_path), dna(50))[0] - expected).max() > 1e-3


@pytest.mark.parametrize("settings", [FIRST, CONVNET, BYTENET, HYENA])
def test_heads_of_other_tasks_are_left_out_and_other_weights_are_refused(tmp_path, settings):
    save(tmp_path, settings)
    edit_weights(tmp_path, lambda weights: weights | {"score.weight": torch.zeros(2, 32)})
    load_checkpoint(tmp_path)
    names = "hyena.backbone.layers.1" if settings is HYENA else "model.encoder.layer.1"
    edit_weights(tmp_path, lambda weights: weights | {f"{names}.gate.weight": torch.zeros(32)})
    with pytest.raises(UserError, match="so they are of another one: '.*gate.weight'"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("settings", "changes", "message"),
    [
        (FIRST, {"n_layers": 4}, "lacks weights"),
        (FIRST, {"n_layers": 2}, "more layers"),
        (FIRST, {"n_layers": None}, "n_layers is 'None', not a whole number"),
        (FIRST, {"kernel_size": 7}, "another shape"),
        (FIRST, {"kernel_size": 8}, "even number of tokens"),
        (FIRST, {"hidden_size": 64}, "another shape"),
        (FIRST, {"hidden_size": 4}, "7 tokens, more than the width 4"),
        (FIRST, {"dilation_max": None}, "dilation_max is 'None'"),
        (FIRST, {"n_aux_features": 5}, "n_aux_features is '5'"),
        (CONVNET, {"n_aux_features": 5}, "n_aux_features is '5'"),
        (CONVNET, {"encoder": "roformer"}, "encoder is 'roformer'"),
        (CONVNET, {"encoder": "bytenet"}, "encoder is 'bytenet'"),
        (CONVNET, {"hidden_act": "relu"}, "hidden_act is 'relu'"),
        (CONVNET, {"embedding": "word2vec"}, "embedding is 'word2vec'"),
        (CONVNET, {"embedding": "embedding"}, "lacks weights"),
        (CONVNET, {"bias": True}, "lacks weights"),
        (CONVNET, {"bias": "no"}, "bias is 'no', not true or false"),
        (CONVNET, {"depthwise": True}, "another shape"),
        (CONVNET, {"mlm_head_transform": False}, "so they are of another one: 'cls.transform"),
        (BYTENET, {"slim": True}, "another shape"),
        (BYTENET, {"rest_kernel_size": 5}, "another shape"),
        (HYENA, {"hyena_order": 3}, "hyena_order is '3'"),
        (HYENA, {"num_inner_mlps": 3}, "num_inner_mlps is '3'"),
        (HYENA, {"tie_word_embeddings": True}, "tie_word_embeddings is 'True'"),
        (HYENA, {"max_seq_len": 700}, "another shape"),
        (HYENA, {"d_inner": None}, "another shape"),
        (HYENA, {"vocab_size": 20}, "another shape"),
        (HYENA, {"short_filter_order": 4}, "another shape"),
        (HYENA, {"d_model": "wide"}, "d_model is 'wide'"),
        (HYENA, {"n_layer": 3}, "lacks weights"),
    ],
)
def test_settings_that_contradict_the_weights_or_cannot_be_followed_are_refused(tmp_path, settings, changes, message):
    save(tmp_path, settings)
    edit(tmp_path, **changes)
    with pytest.raises(UserError, match=message) as refused:
        load_checkpoint(tmp_path)
    assert "\n" not in str(refused.value)


def test_settings_of_gpn_that_are_absent_are_read_off_the_weights(tmp_path):
    optional = ("bias", "depthwise", "slim", "embedding", "mlm_head_transform", "encoder", "dilation_base")
    for number, (name, settings) in enumerate(GPN.items()):
        settings = settings | {"dilation_base": 2}
        save(tmp_path / str(number), settings)
        expected, _ = outputs(load_checkpoint(tmp_path / str(number)), dna(40))
        edit(tmp_path / str(number), **dict.fromkeys(optional))
        found, _ = outputs(load_checkpoint(tmp_path / str(number)), dna(40))
        np.testing.assert_array_equal(found, expected, name)


def test_a_checkpoint_of_the_training_code_of_hyenadna_is_refused(tmp_path):
    save(tmp_path, HYENA)
    edit_weights(tmp_path, lambda weights: {n.replace("hyena.", "model."): w for n, w in weights.items()})
    with pytest.raises(UserError, match="version for Hugging Face, whose name ends with -hf"):
        load_checkpoint(tmp_path)


def test_nan_in_the_filter_is_refused(tmp_path):
    save(tmp_path, HYENA)
    name = "hyena.backbone.layers.0.mixer.filter_fn.pos_emb.z"
    edit_weights(tmp_path, lambda weights: weights | {name: weights[name] * math.nan})
    with pytest.raises(UserError, match="NaN"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("name", ["gpn", "gpn_v2_convnet", "gpn_v2_bytenet"])
def test_texts_become_the_tokens_of_gpn(name):
    checkpoint = load_checkpoint(ORACLES / name)
    cases = json.loads((ORACLES / name / "tokenizer_cases.json").read_text())
    cases = cases["cases"] if isinstance(cases, dict) else cases
    for case in cases:
        assert checkpoint.tokenise([case["text"]]) == [case["ids"]], case
