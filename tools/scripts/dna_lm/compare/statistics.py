"""Statistics of labelled score columns: summaries, tests, corrected p, effect sizes with 95 % intervals.

Pure functions on arrays; it does not know files, plots or Galaxy. In functions of two samples, `a` has shape (n_a,) and
`b` shape (n_b,), both float64 without NaN; with paired rows n_a = n_b. Beyond the sizes of the exact rank tests,
everything costs O(n log n) in the number of scores, and no function makes an n_a x n_b matrix.
"""

import functools
import itertools
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import special, stats

from dna_lm.errors import UserError, counted, quoted
from dna_lm.estimates import (
    CONFIDENCE,
    MIN_FOR_INTERVAL,
    UNDEFINED,
    Estimate,
    Z,
    auc,
    correct,
    on_logit_scale,
    with_few_trials,
)

# Rank tests are exact, with or without ties, where counting every arrangement takes at most about a second. Beyond, the
# normal (or chi-square) approximation is used: good for many rows, but wrong by up to half for a few rows with ties.
EXACT_RANK_SUM = 10_000  # product of the two groups' sizes: 0.02 s, and a run may have 780 pairs of groups
EXACT_SIGNED_RANK = 500  # differences that are not zero: 0.1 s
EXACT_KRUSKAL_WALLIS = 50_000  # ways to divide the rows among the groups: 1 s
# scipy has a faster count for one group of at most 8 rows and no ties. Up to this product it takes under a second.
EXACT_WITHOUT_TIES = 100_000

# Above this t, scipy's inverse of the noncentral t distribution loses digits, and for a t of ten million it never ends.
LARGE_T = 1_000


class Outcome(NamedTuple):
    """What one test gave. `df` and `df_error` are NaN for tests without degrees of freedom."""

    statistic: float
    p: float
    df: float = math.nan
    df_error: float = math.nan


NO_OUTCOME = Outcome(math.nan, math.nan)


@dataclass(frozen=True)
class Group:
    """One group: its label, its scores (1-D float64, NaN where a row was not scored), its record ids or None."""

    label: str
    scores: np.ndarray
    ids: list[str] | None = None

    @property
    def scored(self) -> np.ndarray:
        """The scores without NaN."""
        return self.scores[~np.isnan(self.scores)]


@dataclass(frozen=True)
class Effects:
    """Effect sizes of one pair of groups. Independent: AUC, Cliff's delta, Hedges' g; paired: the other two."""

    auc: Estimate = UNDEFINED
    cliffs_delta: Estimate = UNDEFINED
    hedges_g: Estimate = UNDEFINED
    rank_biserial: Estimate = UNDEFINED
    hedges_g_paired: Estimate = UNDEFINED


@dataclass(frozen=True)
class Result:
    """One test of the run. `a` and `b` are labels, or None where the test compares all groups at once.

    `n_left_out` counts rows (pairs, for a paired test) left out because they have no score.
    """

    a: str | None
    b: str | None
    test: str
    n_a: int
    n_b: int
    n_left_out: int
    outcome: Outcome
    p_corrected: float
    effects: Effects


def summarise(scores: np.ndarray) -> dict[str, float]:
    """Summary of a group's scores (n,), NaN where not scored. The sd divides by n - 1, quartiles are interpolated."""
    scored = scores[~np.isnan(scores)]
    minimum, q1, median, q3, maximum = np.percentile(scored, [0, 25, 50, 75, 100])
    return {
        "n": len(scored),
        "n_not_scored": len(scores) - len(scored),
        "mean": scored.mean(),
        "sd": scored.std(ddof=1),
        "median": median,
        "q1": q1,
        "q3": q3,
        "min": minimum,
        "max": maximum,
    }


# --- tests -----------------------------------------------------------------------------------------------------------


def _constant(*arrays: np.ndarray) -> bool:
    # Sums round: the sd of equal numbers need not come out as zero, and t would be an arbitrary large number.
    return all(np.ptp(array) == 0 for array in arrays)


