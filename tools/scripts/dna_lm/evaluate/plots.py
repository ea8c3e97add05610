"""Pictures of an evaluation: ROC and precision-recall curves, or scores against measured numbers. PNG, SVG or PDF.

Knows the results of `evaluation`, but neither tables nor tests. Names of scores are drawn as plain text.
"""

import math

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from sklearn import metrics as sklearn_metrics

from dna_lm.estimates import Estimate
from dna_lm.evaluate.evaluation import ALL, BASELINE, ENSEMBLE, Evaluation, Line
from dna_lm.names import shortened
from dna_lm.outputs.figures import COLOURS, LINES, METADATA, STYLE

# More curves or panels cannot be told apart: those with the best metric are drawn.
MAX_CURVES = 10
MAX_PANELS = 6

# Points of a curve, and rows that are drawn as single points.
MAX_STEPS = 2_000
MAX_POINTS = 2_000

# Grey is kept for baselines; yellow is too light for a line.
MODEL_COLOURS = COLOURS[:6]

MAX_NAME = 28
MAX_TITLE = 120
SMALL = 9


def draw(path: str, found: Evaluation, file_format: str, title: str = "") -> str | None:
    """Draw the curves (or scatter plots) of all used rows into `path`; return a sentence about what is left out."""
    models = [line for line in found.of_stratum(ALL) if line.column.kind != BASELINE]
    models.sort(key=lambda line: -np.nan_to_num(line.fit.main.value, nan=-2))
    limit = MAX_PANELS if found.is_measured else MAX_CURVES
    note = f"Drawn: the {limit} of {len(models)} scores with the best fit." if len(models) > limit else None
    shown = models[:limit]
    with plt.rc_context(STYLE):
        if shown[0].note.startswith("too few"):
            figure, axes = plt.subplots(figsize=(6, 3))
            axes.set_axis_off()
            axes.text(0.5, 0.5, shown[0].note.replace(":", ":\n"), ha="center", va="center", parse_math=False)
        elif found.is_measured:
            figure = _scatter_plots(found, shown)
        else:
            figure = _curves(found, shown)
        if title:
            figure.suptitle(shortened(title, MAX_TITLE), parse_math=False, fontsize=12)
        figure.savefig(path, format=file_format, dpi=150, bbox_inches="tight", metadata=METADATA[file_format])
        plt.close(figure)
    return note


def _text(name: str, estimate: Estimate) -> str:
    """`llr 0.87 (0.84–0.90)`."""
    text = f"{shortened(name, MAX_NAME)} {_number(estimate.value)}"
    return text if math.isnan(estimate.low) else f"{text} ({_number(estimate.low)}–{_number(estimate.high)})"


def _number(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:.2f}".replace("-", "−")


# --- curves ----------------------------------------------------------------------------------------------------------

Entry = tuple[Line2D, str]  # of a legend


