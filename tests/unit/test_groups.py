"""Statistics of groups: against scipy called directly, naive loops, published values and simulated coverage."""

import functools
import itertools
import math
import tracemalloc
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize, special, stats

from dna_lm.compare import effect_sizes, hypothesis_tests, statistics
from dna_lm.compare.effect_sizes import hedges_g
from dna_lm.compare.hypothesis_tests import TESTS, mann_whitney, run_test
from dna_lm.errors import UserError
from dna_lm.estimates import MIN_FOR_INTERVAL, auc, correct

SCORES = st.lists(st.integers(-5, 5), min_size=2, max_size=30).map(lambda values: np.array(values, dtype=float))


def two_samples(seed, n_a=40, n_b=30, shift=0.5):
    rng = np.random.default_rng(seed)
    return rng.normal(shift, 1, n_a), rng.normal(0, 1.7, n_b)


def group(label, scores):
    return statistics.Group(label, np.asarray(scores, dtype=float))


def naive_u(a, b):
    return sum((x > y) + 0.5 * (x == y) for x, y in itertools.product(a, b))


# --- tests -----------------------------------------------------------------------------------------------------------

# Each test as its textbook defines it, without scipy's tests: (statistic, p) of two samples.


def t_test(difference, standard_error, df):
    t = difference / standard_error
    return t, 2 * special.stdtr(df, -abs(t))


def textbook_welch(a, b):
    squared_a, squared_b = np.var(a, ddof=1) / len(a), np.var(b, ddof=1) / len(b)
    df = (squared_a + squared_b) ** 2 / (squared_a**2 / (len(a) - 1) + squared_b**2 / (len(b) - 1))
    return t_test(a.mean() - b.mean(), math.sqrt(squared_a + squared_b), df)


def textbook_student(a, b):
    df = len(a) + len(b) - 2
    pooled = (np.sum((a - a.mean()) ** 2) + np.sum((b - b.mean()) ** 2)) / df
    return t_test(a.mean() - b.mean(), math.sqrt(pooled * (1 / len(a) + 1 / len(b))), df)


def textbook_paired_t(a, b):
    difference = a - b
    return t_test(difference.mean(), math.sqrt(np.var(difference, ddof=1) / len(a)), len(a) - 1)


def textbook_kolmogorov_smirnov(a, b):
    """p: the share of all orders of the scores (paths over a grid) whose largest gap is at least the one found."""

    def gap(i, j):  # times n_a n_b: whole numbers, no rounding
        return abs(int(i) * len(b) - int(j) * len(a))

    largest = max(gap((a <= score).sum(), (b <= score).sum()) for score in (*a, *b))
    below = {(0, 0): 1}
    for i, j in itertools.product(range(len(a) + 1), range(len(b) + 1)):
        if (i, j) != (0, 0):
            below[i, j] = (gap(i, j) < largest) * (below.get((i - 1, j), 0) + below.get((i, j - 1), 0))
    orders = math.comb(len(a) + len(b), len(a))
    return largest / (len(a) * len(b)), (orders - below[len(a), len(b)]) / orders


def ways(factors):
    """Coefficients of the product of the polynomials 1 + x^k, for k in `factors`: a Counter."""
    product = Counter({0: 1})
    for k in factors:
        product += Counter({power + k: number for power, number in product.items()})
    return product


def textbook_mann_whitney(a, b):
    """p by the recurrence of Mann and Whitney 1947, without ties: the highest score is of one group or the other."""

    @functools.cache
    def orders(u, n, m):  # orders of n and m scores with that U
        if u < 0 or not n or not m:
            return int(u == 0)
        return orders(u - m, n - 1, m) + orders(u, n, m - 1)

    u = naive_u(a, b)
    tail = sum(orders(i, len(a), len(b)) for i in range(int(min(u, len(a) * len(b) - u)) + 1))
    return u, 2 * tail / math.comb(len(a) + len(b), len(a))


