"""Log-likelihood ratios of pairs: log P(mutant) - log P(wild type), in nats.

Causal models: the difference of the two log-likelihoods (see `encoder`).

Masked models, following Meier et al. 2021 (doi:10.1101/2021.07.09.450648): *masked marginals* for substitutions, that
is, all changed tokens are masked at once and log p(mutant token) - log p(wild-type token) is summed over them. When the
sequence's length changes, tokens do not correspond like this, and the difference of the two
*pseudo-log-likelihoods* is taken: every token that is not special is masked in turn and its log-probability summed
(Salazar et al. 2020, doi:10.18653/v1/2020.acl-main.240).
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from dna_lm.engine import batches, forward
from dna_lm.engine.batches import Budget
from dna_lm.engine.prefix_tree import Tokens
from dna_lm.errors import UserError
from dna_lm.model.checkpoint import Checkpoint


@dataclass(frozen=True)
class _Term:
    """A log-probability in the ratio of a pair: of the `target` token at a masked position, added or subtracted."""

    pair: int
    position: int
    target: int
    sign: int


@torch.inference_mode()
def masked_log_likelihood_ratios(
    checkpoint: Checkpoint,
    token_pairs: Sequence[tuple[Sequence[int], Sequence[int]]],
    aligned: Sequence[bool],
    budget: Budget,
) -> np.ndarray:
    """Ratios of a masked model, in nats.

    token_pairs: n (wild-type ids, mutant ids); aligned: n booleans, whether the n-th base of the wild type corresponds
    to the n-th base of the mutant. Returns float64 (n,). Raises `UserError` when the tokenizer has no mask.
    """
    if checkpoint.mask_token_id is None:
        raise UserError(
            "the score 'llr' of a masked model needs its mask token, which tokenizer_config.json would name"
        )
    ratios = np.zeros(len(token_pairs))
    queries = _queries(checkpoint, token_pairs, aligned)
    for terms_of_ids in _grouped(queries, budget):
        items = sorted(terms_of_ids.items(), key=lambda item: len(item[0]))
        batches.in_batches(items, _tokens_to_add, budget, lambda batch: _add_terms(checkpoint, batch, ratios))
    return ratios


_Query = tuple[Tokens, list[_Term]]


def _tokens_to_add(item: _Query, previous: _Query | None) -> float:
    return batches.tokens_of_one_length(item[0], previous and previous[0])


def _queries(
    checkpoint: Checkpoint,
    token_pairs: Iterable[tuple[Sequence[int], Sequence[int]]],
    aligned: Iterable[bool],
) -> Iterator[_Query]:
    """Yield masked token ids and the terms that are read from them."""
    mask, special = checkpoint.mask_token_id, checkpoint.special_token_ids
    for pair, ((wild_type, mutant), is_aligned) in enumerate(zip(token_pairs, aligned, strict=True)):
        if is_aligned and len(wild_type) == len(mutant):
            changed = [position for position, (a, b) in enumerate(zip(wild_type, mutant, strict=True)) if a != b]
            terms = [
                _Term(pair, position, ids[position], sign)
                for ids, sign in ((mutant, 1), (wild_type, -1))
                for position in changed
            ]
            if terms:
                yield _masked(mutant, changed, mask), terms
            continue
        for ids, sign in ((mutant, 1), (wild_type, -1)):
            for position, token in enumerate(ids):
                if token not in special:
                    yield _masked(ids, (position,), mask), [_Term(pair, position, token, sign)]


def _masked(ids: Sequence[int], positions: Collection[int], mask: int) -> Tokens:
    masked = list(ids)
    for position in positions:
        masked[position] = mask
    return tuple(masked)


def _grouped(queries: Iterable[_Query], budget: Budget) -> Iterator[dict[Tokens, list[_Term]]]:
    """Dicts from masked ids to all their terms: enough to fill batches of each length, not more than memory holds."""
    group, n_tokens = {}, 0
    for ids, terms in queries:
        budget.given += len(ids)
        if ids not in group:
            n_tokens += len(ids)
        group.setdefault(ids, []).extend(terms)
        if n_tokens >= 16 * budget.tokens:
            yield group
            group, n_tokens = {}, 0
    if group:
        yield group


def _add_terms(checkpoint: Checkpoint, batch: Sequence[_Query], ratios: np.ndarray) -> None:
    """Add the terms of a batch, whose masked ids have one length, to the ratios (pairs,)."""
    states, _ = forward.sequence_states(checkpoint, torch.tensor([ids for ids, _ in batch], device=checkpoint.device))
    rows, terms = zip(*((row, term) for row, (_, terms) in enumerate(batch) for term in terms), strict=True)
    logits = checkpoint.logits(states[list(rows), [term.position for term in terms]])
    logs = logits.log_softmax(dim=-1)[range(len(terms)), [term.target for term in terms]].double().cpu().numpy()
    # Sums of multiples of 2^-30 are exact, and so the same in any order: batches decide which term comes first.
    logs = np.rint(logs * 2**30) / 2**30
    np.add.at(ratios, [term.pair for term in terms], np.array([term.sign for term in terms]) * logs)
