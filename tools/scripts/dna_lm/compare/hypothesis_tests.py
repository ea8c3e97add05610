"""Hypothesis tests of two or more groups of scores: scipy's, with exact rank tests where groups are small.

In functions of two samples, `a` has shape (n_a,) and `b` shape (n_b,), both float64 without NaN; with paired rows
n_a = n_b. Beyond the sizes of the exact rank tests, everything costs O(n log n) in the number of scores.
"""

import functools
import itertools
import math
import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import stats

# Rank tests are exact, with or without ties, where counting every arrangement takes at most about a second. Beyond, the
# normal (or chi-square) approximation is used: good for many rows, but wrong by up to half for a few rows with ties.
EXACT_RANK_SUM = 10_000  # product of the two groups' sizes: 0.02 s, and a run may have 780 pairs of groups
EXACT_SIGNED_RANK = 500  # differences that are not zero: 0.1 s
EXACT_KRUSKAL_WALLIS = 50_000  # ways to divide the rows among the groups: 1 s
EXACT_KOLMOGOROV_SMIRNOV = 1_000_000  # product of the two groups' sizes, with equal scores: 0.05 s
# scipy has a faster count for one group of at most 8 rows and no ties. Up to this product it takes under a second.
EXACT_WITHOUT_TIES = 100_000


class Outcome(NamedTuple):
    """What one test gave. `df` and `df_error` are NaN for tests without degrees of freedom."""

    statistic: float
    p: float
    df: float = math.nan
    df_error: float = math.nan


NO_OUTCOME = Outcome(math.nan, math.nan)


def is_constant(*arrays: np.ndarray) -> bool:
    """Whether the numbers of each array are all equal."""
    # Sums round: the sd of equal numbers need not come out as zero, and t would be an arbitrary large number.
    return all(np.ptp(array) == 0 for array in arrays)


def mann_whitney(a: np.ndarray, b: np.ndarray) -> Outcome:
    """Mann–Whitney U (Wilcoxon rank-sum), two-sided; the statistic is U of `a`: the pairs with a > b, ties half.

    Exact up to `EXACT_RANK_SUM`: p is over all ways to split the scores into groups of these sizes. Beyond: scipy's
    normal approximation with corrections for ties and continuity.
    """
    pairs = len(a) * len(b)
    if pairs > EXACT_RANK_SUM:
        method = "asymptotic" if pairs > EXACT_WITHOUT_TIES else "auto"
        return Outcome(*stats.mannwhitneyu(a, b, alternative="two-sided", method=method))
    ranks = stats.rankdata(np.concatenate((a, b)))
    u = ranks[: len(a)].sum() - len(a) * (len(a) + 1) / 2
    whole = _whole_ranks(ranks - ranks.min())
    smaller = whole[: len(a)] if len(a) <= len(b) else whole[len(a) :]
    return Outcome(u, _two_sided(_rank_sum_counts(tuple(np.sort(whole).tolist()), len(smaller)), smaller.sum()))


def _whole_ranks(ranks: np.ndarray) -> np.ndarray:
    """Ranks, which are half numbers for some ties, as the smallest integers in the same proportions."""
    doubled = np.rint(2 * ranks).astype(int)
    return doubled // max(1, np.gcd.reduce(doubled))


# Without ties the ranks are those of every other pair of groups of these sizes.
@functools.lru_cache(maxsize=50)
def _rank_sum_counts(ranks: tuple[int, ...], size: int) -> np.ndarray:
    """How many ways to draw `size` of the `ranks` (integers, ascending) give each sum: an array indexed by the sum.

    The coefficients of x^size in the product of (1 + x y^rank), one factor after the other.
    """
    n = len(ranks)
    lowest = list(itertools.accumulate(ranks, initial=0))  # [k]: the sum of the k smallest ranks
    counts = np.zeros((size + 1, lowest[n] - lowest[n - size] + 1))  # number drawn x sum
    counts[0, 0] = 1
    for n_before, rank in enumerate(ranks):
        # Numbers drawn that can still reach `size`; the largest first, since each row is computed from the one before.
        for drawn in range(min(n_before + 1, size), max(1, size - (n - n_before - 1)) - 1, -1):
            # Every sum of `drawn - 1` of the ranks before this one is in this range.
            low, high = lowest[drawn - 1], lowest[n_before] - lowest[n_before + 1 - drawn]
            counts[drawn, low + rank : high + rank + 1] += counts[drawn - 1, low : high + 1]
    return counts[size].copy()


def _two_sided(counts: np.ndarray, observed: int) -> float:
    """The share of arrangements at least as far from the mean as the observed value, as in R's coin, exactRankTests.

    counts: arrangements with each value of a statistic; observed: one value.
    """
    values = np.arange(len(counts))
    distances = np.abs(values - (values * counts).sum() / counts.sum())
    # Two different distances differ by more.
    return float(counts[distances >= distances[observed] - 1e-6].sum() / counts.sum())


