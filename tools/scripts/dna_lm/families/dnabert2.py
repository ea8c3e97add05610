"""DNABERT-2 (Zhou et al. 2024, arXiv:2306.15006): MosaicBERT (Portes et al. 2023, arXiv:2312.17482) for DNA.

What differs from BERT in transformers:

- no positions, but attention with linear biases, ALiBi (Press et al. 2022, arXiv:2108.12409): a token attends
  less to tokens that are farther away, in both directions. The length of a sequence is therefore not limited;
- the feed-forward layer is gelu(a) * b of the two halves (a, b) of one product (Shazeer 2020, arXiv:2002.05202).
"""

import torch
from torch import nn
from torch.nn import functional
from transformers import AutoConfig, AutoModelForMaskedLM
from transformers.modeling_outputs import BaseModelOutput

from dna_lm.families import bert
from dna_lm.families.registry import Shapes
from dna_lm.families.settings import Settings, number, require, whole_number

IS_CAUSAL = False
# The same in all of the authors' models: config.json has no setting for it.
_HEAD_EPS = 1e-12
# Numbers in the biases of the queries that are read at once, where they take memory: half a gigabyte in float32.
_MAX_BIASES = 2**27


class Config(bert.Config):
    """Settings of a model. The longest input is not one of them."""

    model_type = "dna_lm_dnabert2"


def configure(settings: Settings, shapes: Shapes) -> Config:
    """The configuration of a checkpoint. Raises `UserError` for settings that cannot be followed."""
    require(settings, "DNABERT-2", hidden_act="gelu", is_decoder=False, tie_word_embeddings=True)
    return Config(
        **bert.common(settings, shapes),
        type_vocab_size=whole_number(settings, "type_vocab_size", 2),
        layer_norm_eps=number(settings, "layer_norm_eps", 1e-12),
    )


class ForMaskedLM(bert.MaskedLM):
    """The model with its language-model head."""

    config_class = Config

    def __init__(self, config: Config) -> None:
        super().__init__(config, _Trunk(config), _HEAD_EPS)


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
        biases = _biases(states.shape[1], self.config.num_attention_heads, states)
        mask = None
        if attention_mask is not None:
            mask = torch.zeros_like(attention_mask, dtype=states.dtype).masked_fill_(attention_mask == 0, -torch.inf)
            mask = mask[:, None, None]
        for layer in self.encoder["layer"]:
            states = layer(states, biases, mask)
        return BaseModelOutput(last_hidden_state=states)


class _Layer(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.attention = _Attention(config)
        self.mlp = _FeedForward(config)

    def forward(self, states: torch.Tensor, biases: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        return self.mlp(self.attention(states, biases, mask))


class _Attention(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        width = config.hidden_size
        self.n_heads = config.num_attention_heads
        self.self = nn.ModuleDict({"Wqkv": nn.Linear(width, 3 * width)})
        self.output = nn.ModuleDict(
            {"dense": nn.Linear(width, width), "LayerNorm": nn.LayerNorm(width, config.layer_norm_eps)}
        )

    def forward(self, states: torch.Tensor, biases: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        query, key, value = self.self["Wqkv"](states).unflatten(-1, (3, self.n_heads, -1)).permute(2, 0, 3, 1, 4)
        attended = _attend(query, key, value, biases, mask)
        return self.output["LayerNorm"](self.output["dense"](attended.transpose(1, 2).flatten(2)) + states)


class _FeedForward(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        width, inner = config.hidden_size, config.intermediate_size
        self.gated_layers = nn.Linear(width, 2 * inner, bias=False)
        self.wo = nn.Linear(inner, width)
        self.layernorm = nn.LayerNorm(width, config.layer_norm_eps)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        gate, up = self.gated_layers(states).chunk(2, dim=-1)
        return self.layernorm(self.wo(functional.gelu(gate) * up) + states)


def _slopes(n_heads: int) -> list[float]:
    """How much each head's bias falls with one token of distance.

    For 2**n heads a geometric series that ends with 1/256. Other numbers of heads take those of the next lower power of
    two, then every second one of the next higher.
    """
    lower = 2 ** (n_heads.bit_length() - 1)
    slopes = [2 ** (-8 * number / lower) for number in range(1, lower + 1)]
    slopes += [2 ** (-4 * number / lower) for number in range(1, 2 * lower, 2)]
    return slopes[:n_heads]


def _biases(n_tokens: int, n_heads: int, like: torch.Tensor) -> torch.Tensor:
    """What is added to the products of queries, the last one first, and keys: (heads, tokens, tokens).

    With the queries in this order, the biases of one are those of the one before it, moved by one place. So they are
    a view of 2 x tokens - 1 numbers for each head; for 10,000 tokens and 12 heads a table would take 4.8 GB.
    """
    slopes = torch.tensor(_slopes(n_heads), device=like.device)
    distances = torch.arange(1 - n_tokens, n_tokens, device=like.device).abs()
    return (-slopes[:, None] * distances).to(like.dtype).unfold(1, n_tokens, 1)


def _attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, biases: torch.Tensor, mask: torch.Tensor | None
) -> torch.Tensor:
    """Attention with biases (heads, tokens, tokens) of `_biases`: three (sequences, heads, tokens, width) -> the same.

    mask: (sequences, 1, 1, tokens), -infinity for padding.
    """
    n_sequences, n_heads, n_tokens, _ = query.shape
    is_view = mask is None and query.device.type == "cpu"
    # Other devices' kernels want the biases in memory.
    n_copies = 1 if mask is None else n_sequences
    n_rows = n_tokens if is_view else max(1, _MAX_BIASES // (n_copies * n_heads * n_tokens))
    attended = []
    for rows, queries in zip(biases[None].split(n_rows, dim=2), query.flip(2).split(n_rows, dim=2), strict=True):
        rows = rows if mask is None else rows + mask
        rows = rows if is_view else rows.contiguous()
        attended.append(functional.scaled_dot_product_attention(queries, key, value, attn_mask=rows))
    return torch.cat(attended, dim=2).flip(2)


AutoConfig.register(Config.model_type, Config)
AutoModelForMaskedLM.register(Config, ForMaskedLM)
