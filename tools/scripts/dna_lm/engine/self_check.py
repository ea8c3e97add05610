"""What a model that was just loaded must do right with short sequences before it is used.

The reason is that config.json says what a model should be, and only its output tells what it is.
"""

from typing import TYPE_CHECKING, NamedTuple

import torch

from dna_lm.engine import encoder
from dna_lm.engine.prefix_tree import PrefixTree
from dna_lm.errors import UserError, is_out_of_memory
from dna_lm.model import lengths
from dna_lm.model.tokenizer import PROBE

if TYPE_CHECKING:
    from dna_lm.model.checkpoint import Checkpoint


@torch.inference_mode()
def run_once(checkpoint: "Checkpoint", model: torch.nn.Module) -> None:
    """Let the whole model read a short sequence, alone and in a batch in which a token is masked as padding."""
    ids = _probe(checkpoint)
    model(ids, **_without_cache(checkpoint))
    ids = ids.repeat(2, 1)
    mask = torch.ones_like(ids)
    mask[1, -1] = 0
    model(ids, attention_mask=mask, **_without_cache(checkpoint))


def _without_cache(checkpoint):
    return {"use_cache": False} if checkpoint.is_causal else {}


class ShortRead(NamedTuple):
    """Outputs for one short sequence: the trunk's hidden states, and the whole model's logits, `None` without a head.

    `has_layers`: the blocks are called one after the other, with one vector for each token between them.
    """

    hidden: torch.Tensor
    logits: torch.Tensor | None
    has_layers: bool


@torch.inference_mode()
def check_finite(checkpoint: "Checkpoint", model: torch.nn.Module) -> ShortRead:
    """Read one short sequence. Raises `UserError` when the hidden states are not finite."""
    ids = _probe(checkpoint)
    # One layer more than expected, so that an additional one is noticed.
    with encoder.watching_layers(checkpoint, range(checkpoint.n_layers + 2)) as states:
        hidden = checkpoint.trunk(ids, use_cache=False).last_hidden_state
    if not torch.isfinite(hidden).all():
        raise UserError(f"model: its output is not finite in {checkpoint.precision_name}")

    def has_vectors(layer):
        # Some trunks pad sequences up to a block of attention.
        is_long_enough = layer.ndim == 3 and len(layer) == 1 and layer.shape[1] >= ids.shape[1]
        return is_long_enough and layer.shape[-1] == checkpoint.hidden_size

    has_layers = len(states) == checkpoint.n_layers + 1 and all(map(has_vectors, states.values()))
    logits = None if checkpoint.head is None else model(ids, **_without_cache(checkpoint)).logits
    return ShortRead(hidden, logits, has_layers)


def _probe(checkpoint):
    return torch.tensor(checkpoint.tokenise([PROBE]), device=checkpoint.device)


@torch.inference_mode()
def is_head(checkpoint: "Checkpoint", read: ShortRead) -> bool:
    """Whether the head makes the whole model's logits of the trunk's hidden states."""
    try:
        return torch.equal(checkpoint.head(read.hidden), read.logits)
    # Modules that are not made to follow each other, or a model that asks its trunk for more than hidden states.
    except (AttributeError, TypeError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise
        return False


@torch.inference_mode()
def check_padding(checkpoint: "Checkpoint") -> None:
    """Padding must not change the output for a sequence; in a causal model, neither may the tokens after it.

    The sequences are short enough that, by the model's settings, their length in a batch makes no difference.
    """
    short, long = sorted(checkpoint.tokenise([PROBE[:17], PROBE * 2]), key=len)
    long = long[: min(checkpoint.max_tokens, lengths.tokens_read_alike(checkpoint.trunk.config))]
    short = short[: len(long) - 1]
    if checkpoint.is_causal:
        beginning = _alone(checkpoint, long)[: len(short)]
        if _differ(checkpoint, beginning, _alone(checkpoint, long[: len(short)])):
            raise UserError(
                "model: by its config.json it is causal, but its output for a token depends on the tokens after it"
            )
    filling = len(long) - len(short)
    ids = torch.tensor([[*short, *[checkpoint.pad_token_id] * filling], long], device=checkpoint.device)
    mask = torch.tensor([[1] * len(short) + [0] * filling, [1] * len(long)], device=checkpoint.device)
    together = checkpoint.trunk(ids, attention_mask=mask, use_cache=False).last_hidden_state
    if _differ(checkpoint, together[0, : len(short)], _alone(checkpoint, short)):
        raise UserError(
            "model: a short sequence scored alone and in a padded batch gives different answers: "
            "it does not tell padding from DNA"
        )


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
def reads_trees(checkpoint: "Checkpoint") -> bool:
    """Whether two sequences that share a prefix come out of the trunk as they do alone."""
    sequences = sorted(map(tuple, checkpoint.tokenise([PROBE, PROBE[:20] + PROBE[:10]])))
    tree = PrefixTree(sequences)
    try:
        packed = encoder.packed_states(checkpoint, tree)[0]
    except (TypeError, RuntimeError) as error:
        # An architecture that makes its own masks fails on the shape of the packed tokens.
        if is_out_of_memory(error):
            raise
        return False
    return not any(
        _differ(checkpoint, packed[tree.paths[leaf]], _alone(checkpoint, sequence))
        for sequence, leaf in zip(sequences, tree.leaves, strict=True)
    )
