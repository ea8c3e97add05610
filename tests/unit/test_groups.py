"""Statistics of groups: against scipy called directly, naive loops, published values and simulated coverage."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from dna_lm import groups
from dna_lm.errors import UserError

SCORES = st.lists(st.integers(-5, 5), min_size=2, max_size=30).map(lambda values: np.array(values, dtype=float))


def two_samples(seed, n_a=40, n_b=30, shift=0.5):
    rng = np.random.default_rng(seed)
    return rng.normal(shift, 1, n_a), rng.normal(0, 1.7, n_b)


def group(label, scores):
    return groups.Group(label, np.asarray(scores, dtype=float))


def naive_u(a, b):
    return sum((x > y) + 0.5 * (x == y) for x, y in itertools.product(a, b))


# --- tests -----------------------------------------------------------------------------------------------------------

SCIPY = {
    "mann-whitney": lambda a, b: stats.mannwhitneyu(a, b),
    "welch-t": lambda a, b: stats.ttest_ind(a, b, equal_var=False),
    "student-t": lambda a, b: stats.ttest_ind(a, b, equal_var=True),
    "kolmogorov-smirnov": lambda a, b: stats.ks_2samp(a, b),
    "wilcoxon-signed-rank": lambda a, b: stats.wilcoxon(a, b),
    "paired-t": lambda a, b: stats.ttest_rel(a, b),
}


@pytest.mark.parametrize("name", groups.TESTS)
@pytest.mark.parametrize("n_b", [40, 7])
def test_each_test_is_scipys(name, n_b):
    a, b = two_samples(1, 40, n_b)
    if groups.TESTS[name].paired:
        a = a[:n_b]
    outcome = groups.run_test(groups.TESTS[name], a, b)
    expected = SCIPY[name](a, b)
    assert (outcome.statistic, outcome.p) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-12)


def test_omnibus_tests_are_scipys():
    samples = [*two_samples(2), np.random.default_rng(3).normal(0.2, 1, 25)]
    results = groups.compare([group(str(i), sample) for i, sample in enumerate(samples)])
    by_name = {result.test: result.outcome for result in results if result.a is None}
    assert by_name["kruskal-wallis"][:3] == pytest.approx((*stats.kruskal(*samples), 2))
    assert by_name["anova"] == pytest.approx((*stats.f_oneway(*samples), 2, 95 - 3)[:2] + (2, 92))


@given(SCORES, SCORES)
@settings(max_examples=100, deadline=None)
def test_u_and_auc_count_pairs(a, b):
    u = naive_u(a, b)
    assert groups.mann_whitney(a, b).statistic == pytest.approx(u)
    estimate = groups.auc(a, b)
    assert estimate.value == pytest.approx(u / (len(a) * len(b)))
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
    assert groups.to_delta(estimate).value == pytest.approx(
        np.sign(np.subtract.outer(a, b)).mean()  # Cliff's own definition
    )


@given(SCORES, SCORES)
@settings(max_examples=50, deadline=None)
def test_exchanging_the_groups_mirrors_every_effect(a, b):
    def close(estimate, mirrored):
        assert tuple(estimate) == pytest.approx(mirrored, rel=1e-4, abs=1e-6, nan_ok=True)

    there, back = groups.auc(a, b), groups.auc(b, a)
    close(there, (1 - back.value, 1 - back.high, 1 - back.low))
    there, back = groups.hedges_g(a, b), groups.hedges_g(b, a)
    close(there, (-back.value, -back.high, -back.low))
    n = min(len(a), len(b))
    there, back = groups.rank_biserial(a[:n], b[:n]), groups.rank_biserial(b[:n], a[:n])
    close(there, (-back.value, -back.high, -back.low))


def test_the_normal_approximation_of_lopsided_groups_is_near_the_exact_test():
    rng = np.random.default_rng(4)
    a, b = rng.normal(0.9, 1, 8), rng.normal(0, 1, 13_000)  # beyond EXACT_RANK_SUM_LIMIT
    exact = stats.mannwhitneyu(a, b, method="exact").pvalue
    assert groups.mann_whitney(a, b).p == pytest.approx(exact, rel=0.1)


# --- corrections -----------------------------------------------------------------------------------------------------


def test_holm_and_benjamini_hochberg_by_hand():
    p = [0.01, 0.04, 0.03, 0.005]
    # Holm: sorted .005*4, .01*3, .03*2, .04*1 -> .02 .03 .06 .04, then never falling.
    assert groups.correct(p, "holm") == pytest.approx([0.03, 0.06, 0.06, 0.02])
    # Benjamini-Hochberg: sorted .005*4/1, .01*4/2, .03*4/3, .04*4/4 -> .02 .02 .04 .04, then never rising from the end.
    assert groups.correct(p, "benjamini-hochberg") == pytest.approx([0.02, 0.04, 0.04, 0.02])
    assert groups.correct(p, "none").tolist() == p


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_corrections_against_their_definitions(p):
    n = len(p)
    holm = [max(min(1, q * sum(r >= q for r in p)) for q in p if q <= own) for own in p]
    bh = [min(1, *(q * n / sum(r <= q for r in p) for q in p if q >= own)) for own in p]
    assert groups.correct(p, "holm") == pytest.approx(holm)
    assert groups.correct(p, "benjamini-hochberg") == pytest.approx(bh)


@pytest.mark.parametrize("method", ["holm", "benjamini-hochberg"])
def test_an_undefined_test_is_not_counted(method):
    with_nan = groups.correct([0.01, math.nan, 0.02], method)
    assert math.isnan(with_nan[1])
    assert with_nan[[0, 2]] == pytest.approx(groups.correct([0.01, 0.02], method))


# --- effect sizes ----------------------------------------------------------------------------------------------------


def test_delong_variance_against_the_naive_placements():
    a, b = two_samples(5, 12, 9)
    wins = (np.subtract.outer(a, b) > 0) + 0.5 * (np.subtract.outer(a, b) == 0)
    variance = wins.mean(1).var(ddof=1) / 12 + wins.mean(0).var(ddof=1) / 9
    value = wins.mean()
    half_width = 1.959963985 * math.sqrt(variance) / (value * (1 - value))
    expected = [1 / (1 + math.exp(-(math.log(value / (1 - value)) + sign * half_width))) for sign in (-1, 1)]
    assert groups.auc(a, b)[1:] == pytest.approx(expected)


def test_intervals_against_a_bootstrap():
    a, b = two_samples(6, 150, 120)

    def boot(statistic):
        interval = stats.bootstrap(
            (a, b), statistic, n_resamples=1500, method="BCa", rng=np.random.default_rng(0)
        ).confidence_interval
        return interval.low, interval.high

    assert groups.auc(a, b)[1:] == pytest.approx(boot(lambda x, y: groups.auc(x, y).value), abs=0.02)
    assert groups.hedges_g(a, b)[1:] == pytest.approx(boot(lambda x, y: groups.hedges_g(x, y).value), abs=0.06)


def test_paired_intervals_against_a_bootstrap():
    rng = np.random.default_rng(7)
    d, zero = rng.normal(0.25, 1, 150), np.zeros(150)
    for effect, tolerance in ((groups.rank_biserial, 0.03), (groups.hedges_g_paired, 0.05)):
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


@pytest.mark.parametrize(("n_a", "n_b", "sd", "shift"), [(10, 10, 1, 0.5), (10, 60, 4, 0.5), (5, 5, 1, 2)])
def test_auc_intervals_cover(n_a, n_b, sd, shift):
    rng = np.random.default_rng(8)
    truth = stats.norm.cdf(shift / math.hypot(sd, 1))
    held = coverage(truth, lambda: groups.auc(rng.normal(shift, sd, n_a), rng.normal(0, 1, n_b)))
    assert 0.93 <= held <= 0.995


@pytest.mark.parametrize(("n_a", "n_b"), [(4, 4), (15, 40)])
def test_hedges_g_intervals_cover_exactly_for_normal_scores(n_a, n_b):
    rng = np.random.default_rng(9)
    held = coverage(0.8, lambda: groups.hedges_g(rng.normal(0.8, 1, n_a), rng.normal(0, 1, n_b)), 1000)
    assert held == pytest.approx(0.95, abs=0.02)  # three standard errors of 1000 repeats


def test_hedges_g_is_unbiased():
    rng = np.random.default_rng(10)
    found = [groups.hedges_g(rng.normal(1, 1, 4), rng.normal(0, 1, 4)).value for _ in range(4000)]
    assert np.mean(found) == pytest.approx(1, abs=4 * np.std(found) / math.sqrt(len(found)))


@pytest.mark.parametrize("n", [12, 60])
def test_rank_biserial_intervals_cover(n):
    rng = np.random.default_rng(11)
    truth = 2 * stats.norm.cdf(0.4 * math.sqrt(2)) - 1  # P(d_i + d_j > 0) for normal differences
    held = coverage(truth, lambda: groups.rank_biserial(rng.normal(0.4, 1, n), np.zeros(n)))
    assert 0.92 <= held <= 0.995


def test_rank_biserial_by_hand():
    # Differences 1, -2, 3, 0 (left out), 4: ranks 1 2 3 4, W+ = 8, W- = 2.
    estimate = groups.rank_biserial(np.array([1.0, 0, 3, 5, 4]), np.array([0.0, 2, 0, 5, 0]))
    assert estimate.value == pytest.approx(0.6)


def test_small_sample_factor_against_its_integral():
    # J is what frees d of its bias: 1 / E[sqrt(df / chi-square)].
    for df in (2, 7, 30):
        mean, _ = integrate.quad(lambda x, df=df: math.sqrt(df / x) * stats.chi2.pdf(x, df), 0, np.inf)
        assert groups.small_sample_factor(df) == pytest.approx(1 / mean, rel=1e-5)


@pytest.mark.parametrize(("n_a", "n_b"), [(2, 2), (10, 10), (30, 200)])
def test_separated_groups_have_a_limit_on_one_side(n_a, n_b):
    a, b = np.arange(n_a) + 1000.0, np.arange(n_b) * 1.0
    value, low, high = groups.auc(a, b)
    assert value == high == 1
    # Newcombe's method 5: the limit is the theta whose interval just reaches 1.
    extra = (n_a + n_b) / 2 - 1
    variance = low * (1 - low) * (1 + extra * (1 - low) / (2 - low) + extra * low / (1 + low)) / (n_a * n_b)
    assert 1 - low == pytest.approx(1.959963985 * math.sqrt(variance), rel=1e-6)
    assert groups.auc(b, a) == pytest.approx((0, 0, 1 - low))


def test_scores_without_spread_have_no_effect_size_and_no_t():
    tenth, fifth = np.full(3, 0.1), np.full(5, 0.2)  # their computed sd is not exactly zero
    assert all(map(math.isnan, groups.hedges_g(tenth, fifth)))
    for name in ("welch-t", "student-t"):
        assert math.isnan(groups.run_test(groups.TESTS[name], tenth, fifth).p)
    assert groups.auc(fifth, tenth).value == 1
    same = groups.auc(tenth, tenth)
    assert same.value == 0.5
    assert same.low < 0.3 < 0.7 < same.high
    assert math.isnan(groups.rank_biserial(tenth, tenth).value)


def test_a_million_scores_take_seconds():
    rng = np.random.default_rng(12)
    a, b = group("a", rng.normal(size=300_000)), group("b", rng.normal(0.01, 1, 300_000))
    results = groups.compare([a, b], list(groups.TESTS)[:4])
    assert len(results) == 4  # an n x n matrix of these would be 720 GB
    assert results[0].effects.auc.value == pytest.approx(0.4972, abs=0.003)


# --- the whole comparison --------------------------------------------------------------------------------------------


def test_rows_without_a_score_are_left_out_and_counted():
    nan = math.nan
    a, b = group("a", [1, nan, 3, 4, 5]), group("b", [2, 1, nan, 1, 2])
    independent = groups.compare([a, b], ["mann-whitney"])[0]
    assert (independent.n_a, independent.n_b, independent.n_left_out) == (4, 4, 2)
    paired = groups.compare([a, b], ["paired-t"], paired=True)[0]
    assert (paired.n_a, paired.n_b, paired.n_left_out) == (3, 3, 2)
    assert paired.outcome.statistic == pytest.approx(stats.ttest_rel([1, 4, 5], [2, 1, 2]).statistic)
    assert groups.summarise(a.scores) | {"mean": 3.25, "n": 4, "n_not_scored": 1} == groups.summarise(a.scores)


def test_every_test_of_the_run_counts_in_the_correction():
    samples = [group(name, two_samples(seed)[0]) for seed, name in enumerate("abc")]
    results = groups.compare(samples, ["mann-whitney", "welch-t"])
    assert len(results) == 2 + 3 * 2
    assert [r.p_corrected for r in results] == pytest.approx(groups.correct([r.outcome.p for r in results], "holm"))


def test_tutorial_makes_the_tutorials_two_calls():
    a, b = two_samples(13, 50, 50)
    t, signed_rank = groups.compare([group("a", a), group("b", b)], tutorial=True)
    assert t.outcome[:2] == pytest.approx(tuple(stats.ttest_ind(a, b))[:2])
    assert signed_rank.outcome[:2] == pytest.approx(tuple(stats.wilcoxon(a, b)))


@pytest.mark.parametrize(
    ("samples", "options", "message"),
    [
        ([[1, 2, 3]], {}, "found 1 group, need at least two"),
        ([[1, 2], [1, math.nan]], {}, "group 'b' has 1 scored row of 2"),
        ([[1, 2], [1, 2, 3]], {"paired": True}, "group 'a' has 2 rows and group 'b' has 3"),
        ([[1, 2], [3, 4]], {"paired": True, "tests": ["welch-t"]}, "welch-t takes independent groups"),
        ([[1, 2], [3, 4]], {"tests": ["paired-t"]}, "paired-t needs rows that belong together"),
        ([[1, 2, math.nan], [math.nan, 3, 4]], {"paired": True}, "fewer than two pairs with both scores"),
        ([[1, 2], [3, 4], [5, 6]], {"tutorial": True}, "exactly two groups, found 3"),
        ([[1, 2], [3, 4, 5]], {"tutorial": True}, "need equal counts"),
    ],
)
def test_groups_and_tests_that_do_not_go_together_are_refused(samples, options, message):
    with pytest.raises(UserError, match=message):
        groups.compare([group(label, s) for label, s in zip("abc", samples, strict=False)], **options)
