"""The tables of an evaluation: metrics, comparisons and rows. Knows their columns, not how numbers are made."""

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from dna_lm.evaluate.evaluation import ENSEMBLE, SCORE, Comparison, Evaluation, Line
from dna_lm.evaluate.metrics import SPECIFICITIES
from dna_lm.inputs.tables import cell
from dna_lm.names import unlike

_FIRST = ("score", "kind", "direction", "stratum")
_LAST = ("best_baseline", "p_best_baseline", "p_best_baseline_corrected", "n_bootstrap", "note")
BINARY_METRICS = (
    *_FIRST,
    *("n_positive", "n_negative", "n_left_out", "auroc", "auroc_low", "auroc_high"),
    *("average_precision", "average_precision_low", "average_precision_high", "prevalence"),
    *(f"sensitivity_at_specificity_{specificity:g}" for specificity in SPECIFICITIES),
    *_LAST,
)
MEASURED_METRICS = (
    *_FIRST,
    *("n", "n_left_out", "spearman", "spearman_low", "spearman_high", "pearson"),
    *_LAST,
)
_COMPARED = ("stratum", "score_a", "score_b", "kind_b", "n")
_TESTED = ("difference", "difference_low", "difference_high", "test", "p", "p_corrected")
BINARY_COMPARISONS = (
    *_COMPARED,
    *("auroc_a", "auroc_b", *_TESTED),
    *("average_precision_a", "average_precision_b", "average_precision_difference"),
    *("average_precision_difference_low", "average_precision_difference_high"),
)
MEASURED_COMPARISONS = (*_COMPARED, "spearman_a", "spearman_b", *_TESTED)


def write_metrics(path: str, found: Evaluation) -> None:
    """One row for each score, ensemble or baseline in each stratum; a number that is not computed is an empty cell."""
    _write(
        path,
        MEASURED_METRICS if found.is_measured else BINARY_METRICS,
        (_metrics(line, found.is_measured) for line in found.lines),
    )


def _metrics(line: Line, is_measured: bool) -> list:
    fit = line.fit
    cells = [line.column.name, line.column.kind, line.column.direction, line.stratum]
    if not is_measured:
        prevalence = line.n_positive / line.n if line.n else None
        cells += [line.n_positive, line.n_negative, line.n_left_out, *fit.main, *fit.average_precision, prevalence]
        cells += fit.sensitivities
    else:
        cells += [line.n, line.n_left_out, *fit.main, fit.pearson]
    return [*cells, line.best_baseline, line.p, line.p_corrected, line.n_bootstrap, line.note]


def write_comparisons(path: str, found: Evaluation) -> None:
    """One row for each comparison of two columns on the same rows."""
    header = MEASURED_COMPARISONS if found.is_measured else BINARY_COMPARISONS
    _write(path, header, (_comparison(one, found.is_measured) for one in found.comparisons))


def _comparison(one: Comparison, is_measured: bool) -> list:
    cells = [one.stratum, one.a.name, one.b.name, one.b.kind, one.n]
    cells += [fit.main.value for fit in one.fits]
    cells += [*one.difference, one.test, one.p, one.p_corrected]
    if not is_measured:
        cells += [*(fit.average_precision.value for fit in one.fits), *one.average_precision]
    return cells


def write_rows(path: str, found: Evaluation) -> None:
    """One row for each row of the score tables: its label, its scores, and of a used row the rank in each score."""
    scores = [column for column in found.columns if column.kind == SCORE]
    ranked = [column.name for column in found.columns if column.kind in (SCORE, ENSEMBLE)]
    header = ["id", "label", "stratum", "used", "reason"]
    # A score may be called as another column is.
    for name in [column.name for column in scores] + [f"{name}_rank" for name in ranked]:
        header.append(unlike(name, header))
    n = len(found.reasons)
    labels = (found.labels.values * found.labels.sign).tolist()
    columns = [
        found.rows.ids,
        _numbers(labels) if found.is_measured else [_binary(label) for label in labels],
        found.strata or [""] * n,
        ("no" if reason else "yes" for reason in found.reasons),
        (reason or "" for reason in found.reasons),
        *(_numbers(column.values.tolist()) for column in scores),
        *(_numbers(_of_all(found.ranks[name], found.used, n)) for name in ranked),
    ]
    with open(path, "w", encoding="utf-8", newline="\n") as handle:
        handle.write("\t".join(header) + "\n")
        handle.writelines("\t".join(cells) + "\n" for cells in zip(*columns, strict=True))


def _binary(label: float) -> str:
    return "" if math.isnan(label) else ("positive" if label else "negative")


def _numbers(values: list[float]) -> Iterator[str]:
    """As `columns.cell`, for millions of numbers."""
    return (repr(value) if value == value else "" for value in values)


def _of_all(values: np.ndarray, used: np.ndarray, n: int) -> list[float]:
    """Numbers of the used rows as numbers of all rows, NaN for the others."""
    numbers = np.full(n, math.nan)
    numbers[used] = values
    return numbers.tolist()


def _write(path: str, header: Sequence[str], rows: Iterable[Sequence]) -> None:
    with open(path, "w", encoding="utf-8", newline="\n") as handle:
        for row in (header, *rows):
            handle.write("\t".join(map(cell, row)) + "\n")
