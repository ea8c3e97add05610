"""Log-likelihoods of sequences and log-likelihood ratios of pairs, log P(mutant) - log P(wild type), in nats.

Causal models: `encoder` gives log-likelihoods, and the ratio is the difference of two.

Masked models: the *pseudo-log-likelihood* of a sequence (Salazar et al. 2020, doi:10.18653/v1/2020.acl-main.240): every
token that is not special is masked in turn and its log-probability summed. The ratio of a pair follows Meier et al.
2021 (doi:10.1101/2021.07.09.450648): *masked marginals* for substitutions, that is, all changed tokens are masked at
once and log p(mutant token) - log p(wild-type token) is summed over them. When the sequence's length changes, tokens do
not correspond like this, and the difference of the two pseudo-log-likelihoods is taken.

Of a model whose authors read predictions without masks, nothing is masked: the ratio of a substitution is read from the
predictions for the wild type, and the log-probabilities of a sequence from one pass.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from dna_lm.engine import batches, encoder, forward
from dna_lm.engine.batches import Budget
from dna_lm.engine.prefix_tree import Tokens
from dna_lm.errors import UserError
from dna_lm.model.checkpoint import Checkpoint


@dataclass(frozen=True)
class _Term:
    """A log-probability in the result of a row: of the `target` token at a masked position, added or subtracted."""

    row: int
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
    require_mask(checkpoint, "the score 'llr'")
    return _sums(checkpoint, _queries(checkpoint, token_pairs, aligned), len(token_pairs), budget)


@torch.inference_mode()
def log_likelihoods(checkpoint: Checkpoint, token_lists: Sequence[Sequence[int]], budget: Budget) -> np.ndarray:
    """Log-likelihoods of a causal model, pseudo-log-likelihoods of a masked one, in nats.

    These take one forward pass for each token that is not special. token_lists: n lists of token ids, special tokens
    included. Returns float64 (n,). Raises `UserError` when a masked model's tokenizer has no mask.
    """
    if checkpoint.is_causal:
        return encoder.encode(checkpoint, token_lists, None, True, budget)[1]
    require_mask(checkpoint, "the log-likelihood")
    queries = (query for row, ids in enumerate(token_lists) for query in _one_by_one(checkpoint, row, ids, 1))
    return _sums(checkpoint, queries, len(token_lists), budget)


def require_mask(checkpoint: Checkpoint, purpose: str) -> None:
    """Raise `UserError` when a `purpose` needs a masked model's mask token and the tokenizer has none."""
    if checkpoint.mask_token_id is None and not checkpoint.is_unmasked:
        raise UserError(f"{purpose} of a masked model needs its mask token, which tokenizer_config.json would name")


_Query = tuple[Tokens, list[_Term]]


def _sums(checkpoint: Checkpoint, queries: Iterable[_Query], n_rows: int, budget: Budget) -> np.ndarray:
    """The sum of the terms of each row: float64 (n_rows,)."""
    sums = np.zeros(n_rows)
    for terms_of_ids in _grouped(queries, budget):
        items = sorted(terms_of_ids.items(), key=lambda item: len(item[0]))
        batches.in_batches(items, _tokens_to_add, budget, lambda batch: _add_terms(checkpoint, batch, sums))
    return sums


def _tokens_to_add(item: _Query, previous: _Query | None) -> float:
    return batches.tokens_of_one_length(item[0], previous and previous[0])


def _queries(
    checkpoint: Checkpoint,
    token_pairs: Iterable[tuple[Sequence[int], Sequence[int]]],
    aligned: Iterable[bool],
) -> Iterator[_Query]:
    """Yield masked token ids and the terms that are read from them."""
    for pair, ((wild_type, mutant), is_aligned) in enumerate(zip(token_pairs, aligned, strict=True)):
        if is_aligned and len(wild_type) == len(mutant):
            changed = [position for position, (a, b) in enumerate(zip(wild_type, mutant, strict=True)) if a != b]
            terms = [
                _Term(pair, position, ids[position], sign)
                for ids, sign in ((mutant, 1), (wild_type, -1))
                for position in changed
            ]
            if terms:
                given = wild_type if checkpoint.is_unmasked else _masked(mutant, changed, checkpoint.mask_token_id)
                yield tuple(given), terms
            continue
        for ids, sign in ((mutant, 1), (wild_type, -1)):
            yield from _one_by_one(checkpoint, pair, ids, sign)


def _one_by_one(checkpoint: Checkpoint, row: int, ids: Sequence[int], sign: int) -> Iterator[_Query]:
    """Each token that is not special, masked alone; or all of them in one pass where nothing is masked."""
    terms = [_Term(row, at, token, sign) for at, token in enumerate(ids) if token not in checkpoint.special_token_ids]
    if checkpoint.is_unmasked:
        yield tuple(ids), terms
        return
    for term in terms:
        yield _masked(ids, (term.position,), checkpoint.mask_token_id), [term]


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


def _add_terms(checkpoint: Checkpoint, batch: Sequence[_Query], sums: np.ndarray) -> None:
    """Add the terms of a batch, whose masked ids have one length, to the sums (rows,)."""
    states, _ = forward.sequence_states(checkpoint, torch.tensor([ids for ids, _ in batch], device=checkpoint.device))
    rows, terms = zip(*((row, term) for row, (_, terms) in enumerate(batch) for term in terms), strict=True)
    logits = checkpoint.logits(states[list(rows), [term.position for term in terms]])
    logs = logits.log_softmax(dim=-1)[range(len(terms)), [term.target for term in terms]].double().cpu().numpy()
    # Sums of multiples of 2^-30 are exact, and so the same in any order: batches decide which term comes first.
    logs = np.rint(logs * 2**30) / 2**30
    np.add.at(sums, [term.row for term in terms], np.array([term.sign for term in terms]) * logs)