def mann_whitney(a: np.ndarray, b: np.ndarray) -> Outcome:
    """Mann–Whitney U (Wilcoxon rank-sum), two-sided; the statistic is U of `a`: the pairs with a > b, ties half.

    Exact up to `EXACT_RANK_SUM`: p is twice the smaller tail of U over all ways to split the scores into groups of
    these sizes. Beyond: scipy's normal approximation with corrections for ties and continuity.
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
    """Twice the smaller tail, at most 1. counts: arrangements with each value of a statistic; observed: one value."""
    tail = min(counts[: observed + 1].sum(), counts[observed:].sum())
    return min(1.0, 2 * tail / counts.sum())


def welch_t(a: np.ndarray, b: np.ndarray) -> Outcome:
    """Welch's t: means of groups whose variances may differ."""
    if _constant(a, b):
        return NO_OUTCOME
    result = stats.ttest_ind(a, b, equal_var=False)
    return Outcome(result.statistic, result.pvalue, result.df)


def student_t(a: np.ndarray, b: np.ndarray) -> Outcome:
    """Student's t: means of groups of equal variance."""
    if _constant(a, b):
        return NO_OUTCOME
    result = stats.ttest_ind(a, b)
    return Outcome(result.statistic, result.pvalue, result.df)


def kolmogorov_smirnov(a: np.ndarray, b: np.ndarray) -> Outcome:
    """Two-sample Kolmogorov–Smirnov, two-sided: the largest gap between the two cumulative distributions."""
    result = stats.ks_2samp(a, b)
    return Outcome(result.statistic, result.pvalue)


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
    if _constant(a - b):
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
    if math.factorial(sum(sizes)) // math.prod(map(math.factorial, sizes)) <= EXACT_KRUSKAL_WALLIS:
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
    if _constant(*groups):
        return NO_OUTCOME
    total = sum(len(group) for group in groups)
    return Outcome(*stats.f_oneway(*groups), df=len(groups) - 1, df_error=total - len(groups))


class Test(NamedTuple):
    """A test: its name in words, the function that computes it, and whether it is of paired rows."""

    title: str
    compute: Callable[..., Outcome]
    paired: bool


TESTS = {
    "mann-whitney": Test("Mann–Whitney U", mann_whitney, False),
    "welch-t": Test("Welch's t", welch_t, False),
    "student-t": Test("Student's t", student_t, False),
    "kolmogorov-smirnov": Test("Kolmogorov–Smirnov", kolmogorov_smirnov, False),
    "wilcoxon-signed-rank": Test("Wilcoxon signed-rank", signed_rank, True),
    "paired-t": Test("Paired t", paired_t, True),
}
DEFAULT_TESTS = ("mann-whitney", "welch-t")
DEFAULT_PAIRED_TESTS = ("wilcoxon-signed-rank", "paired-t")

