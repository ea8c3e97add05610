"""Nucleotide Transformer v3, pre-trained (InstaDeep 2025): a U-Net with a transformer in the middle.

Convolutions halve the number of positions several times, a transformer reads what is left, and convolutions double it
back, each time adding what was there before. So there is one vector for each base after the last step only. The model
reads a multiple of some number of bases: a sequence is filled up with N on the right, as its authors do, and nothing
is given for these N. It has no mask: padding would be read.
"""

from functools import partial

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from transformers import AutoConfig, AutoModelForMaskedLM, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput, MaskedLMOutput

from dna_lm.families import rotary
from dna_lm.families.convolution import Convolution
from dna_lm.families.registry import Shapes
from dna_lm.families.selective_scan import whole_loops
from dna_lm.families.settings import Settings, number, require, token_id, whole_number

IS_CAUSAL = False
_LABEL = "Nucleotide Transformer v3"
# The size of the alphabet, and in it the number of N.
_N_TOKENS, _N = 11, 10
# Of the convolutions' normalisation: config.json has that of the transformer.
_EPSILON = 1e-5
_STEM, _TOWER = 15, 5


class Config(PreTrainedConfig):
    """Settings of a model. hidden_size: of the last states; num_hidden_layers: of the transformer in the middle.

    widths: of the convolutions, from the first to the transformer's.
    """

    model_type = "dna_lm_ntv3"

    def __init__(
        self,
        widths: tuple[int, ...] = (16, 16),
        num_hidden_layers: int = 2,
        num_attention_heads: int = 2,
        head_width: int = 8,
        intermediate_size: int = 32,
        token_width: int = 16,
        layer_norm_eps: float = 1e-5,
        **options: object,
    ) -> None:
        self.widths, self.num_hidden_layers = widths, num_hidden_layers
        self.num_attention_heads, self.head_width = num_attention_heads, head_width
        self.intermediate_size, self.token_width = intermediate_size, token_width
        self.layer_norm_eps = layer_norm_eps
        self.vocab_size, self.hidden_size = _N_TOKENS, widths[0]
        super().__init__(**{"tie_word_embeddings": False} | options)


def configure(settings: Settings, _shapes: Shapes) -> Config:
    """The configuration of a checkpoint. Raises `UserError` for settings that cannot be followed."""
    require(
        settings,
        _LABEL,
        alphabet_size=_N_TOKENS,
        num_hidden_layers_head=0,
        use_skip_connection=True,
        deconv_upsample_type="repeat+conv",
    )
    # More halvings than a chromosome has.
    n_halvings = min(whole_number(settings, "num_downsamples"), 32)
    ends = whole_number(settings, "conv_init_embed_dim"), whole_number(settings, "embed_dim")
    return Config(
        # Cut to whole numbers, not rounded.
        widths=tuple(np.linspace(*ends, n_halvings + 1).astype(int).tolist()),
        num_hidden_layers=whole_number(settings, "num_layers"),
        num_attention_heads=whole_number(settings, "attention_heads"),
        head_width=2 * (whole_number(settings, "key_size") // 2),
        intermediate_size=whole_number(settings, "ffn_embed_dim"),
        token_width=whole_number(settings, "token_embed_dim"),
        layer_norm_eps=number(settings, "layer_norm_eps", 1e-5),
        pad_token_id=token_id(settings, "pad_token_id"),
    )


def parts_of(name: str) -> tuple[str, ...]:
    """The name of a published weight in this class: the head is not a part of the trunk here."""
    return (name.removeprefix("core.").replace("lm_head.head.", "lm_head.") if ".lm_head." in name else name,)


class ForMaskedLM(PreTrainedModel):
    """The model with its language-model head."""

    config_class = Config
    base_model_prefix = "core"
    has_mask = False
    # Frequencies of positions, and what a model keeps of an earlier run.
    _keys_to_ignore_on_load_unexpected = [r"rotary_embedding\.(inv_freq|cos_cached|sin_cached)$"]

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.core = _Trunk(config)
        self.act = _Gelu()
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size)
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        """The table of tokens."""
        return self.core.embed_layer

    def forward(self, input_ids: torch.Tensor, **_options: object) -> MaskedLMOutput:
        """Logits (sequences, tokens, vocabulary) of token ids (sequences, tokens)."""
        return MaskedLMOutput(logits=self.lm_head(self.act(self.core(input_ids).last_hidden_state)))