def textbook_signed_rank(a, b):
    ordered = sorted(a - b, key=abs)  # no ties
    w = sum(rank for rank, difference in enumerate(ordered, start=1) if difference > 0)
    w = min(w, len(a) * (len(a) + 1) // 2 - w)
    counts = ways(range(1, len(a) + 1))
    return w, 2 * sum(number for power, number in counts.items() if power <= w) / 2 ** len(a)


TEXTBOOK = {
    "mann-whitney": textbook_mann_whitney,
    "welch-t": textbook_welch,
    "student-t": textbook_student,
    "kolmogorov-smirnov": textbook_kolmogorov_smirnov,
    "wilcoxon-signed-rank": textbook_signed_rank,
    "paired-t": textbook_paired_t,
    # Of two groups: the root of Kruskal and Wallis' H.
    "dunn": lambda a, b: (
        math.copysign(
            math.sqrt(stats.kruskal(a, b).statistic),
            stats.rankdata([*a, *b])[: len(a)].mean() * 2 - len(a) - len(b) - 1,
        ),
        stats.kruskal(a, b).pvalue,
    ),
}


@pytest.mark.parametrize("name", TESTS)
@pytest.mark.parametrize("n_b", [40, 7])
def test_each_test_is_its_textbooks(name, n_b):
    a, b = two_samples(1, 40, n_b)
    if TESTS[name].paired:
        a = a[:n_b]
    outcome = run_test(TESTS[name], a, b)
    assert (outcome.statistic, outcome.p) == pytest.approx(TEXTBOOK[name](a, b), rel=1e-10)


def test_omnibus_tests_are_scipys():
    samples = [*two_samples(2), np.random.default_rng(3).normal(0.2, 1, 25)]
    results = statistics.compare([group(str(i), sample) for i, sample in enumerate(samples)])
    results += statistics.compare([group(str(i), sample) for i, sample in enumerate(samples)], ["student-t"])
    by_name = {result.test: result.outcome for result in results if result.a is None}
    assert by_name["kruskal-wallis"][:3] == pytest.approx((*stats.kruskal(*samples), 2))
    assert by_name["anova"] == pytest.approx((*stats.f_oneway(*samples), 2, 95 - 3)[:2] + (2, 92))


@given(SCORES, SCORES)
@settings(max_examples=100, deadline=None)
def test_u_and_auc_count_pairs(a, b):
    u = naive_u(a, b)
    assert mann_whitney(a, b).statistic == pytest.approx(u)
    estimate = auc(a, b)
    assert estimate.value == pytest.approx(u / (len(a) * len(b)))
    if min(len(a), len(b)) < MIN_FOR_INTERVAL:
        assert math.isnan(estimate.low) and math.isnan(estimate.high)
    else:
        assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
        # With Wilson's interval: no sample of this size has the whole range.
        assert estimate.low < estimate.high
    assert effect_sizes.to_delta(estimate).value == pytest.approx(
        np.sign(np.subtract.outer(a, b)).mean()  # Cliff's own definition
    )


@given(SCORES, SCORES)
@settings(max_examples=50, deadline=None)
def test_exchanging_the_groups_mirrors_every_effect(a, b):
    def close(estimate, mirrored):
        assert tuple(estimate) == pytest.approx(mirrored, rel=1e-4, abs=1e-6, nan_ok=True)

    there, back = auc(a, b), auc(b, a)
    close(there, (1 - back.value, 1 - back.high, 1 - back.low))
    there, back = hedges_g(a, b), hedges_g(b, a)
    close(there, (-back.value, -back.high, -back.low))
    n = min(len(a), len(b))
    there, back = effect_sizes.rank_biserial(a[:n], b[:n]), effect_sizes.rank_biserial(b[:n], a[:n])
    close(there, (-back.value, -back.high, -back.low))


def test_the_normal_approximation_of_lopsided_groups_is_near_the_exact_test():
    rng = np.random.default_rng(4)
    a, b = rng.normal(0.9, 1, 8), rng.normal(0, 1, 13_000)  # beyond EXACT_WITHOUT_TIES
    exact = stats.mannwhitneyu(a, b, method="exact").pvalue
    assert mann_whitney(a, b).p == pytest.approx(exact, rel=0.1)


def test_beyond_the_exact_sizes_the_rank_tests_are_scipys_approximations():
    a, b = (np.round(sample, 1) for sample in two_samples(14, 200, 90))
    assert mann_whitney(a, b).p == stats.mannwhitneyu(a, b, method="asymptotic").pvalue
    a, b = (np.round(sample, 1) for sample in two_samples(15, 600, 600, shift=0))
    assert hypothesis_tests.signed_rank(a, b).p == stats.wilcoxon(a, b, method="asymptotic").pvalue
    samples = [*two_samples(16), two_samples(17)[0]]
    assert hypothesis_tests.kruskal_wallis(*samples).p == stats.kruskal(*samples).pvalue


def twice_the_smaller_tail(outcomes, observed):
    """From every possible outcome of a statistic, all equally likely."""
    outcomes = np.array(outcomes)
    return min(1, 2 * min(np.mean(outcomes <= observed), np.mean(outcomes >= observed)))


def few(low=1, high=7):
    """Up to `high` scores with many ties."""
    return st.lists(st.integers(-2, 2), min_size=low, max_size=high).map(lambda values: np.array(values, dtype=float))


def test_tied_scores_of_small_groups_by_hand():
    # The four zeros are one of the 35 ways to choose four of the seven, and no other sum is as far from the mean.
    zeros, others = np.zeros(4), np.array([5.0, 6, 7])
    assert mann_whitney(zeros, others) == pytest.approx((0, 1 / 35, math.nan, math.nan), nan_ok=True)
    assert mann_whitney(others, zeros) == pytest.approx((12, 1 / 35, math.nan, math.nan), nan_ok=True)


@given(few(), few())
@settings(max_examples=60, deadline=None)
def test_rank_sum_p_counts_every_split(a, b):
    scores = np.concatenate((a, b))
    splits = itertools.combinations(range(len(scores)), len(a))
    wins = (np.sign(np.subtract.outer(scores, scores)) + 1) / 2
    every_u = [np.delete(wins[list(chosen)], chosen, axis=1).sum() for chosen in splits]
    outcome = mann_whitney(a, b)
    assert outcome.statistic == naive_u(a, b)
    distances = np.abs(np.array(every_u) - np.mean(every_u))
    assert outcome.p == pytest.approx(np.mean(distances >= abs(naive_u(a, b) - np.mean(every_u)) - 1e-9), rel=1e-9)


@pytest.mark.parametrize(("n_a", "n_b", "seed"), [(4, 3, 0), (3, 9, 1), (6, 6, 2), (8, 5, 3), (2, 30, 4)])
def test_rank_sum_p_is_that_of_scipys_permutations(n_a, n_b, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 4, n_a) + 1.0, rng.integers(0, 4, n_b) * 1.0
    middle = len(a) * (n_a + n_b + 1) / 2
    test = stats.permutation_test(
        np.split(stats.rankdata([*a, *b]), [n_a]),
        lambda x, _y: abs(sum(x) - middle),
        alternative="greater",
        n_resamples=math.inf,
    )
    assert mann_whitney(a, b).p == pytest.approx(test.pvalue, rel=1e-9)


@pytest.mark.parametrize(("n_a", "n_b"), [(100, 100), (3, 3333), (58, 59)])
def test_rank_sum_p_of_larger_groups_without_ties_is_scipys_exact(n_a, n_b):
    a, b = two_samples(18, n_a, n_b)
    expected = stats.mannwhitneyu(a, b, method="exact").pvalue
    assert mann_whitney(a, b).p == pytest.approx(expected, rel=1e-12)


def test_rank_sum_p_of_two_values_is_fishers():
    # With two values U is as a hypergeometric number, here 16 * 24 / 50 on average.
    a, b = np.repeat([0.0, 1], [20, 4]), np.repeat([0.0, 1], [14, 12])
    number, mean = stats.hypergeom(50, 16, 24), 16 * 24 / 50
    p = sum(number.pmf(k) for k in range(17) if abs(k - mean) >= abs(4 - mean))
    assert mann_whitney(a, b).p == pytest.approx(p, rel=1e-9)


@given(few(low=2, high=9))
@settings(max_examples=60, deadline=None)
def test_signed_rank_p_counts_every_sign(difference):
    kept = difference[difference != 0]
    outcome = run_test(TESTS["wilcoxon-signed-rank"], difference, np.zeros_like(difference))
    if not len(kept):
        assert outcome.p == 1 or math.isnan(outcome.p)
        return
    ranks = stats.rankdata(np.abs(kept))
    every_w = [ranks @ signs for signs in itertools.product([0, 1], repeat=len(kept))]
    w = ranks @ (kept > 0)
    assert outcome.statistic == min(w, ranks.sum() - w)
    assert outcome.p == pytest.approx(twice_the_smaller_tail(every_w, w), rel=1e-12)


def deals(rows, sizes):
    """Every way to divide the rows among groups of these sizes."""
    if not sizes:
        yield ()
        return
    for chosen in itertools.combinations(rows, sizes[0]):
        for rest in deals([row for row in rows if row not in chosen], sizes[1:]):
            yield (chosen, *rest)


@pytest.mark.parametrize(("sizes", "seed"), [((2, 2, 2), 0), ((3, 3, 3), 1), ((2, 4, 3), 2), ((2, 2, 2, 2), 3)])
def test_kruskal_wallis_p_counts_every_deal(sizes, seed):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 4, sum(sizes)) * 1.0
    samples = np.split(scores, np.cumsum(sizes)[:-1])
    h = stats.kruskal(*samples).statistic
    every_h = [
        stats.kruskal(*(scores[list(rows)] for rows in deal)).statistic for deal in deals(range(len(scores)), sizes)
    ]
    outcome = hypothesis_tests.kruskal_wallis(*samples)
    assert outcome.statistic == h
    assert outcome.p == pytest.approx(np.mean(np.array(every_h) >= h - 1e-9), rel=1e-12)