# Tests of all groups at once: added whenever there are more than two independent groups.
OMNIBUS_TESTS = {
    "kruskal-wallis": Test("Kruskal–Wallis", kruskal_wallis, False),
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


# --- effect sizes ----------------------------------------------------------------------------------------------------


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
    if _constant(a, b):
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
    if _constant(difference):
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


# --- the whole comparison --------------------------------------------------------------------------------------------


def compare(
    groups: Sequence[Group],
    tests: Sequence[str] | None = None,
    paired: bool = False,
    correction: str = "holm",
    tutorial: bool = False,
) -> list[Result]:
    """Every test of every pair of groups, and with three or more independent groups the tests of all at once.

    groups: two or more. tests: names in `TESTS`; None for the design's defaults. paired: rows i of all groups belong
    together. correction: one of `CORRECTIONS`. tutorial: the tutorial's two tests of every pair of groups instead, and
    no test of all groups. Tests of all groups come first. Raises `UserError` for groups or tests that do not go
    together.
    """
    _check_groups(groups)
    if tutorial:
        _check_tutorial(groups, tests, paired)
        chosen = TUTORIAL_TESTS
    else:
        chosen = {name: TESTS[name] for name in tests or (DEFAULT_PAIRED_TESTS if paired else DEFAULT_TESTS)}
        _check_design(groups, chosen, paired)

    rows = []
    if len(groups) > 2 and not paired and not tutorial:
        scored = [group.scored for group in groups]
        left_out = sum(len(group.scores) for group in groups) - sum(map(len, scored))
        for name, test in OMNIBUS_TESTS.items():
            rows.append((None, None, name, 0, 0, left_out, run_test(test, *scored), Effects()))
    for a, b in itertools.combinations(groups, 2):
        effects = _paired_effects(*complete_pairs(a, b)) if paired else _effects(a.scored, b.scored)
        for name, test in chosen.items():
            x, y = complete_pairs(a, b) if test.paired else (a.scored, b.scored)
            left_out = len(a.scores) - len(x) if test.paired else len(a.scores) + len(b.scores) - len(x) - len(y)
            rows.append((a.label, b.label, name, len(x), len(y), left_out, run_test(test, x, y), effects))
    corrected = correct([outcome.p for *_, outcome, _ in rows], correction)
    return [Result(*row[:-1], float(p), row[-1]) for row, p in zip(rows, corrected, strict=True)]


def complete_pairs(a: Group, b: Group) -> tuple[np.ndarray, np.ndarray]:
    """The scores of two groups with equally many rows, at the rows where both have one: two arrays (n,)."""
    complete = ~(np.isnan(a.scores) | np.isnan(b.scores))
    return a.scores[complete], b.scores[complete]


def _effects(a: np.ndarray, b: np.ndarray) -> Effects:
    superiority = auc(a, b)
    return Effects(auc=superiority, cliffs_delta=to_delta(superiority), hedges_g=hedges_g(a, b))


def _paired_effects(a: np.ndarray, b: np.ndarray) -> Effects:
    return Effects(rank_biserial=rank_biserial(a, b), hedges_g_paired=hedges_g_paired(a, b))


def _check_groups(groups: Sequence[Group]) -> None:
    if len(groups) < 2:
        raise UserError(f"found {counted(len(groups), 'group')}, need at least two to compare")
    for group in groups:
        if len(group.scored) < 2:
            raise UserError(
                f"group {quoted(group.label)} has {counted(len(group.scored), 'scored row')} of {len(group.scores)}: "
                "need at least two"
            )


def _check_design(groups: Sequence[Group], chosen: Mapping[str, Test], paired: bool) -> None:
    unfit = [name for name, test in chosen.items() if test.paired != paired]
    if unfit and paired:
        raise UserError(
            f"{unfit[0]} is a test of independent groups, but --paired was given: "
            f"choose from {', '.join(DEFAULT_PAIRED_TESTS)}, or leave out --paired"
        )
    if unfit:
        raise UserError(
            f"{unfit[0]} is a test of paired rows: give --paired if row 1 of one group belongs to "
            f"row 1 of the other and so on, or choose from {', '.join(n for n, t in TESTS.items() if not t.paired)}"
        )
    if paired:
        _check_pairs(groups, "paired rows")


def _check_tutorial(groups: Sequence[Group], tests: Sequence[str] | None, paired: bool) -> None:
    if tests or paired:
        raise UserError("--tutorial makes the tutorial's two tests: leave out --tests and --paired")
    _check_pairs(groups, "the rows of the tutorial's signed-rank test")


def _check_pairs(groups: Sequence[Group], rows: str) -> None:
    first = groups[0]
    for group in groups[1:]:
        if len(group.scores) != len(first.scores):
            raise UserError(
                f"group {quoted(first.label)} has {counted(len(first.scores), 'row')} and group "
                f"{quoted(group.label)} has {len(group.scores)}: {rows} need equal counts"
            )
    for a, b in itertools.combinations(groups, 2):
        if len(complete_pairs(a, b)[0]) < 2:
            raise UserError(
                f"groups {quoted(a.label)} and {quoted(b.label)} have fewer than two pairs with both scores"
            )
