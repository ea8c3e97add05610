"""StripedHyena, the architecture of Evo 1 and 1.5 (Nguyen et al. 2024, doi:10.1126/science.ado9336).

A causal model: layers with a convolution over the whole past, whose filter is a sum of complex exponentials, and a few
layers with attention. Frequencies of the positions are computed, whatever the checkpoint has: its authors' code does
the same.
"""

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput, CausalLMOutput

from dna_lm.errors import UserError
from dna_lm.families import striped
from dna_lm.families.registry import Shapes
from dna_lm.families.settings import Settings, check_heads, flag, number, require, whole_number

IS_CAUSAL = True
# Some releases have a copy of the table of tokens as a head. Their authors' code takes the table.
_COPY = r"(^|\.)unembed\.weight$"


class Config(PreTrainedConfig):
    """Settings of a model, with transformers' usual names. kinds: `attention` or `convolution`, for each layer."""

    model_type = "dna_lm_striped_hyena"

    def __init__(
        self,
        vocab_size: int = 512,
        hidden_size: int = 64,
        num_hidden_layers: int = 2,
        intermediate_size: int = 96,
        num_attention_heads: int = 4,
        max_position_embeddings: int = 8192,
        state_size: int = 8,
        kinds: tuple[str, ...] = ("convolution", "attention"),
        rotary_base: float = 10_000,
        rotary_factor: float = 1,
        epsilon: float = 1e-6,
        **options: object,
    ) -> None:
        self.vocab_size, self.hidden_size = vocab_size, hidden_size
        self.num_hidden_layers, self.intermediate_size = num_hidden_layers, intermediate_size
        self.num_attention_heads, self.max_position_embeddings = num_attention_heads, max_position_embeddings
        self.state_size, self.kinds = state_size, kinds
        self.rotary_base, self.rotary_factor, self.epsilon = rotary_base, rotary_factor, epsilon
        super().__init__(**options)


def configure(settings: Settings, shapes: Shapes) -> Config:
    """The configuration of a checkpoint. Raises `UserError` for settings that cannot be followed."""
    require(
        settings,
        "Evo 1",
        final_norm=True,
        column_split=False,
        column_split_hyena=True,
        tie_embeddings=True,
        proj_groups=1,
        hyena_filter_groups=1,
        short_filter_length=3,
        mlp_activation="gelu",
        qkv_proj_bias=True,
        mha_out_proj_bias=True,
        short_filter_bias=True,
    )
    width = whole_number(settings, "hidden_size")
    n_heads = whole_number(settings, "num_attention_heads")
    check_heads(width, 2 * n_heads)
    kinds = kinds_of(shapes, {"filter.poles": "convolution", "inner_mha_cls.Wqkv.weight": "attention"})
    if len(kinds) != whole_number(settings, "num_layers", len(kinds)):
        raise UserError(f"model: config.json says {settings['num_layers']} layers, and the weights have {len(kinds)}")
    is_stretched = flag(settings, "use_interpolated_rotary_pos_emb", False)
    return Config(
        vocab_size=whole_number(settings, "vocab_size"),
        hidden_size=width,
        num_hidden_layers=len(kinds),
        intermediate_size=whole_number(settings, "inner_mlp_size"),
        num_attention_heads=n_heads,
        max_position_embeddings=whole_number(settings, "max_seqlen"),
        state_size=whole_number(settings, "state_size"),
        kinds=kinds,
        rotary_base=number(settings, "rotary_emb_base", 10_000),
        rotary_factor=number(settings, "rotary_emb_scaling_factor", 1) if is_stretched else 1,
        epsilon=number(settings, "eps", 1e-6),
        tie_word_embeddings=True,
    )


def kinds_of(shapes: Shapes, telling: dict[str, str]) -> tuple[str, ...]:
    """The kind of each layer. telling: what the names of weights that only one kind has end with -> the kind.

    Raises `UserError` for layers of no kind, or of an unknown one.
    """
    kinds: dict[int, str] = {}
    for name in shapes:
        parts = name.removeprefix("backbone.").split(".", 2)
        if len(parts) == 3 and parts[0] == "blocks" and parts[1].isdecimal():
            kinds.setdefault(int(parts[1]), "")
            kinds[int(parts[1])] = telling.get(parts[2]) or kinds[int(parts[1])]
    if sorted(kinds) != list(range(len(kinds))) or not all(kinds.values()):
        unknown = next((str(layer) for layer in range(max(kinds, default=0) + 1) if not kinds.get(layer)), "0")
        raise UserError(f"model: the weights do not say of which kind layer {unknown} is: is a file missing?")
    return tuple(kinds[layer] for layer in range(len(kinds)))


