"""The forward pass: pooled embeddings and log-likelihoods of tokenised sequences.

The only place that runs a model. Knows nothing of files, pairs or distances.

What stands here once and holds in every tool:

- **Nothing twice**: a distinct sequence is computed once, and with a causal model so is a prefix that several sequences
  begin with, its running maximum or sum included (see `prefix_tree`).
- **Nothing padded** (except in tutorial mode, where padding is the point): the tokens of a causal model are packed, and
  other models read batches of sequences of exactly one length.
- **Nothing depends on the batch**: on the CPU, what is computed for a token is the same to the last bit whatever is
  beside it (see `products` and `prefix_tree`), and sums run from the first token to the last.
- **Layers** are numbered from 0: layer 0 is the input of the first block, layer k the output of block k, and the last
  (-1) is the output of the last block after the model's final normalisation. They are read at the blocks, because
  transformers' own tuple of hidden states lacks layer 0 for Mamba and RWKV.
"""

import contextlib
import logging
import math
import os
import resource
from dataclasses import dataclass

import numpy as np
import torch

from dna_lm.engine import pooling
from dna_lm.engine.prefix_tree import PrefixTree, shared_length
from dna_lm.errors import UserError, is_out_of_memory
from dna_lm.model.attention import TreeAttention
from dna_lm.model.products import ROWS

REPRESENTATIONS = ("logits", "hidden")

# On a CPU more tokens gain nothing: their tensors leave its caches (1,024 to 8,192 were tried, on two cores). A GPU
# needs more to be busy.
_CPU_TOKENS = 3072
_GPU_TOKENS = 65536

log = logging.getLogger(__name__)


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
        elif not checkpoint.blocks and self.layer not in (-1, checkpoint.n_layers):
            raise UserError(f"--layer {self.layer}: only the last layer (-1) of this model can be read")

    def width(self, checkpoint):
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
    def fitting(cls, checkpoint):
        """The budget that suits the device, or less when half of the free memory would not hold it.

        On the CPU what the job may use is `GALAXY_MEMORY_MB`; unset, memory is taken to be enough.
        """
        if checkpoint.device.type == "cuda":
            tokens, free = _GPU_TOKENS, torch.cuda.mem_get_info(checkpoint.device)[0]
        else:
            allowed = os.environ.get("GALAXY_MEMORY_MB", "")
            used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 2**10
            tokens, free = _CPU_TOKENS, int(allowed) * 2**20 - used if allowed.isdecimal() else math.inf
        return cls(max(1, int(min(tokens, free / 2 / _bytes_per_token(checkpoint)))))


def _bytes_per_token(checkpoint):
    """A generous estimate of what a forward pass holds for each of its tokens, in float32."""
    config = checkpoint.trunk.config
    inner = getattr(config, "intermediate_size", None)
    if type(inner) is not int or inner < 1:
        inner = 4 * checkpoint.hidden_size
    # In a layer: the residual, queries, keys and values as they are and as they are gathered, the feed-forward layer.
    # Then the pools of logits, of which there is one, in float64 at most, for each segment.
    return 4 * (24 * checkpoint.hidden_size + 6 * inner) + 8 * checkpoint.vocabulary_size


@torch.inference_mode()
def encode(checkpoint, token_lists, embedding, log_likelihood, budget):
    """Embed and score tokenised sequences.

    token_lists: n lists of token ids, special tokens included. Returns the pooled embeddings, float32 (n, width), or
    `None` when `embedding` is; and the log-likelihoods in nats, float64 (n,), or `None` unless asked for.
    """
    sequences = [tuple(ids) for ids in token_lists]
    budget.given += sum(map(len, sequences))
    found = {}

    def work(batch, shared):
        results = _encode_tree(checkpoint, PrefixTree(batch, shared), embedding, log_likelihood)
        found.update(zip(batch, results, strict=True))

    sharing = [ids for ids in set(sequences) if len(ids) <= checkpoint.max_shared_tokens]
    in_batches(sorted(sharing), _tokens_not_shared, budget, lambda batch: work(batch, shared=True))
    apart = set(sequences).difference(sharing)
    in_batches(sorted(apart, key=len), tokens_of_one_length, budget, lambda batch: work(batch, shared=False))
    return (
        np.stack([found[ids][0] for ids in sequences]) if embedding else None,
        np.array([found[ids][1] for ids in sequences]) if log_likelihood else None,
    )


