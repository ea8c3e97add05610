"""What a model is, in a few words, for the names from which users choose: `NAME · 250M · masked · 12 kb`."""

import random

from dna_lm.model.checkpoint import Checkpoint
from dna_lm.model.tokens.tokenizer import NO_LIMIT

# Tokens of a random sequence are counted at two lengths, both multiples of every k up to 6.
_SHORT, _LONG = 6_000, 12_000


def words(model: Checkpoint) -> str:
    """Parameters, kind, longest input and whether it is for demonstration only, such as `250M · masked · 12 kb`."""
    kind = "causal" if model.is_causal else "masked"
    parts = [
        scaled(model.n_parameters, ("", "k", "M", "B")),
        kind if model.head else f"{kind}, hidden states only",
        longest_input(model),
    ]
    return " · ".join(parts + ["demonstration only"] * model.is_demonstration)


def longest_input(model: Checkpoint) -> str:
    """The longest sequence that the model reads: `12 kb`, or `about 2.1 kb` if tokens differ in length."""
    if model.max_tokens == NO_LIMIT:
        return "any length"
    n_bases, is_exact = longest_bases(model)
    return ("" if is_exact else "about ") + scaled(n_bases, (" bp", " kb", " Mb"))


def longest_bases(model: Checkpoint) -> tuple[int, bool]:
    """The bases of the longest sequence that the model reads, and whether that is so for all sequences.

    `NO_LIMIT` bases, if it reads any length.
    """
    if model.max_tokens == NO_LIMIT:
        return NO_LIMIT, True
    letters = random.Random(0)
    sequences = ["".join(letters.choices("ACGT", k=length)) for length in (_SHORT, _LONG, _LONG)]
    short, long, other = map(len, model.tokenise(sequences))
    tokens_per_base = (long - short) / (_LONG - _SHORT)
    n_special = short - tokens_per_base * _SHORT
    return max(1, int((model.max_tokens - n_special) / tokens_per_base)), long == other


def scaled(number: int, units: tuple[str, ...]) -> str:
    """A number with two or three digits and a unit; each unit is 1,000 of the one before: `17M`, `1.2B`, `512 bp`."""
    value, step = float(number), 0
    # Rounded to three digits, 999.6 would be 1,000.
    while value >= 999.5 and step < len(units) - 1:
        value, step = value / 1000, step + 1
    return (f"{value:.1f}".removesuffix(".0") if value < 10 else f"{value:.0f}") + units[step]