# --- corrections -----------------------------------------------------------------------------------------------------


def test_holm_and_benjamini_hochberg_by_hand():
    p = [0.01, 0.04, 0.03, 0.005]
    # Holm: sorted .005*4, .01*3, .03*2, .04*1 -> .02 .03 .06 .04, then never falling.
    assert correct(p, "holm") == pytest.approx([0.03, 0.06, 0.06, 0.02])
    # Benjamini-Hochberg: sorted .005*4/1, .01*4/2, .03*4/3, .04*4/4 -> .02 .02 .04 .04, then never rising from the end.
    assert correct(p, "benjamini-hochberg") == pytest.approx([0.02, 0.04, 0.04, 0.02])
    assert correct(p, "none").tolist() == p


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_corrections_against_their_definitions(p):
    n = len(p)
    holm = [max(min(1, q * sum(r >= q for r in p)) for q in p if q <= own) for own in p]
    bh = [min(1, *(q * n / sum(r <= q for r in p) for q in p if q >= own)) for own in p]
    assert correct(p, "holm") == pytest.approx(holm)
    assert correct(p, "benjamini-hochberg") == pytest.approx(bh)


@pytest.mark.parametrize("method", ["holm", "benjamini-hochberg"])
def test_an_undefined_test_is_not_counted(method):
    with_nan = correct([0.01, math.nan, 0.02], method)
    assert math.isnan(with_nan[1])
    assert with_nan[[0, 2]] == pytest.approx(correct([0.01, 0.02], method))


