"""Nucleotide Transformer v2 (Dalla-Torre et al. 2024, doi:10.1038/s41592-024-02523-z): ESM with a gate.

An encoder with normalisation before each step and rotary positions (Su et al. 2021, arXiv:2104.09864). What differs
from ESM in transformers: the feed-forward layer is silu(a) * b of the two halves (a, b) of one product (Shazeer 2020,
arXiv:2002.05202).
"""

import torch
from torch import nn
from torch.nn import functional
from transformers import AutoConfig, AutoModelForMaskedLM, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput, MaskedLMOutput

from dna_lm.families import rotary
from dna_lm.families.registry import Shapes
from dna_lm.families.settings import Settings, check_heads, flag, number, require, token_id, whole_number

IS_CAUSAL = False


class Config(PreTrainedConfig):
    """Settings of a model: names are those of the published config.json."""

    model_type = "dna_lm_nucleotide_transformer_v2"

    def __init__(
        self,
        vocab_size: int = 4107,
        hidden_size: int = 512,
        num_hidden_layers: int = 2,
        num_attention_heads: int = 8,
        intermediate_size: int = 2048,
        max_position_embeddings: int = 2050,
        layer_norm_eps: float = 1e-12,
        add_bias_fnn: bool = False,
        **options: object,
    ) -> None:
        self.vocab_size, self.hidden_size = vocab_size, hidden_size
        self.num_hidden_layers, self.num_attention_heads = num_hidden_layers, num_attention_heads
        self.intermediate_size, self.max_position_embeddings = intermediate_size, max_position_embeddings
        self.layer_norm_eps, self.add_bias_fnn = layer_norm_eps, add_bias_fnn
        super().__init__(**options)


def configure(settings: Settings, shapes: Shapes) -> Config:
    """The configuration of a checkpoint. Raises `UserError` for settings that cannot be followed."""
    require(
        settings,
        "Nucleotide Transformer v2",
        position_embedding_type="rotary",
        emb_layer_norm_before=False,
        token_dropout=False,
        tie_word_embeddings=False,
    )
    names = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    sizes = {name: whole_number(settings, name) for name in (*names, "max_position_embeddings")}
    check_heads(sizes["hidden_size"], sizes["num_attention_heads"])
    return Config(
        **sizes,
        layer_norm_eps=number(settings, "layer_norm_eps", 1e-12),
        add_bias_fnn=flag(settings, "add_bias_fnn", True),
        pad_token_id=token_id(settings, "pad_token_id"),
        tie_word_embeddings=False,
    )


class ForMaskedLM(PreTrainedModel):
    """The model with its language-model head."""

    config_class = Config
    base_model_prefix = "esm"
    # A table of positions that rotary positions replace, buffers that are computed here, a map of contacts, and a head
    # of another task.
    _keys_to_ignore_on_load_unexpected = [
        r"position_embeddings\.",
        r"position_ids",
        r"inv_freq",
        r"contact_head\.",
        r"^classifier\.",
    ]

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.esm = _Trunk(config)
        self.lm_head = _Head(config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        """The table of tokens."""
        return self.esm.embeddings["word_embeddings"]

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **options: object
    ) -> MaskedLMOutput:
        """Logits (sequences, tokens, vocabulary) of token ids (sequences, tokens)."""
        states = self.esm(input_ids, attention_mask, **options).last_hidden_state
        return MaskedLMOutput(logits=self.lm_head(states))


class _Trunk(nn.Module):
    """Token ids to hidden states."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.embeddings = nn.ModuleDict({"word_embeddings": nn.Embedding(config.vocab_size, config.hidden_size)})
        self.encoder = _Encoder(config)

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **_options: object
    ) -> BaseModelOutput:
        """Hidden states (sequences, tokens, width) of token ids (sequences, tokens).

        attention_mask: (sequences, tokens), 0 for padding.
        """
        states = self.embeddings["word_embeddings"](input_ids)
        mask = None
        if attention_mask is not None:
            states = states * attention_mask[..., None].to(states.dtype)
            mask = attention_mask[:, None, None].bool()
        return BaseModelOutput(last_hidden_state=self.encoder(states, mask))


class _Encoder(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.head_width = config.hidden_size // config.num_attention_heads
        self.layer = nn.ModuleList(_Layer(config) for _ in range(config.num_hidden_layers))
        self.emb_layer_norm_after = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)

    def forward(self, states: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        angles = rotary.angles(states.shape[1], self.head_width, states)
        for layer in self.layer:
            states = layer(states, mask, angles)
        return self.emb_layer_norm_after(states)


class _Layer(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        width, inner = config.hidden_size, config.intermediate_size
        self.attention = _Attention(config)
        self.LayerNorm = nn.LayerNorm(width, config.layer_norm_eps)
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(width, 2 * inner, bias=config.add_bias_fnn)})
        self.output = nn.ModuleDict({"dense": nn.Linear(inner, width, bias=config.add_bias_fnn)})

    def forward(self, states: torch.Tensor, mask: torch.Tensor | None, angles: rotary.Angles) -> torch.Tensor:
        states = states + self.attention(states, mask, angles)
        gate, up = self.intermediate["dense"](self.LayerNorm(states)).chunk(2, dim=-1)
        return states + self.output["dense"](functional.silu(gate) * up)


class _Attention(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        width = config.hidden_size
        self.n_heads = config.num_attention_heads
        self.LayerNorm = nn.LayerNorm(width, config.layer_norm_eps)
        self.self = nn.ModuleDict({name: nn.Linear(width, width) for name in ("query", "key", "value")})
        self.output = nn.ModuleDict({"dense": nn.Linear(width, width)})

    def forward(self, states: torch.Tensor, mask: torch.Tensor | None, angles: rotary.Angles) -> torch.Tensor:
        states = self.LayerNorm(states)
        parts = (self.self[name](states) for name in ("query", "key", "value"))
        return self.output["dense"](rotary.attend(*parts, self.n_heads, angles, mask))


class _Head(nn.Module):
    """Hidden states to logits."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.layer_norm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return self.decoder(self.layer_norm(functional.gelu(self.dense(states)))) + self.bias


AutoConfig.register(Config.model_type, Config)
AutoModelForMaskedLM.register(Config, ForMaskedLM)
