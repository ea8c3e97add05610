"""What a model that was just loaded must do right with short sequences before it is used.

The reason is that config.json says what a model should be, and only its output shows what it is.
"""

from dataclasses import dataclass

import torch
from Bio.Seq import reverse_complement
from transformers import PreTrainedModel

from dna_lm.engine import forward
from dna_lm.engine.prefix_tree import PrefixTree
from dna_lm.errors import UserError, is_out_of_memory
from dna_lm.model import lengths
from dna_lm.model.checkpoint import Checkpoint
from dna_lm.model.tokens.tokenizer import PROBE


@torch.inference_mode()
def run_once(checkpoint: Checkpoint, model: PreTrainedModel) -> None:
    """Let the whole model read a short sequence, alone and in a batch in which a token is masked as padding."""
    ids = _probe_ids(checkpoint)
    model(ids, **_without_cache(checkpoint))
    if not checkpoint.has_mask:
        return
    ids = ids.repeat(2, 1)
    mask = torch.ones_like(ids)
    mask[1, -1] = 0
    model(ids, attention_mask=mask, **_without_cache(checkpoint))


def _without_cache(checkpoint: Checkpoint) -> dict[str, bool]:
    return {"use_cache": False} if checkpoint.is_causal else {}


@dataclass(frozen=True)
class ProbeOutputs:
    """Outputs for one short sequence.

    hidden: hidden states of the trunk's last layer, (1, tokens, width); logits: the whole model's, (1, tokens,
    vocabulary), or `None` without a head. has_layers: whether the blocks are called one after the other, with one
    vector for each token between them.
    """

    hidden: torch.Tensor
    logits: torch.Tensor | None
    has_layers: bool


@torch.inference_mode()
def check_finite(checkpoint: Checkpoint, model: PreTrainedModel) -> ProbeOutputs:
    """Outputs for a short sequence. Raises `UserError` when the hidden states are not finite."""
    ids = _probe_ids(checkpoint)
    # One layer more than expected, so that an additional one is noticed.
    with forward.watching_layers(checkpoint, range(checkpoint.n_layers + 2)) as states:
        hidden = checkpoint.trunk(ids, use_cache=False).last_hidden_state
    if not torch.isfinite(hidden).all():
        raise UserError(f"model: its output is not finite in {checkpoint.precision_name}")

    def has_vectors(layer: torch.Tensor) -> bool:
        # Some trunks pad sequences up to a block of attention.
        is_long_enough = layer.ndim == 3 and len(layer) == 1 and layer.shape[1] >= ids.shape[1]
        return is_long_enough and layer.shape[-1] == checkpoint.hidden_size

    has_layers = len(states) == checkpoint.n_layers + 1 and all(map(has_vectors, states.values()))
    logits = None if checkpoint.head is None else model(ids, **_without_cache(checkpoint)).logits
    return ProbeOutputs(hidden, logits, has_layers)


def _probe_ids(checkpoint: Checkpoint) -> torch.Tensor:
    return torch.tensor(checkpoint.tokenise([PROBE]), device=checkpoint.device)