# --- effect sizes ----------------------------------------------------------------------------------------------------


def naive_delong(a, b):
    """AUC, the variances of the two groups' placements over their sizes, and the degrees of freedom, by n x n loops."""
    wins = (np.subtract.outer(a, b) > 0) + 0.5 * (np.subtract.outer(a, b) == 0)
    of_a, of_b = wins.mean(1).var(ddof=1) / len(a), wins.mean(0).var(ddof=1) / len(b)
    df = (of_a + of_b) ** 2 / (of_a**2 / (len(a) - 1) + of_b**2 / (len(b) - 1))
    return wins.mean(), of_a + of_b, df


def limits_on_logit_scale(value, variance, quantile):
    half_width = quantile * math.sqrt(variance) / (value * (1 - value))
    return [1 / (1 + math.exp(-(math.log(value / (1 - value)) + sign * half_width))) for sign in (-1, 1)]


def test_delong_variance_and_degrees_of_freedom_against_the_naive_placements():
    a, b = two_samples(5, 22, 19)
    value, variance, df = naive_delong(a, b)
    quantile = stats.t(df).ppf(0.975)
    assert auc(a, b)[1:] == pytest.approx(limits_on_logit_scale(value, variance, quantile), rel=1e-9)
    # These are the degrees of freedom of Brunner and Munzel's test: scipy's own, from p and statistic.
    test = stats.brunnermunzel(a, b)
    assert 2 * stats.t(df).sf(abs(test.statistic)) == pytest.approx(test.pvalue, rel=1e-9)


