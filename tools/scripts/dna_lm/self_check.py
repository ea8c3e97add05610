"""What a model that was just loaded must do right with short sequences before it is used.

The reason is that config.json says what a model should be, and only its output tells what it is.
"""

import torch

from dna_lm import encoder
from dna_lm.errors import UserError, is_out_of_memory
from dna_lm.prefix_tree import PrefixTree
from dna_lm.tokenizer import PROBE


@torch.inference_mode()
def check_finite(checkpoint, model):
    """Hidden states of one short sequence, which must be finite, and the whole model's logits of it."""
    ids = torch.tensor(checkpoint.tokenise([PROBE]), device=checkpoint.device)
    hidden = checkpoint.trunk(ids).last_hidden_state
    if not torch.isfinite(hidden).all():
        raise UserError(f"model: its output is not finite in {_named(checkpoint.precision)}")
    return hidden, model(ids).logits if checkpoint.head is not None else None


@torch.inference_mode()
def is_head(checkpoint, expected):
    """Whether the head makes the whole model's logits of the trunk's hidden states: `expected` has both."""
    hidden, logits = expected
    try:
        return torch.equal(checkpoint.head(hidden), logits)
    except (TypeError, RuntimeError) as error:  # modules that are not made to follow each other
        if is_out_of_memory(error):
            raise
        return False


@torch.inference_mode()
def check_padding(checkpoint):
    """A sequence must come out alone as in a padded batch, and of a causal model as it begins a longer one."""
    short, long = sorted(checkpoint.tokenise([PROBE[:17], PROBE * 2]), key=len)
    long = long[: checkpoint.max_tokens]
    short = short[: len(long) - 1]
    filling = len(long) - len(short)
    ids = torch.tensor([[*short, *[checkpoint.pad_token_id] * filling], long], device=checkpoint.device)
    mask = torch.tensor([[1] * len(short) + [0] * filling, [1] * len(long)], device=checkpoint.device)
    together = checkpoint.trunk(ids, attention_mask=mask, use_cache=False).last_hidden_state
    if _differ(checkpoint, together[0, : len(short)], _alone(checkpoint, short)):
        raise UserError(
            "model: a short sequence scored alone and in a padded batch gives different answers: "
            "it does not tell padding from DNA"
        )
    if checkpoint.is_causal and _differ(checkpoint, together[1, : len(short)], _alone(checkpoint, long[: len(short)])):
        raise UserError("model: by its config.json it is causal, but what it makes of a token depends on later tokens")


def _alone(checkpoint, ids):
    return encoder.sequence_states(checkpoint, torch.tensor([ids], device=checkpoint.device))[0][0]


def _differ(checkpoint, found, expected):
    """Whether hidden states (tokens, width) are others, by more than rounding."""
    differences = (found - expected).abs().amax(dim=-1) / expected.abs().max()
    if checkpoint.precision == torch.float32:
        return differences.max() > 1e-3
    # With 16 bits a single token may be sent to another expert.
    return differences.median() > 0.1


@torch.inference_mode()
def reads_trees(checkpoint):
    """Whether two sequences that share a prefix come out of the trunk as they do alone: the proof of the pudding."""
    sequences = sorted(map(tuple, checkpoint.tokenise([PROBE, PROBE[:20] + PROBE[:10]])))
    tree = PrefixTree(sequences)
    try:
        packed = encoder.packed_states(checkpoint, tree)[0]
    except Exception as error:  # an architecture that has no place for a tree fails in a way of its own
        if is_out_of_memory(error):
            raise
        return False
    return not any(
        _differ(checkpoint, packed[tree.paths[leaf]], _alone(checkpoint, sequence))
        for sequence, leaf in zip(sequences, tree.leaves, strict=True)
    )


def _named(dtype):
    return str(dtype).removeprefix("torch.")