def welch_t(a: np.ndarray, b: np.ndarray) -> Outcome:
    """Welch's t: means of groups whose variances may differ."""
    if is_constant(a, b):
        return NO_OUTCOME
    result = stats.ttest_ind(a, b, equal_var=False)
    return Outcome(result.statistic, result.pvalue, result.df)


def student_t(a: np.ndarray, b: np.ndarray) -> Outcome:
    """Student's t: means of groups of equal variance."""
    if is_constant(a, b):
        return NO_OUTCOME
    result = stats.ttest_ind(a, b)
    return Outcome(result.statistic, result.pvalue, result.df)


def kolmogorov_smirnov(a: np.ndarray, b: np.ndarray) -> Outcome:
    """Two-sample Kolmogorov–Smirnov, two-sided: the largest gap between the two cumulative distributions.

    With equal scores, up to `EXACT_KOLMOGOROV_SMIRNOV`, p is over all ways to split the scores into groups of these
    sizes (Schröer and Trenkler 1995, doi:10.1016/0167-9473(94)00040-P). Otherwise scipy's.
    """
    result = stats.ks_2samp(a, b)
    pooled = np.sort(np.concatenate((a, b)))
    is_last = np.append(pooled[1:] != pooled[:-1], True)
    if is_last.all() or len(a) * len(b) > EXACT_KOLMOGOROV_SMIRNOV:
        return Outcome(result.statistic, result.pvalue)
    return Outcome(result.statistic, _share_of_gaps(len(a), len(b), is_last, result.statistic))


def _share_of_gaps(n_a: int, n_b: int, is_last: np.ndarray, gap: float) -> float:
    """The share of the ways to split scores into two groups with a gap of at least `gap` after any distinct score.

    is_last: of each of the sorted scores, whether the next one is larger. Scores are dealt one after the other;
    `chances[k]` is the chance that k of them are of the first group and that no gap was as large yet.
    """
    of_a = np.arange(n_a + 1)
    chances = np.zeros(n_a + 1)
    chances[0] = 1
    for dealt, last in enumerate(is_last):
        of_b = dealt - of_a
        to_a, to_b = np.maximum(n_a - of_a, 0), np.clip(n_b - of_b, 0, n_b)
        share_a = to_a / (n_a + n_b - dealt)
        arrived = chances * (to_b / (n_a + n_b - dealt))
        arrived[1:] += (chances * share_a)[:-1]
        chances = arrived
        if last:
            chances[np.abs(of_a / n_a - (dealt + 1 - of_a) / n_b) >= gap - 1e-9] = 0
    return float(np.clip(1 - chances.sum(), 0, 1))


def signed_rank(a: np.ndarray, b: np.ndarray) -> Outcome:
    """Wilcoxon signed-rank of the differences a - b of paired rows; zero differences are left out.

    The statistic is the smaller of W+ and W-. Exact up to `EXACT_SIGNED_RANK`: p is over all ways to give the
    differences signs. Beyond: scipy's normal approximation with a correction for ties.
    """
    difference = a - b
    difference = difference[difference != 0]
    if not 0 < len(difference) <= EXACT_SIGNED_RANK:
        return tutorial_signed_rank(a, b)
    ranks = stats.rankdata(np.abs(difference))
    whole = _whole_ranks(ranks)
    counts = np.zeros(whole.sum() + 1)
    counts[0] = 1
    for rank in whole:
        counts[rank:] += counts[:-rank]
    positive = difference > 0
    statistic = min(ranks[positive].sum(), ranks[~positive].sum())
    return Outcome(statistic, _two_sided(counts, whole[positive].sum()))


def tutorial_signed_rank(a: np.ndarray, b: np.ndarray) -> Outcome:
    """The tutorial's call: scipy's signed-rank test with its own choice between exact and approximate."""
    result = stats.wilcoxon(a, b)
    return Outcome(result.statistic, result.pvalue)


def paired_t(a: np.ndarray, b: np.ndarray) -> Outcome:
    """Paired t of the differences a - b."""
    if is_constant(a - b):
        return NO_OUTCOME
    result = stats.ttest_rel(a, b)
    return Outcome(result.statistic, result.pvalue, result.df)


def kruskal_wallis(*groups: np.ndarray) -> Outcome:
    """Kruskal–Wallis H: rank test of all groups at once.

    Exact up to `EXACT_KRUSKAL_WALLIS`: p is the share of the ways to divide the rows among groups of these sizes that
    give H or more. Beyond: the chi-square approximation.
    """
    h, p = stats.kruskal(*groups)
    sizes = [len(group) for group in groups]
    # As logarithms: the factorial of many rows takes minutes.
    n_divisions = math.lgamma(sum(sizes) + 1) - sum(math.lgamma(size + 1) for size in sizes)
    if n_divisions <= math.log(EXACT_KRUSKAL_WALLIS):
        ranks = np.split(stats.rankdata(np.concatenate(groups)), np.cumsum(sizes)[:-1])
        test = stats.permutation_test(
            ranks, _spread_of_ranks, vectorized=True, alternative="greater", n_resamples=math.inf, batch=1000
        )
        p = test.pvalue
    return Outcome(h, p, df=len(groups) - 1)


