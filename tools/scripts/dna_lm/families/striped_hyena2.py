"""StripedHyena 2, the architecture of Evo 2 (Brixi et al. 2025, doi:10.1101/2025.02.18.638918).

A causal model with layers of four kinds: convolutions over 7 tokens, over 128 and over the whole past, and attention.
Frequencies of the positions are those that the checkpoint has, which are rounded to 16 bits: with others the phase of a
token thousands of bases away would be another.

Published checkpoints are pickles with three settings. `model.evo2` converts them and writes the settings that are read
here.
"""

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig

from dna_lm.errors import UserError
from dna_lm.families import striped
from dna_lm.families.registry import Shapes, shape_of
from dna_lm.families.settings import Settings, check_heads, number, require, whole_number
from dna_lm.families.striped_hyena import Striped, kinds_of

IS_CAUSAL = True
# What tells the kind of a layer, the last one that there is: `filter.D` and `filter.h` make a medium filter.
_TELLING = {
    "filter.log_poles": "long",
    "filter.h": "short",
    "inner_mha_cls.Wqkv.weight": "attention",
}


class Config(PreTrainedConfig):
    """Settings of a model, with transformers' usual names.

    kinds: `attention`, `short`, `medium` or `long`, for each layer; n_groups: filters of a short or medium layer.
    """

    model_type = "dna_lm_striped_hyena2"

    def __init__(
        self,
        vocab_size: int = 512,
        hidden_size: int = 64,
        num_hidden_layers: int = 4,
        intermediate_size: int = 96,
        num_attention_heads: int = 4,
        max_position_embeddings: int = 8192,
        state_size: int = 16,
        n_groups: int = 16,
        short_length: int = 7,
        medium_length: int = 128,
        kinds: tuple[str, ...] = ("short", "medium", "long", "attention"),
        rotary_factor: float = 1,
        epsilon: float = 1e-6,
        **options: object,
    ) -> None:
        self.vocab_size, self.hidden_size = vocab_size, hidden_size
        self.num_hidden_layers, self.intermediate_size = num_hidden_layers, intermediate_size
        self.num_attention_heads, self.max_position_embeddings = num_attention_heads, max_position_embeddings
        self.state_size, self.n_groups = state_size, n_groups
        self.short_length, self.medium_length = short_length, medium_length
        self.kinds, self.rotary_factor, self.epsilon = kinds, rotary_factor, epsilon
        super().__init__(**options)


def configure(settings: Settings, shapes: Shapes) -> Config:
    """The configuration of a checkpoint. Raises `UserError` for settings that cannot be followed, or that are missing.

    Sizes and kinds of layers are those of the weights.
    """
    if "rotary_emb_scaling_factor" not in settings or "max_seqlen" not in settings:
        raise UserError(
            "model: its config.json does not have Evo 2's rotary_emb_scaling_factor and max_seqlen: install the model "
            "with the data manager, or with convert_weights.py, which know them"
        )
    require(settings, "Evo 2", tie_embeddings=True, proj_groups=1, short_filter_length=3, mlp_activation="gelu")
    vocab_size, width = shape_of(shapes, "embedding_layer.weight") or (0, 0)
    kinds = [
        "medium" if kind == "short" and shape_of(shapes, f"blocks.{layer}.filter.D") else kind
        for layer, kind in enumerate(kinds_of(shapes, _TELLING))
    ]
    lengths = {kind: _sizes(shapes, kinds, kind, "filter.h") for kind in ("short", "medium")}
    frequencies = _sizes(shapes, kinds, "attention", "inner_mha_cls.rotary_emb.inv_freq")
    n_heads = width // (2 * frequencies[0]) if frequencies else 1
    check_heads(width, n_heads)
    modes = _sizes(shapes, kinds, "long", "filter.log_poles")
    inner = shape_of(shapes, "blocks.0.mlp.l1.weight")
    n_groups = next((sizes[0] for sizes in lengths.values() if sizes), width)
    if width % n_groups:
        raise UserError(f"model: {width} channels cannot be divided among {n_groups} filters")
    return Config(
        vocab_size=vocab_size,
        hidden_size=width,
        num_hidden_layers=len(kinds),
        intermediate_size=inner[0] if inner else 1,
        num_attention_heads=n_heads,
        max_position_embeddings=whole_number(settings, "max_seqlen"),
        state_size=modes[1] if modes else 1,
        n_groups=n_groups,
        short_length=lengths["short"][2] if lengths["short"] else 7,
        medium_length=lengths["medium"][2] if lengths["medium"] else 128,
        kinds=kinds,
        rotary_factor=number(settings, "rotary_emb_scaling_factor", 1),
        epsilon=number(settings, "eps", 1e-6),
        tie_word_embeddings=True,
    )