@pytest.mark.parametrize(("n_a", "n_b"), [(500, 500), (150, 4000)])
def test_intervals_of_many_rows_are_delongs(n_a, n_b):
    a, b = two_samples(19, n_a, n_b)
    value, variance, _ = naive_delong(a, b)
    expected = limits_on_logit_scale(value, variance, 1.959963985)
    assert auc(a, b)[1:] == pytest.approx(expected, abs=0.02 * math.sqrt(variance) * 2)


def test_the_interval_of_few_overlapping_rows_holds_wilsons():
    a, b = np.array([5.0, 6, 7, 8, 2.5]), np.arange(4.0)  # 19 of 20 pairs: a proportion of 0.95 in four trials
    # Wilson's limits are the proportions whose own standard error just reaches the one found.
    low, high = (
        optimize.brentq(lambda p: (0.95 - p) ** 2 - 1.959963985**2 * p * (1 - p) / 4, *ends)
        for ends in ((0.01, 0.95), (0.95, 1))
    )
    value, found_low, found_high = auc(a, b)
    assert value == 0.95
    assert found_low <= low + 1e-9 and found_high >= high - 1e-9


def test_intervals_against_a_bootstrap():
    a, b = two_samples(6, 150, 120)

    def boot(statistic):
        interval = stats.bootstrap(
            (a, b), statistic, n_resamples=1500, method="BCa", rng=np.random.default_rng(0)
        ).confidence_interval
        return interval.low, interval.high

    assert auc(a, b)[1:] == pytest.approx(boot(lambda x, y: auc(x, y).value), abs=0.02)
    assert hedges_g(a, b)[1:] == pytest.approx(boot(lambda x, y: hedges_g(x, y).value), abs=0.06)


def test_paired_intervals_against_a_bootstrap():
    rng = np.random.default_rng(7)
    d, zero = rng.normal(0.25, 1, 150), np.zeros(150)
    for effect, tolerance in ((effect_sizes.rank_biserial, 0.03), (effect_sizes.hedges_g_paired, 0.05)):
        boot = stats.bootstrap(
            (d,),
            lambda x, effect=effect: effect(x, np.zeros_like(x)).value,
            n_resamples=1500,
            method="BCa",
            vectorized=False,
            rng=np.random.default_rng(0),
        ).confidence_interval
        assert effect(d, zero)[1:] == pytest.approx((boot.low, boot.high), abs=tolerance)


def coverage(truth, draw, repeats=600):
    """The share of simulated intervals that hold the true effect."""
    return sum(low <= truth <= high for _, low, high in (draw() for _ in range(repeats))) / repeats


