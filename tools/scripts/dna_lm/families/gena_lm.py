"""GENA-LM with full attention (Fishman et al. 2025, doi:10.1093/nar/gkae1310): BERT that normalises before each step.

What differs from BERT in transformers: attention and the feed-forward layer read normalised hidden states, and their
sums with the hidden states are not normalised (Xiong et al. 2020, arXiv:2002.04745). Some models normalise the output
of the last layer. GENA-LMs with sparse attention are refused.
"""

import torch
from torch import nn
from torch.nn import functional
from transformers import AutoConfig, AutoModelForMaskedLM
from transformers.modeling_outputs import BaseModelOutput

from dna_lm.errors import UserError
from dna_lm.families import bert
from dna_lm.families.registry import Shapes
from dna_lm.families.settings import Settings, flag, number, require, whole_number

IS_CAUSAL = False
_LABEL = "GENA-LM"


class Config(bert.Config):
    """Settings of a model."""

    model_type = "dna_lm_gena_lm"

    def __init__(self, last_layer_norm: bool = True, **options: object) -> None:
        self.last_layer_norm = last_layer_norm
        super().__init__(**options)


def configure(settings: Settings, shapes: Shapes) -> Config:
    """The configuration of a checkpoint. Raises `UserError` for settings that cannot be followed."""
    require(
        settings,
        _LABEL,
        hidden_act="gelu",
        position_embedding_type="absolute",
        pre_layer_norm=True,
        is_decoder=False,
        tie_word_embeddings=True,
    )
    for name in ("sparse_attention", "sparse_config_cls"):
        if settings.get(name):
            raise UserError(
                f"model: in config.json, {name} is set: of {_LABEL}, only models with full attention can be read"
            )
    return Config(
        **bert.common(settings, shapes, "max_position_embeddings"),
        type_vocab_size=whole_number(settings, "type_vocab_size", 2),
        layer_norm_eps=number(settings, "layer_norm_eps", 1e-12),
        # The authors' default is the value of pre_layer_norm, which is true for all models read here.
        last_layer_norm=flag(settings, "last_layer_norm", True),
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
        self.embeddings = bert.Embeddings(config, config.max_position_embeddings)
        self.encoder = _Encoder(config)

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **_options: object
    ) -> BaseModelOutput:
        """Hidden states (sequences, tokens, width) of token ids (sequences, tokens).

        attention_mask: (sequences, tokens), 0 for padding.
        """
        mask = None if attention_mask is None else attention_mask[:, None, None].bool()
        return BaseModelOutput(last_hidden_state=self.encoder(self.embeddings(input_ids), mask))


class _Encoder(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.layer = nn.ModuleList(_Layer(config) for _ in range(config.num_hidden_layers))
        self.last_layer_ln = (
            nn.LayerNorm(config.hidden_size, config.layer_norm_eps) if config.last_layer_norm else nn.Identity()
        )

    def forward(self, states: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        for layer in self.layer:
            states = layer(states, mask)
        return self.last_layer_ln(states)


class _Layer(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        width, inner = config.hidden_size, config.intermediate_size
        self.pre_attention_ln = nn.LayerNorm(width, config.layer_norm_eps)
        self.attention = _Attention(width, config.num_attention_heads)
        self.post_attention_ln = nn.LayerNorm(width, config.layer_norm_eps)
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(width, inner)})
        self.output = nn.ModuleDict({"dense": nn.Linear(inner, width)})

    def forward(self, states: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        states = states + self.attention(self.pre_attention_ln(states), mask)
        inner = functional.gelu(self.intermediate["dense"](self.post_attention_ln(states)))
        return states + self.output["dense"](inner)


class _Attention(nn.Module):
    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.self = nn.ModuleDict({name: nn.Linear(width, width) for name in ("query", "key", "value")})
        self.output = nn.ModuleDict({"dense": nn.Linear(width, width)})

    def forward(self, states: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        query, key, value = (
            self.self[name](states).unflatten(-1, (self.n_heads, -1)).transpose(1, 2)
            for name in ("query", "key", "value")
        )
        attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return self.output["dense"](attended.transpose(1, 2).flatten(2))


AutoConfig.register(Config.model_type, Config)
AutoModelForMaskedLM.register(Config, ForMaskedLM)
