"""The forward pass: pooled embeddings and log-likelihoods of tokenised sequences.

The only place that runs a model. Knows nothing of files, pairs or distances.

What stands here once and holds in every tool:

- **Batches** hold sequences of exactly one length, so nothing is ever padded (except in tutorial mode, where padding is
  the point), and every product has at least `experts.MIN_ROWS` rows. What is computed for a sequence therefore does not
  depend on the sequences beside it, nor on the token budget.
- **Layers** are numbered as transformers numbers hidden states: 0 is the output of the embedding layer, k the output of
  block k, and the last (-1) is the output of the last block after the model's final normalisation.
- **Pooling** goes over all tokens of the sequence, special tokens such as [CLS] and [SEP] included, as in the tutorial:
  `max` and `mean` per coordinate, `last` takes the last token's vector. Pooling is done in float32.
- **Log-likelihood** of a causal model: the sum of log P(token | tokens before it), natural logarithm, over all tokens
  that are not special. Special tokens are read but not predicted. A first token with nothing before it is not scored.
"""

from dataclasses import dataclass

import numpy as np
import torch

from dna_lm.errors import UserError
from dna_lm.experts import MIN_ROWS, at_least_min_rows

REPRESENTATIONS = ("logits", "hidden")
POOLINGS = ("max", "mean", "last")
DEFAULT_BATCH_TOKENS = 4096

# Logits are made and pooled block by block: at most this many numbers at a time (64 MiB in float32). The positions of a
# block are fixed, so that sums run in the same order whatever the batch.
_LOGITS_PER_BLOCK = 2**24
_POSITIONS_PER_BLOCK = 256


@dataclass(frozen=True)
class Embedding:
    """What to make of a sequence: logits or hidden states of a layer, pooled over its tokens."""

    representation: str = "logits"
    layer: int = -1
    pooling: str = "max"

    def check(self, checkpoint):
        """Raise `UserError` when the checkpoint cannot give this embedding."""
        if self.representation == "logits":
            checkpoint.require_head("the representation 'logits'")
            if self.layer != -1:
                raise UserError(f"--layer {self.layer} is for --representation hidden: logits come from the last layer")
        elif not -checkpoint.n_layers - 1 <= self.layer <= checkpoint.n_layers:
            raise UserError(
                f"--layer {self.layer}: the model has layers 0 (embeddings) to {checkpoint.n_layers}, "
                f"or -{checkpoint.n_layers + 1} to -1 counted from the last"
            )

    def width(self, checkpoint):
        """Numbers per embedding."""
        return checkpoint.vocabulary_size if self.representation == "logits" else checkpoint.hidden_size


@torch.inference_mode()
def encode(checkpoint, token_lists, embedding=None, log_likelihood=False, batch_tokens=DEFAULT_BATCH_TOKENS):
    """Embed and score tokenised sequences, each distinct one once.

    token_lists: n lists of token ids, special tokens included. Returns the pooled embeddings, float32 (n, width), or
    `None` without an `embedding`; and the log-likelihoods in nats, float64 (n,), or `None` unless asked for.
    """
    numbers = {}
    order = [numbers.setdefault(tuple(ids), len(numbers)) for ids in token_lists]
    embeddings, log_likelihoods = [None] * len(numbers), np.zeros(len(numbers))
    for batch in batches(numbers, batch_tokens):
        ids = torch.tensor(batch, device=checkpoint.device)
        places = [numbers[sequence] for sequence in batch]
        pooled, summed = _encode_batch(checkpoint, ids, embedding, log_likelihood)
        for place, row in zip(places, pooled.cpu().numpy() if embedding else (), strict=False):
            embeddings[place] = row
        if log_likelihood:
            log_likelihoods[places] = summed.cpu().numpy()
    return (
        np.stack([embeddings[number] for number in order]) if embedding else None,
        log_likelihoods[order] if log_likelihood else None,
    )


