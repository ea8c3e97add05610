"""Estimates with 95 % intervals, and corrected p-values: what comparisons and evaluations share.

Pure functions on arrays; it does not know files, labels or tables.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import special, stats

CONFIDENCE = 0.95
Z = special.ndtri((1 + CONFIDENCE) / 2)

# With fewer rows (of one group, or pairs that differ) an effect size has no interval: no method reaches 95 %.
MIN_FOR_INTERVAL = 3
# Below so many expected trials of the rarer outcome, an interval from an estimated variance is widened.
FEW = 1

NO_INTERVAL = "too few rows for an interval"

CORRECTIONS = {"holm": "Holm", "benjamini-hochberg": "Benjamini–Hochberg", "none": "none"}


class Estimate(NamedTuple):
    """An effect size with the limits of its 95 % interval.

    All three are NaN when it is undefined. With too few rows only the limits are NaN.
    """

    value: float
    low: float
    high: float


UNDEFINED = Estimate(math.nan, math.nan, math.nan)


def estimate_text(estimate: Estimate) -> str:
    """An estimate with its interval in brackets."""
    if math.isnan(estimate.value):
        return "undefined"
    interval = NO_INTERVAL if math.isnan(estimate.low) else f"{estimate.low:.3f} to {estimate.high:.3f}"
    return f"{estimate.value:.3f} ({interval})"


def correct(p: Sequence[float], method: str) -> np.ndarray:
    """p-values (n,) corrected for the number of tests made: an array (n,).

    `holm`: Holm 1979 (family-wise error rate). `benjamini-hochberg`: 1995 (false discovery rate). `none`: unchanged.
    NaN (a test that is undefined) stays NaN and does not count.
    """
    p = np.asarray(p, dtype=float)
    corrected = p.copy()
    made = ~np.isnan(p)
    if not made.any():
        return corrected
    if method == "holm":
        values = p[made]
        order = np.argsort(values)
        stepped = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
        values[order] = np.minimum(stepped, 1)
        corrected[made] = values
    elif method == "benjamini-hochberg":
        corrected[made] = stats.false_discovery_control(p[made], method="bh")
    return corrected


def placements(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The placements of DeLong, DeLong and Clarke-Pearson 1988, arrays (n_a,) and (n_b,), by ranks (Sun and Xu 2014).

    For each score of `a` the share of `b` below it, for each score of `b` the share of `a` above it; ties count half.
    The mean of either is the AUC.
    """
    n_a, n_b = len(a), len(b)
    ranks = stats.rankdata(np.concatenate((a, b)))
    return (ranks[:n_a] - stats.rankdata(a)) / n_b, 1 - (ranks[n_a:] - stats.rankdata(b)) / n_a


def auc(a: np.ndarray, b: np.ndarray) -> Estimate:
    """AUC = P(a > b) + P(a = b) / 2 = U / (n_a n_b), the probability of superiority, with its 95 % interval.

    a: shape (n_a,), b: shape (n_b,), without NaN. The interval is that of `auc_of_placements`.
    """
    return auc_of_placements(*placements(a, b))


def auc_of_placements(of_a: np.ndarray, of_b: np.ndarray) -> Estimate:
    """AUC from `placements`, with its 95 % interval.

    Interval: variance of DeLong, DeLong and Clarke-Pearson 1988 on the logit scale (Pepe 2003, section 5.2.4), with the
    quantile of Student's t at the degrees of freedom of Brunner and Munzel 2000. The variance of an AUC is at most
    AUC (1 - AUC) / min(n_a, n_b) (Birnbaum and Klose 1957), that of a proportion in so many trials; where few scores
    overlap, the interval is widened to contain that proportion's (`with_few_trials`). With fewer rows than
    `MIN_FOR_INTERVAL` in a group the limits are NaN.
    """
    n_a, n_b = len(of_a), len(of_b)
    value = float(of_a.mean())
    if min(n_a, n_b) < MIN_FOR_INTERVAL:
        return Estimate(value, math.nan, math.nan)
    parts = np.array((of_a.var(ddof=1) / n_a, of_b.var(ddof=1) / n_b))
    if parts.sum() == 0:
        return Estimate(value, *wilson(value, min(n_a, n_b)))
    df = parts.sum() ** 2 / (parts**2 / (n_a - 1, n_b - 1)).sum()
    limits = on_logit_scale(value, math.sqrt(parts.sum()), df)
    return Estimate(value, *with_few_trials(limits, value, min(n_a, n_b)))


def on_logit_scale(probability: float, standard_error: float, df: float) -> tuple[float, float]:
    """Limits of a probability."""
    centre = special.logit(probability)
    half_width = special.stdtrit(df, (1 + CONFIDENCE) / 2) * standard_error / (probability * (1 - probability))
    return float(special.expit(centre - half_width)), float(special.expit(centre + half_width))


def with_few_trials(
    limits: tuple[float, float], probability: float, trials: float, few: float = FEW
) -> tuple[float, float]:
    """Limits widened to contain Wilson's if the expected number of the rarer outcome in these trials is below `few`.

    The estimated variance is then usually too small, because the scores that would raise it are rare. A larger `FEW`
    makes the intervals of an AUC up to twice as wide as they must be (docs/measurements.md).
    """
    if trials * min(probability, 1 - probability) >= few:
        return limits
    low, high = wilson(probability, trials)
    return min(limits[0], low), max(limits[1], high)


def wilson(probability: float, trials: float) -> tuple[float, float]:
    """Limits of Wilson 1927 for a proportion in independent trials; the number of trials need not be whole."""
    extra = Z**2 / trials
    centre = (probability + extra / 2) / (1 + extra)
    half_width = math.sqrt(extra * probability * (1 - probability) + extra**2 / 4) / (1 + extra)
    # Rounding must not put a limit on the wrong side of 0, 1 or the estimate.
    return min(max(centre - half_width, 0.0), probability), max(min(centre + half_width, 1.0), probability)
