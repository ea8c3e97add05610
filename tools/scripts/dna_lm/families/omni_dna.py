"""Omni-DNA (Li et al. 2025, arXiv:2502.03499): the first OLMo (Groeneveld et al. 2024, arXiv:2402.00838) for DNA.

transformers has this architecture as `olmo`. The published files have its weights under the names of the authors'
library, with several matrices in one. `parts_of` says where each is.
"""

import re

from transformers import OlmoConfig

from dna_lm.errors import UserError, quoted
from dna_lm.families.registry import Shapes, check_shape
from dna_lm.families.settings import Settings, check_heads, flag, number, require, token_id, whole_number

IS_CAUSAL = True
_LABEL = "Omni-DNA"
_OF_BLOCK = re.compile(r"(?:model\.)?transformer\.blocks\.(\d+)\.(\w+)\.weight")
# Parts of a matrix from its first row on, each as large as the others. The gate comes last.
_IN_BLOCK = {
    "att_proj": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "attn_out": ("self_attn.o_proj",),
    "ff_proj": ("mlp.up_proj", "mlp.gate_proj"),
    "ff_out": ("mlp.down_proj",),
}
_TABLES = {"wte": "model.embed_tokens.weight", "ff_out": "lm_head.weight"}


def configure(settings: Settings, shapes: Shapes) -> OlmoConfig:
    """The configuration of a checkpoint. Raises `UserError` for settings that cannot be followed."""
    n_heads = whole_number(settings, "n_heads")
    require(
        settings,
        _LABEL,
        block_type="sequential",
        activation_type="swiglu",
        layer_norm_with_affine=False,
        attention_layer_norm=False,
        norm_after=False,
        embedding_layer_norm=False,
        include_bias=False,
        bias_for_layer_norm=False,
        alibi=False,
        rope=True,
        clip_qkv=None,
        multi_query_attention=False,
        scale_logits=False,
    )
    # The two differ in the type that they compute in, which is float32 here.
    if settings.get("layer_norm_type", "default") not in ("default", "low_precision"):
        require(settings, _LABEL, layer_norm_type="default")
    if settings.get("n_kv_heads") is not None:
        require(settings, _LABEL, n_kv_heads=n_heads)
    width = whole_number(settings, "d_model")
    check_heads(width, n_heads)
    # Both halves of the first product.
    inner = settings.get("mlp_hidden_size")
    inner = (
        whole_number(settings, "mlp_ratio", 4) * width if inner is None else whole_number(settings, "mlp_hidden_size")
    )
    n_tokens = settings.get("embedding_size")
    n_tokens = whole_number(settings, "vocab_size" if n_tokens is None else "embedding_size")
    if inner % 2:
        raise UserError(f"model: in config.json, mlp_hidden_size is {quoted(inner)}, which has no two equal halves")
    check_shape(shapes, "transformer.blocks.0.att_proj.weight", [3 * width, width])
    check_shape(shapes, "transformer.blocks.0.ff_proj.weight", [inner, width])
    check_shape(shapes, "transformer.wte.weight", [n_tokens, width])
    return OlmoConfig(
        vocab_size=n_tokens,
        hidden_size=width,
        num_hidden_layers=whole_number(settings, "n_layers"),
        num_attention_heads=n_heads,
        intermediate_size=inner // 2,
        max_position_embeddings=whole_number(settings, "max_sequence_length"),
        rope_parameters={"rope_type": "default", "rope_theta": number(settings, "rope_theta", 10_000)},
        tie_word_embeddings=flag(settings, "weight_tying", True),
        pad_token_id=token_id(settings, "pad_token_id"),
        bos_token_id=None,
        eos_token_id=None,
    )


def parts_of(name: str) -> tuple[str, ...]:
    """The weights of transformers' class that a published one has, from its first row on."""
    if found := _OF_BLOCK.fullmatch(name):
        layer, matrix = found.groups()
        return tuple(f"model.layers.{layer}.{part}.weight" for part in _IN_BLOCK.get(matrix, ())) or (name,)
    table = re.fullmatch(r"(?:model\.)?transformer\.(\w+)\.weight", name)
    return (_TABLES.get(table[1], name) if table else name,)