def batches(sequences, batch_tokens, length=len):
    """Split sequences into lists of one length and at most `batch_tokens` tokens (always at least one sequence)."""
    by_length = {}
    for sequence in sequences:
        by_length.setdefault(length(sequence), []).append(sequence)
    for n_tokens, members in sorted(by_length.items()):
        size = max(1, batch_tokens // n_tokens)
        for start in range(0, len(members), size):
            yield members[start : start + size]


def _encode_batch(checkpoint, ids, embedding, log_likelihood):
    """ids (sequences, tokens) -> pooled (sequences, width) or None, log-likelihoods (sequences,) or None."""
    of_layer, last = hidden_states(checkpoint, ids, -1 if embedding is None else embedding.layer)
    if embedding is None or embedding.representation == "logits":
        return _read_logits(checkpoint, ids, last, embedding and embedding.pooling, log_likelihood)
    pooled = _pool(of_layer, embedding.pooling)
    return pooled, _read_logits(checkpoint, ids, last, None, True)[1] if log_likelihood else None


def hidden_states(checkpoint, ids, layer=-1):
    """Hidden states of a layer and of the last one: ids (sequences, tokens) -> two (sequences, tokens, width)."""
    copies = -(-MIN_ROWS // ids.numel())
    is_last = layer in (-1, checkpoint.n_layers)
    output = checkpoint.trunk(ids.repeat(copies, 1), use_cache=False, output_hidden_states=not is_last)
    last = output.last_hidden_state[: len(ids)]
    return (last if is_last else output.hidden_states[layer][: len(ids)]), last


def logits(checkpoint, hidden):
    """The head's output in float32: hidden (..., width) -> (..., vocabulary)."""
    rows = hidden.reshape(-1, hidden.shape[-1])
    return checkpoint.head(at_least_min_rows(rows))[: len(rows)].float().unflatten(0, hidden.shape[:-1])


def _read_logits(checkpoint, ids, hidden, pooling, log_likelihood):
    """Pool the logits over tokens and sum the targets' log-probabilities, without ever keeping the logits whole."""
    if pooling == "last" and not log_likelihood:
        return logits(checkpoint, hidden[:, -1]), None
    n_sequences, n_tokens = ids.shape
    special = torch.isin(ids, torch.tensor(sorted(checkpoint.special_token_ids), device=ids.device))
    step = max(1, _LOGITS_PER_BLOCK // (min(n_tokens, _POSITIONS_PER_BLOCK) * checkpoint.vocabulary_size))
    pooled, summed = [], torch.zeros(n_sequences, dtype=torch.float64, device=ids.device)
    for first in range(0, n_sequences, step):
        rows = slice(first, first + step)
        running = None
        for start in range(0, n_tokens, _POSITIONS_PER_BLOCK):
            stop = min(start + _POSITIONS_PER_BLOCK, n_tokens)
            block = logits(checkpoint, hidden[rows, start:stop])
            if pooling is not None:
                running = _combine(running, block, pooling)
            if log_likelihood:
                targets = ids[rows, start + 1 : stop + 1]
                predicted = log_probabilities(block[:, : targets.shape[1]], targets)
                summed[rows] += predicted.masked_fill(special[rows, start + 1 : stop + 1], 0).double().sum(dim=1)
        pooled.append(running / n_tokens if pooling == "mean" else running)
    return (torch.cat(pooled) if pooling is not None else None), (summed if log_likelihood else None)


def log_probabilities(block, targets):
    """Natural log-softmax at the targets: block (..., vocabulary), targets (...) -> (...)."""
    # log_softmax works row by row; logsumexp's element-wise exp rounds the end of the whole buffer otherwise.
    return block.log_softmax(-1).gather(-1, targets[..., None])[..., 0]


def _combine(running, block, pooling):
    """The running maximum, sum or last vector over positions: block (sequences, positions, width)."""
    if pooling == "last":
        return block[:, -1]
    if pooling == "max":
        block = block.amax(dim=1)
        return block if running is None else torch.maximum(running, block)
    block = block.sum(dim=1)
    return block if running is None else running + block


def _pool(hidden, pooling):
    """hidden (sequences, tokens, width) -> float32 (sequences, width)."""
    pooled = _combine(None, hidden.float(), pooling)
    return pooled / hidden.shape[1] if pooling == "mean" else pooled
