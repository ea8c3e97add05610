"""The forward pass: pooled embeddings and log-likelihoods of tokenised sequences.

The only place that runs a model. Knows nothing of files, pairs or distances.

What it guarantees to every tool:

- **Nothing twice**: a distinct sequence is computed once, and with a causal model so is a prefix that several sequences
  begin with, its running maximum or sum included (see `prefix_tree`).
- **Nothing padded** (except in tutorial mode, where padding is the point): the tokens of a causal model are packed, and
  other models read batches of sequences of exactly one length.
- **Nothing depends on the batch**: on the CPU, the result for a token is the same to the last bit whatever the rest of
  the batch (see `products` and `prefix_tree`), and sums run from the first token to the last.
- **Layers** are numbered from 0: layer 0 is the input of the first block, layer k the output of block k, and the last
  (-1) is the output of the last block after the model's final normalisation. They are read at the blocks, because
  transformers' own tuple of hidden states lacks layer 0 for Mamba and RWKV.
"""

import contextlib
import logging
import math
import os
import resource
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch

from dna_lm.engine import pooling
from dna_lm.engine.attention import TreeAttention
from dna_lm.engine.prefix_tree import PrefixTree, Tokens, shared_length
from dna_lm.errors import UserError, is_out_of_memory
from dna_lm.model.checkpoint import Checkpoint
from dna_lm.model.products import ROWS

Item = TypeVar("Item")

REPRESENTATIONS = ("logits", "hidden")

# On a CPU more tokens gain nothing: their tensors leave its caches (1,024 to 8,192 were tried, on two cores). A GPU
# needs more to be busy.
_CPU_TOKENS = 3072
_GPU_TOKENS = 65536

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Embedding:
    """How a sequence becomes a vector: logits or hidden states of a layer, pooled over its tokens."""

    representation: str = "logits"
    layer: int = -1
    pooling: str = "max"

    def check(self, checkpoint: Checkpoint) -> None:
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
        elif not checkpoint.blocks and self.layer not in (-1, checkpoint.n_layers):
            raise UserError(f"--layer {self.layer}: only the last layer (-1) of this model can be read")

    def width(self, checkpoint: Checkpoint) -> int:
        """Numbers per embedding."""
        if self.representation == "logits":
            return checkpoint.vocabulary_size
        is_last = self.layer in (-1, checkpoint.n_layers)
        return checkpoint.output_size if is_last else checkpoint.hidden_size


@dataclass
class Budget:
    """How many tokens go through the model at once, and how many were `given` and `computed` so far."""

    tokens: int = _CPU_TOKENS
    given: int = 0
    computed: int = 0

    @classmethod
    def fitting(cls, checkpoint: Checkpoint) -> "Budget":
        """The budget that suits the device, or less when half of the free memory would not hold it.

        On the CPU the job may use `GALAXY_MEMORY_MB`; when it is not set, memory is assumed to be enough.
        """
        if checkpoint.device.type == "cuda":
            tokens, free = _GPU_TOKENS, torch.cuda.mem_get_info(checkpoint.device)[0]
        else:
            allowed = os.environ.get("GALAXY_MEMORY_MB", "")
            used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 2**10
            tokens, free = _CPU_TOKENS, int(allowed) * 2**20 - used if allowed.isdecimal() else math.inf
        return cls(max(1, int(min(tokens, free / 2 / _bytes_per_token(checkpoint)))))


def _bytes_per_token(checkpoint: Checkpoint) -> int:
    """A generous estimate of what a forward pass holds for each of its tokens, in float32."""
    config = checkpoint.trunk.config
    inner = getattr(config, "intermediate_size", None)
    if type(inner) is not int or inner < 1:
        inner = 4 * checkpoint.hidden_size
    # In a layer: the residual; queries, keys and values before and after they are gathered; the feed-forward layer.
    # Then the pools of logits, one for each segment, in float64 at most.
    return 4 * (24 * checkpoint.hidden_size + 6 * inner) + 8 * checkpoint.vocabulary_size


@torch.inference_mode()
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
    sequences = [tuple(ids) for ids in token_lists]
    budget.given += sum(map(len, sequences))
    results = {}

    def encode_batch(batch: Sequence[Tokens], shared: bool) -> None:
        encoded = _encode_tree(checkpoint, PrefixTree(batch, shared), embedding, log_likelihood)
        results.update(zip(batch, encoded, strict=True))

    sharing = [ids for ids in set(sequences) if len(ids) <= checkpoint.max_shared_tokens]
    in_batches(sorted(sharing), _tokens_not_shared, budget, lambda batch: encode_batch(batch, shared=True))
    separate = set(sequences).difference(sharing)
    in_batches(sorted(separate, key=len), tokens_of_one_length, budget, lambda batch: encode_batch(batch, shared=False))
    return (
        np.stack([results[ids][0] for ids in sequences]) if embedding else None,
        np.array([results[ids][1] for ids in sequences]) if log_likelihood else None,
    )


def in_batches(
    items: Sequence[Item],
    tokens_to_add: Callable[[Item, Item | None], float],
    budget: Budget,
    work: Callable[[Sequence[Item]], None],
) -> None:
    """Call `work` on lists of consecutive items that are within the budget together, or of a single item.

    `tokens_to_add(item, previous)`: tokens by which an item enlarges the batch that ends with the `previous` item,
    which is `None` for the first. When memory runs out, the batch is done again in halves, and so are all after it.
    """
    done = 0
    while done < len(items):
        stop, n_tokens = done + 1, tokens_to_add(items[done], None)
        while stop < len(items):
            n_added = tokens_to_add(items[stop], items[stop - 1])
            if n_tokens + n_added > budget.tokens:
                break
            stop, n_tokens = stop + 1, n_tokens + n_added
        try:
            work(items[done:stop])
        except (MemoryError, RuntimeError) as error:
            if stop == done + 1 or not is_out_of_memory(error):
                raise
        else:
            budget.computed += n_tokens
            done = stop
            continue
        # Here and not above: the exception, while Python keeps it, keeps the tensors of the batch.
        torch.cuda.empty_cache()
        budget.tokens = n_tokens // 2
        log.info("memory ran out with %d tokens at once: going on with %d", n_tokens, budget.tokens)


