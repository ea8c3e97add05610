"""From the tokens of wild types and mutants on one strand to their scores and predictions.

Nothing is computed twice: what can come from one forward pass does.
"""

from collections.abc import Sequence

import numpy as np

from dna_lm import scores
from dna_lm.engine import encoder, likelihood
from dna_lm.engine.encoder import Budget
from dna_lm.model.checkpoint import Checkpoint
from dna_lm.model.tokens.base_tokens import BaseTokens
from dna_lm.scoring.dependencies import TokenPair
from dna_lm.scoring.settings import Settings


@np.errstate(invalid="ignore", over="ignore")
def compute(
    checkpoint: Checkpoint,
    token_pairs: Sequence[TokenPair],
    aligned: Sequence[bool],
    settings: Settings,
    budget: Budget,
    pad_to: Sequence[int],
    base_tokens: BaseTokens | None = None,
) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]] | None]:
    """The scores of pairs, and the predictions for the bases of both sequences of each.

    token_pairs: n (wild-type ids, mutant ids); aligned: n booleans, whether the n-th bases of both correspond; pad_to:
    tokens to pad wild types and mutants to (tutorial mode). Returns float64 (n, scores); and n pairs of log2 odds,
    float64 (bases, 4), or `None` without `base_tokens`.
    """
    sides = list(zip(*token_pairs, strict=True))
    given = [ids for side, n_tokens in zip(sides, pad_to, strict=True) for ids in padded(checkpoint, side, n_tokens)]
    with_llr = any(name in settings.scores for name in scores.LIKELIHOODS)
    # One pass gives both, unless the embeddings are those of padded sequences.
    with_both = with_llr and checkpoint.is_causal and not settings.tutorial
    values, log_likelihoods, predictions = {}, None, None
    if settings.distances:
        embeddings, log_likelihoods, predictions = encoder.encode_and_predict(
            checkpoint, given, settings.embedding, with_both, budget, base_tokens
        )
        wild_type, mutant = embeddings.astype(np.float64).reshape(2, len(token_pairs), -1)
        values = {name: scores.SCORES[name].formula(wild_type, mutant) for name in settings.distances}
    lacks_ratios = with_llr and checkpoint.is_causal and log_likelihoods is None
    if lacks_ratios or (base_tokens and predictions is None):
        _, log_likelihoods, predictions = encoder.encode_and_predict(
            checkpoint, [*sides[0], *sides[1]], None, lacks_ratios, budget, base_tokens
        )
    if with_llr and checkpoint.is_causal:
        of_wild_types, of_mutants = np.split(log_likelihoods, 2)
        values[scores.LLR] = of_mutants - of_wild_types
        n_wild_type, n_mutant = ([_n_predicted(checkpoint, ids) for ids in side] for side in sides)
        values[scores.LLR_MEAN] = of_mutants / n_mutant - of_wild_types / n_wild_type
    elif with_llr:
        values[scores.LLR] = likelihood.masked_log_likelihood_ratios(checkpoint, token_pairs, aligned, budget)
    n = len(token_pairs)
    pairs = predictions and list(zip(predictions[:n], predictions[n:], strict=True))
    return np.stack([values[name] for name in settings.scores], axis=1), pairs


def padded(checkpoint: Checkpoint, token_lists: Sequence[Sequence[int]], pad_to: int) -> list[list[int]]:
    """Token ids, padded to at least `pad_to` tokens."""
    return [[*ids, *[checkpoint.pad_token_id] * (pad_to - len(ids))] for ids in token_lists]


def _n_predicted(checkpoint: Checkpoint, ids: Sequence[int]) -> int:
    """The tokens that a log-likelihood is the sum over: those with one before them that are not special; at least 1."""
    return max(1, sum(token not in checkpoint.special_token_ids for token in ids[1:]))
