"""Draws groups of scores: box with points, violin, or cumulative distribution (ECDF), as PNG, SVG or PDF.

Knows arrays and labels, nothing of tests or tables. Labels are drawn as they are: matplotlib's TeX is off for them.
"""

import textwrap

import matplotlib

matplotlib.use("Agg")

import matplotlib.cbook
import matplotlib.mlab
import matplotlib.pyplot as plt
import matplotlib.ticker
import numpy as np

from dna_lm.errors import UserError, quoted

KINDS = ("box", "violin", "ecdf")
FORMATS = ("png", "svg", "pdf")

# Okabe and Ito's palette (2008): told apart with every common colour-vision deficiency. Black is kept for lines.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#999999", "#F0E442")
LINES = ("-", "--", ":", "-.")

# At most so many scores of a group are drawn as points, as steps of an ECDF, or weighed in a violin's outline:
# more cannot be told apart and make files of many megabytes. Boxes use every score.
MAX_POINTS = 500
MAX_STEPS = 2_000
MAX_IN_VIOLIN = 20_000

# More groups than this stand below each other, so that their labels can be read.
MAX_UPRIGHT = 6

STYLE = {
    "font.size": 11,
    "font.family": ["DejaVu Sans"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.fonttype": "none",  # text stays text: searchable and editable
    "svg.hashsalt": "dna_lm",  # the same input gives the same file
    "pdf.fonttype": 42,
}


def draw_groups(path, groups, axis_name, kind="box", file_format="png", log_scale=False, title=None):
    """Draw `groups` into `path` and return a sentence about what the plot leaves out, or None.

    groups: (label, scores) pairs, scores 1-D and finite. Raises `UserError` for a log scale of scores that are not
    above zero.
    """
    if log_scale:
        _check_positive(groups)
    with plt.rc_context(STYLE):
        if kind == "ecdf":
            figure, note = _ecdf(groups, axis_name, log_scale)
        else:
            figure, note = _distributions(groups, axis_name, kind, log_scale)
        if title:
            figure.axes[0].set_title(_wrap(title, 60), parse_math=False, fontsize=12, loc="left")
        metadata = {"png": None, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[file_format]
        figure.savefig(path, format=file_format, dpi=150, bbox_inches="tight", metadata=metadata)
        plt.close(figure)
    return note


def _check_positive(groups):
    for label, scores in groups:
        if scores.min() <= 0:
            raise UserError(
                f"a log axis needs scores above 0: group {quoted(label)} has {int((scores <= 0).sum())} that are not "
                f"(smallest {scores.min():.6g}); draw without --log-scale"
            )


def _distributions(groups, axis_name, kind, log_scale):
    upright = len(groups) <= MAX_UPRIGHT
    size = (max(4.5, 1.3 * len(groups) + 1.5), 4.8) if upright else (8, 0.5 * len(groups) + 1.2)
    figure, axes = plt.subplots(figsize=size, layout="constrained")
    positions = np.arange(len(groups)) if upright else np.arange(len(groups))[::-1]
    orientation = "vertical" if upright else "horizontal"
    note = None
    for place, (_, scores), colour in zip(positions, groups, _cycle(COLOURS), strict=False):
        if kind == "violin":
            _violin(axes, scores, place, colour, orientation, log_scale)
        else:
            _box(axes, scores, place, colour, orientation)
    if kind == "box" and any(len(scores) > MAX_POINTS for _, scores in groups):
        note = f"Points: a random {MAX_POINTS} of each larger group; boxes: all scores."
    if kind == "violin" and any(len(scores) > MAX_IN_VIOLIN for _, scores in groups):
        note = f"Outlines: a random {MAX_IN_VIOLIN:,} of each larger group; boxes: all scores."

    labels = [f"{_wrap(label, 18 if upright else 28)}\nn = {len(scores):,}" for label, scores in groups]
    if upright:
        axes.set_xticks(positions, labels, parse_math=False)
        axes.set_xlim(-0.6, len(groups) - 0.4)
    else:
        axes.set_yticks(positions, labels, parse_math=False, fontsize=9)
        axes.set_ylim(-0.6, len(groups) - 0.4)
    score_axis = axes.yaxis if upright else axes.xaxis
    score_axis.set_label_text(_wrap(axis_name, 60), parse_math=False)
    score_axis.grid(True, color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(axis="x" if upright else "y", length=0)
    if log_scale:
        (axes.set_yscale if upright else axes.set_xscale)("log")
        _plain_ticks(score_axis)
    _footnote(figure, note)
    return figure, note


def _box(axes, scores, place, colour, orientation):
    axes.boxplot(
        [scores],
        positions=[place],
        widths=0.5,
        orientation=orientation,
        showfliers=False,
        patch_artist=True,
        manage_ticks=False,
        boxprops={"facecolor": colour + "55", "edgecolor": "black"},
        medianprops={"color": "black", "linewidth": 2},
        zorder=3,
    )
    points = _sample(scores, MAX_POINTS)
    # Spread sideways so that points do not hide each other; the seed puts them in the same places every time.
    beside = place + np.random.default_rng(0).uniform(-0.2, 0.2, len(points))
    x, y = (beside, points) if orientation == "vertical" else (points, beside)
    axes.scatter(x, y, s=9, color=colour, alpha=0.6 if len(points) < 200 else 0.35, linewidths=0, zorder=2)


def _violin(axes, scores, place, colour, orientation, log_scale):
    # On a log axis the outline is the density of the logarithms: what the axis shows is what is smoothed.
    outlined = _sample(scores, MAX_IN_VIOLIN)
    stats = matplotlib.cbook.violin_stats([np.log10(outlined) if log_scale else outlined], _density, points=200)
    if log_scale:
        for shape in stats:
            shape.update({key: 10 ** shape[key] for key in ("coords", "mean", "median", "min", "max")})
    bodies = axes.violin(stats, [place], widths=0.85, orientation=orientation, showextrema=False)["bodies"]
    for body in bodies:
        body.set(facecolor=colour, edgecolor="black", alpha=0.6, linewidth=0.8)
    axes.boxplot(
        [scores],
        positions=[place],
        widths=0.1,
        orientation=orientation,
        showfliers=False,
        patch_artist=True,
        manage_ticks=False,
        boxprops={"facecolor": "white"},
        medianprops={"color": "black", "linewidth": 2},
    )


def _density(scores, coords):
    if np.ptp(scores) == 0:
        return (scores[0] == coords).astype(float)
    return matplotlib.mlab.GaussianKDE(scores).evaluate(coords)


def _ecdf(groups, axis_name, log_scale):
    figure, axes = plt.subplots(figsize=(8, max(4.8, 0.27 * len(groups) + 1)), layout="constrained")
    for place, (_, scores) in enumerate(groups):
        steps = np.sort(scores)
        heights = np.arange(1, len(steps) + 1) / len(steps)
        if len(steps) > MAX_STEPS:
            kept = np.linspace(0, len(steps) - 1, MAX_STEPS).round().astype(int)
            steps, heights = steps[kept], heights[kept]
        axes.step(
            np.concatenate((steps[:1], steps)),
            np.concatenate(([0], heights)),
            where="post",
            color=COLOURS[place % len(COLOURS)],
            linestyle=LINES[place // len(COLOURS) % len(LINES)] if len(groups) > len(COLOURS) else LINES[place % 4],
            linewidth=1.8,
            # A label that begins with an underscore would be left out of the legend: it is set below.
            label=str(place),
        )
    if log_scale:
        axes.set_xscale("log")
        _plain_ticks(axes.xaxis)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel(_wrap(axis_name, 60), parse_math=False)
    axes.set_ylabel("Share of scores at or below")
    axes.grid(True, color="0.9", linewidth=0.8)
    legend = axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=9)
    for text, (label, scores) in zip(legend.get_texts(), groups, strict=True):
        text.set_parse_math(False)
        text.set_text(f"{_wrap(label, 28)} (n = {len(scores):,})")
    return figure, None


def _plain_ticks(axis):
    """Label a log axis at 1, 2 and 5 of each decade: scores often span less than one."""
    axis.set_major_locator(matplotlib.ticker.LogLocator(subs=(1, 2, 5), numticks=12))
    axis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_minor_formatter(matplotlib.ticker.NullFormatter())


def _footnote(figure, note):
    if note:
        figure.supxlabel(note, fontsize=8, color="0.35")


def _sample(scores, limit):
    if len(scores) <= limit:
        return scores
    return np.random.default_rng(0).choice(scores, limit, replace=False)


def _wrap(text, width, lines=3):
    return "\n".join(textwrap.wrap(text, width, max_lines=lines, placeholder=" …", break_on_hyphens=True))


def _cycle(colours):
    while True:
        yield from colours
