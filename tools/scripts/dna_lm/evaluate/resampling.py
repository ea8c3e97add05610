"""The bootstrap: metrics of one score or many on resampled rows or clusters, the same rows for every score.

A resample is a number of times for each row. Scores are replaced by the places of their distinct values once; what a
resample costs is then one pass over the rows for each score, without sorting.
"""

from collections.abc import Iterator

import numpy as np

RESAMPLES = 1_000
FEWEST_RESAMPLES = 100
# Rows times scores that all resamples together go through, and metrics that all strata together compute: each takes
# about 10 s of one core.
MOST_ROWS = 1_200_000_000
MOST_METRICS = 500_000

# Metrics of resamples tell this many thresholds of a score apart: neighbours of more are put together.
MAX_THRESHOLDS = 20_000


def n_resamples(n_rows: int, n_scores: int, n_strata: int = 1) -> int:
    """How many resamples to draw: `RESAMPLES`, and fewer of many rows, scores or strata."""
    affordable = min(MOST_ROWS // (n_rows * n_scores), MOST_METRICS // (n_scores * n_strata))
    return int(np.clip(affordable, FEWEST_RESAMPLES, RESAMPLES))


def places(values: np.ndarray) -> np.ndarray:
    """The place of each value (n,) among the distinct values in ascending order, from 0: int32 (n,).

    With more than `MAX_THRESHOLDS` distinct values, neighbours that hold about equally many rows share a place.
    """
    _, codes, counts = np.unique(values, return_inverse=True, return_counts=True)
    if len(counts) > MAX_THRESHOLDS:
        shared = (np.cumsum(counts) - 1) * MAX_THRESHOLDS // len(values)
        codes = np.unique(shared, return_inverse=True)[1][codes]
    return codes.astype(np.int32)


def _times(rng: np.random.Generator, n: int) -> np.ndarray:
    """How often each of n is drawn in n draws with replacement: (n,)."""
    return np.bincount(rng.integers(n, size=n, dtype=np.int32), minlength=n)


def draws(
    n: int, seed: int, labels: np.ndarray | None, clusters: np.ndarray | None, number: int
) -> Iterator[np.ndarray]:
    """How often each of n rows is in each of `number` resamples: arrays (n,).

    clusters: codes (n,) from 0: whole clusters are drawn. Without them, rows are drawn: positives and negatives of the
    `labels`, bool (n,), each among themselves, if they are given.
    """
    rng = np.random.default_rng(seed)
    for _ in range(number):
        if clusters is not None:
            yield _times(rng, int(clusters.max()) + 1)[clusters]
        elif labels is not None:
            drawn = np.empty(n, dtype=np.int64)
            for label in (True, False):
                drawn[labels == label] = _times(rng, int((labels == label).sum()))
            yield drawn
        else:
            yield _times(rng, n)


def auroc_and_precision(positive: np.ndarray, negative: np.ndarray) -> tuple[float, float]:
    """AUROC and average precision from how many positives and negatives have each place of a score, ascending.

    Both (places,). Average precision is the sum of precision times gain in recall over the thresholds, as scikit-learn
    defines it. NaN without a positive or a negative.
    """
    positive, negative = positive[::-1], negative[::-1]
    found, alarms = np.cumsum(positive), np.cumsum(negative)
    if not found[-1] or not alarms[-1]:
        return np.nan, np.nan
    auroc = (negative * (found - positive / 2)).sum() / (found[-1] * alarms[-1])
    at = positive > 0
    precision = (positive[at] * found[at] / (found[at] + alarms[at])).sum() / found[-1]
    return float(auroc), float(precision)


def binary(
    scores: list[np.ndarray], labels: np.ndarray, clusters: np.ndarray | None, seed: int, number: int
) -> np.ndarray:
    """AUROC and average precision of scores in resamples: (resamples, scores, 2).

    scores: oriented, float64 (n,) each; labels: bool (n,); clusters: codes (n,) or None. Resamples of clusters without
    a positive or a negative are left out.
    """
    coded = [places(score) for score in scores]
    sizes = [int(codes.max()) + 1 for codes in coded]
    of_label = {label: [codes[labels == label] for codes in coded] for label in (True, False)}
    found = np.empty((number, len(scores), 2))
    for row, times in enumerate(draws(len(labels), seed, labels, clusters, number)):
        positives, negatives = times[labels], times[~labels]
        for at, size in enumerate(sizes):
            found[row, at] = auroc_and_precision(
                np.bincount(of_label[True][at], positives, size), np.bincount(of_label[False][at], negatives, size)
            )
    return found[~np.isnan(found).any(axis=(1, 2))]


def rank_correlations(
    scores: list[np.ndarray], measured: np.ndarray, clusters: np.ndarray | None, seed: int, number: int
) -> np.ndarray:
    """Spearman's correlation of scores with a measured number in resamples: (resamples, scores).

    scores: oriented, float64 (n,) each; measured: float64 (n,); clusters: codes (n,) or None. Resamples in which a
    score or the measured number is constant are left out.
    """
    coded, against = [places(score) for score in scores], places(measured)
    found = np.empty((number, len(scores)))
    for row, times in enumerate(draws(len(measured), seed, None, clusters, number)):
        target = _resampled_ranks(against, times)
        for at, codes in enumerate(coded):
            found[row, at] = _correlation(_resampled_ranks(codes, times), target, times)
    return found[~np.isnan(found).any(axis=1)]


def _resampled_ranks(codes: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Mid-ranks of rows (n,) in a resample that has each of them so many times."""
    counts = np.bincount(codes, times)
    return (np.cumsum(counts) - counts / 2)[codes]


def _correlation(a: np.ndarray, b: np.ndarray, weights: np.ndarray) -> float:
    """Pearson's correlation of weighted rows (n,); NaN if `a` or `b` is constant."""
    total = weights.sum()
    a, b = a - (weights @ a) / total, b - (weights @ b) / total
    weighted = weights * a
    squares = (weighted @ a) * (weights @ (b * b))
    return float(weighted @ b / np.sqrt(squares)) if squares > 0 else np.nan