def in_batches(items, tokens_to_add, budget, work):
    """Call `work` on lists of consecutive items that are within the budget together, or of a single item.

    `tokens_to_add(item, previous)`: tokens by which an item enlarges the batch that ends with the `previous` item, or
    is `None` for the first. When memory runs out, the batch is done again in halves, and so are all batches after it.
    """
    done = 0
    while done < len(items):
        stop, n_tokens = done + 1, tokens_to_add(items[done], None)
        while stop < len(items) and (more := tokens_to_add(items[stop], items[stop - 1])) <= budget.tokens - n_tokens:
            stop, n_tokens = stop + 1, n_tokens + more
        try:
            work(items[done:stop])
        except (MemoryError, RuntimeError) as error:
            if stop == done + 1 or not is_out_of_memory(error):
                raise
        else:
            budget.computed += n_tokens
            done = stop
            continue
        # Here and not above: until the exception is forgotten it holds on to the tensors of the batch.
        torch.cuda.empty_cache()
        budget.tokens = n_tokens // 2
        log.info("memory ran out with %d tokens at once: going on with %d", n_tokens, budget.tokens)


def _tokens_not_shared(ids, previous):
    return len(ids) - (0 if previous is None else shared_length(previous, ids))


def tokens_of_one_length(ids, previous):
    """All tokens of a sequence, or infinitely many when it has another length than the one before it."""
    return len(ids) if previous is None or len(previous) == len(ids) else math.inf


def _encode_tree(checkpoint, tree, embedding, log_likelihood):
    """Pairs of pooled numbers (or `None`) and log-likelihood (or `None`), one for each sequence of the tree."""
    layer = -1 if embedding is None else embedding.layer
    of_layer, last = (packed_states if tree.shared else _states_apart)(checkpoint, tree, layer)
    how = embedding and embedding.pooling
    if embedding is None or embedding.representation == "logits":
        pooled, summed = pooling.read(tree, last, checkpoint.logits, how, log_likelihood, checkpoint.special_token_ids)
    else:
        pooled, _ = pooling.read(tree, of_layer, torch.Tensor.float, how)
        _, summed = pooling.read(tree, last, checkpoint.logits, None, log_likelihood, checkpoint.special_token_ids)
    nothing = [None] * len(tree.leaves)
    return zip(nothing if pooled is None else pooled.cpu().numpy(), nothing if summed is None else summed, strict=True)


def packed_states(checkpoint, tree, layer=-1):
    """Hidden states of a layer and of the last one: two (tokens, width), packed."""
    filling = -len(tree.ids) % ROWS
    ids, positions = (
        torch.from_numpy(np.pad(numbers, (0, filling))).to(checkpoint.device) for numbers in (tree.ids, tree.positions)
    )
    states = _hidden_states(
        checkpoint,
        ids[None],
        layer,
        position_ids=positions[None],
        # What has four dimensions already is not made into a mask by transformers. Nothing is read from it.
        attention_mask=torch.empty(1, 1, 0, 0, device=checkpoint.device),
        tree=TreeAttention(tree, len(ids), checkpoint.device, checkpoint.precision),
    )
    return [packed[0, : len(tree.ids)] for packed in states]


def _states_apart(checkpoint, tree, layer):
    """The same, of sequences of one length that share nothing."""
    ids = torch.from_numpy(tree.ids).to(checkpoint.device).view(len(tree.leaves), -1)
    return [states.flatten(0, 1) for states in sequence_states(checkpoint, ids, layer)]


def sequence_states(checkpoint, ids, layer=-1):
    """Hidden states of a layer and of the last one: ids (sequences, tokens) -> two (sequences, tokens, width)."""
    copies = -(-ROWS // ids.numel())
    return [states[: len(ids)] for states in _hidden_states(checkpoint, ids.repeat(copies, 1), layer)]


def _hidden_states(checkpoint, ids, layer, **options):
    if layer in (-1, checkpoint.n_layers):
        last = checkpoint.trunk(ids, use_cache=False, **options).last_hidden_state
        return last, last
    layer %= checkpoint.n_layers + 1
    with watching_layers(checkpoint, [layer]) as states:
        last = checkpoint.trunk(ids, use_cache=False, **options).last_hidden_state
    # Some trunks pad sequences to a multiple of an attention block, and cut only their final output.
    return states[layer][:, : ids.shape[1]], last


@contextlib.contextmanager
def watching_layers(checkpoint, wanted):
    """A context for one forward pass, which yields a dict that is filled with hidden states: layer -> (..., width).

    wanted: the layers to keep, from 0. A block that is called several times (ALBERT) is one layer for each call.
    """
    states, n_calls = {}, 0

    def before(_block, inputs, options):
        if not n_calls and 0 in wanted:
            states[0] = (inputs[0] if inputs else options["hidden_states"]).clone()

    def after(_block, _inputs, output):
        nonlocal n_calls
        n_calls += 1
        if n_calls in wanted:
            # A copy: the next block may change them in place.
            states[n_calls] = (output if torch.is_tensor(output) else output[0]).clone()

    with contextlib.ExitStack() as stack:
        for block in checkpoint.blocks:
            stack.enter_context(block.register_forward_pre_hook(before, with_kwargs=True))
            stack.enter_context(block.register_forward_hook(after))
        yield states
