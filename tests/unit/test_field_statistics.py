"""Statistics that agree with R: known answers of its packages, and the coverage of intervals."""

import itertools
import math

import numpy as np
import pytest
from scipy import special, stats

from conftest import ROOT
from dna_lm import estimates
from dna_lm.compare import hypothesis_tests as tests
from dna_lm.compare.statistics import Group, compare

A, B = np.array([1, 2, 2, 3, 5, 5, 7.0]), np.array([2, 3, 3, 5, 8, 9.0])
C, D = np.array([1, 1, 1, 2.0]), np.array([1, 1, 3, 3, 4, 4, 4.0])


@pytest.mark.parametrize(
    ("a", "b", "p"),
    [
        # R 4.4: coin::wilcox_test(..., distribution = "exact") and exactRankTests::wilcox.exact
        (A, B, 0.3548951),
        (C, D, 0.0969697),
    ],
)
def test_rank_sums_with_ties_are_those_of_coin(a, b, p):
    assert tests.mann_whitney(a, b).p == pytest.approx(p, abs=1e-7)
    # By hand: the share of all splits whose rank sum is at least as far from its mean.
    ranks = stats.rankdata(np.concatenate((a, b)))
    sums = np.array([sum(chosen) for chosen in itertools.combinations(ranks, len(a))])
    distances = np.abs(sums - sums.mean())
    assert np.mean(distances >= abs(ranks[: len(a)].sum() - sums.mean()) - 1e-9) == pytest.approx(p, abs=1e-7)


def test_signed_ranks_with_ties_are_those_of_exact_rank_tests():
    difference = np.array([1, 1, -2, 3, 3, -1, 4, 0.5])
    assert tests.signed_rank(difference, np.zeros(8)).p == pytest.approx(0.1875)  # wilcox.exact(difference)


@pytest.mark.parametrize(
    ("a", "b", "p"),
    [
        # R 4.4: ks.test(a, b, exact = TRUE)
        (A, B, 0.5967366),
        (C, D, 0.1060606),
    ],
)
def test_kolmogorov_smirnov_with_ties_is_that_of_r(a, b, p):
    assert tests.kolmogorov_smirnov(a, b).p == pytest.approx(p, abs=1e-7)


@pytest.mark.parametrize("seed", range(20))
def test_kolmogorov_smirnov_counts_all_splits(seed):
    random = np.random.default_rng(seed)
    a, b = random.integers(0, 4, random.integers(2, 6)), random.integers(0, 5, random.integers(2, 6))
    pooled = np.concatenate((a, b)).astype(float)
    gaps = []
    for chosen in itertools.combinations(range(len(pooled)), len(a)):
        is_a = np.isin(np.arange(len(pooled)), chosen)
        gaps.append(stats.ks_2samp(pooled[is_a], pooled[~is_a], method="asymp").statistic)
    found = tests.kolmogorov_smirnov(a.astype(float), b.astype(float))
    assert found.p == pytest.approx(np.mean(np.array(gaps) >= found.statistic - 1e-9), abs=1e-9)


def test_without_ties_kolmogorov_smirnov_is_scipys():
    random = np.random.default_rng(0)
    a, b = random.normal(size=30), random.normal(0.4, size=20)
    assert tests.kolmogorov_smirnov(a, b).p == stats.ks_2samp(a, b).pvalue


def test_welchs_anova_is_that_of_r():
    """oneway.test(values ~ group)"""
    groups = [np.array(g) for g in ([2.1, 3.4, 1.9, 5.5], [4.4, 6.1, 7.3, 5.2, 6.6], [1, 9, 2, 14, 3.0])]
    found = tests.welch_anova(*groups)
    assert found == pytest.approx((3.485369, 0.09768727, 2, 6.114164), abs=1e-6)


def test_dunns_test_ranks_all_groups_together():
    """Of two groups its z squared is the H of Kruskal and Wallis. Of three it is the formula of Dunn 1964."""
    assert tests.dunn(A, B).statistic ** 2 == pytest.approx(stats.kruskal(A, B).statistic)
    assert tests.dunn(A, B).p == pytest.approx(stats.kruskal(A, B).pvalue)
    groups = [Group("a", A), Group("b", B), Group("c", D)]
    found = {(row.a, row.b): row.outcome for row in compare(groups, ["dunn"]) if row.a}
    ranks = np.split(stats.rankdata(np.concatenate((A, B, D))), [7, 13])
    n, ties = 20, np.unique(np.concatenate((A, B, D)), return_counts=True)[1]
    for (x, y), (a, b) in zip(itertools.combinations("abc", 2), itertools.combinations(ranks, 2), strict=True):
        spread = (n * (n + 1) / 12 - sum(t**3 - t for t in ties) / 12 / (n - 1)) * (1 / len(a) + 1 / len(b))
        z = (a.mean() - b.mean()) / math.sqrt(spread)
        assert found[x, y].statistic == pytest.approx(z) and found[x, y].p == pytest.approx(2 * special.ndtr(-abs(z)))


