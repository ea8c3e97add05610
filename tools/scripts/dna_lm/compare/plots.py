"""Draws groups of scores: box with points, violin, or cumulative distribution (ECDF), as PNG, SVG or PDF.

Knows arrays and labels, but neither tests nor tables. Labels are drawn as plain text, without matplotlib's TeX.
"""

import re
from collections.abc import Sequence
from itertools import cycle

import matplotlib.cbook
import matplotlib.mlab
import matplotlib.pyplot as plt
import matplotlib.ticker
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from dna_lm.errors import UserError, quoted
from dna_lm.names import shortened
from dna_lm.outputs.figures import COLOURS, LINES, METADATA, STYLE

KINDS = ("box", "violin", "ecdf")

# The most scores of a group that are drawn as points, as steps of an ECDF, or used for a violin's outline. More cannot
# be told apart and would make files of many megabytes. Boxes use every score.
MAX_POINTS = 500
MAX_STEPS = 2_000
MAX_IN_VIOLIN = 20_000

# Groups are drawn side by side up to this number of groups and width in inches, otherwise below each other.
MAX_UPRIGHT = 6
MAX_UPRIGHT_WIDTH = 10
MAX_UPRIGHT_LINES = 5

# Longer texts are cut, so that a picture keeps a size that programs can open.
MAX_LABEL = 200
MAX_TITLE = 400

# Characters in a line of text; and the size in points of labels below each other, with the height of a line in inches.
UPRIGHT_WIDTH = 18
LABEL_WIDTH = 36
TITLE_WIDTH = 60
SMALL = 9
LINE_HEIGHT = 0.155

Groups = Sequence[tuple[str, np.ndarray]]


def draw_groups(
    path: str,
    groups: Groups,
    axis_name: str,
    kind: str = "box",
    file_format: str = "png",
    log_scale: bool = False,
    title: str | None = None,
) -> str | None:
    """Draw `groups` into `path` and return a sentence about what the plot leaves out, or None.

    groups: (label, scores) pairs, scores of shape (n,) and finite; kind: one of `KINDS`; file_format: one of `FORMATS`.
    Raises `UserError` for a log scale of scores that are not above zero.
    """
    if log_scale:
        _check_positive(groups)
    with plt.rc_context(STYLE):
        if kind == "ecdf":
            figure, note = _draw_ecdf(groups, axis_name, log_scale), None
        else:
            figure, note = _draw_distributions(groups, axis_name, kind, log_scale)
        if title:
            text = _wrap(shortened(title, MAX_TITLE), TITLE_WIDTH)
            figure.axes[0].set_title(text, parse_math=False, fontsize=12, loc="left")
        figure.savefig(path, format=file_format, dpi=150, bbox_inches="tight", metadata=METADATA[file_format])
        plt.close(figure)
    return note


def _check_positive(groups: Groups) -> None:
    for label, scores in groups:
        if scores.min() <= 0:
            raise UserError(
                f"a log axis needs scores above 0: group {quoted(label)} has {int((scores <= 0).sum())} that are not "
                f"(smallest {scores.min():.6g}): draw without "
                '"Logarithmic score axis" (--log-scale)'
            )


# --- boxes and violins -----------------------------------------------------------------------------------------------


def _draw_distributions(groups: Groups, axis_name: str, kind: str, log_scale: bool) -> tuple[Figure, str | None]:
    labels = [f"{_wrap_label(label, UPRIGHT_WIDTH)}\nn = {len(scores):,}" for label, scores in groups]
    width = max(4.5, max(1.3, _widest_line(labels) + 0.2) * len(groups) + 1.5)
    upright = len(groups) <= MAX_UPRIGHT and width <= MAX_UPRIGHT_WIDTH and _most_lines(labels) <= MAX_UPRIGHT_LINES
    size = (width, 4.8)
    if not upright:
        labels = _side_labels(groups)
        size = (8, max(0.5, LINE_HEIGHT * _most_lines(labels) + 0.12) * len(groups) + 1.2)
    figure, axes = plt.subplots(figsize=size, layout="constrained")
    places = np.arange(len(groups)) if upright else np.arange(len(groups))[::-1]
    orientation = "vertical" if upright else "horizontal"
    for place, (_, scores), colour in zip(places, groups, cycle(COLOURS), strict=False):
        if kind == "violin":
            _draw_violin(axes, scores, place, colour, orientation, log_scale)
        else:
            _draw_box(axes, scores, place, colour, orientation)
    _name_groups(axes, places, labels, upright)
    _name_score_axis(axes, axis_name, "y" if upright else "x", log_scale)
    note = _sampling_note(groups, kind)
    if note:
        figure.supxlabel(note, fontsize=8, color="0.35")
    return figure, note


