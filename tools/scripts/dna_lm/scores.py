"""Distances between pooled embeddings, and counts of what a mutation changed: pure functions."""

import numpy as np
from Bio.Align import PairwiseAligner


def l2(wild_type, mutant):
    """Euclidean distance: two arrays (n, width) -> (n,)."""
    return np.linalg.norm(mutant - wild_type, axis=1)


def l1(wild_type, mutant):
    """Manhattan distance: two arrays (n, width) -> (n,)."""
    return np.abs(mutant - wild_type).sum(axis=1)


def inner_product(wild_type, mutant):
    """Inner product: two arrays (n, width) -> (n,). Larger means more alike; it grows with the vectors' lengths."""
    return np.einsum("nw,nw->n", wild_type, mutant)


def cosine_distance(wild_type, mutant):
    """1 - cosine similarity, in [0, 2]: two arrays (n, width) -> (n,). Undefined (NaN) when a vector is zero."""
    with np.errstate(invalid="ignore"):
        directions = [vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in (wild_type, mutant)]
    # |u - v|^2 / 2 equals 1 - u.v for unit vectors, without losing the digits of a small distance.
    return l2(*directions) ** 2 / 2


DISTANCES = {"l2": l2, "l1": l1, "cosine_distance": cosine_distance, "inner_product": inner_product}
LLR = "llr"
SCORES = (*DISTANCES, LLR)


def count_differences(wild_type, mutant):
    """Bases that differ: positions when the lengths are equal, else the edit distance (Levenshtein)."""
    if len(wild_type) == len(mutant):
        return sum(map(str.__ne__, wild_type, mutant))
    wild_type, mutant = _without_shared_ends(wild_type, mutant)
    if not wild_type or not mutant:
        return len(wild_type) + len(mutant)
    return round(-_EDITS.score(wild_type, mutant))


def count_changed_tokens(wild_type, mutant):
    """Tokens that differ: positions when there are equally many, else the longer of what the two do not share.

    wild_type, mutant: token ids. What they share is their common beginning and their common end.
    """
    if len(wild_type) == len(mutant):
        return sum(a != b for a, b in zip(wild_type, mutant, strict=True))
    return max(map(len, _without_shared_ends(wild_type, mutant)))


def shared_ends(first, second):
    """How long the common beginning and, of what is left, the common end of two sequences are."""
    shorter = min(len(first), len(second))
    start = 0
    while start < shorter and first[start] == second[start]:
        start += 1
    stop = 0
    while stop < shorter - start and first[-1 - stop] == second[-1 - stop]:
        stop += 1
    return start, stop


def _without_shared_ends(first, second):
    start, stop = shared_ends(first, second)
    return first[start : len(first) - stop], second[start : len(second) - stop]


# Every mismatch, inserted or deleted base costs one.
_EDITS = PairwiseAligner(match_score=0, mismatch_score=-1, gap_score=-1)
