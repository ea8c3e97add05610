"""How much arithmetic a contender does: tokens computed, keys attended to, floating-point operations.

Knows what each contender reads, nothing of time. The README has the formula.
"""

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """Floating-point operations of a model: `block` a token and layer, `attention` a key and layer, `head` a token."""

    layers: int
    block: int
    attention: int
    head: int
    is_causal: bool

    @classmethod
    def of(cls, config):
        """The shape of a Mixtral, a Llama or an ESM from its `config.json`."""
        width, inner, heads = config["hidden_size"], config["intermediate_size"], config["num_attention_heads"]
        head_width = config.get("head_dim") or width // heads
        queries, keys = heads * head_width, (config.get("num_key_value_heads") or heads) * head_width
        products = [(width, queries), (width, keys), (width, keys), (queries, width)]
        is_causal = config["model_type"] != "esm"
        gated = [(width, inner), (width, inner), (inner, width)]
        if "num_local_experts" in config:
            products += [(width, config["num_local_experts"]), *config["num_experts_per_tok"] * gated]
        else:
            products += gated if is_causal else [(width, inner), (inner, width)]
        head = [(width, config["vocab_size"])] + ([] if is_causal else [(width, width)])
        return cls(config["num_hidden_layers"], _flops(products), 4 * queries, _flops(head), is_causal)


def _flops(products):
    """Of one token through products of (inputs, outputs): a multiplication and an addition for each weight."""
    return sum(2 * inputs * outputs for inputs, outputs in products)


@dataclass
class Reading:
    """What a contender reads of a file: pairs that get a score, their tokens, and what is computed for them.

    `keys`: summed over the computed tokens, how many each attends to. `head_tokens`: through the head, `None` for all.
    """

    scored: int = 0
    given: int = 0
    computed: int = 0
    keys: int = 0
    head_tokens: int | None = None

    def flops(self, shape, computed=None):
        """Floating-point operations; `computed` where the contender itself counts its tokens."""
        tokens = self.computed if computed is None else computed
        head_tokens = tokens if self.head_tokens is None else self.head_tokens
        return shape.layers * (tokens * shape.block + self.keys * shape.attention) + head_tokens * shape.head


def _keys(n_tokens, is_causal):
    return n_tokens * (n_tokens + 1) // 2 if is_causal else n_tokens**2


def nothing(token_pairs, is_causal):
    return Reading()


def prefix_once(token_pairs, is_causal):
    """A causal model reads what two sequences begin with once."""
    reading = Reading()
    for wild_type, mutant in token_pairs:
        shared = len(os.path.commonprefix((wild_type, mutant)))
        reading.scored += 1
        reading.given += len(wild_type) + len(mutant)
        reading.computed += len(wild_type) + len(mutant) - shared
        reading.keys += sum(_keys(length, is_causal) for length in (len(wild_type), len(mutant)))
        reading.keys -= _keys(shared, is_causal)
    return reading


def padded(token_pairs, is_causal, batch=None):
    """All sequences of a batch (of the file) are as long as the longest one, wild types and mutants apart."""
    reading = Reading()
    batch = batch or len(token_pairs)
    for start in range(0, len(token_pairs), batch):
        for side in zip(*token_pairs[start : start + batch], strict=True):
            longest = max(map(len, side))
            reading.given += sum(map(len, side))
            reading.computed += longest * len(side)
            reading.keys += _keys(longest, is_causal) * len(side)
    reading.scored = len(token_pairs)
    return reading


def prefix_once_or_whole(token_pairs, is_causal):
    """What distances read: of a causal model each shared prefix once, of a masked one every sequence."""
    return prefix_once(token_pairs, True) if is_causal else by_length(token_pairs, False, 1)


def by_length(token_pairs, is_causal, tokens):
    """All sequences, sorted by length and padded in batches of at most so many tokens, or of one sequence."""
    reading = Reading(scored=len(token_pairs))
    for batch in batches_by_length([ids for pair in token_pairs for ids in pair], tokens):
        lengths = [len(ids) for ids in batch]
        reading.given += sum(lengths)
        reading.computed += max(lengths) * len(batch)
        reading.keys += _keys(max(lengths), is_causal) * len(batch)
    return reading


def batches_by_length(sequences, tokens):
    """Sequences of tokens, the longest first, in batches of at most so many tokens when padded, or of one sequence."""
    batch = []
    for sequence in sorted(sequences, key=len, reverse=True):
        if batch and len(batch[0]) * (len(batch) + 1) > tokens:
            yield batch
            batch = []
        batch.append(sequence)
    yield batch


def masked(token_pairs, is_causal, strands=1, whole_head=True):
    """A masked model reads each sequence once a strand, its changed token masked; `whole_head`: it predicts all."""
    reading = Reading(scored=len(token_pairs), head_tokens=None if whole_head else strands * len(token_pairs))
    for wild_type, mutant in token_pairs:
        reading.given += len(wild_type) + len(mutant)
        reading.computed += strands * len(wild_type)
        reading.keys += strands * _keys(len(wild_type), is_causal)
    return reading


def one_token_changes(token_pairs, is_causal):
    """Only pairs that differ in exactly one token, two sequences each: the two alleles, or one masked, twice."""
    reading = Reading()
    for wild_type, mutant in token_pairs:
        if len(wild_type) == len(mutant) and sum(a != b for a, b in zip(wild_type, mutant, strict=True)) == 1:
            reading.scored += 1
            reading.given += 2 * len(wild_type)
            reading.computed += 2 * len(wild_type)
            reading.keys += 2 * _keys(len(wild_type), is_causal)
    return reading


def shared_or_masked(token_pairs, is_causal):
    """Log-likelihood ratios of a causal or of a masked model."""
    return prefix_once(token_pairs, True) if is_causal else masked(token_pairs, False, whole_head=False)
