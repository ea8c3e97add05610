"""How well scores fit labels: AUROC, average precision and sensitivities, or correlations, with 95 % intervals.

Pure functions on arrays. Scores are *oriented*: a larger number stands for the positive label. Everything costs
O(n log n) in the number of rows.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import special, stats
from sklearn import metrics as sklearn_metrics

from dna_lm import estimates
from dna_lm.estimates import UNDEFINED, Estimate, Z
from dna_lm.evaluate import resampling

SPECIFICITIES = (0.9, 0.95, 0.99)

# With fewer positives, negatives or measured rows nothing is computed.
FEWEST = 5
# With fewer clusters no interval and no test is computed.
FEWEST_CLUSTERS = 5
# An average precision is widened below so many expected misses (see `estimates.with_few_trials`).
_FEW = 5


@dataclass(frozen=True)
class Fit:
    """How well one score fits. Binary labels: `main` is the AUROC; measured ones: `main` is Spearman's correlation."""

    main: Estimate = UNDEFINED
    average_precision: Estimate = UNDEFINED
    sensitivities: tuple[float, ...] = (math.nan,) * len(SPECIFICITIES)
    pearson: float = math.nan
    is_constant: bool = False


@dataclass(frozen=True)
class Difference:
    """One score against another on the same rows: `main` and average precision of the first minus the second."""

    main: Estimate
    p: float
    average_precision: Estimate = UNDEFINED


@dataclass(frozen=True)
class Fits:
    """Fits of several scores on the same rows, and what their comparison needs.

    covariance: (scores, scores), of the `main` metrics; resampled: average precisions (resamples, scores), or None;
    n_resamples: how many resamples were used; null_errors: of each score, the standard error of its `main` metric if it
    had nothing to do with the labels (0 for a constant score); df: degrees of freedom of the errors.
    """

    fits: list[Fit]
    covariance: np.ndarray
    resampled: np.ndarray | None
    n_resamples: int
    null_errors: np.ndarray
    df: float = math.inf

    def difference(self, a: int, b: int) -> Difference:
        """Score `a` minus score `b`, both numbers of the list, with its two-sided p.

        z = difference / standard error, after DeLong et al. 1988, or with the standard error of the resamples; of
        clusters, Student's t instead. When both scores separate the labels completely or are constant, the estimated
        error is 0; then it is that of two scores that have nothing to do with the labels, at its largest.
        """
        difference = self.fits[a].main.value - self.fits[b].main.value
        if not np.isfinite(self.covariance).all():
            return Difference(Estimate(difference, math.nan, math.nan), math.nan)
        variance = self.covariance[a, a] + self.covariance[b, b] - 2 * self.covariance[a, b]
        error = math.sqrt(variance) if variance > 1e-18 else 0.0
        if error == 0 and difference != 0:
            error = float(self.null_errors[a] + self.null_errors[b])
        p = 1.0 if difference == 0 else 2 * _lower_tail(-abs(difference) / error, self.df) if error else math.nan
        quantile = _quantile(self.df)
        limits = (difference - quantile * error, difference + quantile * error)
        if self.resampled is None:
            return Difference(Estimate(difference, *limits), p)
        precisions = [self.fits[score].average_precision.value for score in (a, b)]
        gained = self.resampled[:, a] - self.resampled[:, b]
        half_width = quantile * float(gained.std(ddof=1))
        gain = precisions[0] - precisions[1]
        return Difference(Estimate(difference, *limits), p, Estimate(gain, gain - half_width, gain + half_width))


def _lower_tail(t: float, df: float) -> float:
    return float(special.ndtr(t) if math.isinf(df) else special.stdtr(df, t))


def _quantile(df: float) -> float:
    """The 97.5 % quantile of Student's t; of the normal distribution with infinitely many degrees of freedom."""
    return float(Z if math.isinf(df) else special.stdtrit(df, (1 + estimates.CONFIDENCE) / 2))


# --- binary labels ---------------------------------------------------------------------------------------------------


def binary(scores: list[np.ndarray], labels: np.ndarray, clusters: np.ndarray | None, seed: int, number: int) -> Fits:
    """Fits of oriented scores, float64 (n,) each, to `labels`, bool (n,), with at least `FEWEST` of either.

    Without clusters, the AUROC has DeLong's interval (`estimates.auc_of_placements`). clusters: codes (n,) from 0; then
    its error is that of `number` bootstraps of whole clusters, with one degree of freedom less than there are clusters.
    The average precision has the error of `number` bootstraps of rows, positives and negatives each among themselves,
    or of clusters; its interval is on the logit scale with one degree of freedom less than there are positives
    (clusters); without clusters and near 1 it is widened as that of an AUC (`estimates.with_few_trials`).
    """
    n_positive, n_negative = int(labels.sum()), int((~labels).sum())
    placed = [estimates.placements(score[labels], score[~labels]) for score in scores]
    resampled = resampling.binary(scores, labels, clusters, seed, number)
    can_resample = len(resampled) >= 2
    trials, n_clusters = n_positive, None
    if clusters is None:
        mains = [estimates.auc_of_placements(*each) for each in placed]
        parts = [np.array([each[side] for each in placed]) for side in (0, 1)]
        covariance = sum(np.atleast_2d(np.cov(part)) / part.shape[1] for part in parts)
    else:
        n_clusters = int(clusters.max()) + 1
        trials = min(len(np.unique(clusters[labels])), len(np.unique(clusters[~labels])))
        can_resample = can_resample and trials >= FEWEST_CLUSTERS
        covariance = np.full((len(scores), len(scores)), math.nan)
        if can_resample:
            covariance = np.atleast_2d(np.cov(resampled[:, :, 0], rowvar=False))
        errors = np.sqrt(np.diag(covariance))
        mains = [
            _limited(float(each[0].mean()), error, n_clusters - 1, trials, widen=False)
            for each, error in zip(placed, errors, strict=True)
        ]
    df = (n_clusters or n_positive) - 1
    fits = []
    for at, (score, main) in enumerate(zip(scores, mains, strict=True)):
        precision = float(sklearn_metrics.average_precision_score(labels, score))
        if is_constant := bool(np.ptp(score) == 0):  # 0.5 and the prevalence by definition, not by chance
            main, error = Estimate(main.value, math.nan, math.nan), math.nan
        else:
            error = float(resampled[:, at, 1].std(ddof=1)) if can_resample else math.nan
        # Near 1 few rows decide, as of an AUROC; near the prevalence, its least value, they do not.
        interval = _limited(precision, error, df, trials, widen=clusters is None and precision > 0.5)
        fits.append(Fit(main, interval, _sensitivities(labels, score), is_constant=is_constant))
    error = math.sqrt((n_positive + n_negative + 1) / (12 * n_positive * n_negative))
    null_errors = np.array([0.0 if fit.is_constant else error for fit in fits])
    precisions = resampled[:, :, 1] if can_resample else None
    return Fits(fits, covariance, precisions, len(resampled), null_errors, n_clusters - 1 if n_clusters else math.inf)