SIZES = [(3, 3), (3, 10), (3, 50), (4, 4), (5, 5), (5, 50), (5, 500), (10, 10), (10, 500), (30, 30), (50, 50)]
NORMAL = [stats.norm(shift) for shift in (0, 0.5, 1.5, 3)]
OTHERS = [
    (stats.expon(scale=3), stats.expon()),
    (stats.poisson(2), stats.poisson(1)),  # ties
    (stats.norm(1.5, 0.25), stats.norm()),
    (stats.norm(0, 4), stats.norm()),
]


def true_auc(a, b):
    """P(a > b) + P(a = b) / 2 of two distributions of scipy."""
    if hasattr(a.dist, "pmf"):
        return sum(a.pmf(k) * (b.cdf(k) - b.pmf(k) / 2) for k in range(100))
    return integrate.quad(lambda q: b.cdf(a.ppf(q)), 0, 1)[0]


@pytest.mark.parametrize(("n_a", "n_b"), SIZES)
def test_auc_intervals_cover_whatever_the_sizes(n_a, n_b):
    rng = np.random.default_rng(8)
    for a, b in [(normal, stats.norm()) for normal in NORMAL] + OTHERS:
        truth = true_auc(a, b)
        scores_a, scores_b = a.rvs((300, n_a), random_state=rng), b.rvs((300, n_b), random_state=rng)
        for x, y, true in ((scores_a, scores_b, truth), (scores_b, scores_a, 1 - truth)):
            estimates = np.array([auc(*pair) for pair in zip(x, y, strict=True)])
            covered = np.mean((estimates[:, 1] <= true) & (true <= estimates[:, 2]))
            assert covered >= 0.93, (a.dist.name, a.args, a.kwds, covered)
            # An interval that is always the whole range would contain the true value too.
            assert np.mean(estimates[:, 2] - estimates[:, 1]) < min(0.95, 2 / math.sqrt(min(n_a, n_b)))


@pytest.mark.parametrize(("n_a", "n_b"), [(4, 4), (15, 40)])
def test_hedges_g_intervals_cover_exactly_for_normal_scores(n_a, n_b):
    rng = np.random.default_rng(9)
    held = coverage(0.8, lambda: hedges_g(rng.normal(0.8, 1, n_a), rng.normal(0, 1, n_b)), 1000)
    assert held == pytest.approx(0.95, abs=0.02)  # three standard errors of 1000 repeats


@pytest.mark.parametrize("df", [2, 8, 100, 5000])
@pytest.mark.parametrize("t", [0, 2.5, 300, 1001, 1e5, 1e12])
def test_noncentrality_limits_are_those_of_the_noncentral_t_distribution(df, t):
    """P(T < t) = E P(chi-square / df > ((Z + noncentrality) / t)^2), integrated over Z. scipy hangs for a large t."""

    def below(noncentrality):
        if t == 0:
            return stats.norm.cdf(-noncentrality)
        # T is below t at once where Z + noncentrality is negative.
        return (
            stats.norm.cdf(-noncentrality)
            + integrate.quad(
                lambda z: stats.norm.pdf(z) * special.chdtrc(df, df * ((z + noncentrality) / t) ** 2),
                max(-9, -noncentrality),
                9,
                limit=200,
            )[0]
        )

    limits = effect_sizes.noncentrality_limits(t, df)
    assert [below(limit) for limit in limits] == pytest.approx([0.975, 0.025], abs=2e-5)


def test_hedges_g_of_scores_nearly_without_spread_has_an_interval():
    a, b = np.array([1, 1 + 1e-9, 1 - 1e-9]), np.array([2, 2 + 1e-9, 2 - 1e-9])
    value, low, high = hedges_g(b, a)
    # The ratio of limit and difference is that of the two quantiles of the sd, whatever the size of the difference.
    d = value / effect_sizes.small_sample_factor(4)
    assert (low / d, high / d) == pytest.approx(np.sqrt(stats.chi2(4).ppf([0.025, 0.975]) / 4), rel=1e-6)


