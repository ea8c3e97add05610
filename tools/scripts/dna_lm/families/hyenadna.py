"""HyenaDNA (Nguyen et al. 2023, arXiv:2306.15794), in the format of its Hugging Face version.

A causal model without attention. The operator of order two is y = x0 * (h conv (x1 * v)) with a convolution over the
whole past, whose filter h is the output of a small network for each distance (Poli et al. 2023, arXiv:2302.10866,
sections 3.1 to 3.4). It is computed with Fourier transforms, in float32 whatever the precision of the rest.

The longest inputs have a million tokens. Therefore no step but the transforms sees more than `BLOCK` tokens at once,
and the transforms see groups of channels.
"""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput, CausalLMOutput

from dna_lm.errors import UserError
from dna_lm.families.long_filter import BLOCK, LongFilter
from dna_lm.families.registry import Shapes
from dna_lm.families.settings import Settings, number, require, token_id, whole_number

IS_CAUSAL = True
_EPSILON = 1e-5


class Config(PreTrainedConfig):
    """Settings of a model, with transformers' usual names."""

    model_type = "dna_lm_hyenadna"

    def __init__(
        self,
        vocab_size: int = 16,
        hidden_size: int = 128,
        num_hidden_layers: int = 2,
        intermediate_size: int = 512,
        max_position_embeddings: int = 1026,
        short_filter_order: int = 3,
        emb_dim: int = 5,
        filter_order: int = 64,
        layer_norm_epsilon: float = 1e-5,
        **options: object,
    ) -> None:
        self.vocab_size, self.hidden_size = vocab_size, hidden_size
        self.num_hidden_layers, self.intermediate_size = num_hidden_layers, intermediate_size
        self.max_position_embeddings, self.short_filter_order = max_position_embeddings, short_filter_order
        self.emb_dim, self.filter_order, self.layer_norm_epsilon = emb_dim, filter_order, layer_norm_epsilon
        super().__init__(**options)