class Striped(PreTrainedModel):
    """A model with its language-model head, which is its table of tokens. A subclass makes the layers."""

    base_model_prefix = "backbone"
    has_mask = False
    _keys_to_ignore_on_load_unexpected = [_COPY]
    _tied_weights_keys = {"lm_head.weight": "backbone.embedding_layer.weight"}

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__(config)
        self.backbone = _Trunk(config, [self.make_layer(config, layer) for layer in range(config.num_hidden_layers)])
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def make_layer(self, config: PreTrainedConfig, layer: int) -> striped.Block:
        """The layer with this number, from 0."""
        raise NotImplementedError

    def get_input_embeddings(self) -> nn.Embedding:
        """The table of tokens."""
        return self.backbone.embedding_layer

    def get_output_embeddings(self) -> nn.Linear:
        """The head."""
        return self.lm_head

    def forward(self, input_ids: torch.Tensor, **_options: object) -> CausalLMOutput:
        """Logits (sequences, tokens, vocabulary) of token ids (sequences, tokens)."""
        return CausalLMOutput(logits=self.lm_head(self.backbone(input_ids).last_hidden_state))


class _Trunk(nn.Module):
    """Token ids to hidden states."""

    def __init__(self, config: PreTrainedConfig, layers: list[striped.Block]) -> None:
        super().__init__()
        self.config = config
        self.embedding_layer = nn.Embedding(config.vocab_size, config.hidden_size)
        self.blocks = nn.ModuleList(layers)
        self.norm = striped.Norm(config.hidden_size, config.epsilon)

    def forward(self, input_ids: torch.Tensor, **_options: object) -> BaseModelOutput:
        """Hidden states (sequences, tokens, width) of token ids (sequences, tokens)."""
        states = self.embedding_layer(input_ids)
        for block in self.blocks:
            states = block(states)
        return BaseModelOutput(last_hidden_state=self.norm(states))


class ForCausalLM(Striped):
    """Evo 1."""

    config_class = Config
    # Stored, and never read.
    _keys_to_ignore_on_load_unexpected = [_COPY, r"\.rotary_emb\.inv_freq$"]
    # With 16 bits the filters would be others.
    _keep_in_fp32_modules_strict = ["poles", "residues"]

    def make_layer(self, config: Config, layer: int) -> striped.Block:
        width, size = config.hidden_size, config.hidden_size // config.num_attention_heads
        common = width, config.intermediate_size, config.epsilon, True
        if config.kinds[layer] == "attention":
            rotary = _ComputedRotary(size, config.rotary_base, config.rotary_factor)
            return striped.AttentionBlock(*common, config.num_attention_heads, rotary, by_head=False, has_bias=True)

        def split(projected: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            by_head = projected.unflatten(-1, (config.num_attention_heads, 3, size))
            x2, x1, v = by_head.unbind(-2)
            return x2.flatten(-2), x1.flatten(-2), v.flatten(-2)

        filter_ = _ComplexModes(width, config.state_size)
        return striped.ConvolutionBlock(*common, filter_, split, has_bias=True)


class _ComplexModes(striped.Filter):
    """h[j] = the real part of the sum of residue * pole ** j, for each channel."""

    def __init__(self, width: int, n_states: int) -> None:
        super().__init__(width, has_bias=True, has_skip=True)
        # The last numbers are the real and the imaginary part.
        self.poles = nn.Parameter(torch.empty(width, n_states, 1, 2))
        self.residues = nn.Parameter(torch.empty(width, n_states, 1, 2))

    def of_past(self, channels: slice, n_tokens: int) -> torch.Tensor:
        poles, residues = (
            torch.view_as_complex(part[channels, :, 0].to(torch.float64).contiguous())
            for part in (self.poles, self.residues)
        )
        # A pole of 0 has a filter of one number.
        logarithms = torch.complex(poles.abs().log().clamp(min=-1e9), poles.angle())
        return striped.sums_of_powers(logarithms, residues, n_tokens, self.poles.dtype)


class _ComputedRotary(nn.Module):
    def __init__(self, size: int, base: float, factor: float) -> None:
        super().__init__()
        self.size, self.base, self.factor = size, base, factor

    def forward(self, start: int, n_tokens: int, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosines and sines of the tokens from `start` on, where and in the type that `like` is."""
        exponents = torch.arange(0, self.size, 2, device=like.device, dtype=like.dtype) / self.size
        return striped.angles(self.base**-exponents, self.factor, start, n_tokens)


AutoConfig.register(Config.model_type, Config)
AutoModelForCausalLM.register(Config, ForCausalLM)