def test_hedges_g_is_unbiased():
    rng = np.random.default_rng(10)
    found = [hedges_g(rng.normal(1, 1, 4), rng.normal(0, 1, 4)).value for _ in range(4000)]
    assert np.mean(found) == pytest.approx(1, abs=4 * np.std(found) / math.sqrt(len(found)))


@pytest.mark.parametrize("n", [3, 5, 8, 12, 60])
@pytest.mark.parametrize("shift", [0, 0.4, 1, 2])
def test_rank_biserial_intervals_cover(n, shift):
    rng = np.random.default_rng(11)
    truth = 2 * stats.norm.cdf(shift * math.sqrt(2)) - 1  # P(d_i + d_j > 0) for normal differences
    held = coverage(truth, lambda: effect_sizes.rank_biserial(rng.normal(shift, 1, n), np.zeros(n)), 400)
    assert held >= 0.93


@pytest.mark.parametrize("n", [20, 60])
def test_rank_biserial_intervals_cover_with_a_few_large_differences_the_other_way(n):
    rng = np.random.default_rng(12)
    differences = stats.t(2, loc=2)
    truth = 2 * integrate.quad(lambda q: differences.sf(-differences.ppf(q)), 0, 1)[0] - 1  # P(d_i + d_j > 0)
    held = coverage(truth, lambda: effect_sizes.rank_biserial(differences.rvs(n, random_state=rng), np.zeros(n)), 400)
    assert held >= 0.93


def test_rank_biserial_by_hand():
    # Differences 1, -2, 3, 0 (left out), 4: ranks 1 2 3 4, W+ = 8, W- = 2.
    estimate = effect_sizes.rank_biserial(np.array([1.0, 0, 3, 5, 4]), np.array([0.0, 2, 0, 5, 0]))
    assert estimate.value == pytest.approx(0.6)


def test_small_sample_factor_against_its_integral():
    # J is what frees d of its bias: 1 / E[sqrt(df / chi-square)].
    for df in (2, 7, 30):
        mean, _ = integrate.quad(lambda x, df=df: math.sqrt(df / x) * stats.chi2.pdf(x, df), 0, np.inf)
        assert effect_sizes.small_sample_factor(df) == pytest.approx(1 / mean, rel=1e-5)


@pytest.mark.parametrize(("n_a", "n_b"), [(3, 3), (10, 10), (30, 200)])
def test_separated_groups_have_a_limit_on_one_side(n_a, n_b):
    a, b = np.arange(n_a) + 1000.0, np.arange(n_b) * 1.0
    value, low, high = auc(a, b)
    assert value == high == 1
    # Wilson's limit is the proportion whose own standard error just reaches 1, in as many trials as the smaller group.
    assert 1 - low == pytest.approx(1.959963985 * math.sqrt(low * (1 - low) / n_a), rel=1e-6)
    assert auc(b, a) == pytest.approx((0, 0, 1 - low))


def test_two_rows_have_an_effect_size_without_an_interval():
    two, many = np.array([1.0, 5]), np.array([0.0, 2, 3, 4])
    assert auc(two, many) == pytest.approx((5 / 8, math.nan, math.nan), nan_ok=True)
    assert auc(many, two) == pytest.approx((3 / 8, math.nan, math.nan), nan_ok=True)
    # Zero differences do not count.
    paired = effect_sizes.rank_biserial(np.array([1.0, 5, 3, 3]), np.array([2.0, 3, 3, 3]))
    assert paired == pytest.approx((1 / 3, math.nan, math.nan), nan_ok=True)


def test_scores_without_spread_have_no_effect_size_and_no_t():
    tenth, fifth = np.full(3, 0.1), np.full(5, 0.2)  # their computed sd is not exactly zero
    assert all(map(math.isnan, hedges_g(tenth, fifth)))
    for name in ("welch-t", "student-t"):
        assert math.isnan(run_test(TESTS[name], tenth, fifth).p)
    assert auc(fifth, tenth).value == 1
    same = auc(tenth, tenth)
    assert same.value == 0.5
    assert same.low < 0.3 < 0.7 < same.high
    assert math.isnan(effect_sizes.rank_biserial(tenth, tenth).value)


