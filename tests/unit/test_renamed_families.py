"""Families that are an architecture of transformers under other names: GENERanno and Omni-DNA."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from conftest import ROOT
from dna_lm.engine.loading import load_checkpoint
from dna_lm.errors import UserError
from dna_lm.inputs.fasta import Record
from dna_lm.model.checkpoint import load_unchecked
from scored import random_pairs, score_pairs

OMNI_DNA = ROOT / "tests" / "oracles" / "omni_dna"
# The published list: control tokens, then letters, those of several bases in angle brackets.
SPECIALS = ["<oov>", "<s>", "</s>", "<pad>", "<mask>", "<bog>", "<eog>", "<bok>", "<eok>", "<+>", "<->"]
SPECIALS += [
    f"<{name}>"
    for name in ["mam", "vrt", "inv", "pln", "fng", "prt", "arc", "bct", "mit", "plt", "plm", "vir", "cds", "pseudo"]
]
SPECIALS += [f"<{name}>" for name in ["tRNA", "rRNA", "ncRNA", "sp0", "sp1", "sp2", "sp3"]]
TOKENS = [*SPECIALS, "A", "C", "G", "<K>", "<M>", "N", "<R>", "<S>", "T", "<W>", "<Y>"]
SETTINGS = {
    "architectures": ["GenerannoForMaskedLM"],
    "auto_map": {
        "AutoConfig": "configuration_generanno.GenerannoConfig",
        "AutoModel": "modeling_generanno.GenerannoModel",
        "AutoModelForMaskedLM": "modeling_generanno.GenerannoForMaskedLM",
    },
    "model_type": "generanno",
    "vocab_size": 64,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 40,
    "hidden_act": "silu",
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-5,
    "rope_theta": 500000.0,
    "rope_scaling": None,
    "attention_bias": False,
    "mlp_bias": False,
    "pad_token_id": 3,
    "tie_word_embeddings": False,
    "torch_dtype": "float32",
}


def generanno(folder, **settings):
    """A tiny GENERanno in the published form, with random weights."""
    folder.mkdir()
    width, inner, kv = 24, 40, 12
    torch.manual_seed(5)
    weights = {"model.embed_tokens.weight": torch.randn(64, width), "lm_head.weight": torch.randn(64, width)}
    for layer in range(2):
        shapes = {
            "self_attn.q_proj": (width, width),
            "self_attn.k_proj": (kv, width),
            "self_attn.v_proj": (kv, width),
            "self_attn.o_proj": (width, width),
            "mlp.gate_proj": (inner, width),
            "mlp.up_proj": (inner, width),
            "mlp.down_proj": (width, inner),
        }
        weights |= {f"model.layers.{layer}.{name}.weight": 0.3 * torch.randn(shape) for name, shape in shapes.items()}
        for norm in ("input_layernorm", "post_attention_layernorm"):
            weights[f"model.layers.{layer}.{norm}.weight"] = 1 + 0.2 * torch.randn(width)
    weights["model.norm.weight"] = 1 + 0.2 * torch.randn(width)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(SETTINGS | settings))
    (folder / "vocab.txt").write_text("\n".join(TOKENS) + "\n")
    tokenizer = {"tokenizer_class": "DNAKmerTokenizer", "k": 1, "model_max_length": 8192}
    tokenizer["auto_map"] = {"AutoTokenizer": ["tokenizer.DNAKmerTokenizer", None]}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    return folder


def llama_without_mask(folder, ids):
    """Logits (tokens, vocabulary) in float64, one query at a time, with rotated pairs as complex numbers."""
    weights = {name: tensor.double().numpy() for name, tensor in load_file(folder / "model.safetensors").items()}

    def norm(name, states):
        return states / np.sqrt((states**2).mean(-1, keepdims=True) + 1e-5) * weights[name]

    def turned(states):
        half = states.shape[1] // 2
        angles = np.outer(np.arange(len(states)), 500_000.0 ** (-np.arange(half) / half))
        pairs = (states[:, :half] + 1j * states[:, half:]) * np.exp(1j * angles)
        return np.concatenate([pairs.real, pairs.imag], axis=1)

    states = weights["model.embed_tokens.weight"][ids]
    for number in range(2):
        layer = f"model.layers.{number}"
        entering = norm(f"{layer}.input_layernorm.weight", states)
        q, k, v = (entering @ weights[f"{layer}.self_attn.{name}_proj.weight"].T for name in "qkv")
        attended = np.empty_like(q)
        for head in range(4):
            of_head, of_group = slice(6 * head, 6 * head + 6), slice(6 * (head // 2), 6 * (head // 2) + 6)
            queries, keys = turned(q[:, of_head]), turned(k[:, of_group])
            for here, query in enumerate(queries):
                shares = np.exp(keys @ query / np.sqrt(6))
                attended[here, of_head] = shares / shares.sum() @ v[:, of_group]
        states = states + attended @ weights[f"{layer}.self_attn.o_proj.weight"].T
        entering = norm(f"{layer}.post_attention_layernorm.weight", states)
        gate = entering @ weights[f"{layer}.mlp.gate_proj.weight"].T
        up = entering @ weights[f"{layer}.mlp.up_proj.weight"].T
        states = states + (gate / (1 + np.exp(-gate)) * up) @ weights[f"{layer}.mlp.down_proj.weight"].T
    return norm("model.norm.weight", states) @ weights["lm_head.weight"].T


@torch.inference_mode()
def test_generanno_is_llama_that_sees_both_sides(tmp_path):
    folder = generanno(tmp_path / "model")
    checkpoint, model = load_unchecked(folder, "float32")
    [ids] = checkpoint.tokenise(["ACGTTGCATTNGACCA"])
    assert ids == [1, *(TOKENS.index(base) for base in "ACGTTGCATTNGACCA")]
    assert (checkpoint.mask_token_id, checkpoint.pad_token_id, checkpoint.is_causal) == (4, 3, False)
    expected = llama_without_mask(folder, ids)
    found = model(torch.tensor([ids], device=model.device)).logits[0].cpu().numpy()
    assert abs(found - expected).max() <= 1e-5 * abs(expected).max()


def test_generanno_scores_pairs(tmp_path):
    """The ratio of a substitution, by the plain computation with the base masked."""
    folder = generanno(tmp_path / "model")
    wild = "ACGTTGCATTAGCCGATACC"
    pair = (Record("1", wild, "ok"), Record("1", f"{wild[:9]}G{wild[10:]}", "ok"))
    [row] = score_pairs(load_checkpoint(folder), [pair], ("llr",))
    ids = [1, *(TOKENS.index(base) for base in wild)]
    ids[10] = TOKENS.index("<mask>")
    logits = llama_without_mask(folder, ids)[10]
    assert row.scores["llr"] == pytest.approx(logits[TOKENS.index("G")] - logits[TOKENS.index("T")], abs=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu': of GENERanno"),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "rope_scaling is"),
        ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1.0}}, "rope_type is 'yarn'"),
        ({"is_decoder": True}, "is_decoder makes its attention causal"),
        ({"num_attention_heads": 5}, "not a multiple of 5 num_attention_heads"),
        ({"attention_bias": True}, "lacks weights that its config.json calls for"),
        ({"vocab_size": 43}, "weights of another shape than config.json says"),
        ({"num_hidden_layers": 1}, "more layers than config.json says"),
        # Its weights are Llama's too: without the word it may be either.
        ({"model_type": "llama"}, "names its own code"),
        ({"auto_map": {"AutoModel": "modeling_other.OtherModel"}}, "names its own code"),
    ],
)
def test_another_generanno_is_refused_in_one_line(tmp_path, settings, message):
    with pytest.raises(UserError, match=message) as error:
        load_checkpoint(generanno(tmp_path / "model", **settings))
    assert "\n" not in str(error.value)


def test_a_llama_is_not_taken_for_generanno(tmp_path):
    folder = generanno(tmp_path / "model", model_type="llama", auto_map=None, architectures=["LlamaForCausalLM"])
    assert load_checkpoint(folder).is_causal


# --- Omni-DNA --------------------------------------------------------------------------------------------------------


def omni_dna(folder, change=lambda weights: weights, **settings):
    shutil.copytree(OMNI_DNA, folder)
    save_file(change(load_file(folder / "model.safetensors")), folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | settings))
    return folder


def test_omni_dna_scores_pairs_and_shares_prefixes():
    checkpoint = load_checkpoint(OMNI_DNA)
    assert checkpoint.is_causal and checkpoint.max_shared_tokens and checkpoint.max_tokens == 250
    rows = score_pairs(checkpoint, list(random_pairs(8, 1)), ("l2", "llr"))
    assert sum(row.status == "ok" for row in rows) > 4


def test_an_untied_head_is_read(tmp_path):
    """The same table under the name of a head gives the same logits."""
    folder = omni_dna(
        tmp_path / "model",
        lambda weights: weights | {"model.transformer.ff_out.weight": 2 * weights["model.transformer.wte.weight"]},
        weight_tying=False,
    )
    ids = torch.arange(5, 25)[None]
    with torch.inference_mode():
        untied, tied = (load_unchecked(each, "float32")[1](ids).logits for each in (folder, OMNI_DNA))
    assert torch.allclose(untied, 2 * tied, rtol=1e-6)


def test_weights_may_lack_the_first_word_of_their_names(tmp_path):
    folder = omni_dna(
        tmp_path / "model", lambda weights: {name.removeprefix("model."): weights[name] for name in weights}
    )
    ids = torch.arange(5, 25)[None]
    with torch.inference_mode():
        found, expected = (load_unchecked(each, "float32")[1](ids).logits for each in (folder, OMNI_DNA))
    assert torch.equal(found, expected)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layer_norm_type": "rms"}, "layer_norm_type is 'rms': of Omni-DNA, only models with 'default'"),
        ({"layer_norm_with_affine": True}, "layer_norm_with_affine is 'True'"),
        ({"alibi": True}, "alibi is 'True'"),
        ({"clip_qkv": 8.0}, "clip_qkv is '8.0'"),
        ({"multi_query_attention": True}, "multi_query_attention is 'True'"),
        ({"n_kv_heads": 1}, "n_kv_heads is '1'"),
        ({"norm_after": True}, "norm_after is 'True'"),
        ({"block_type": "llama"}, "block_type is 'llama'"),
        ({"n_layers": 1}, "more layers than config.json says"),
        ({"n_layers": 3}, "lacks weights that its config.json calls for"),
        ({"n_layers": 10**9}, "describes a larger model"),
        ({"mlp_ratio": 2}, "ff_proj.weight' is .64, 16., not .32, 16."),
        ({"n_heads": 3}, "not a multiple of 3 num_attention_heads"),
        ({"embedding_size": 128}, "wte.weight' is .120, 16., not .128, 16."),
        ({"auto_map": {"AutoModel": "modeling_other.OtherModel"}}, "names its own code"),
    ],
)
def test_another_olmo_is_refused_in_one_line(tmp_path, settings, message):
    with pytest.raises(UserError, match=message) as error:
        load_checkpoint(omni_dna(tmp_path / "model", **settings))
    assert "\n" not in str(error.value)


def test_a_weight_that_omni_dna_does_not_have_is_refused(tmp_path):
    name = "model.transformer.blocks.0.attn_norm.weight"
    folder = omni_dna(tmp_path / "model", lambda weights: weights | {name: torch.ones(16)})
    with pytest.raises(UserError, match=f"another one: '{name}'"):
        load_checkpoint(folder)