def groups_of(n):
    random = np.random.default_rng(4)
    return [Group(name, random.normal(shift, 1, n)) for name, shift in zip("abcd", (0, 0.6, 0.9, 0.3), strict=True)]


def test_a_pairs_verdict_does_not_depend_on_the_other_tests():
    """One kind of test over all pairs is a family: its p-values are corrected together, and no others with them."""
    alone = {(row.a, row.b): row for row in compare(groups_of(30), ["mann-whitney"]) if row.a}
    several = compare(groups_of(30), ["welch-t", "mann-whitney", "student-t", "dunn"])
    for row in (row for row in several if row.test == "mann-whitney"):
        assert row.p_corrected == alone[row.a, row.b].p_corrected
    p = [row.outcome.p for row in alone.values()]
    order = np.argsort(p)
    held, largest = [0.0] * 6, 0.0
    for place, at in enumerate(order):
        largest = held[at] = max(largest, min(1, p[at] * (6 - place)))
    assert [row.p_corrected for row in alone.values()] == pytest.approx(held)


@pytest.mark.parametrize(
    ("chosen", "omnibus"),
    [
        (None, {"kruskal-wallis", "welch-anova"}),
        (["student-t"], {"anova"}),
        (["dunn"], {"kruskal-wallis"}),
        (["welch-t"], {"welch-anova"}),
    ],
)
def test_the_tests_of_all_groups_belong_to_those_of_the_pairs(chosen, omnibus):
    rows = [row for row in compare(groups_of(8), chosen) if row.a is None]
    assert {row.test for row in rows} == omnibus
    assert all(row.p_corrected == row.outcome.p for row in rows)


# --- intervals of an AUC ---------------------------------------------------------------------------------------------

SIZES = (5, 50), (13, 40), (20, 20), (40, 400), (100, 100)
AREAS = 0.5, 0.72, 0.9, 0.97
KINDS = "normal", "exponential"
N = 400
PAGE = ROOT / "docs" / "measurements.md"


def coverage(n_a, n_b, area, kind):
    """How often intervals of `N` samples hold the true AUC, their mean width, and that of DeLong's without widening."""
    random = np.random.default_rng([n_a, n_b, int(1000 * area)])
    held, widths, plain = 0, [], []
    for _ in range(N):
        if kind == "normal":
            a, b = random.normal(math.sqrt(2) * special.ndtri(area), 1, n_a), random.normal(0, 1, n_b)
        else:
            a, b = random.exponential(area / (1 - area), n_a), random.exponential(1, n_b)
        placed = estimates.placements(a, b)
        _, low, high = estimates.auc_of_placements(*placed)
        held += low <= area <= high
        widths.append(high - low)
        value = placed[0].mean()
        error = math.sqrt(sum(part.var(ddof=1) / len(part) for part in placed))
        if 0 < value < 1 and error:
            plain.append(np.ptp(estimates.on_logit_scale(value, error, math.inf)))
    return held / N, np.mean(widths), np.mean(plain)


def coverage_table():
    lines = [
        "| rows | true AUC | coverage, normal | width | coverage, exponential | width |",
        "|---|---|---|---|---|---|",
    ]
    for (n_a, n_b), area in itertools.product(SIZES, AREAS):
        cells = [f"{held:.3f} | {width:.2f}" for held, width, _ in (coverage(n_a, n_b, area, k) for k in KINDS)]
        lines.append(f"| {n_a} and {n_b} | {area} | {' | '.join(cells)} |")
    return "\n".join(lines)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("area", AREAS)
@pytest.mark.parametrize(("n_a", "n_b"), SIZES)
def test_the_interval_of_an_auc_covers_and_is_not_too_wide(n_a, n_b, area, kind):
    held, width, plain = coverage(n_a, n_b, area, kind)
    # 0.92: 0.95 less three standard errors of 400 samples.
    assert held >= 0.92
    if min(n_a, n_b) * min(area, 1 - area) >= 3:
        assert held <= 0.985 and width < 1.15 * plain
    row = f"| {n_a} and {n_b} | {area} |"
    [line] = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith(row)]
    cells = [cell.strip() for cell in line.split("|")[3:-1]]
    shown = cells[:2] if kind == "normal" else cells[2:]
    # Another machine's numbers can differ in the last digit of a tie.
    assert float(shown[0]) == pytest.approx(held, abs=0.006) and float(shown[1]) == pytest.approx(width, abs=0.011)


if __name__ == "__main__":
    print(coverage_table())