class _Trunk(nn.Module):
    """Token ids to hidden states."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        self.embed_layer = nn.Embedding(config.vocab_size, config.token_width)
        self.stem = nn.ModuleDict({"conv": Convolution(config.token_width, _STEM, n_outputs=widths[0])})
        steps = list(zip(widths, widths[1:], strict=False))
        self.conv_tower_blocks = _numbered(_Down(*step) for step in steps)
        self.transformer_blocks = _numbered(_Layer(config) for _ in range(config.num_hidden_layers))
        self.deconv_tower_blocks = _numbered(_Up(wide, narrow) for narrow, wide in reversed(steps))

    def forward(self, input_ids: torch.Tensor, **_options: object) -> BaseModelOutput:
        """Hidden states (sequences, tokens, width) of token ids (sequences, tokens)."""
        n_tokens = input_ids.shape[1]
        ids = functional.pad(input_ids, (0, -n_tokens % 2 ** len(self.conv_tower_blocks)), value=_N)
        states = _gelu(self.stem["conv"](self.embed_layer(ids)))
        before = []
        for block in self.conv_tower_blocks.values():
            before.append(states)
            states = block(states)
        angles = rotary.angles(states.shape[1], self.config.head_width, states)
        for layer in self.transformer_blocks.values():
            states = layer(states, angles)
        for block in self.deconv_tower_blocks.values():
            states = block(states) + before.pop()
        return BaseModelOutput(last_hidden_state=states[:, :n_tokens])


def _numbered(modules: object) -> nn.ModuleDict:
    """Modules under their numbers. They are no list of layers with a vector for each token between them."""
    return nn.ModuleDict({str(number): module for number, module in enumerate(modules)})


def _gelu(states: torch.Tensor) -> torch.Tensor:
    return whole_loops(partial(functional.gelu, approximate="tanh"), states)


class _Gelu(nn.Module):
    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return _gelu(states)


class _Block(nn.Module):
    """A convolution of normalised states."""

    def __init__(self, width: int, n_outputs: int, kernel_size: int, is_transposed: bool = False) -> None:
        super().__init__()
        self.layer_norm = nn.LayerNorm(width, _EPSILON)
        self.conv = Convolution(width, kernel_size, n_outputs=n_outputs, is_transposed=is_transposed)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return _gelu(self.conv(self.layer_norm(states)))


class _Down(nn.Module):
    """Half as many positions: means of two neighbours."""

    def __init__(self, width: int, n_outputs: int) -> None:
        super().__init__()
        self.conv = _Block(width, n_outputs, _TOWER)
        self.res_conv = nn.ModuleDict({"conv_block": _Block(n_outputs, n_outputs, 1)})

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        states = self.conv(states)
        states = states + self.res_conv["conv_block"](states)
        return states.unflatten(1, (-1, 2)).mean(dim=2)


class _Up(nn.Module):
    """Twice as many positions, each repeated."""

    def __init__(self, width: int, n_outputs: int) -> None:
        super().__init__()
        self.conv = _Block(width, n_outputs, _TOWER)
        # The authors' code computes it as a transposed convolution.
        self.res_conv = nn.ModuleDict({"conv_block": _Block(n_outputs, n_outputs, 1, is_transposed=True)})

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        # Normalised before they are repeated: it is the same, and half the work.
        normalised = self.conv.layer_norm(states).repeat_interleave(2, dim=1)
        states = _gelu(self.conv.conv(normalised))
        return states + self.res_conv["conv_block"](states)


class _Layer(nn.Module):
    """A layer of the transformer."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width, inner = config.widths[-1], config.intermediate_size
        self.self_attention_layer_norm = nn.LayerNorm(width, config.layer_norm_eps)
        self.sa_layer = _Attention(width, config)
        self.final_layer_norm = nn.LayerNorm(width, config.layer_norm_eps)
        self.fc1 = nn.Linear(width, 2 * inner, bias=False)
        self.fc2 = nn.Linear(inner, width, bias=False)

    def forward(self, states: torch.Tensor, angles: rotary.Angles) -> torch.Tensor:
        states = states + self.sa_layer(self.self_attention_layer_norm(states), angles)
        gate, up = self.fc1(self.final_layer_norm(states)).chunk(2, dim=-1)
        return states + self.fc2(whole_loops(functional.silu, gate) * up)


class _Attention(nn.Module):
    def __init__(self, width: int, config: Config) -> None:
        super().__init__()
        self.n_heads = config.num_attention_heads
        inner = self.n_heads * config.head_width
        for name in ("query_head", "key_head", "value_head"):
            self.add_module(name, nn.ModuleDict({"linear": nn.Linear(width, inner)}))
        self.mha_output = nn.Linear(inner, width)

    def forward(self, states: torch.Tensor, angles: rotary.Angles) -> torch.Tensor:
        parts = (head["linear"](states) for head in (self.query_head, self.key_head, self.value_head))
        return self.mha_output(rotary.attend(*parts, self.n_heads, angles, None))


AutoConfig.register(Config.model_type, Config)
AutoModelForMaskedLM.register(Config, ForMaskedLM)