def _tokens_not_shared(ids: Tokens, previous: Tokens | None) -> int:
    return len(ids) - (0 if previous is None else shared_length(previous, ids))


def tokens_of_one_length(ids: Tokens, previous: Tokens | None) -> float:
    """All tokens of a sequence, or infinitely many when it has another length than the one before it."""
    return len(ids) if previous is None or len(previous) == len(ids) else math.inf


def _encode_tree(
    checkpoint: Checkpoint, tree: PrefixTree, embedding: Embedding | None, log_likelihood: bool
) -> Iterator[tuple[np.ndarray | None, float | None]]:
    """For each sequence of the tree its pooled numbers, float32 (width,), and log-likelihood, or `None` for either."""
    layer = -1 if embedding is None else embedding.layer
    of_layer, last = (packed_states if tree.shared else _separate_states)(checkpoint, tree, layer)
    how = embedding.pooling if embedding else None
    special = checkpoint.special_token_ids
    if embedding is None or embedding.representation == "logits":
        pooled, summed = pooling.pool_sequences(tree, last, checkpoint.logits, how, log_likelihood, special)
    else:
        pooled, _ = pooling.pool_sequences(tree, of_layer, torch.Tensor.float, how)
        _, summed = pooling.pool_sequences(tree, last, checkpoint.logits, None, log_likelihood, special)
    nothing = [None] * len(tree.leaves)
    return zip(nothing if pooled is None else pooled.cpu().numpy(), nothing if summed is None else summed, strict=True)


def packed_states(checkpoint: Checkpoint, tree: PrefixTree, layer: int = -1) -> list[torch.Tensor]:
    """Hidden states of a layer and of the last one: two (tokens, width), packed."""
    n_filling = -len(tree.ids) % ROWS
    ids, positions = (
        torch.from_numpy(np.pad(numbers, (0, n_filling))).to(checkpoint.device)
        for numbers in (tree.ids, tree.positions)
    )
    states = _hidden_states(
        checkpoint,
        ids[None],
        layer,
        position_ids=positions[None],
        # transformers takes a mask of four dimensions as it is. Our attention does not read it.
        attention_mask=torch.empty(1, 1, 0, 0, device=checkpoint.device),
        tree=TreeAttention(tree, len(ids), checkpoint.device, checkpoint.precision),
    )
    return [packed[0, : len(tree.ids)] for packed in states]


def _separate_states(checkpoint: Checkpoint, tree: PrefixTree, layer: int) -> list[torch.Tensor]:
    """The same, of sequences of one length that share nothing."""
    ids = torch.from_numpy(tree.ids).to(checkpoint.device).view(len(tree.leaves), -1)
    return [states.flatten(0, 1) for states in sequence_states(checkpoint, ids, layer)]


def sequence_states(checkpoint: Checkpoint, ids: torch.Tensor, layer: int = -1) -> list[torch.Tensor]:
    """Hidden states of a layer and of the last one: ids (sequences, tokens) -> two (sequences, tokens, width)."""
    n_copies = -(-ROWS // ids.numel())
    return [states[: len(ids)] for states in _hidden_states(checkpoint, ids.repeat(n_copies, 1), layer)]


def _hidden_states(
    checkpoint: Checkpoint, ids: torch.Tensor, layer: int, **options: object
) -> tuple[torch.Tensor, torch.Tensor]:
    """Hidden states of a layer and of the last one; options: more arguments of the trunk."""
    if layer in (-1, checkpoint.n_layers):
        last = checkpoint.trunk(ids, use_cache=False, **options).last_hidden_state
        return last, last
    layer %= checkpoint.n_layers + 1
    with watching_layers(checkpoint, [layer]) as states:
        last = checkpoint.trunk(ids, use_cache=False, **options).last_hidden_state
    # Some trunks pad sequences to a multiple of an attention block, and cut only their final output.
    return states[layer][:, : ids.shape[1]], last


@contextlib.contextmanager
def watching_layers(checkpoint: Checkpoint, wanted: Collection[int]) -> Iterator[dict[int, torch.Tensor]]:
    """A context for one forward pass, which yields a dict that is filled with hidden states: layer -> (..., width).

    wanted: the layers to keep, from 0. A block that is called several times (ALBERT) is one layer for each call.
    """
    states, n_calls = {}, 0

    def keep_input(_block: torch.nn.Module, inputs: tuple, options: dict) -> None:
        if not n_calls and 0 in wanted:
            states[0] = (inputs[0] if inputs else options["hidden_states"]).clone()

    def keep_output(_block: torch.nn.Module, _inputs: tuple, output: torch.Tensor | tuple) -> None:
        nonlocal n_calls
        n_calls += 1
        if n_calls in wanted:
            # A copy: the next block may change them in place.
            states[n_calls] = (output if torch.is_tensor(output) else output[0]).clone()

    with contextlib.ExitStack() as stack:
        for block in checkpoint.blocks:
            stack.enter_context(block.register_forward_pre_hook(keep_input, with_kwargs=True))
            stack.enter_context(block.register_forward_hook(keep_output))
        yield states
