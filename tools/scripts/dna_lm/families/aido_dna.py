"""AIDO.DNA (GenBio AI 2024, doi:10.1101/2024.12.01.625444): an encoder with rotary positions and a gate.

BERT that normalises before each step, with silu(a) * b in its feed-forward layer (Shazeer 2020, arXiv:2002.05202).
What config.json says of interpolated positions is not followed, as in the authors' code.
"""

import torch
from torch import nn
from torch.nn import functional
from transformers import AutoConfig, AutoModelForMaskedLM
from transformers.modeling_outputs import BaseModelOutput

from dna_lm.errors import UserError, quoted
from dna_lm.families import bert, rotary
from dna_lm.families.registry import Shapes
from dna_lm.families.settings import Settings, flag, number, require

IS_CAUSAL = False
_NORMS = {"LayerNorm": nn.LayerNorm, "RMSNorm": nn.RMSNorm}


class Config(bert.Config):
    """Settings of a model."""

    model_type = "dna_lm_aido_dna"

    def __init__(
        self,
        normalization_type: str = "LayerNorm",
        add_linear_bias: bool = True,
        rotary_percent: float = 1.0,
        **options: object,
    ) -> None:
        self.normalization_type, self.add_linear_bias = normalization_type, add_linear_bias
        self.rotary_percent = rotary_percent
        super().__init__(**options)

    def norm(self) -> nn.Module:
        """A normalisation of hidden states."""
        return _NORMS[self.normalization_type](self.hidden_size, self.layer_norm_eps)

    @property
    def n_turned(self) -> int:
        """Of each head, how many numbers are turned by the angles of positions: the first ones."""
        return int(self.rotary_percent * (self.hidden_size // self.num_attention_heads))


def configure(settings: Settings, shapes: Shapes) -> Config:
    """The configuration of a checkpoint. Raises `UserError` for settings that cannot be followed."""
    require(
        settings,
        "AIDO.DNA",
        hidden_act="swiglu",
        position_embedding_type="rope",
        is_decoder=False,
        tie_word_embeddings=True,
    )
    norm = settings.get("normalization_type", "LayerNorm")
    if norm not in _NORMS:
        raise UserError(f"model: in config.json, normalization_type is {quoted(norm)}, not 'LayerNorm' or 'RMSNorm'")
    config = Config(
        **bert.common(settings, shapes, "max_position_embeddings"),
        layer_norm_eps=number(settings, "layer_norm_eps", 1e-5),
        normalization_type=norm,
        add_linear_bias=flag(settings, "add_linear_bias", True),
        rotary_percent=number(settings, "rotary_percent", 1.0),
    )
    if not 0 < config.rotary_percent <= 1 or config.n_turned % 2 or not config.n_turned:
        raise UserError(
            f"model: in config.json, rotary_percent is {quoted(config.rotary_percent)}: a head cannot be divided so"
        )
    return config


class ForMaskedLM(bert.MaskedLM):
    """The model with its language-model head."""

    config_class = Config

    def __init__(self, config: Config) -> None:
        super().__init__(config, _Trunk(config), config.layer_norm_eps)
        self.cls.predictions.transform["LayerNorm"] = config.norm()


class _Trunk(nn.Module):
    """Token ids to hidden states."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.embeddings = nn.ModuleDict({"word_embeddings": nn.Embedding(config.vocab_size, config.hidden_size)})
        layers = nn.ModuleList(_Layer(config) for _ in range(config.num_hidden_layers))
        self.encoder = nn.ModuleDict({"layer": layers, "ln": config.norm()})

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **_options: object
    ) -> BaseModelOutput:
        """Hidden states (sequences, tokens, width) of token ids (sequences, tokens).

        attention_mask: (sequences, tokens), 0 for padding.
        """
        states = self.embeddings["word_embeddings"](input_ids)
        angles = rotary.angles(states.shape[1], self.config.n_turned, states)
        mask = None if attention_mask is None else attention_mask[:, None, None].bool()
        for layer in self.encoder["layer"]:
            states = layer(states, mask, angles)
        return BaseModelOutput(last_hidden_state=self.encoder["ln"](states))


class _Layer(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        width, inner, bias = config.hidden_size, config.intermediate_size, config.add_linear_bias
        self.attention = _Attention(config)
        self.ln = config.norm()
        sizes = {"up_proj": (width, inner), "gate_proj": (width, inner), "down_proj": (inner, width)}
        self.mlp = nn.ModuleDict({name: nn.Linear(*size, bias=bias) for name, size in sizes.items()})

    def forward(self, states: torch.Tensor, mask: torch.Tensor | None, angles: rotary.Angles) -> torch.Tensor:
        states = states + self.attention(states, mask, angles)
        entering = self.ln(states)
        gated = functional.silu(self.mlp["gate_proj"](entering)) * self.mlp["up_proj"](entering)
        return states + self.mlp["down_proj"](gated)


class _Attention(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        width, bias = config.hidden_size, config.add_linear_bias
        self.n_heads = config.num_attention_heads
        self.ln = config.norm()
        self.self = nn.ModuleDict({name: nn.Linear(width, width, bias=bias) for name in ("query", "key", "value")})
        self.output = nn.ModuleDict({"dense": nn.Linear(width, width, bias=bias)})

    def forward(self, states: torch.Tensor, mask: torch.Tensor | None, angles: rotary.Angles) -> torch.Tensor:
        entering = self.ln(states)
        parts = (self.self[name](entering) for name in ("query", "key", "value"))
        return self.output["dense"](rotary.attend(*parts, self.n_heads, angles, mask))


AutoConfig.register(Config.model_type, Config)
AutoModelForMaskedLM.register(Config, ForMaskedLM)
