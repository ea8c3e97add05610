"""Models that read both strands with the same weights: what they say of the other strand is known without reading it.

The *mirror image* of token ids is their reversed order, each token replaced by its complement. For such a model, the
hidden states of the mirror image are those of the ids with positions and channels reversed, in every layer, and its
logits are those of the ids with positions reversed and columns exchanged. So what is pooled over all tokens differs in
the order of its numbers only, and distances and log-likelihood ratios are the same. `engine.self_check` makes sure.

Special tokens are mirrored too: a [SEP] that the tokenizer puts after a sequence is before its mirror image.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Mirror:
    """complement: for each token the one that takes its place."""

    complement: tuple[int, ...]

    def is_pairing(self, n_tokens: int) -> bool:
        """Whether each of so many tokens has one complement, whose complement it is."""
        is_inverse = sorted(self.complement) == list(range(n_tokens))
        return is_inverse and all(self.complement[other] == token for token, other in enumerate(self.complement))

    def ids(self, ids: Sequence[int]) -> list[int]:
        """The mirror image of token ids."""
        return [self.complement[token] for token in reversed(ids)]

    def pooled(self, vectors: np.ndarray, representation: str) -> np.ndarray:
        """Vectors (n, width) that are pooled over all tokens of ids -> those of their mirror images."""
        return vectors[:, list(self.complement)] if representation == "logits" else vectors[:, ::-1]