def _name_groups(axes: Axes, places: np.ndarray, labels: list[str], upright: bool) -> None:
    if upright:
        axes.set_xticks(places, labels, parse_math=False)
        axes.set_xlim(-0.6, len(labels) - 0.4)
        axes.tick_params(axis="x", length=0)
    else:
        axes.set_yticks(places, labels, parse_math=False, fontsize=SMALL)
        axes.set_ylim(-0.6, len(labels) - 0.4)
        axes.tick_params(axis="y", length=0)


def _name_score_axis(axes: Axes, axis_name: str, which: str, log_scale: bool) -> None:
    score_axis = {"x": axes.xaxis, "y": axes.yaxis}[which]
    score_axis.set_label_text(_wrap_label(axis_name, TITLE_WIDTH), parse_math=False)
    score_axis.grid(True, color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    if log_scale:
        {"x": axes.set_xscale, "y": axes.set_yscale}[which]("log")
        _label_log_axis(score_axis)


def _sampling_note(groups: Groups, kind: str) -> str | None:
    largest = max(len(scores) for _, scores in groups)
    if kind == "box" and largest > MAX_POINTS:
        return f"Points: a random {MAX_POINTS} of each larger group; boxes: all scores."
    if kind == "violin" and largest > MAX_IN_VIOLIN:
        return f"Outlines: a random {MAX_IN_VIOLIN:,} of each larger group; boxes: all scores."
    return None


# What all boxes share.
_BOX = {
    "showfliers": False,
    "patch_artist": True,
    "manage_ticks": False,
    "medianprops": {"color": "black", "linewidth": 2},
}


def _draw_box(axes: Axes, scores: np.ndarray, place: int, colour: str, orientation: str) -> None:
    look = {"facecolor": colour + "55", "edgecolor": "black"}
    axes.boxplot([scores], positions=[place], widths=0.5, orientation=orientation, boxprops=look, zorder=3, **_BOX)
    points = _sample(scores, MAX_POINTS)
    # Spread sideways so that points do not hide each other; the seed puts them in the same places every time.
    sideways = place + np.random.default_rng(0).uniform(-0.2, 0.2, len(points))
    x, y = (sideways, points) if orientation == "vertical" else (points, sideways)
    axes.scatter(x, y, s=9, color=colour, alpha=0.6 if len(points) < 200 else 0.35, linewidths=0, zorder=2)


def _draw_violin(axes: Axes, scores: np.ndarray, place: int, colour: str, orientation: str, log_scale: bool) -> None:
    # On a log axis the outline is the density of the logarithms, so that it fits what the axis shows.
    outlined = _sample(scores, MAX_IN_VIOLIN)
    stats = matplotlib.cbook.violin_stats([np.log10(outlined) if log_scale else outlined], _density, points=200)
    if log_scale:
        for shape in stats:
            shape.update({key: 10 ** shape[key] for key in ("coords", "mean", "median", "min", "max")})
    bodies = axes.violin(stats, [place], widths=0.85, orientation=orientation, showextrema=False)["bodies"]
    for body in bodies:
        body.set(facecolor=colour, edgecolor="black", alpha=0.6, linewidth=0.8)
    look = {"facecolor": "white"}
    axes.boxplot([scores], positions=[place], widths=0.1, orientation=orientation, boxprops=look, **_BOX)


def _density(scores: np.ndarray, coords: np.ndarray) -> np.ndarray:
    lowest, spread = scores.min(), np.ptp(scores)
    if spread == 0:
        return (scores[0] == coords).astype(float)
    # Scaled, because the variance of very small numbers is rounded to 0. The outline is drawn to a fixed width.
    return matplotlib.mlab.GaussianKDE((scores - lowest) / spread).evaluate((coords - lowest) / spread)


# --- cumulative distributions ----------------------------------------------------------------------------------------


def _draw_ecdf(groups: Groups, axis_name: str, log_scale: bool) -> Figure:
    labels = _side_labels(groups)
    # The legend is at the side and needs a line for each line of a label, and some space between labels.
    legend_height = sum(LINE_HEIGHT * (label.count("\n") + 1) + 0.07 for label in labels)
    figure, axes = plt.subplots(figsize=(9, max(4.8, legend_height + 0.5)), layout="constrained")
    for place, (_, scores) in enumerate(groups):
        steps, heights = _cumulative(scores)
        axes.step(
            steps,
            heights,
            where="post",
            color=COLOURS[place % len(COLOURS)],
            # With few groups each has a line style too.
            linestyle=LINES[(place // len(COLOURS) if len(groups) > len(COLOURS) else place) % len(LINES)],
            linewidth=1.8,
            # A label that begins with an underscore would be left out of the legend: labels are set below.
            label=str(place),
        )
    _name_score_axis(axes, axis_name, "x", log_scale)
    axes.set_ylim(0, 1.02)
    axes.set_ylabel("Share of scores at or below")
    axes.grid(True, color="0.9", linewidth=0.8)
    legend = axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=SMALL, handlelength=3)
    for text, label in zip(legend.get_texts(), labels, strict=True):
        text.set_parse_math(False)
        text.set_text(label)
    return figure


def _cumulative(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores in ascending order and the share of scores at or below each, from 0 on; at most `MAX_STEPS` of them."""
    steps = np.sort(scores)
    shares = np.arange(1, len(steps) + 1) / len(steps)
    if len(steps) > MAX_STEPS:
        kept = np.linspace(0, len(steps) - 1, MAX_STEPS).round().astype(int)
        steps, shares = steps[kept], shares[kept]
    return np.concatenate((steps[:1], steps)), np.concatenate(([0], shares))


# --- text and samples ------------------------------------------------------------------------------------------------


def _label_log_axis(axis: Axis) -> None:
    """Label a log axis at 1, 2 and 5 of each decade: scores often span less than one."""
    axis.set_major_locator(matplotlib.ticker.LogLocator(subs=(1, 2, 5), numticks=12))
    axis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_minor_formatter(matplotlib.ticker.NullFormatter())


def _sample(scores: np.ndarray, limit: int) -> np.ndarray:
    if len(scores) <= limit:
        return scores
    return np.random.default_rng(0).choice(scores, limit, replace=False)


def _side_labels(groups: Groups) -> list[str]:
    """Labels for one side of a plot, each with the number of scores, in which no line breaks."""
    texts = [f"{shortened(label, MAX_LABEL)} (n\0=\0{len(scores):,})" for label, scores in groups]
    return [_wrap(text, LABEL_WIDTH).replace("\0", " ") for text in texts]


def _wrap_label(label: str, width: int) -> str:
    return _wrap(shortened(label, MAX_LABEL), width)


def _wrap(text: str, width: int) -> str:
    """The text in lines of at most `width` characters, broken after a space or punctuation where there is some."""
    lines = [""]
    # Words with what follows them, in pieces that fit into a line.
    for piece in re.findall(rf"[^\s_./|-]{{1,{width - 1}}}[\s_./|-]?|[\s_./|-]", text):
        if len((lines[-1] + piece).rstrip()) > width:
            lines.append("")
        lines[-1] += piece
    return "\n".join(line.strip() for line in lines)


def _most_lines(labels: list[str]) -> int:
    return max(label.count("\n") + 1 for label in labels)


def _widest_line(labels: list[str]) -> float:
    """In inches, at the size of the style."""
    font = FontProperties(family=STYLE["font.family"], size=STYLE["font.size"])
    lines = "\n".join(labels).split("\n")
    return max(text_to_path.get_text_width_height_descent(line, font, ismath=False)[0] for line in lines) / 72