def configure(settings: Settings, shapes: Shapes) -> Config:
    """The configuration of a checkpoint. Raises `UserError` for settings that cannot be followed."""
    if any(name.startswith("model.backbone.") for name in shapes):
        raise UserError(
            "model: these are weights of HyenaDNA in the format of its training code (model.backbone): choose the "
            "version for Hugging Face, whose name ends with -hf"
        )
    require(settings, "HyenaDNA", hyena_order=2, num_inner_mlps=2, use_bias=True, tie_word_embeddings=False)
    width, multiple = whole_number(settings, "d_model"), whole_number(settings, "pad_vocab_size_multiple", 8)
    return Config(
        vocab_size=-(-whole_number(settings, "vocab_size") // multiple) * multiple,
        hidden_size=width,
        num_hidden_layers=whole_number(settings, "n_layer"),
        intermediate_size=whole_number(settings, "d_inner", 4 * width),
        # There is a filter for no more tokens.
        max_position_embeddings=whole_number(settings, "max_seq_len"),
        short_filter_order=whole_number(settings, "short_filter_order", 3),
        emb_dim=whole_number(settings, "emb_dim"),
        filter_order=whole_number(settings, "filter_order"),
        layer_norm_epsilon=number(settings, "layer_norm_epsilon", 1e-5),
        pad_token_id=token_id(settings, "pad_token_id"),
        # Of all weights only the frequencies below are tied, and transformers asks this setting for them.
        tie_word_embeddings=True,
    )


class ForCausalLM(PreTrainedModel):
    """The model with its language-model head."""

    config_class = Config
    base_model_prefix = "hyena"
    has_mask = False
    # Heads of other tasks.
    _keys_to_ignore_on_load_unexpected = [r"^score\.", r"^classifier\."]
    # The sines of a filter share their frequencies, and safetensors files keep those of the first only.
    _tied_weights_keys = {
        rf"hyena\.backbone\.layers\.\d+\.mixer\.filter_fn\.implicit_filter\.{sine}\.freq": (
            r"hyena\.backbone\.layers\.\d+\.mixer\.filter_fn\.implicit_filter\.1\.freq"
        )
        for sine in (3, 5)
    }
    # With 16 bits many distances would be the same.
    _keep_in_fp32_modules_strict = ["filter_fn"]

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.hyena = _Trunk(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        """The table of tokens."""
        return self.hyena.backbone.embeddings["word_embeddings"]

    def forward(self, input_ids: torch.Tensor, **options: object) -> CausalLMOutput:
        """Logits (sequences, tokens, vocabulary) of token ids (sequences, tokens)."""
        return CausalLMOutput(logits=self.lm_head(self.hyena(input_ids, **options).last_hidden_state))


class _Trunk(nn.Module):
    """Token ids to hidden states."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.backbone = _Backbone(config)

    def forward(self, input_ids: torch.Tensor, **_options: object) -> BaseModelOutput:
        """Hidden states (sequences, tokens, width) of token ids (sequences, tokens)."""
        n_tokens, longest = input_ids.shape[1], self.config.max_position_embeddings
        if n_tokens > longest:
            raise ValueError(f"{n_tokens} tokens, more than the {longest} that the model has a filter for")
        return BaseModelOutput(last_hidden_state=self.backbone(input_ids))


class _Backbone(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.embeddings = nn.ModuleDict({"word_embeddings": nn.Embedding(config.vocab_size, config.hidden_size)})
        self.layers = nn.ModuleList(_Layer(config) for _ in range(config.num_hidden_layers))
        self.ln_f = nn.LayerNorm(config.hidden_size, config.layer_norm_epsilon)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        states = self.embeddings["word_embeddings"](input_ids)
        for layer in self.layers:
            states = layer(states)
        return self.ln_f(states)


class _Layer(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        width, inner = config.hidden_size, config.intermediate_size
        self.norm1 = nn.LayerNorm(width, _EPSILON)
        self.mixer = _Mixer(config)
        self.norm2 = nn.LayerNorm(width, _EPSILON)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, inner), "fc2": nn.Linear(inner, width)})

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        mixed = self.mixer(self.norm1(states))
        return _in_blocks(self._with_mlp, mixed.add_(states))

    def _with_mlp(self, states: torch.Tensor) -> torch.Tensor:
        inner = functional.gelu(self.mlp["fc1"](self.norm2(states)), approximate="tanh")
        return states + self.mlp["fc2"](inner)


def _in_blocks(function: Callable[[torch.Tensor], torch.Tensor], states: torch.Tensor) -> torch.Tensor:
    """A function of each token alone, for some tokens at once: states (sequences, tokens, width), changed in place."""
    for start in range(0, states.shape[1], BLOCK):
        states[:, start : start + BLOCK] = function(states[:, start : start + BLOCK])
    return states


class _Mixer(nn.Module):
    """The Hyena operator of order two."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width = config.hidden_size
        self.in_proj = nn.Linear(width, 3 * width)
        self.short_filter = _ShortFilter(3 * width, config.short_filter_order)
        self.filter_fn = LongFilter(config)
        self.out_proj = nn.Linear(width, width)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """States (sequences, tokens, width) -> the same shape. Those given are overwritten."""
        n_sequences, n_tokens, width = states.shape
        # Channels come before tokens where they are transformed.
        signal = states.new_empty((n_sequences, width, n_tokens), dtype=torch.float32)
        earlier = None
        for start in range(0, n_tokens, BLOCK):
            block = slice(start, start + BLOCK)
            projected = self.in_proj(states[:, block])
            gate, first, value = self.short_filter(projected, earlier).chunk(3, dim=-1)
            signal[:, :, block] = (value * first).mT
            earlier = projected
            states[:, block] = gate
        self.filter_fn.convolve(signal)
        for start in range(0, n_tokens, BLOCK):
            block = slice(start, start + BLOCK)
            states[:, block] = self.out_proj(signal[:, :, block].mT.to(states.dtype) * states[:, block])
        return states


class _ShortFilter(nn.Module):
    """A causal convolution of each channel over the last few tokens."""

    def __init__(self, width: int, n_taps: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width, 1, n_taps))
        self.bias = nn.Parameter(torch.empty(width))

    def forward(self, states: torch.Tensor, earlier: torch.Tensor | None) -> torch.Tensor:
        """States (sequences, tokens, width) -> the same shape; earlier: states before them, `None` at the beginning."""
        n_tokens, n_taps = states.shape[1], self.weight.shape[-1]
        if earlier is None:
            padded = functional.pad(states, (0, 0, n_taps - 1, 0))
        else:
            padded = torch.cat((earlier[:, earlier.shape[1] - (n_taps - 1) :], states), dim=1)
        total = self.bias.expand_as(states)
        for number_of_tap in range(n_taps):
            total = total + padded[:, number_of_tap : number_of_tap + n_tokens] * self.weight[:, 0, number_of_tap]
        return total


AutoConfig.register(Config.model_type, Config)
AutoModelForCausalLM.register(Config, ForCausalLM)