@torch.inference_mode()
def is_head(checkpoint: Checkpoint, outputs: ProbeOutputs) -> bool:
    """Whether the head computes the whole model's logits from the trunk's hidden states."""
    try:
        return torch.equal(checkpoint.head(outputs.hidden), outputs.logits)
    # Modules that are not made to follow each other, or a model that asks its trunk for more than hidden states.
    except (AttributeError, TypeError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise
        return False


@torch.inference_mode()
def check_padding(checkpoint: Checkpoint) -> None:
    """Raise `UserError` when padding changes the output for a sequence, or in a causal model the tokens after it do.

    The sequences are short enough that, by the model's settings, their length in a batch makes no difference.
    """
    short, long = sorted(checkpoint.tokenise([PROBE[:17], PROBE * 2]), key=len)
    long = long[: min(checkpoint.max_tokens, lengths.tokens_read_alike(checkpoint.trunk.config))]
    short = short[: len(long) - 1]
    if checkpoint.is_causal:
        beginning = _states_alone(checkpoint, long)[: len(short)]
        if _differ(checkpoint, beginning, _states_alone(checkpoint, long[: len(short)])):
            raise UserError(
                "model: by its config.json it is causal, but its output for a token depends on the tokens after it"
            )
    if not checkpoint.has_mask:
        # Nothing is ever padded but in tutorial mode, which pools over the padding as the tutorial does.
        return
    n_padding = len(long) - len(short)
    ids = torch.tensor([[*short, *[checkpoint.pad_token_id] * n_padding], long], device=checkpoint.device)
    mask = torch.tensor([[1] * len(short) + [0] * n_padding, [1] * len(long)], device=checkpoint.device)
    together = checkpoint.trunk(ids, attention_mask=mask, use_cache=False).last_hidden_state
    if _differ(checkpoint, together[0, : len(short)], _states_alone(checkpoint, short)):
        raise UserError(
            "model: a short sequence scored alone and in a padded batch gives different answers: "
            "it does not tell padding from DNA"
        )


@torch.inference_mode()
def check_mirror(checkpoint: Checkpoint) -> None:
    """Raise `UserError` when a model that reads both strands with the same weights does not give mirror images.

    Or when its complements are not those of the bases and special tokens.
    """
    mirror = checkpoint.mirror
    if mirror is None:
        return
    [ids], [of_reverse] = checkpoint.tokenise([PROBE]), checkpoint.tokenise([reverse_complement(PROBE)])
    special = sorted(checkpoint.special_token_ids)
    bases = [[token for token in tokens if token not in special] for tokens in (mirror.ids(ids), of_reverse)]
    if bases[0] != bases[1] or any(mirror.complement[token] != token for token in special):
        raise UserError("model: its complement_map does not give the complements of the tokens")
    given, other = (_states_of_layers(checkpoint, tokens) for tokens in (ids, mirror.ids(ids)))
    if any(_differ(checkpoint, other[layer], states.flip(0, 1)) for layer, states in given.items()):
        raise UserError("model: its outputs for the two strands are not mirror images, as those of its kind are")


def _states_of_layers(checkpoint: Checkpoint, ids: list[int]) -> dict[int, torch.Tensor]:
    """Hidden states (tokens, width) for one sequence: of layers by their numbers, and of the last one by -1."""
    with forward.watching_layers(checkpoint, range(checkpoint.n_layers)) as states:
        last = checkpoint.trunk(torch.tensor([ids], device=checkpoint.device), use_cache=False).last_hidden_state
    return {layer: of_layer[0] for layer, of_layer in states.items()} | {-1: last[0]}


def _states_alone(checkpoint: Checkpoint, ids: list[int] | tuple[int, ...]) -> torch.Tensor:
    """Hidden states (tokens, width) of the last layer for one sequence."""
    return forward.sequence_states(checkpoint, torch.tensor([ids], device=checkpoint.device))[0][0]


def _differ(checkpoint: Checkpoint, states: torch.Tensor, expected: torch.Tensor) -> bool:
    """Whether two hidden states (tokens, width) differ by more than rounding."""
    differences = (states - expected).abs().amax(dim=-1) / expected.abs().max()
    if checkpoint.precision == torch.float32:
        return bool(differences.max() > 1e-3)
    # With 16 bits a single token may be sent to another expert.
    return bool(differences.median() > 0.1)


@torch.inference_mode()
def reads_trees(checkpoint: Checkpoint) -> bool:
    """Whether the trunk gives two sequences that share a prefix the hidden states that they have alone."""
    sequences = sorted(map(tuple, checkpoint.tokenise([PROBE, PROBE[:20] + PROBE[:10]])))
    tree = PrefixTree(sequences)
    try:
        packed = forward.packed_states(checkpoint, tree)[0]
    except (TypeError, RuntimeError) as error:
        # An architecture that computes its own masks fails on the shape of the packed tokens.
        if is_out_of_memory(error):
            raise
        return False
    return not any(
        _differ(checkpoint, packed[tree.paths[leaf]], _states_alone(checkpoint, sequence))
        for sequence, leaf in zip(sequences, tree.leaves, strict=True)
    )
