"""Distances and counts against their definitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import distance

from dna_lm import scores

DNA = st.text("ACGT", max_size=25)


def levenshtein(a, b):
    """The textbook's table, one row at a time."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        previous, row = row, [i]
        for j, y in enumerate(b, 1):
            row.append(min(previous[j] + 1, row[-1] + 1, previous[j - 1] + (x != y)))
    return row[-1]


@given(DNA, DNA, DNA, DNA)
def test_differences_are_positions_or_edits(start, old, new, stop):
    wild_type, mutant = start + old + stop, start + new + stop
    found = scores.count_differences(wild_type, mutant)
    if len(wild_type) == len(mutant):
        assert found == sum(a != b for a, b in zip(wild_type, mutant, strict=True))
    else:
        assert found == levenshtein(wild_type, mutant)


@pytest.mark.parametrize(
    ("wild_type", "mutant", "changed"),
    [
        ([1, 7, 8, 2], [1, 7, 8, 2], 0),
        ([1, 7, 8, 2], [1, 7, 9, 2], 1),
        ([1, 7, 8, 9, 2], [1, 9, 8, 7, 2], 2),
        ([1, 7, 8, 2], [1, 7, 2], 1),
        ([1, 7, 7, 2], [1, 7, 7, 7, 2], 1),
        ([1, 5, 6, 2], [1, 9, 9, 9, 2], 3),
    ],
)
def test_changed_tokens(wild_type, mutant, changed):
    assert scores.count_changed_tokens(wild_type, mutant) == changed
    assert scores.count_changed_tokens(mutant, wild_type) == changed


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_distances_equal_scipys(seed):
    a, b = np.random.default_rng(seed).normal(size=(2, 5, 40))
    theirs = {"l2": distance.euclidean, "l1": distance.cityblock, "cosine_distance": distance.cosine}
    for name, expected in theirs.items():
        np.testing.assert_allclose(
            scores.SCORES[name].formula(a, b), [expected(x, y) for x, y in zip(a, b, strict=True)]
        )
    np.testing.assert_allclose(scores.inner_product(a, b), [np.dot(x, y) for x, y in zip(a, b, strict=True)])


def test_small_cosine_distances_keep_their_digits():
    a = np.random.default_rng(3).normal(size=(1, 256))
    assert scores.cosine_distance(a, a) == 0
    turned = a + 1e-9 * np.roll(a, 1)
    # |a x b|^2 / 2 for a small angle, in the parts that do not cancel.
    change = turned - a
    across = change - a * (change @ a.T) / (a @ a.T)
    expected = (across**2).sum() / (a**2).sum() / 2
    np.testing.assert_allclose(scores.cosine_distance(a, turned), expected, rtol=1e-5)


def test_the_cosine_of_nothing_is_undefined():
    assert np.isnan(scores.cosine_distance(np.zeros((1, 3)), np.ones((1, 3)))).all()
