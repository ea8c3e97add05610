"""Modules that read both strands of DNA with the same weights (Schiff et al. 2024, arXiv:2403.03234, section 3.2).

A state has two halves: that of the given strand, and that of the other one, with its positions and channels reversed.
"""

import torch
from torch import nn
from transformers import PreTrainedConfig


class OnBothStrands(nn.Module):
    """A module that reads the strand of each half: states (sequences, tokens, 2 x width) of two halves."""

    def __init__(self, submodule: nn.Module) -> None:
        super().__init__()
        self.submodule = submodule

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        given, other = states.chunk(2, dim=-1)
        given, other = self.submodule(torch.cat((given, other.flip(1, 2)))).chunk(2)
        return torch.cat((given, other.flip(1, 2)), dim=-1)


class Norm(nn.Module):
    """RMSNorm (Zhang & Sennrich 2019, arXiv:1910.07467), in float32."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return states * torch.rsqrt(states.square().mean(dim=-1, keepdim=True) + self.epsilon) * self.weight.float()


class NormOfBothStrands(Norm):
    """The same of each half, whose channels are in the order of its strand: the second half's are reversed."""

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        given, other = states.chunk(2, dim=-1)
        return torch.cat((super().forward(given), super().forward(other.flip(-1)).flip(-1)), dim=-1)


class WordsOfBothStrands(nn.Module):
    """Token ids (sequences, tokens) to states of two halves (sequences, tokens, 2 x width)."""

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        # Of the weights, not of config.json, where a file that was saved again may have it in another order.
        self.register_buffer("complement_map", torch.arange(config.vocab_size))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return torch.cat((self.embedding(ids), self.embedding(self.complement_map[ids]).flip(-1)), dim=-1)


class HeadOfBothStrands(nn.Module):
    """Logits of the given strand, plus those of the complements on the other strand."""

    def __init__(self, config: PreTrainedConfig, words: WordsOfBothStrands) -> None:
        super().__init__()
        self.lm_head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        # In a tuple, so that the map and the table are not parts of this module too.
        self.words = (words,)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        given, other = states.chunk(2, dim=-1)
        return self.lm_head(given) + self.lm_head(other.flip(-1))[..., self.words[0].complement_map]