def _curves(found: Evaluation, shown: list[Line]) -> Figure:
    labels = found.labels.values[found.used] == 1
    figure, both = plt.subplots(1, 2, figsize=(11.5, 5.4), layout="constrained")
    legends: tuple[list[Entry], list[Entry]] = ([], [])
    for number, line in enumerate(shown):
        colour = "black" if line.column.kind == ENSEMBLE else MODEL_COLOURS[number % len(MODEL_COLOURS)]
        look = {"color": colour, "linestyle": LINES[number // len(MODEL_COLOURS)], "linewidth": 2}
        curves = _draw_curves(both, labels, line, look | {"zorder": 5 - number / len(shown)})
        for legend, curve, fit in zip(legends, curves, (line.fit.main, line.fit.average_precision), strict=True):
            legend.append((curve, _text(line.column.name, fit)))
    others = []
    for line in (line for line in found.of_stratum(ALL) if line.column.kind == BASELINE):
        is_best = line.column.name == shown[0].best_baseline
        look = {"color": "0.35" if is_best else "0.72", "linestyle": "--", "linewidth": 1.5 if is_best else 1}
        curves = _draw_curves(both, labels, line, look | {"zorder": 2})
        if not is_best:
            others.append(curves)
            continue
        for legend, curve, fit in zip(legends, curves, (line.fit.main, line.fit.average_precision), strict=True):
            legend.append((curve, f"best baseline: {_text(line.column.name, fit)}"))
    for side, legend in enumerate(legends):
        legend += [(curves[side], "other baselines") for curves in others[:1]]
    prevalence = labels.mean()
    chance = {"color": "0.5", "linestyle": ":", "linewidth": 1, "zorder": 1}
    legends[0].append((both[0].plot([0, 1], [0, 1], **chance)[0], "chance 0.50"))
    legends[1].append((both[1].axhline(prevalence, **chance), f"chance (prevalence) {prevalence:.2g}"))
    both[0].set(xlabel="False-positive rate (1 − specificity)", ylabel="True-positive rate (sensitivity)")
    both[1].set(xlabel="Recall (sensitivity)", ylabel="Precision")
    both[0].set_title("ROC curve: AUROC (95 % interval)", loc="left", fontsize=11)
    both[1].set_title("Precision–recall curve: average precision (95 %)", loc="left", fontsize=11)
    for axes, legend in zip(both, legends, strict=True):
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
        axes.grid(True, color="0.92", linewidth=0.8)
        axes.set_axisbelow(True)
        _write_legend(axes, legend)
    return figure


def _draw_curves(both: np.ndarray, labels: np.ndarray, line: Line, look: dict) -> list[Line2D]:
    """The ROC and the precision-recall curve of one column, into two axes."""
    scores = line.column.oriented
    alarms, hits, _ = sklearn_metrics.roc_curve(labels, scores)
    precision, recall, _ = sklearn_metrics.precision_recall_curve(labels, scores, drop_intermediate=True)
    drawn = []
    for axes, x, y, steps in ((both[0], alarms, hits, "default"), (both[1], recall, precision, "steps-post")):
        kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), MAX_STEPS)).round().astype(int))
        drawn += axes.plot(x[kept], y[kept], drawstyle=steps, **look)
    return drawn


def _write_legend(axes: Axes, entries: list[Entry]) -> None:
    # matplotlib leaves out a label that begins with an underscore, so the texts are set below.
    legend = axes.legend(
        [line for line, _ in entries],
        [str(number) for number in range(len(entries))],
        loc="upper center",
        bbox_to_anchor=(0.5, -0.14),
        fontsize=SMALL,
        frameon=False,
        handlelength=2.6,
    )
    for shown, (_, text) in zip(legend.get_texts(), entries, strict=True):
        shown.set_parse_math(False)
        shown.set_text(text)


# --- scores against measured numbers ---------------------------------------------------------------------------------


def _scatter_plots(found: Evaluation, shown: list[Line]) -> Figure:
    n_columns = min(3, len(shown))
    n_rows = math.ceil(len(shown) / n_columns)
    size = (max(4.6, 3.9 * n_columns), 3.9 * n_rows)
    figure, grid = plt.subplots(n_rows, n_columns, figsize=size, layout="constrained", squeeze=False)
    numbers = found.labels.values[found.used]
    for axes in grid.flat[len(shown) :]:
        axes.set_axis_off()
    for axes, line in zip(grid.flat, shown, strict=False):
        values = line.column.values[found.used]
        if len(values) > MAX_POINTS:
            axes.hexbin(values, numbers, gridsize=40, bins="log", mincnt=1, cmap="viridis", linewidths=0)
        else:
            axes.scatter(values, numbers, s=12, color=COLOURS[0], alpha=0.5, linewidths=0)
        axes.set_title(f"Spearman {_text('', line.fit.main).strip()}", loc="left", fontsize=11)
        axes.set_xlabel(f"{shortened(line.column.name, MAX_NAME)} (effect: {line.column.direction})", parse_math=False)
        axes.grid(True, color="0.92", linewidth=0.8)
        axes.set_axisbelow(True)
    for axes in grid[:, 0]:
        axes.set_ylabel("Measured effect")
    return figure
