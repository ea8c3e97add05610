"""How much a mutation changes what a model predicts for the other bases: nucleotide dependencies.

Tomaz da Silva et al. 2025 (doi:10.1038/s41588-025-02347-3): the largest absolute change, over A, C, G and T, of the
log2 odds of the prediction for a base. Nothing is masked. The result for several strands is the mean of those that
define it: a causal model defines it only for bases in tokens after the mutated one, in the order in which it reads.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dna_lm.model.checkpoint import Checkpoint
from dna_lm.model.tokens.base_tokens import BaseTokens
from dna_lm.model.tokens.kmers import CUT
from dna_lm.statuses import NOT_FINITE, OK

TokenPair = tuple[Sequence[int], Sequence[int]]


@dataclass(frozen=True)
class Comparison:
    """Compares the predictions for wild types and mutants.

    `reverses`: for each strand that is read, whether it is the reverse complement.
    """

    checkpoint: Checkpoint
    tokens: BaseTokens
    reverses: Sequence[bool]

    def finite_changes(
        self,
        n_bases: Mapping[int, int],
        strands: Sequence[Mapping[int, TokenPair]],
        predictions: Sequence[Mapping[int, tuple[np.ndarray, np.ndarray]]],
        statuses: list[str],
    ) -> dict[int, np.ndarray]:
        """The `changes` of pairs by their numbers, of those whose status is ok.

        n_bases: from the numbers to the bases of a pair; strands, predictions: for each strand the ids and the log2
        odds. A pair whose changes are not finite is left out, and its entry in `statuses` becomes `NOT_FINITE`.
        """
        found = {}
        for number, length in n_bases.items():
            if statuses[number] != OK:
                continue
            of_pair = ([of_strand[number] for of_strand in given] for given in (strands, predictions))
            changes = self.changes(length, *of_pair)
            if np.isinf(changes).any():
                statuses[number] = NOT_FINITE
            else:
                found[number] = changes
        return found

    def changes(
        self, n_bases: int, token_pairs: Sequence[TokenPair], predictions: Sequence[tuple[np.ndarray, np.ndarray]]
    ) -> np.ndarray:
        """The change of the prediction for each base by a mutation: float64 (bases,).

        n_bases: of wild type and mutant; token_pairs: for each strand the ids of both; predictions: for each strand the
        log2 odds for both, (bases that are read, 4). Bases are those of the forward strand. NaN: not defined; infinite:
        the model's output is not finite.
        """
        of_strands = np.full((len(self.reverses), n_bases), np.nan)
        strands = zip(of_strands, self.reverses, token_pairs, predictions, strict=True)
        for changes, is_reverse, ids, (wild_type, mutant) in strands:
            start = n_bases % self.tokens.k if self.checkpoint.reading.ends == CUT else 0
            of_read = self._of_strand(ids, wild_type, mutant)[: n_bases - start]
            changes[start : start + len(of_read)] = of_read
            if is_reverse:
                # The largest change over the bases is that over their complements.
                changes[:] = changes[::-1].copy()
        is_defined = ~np.isnan(of_strands)
        sums = np.where(is_defined, of_strands, 0).sum(axis=0)
        return np.where(is_defined.any(axis=0), sums / np.maximum(is_defined.sum(axis=0), 1), np.nan)

    @np.errstate(invalid="ignore")
    def _of_strand(self, ids: TokenPair, wild_type: np.ndarray, mutant: np.ndarray) -> np.ndarray:
        changes = np.abs(mutant - wild_type).max(axis=1)
        changes = np.where(np.isnan(changes), np.inf, changes)
        if self.checkpoint.is_causal:
            changed = next(token for token, (a, b) in enumerate(zip(*ids, strict=True)) if a != b)
            changes[self.tokens.token_of_each_base(ids[0]) <= changed] = np.nan
        return changes
