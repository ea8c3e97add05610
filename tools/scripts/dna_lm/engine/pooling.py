"""From hidden states to one vector and one log-likelihood per sequence, slice by slice.

- **Pooling** goes over all tokens of the sequence, special tokens such as [CLS] and [SEP] included, as in the tutorial:
  `max` and `mean` per coordinate, `last` takes the last token's vector. Numbers are float32, their sums float64.
- **Log-likelihood** of a causal model: the sum of log P(token | tokens before it), natural logarithm, over all tokens
  that are not special. Special tokens are read but not predicted. A first token with nothing before it is not scored.
"""

from collections.abc import Callable, Collection, Sequence

import numpy as np
import torch

from dna_lm.engine.host import on_device
from dna_lm.engine.predictions import Predictions
from dna_lm.engine.prefix_tree import Part, PrefixTree

POOLINGS = ("max", "mean", "last")

# The numbers to pool, above all logits, are computed in slices of at most so many tokens and so many numbers: 16 MiB,
# which a CPU's caches hold in part, or 256 MiB, which a GPU reads in a tenth of a millisecond.
_SLICES = {"cpu": (1024, 2**22), "cuda": (16384, 2**26)}


def pool_sequences(
    tree: PrefixTree,
    states: torch.Tensor,
    to_numbers: Callable[[torch.Tensor], torch.Tensor],
    pooling: str | None,
    log_likelihood: bool = False,
    special_token_ids: Collection[int] = (),
    predictions: Predictions | None = None,
) -> tuple[torch.Tensor | None, np.ndarray | None]:
    """Pool numbers over each sequence's tokens, and sum its tokens' log-probabilities in nats.

    tree: the tree of the sequences; states: hidden states (tokens, width), packed; to_numbers: a function from states
    to float32 (tokens, numbers), the logits when `log_likelihood` or with `predictions`, which are given them; pooling:
    one of `POOLINGS`. Returns float32 (sequences, numbers) or `None` without a pooling, and float64 (sequences,) or
    `None` unless `log_likelihood`.
    """
    on_cpu = states.device.type == "cpu"
    pools = (_Pools if on_cpu else _PoolsAtOnce)(tree, pooling) if pooling in ("max", "mean") else None
    likelihoods = _Likelihoods(tree, special_token_ids, states.device) if log_likelihood else None
    if pools or likelihoods or predictions:
        # One token tells how many numbers there are.
        width = to_numbers(states[:1]).shape[1]
        most_tokens, most_numbers = _SLICES["cpu" if on_cpu else "cuda"]
        for parts in tree.slices(max(1, min(most_tokens, most_numbers // width))):
            start = parts[0].start
            block = to_numbers(states[start : parts[-1].stop])
            if pools:
                pools.add_numbers(parts, block)
            if likelihoods:
                likelihoods.add_logits(start, block)
            if predictions:
                predictions.add_logits(block)
    pooled = pools.per_sequence() if pools else to_numbers(states[tree.ends]) if pooling == "last" else None
    return pooled, likelihoods.per_sequence() if likelihoods else None


class _Pools:
    """The running maximum or sum at the end of each segment, over all tokens from its sequence's beginning."""

    def __init__(self, tree: PrefixTree, pooling: str) -> None:
        self.tree = tree
        self.is_mean = pooling == "mean"
        self.running = None

    def add_numbers(self, parts: Sequence[Part], block: torch.Tensor) -> None:
        """Go on with the parts of a slice, whose numbers are block (tokens, numbers)."""
        if self.running is None:
            shape = (len(self.tree.parents), block.shape[1])
            self.running = block.new_empty(shape, dtype=torch.float64 if self.is_mean else torch.float32)
        for part in parts:
            numbers = block[part.start - parts[0].start : part.stop - parts[0].start]
            numbers = numbers.view(part.last - part.first, -1, block.shape[1])
            segments, parents = slice(part.first, part.last), self.tree.parents[part.first : part.last]
            is_first = part.begins and parents[0] < 0
            before = None if is_first else self.running[parents if part.begins else segments]
            if self.is_mean:
                # One token after the other: the sum is then the same wherever a sequence is divided into segments.
                before = torch.zeros_like(self.running[segments]) if is_first else before
                for position in range(numbers.shape[1]):
                    before += numbers[:, position]
                self.running[segments] = before
            else:
                largest = numbers.amax(dim=1)
                self.running[segments] = largest if is_first else torch.maximum(before, largest)

    def per_sequence(self) -> torch.Tensor:
        """The pooled numbers: float32 (sequences, numbers)."""
        pooled = self.running[self.tree.leaves]
        if self.is_mean:
            pooled /= torch.from_numpy(self.tree.lengths).to(pooled.device)[:, None]
        return pooled.float()


class _PoolsAtOnce(_Pools):
    """The same with few calls: one for all tokens of a slice, and one for all segments of a depth.

    Sums of segments are added to those of their parents, which is another order than in `_Pools`.
    """

    def add_numbers(self, parts: Sequence[Part], block: torch.Tensor) -> None:
        """Go on with the parts of a slice, whose numbers are block (tokens, numbers)."""
        first_rows = self.tree.first_rows
        if self.running is None:
            nothing, dtype = (0, torch.float64) if self.is_mean else (-torch.inf, torch.float32)
            self.running = block.new_full((len(self.tree.parents), block.shape[1]), nothing, dtype=dtype)
            bounds = np.append(first_rows, len(self.tree.ids))
            self.bounds, self.parents = on_device([bounds, self.tree.parents], block.device)
        start, stop = parts[0].start, parts[-1].stop
        first, last = np.searchsorted(first_rows, start, side="right") - 1, np.searchsorted(first_rows, stop)
        # It reads the tokens of a segment in their order. scatter_reduce_ and index_add_ use atomic operations, whose
        # order varies.
        pooled = torch.segment_reduce(
            block.to(self.running.dtype),
            "sum" if self.is_mean else "max",
            offsets=self.bounds[first : last + 1].clamp(start, stop) - start,
            # Otherwise the host waits to see whether the offsets are right.
            unsafe=True,
        )
        self._join(slice(first, last), pooled)

    def _join(self, here: slice, numbers: torch.Tensor) -> None:
        """Add numbers (n, numbers) to those of n segments, or take their maxima with them."""
        running = self.running[here]
        torch.add(running, numbers, out=running) if self.is_mean else torch.maximum(running, numbers, out=running)

    def per_sequence(self) -> torch.Tensor:
        """The pooled numbers: float32 (sequences, numbers)."""
        for first, last in self.tree.depths()[1:]:
            self._join(slice(first, last), self.running[self.parents[first:last]])
        return super().per_sequence()


class _Likelihoods:
    """The log-probability of each token, given those before it in its sequence."""

    def __init__(self, tree: PrefixTree, special_token_ids: Collection[int], device: torch.device) -> None:
        predicted = (tree.previous >= 0) & ~np.isin(tree.ids, list(special_token_ids))
        tokens = np.flatnonzero(predicted)
        self.tree = tree
        # In the order of the tokens that predict them.
        self.tokens = tokens[np.argsort(tree.previous[tokens], kind="stable")]
        self.predictors = tree.previous[self.tokens]
        self.rows, self.targets = on_device([self.predictors, tree.ids[self.tokens]], device)
        self.logs = []

    def add_logits(self, start: int, logits: torch.Tensor) -> None:
        """Go on with the tokens that the logits (tokens, vocabulary), packed from row `start` on, predict."""
        first, last = np.searchsorted(self.predictors, [start, start + len(logits)])
        rows = self.rows[first:last] - start
        # log_softmax works row by row; logsumexp's element-wise exp rounds the end of the whole buffer otherwise.
        self.logs.append(logits.log_softmax(dim=-1)[rows, self.targets[first:last]])

    def per_sequence(self) -> np.ndarray:
        """The sums of log-probabilities, in nats: float64 (sequences,)."""
        logs = np.zeros(len(self.tree.ids))
        logs[self.tokens] = torch.cat(self.logs).double().cpu().numpy()
        return np.array([logs[self.tree.paths[leaf]].sum() for leaf in self.tree.leaves])
