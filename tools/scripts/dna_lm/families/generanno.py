"""GENERanno (Li et al. 2025, doi:10.1101/2025.06.04.656517): Llama without the causal mask, which fills masks.

transformers has this architecture as EuroBERT, with the same names of weights. Only the names of some settings differ.
"""

from transformers import EuroBertConfig

from dna_lm.families.registry import Shapes
from dna_lm.families.settings import Settings, check_heads, flag, number, require, token_id, whole_number

IS_CAUSAL = False


def configure(settings: Settings, _shapes: Shapes) -> EuroBertConfig:
    """The configuration of a checkpoint. Raises `UserError` for settings that cannot be followed."""
    require(settings, "GENERanno", hidden_act="silu", rope_scaling=None, is_decoder=False)
    width, n_heads = whole_number(settings, "hidden_size"), whole_number(settings, "num_attention_heads")
    check_heads(width, n_heads)
    given = [name for name in ("num_key_value_heads", "head_dim") if settings.get(name) is not None]
    return EuroBertConfig(
        vocab_size=whole_number(settings, "vocab_size"),
        hidden_size=width,
        num_hidden_layers=whole_number(settings, "num_hidden_layers"),
        num_attention_heads=n_heads,
        **{name: whole_number(settings, name) for name in given},
        intermediate_size=whole_number(settings, "intermediate_size"),
        max_position_embeddings=whole_number(settings, "max_position_embeddings", 8192),
        rms_norm_eps=number(settings, "rms_norm_eps", 1e-5),
        rope_parameters={"rope_type": "default", "rope_theta": _rotary_base(settings)},
        attention_bias=flag(settings, "attention_bias", False),
        mlp_bias=flag(settings, "mlp_bias", False),
        tie_word_embeddings=flag(settings, "tie_word_embeddings", False),
        pad_token_id=token_id(settings, "pad_token_id"),
        bos_token_id=None,
        eos_token_id=None,
        mask_token_id=token_id(settings, "mask_token_id") or 0,
    )


def _rotary_base(settings: Settings) -> float:
    """What angles are powers of. transformers 5 saves it in a group of settings, earlier releases by itself."""
    group = settings.get("rope_parameters") or settings
    require(group, "GENERanno", rope_type="default")
    return number(group, "rope_theta", 500_000)
