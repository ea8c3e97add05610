"""What several families share with BERT (Devlin et al. 2019, doi:10.18653/v1/N19-1423): settings, embeddings, head.

Not a family: transformers implements BERT itself.
"""

from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import MaskedLMOutput

from dna_lm.families.registry import Shapes, check_shape
from dna_lm.families.settings import Settings, check_heads, token_id, whole_number


class Config(PreTrainedConfig):
    """Settings of a model: names are those of the published config.json. Families derive their `Config` from it."""

    def __init__(
        self,
        vocab_size: int = 16,
        hidden_size: int = 768,
        num_hidden_layers: int = 2,
        num_attention_heads: int = 12,
        intermediate_size: int = 3072,
        max_position_embeddings: int | None = None,
        type_vocab_size: int = 2,
        layer_norm_eps: float = 1e-12,
        **options: object,
    ) -> None:
        """max_position_embeddings: the longest input, `None` if it is no setting of the family."""
        self.vocab_size, self.hidden_size = vocab_size, hidden_size
        self.num_hidden_layers, self.num_attention_heads = num_hidden_layers, num_attention_heads
        self.intermediate_size, self.max_position_embeddings = intermediate_size, max_position_embeddings
        self.type_vocab_size, self.layer_norm_eps = type_vocab_size, layer_norm_eps
        super().__init__(**options)


def common(settings: Settings, shapes: Shapes, *more: str, n_parts: int = 1) -> dict[str, object]:
    """What every `Config` is made of. more: other whole numbers; n_parts: equal parts that a head must have.

    Raises `UserError` for sizes that do not fit together, and unless the table of tokens, by both its names, has a row
    for each token.
    """
    names = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", *more)
    sizes = {name: whole_number(settings, name) for name in names}
    check_heads(sizes["hidden_size"], n_parts * sizes["num_attention_heads"])
    for ending in ("embeddings.word_embeddings.weight", "predictions.decoder.weight"):
        check_shape(shapes, ending, [sizes["vocab_size"], sizes["hidden_size"]])
    return sizes | {"pad_token_id": token_id(settings, "pad_token_id"), "tie_word_embeddings": True}


class MaskedLM(PreTrainedModel):
    """A trunk, `bert`, with the language-model head of BERT. Families derive their `ForMaskedLM` from it."""

    base_model_prefix = "bert"
    # A file has one or both of each pair.
    _tied_weights_keys = {
        "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    }
    # What has no part in hidden states and logits: other heads, and the numbers from 0 on.
    _keys_to_ignore_on_load_unexpected = [
        r"^(bert\.)?pooler\.dense\.",
        r"^cls\.seq_relationship\.",
        r"^classifier\.",
        r"^(bert\.)?embeddings\.position_ids$",
    ]

    def __init__(self, config: PreTrainedConfig, trunk: nn.Module, head_eps: float) -> None:
        """head_eps: what the head's normalisation adds to the variance."""
        super().__init__(config)
        self.bert = trunk
        self.cls = nn.Sequential(OrderedDict(predictions=_Head(config, head_eps)))
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        """The table of tokens."""
        return self.bert.embeddings.word_embeddings

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **options: object
    ) -> MaskedLMOutput:
        """Logits (sequences, tokens, vocabulary) of token ids (sequences, tokens)."""
        states = self.bert(input_ids, attention_mask, **options).last_hidden_state
        return MaskedLMOutput(logits=self.cls(states))


class Embeddings(nn.Module):
    """Token ids to the input of the first layer. All tokens are of type 0."""

    def __init__(self, config: PreTrainedConfig, n_positions: int = 0) -> None:
        """n_positions: the size of the table of positions, 0 when there is none."""
        super().__init__()
        width = config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, width)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, width)
        self.position_embeddings = nn.Embedding(n_positions, width) if n_positions else None
        self.LayerNorm = nn.LayerNorm(width, config.layer_norm_eps)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Ids (sequences, tokens) -> (sequences, tokens, width)."""
        states = self.word_embeddings(ids) + self.token_type_embeddings.weight[0]
        if self.position_embeddings is not None:
            states = states + self.position_embeddings.weight[: ids.shape[1]]
        return self.LayerNorm(states)


class _Head(nn.Module):
    """Hidden states to logits."""

    def __init__(self, config: PreTrainedConfig, eps: float) -> None:
        super().__init__()
        width = config.hidden_size
        self.transform = nn.ModuleDict({"dense": nn.Linear(width, width), "LayerNorm": nn.LayerNorm(width, eps)})
        self.decoder = nn.Linear(width, config.vocab_size)
        # Another name of the decoder's bias, which is added once.
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return self.decoder(self.transform["LayerNorm"](functional.gelu(self.transform["dense"](states))))
