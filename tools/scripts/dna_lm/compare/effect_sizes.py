"""Sizes of the difference between two groups of scores, with 95 % intervals.

In functions of two samples, `a` has shape (n_a,) and `b` shape (n_b,), both float64 without NaN; with paired rows
n_a = n_b. The area under the curve (AUC) is in `dna_lm.estimates`. No function makes an n_a x n_b matrix.
"""

import math

import numpy as np
from scipy import special, stats

from dna_lm.compare.hypothesis_tests import is_constant
from dna_lm.estimates import CONFIDENCE, MIN_FOR_INTERVAL, UNDEFINED, Estimate, Z, on_logit_scale, with_few_trials

# Above this t, scipy's inverse of the noncentral t distribution loses digits, and for a t of ten million it never ends.
LARGE_T = 1_000


def to_delta(estimate: Estimate) -> Estimate:
    """Cliff's delta = 2 AUC - 1 = P(a > b) - P(a < b), or any probability rescaled to -1..1, limits alike."""
    return Estimate(*(2 * number - 1 for number in estimate))


def small_sample_factor(df: float) -> float:
    """Hedges' exact J(df) = Gamma(df/2) / (sqrt(df/2) Gamma((df - 1)/2)) (Hedges 1981, equation 6e)."""
    return math.exp(special.gammaln(df / 2) - special.gammaln((df - 1) / 2)) / math.sqrt(df / 2)


def hedges_g(a: np.ndarray, b: np.ndarray) -> Estimate:
    """Hedges' g: (mean a - mean b) / pooled sd, corrected for small-sample bias, with its 95 % interval.

    Interval: the standardised differences whose noncentral t distribution has the observed t as its 2.5 % and
    97.5 % quantile (Steiger and Fouladi 1997); exact for normal scores of equal variance. NaN without any spread.
    """
    if is_constant(a, b):
        return UNDEFINED
    n_a, n_b = len(a), len(b)
    df = n_a + n_b - 2
    pooled = math.sqrt(((n_a - 1) * a.var(ddof=1) + (n_b - 1) * b.var(ddof=1)) / df)
    return _standardised(a.mean() - b.mean(), pooled, df, math.sqrt(n_a * n_b / (n_a + n_b)))


def hedges_g_paired(a: np.ndarray, b: np.ndarray) -> Estimate:
    """Hedges' g of paired rows (g_z): mean difference / sd of the differences, bias and interval as in `hedges_g`.

    In units of the differences' spread, so not comparable with `hedges_g` (Lakens 2013, equation 6).
    """
    difference = a - b
    if is_constant(difference):
        return UNDEFINED
    return _standardised(difference.mean(), difference.std(ddof=1), len(a) - 1, math.sqrt(len(a)))


def _standardised(difference: float, sd: float, df: float, scale: float) -> Estimate:
    d = difference / sd
    low, high = (limit / scale for limit in noncentrality_limits(abs(d) * scale, df))
    if d < 0:
        low, high = -high, -low
    return Estimate(float(small_sample_factor(df) * d), low, high)


def noncentrality_limits(t: float, df: float) -> tuple[float, float]:
    """The noncentralities for which an observed t >= 0 is the 97.5 % and the 2.5 % quantile.

    Up to `LARGE_T` by scipy. Beyond, t = (Z + noncentrality) / sqrt(chi-square / df), with Z standard normal, is nearly
    noncentrality / sqrt(chi-square / df); the distance that this gives and that of Z are added as variances are. At
    `LARGE_T` the two methods differ by at most a few ten-thousandths.
    """
    tails = (1 + CONFIDENCE) / 2, (1 - CONFIDENCE) / 2
    if t <= LARGE_T:
        low, high = (float(special.nctdtrinc(df, tail, t)) for tail in tails)
        return low, high
    low, high = (t * math.sqrt(special.chdtri(df, tail) / df) for tail in tails)
    return t - math.hypot(t - low, Z), t + math.hypot(high - t, Z)


def rank_biserial(a: np.ndarray, b: np.ndarray) -> Estimate:
    """Matched-pairs rank-biserial correlation (W+ - W-) / (W+ + W-) of a - b (Kerby 2014), with its 95 % interval.

    Zero differences are left out, as in the signed-rank test. Interval: (r + 1) / 2 estimates
    P(d_i + d_j > 0), whose variance is 4 var(h) / n with h_i the share of differences that do not outweigh d_i (the
    projection of Hoeffding 1948, as in DeLong's for two samples), on the logit scale with Student's t at n - 1. The
    variance is at most that of a proportion in n / 2 trials (Hoeffding 1948, section 5); the interval is widened as in
    `auc`. Where all differences have the same sign it is exact, from P(d_i + d_j > 0) >= P(d > 0)^2 and the binomial
    limit of P(d > 0). With fewer than `MIN_FOR_INTERVAL` differences the limits are NaN; when all are zero, r too.
    """
    difference = a - b
    difference = difference[difference != 0]
    n = len(difference)
    if n == 0:
        return UNDEFINED
    ranks = stats.rankdata(np.abs(difference))
    positive = difference > 0
    r = float((ranks[positive].sum() - ranks[~positive].sum()) / ranks.sum())
    if n < MIN_FOR_INTERVAL:
        return Estimate(r, math.nan, math.nan)
    if positive.all() or not positive.any():
        bound = 2 * ((1 - CONFIDENCE) / 2) ** (2 / n) - 1
        return Estimate(r, bound, 1.0) if r > 0 else Estimate(r, -1.0, -bound)
    ordered = np.sort(difference)
    # Differences equal to -d_i tie with it: half.
    below = (np.searchsorted(ordered, -difference, "left") + np.searchsorted(ordered, -difference, "right")) / 2
    standard_error = 2 * (1 - below / n).std(ddof=1) / math.sqrt(n)
    probability = (r + 1) / 2
    limits = on_logit_scale(probability, standard_error, n - 1)
    return Estimate(r, *(2 * limit - 1 for limit in with_few_trials(limits, probability, n / 2)))
