"""Comparison of labelled score columns: summaries, and every test and effect size of every pair of groups.

Pure functions on arrays; this module knows no files, plots or Galaxy.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dna_lm.compare.effect_sizes import hedges_g, hedges_g_paired, rank_biserial, to_delta
from dna_lm.compare.hypothesis_tests import (
    DEFAULT_PAIRED_TESTS,
    DEFAULT_TESTS,
    DUNN,
    OMNIBUS_TESTS,
    TESTS,
    TUTORIAL_TESTS,
    Outcome,
    Test,
    run_test,
)
from dna_lm.errors import UserError, counted, quoted
from dna_lm.estimates import UNDEFINED, Estimate, auc, correct

# The fourth power of a score is part of Welch's degrees of freedom: that of a smaller number can be rounded to 0.
_SMALLEST = 1e-70


@dataclass(frozen=True)
class Group:
    """One group: its label, its scores (1-D float64, NaN where a row was not scored).

    pairing: a sentence about how its rows were paired with those of the first group, if there is something to say.
    """

    label: str
    scores: np.ndarray
    pairing: str = ""

    @property
    def scored(self) -> np.ndarray:
        """The scores without NaN."""
        return self.scores[~np.isnan(self.scores)]


def without_small(groups: Sequence[Group]) -> tuple[list[Group], str]:
    """The groups that can be compared, and which ones were left out, in words: those with fewer than two scored rows.

    All are kept when fewer than two would remain: `compare` then says what is wrong.
    """
    small = [group for group in groups if len(group.scored) < 2]
    if not small or len(groups) - len(small) < 2:
        return list(groups), ""
    shown = ", ".join(f"{quoted(group.label, 30)} ({len(group.scored)})" for group in small[:4])
    n_more = len(small) - 4
    left_out = shown + (f" and {n_more} more" if n_more > 0 else "")
    return [group for group in groups if len(group.scored) >= 2], left_out


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
    exponent = _exponent(scored)
    return {
        "n": len(scored),
        "n_not_scored": len(scores) - len(scored),
        "mean": scored.mean(),
        "sd": np.ldexp(np.ldexp(scored, -exponent).std(ddof=1), exponent),
        "median": median,
        "q1": q1,
        "q3": q3,
        "min": minimum,
        "max": maximum,
    }


def _exponent(scores: np.ndarray) -> int:
    """What the scores are to be divided by, as a power of two, for their squares to be numbers: 0 but for tiny ones."""
    largest = np.abs(scores).max()
    return int(np.frexp(largest)[1]) if largest < _SMALLEST else 0


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
    together. correction: one of `CORRECTIONS`, over the pairs of groups, for each test. tutorial: the tutorial's two
    tests of every pair of groups instead, and no test of all groups. Tests of all groups come first. Raises `UserError`
    for groups or tests that do not go together.
    """
    _check_groups(groups)
    # No test and no effect size depends on the scores' unit.
    exponent = _exponent(np.concatenate([group.scored for group in groups]))
    groups = [replace(group, scores=np.ldexp(group.scores, -exponent)) for group in groups]
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
        belonging = {test.omnibus for test in chosen.values()}
        for name, test in ((name, test) for name, test in OMNIBUS_TESTS.items() if name in belonging):
            rows.append((None, None, name, 0, 0, left_out, run_test(test, *scored), Effects()))
    for a, b in itertools.combinations(groups, 2):
        effects = _paired_effects(*complete_pairs(a, b)) if paired else _effects(a.scored, b.scored)
        for name, test in chosen.items():
            x, y = complete_pairs(a, b) if test.paired else (a.scored, b.scored)
            left_out = len(a.scores) - len(x) if test.paired else len(a.scores) + len(b.scores) - len(x) - len(y)
            ranked_too = [group.scored for group in groups if group is not a and group is not b] if name == DUNN else []
            outcome = run_test(test, x, y, *ranked_too)
            rows.append((a.label, b.label, name, len(x), len(y), left_out, outcome, effects))
    results = [Result(*row[:-1], math.nan, row[-1]) for row in rows]
    # A family is one kind of test over all pairs: what is found of a pair does not depend on what other tests are made.
    for name in {result.test for result in results}:
        family = [at for at, result in enumerate(results) if result.test == name]
        corrected = correct([results[at].outcome.p for at in family], correction)
        for at, p in zip(family, corrected, strict=True):
            results[at] = replace(results[at], p_corrected=float(p))
    return results


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
        raise UserError(
            '"Make the two tests of the tutorial instead" (--tutorial) excludes "Tests of each pair of groups" '
            "(--tests) and paired rows: leave them out"
        )
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
