"""Pairs that are too long for the model, cut to the bases around their change."""

from collections.abc import Sequence

from dna_lm.model.checkpoint import Checkpoint
from dna_lm.scores import shared_ends


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
        cut = [
            sequence[max(0, before - n_kept) : len(sequence) - max(0, after - n_kept)]
            for sequence in (wild_type, mutant)
        ]
        strands = [tuple(checkpoint.tokenise(cut, reverse)) for reverse in reverses]
        if all(len(ids) <= checkpoint.max_tokens for strand in strands for ids in strand):
            ids_of_strands, fitting = strands, n_kept
        else:
            too_many = n_kept
    return ids_of_strands
