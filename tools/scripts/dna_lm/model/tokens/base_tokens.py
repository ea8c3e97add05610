"""Tokenizers of single bases and of k-mers: which bases a token shows, so that predictions can be read base by base.

What a tokenizer does with short sequences decides, not its class or its files.
"""

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dna_lm.errors import UserError
from dna_lm.model.checkpoint import Checkpoint
from dna_lm.model.tokens.kmers import WHOLE

BASES = "ACGT"
_LONGEST_K = 8
# Its length is a multiple of every k, so its last token is as long as the others.
_PROBE = "".join(random.Random(0).choices(BASES, k=840))


@dataclass(frozen=True)
class BaseTokens:
    """The tokens of a tokenizer that reads k-mers of one k; single bases are 1-mers.

    words: their ids, int64 (4 ** k,), in alphabetical order. letters: the ids of A, C, G and T that the tokenizer uses
    for bases at the end that fill no k-mer, int64 (4,); empty when it has none. n_bases: for each id of the vocabulary
    how many bases a token has, int64 (vocabulary,), 0 for others. is_overlapping: whether every base begins a token.
    """

    k: int
    is_overlapping: bool
    words: np.ndarray
    letters: np.ndarray
    n_bases: np.ndarray

    def token_of_each_base(self, ids: Sequence[int]) -> np.ndarray:
        """The index in `ids` of the token that shows each base, int64 (bases,), for tokens that do not overlap."""
        return np.repeat(np.arange(len(ids)), self.n_bases[list(ids)])

    def per_base(self, ids: Sequence[int], probabilities: np.ndarray) -> np.ndarray:
        """Probabilities of A, C, G and T for each base that the tokens show.

        probabilities: (tokens, k, 4), or (tokens, k + 1, 4) with those of single letters last. A base in several
        tokens gets their mean. Returns (bases, 4), for bases in the order of the tokens.
        """
        of_words = probabilities[self.n_bases[list(ids)] == self.k, : self.k]
        if not self.is_overlapping:
            is_letter = (self.n_bases[list(ids)] == 1) & (self.k > 1)
            return np.concatenate([of_words.reshape(-1, 4), probabilities[is_letter, -1]])
        sums, counts = np.zeros((2, len(of_words) + self.k - 1, 4))
        for offset in range(self.k):
            covered = slice(offset, offset + len(of_words))
            sums[covered] += of_words[:, offset]
            counts[covered] += 1
        return sums / counts


def find(checkpoint: Checkpoint, purpose: str) -> BaseTokens:
    """The bases of the tokens. Raises `UserError` when they are not k-mers of one k, which a `purpose` needs."""
    refusal = UserError(
        f"{purpose} needs a model whose tokens are single bases or k-mers of one length, because predictions are "
        "compared base by base; the tokens of this model are others (such as byte pairs)"
    )
    [of_probe] = _without_special(checkpoint, [_PROBE])
    ks = range(1, _LONGEST_K + 1)
    apart = [k for k in ks if len(of_probe) * k == len(_PROBE)]
    overlapping = [k for k in ks if k > 1 and len(of_probe) == len(_PROBE) - k + 1]
    if not apart and not overlapping:
        raise refusal
    [k] = apart or overlapping
    words = _ids_of_words(checkpoint, k)
    with_letters = apart and k > 1 and checkpoint.reading.ends == WHOLE
    letters = _ids_of_words(checkpoint, 1) if with_letters else {}
    for length in range(len(_PROBE) - k + 1, len(_PROBE) + 1):
        text = checkpoint.reading.text(_PROBE[:length]) if apart else _PROBE[:length]
        step, last = (k, len(text) - len(text) % k) if apart else (1, length - k + 1)
        expected = [words.get(text[at : at + k]) for at in range(0, last, step)]
        expected += [letters.get(base) for base in text[last:]] if apart else []
        if None in expected or [expected] != _without_special(checkpoint, [_PROBE[:length]]):
            raise refusal
    if overlapping and checkpoint.is_causal:
        raise UserError(f"{purpose} is not defined for a causal model whose tokens overlap")
    n_bases = np.zeros(checkpoint.vocabulary_size, dtype=np.int64)
    n_bases[list(letters.values())] = 1
    n_bases[list(words.values())] = k
    ids = (np.array(list(tokens.values()), dtype=np.int64) for tokens in (words, letters))
    return BaseTokens(k, bool(overlapping), *ids, n_bases)


def _ids_of_words(checkpoint: Checkpoint, k: int) -> dict[str, int]:
    """Word -> id, of all words of k bases in alphabetical order; empty unless each of them is a token."""
    words = ["".join(letters) for letters in itertools.product(BASES, repeat=k)]
    ids = _without_special(checkpoint, words)
    are_tokens = all(len(tokens) == 1 for tokens in ids) and len({token for [token] in ids}) == len(words)
    return {word: token for word, [token] in zip(words, ids, strict=True)} if are_tokens else {}


def _without_special(checkpoint: Checkpoint, sequences: Sequence[str]) -> list[list[int]]:
    special = checkpoint.special_token_ids
    return [[token for token in ids if token not in special] for ids in checkpoint.tokenise(sequences)]