def _sizes(shapes: Shapes, kinds: list[str], kind: str, name: str) -> list[int] | None:
    """The shape of a weight of the first layer of a kind; `None` when there is no such layer."""
    if kind not in kinds:
        return None
    return shape_of(shapes, f"blocks.{kinds.index(kind)}.{name}")


class ForCausalLM(Striped):
    """Evo 2."""

    config_class = Config
    # With 16 bits the filters would be others, and the frequencies are used as they are.
    _keep_in_fp32_modules_strict = ["log_poles", "residues", "inv_freq"]

    def make_layer(self, config: Config, layer: int) -> striped.Block:
        width, kind = config.hidden_size, config.kinds[layer]
        # Above the first layer the feed-forward gate has no activation.
        common = width, config.intermediate_size, config.epsilon, layer == 0
        if kind == "attention":
            rotary = _StoredRotary(width // config.num_attention_heads, config.rotary_factor)
            return striped.AttentionBlock(*common, config.num_attention_heads, rotary, by_head=True, has_bias=False)
        if kind == "long":
            filter_: striped.Filter = _RealModes(width, config.state_size)
        elif kind == "medium":
            filter_ = _Taps(width, config.n_groups, config.medium_length, is_reversed=False)
        else:
            filter_ = _Taps(width, config.n_groups, config.short_length, is_reversed=True)
        return striped.ConvolutionBlock(*common, filter_, _split, has_bias=False)


def _split(projected: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return projected[..., 0::3], projected[..., 1::3], projected[..., 2::3]


class _Taps(striped.Filter):
    """A filter that is stored, one for each group of neighbouring channels.

    is_reversed: whether its last number belongs to the present token, as in short filters, and not its first.
    """

    def __init__(self, width: int, n_groups: int, length: int, is_reversed: bool) -> None:
        super().__init__(width, has_bias=False, has_skip=not is_reversed)
        self.h = nn.Parameter(torch.empty(n_groups, 1, length))
        self.width, self.is_reversed = width, is_reversed

    def of_past(self, channels: slice, n_tokens: int) -> torch.Tensor:
        taps = self.h[:, 0].to(torch.promote_types(self.h.dtype, torch.float32))
        taps = taps.flip(-1) if self.is_reversed else taps
        return taps.repeat_interleave(self.width // len(taps), dim=0)[channels, :n_tokens]


class _RealModes(striped.Filter):
    """h[j] = the sum of residue * exp(log_pole * j), for each channel."""

    def __init__(self, width: int, n_states: int) -> None:
        super().__init__(width, has_bias=False, has_skip=True)
        self.log_poles = nn.Parameter(torch.empty(width, n_states, 1))
        self.residues = nn.Parameter(torch.empty(width, n_states))

    def of_past(self, channels: slice, n_tokens: int) -> torch.Tensor:
        logarithms, residues = self.log_poles[channels, :, 0].double(), self.residues[channels].double()
        return striped.sums_of_powers(logarithms, residues, n_tokens, self.residues.dtype)


class _StoredRotary(nn.Module):
    def __init__(self, size: int, factor: float) -> None:
        super().__init__()
        self.inv_freq = nn.Parameter(torch.empty(size // 2), requires_grad=False)
        self.factor = factor

    def forward(self, start: int, n_tokens: int, _like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosines and sines of the tokens from `start` on."""
        return striped.angles(self.inv_freq, self.factor, start, n_tokens)


AutoConfig.register(Config.model_type, Config)
AutoModelForCausalLM.register(Config, ForCausalLM)
