"""Baselines: what can be said about a mutation without a model, from the columns of a score table; and a random score.

All point up: more changes, or a transversion, stand for the positive label.
"""

from collections.abc import Mapping, Sequence

import numpy as np

LENGTH_CHANGE, TRANSVERSION, RANDOM = "length_change", "transversion", "random"

DESCRIPTIONS = {
    "changed_tokens": "number of tokens that the mutation changes",
    "n_differences": "number of bases that differ",
    LENGTH_CHANGE: "bases gained or lost",
    TRANSVERSION: "transversion 1, transition 0, any other change 0.5",
    RANDOM: "random numbers",
}

_PURINES = "AG"


def from_counts(counts: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Name -> numbers (rows,) of the baselines that one table's counts tell, NaN where a count is missing."""
    found = {name: counts[name] for name in ("changed_tokens", "n_differences") if name in counts}
    if "wt_length" in counts and "mut_length" in counts:
        found[LENGTH_CHANGE] = np.abs(counts["mut_length"] - counts["wt_length"])
    return found


def transversions(alleles: Sequence[tuple[str, str]]) -> np.ndarray:
    """1 for a transversion, 0 for a transition, 0.5 for what is not a substitution of one base: (rows,)."""
    known = {pair: _transversion(*pair) for pair in set(alleles)}
    return np.array([known[pair] for pair in alleles])


def _transversion(ref: str, alt: str) -> float:
    ref, alt = ref.upper(), alt.upper()
    if ref == alt or not {ref, alt} <= set("ACGT"):
        return 0.5
    return float((ref in _PURINES) != (alt in _PURINES))


def all_baselines(
    n: int, counts: Mapping[str, Mapping[str, np.ndarray]], alleles: Sequence[tuple[str, str]] | None, seed: int
) -> dict[str, np.ndarray]:
    """Name -> numbers (n,) of every baseline of `n` joined rows, NaN for a row without a number.

    counts: table -> column -> numbers. A baseline that differs between tables, such as `changed_tokens` of two models,
    is there once for each: `TABLE:changed_tokens`.
    """
    of_tables = {table: from_counts(columns) for table, columns in counts.items()}
    found = {}
    for name in (name for name in DESCRIPTIONS if name not in (TRANSVERSION, RANDOM)):
        different = {}
        for table, columns in of_tables.items():
            if name in columns and not any(_agree(columns[name], other) for other in different.values()):
                different[table] = columns[name]
        for table, values in different.items():
            found[name if len(different) == 1 else f"{table}:{name}"] = values
    if alleles:
        found[TRANSVERSION] = transversions(alleles)
    # Not from the seed alone: labels that somebody drew with the same seed would be predicted.
    return found | {RANDOM: np.random.default_rng([seed, *RANDOM.encode()]).random(n)}


def _agree(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two columns are equal where both have a number."""
    return bool(((a == b) | np.isnan(a) | np.isnan(b)).all())
