"""The registry of scores, the distances among them, and counts of what a mutation changed: pure functions.

`SCORES` has all texts about a score in forms, tables, pictures and VCF headers.
"""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from Bio.Align import PairwiseAligner

from dna_lm.names import clean_label


def l2(wild_type: np.ndarray, mutant: np.ndarray) -> np.ndarray:
    """Euclidean distance: two arrays (n, width) -> (n,)."""
    return np.linalg.norm(mutant - wild_type, axis=1)


def l1(wild_type: np.ndarray, mutant: np.ndarray) -> np.ndarray:
    """Manhattan distance: two arrays (n, width) -> (n,)."""
    return np.abs(mutant - wild_type).sum(axis=1)


def inner_product(wild_type: np.ndarray, mutant: np.ndarray) -> np.ndarray:
    """Inner product: two arrays (n, width) -> (n,). Larger means more alike; it grows with the vectors' lengths."""
    return np.einsum("nw,nw->n", wild_type, mutant)


def cosine_distance(wild_type: np.ndarray, mutant: np.ndarray) -> np.ndarray:
    """1 - cosine similarity, in [0, 2]: two arrays (n, width) -> (n,). Undefined (NaN) when a vector is zero."""
    with np.errstate(invalid="ignore"):
        directions = [vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in (wild_type, mutant)]
    # |u - v|^2 / 2 equals 1 - u.v for unit vectors, without losing the digits of a small distance.
    return l2(*directions) ** 2 / 2


@dataclass(frozen=True, slots=True)
class Score:
    """A score of a mutation.

    `name` is its column. `label` is what forms and pictures call it. `description` is what a VCF header says about the
    score of two windows. `grows`: whether a larger number means more change. `no_change`: the score of a mutant that
    equals its wild type; `None` when it depends on the sequence. `formula` maps the embeddings of wild types and
    mutants, float64 (n, width) each, to the scores (n,); `None` for a score that is not made of embeddings.
    """

    name: str
    label: str
    description: str
    grows: bool
    no_change: float | None
    formula: Callable[[np.ndarray, np.ndarray], np.ndarray] | None

    @property
    def is_signed(self) -> bool:
        """Whether a change can move the score to either side of `no_change`."""
        return self.no_change is not None and not self.grows


LLR, LLR_MEAN = "llr", "llr_mean"
# Scores made of log-likelihoods, not of embeddings.
LIKELIHOODS = (LLR, LLR_MEAN)
_OF_WINDOWS = "of the embeddings of wild-type and mutant window"
SCORES = {
    score.name: score
    for score in (
        Score("l2", "L2 (Euclidean) distance", f"L2 distance {_OF_WINDOWS}", True, 0, l2),
        Score("l1", "L1 (Manhattan) distance", f"L1 distance {_OF_WINDOWS}", True, 0, l1),
        Score("cosine_distance", "Cosine distance", f"Cosine distance {_OF_WINDOWS}", True, 0, cosine_distance),
        Score("inner_product", "Inner product", f"Inner product {_OF_WINDOWS}", False, None, inner_product),
        Score(
            LLR,
            "Log-likelihood ratio (mutant / wild-type)",
            "log P(mutant window) - log P(wild-type window), in nats",
            False,
            0,
            None,
        ),
        # The score of Evo's authors (evo.scoring, evo2.scoring: reduce_method "mean").
        Score(
            LLR_MEAN,
            "Log-likelihood ratio per token",
            "mean log P of the tokens of the mutant window - that of the wild-type window, in nats",
            False,
            0,
            None,
        ),
    )
}


def score_name(column: str) -> str:
    """The name of a score column for people: a label for the scores of the suite, the column's name for others."""
    return SCORES[column].label if column in SCORES else clean_label(column)


def meaning(name: str, of_one: str, of_two: str, low_ratio: str) -> str:
    """What a score says, for a report.

    of_one, of_two: what is compared, such as "the window" and "the two windows". low_ratio: what a low log-likelihood
    ratio says, as the end of a sentence.
    """
    score = SCORES[name]
    if name in LIKELIHOODS:
        of_tokens = ", as a mean over the tokens" if name == LLR_MEAN else ""
        text = f"log P(mutant) − log P(wild type), in nats{of_tokens}. Below 0, the model finds the mutant less "
        text += f"likely, so {low_ratio}. It does not predict expression."
    elif score.grows:
        text = f"how much the model's output for {of_one} changes. 0 is no change. The score has no unit."
    else:
        text = f"how similar the model's outputs for {of_two} are. A smaller value means more change."
    return f"{score.label}: {text}"


def count_differences(wild_type: str, mutant: str) -> int:
    """Bases that differ: positions when the lengths are equal, else the edit distance (Levenshtein)."""
    if len(wild_type) == len(mutant):
        letters, others = (np.frombuffer(text.encode("ascii"), np.uint8) for text in (wild_type, mutant))
        return int(np.count_nonzero(letters != others))
    wild_type, mutant = _without_shared_ends(wild_type, mutant)
    if not wild_type or not mutant:
        return len(wild_type) + len(mutant)
    return round(-_EDITS.score(wild_type, mutant))


def count_changed_tokens(wild_type: Sequence[int], mutant: Sequence[int]) -> int:
    """Tokens that differ: positions when there are equally many, else the longer of what the two do not share.

    wild_type, mutant: token ids. What they share is their common beginning and their common end.
    """
    if len(wild_type) == len(mutant):
        return sum(map(operator.ne, wild_type, mutant))
    return max(map(len, _without_shared_ends(wild_type, mutant)))


def shared_ends(first: Sequence, second: Sequence) -> tuple[int, int]:
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
