"""Pooled embeddings and log-likelihoods of tokenised sequences.

Knows nothing of files, pairs or distances.

What it guarantees to every tool:

- **Nothing twice**: a distinct sequence is computed once, and with a causal model so is a prefix that several sequences
  begin with, its running maximum or sum included (see `prefix_tree`).
- **Nothing padded** (except in tutorial mode, where padding is the point): the tokens of a causal model are packed, and
  other models read batches of sequences of exactly one length.
- **Nothing depends on the batch**: on the CPU, the result for a token is the same to the last bit whatever the rest of
  the batch (see `products` and `prefix_tree`), and sums run from the first token to the last.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from dna_lm.engine import batches, forward, pooling
from dna_lm.engine.batches import Budget
from dna_lm.engine.predictions import Predictions
from dna_lm.engine.prefix_tree import PrefixTree, Tokens
from dna_lm.errors import UserError
from dna_lm.model.checkpoint import Checkpoint
from dna_lm.model.tokens.base_tokens import BaseTokens

REPRESENTATIONS = ("logits", "hidden")


@dataclass(frozen=True)
class Embedding:
    """How a sequence becomes a vector: logits or hidden states of a layer, pooled over its tokens.

    layer: see `forward`; pooling: one of `pooling.POOLINGS`.
    """

    representation: str = "logits"
    layer: int = -1
    pooling: str = "max"

    def check(self, checkpoint: Checkpoint) -> None:
        """Raise `UserError` when the checkpoint cannot give this embedding."""
        if self.representation == "logits":
            checkpoint.require_head("the representation 'logits'")
            if self.layer != -1:
                raise UserError(
                    f'"Layer" (--layer {self.layer}) is for hidden states, and logits come from the last layer: leave '
                    'it out, or choose hidden states as "Model output" (--representation hidden)'
                )
        elif not -checkpoint.n_layers - 1 <= self.layer <= checkpoint.n_layers:
            raise UserError(
                f'"Layer" (--layer {self.layer}): the model has layers 0 (embeddings) to {checkpoint.n_layers}, '
                f"or -{checkpoint.n_layers + 1} to -1 counted from the last"
            )
        elif not checkpoint.blocks and self.layer not in (-1, checkpoint.n_layers):
            raise UserError(f'"Layer" (--layer {self.layer}): only the last layer (-1) of this model can be read')

    def width(self, checkpoint: Checkpoint) -> int:
        """Numbers per embedding."""
        if self.representation == "logits":
            return checkpoint.vocabulary_size
        is_last = self.layer in (-1, checkpoint.n_layers)
        return checkpoint.output_size if is_last else checkpoint.hidden_size


def encode(
    checkpoint: Checkpoint,
    token_lists: Iterable[Sequence[int]],
    embedding: Embedding | None,
    log_likelihood: bool,
    budget: Budget,
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Embed and score tokenised sequences.

    token_lists: n lists of token ids, special tokens included. Returns the pooled embeddings, float32 (n, width), or
    `None` when `embedding` is; and the log-likelihoods in nats, float64 (n,), or `None` unless asked for.
    """
    return encode_and_predict(checkpoint, token_lists, embedding, log_likelihood, budget, None)[:2]


@torch.inference_mode()
def encode_and_predict(
    checkpoint: Checkpoint,
    token_lists: Iterable[Sequence[int]],
    embedding: Embedding | None,
    log_likelihood: bool,
    budget: Budget,
    base_tokens: BaseTokens | None,
) -> tuple[np.ndarray | None, np.ndarray | None, list[np.ndarray] | None]:
    """What `encode` returns, and from the same forward passes the predictions for each base (see `predictions`).

    The predictions are n arrays, float64 (bases, 4) of log2 odds, or `None` without `base_tokens`.
    """
    sequences = [tuple(ids) for ids in token_lists]
    budget.given += sum(map(len, sequences))
    results = {}

    def encode_batch(batch: Sequence[Tokens], shared: bool) -> None:
        encoded = _encode_tree(checkpoint, PrefixTree(batch, shared), embedding, log_likelihood, base_tokens)
        results.update(zip(batch, encoded, strict=True))

    sharing = [ids for ids in set(sequences) if len(ids) <= checkpoint.max_shared_tokens]
    batches.in_batches(
        sorted(sharing), batches.tokens_not_shared, budget, lambda batch: encode_batch(batch, shared=True)
    )
    separate = set(sequences).difference(sharing)
    batches.in_batches(
        sorted(separate, key=len), batches.tokens_of_one_length, budget, lambda batch: encode_batch(batch, shared=False)
    )
    return (
        np.stack([results[ids][0] for ids in sequences]) if embedding else None,
        np.array([results[ids][1] for ids in sequences]) if log_likelihood else None,
        [results[ids][2] for ids in sequences] if base_tokens else None,
    )


def _encode_tree(
    checkpoint: Checkpoint,
    tree: PrefixTree,
    embedding: Embedding | None,
    log_likelihood: bool,
    base_tokens: BaseTokens | None,
) -> Iterator[tuple[np.ndarray | None, float | None, np.ndarray | None]]:
    """For each sequence of the tree its pooled numbers, float32 (width,), log-likelihood and predictions, or `None`."""
    layer = -1 if embedding is None else embedding.layer
    of_layer, last = (forward.packed_states if tree.shared else forward.separate_states)(checkpoint, tree, layer)
    pooling_name = embedding.pooling if embedding else None
    predictions = Predictions(tree, base_tokens, checkpoint.is_causal) if base_tokens else None
    of_logits = log_likelihood, checkpoint.special_token_ids, predictions
    if embedding is None or embedding.representation == "logits":
        pooled, summed = pooling.pool_sequences(tree, last, checkpoint.logits, pooling_name, *of_logits)
    else:
        pooled, _ = pooling.pool_sequences(tree, of_layer, torch.Tensor.float, pooling_name)
        _, summed = pooling.pool_sequences(tree, last, checkpoint.logits, None, *of_logits)
    nothing = [None] * len(tree.leaves)
    return zip(
        nothing if pooled is None else pooled.cpu().numpy(),
        nothing if summed is None else summed,
        nothing if predictions is None else predictions.per_sequence(),
        strict=True,
    )
