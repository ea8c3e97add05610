"""What GENA-LM and DNABERT-2 share with BERT (Devlin et al. 2019, doi:10.18653/v1/N19-1423): embeddings and head.

Not a family: transformers implements BERT itself.
"""

from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import MaskedLMOutput

from dna_lm.families.registry import Shapes, check_shape


def check_tables(shapes: Shapes, n_tokens: int, width: int) -> None:
    """Raise `UserError` unless the table of tokens, by both its names, has a row of this width for each token."""
    for ending in ("embeddings.word_embeddings.weight", "predictions.decoder.weight"):
        check_shape(shapes, ending, [n_tokens, width])


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
