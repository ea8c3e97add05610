"""Batches: how many tokens go through a model at once, by the memory there is.

Knows nothing of what is computed with a batch.
"""

import logging
import math
import resource
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from dna_lm import galaxy
from dna_lm.engine.prefix_tree import Tokens, shared_length
from dna_lm.errors import is_out_of_memory
from dna_lm.model.checkpoint import Checkpoint

Item = TypeVar("Item")

# On a CPU more tokens gain nothing: their tensors leave its caches (1,024 to 8,192 were tried, on two cores). A GPU
# needs more to be busy.
_CPU_TOKENS = 3072
_GPU_TOKENS = 65536

log = logging.getLogger(__name__)


@dataclass
class Budget:
    """How many tokens go through the model at once, and how many were `given` and `computed` so far.

    `watcher`: called after each batch with the share of the sequences given together that have been computed.
    """

    tokens: int = _CPU_TOKENS
    given: int = 0
    computed: int = 0
    watcher: Callable[[float], None] | None = None

    @classmethod
    def fitting(cls, checkpoint: Checkpoint) -> "Budget":
        """The budget that suits the device, or less when half of the free memory would not hold it.

        On the CPU the job may use what Galaxy gave it; outside of Galaxy, memory is assumed to be enough.
        """
        if checkpoint.device.type == "cuda":
            tokens, free = _GPU_TOKENS, torch.cuda.mem_get_info(checkpoint.device)[0]
        else:
            allowed = galaxy.memory()
            used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 2**10
            tokens, free = _CPU_TOKENS, math.inf if allowed is None else allowed - used
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
            # Another thread may take the watcher away.
            if watcher := budget.watcher:
                watcher(done / len(items))
            continue
        # Here and not above: the exception, while Python keeps it, keeps the tensors of the batch.
        torch.cuda.empty_cache()
        budget.tokens = n_tokens // 2
        log.info("memory ran out with %d tokens at once: going on with %d", n_tokens, budget.tokens)


def tokens_not_shared(ids: Tokens, previous: Tokens | None) -> int:
    """Tokens of a sequence that are not at the beginning of the one before it."""
    return len(ids) - (0 if previous is None else shared_length(previous, ids))


def tokens_of_one_length(ids: Tokens, previous: Tokens | None) -> float:
    """All tokens of a sequence, or infinitely many when it has another length than the one before it."""
    return len(ids) if previous is None or len(previous) == len(ids) else math.inf
