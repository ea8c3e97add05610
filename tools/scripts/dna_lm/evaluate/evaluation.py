"""The whole evaluation: which rows are used, the metrics of each stratum, and the tests of scores against each other.

Knows joined rows and labels, and nothing of files, pictures or sentences.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

import numpy as np
from scipy import stats

from dna_lm.errors import UserError, quoted
from dna_lm.estimates import UNDEFINED, Estimate, correct
from dna_lm.evaluate import baselines, directions, metrics, resampling
from dna_lm.evaluate.joining import Rows
from dna_lm.evaluate.labels import Labels
from dna_lm.evaluate.metrics import FEWEST, FEWEST_CLUSTERS, Fit, Fits
from dna_lm.inputs.tables import quoted_list
from dna_lm.names import unlike

SCORE, ENSEMBLE, BASELINE = "score", "ensemble", "baseline"
ALL = "all"
EMPTY = "(empty)"

# A column with more values is probably not one that says the stratum.
MAX_STRATA = 10_000


@dataclass(frozen=True)
class Column:
    """A score, baseline or ensemble: `values` of all rows, `oriented` of the used rows, where larger means positive."""

    name: str
    kind: str
    direction: str
    values: np.ndarray
    oriented: np.ndarray


@dataclass(frozen=True)
class Line:
    """The metrics of one column in one stratum. `n`: rows used; of binary labels so many are positive and negative."""

    column: Column
    stratum: str
    n: int
    n_positive: int
    n_negative: int
    n_left_out: int
    fit: Fit = Fit()
    best_baseline: str = ""
    p: float = math.nan
    p_corrected: float = math.nan
    n_bootstrap: int = 0
    note: str = ""


@dataclass(frozen=True)
class Comparison:
    """Column `a` against column `b` on the same rows of a stratum: the difference of AUROCs or correlations, its p.

    `b` is the best baseline or another score. p is corrected after Holm over the `n_in_family` comparisons of its kind
    in the stratum: scores with the best baseline, scores with each other, and each of these of the ensemble.
    """

    stratum: str
    a: Column
    b: Column
    n: int
    fits: tuple[Fit, Fit]
    difference: Estimate
    p: float
    p_corrected: float
    average_precision: Estimate
    test: str
    n_in_family: int


@dataclass
class Evaluation:
    """Everything that was found. `used`: numbers of the rows used; `reasons`: why each row is left out, or None.

    strata: the stratum of each row, or None; ranks: score -> mid-rank of each used row, 1 for the one that points most
    to the positive label. missing_baselines: those that some used rows do not have.
    """

    rows: Rows
    labels: Labels
    is_measured: bool
    used: np.ndarray
    reasons: list[str | None]
    columns: list[Column]
    ranks: dict[str, np.ndarray]
    strata: list[str] | None
    n_clusters: int
    missing_baselines: list[str]
    lines: list[Line] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)

    def of_stratum(self, stratum: str) -> list[Line]:
        """The metrics of every column in one stratum."""
        return [line for line in self.lines if line.stratum == stratum]


def evaluate(
    rows: Rows,
    labels: Labels,
    given_directions: Mapping[str, str],
    *,
    is_measured: bool = False,
    strata: Sequence[str] | None = None,
    clusters: Sequence[str] | None = None,
    ensemble: Sequence[str] | None = None,
    seed: int = 1,
) -> Evaluation:
    """Metrics of every score, baseline and ensemble, for all rows and for each stratum.

    given_directions: of `directions.parse`; labels: a larger measured number stands for a larger effect; strata,
    clusters: a text for each row; ensemble: names of the scores whose ranks are averaged (None: all; empty: no
    ensemble). Raises `UserError` for directions and names that do not fit.
    """
    names = [(score.name, score.column) for score in rows.scores]
    ways = directions.of_scores(names, given_directions)
    combined = _combined(ensemble, names)
    reasons = _reasons(rows, labels, clusters)
    used = np.array([at for at, reason in enumerate(reasons) if reason is None], dtype=int)
    columns = [_column(score.name, SCORE, ways[score.name], score.values, used) for score in rows.scores]
    ranks = {column.name: stats.rankdata(-column.oriented) for column in columns}
    if combined:
        mean = np.full(len(reasons), math.nan)
        mean[used] = np.mean([ranks[name] for name in combined], axis=0)
        # A score may be called so.
        name = unlike(ENSEMBLE, ranks)
        columns.append(_column(name, ENSEMBLE, directions.DOWN, mean, used))
        ranks[name] = stats.rankdata(mean[used])
    missing = []
    for name, values in baselines.all_baselines(len(reasons), rows.counts, rows.alleles, seed).items():
        if np.isnan(values[used]).any():
            missing.append(name)
        else:
            columns.append(_column(name, BASELINE, directions.UP, values, used))
    named_strata = None if strata is None else [_stratum(text) for text in strata]
    if named_strata and len(set(named_strata)) > MAX_STRATA:
        raise UserError(
            f"the stratum column has {len(set(named_strata)):,} values: is it the column that says the stratum?"
        )
    codes = None if clusters is None else _codes([clusters[at] for at in used])[0]
    n_clusters = 0 if codes is None else len(np.unique(codes))
    found = Evaluation(rows, labels, is_measured, used, reasons, columns, ranks, named_strata, n_clusters, missing)
    _measure(found, codes, seed)
    return found


def _combined(ensemble: Sequence[str] | None, names: Sequence[tuple[str, str]]) -> list[str]:
    """The scores of the ensemble: of those given, each by its name or its column. Fewer than two make none."""
    if ensemble is None:
        combined = [name for name, _ in names]
        return combined if len(combined) > 1 else []
    for wanted in ensemble:
        if not any(wanted in pair for pair in names):
            raise UserError(
                f"--ensemble names {quoted(wanted)}, which is not one of the scores "
                f"{quoted_list([name for name, _ in names])}"
            )
    combined = [name for name, column in names if name in ensemble or column in ensemble]
    if len(combined) == 1:
        raise UserError(f"an ensemble of {quoted(combined[0])} alone is that score: name two scores or more")
    return combined


def _reasons(rows: Rows, labels: Labels, clusters: Sequence[str] | None) -> list[str | None]:
    """Why each row is left out: no score, then no label, then no cluster."""
    reasons = list(labels.reasons)
    for at, text in enumerate(clusters or ()):
        if reasons[at] is None and not text.strip():
            reasons[at] = "no cluster"
    several = len(rows.reasons) > 1
    for score in reversed(rows.scores):  # of several, the first score says why
        for at in np.flatnonzero(np.isnan(score.values)).tolist():
            text = rows.reasons[score.table][at] or f"no {score.column}"
            reasons[at] = f"{score.table}: {text}" if several else text
    return reasons


def _column(name: str, kind: str, direction: str, values: np.ndarray, used: np.ndarray) -> Column:
    return Column(name, kind, direction, values, values[used] * (1.0 if direction == directions.UP else -1.0))


def _codes(texts: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """A number from 0 for each text (n,), equal for equal texts, and the texts of these numbers."""
    names = {}
    codes = [names.setdefault(text, len(names)) for text in texts]
    return np.array(codes, dtype=int), list(names)


def _stratum(text: str) -> str:
    text = " ".join(text.split()) or EMPTY
    return f"{ALL} (value)" if text == ALL else text


def _measure(found: Evaluation, clusters: np.ndarray | None, seed: int) -> None:
    """Fill in the metrics and comparisons of all rows and of each stratum, the largest first."""
    strata = {ALL: np.arange(len(found.used))}
    n_rows = Counter({ALL: len(found.reasons)})
    if found.strata is not None:
        n_rows.update(found.strata)
        codes, names = _codes([found.strata[at] for at in found.used])
        ordered = np.argsort(codes, kind="stable")
        ends = np.cumsum(np.bincount(codes, minlength=len(names)))[:-1]
        parts = dict(zip(names, np.split(ordered, ends), strict=True)) if names else {}
        for name in sorted(set(found.strata), key=lambda name: (-len(parts.get(name, ())), name)):
            strata[name] = parts.get(name, np.array([], dtype=int))
    labels = found.labels.values[found.used]
    shorts = {name: _shortage(labels[at], found.is_measured) for name, at in strata.items()}
    n_computed = sum(not short for short in shorts.values())
    for name, at in strata.items():
        here = _Stratum(name, at, labels[at], n_rows[name] - len(at), shorts[name])
        _measure_stratum(found, here, None if clusters is None else clusters[at], seed, n_computed)


@dataclass(frozen=True)
class _Stratum:
    """`at`: its rows among the used ones; `short`: why nothing is computed, or empty."""

    name: str
    at: np.ndarray
    labels: np.ndarray
    n_left_out: int
    short: str


def _shortage(labels: np.ndarray, is_measured: bool) -> str:
    if is_measured:
        return f"too few: {len(labels)} rows, at least {FEWEST} are needed" if len(labels) < FEWEST else ""
    counts = int((labels == 1).sum()), int((labels == 0).sum())
    text = f"too few: {counts[0]} positive and {counts[1]} negative rows, at least {FEWEST} of each are needed"
    return text if min(counts) < FEWEST else ""


def _measure_stratum(
    found: Evaluation, stratum: _Stratum, clusters: np.ndarray | None, seed: int, n_computed: int
) -> None:
    n = len(stratum.at)
    counts = (0, 0) if found.is_measured else (int((stratum.labels == 1).sum()), int((stratum.labels == 0).sum()))
    blank = [Line(column, stratum.name, n, *counts, stratum.n_left_out, note=stratum.short) for column in found.columns]
    if stratum.short:
        found.lines += blank
        return
    scores = [column.oriented[stratum.at] for column in found.columns]
    number = resampling.n_resamples(n, len(scores), n_computed)
    if clusters is not None:
        clusters = np.unique(clusters, return_inverse=True)[1]
    if found.is_measured:
        fits = metrics.measured(scores, stratum.labels, clusters, seed, number)
    else:
        fits = metrics.binary(scores, stratum.labels == 1, clusters, seed, number)
    made = _comparisons(found, stratum, fits, clusters is not None)
    against_baseline = {(one.a.kind, one.a.name): one for one in made if one.b.kind == BASELINE}
    few_clusters = clusters is not None and not np.isfinite(fits.covariance).any()
    for line, fit in zip(blank, fits.fits, strict=True):
        note = "constant" if fit.is_constant else ""
        if few_clusters:
            note = f"too few clusters for an interval: fewer than {FEWEST_CLUSTERS}" + (f"; {note}" if note else "")
        line = replace(line, fit=fit, n_bootstrap=fits.n_resamples, note=note)
        if test := against_baseline.get((line.column.kind, line.column.name)):
            line = replace(line, best_baseline=test.b.name, p=test.p, p_corrected=test.p_corrected)
        found.lines.append(line)
    found.comparisons += made


def _family(a: Column, b: Column) -> tuple[bool, bool]:
    """Which comparisons are corrected together: against the best baseline or not, of the ensemble or not."""
    return b.kind == BASELINE, ENSEMBLE in (a.kind, b.kind)


def _comparisons(found: Evaluation, stratum: _Stratum, fits: Fits, clustered: bool) -> list[Comparison]:
    """Each score against the best baseline and, of all rows, against each other score."""
    columns = found.columns
    models = [at for at, column in enumerate(columns) if column.kind != BASELINE]
    others = [at for at, column in enumerate(columns) if column.kind == BASELINE]
    # Random numbers are no method. They are chance, which a report has in words.
    values = {at: fits.fits[at].main.value for at in others}
    methods = [at for at in others if columns[at].name != baselines.RANDOM and not math.isnan(values[at])] or others
    best = max(methods, key=lambda at: np.nan_to_num(values[at], nan=-math.inf))
    pairs = [(at, best) for at in models]
    if stratum.name == ALL:
        pairs += combinations(models, 2)
    differences = [fits.difference(a, b) for a, b in pairs]
    corrected = np.full(len(pairs), math.nan)
    # What is found of a score does not depend on whether it is compared with others too, or ranks are averaged.
    families = [_family(columns[a], columns[b]) for a, b in pairs]
    for family in set(families):
        of_family = [at for at, one in enumerate(families) if one == family]
        corrected[of_family] = correct([differences[at].p for at in of_family], "holm")
    test = "bootstrap" if found.is_measured else "delong"
    return [
        Comparison(
            stratum.name,
            columns[a],
            columns[b],
            len(stratum.at),
            (fits.fits[a], fits.fits[b]),
            difference.main,
            difference.p,
            float(p),
            UNDEFINED if found.is_measured else difference.average_precision,
            "cluster bootstrap" if clustered else test,
            sum(other == family and not math.isnan(of.p) for other, of in zip(families, differences, strict=True)),
        )
        for (a, b), difference, p, family in zip(pairs, differences, corrected, families, strict=True)
    ]