def test_memory_grows_with_the_scores_and_not_with_their_pairs():
    rng = np.random.default_rng(12)
    a, b = rng.normal(size=20_000), rng.normal(0.01, 1, 30_000)
    tracemalloc.start()
    results = statistics.compare([group("a", a), group("b", b)], list(TESTS)[:4])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30e6  # an n x n matrix would be 4.8e9 bytes
    lower = np.searchsorted(np.sort(b), a).sum()  # no ties
    assert results[0].outcome.statistic == lower
    assert results[0].effects.auc.value == pytest.approx(lower / (len(a) * len(b)), rel=1e-12)


# --- the whole comparison --------------------------------------------------------------------------------------------


def test_rows_without_a_score_are_left_out_and_counted():
    nan = math.nan
    a, b = group("a", [1, nan, 3, 4, 5]), group("b", [2, 1, nan, 1, 2])
    independent = statistics.compare([a, b], ["mann-whitney"])[0]
    assert (independent.n_a, independent.n_b, independent.n_left_out) == (4, 4, 2)
    paired = statistics.compare([a, b], ["paired-t"], paired=True)[0]
    assert (paired.n_a, paired.n_b, paired.n_left_out) == (3, 3, 2)
    assert paired.outcome.statistic == pytest.approx(stats.ttest_rel([1, 4, 5], [2, 1, 2]).statistic)
    assert statistics.summarise(a.scores) | {"mean": 3.25, "n": 4, "n_not_scored": 1} == statistics.summarise(a.scores)


def test_every_pair_counts_in_the_correction_of_a_test():
    samples = [group(name, two_samples(seed)[0]) for seed, name in enumerate("abc")]
    results = statistics.compare(samples, ["mann-whitney", "welch-t"])
    assert len(results) == 2 + 3 * 2
    for name in {result.test for result in results}:
        family = [result for result in results if result.test == name]
        assert [r.p_corrected for r in family] == pytest.approx(correct([r.outcome.p for r in family], "holm"))


@pytest.mark.parametrize(("n", "decimals"), [(50, 9), (60, 9), (30, 0), (9, 0)])
def test_tutorial_makes_the_tutorials_two_calls(n, decimals):
    """With ties and zero differences too, where the tutorial's signed-rank test is not always exact."""
    a, b = (np.round(sample, decimals) for sample in two_samples(13, n, n))
    t, signed_rank = statistics.compare([group("a", a), group("b", b)], tutorial=True)
    assert t.outcome[:2] == tuple(stats.ttest_ind(a, b))[:2]
    assert signed_rank.outcome[:2] == tuple(stats.wilcoxon(a, b))


@pytest.mark.parametrize(
    ("samples", "options", "message"),
    [
        ([[1, 2, 3]], {}, "found 1 group, need at least two"),
        ([[1, 2], [1, math.nan]], {}, "group 'b' has 1 scored row of 2"),
        ([[1, 2], [1, 2, 3]], {"paired": True}, "group 'a' has 2 rows and group 'b' has 3"),
        ([[1, 2], [3, 4]], {"paired": True, "tests": ["welch-t"]}, "welch-t is a test of independent groups"),
        ([[1, 2], [3, 4]], {"tests": ["paired-t"]}, "paired-t is a test of paired rows"),
        ([[1, 2, math.nan], [math.nan, 3, 4]], {"paired": True}, "fewer than two pairs with both scores"),
        ([[1, 2], [3, 4], [5, 6]], {"tutorial": True, "paired": True}, "excludes .* \\(--tests\\) and paired rows"),
        ([[1, 2], [3, 4, 5]], {"tutorial": True}, "need equal counts"),
    ],
)
def test_groups_and_tests_that_do_not_go_together_are_refused(samples, options, message):
    with pytest.raises(UserError, match=message):
        statistics.compare([group(label, s) for label, s in zip("abc", samples, strict=False)], **options)
