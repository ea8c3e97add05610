"""Log-likelihood ratios of pairs: log P(mutant) - log P(wild type), in nats.

Causal models: the difference of the two log-likelihoods (see `encoder`).

Masked models, following Meier et al. 2021 (doi:10.1101/2021.07.09.450648): *masked marginals* for substitutions, that
is, all changed tokens are masked at once and log p(mutant token) - log p(wild-type token) is summed over them. When the
sequence's length changes there is no such correspondence of tokens, and the difference of the two
*pseudo-log-likelihoods* is taken: every token that is not special is masked in turn and its log-probability summed
(Salazar et al. 2020, doi:10.18653/v1/2020.acl-main.240).
"""

from dataclasses import dataclass

import numpy as np
import torch

from dna_lm import encoder


@dataclass(frozen=True)
class _Query:
    """Masked token ids, and the log-probabilities to add (or subtract) to the ratio of a pair."""

    pair: int
    ids: tuple[int, ...]
    positions: tuple[int, ...]
    targets: tuple[int, ...]
    signs: tuple[int, ...]


def masked_log_likelihood_ratios(checkpoint, token_pairs, same_length, batch_tokens):
    """Ratios of a masked model.

    token_pairs: n (wild-type ids, mutant ids); same_length: n booleans, whether wild type and mutant have equally many
    bases. Returns float64 (n,).
    """
    ratios = np.zeros(len(token_pairs))
    queries = _queries(checkpoint, token_pairs, same_length)
    for group in _grouped(queries, batch_tokens):
        for batch in encoder.batches(group, batch_tokens, length=lambda query: len(query.ids)):
            _add(checkpoint, batch, ratios)
    return ratios


def _queries(checkpoint, token_pairs, same_length):
    mask, special = checkpoint.tokenizer.mask_token_id, checkpoint.special_token_ids
    for number, ((wild_type, mutant), substitution) in enumerate(zip(token_pairs, same_length, strict=True)):
        if substitution and len(wild_type) == len(mutant):
            changed = [place for place, (a, b) in enumerate(zip(wild_type, mutant, strict=True)) if a != b]
            if changed:
                targets = [mutant[place] for place in changed] + [wild_type[place] for place in changed]
                signs = [1] * len(changed) + [-1] * len(changed)
                yield _Query(number, _masked(mutant, changed, mask), (*changed, *changed), tuple(targets), tuple(signs))
            continue
        for ids, sign in ((mutant, 1), (wild_type, -1)):
            for place, token in enumerate(ids):
                if token not in special:
                    yield _Query(number, _masked(ids, (place,), mask), (place,), (token,), (sign,))


def _masked(ids, places, mask):
    ids = list(ids)
    for place in places:
        ids[place] = mask
    return tuple(ids)


def _grouped(queries, batch_tokens):
    """Lists of queries large enough for full batches of each length, small enough to bound memory."""
    group, n_tokens = [], 0
    for query in queries:
        group.append(query)
        n_tokens += len(query.ids)
        if n_tokens >= 16 * batch_tokens:
            yield group
            group, n_tokens = [], 0
    if group:
        yield group


@torch.inference_mode()
def _add(checkpoint, batch, ratios):
    ids = torch.tensor([query.ids for query in batch], device=checkpoint.device)
    _, hidden = encoder.hidden_states(checkpoint, ids)
    rows = torch.tensor([row for row, query in enumerate(batch) for _ in query.positions], device=ids.device)
    positions = torch.tensor([place for query in batch for place in query.positions], device=ids.device)
    targets = torch.tensor([target for query in batch for target in query.targets], device=ids.device)
    logs = encoder.log_probabilities(encoder.logits(checkpoint, hidden[rows, positions]), targets)
    signs = np.array([sign for query in batch for sign in query.signs])
    pairs = np.array([query.pair for query in batch for _ in query.positions])
    np.add.at(ratios, pairs, signs * logs.double().cpu().numpy())
