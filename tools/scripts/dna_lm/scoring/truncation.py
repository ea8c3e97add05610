"""Pairs that are too long for the model, cut to the bases around their change."""

from collections.abc import Sequence

from dna_lm.model.checkpoint import Checkpoint
from dna_lm.scores import shared_ends

# How many more bases are tried than are known to have too many tokens.
_MORE_BASES = 32


def around_change(
    checkpoint: Checkpoint, wild_type: str, mutant: str, reverses: Sequence[bool]
) -> list[tuple[list[int], list[int]]] | None:
    """Token ids of two sequences, cut to as many bases around the change as the model reads on every strand.

    The change lies between the sequences' common beginning and their common end. Equally many bases of both are kept,
    or all where there are fewer. reverses: for each strand, whether it is the other one than the given one. Returns for
    each strand the ids of the wild type and of the mutant; `None` when the change with one base on either side is too
    long.
    """
    before, after = shared_ends(wild_type, mutant)
    ids_of_strands, fitting, too_many = None, 0, max(before, after) + 1
    # By bisection: more bases seldom have fewer tokens.
    while too_many - fitting > 1:
        n_kept = (fitting + too_many) // 2
        if ids := _fitting_ids(checkpoint, wild_type, mutant, before, after, n_kept, reverses):
            ids_of_strands, fitting = ids, n_kept
        else:
            too_many = n_kept
    # But sometimes they have: byte pairs are joined in another way when a base is added.
    for n_kept in range(too_many + 1, min(too_many + _MORE_BASES, max(before, after)) + 1):
        ids_of_strands = _fitting_ids(checkpoint, wild_type, mutant, before, after, n_kept, reverses) or ids_of_strands
    return ids_of_strands


def _fitting_ids(
    checkpoint: Checkpoint,
    wild_type: str,
    mutant: str,
    before: int,
    after: int,
    n_kept: int,
    reverses: Sequence[bool],
) -> list[tuple[list[int], list[int]]] | None:
    """The ids with so many bases kept on either side of the change, or `None` if they are too many."""
    cut = [
        sequence[max(0, before - n_kept) : len(sequence) - max(0, after - n_kept)] for sequence in (wild_type, mutant)
    ]
    if any(map(checkpoint.is_far_too_long, cut)):
        return None
    strands = [tuple(checkpoint.tokenise(cut, reverse)) for reverse in reverses]
    return strands if all(len(ids) <= checkpoint.max_tokens for strand in strands for ids in strand) else None
