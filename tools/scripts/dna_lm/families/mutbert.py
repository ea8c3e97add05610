"""MutBERT (2025, doi:10.1101/2025.01.23.634452): BERT with rotary positions instead of a table of them.

Its authors' code takes the probabilities of tokens at each place. Those of a sequence are 1 for one token, which gives
the token's row of the table.
"""

import torch
from torch import nn
from torch.nn import functional
from transformers import AutoConfig, AutoModelForMaskedLM
from transformers.modeling_outputs import BaseModelOutput

from dna_lm.families import bert, rotary
from dna_lm.families.registry import Shapes
from dna_lm.families.settings import Settings, number, require, whole_number

IS_CAUSAL = False


class Config(bert.Config):
    """Settings of a model."""

    model_type = "dna_lm_mutbert"


def configure(settings: Settings, shapes: Shapes) -> Config:
    """The configuration of a checkpoint. Raises `UserError` for settings that cannot be followed."""
    # Angles that are stretched for longer sequences.
    require(settings, "MutBERT", hidden_act="gelu", is_decoder=False, tie_word_embeddings=True, rope_scaling=None)
    require(settings, "MutBERT", rope_theta=rotary.BASE)
    return Config(
        **bert.common(settings, shapes, "max_position_embeddings", n_parts=2),
        type_vocab_size=whole_number(settings, "type_vocab_size", 2),
        layer_norm_eps=number(settings, "layer_norm_eps", 1e-12),
    )


class ForMaskedLM(bert.MaskedLM):
    """The model with its language-model head."""

    config_class = Config

    def __init__(self, config: Config) -> None:
        super().__init__(config, _Trunk(config), config.layer_norm_eps)


class _Trunk(nn.Module):
    """Token ids to hidden states."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.embeddings = bert.Embeddings(config)
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(_Layer(config) for _ in range(config.num_hidden_layers))})

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **_options: object
    ) -> BaseModelOutput:
        """Hidden states (sequences, tokens, width) of token ids (sequences, tokens).

        attention_mask: (sequences, tokens), 0 for padding.
        """
        states = self.embeddings(input_ids)
        angles = rotary.angles(states.shape[1], states.shape[2] // self.config.num_attention_heads, states)
        mask = None if attention_mask is None else attention_mask[:, None, None].bool()
        for layer in self.encoder["layer"]:
            states = layer(states, mask, angles)
        return BaseModelOutput(last_hidden_state=states)


class _Layer(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        width, inner = config.hidden_size, config.intermediate_size
        self.attention = _Attention(config)
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(width, inner)})
        self.output = _output(inner, config)

    def forward(self, states: torch.Tensor, mask: torch.Tensor | None, angles: rotary.Angles) -> torch.Tensor:
        states = self.attention(states, mask, angles)
        inner = functional.gelu(self.intermediate["dense"](states))
        return self.output["LayerNorm"](self.output["dense"](inner) + states)


class _Attention(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        width = config.hidden_size
        self.n_heads = config.num_attention_heads
        self.self = nn.ModuleDict({name: nn.Linear(width, width) for name in ("query", "key", "value")})
        self.output = _output(width, config)

    def forward(self, states: torch.Tensor, mask: torch.Tensor | None, angles: rotary.Angles) -> torch.Tensor:
        parts = (self.self[name](states) for name in ("query", "key", "value"))
        attended = self.output["dense"](rotary.attend(*parts, self.n_heads, angles, mask))
        return self.output["LayerNorm"](attended + states)


def _output(n_inputs: int, config: Config) -> nn.ModuleDict:
    width = config.hidden_size
    return nn.ModuleDict({"dense": nn.Linear(n_inputs, width), "LayerNorm": nn.LayerNorm(width, config.layer_norm_eps)})


AutoConfig.register(Config.model_type, Config)
AutoModelForMaskedLM.register(Config, ForMaskedLM)