def _spread_of_ranks(*groups: np.ndarray, axis: int) -> np.ndarray:
    # The part of H that depends on which row is in which group.
    return sum(group.sum(axis) ** 2 / group.shape[axis] for group in groups)


def anova(*groups: np.ndarray) -> Outcome:
    """One-way analysis of variance of all groups at once (equal variances)."""
    if is_constant(*groups):
        return NO_OUTCOME
    total = sum(len(group) for group in groups)
    return Outcome(*stats.f_oneway(*groups), df=len(groups) - 1, df_error=total - len(groups))


def welch_anova(*groups: np.ndarray) -> Outcome:
    """One-way analysis of variance of groups whose variances may differ (Welch 1951, doi:10.2307/2332579)."""
    if is_constant(*groups):
        return NO_OUTCOME
    result = stats.f_oneway(*groups, equal_var=False)
    k = len(groups)
    weights = np.array([len(group) / group.var(ddof=1) for group in groups])
    lost = sum((1 - weights / weights.sum()) ** 2 / [len(group) - 1 for group in groups])
    return Outcome(*result, df=k - 1, df_error=(k**2 - 1) / (3 * lost))


def dunn(a: np.ndarray, b: np.ndarray, *others: np.ndarray) -> Outcome:
    """Dunn's test after Kruskal–Wallis (Dunn 1964, doi:10.1080/00401706.1964.10490181), two-sided; the statistic is z.

    a, b: the pair. others: all other groups, whose scores are ranked with theirs.
    """
    groups = (a, b, *others)
    ranks = stats.rankdata(np.concatenate(groups))
    n = len(ranks)
    _, ties = np.unique(ranks, return_counts=True)
    variance = n * (n + 1) / 12 - (ties**3 - ties).sum() / (12 * (n - 1))
    of_a, of_b = ranks[: len(a)], ranks[len(a) : len(a) + len(b)]
    z = (of_a.mean() - of_b.mean()) / math.sqrt(variance * (1 / len(a) + 1 / len(b)))
    return Outcome(z, 2 * stats.norm.sf(abs(z)))


class Test(NamedTuple):
    """A test: its name in words, the function that computes it, and whether it is of paired rows.

    omnibus: the test of all groups at once that belongs to it.
    """

    title: str
    compute: Callable[..., Outcome]
    paired: bool
    omnibus: str | None = None


DUNN = "dunn"
TESTS = {
    "mann-whitney": Test("Mann–Whitney U", mann_whitney, False, "kruskal-wallis"),
    "welch-t": Test("Welch's t", welch_t, False, "welch-anova"),
    "student-t": Test("Student's t", student_t, False, "anova"),
    "kolmogorov-smirnov": Test("Kolmogorov–Smirnov", kolmogorov_smirnov, False, "kruskal-wallis"),
    DUNN: Test("Dunn's test", dunn, False, "kruskal-wallis"),
    "wilcoxon-signed-rank": Test("Wilcoxon signed-rank", signed_rank, True),
    "paired-t": Test("Paired t", paired_t, True),
}
DEFAULT_TESTS = ("mann-whitney", "welch-t")
DEFAULT_PAIRED_TESTS = ("wilcoxon-signed-rank", "paired-t")

# Tests of all groups at once: of more than two independent groups, those that belong to the tests of pairs.
OMNIBUS_TESTS = {
    "kruskal-wallis": Test("Kruskal–Wallis", kruskal_wallis, False),
    "welch-anova": Test("Welch's ANOVA", welch_anova, False),
    "anova": Test("One-way ANOVA", anova, False),
}

# The two tests of the published tutorial. The second is a test of paired rows, used there on rows that are not paired.
TUTORIAL_TESTS = {
    "student-t-as-in-the-tutorial": Test("Student's t (as in the tutorial)", student_t, False),
    "signed-rank-as-in-the-tutorial": Test(
        "Wilcoxon signed-rank of unpaired rows (as in the tutorial)", tutorial_signed_rank, True
    ),
}

TITLES = {name: test.title for name, test in (TESTS | OMNIBUS_TESTS | TUTORIAL_TESTS).items()}


def run_test(test: Test, *groups: np.ndarray) -> Outcome:
    """The outcome of a test of scores, arrays (n,) without NaN. All NaN where the scores have no spread to test."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # scipy warns of ties, of constant input and of tiny samples; the outcome itself says what is undefined.
        warnings.simplefilter("ignore")
        outcome = test.compute(*groups)
    if not (math.isfinite(outcome.statistic) and math.isfinite(outcome.p)):
        return NO_OUTCOME
    return Outcome(*(float(value) for value in outcome))