def _limited(value: float, error: float, df: float, trials: int, widen: bool) -> Estimate:
    """A share with its interval from a standard error; of a share of 0 or 1, and of few trials, from their number."""
    if math.isnan(error):
        return Estimate(value, math.nan, math.nan)
    if value in (0, 1) or error == 0:
        return Estimate(value, *estimates.wilson(value, trials))
    limits = estimates.on_logit_scale(value, error, df)
    return Estimate(value, *(estimates.with_few_trials(limits, value, trials, _FEW) if widen else limits))


def _sensitivities(labels: np.ndarray, score: np.ndarray) -> tuple[float, ...]:
    """The largest share of positives at or above a threshold at which a specificity is reached, for `SPECIFICITIES`."""
    alarms, found, _ = sklearn_metrics.roc_curve(labels, score, drop_intermediate=False)
    # Rounding must not lose a threshold at which exactly this share of the negatives is below.
    return tuple(float(found[alarms <= 1 - specificity + 1e-12].max()) for specificity in SPECIFICITIES)


# --- measured labels -------------------------------------------------------------------------------------------------


def measured(
    scores: list[np.ndarray], numbers: np.ndarray, clusters: np.ndarray | None, seed: int, number: int
) -> Fits:
    """Fits of oriented scores, float64 (n,) each, to measured `numbers` (n,), of at least `FEWEST` rows.

    Spearman's correlation has the interval of Fisher's z with the variance of Bonett and Wright 2000; with clusters
    (codes (n,) from 0) the error is that of `number` bootstraps of whole clusters. Differences of two scores have the
    error of the bootstrap in either case. The correlation of a constant is undefined.
    """
    n = len(numbers)
    varied = [at for at, score in enumerate(scores) if np.ptp(score) and np.ptp(numbers)]
    resampled = np.empty((0, len(varied)))
    if varied:
        resampled = resampling.rank_correlations([scores[at] for at in varied], numbers, clusters, seed, number)
    n_clusters = None if clusters is None else int(clusters.max()) + 1
    covariance = np.full((len(scores), len(scores)), math.nan)
    if len(resampled) >= 2 and (n_clusters is None or n_clusters >= FEWEST_CLUSTERS):
        covariance[:] = 0
        covariance[np.ix_(varied, varied)] = np.atleast_2d(np.cov(resampled, rowvar=False))
    fits = []
    for at, score in enumerate(scores):
        if at not in varied:
            fits.append(Fit(is_constant=True))
            continue
        value = float(stats.spearmanr(score, numbers).statistic)
        if n_clusters is None:
            limits = spearman_limits(value, n)
        else:
            limits = _fisher_limits(value, math.sqrt(covariance[at, at]) / max(1 - value**2, 1e-12), n_clusters - 1)
        pearson = float(stats.pearsonr(score, numbers).statistic)
        fits.append(Fit(Estimate(value, *limits), pearson=pearson))
    null_errors = np.array([0.0 if fit.is_constant else 1 / math.sqrt(n - 1) for fit in fits])
    return Fits(fits, covariance, None, len(resampled), null_errors, n_clusters - 1 if n_clusters else math.inf)


def spearman_limits(rho: float, n: int) -> tuple[float, float]:
    """The 95 % interval of Spearman's correlation of n rows: tanh(atanh rho +- z sqrt((1 + rho^2 / 2) / (n - 3))).

    Bonett and Wright 2000 (doi 10.1007/BF02294183). For a correlation of 1 or -1 the other limit is that of the nearest
    correlation that n rows can have, 6 * 2 / (n (n^2 - 1)) away.
    """
    inner = rho - math.copysign(12 / (n * (n * n - 1)), rho) if abs(rho) > 1 - 1e-12 else rho
    low, high = _fisher_limits(inner, math.sqrt((1 + inner**2 / 2) / (n - 3)), math.inf)
    return (-1.0 if rho < -1 + 1e-12 else low), (1.0 if rho > 1 - 1e-12 else high)


def _fisher_limits(rho: float, error: float, df: float) -> tuple[float, float]:
    """Limits of a correlation from the standard error of its Fisher's z."""
    if math.isnan(error):
        return math.nan, math.nan
    centre = math.atanh(min(max(rho, -1 + 1e-12), 1 - 1e-12))
    half_width = _quantile(df) * error
    return math.tanh(centre - half_width), math.tanh(centre + half_width)
