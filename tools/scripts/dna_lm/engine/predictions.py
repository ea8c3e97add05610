"""What a model predicts for each base: log2 odds of A, C, G and T, from the logits of a forward pass without masks.

The probabilities of a token are the softmax over the vocabulary. A k-mer's are summed to those of its bases. Masked
models predict a token at its own place; causal models at the token before it.
"""

from collections.abc import Iterator

import numpy as np
import torch

from dna_lm.engine.prefix_tree import PrefixTree
from dna_lm.model.tokens.base_tokens import BaseTokens

# Added to each probability of a base before they are divided by their sum, as by Tomaz da Silva et al. 2025
# (doi:10.1038/s41588-025-02347-3): odds stay finite.
EPSILON = 1e-10
# Probabilities are multiples of this number: their sums are exact, and so the same in any order.
_STEP = 2.0**-52
# Logits at a time: 32 MiB in float64, also on a GPU, whose slices are larger.
_NUMBERS = 2**22
_OTHERS = [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]


class Predictions:
    """The predictions for the sequences of a tree, from its logits, which come slice by slice."""

    def __init__(self, tree: PrefixTree, tokens: BaseTokens, is_causal: bool) -> None:
        self.tree = tree
        self.tokens = tokens
        self.is_causal = is_causal
        self.blocks = []

    def add_logits(self, logits: torch.Tensor) -> None:
        """Go on with the logits (tokens, vocabulary) of the next packed tokens."""
        for some in logits.split(max(1, _NUMBERS // logits.shape[1])):
            probabilities = some.double().softmax(dim=-1)
            probabilities = (probabilities / _STEP).round() * _STEP
            of_bases = [_sums_per_base(probabilities[:, self.tokens.words], self.tokens.k)]
            if len(self.tokens.letters):
                of_bases.append(probabilities[:, None, self.tokens.letters])
            self.blocks.append(torch.cat(of_bases, dim=1).cpu().numpy())

    def per_sequence(self) -> Iterator[np.ndarray]:
        """Log2 odds of A, C, G and T for each base that is read: float64 (bases, 4), for each sequence.

        NaN for the first token of a causal model that has nothing before it, and where logits are not finite.
        """
        probabilities = np.concatenate(self.blocks)
        for leaf in self.tree.leaves:
            path = self.tree.paths[leaf]
            rows = self.tree.previous[path] if self.is_causal else path
            of_tokens = probabilities[rows]
            of_tokens[rows < 0] = np.nan
            yield log2_odds(self.tokens.per_base(self.tree.ids[path], of_tokens))


def log2_odds(probabilities: np.ndarray) -> np.ndarray:
    """log2(p / (1 - p)) of (..., 4) probabilities of A, C, G and T, which are first divided by their sum."""
    probabilities = probabilities + EPSILON
    # 1 - p is the sum of the other three, without losing the digits of a small one. Their common divisor cancels.
    return np.log2(probabilities) - np.log2(probabilities[..., _OTHERS].sum(axis=-1))


def _sums_per_base(probabilities: torch.Tensor, k: int) -> torch.Tensor:
    """Probabilities (n, 4 ** k) of words in alphabetical order -> (n, k, 4), of the bases at each offset."""
    if k == 1:
        return probabilities[:, None]
    first = k // 2
    words = probabilities.unflatten(1, (4**first, 4 ** (k - first)))
    return torch.cat([_sums_per_base(words.sum(2), first), _sums_per_base(words.sum(1), k - first)], dim=1)
