"""Draws scores of every mutation as heat maps: positions across, the base put there down, wrapped into strips.

Above each strip is a logo: each base as high as the mean effect of its substitutions. Knows arrays and names, nothing
of models or files of sequences. Names are drawn as they are.
"""

import math
import textwrap
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, TwoSlopeNorm

from dna_lm.mutagenesis import logo
from dna_lm.names import clean_label
from dna_lm.outputs.figures import METADATA, STYLE
from dna_lm.scores import SCORES, score_name

# Bases in a strip, and what is drawn at most: more strips make a picture that nothing opens well.
STRIP = 100
MAX_BASES = 5_000

# Inches.
_CELL_HEIGHT = 0.17
_WIDEST_CELL, _WIDTH = 0.24, 10.5
_LEFT, _RIGHT, _TITLE, _BOTTOM = 0.55, 1.15, 0.4, 0.1
_NAME, _BETWEEN = 0.4, 0.3
# The logo of a strip and, between it and the scores, the bases as text.
_LOGO, _BASES = 0.5, 0.2
_LINE, _CHARACTER = 0.155, 0.063  # of the explanation
_LEAST_HEIGHT, _LEAST_WIDTH = 2.2, 5.5

# With more scores than this, the colour scale leaves out the most extreme hundredth at either end: otherwise single
# peaks hide the rest.
_MANY = 50


@dataclass
class Landscape:
    """The scores of one sequence, to be drawn.

    `start` is the number of the first base: 1, or its position in the reference. `scores`: float (alternates, bases),
    NaN for the base itself.
    """

    name: str
    bases: str
    start: int
    alternates: str
    scores: np.ndarray

    def effects(self, score: str) -> np.ndarray | None:
        """The mean effect of each base's substitutions, float (bases,), NaN where none has a score.

        The mean distance, or minus the mean ratio: positive where the model prefers the base to the others. None for a
        score that has no number for *no change*.
        """
        if SCORES[score].no_change is None:
            return None
        substitutions = np.ma.masked_invalid(self.scores[[self.alternates.index(base) for base in "ACGT"]])
        return (-1 if SCORES[score].is_signed else 1) * substitutions.mean(axis=0).filled(math.nan)


def draw(
    path: str,
    landscapes: list[Landscape],
    score: str,
    file_format: str = "png",
    n_not_drawn: int = 0,
    n_again: int = 0,
) -> None:
    """Draw landscapes, all on one scale of colours and of letters, into `path`.

    The picture says how many landscapes were left out, `n_not_drawn` for lack of room and `n_again` because the same
    one is drawn.
    """
    per_strip = max(map(_strip_length, landscapes), default=1)
    cell = min(_WIDEST_CELL, _WIDTH / per_strip)
    width = max(_LEAST_WIDTH, _LEFT + per_strip * cell + _RIGHT)
    explanation = textwrap.wrap(_explanation(score, n_not_drawn, n_again), int((width - _LEFT - 0.2) / _CHARACTER))
    top_of_maps = _TITLE + len(explanation) * _LINE
    effects = [landscape.effects(score) for landscape in landscapes]
    limits = _logo_limits(effects)
    above = _BASES + (_LOGO if limits else 0)
    heights = [
        _NAME + _n_strips(landscape) * (above + len(landscape.alternates) * _CELL_HEIGHT + _BETWEEN)
        for landscape in landscapes
    ]
    height = max(_LEAST_HEIGHT, top_of_maps + sum(heights) + _BOTTOM)
    with plt.rc_context(STYLE | {"axes.spines.top": True, "axes.spines.right": True}):
        figure = plt.figure(figsize=(width, height))

        def axes_at(left: float, top: float, wide: float, high: float) -> Axes:
            return figure.add_axes((left / width, 1 - (top + high) / height, wide / width, high / height))

        colours = _colours(landscapes, score)
        top = top_of_maps
        mesh = None
        for landscape, mean_effects, landscape_height in zip(landscapes, effects, heights, strict=True):
            y = top
            name = _cut(clean_label(landscape.name), cell * per_strip)
            _text(figure, _LEFT / width, 1 - (y + 0.3) / height, name, fontweight="bold")
            y += _NAME
            for first in range(0, len(landscape.bases), _strip_length(landscape)):
                n_bases = min(_strip_length(landscape), len(landscape.bases) - first)
                if limits:
                    axes = axes_at(_LEFT, y, n_bases * cell, _LOGO)
                    _logo(axes, landscape.bases[first : first + n_bases], mean_effects[first : first + n_bases], limits)
                y += above
                high = len(landscape.alternates) * _CELL_HEIGHT
                axes = axes_at(_LEFT, y, n_bases * cell, high)
                mesh = _strip(axes, landscape, first, n_bases, cell, colours)
                y += high + _BETWEEN
            top += landscape_height
        if mesh is not None:
            y = top_of_maps + _NAME
            bar = axes_at(width - _RIGHT + 0.3, y, 0.14, min(2.0, height - y - 0.3))
            figure.colorbar(mesh, cax=bar, extend=colours["extend"])
            bar.tick_params(labelsize=8)
        _text(figure, _LEFT / width, 1 - 0.27 / height, f"Every mutation: {score_name(score)}", fontsize=12)
        for number, line in enumerate(explanation, 1):
            _text(figure, _LEFT / width, 1 - (0.27 + number * _LINE) / height, line, fontsize=8, color="0.25")
        figure.savefig(path, format=file_format, dpi=150, metadata=METADATA[file_format])
        plt.close(figure)


def _explanation(score, n_not_drawn, n_again):
    """How to read the picture, in words."""
    kind = SCORES[score]
    if kind.is_signed:
        text = (
            "Red: the model finds the mutant less likely than the sequence; blue: more likely. Letters are as high as "
            "minus the mean ratio of the base's substitutions: above the line, the model prefers the base."
        )
    elif kind.no_change is None:
        text = "Darker: more change (the embeddings of sequence and mutant are less alike)."
    else:
        text = (
            "Darker: more change of the model's output. Letters are as high as the mean score of the base's "
            "substitutions."
        )
    text = f"Across: the sequence. Down: what replaces its base. Dot: the base itself. {text}"
    if n_not_drawn:
        text += f" Not drawn, only in the table: {n_not_drawn} (a picture has {MAX_BASES:,} bases)."
    if n_again:
        text += f" Sequences given again and not drawn a second time: {n_again}."
    return text


def _logo_limits(effects):
    """The lowest and highest letter of all landscapes, 0 included; None if nothing is to be drawn."""
    drawn = [values[np.isfinite(values)] for values in effects if values is not None]
    drawn = np.concatenate([np.zeros(1), *drawn])
    return None if drawn.min() == drawn.max() else (drawn.min(), drawn.max())


def _logo(axes, bases, heights, limits):
    logo.draw(axes, bases, heights)
    axes.set_xlim(0, len(bases))
    axes.set_ylim(*limits)
    axes.axhline(0, color="0.5", linewidth=0.5)
    shown = [limit for limit in limits if limit]
    axes.set_yticks(shown, [f"{limit:.3g}" for limit in shown], fontsize=7)
    axes.set_xticks([])
    axes.tick_params(axis="y", length=2, pad=2)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "left")


def _n_strips(landscape):
    return math.ceil(len(landscape.bases) / STRIP)


def _strip_length(landscape):
    """Strips of equal length, in full tens, except the last: 201 bases are 70, 70 and 61."""
    n_bases, n_strips = len(landscape.bases), _n_strips(landscape)
    return n_bases if n_strips == 1 else math.ceil(n_bases / n_strips / 10) * 10


def _strip(axes, landscape, first, n_bases, cell, colours):
    scores = landscape.scores[:, first : first + n_bases]
    bases = landscape.bases[first : first + n_bases]
    n_rows = len(landscape.alternates)
    edges = {"edgecolors": "white", "linewidth": 0.3}
    mesh = axes.pcolormesh(np.ma.masked_invalid(scores), cmap=colours["map"], norm=colours["norm"], **edges)
    axes.set_facecolor("0.9")
    axes.set_xlim(0, n_bases)
    axes.set_ylim(n_rows, 0)
    size = min(9, cell * 72 * 0.75)
    reference = [(x + 0.5, landscape.alternates.index(base) + 0.5) for x, base in enumerate(bases)]
    axes.plot(*zip(*reference, strict=True), "o", color="0.35", markersize=size / 5, markeredgewidth=0)
    labels = ["del" if alternate == "-" else alternate for alternate in landscape.alternates]
    axes.set_yticks(np.arange(n_rows) + 0.5, labels, fontsize=8)
    names = landscape.start + first + np.arange(n_bases)
    step = 5 if n_bases <= 50 else 10
    shown = [x for x in range(n_bases) if names[x] % step == 0] or [0]
    axes.set_xticks([x + 0.5 for x in shown], [f"{names[x]:,}" for x in shown], fontsize=8)
    axes.tick_params(axis="both", length=0, pad=2)
    for x, base in enumerate(bases):
        axes.text(x + 0.5, -0.15, base, ha="center", va="bottom", fontsize=size, family="DejaVu Sans Mono")
    for spine in axes.spines.values():
        spine.set_visible(False)
    return mesh


def _colours(landscapes, score):
    """Distances from 0 upwards, signed scores on either side of 0, other scores over their range."""
    scores = np.concatenate([landscape.scores.ravel() for landscape in landscapes] or [np.zeros(0)])
    scores = scores[np.isfinite(scores)]
    if not len(scores):
        scores = np.zeros(1)
    low, high = np.percentile(scores, [1, 99]) if len(scores) > _MANY else (scores.min(), scores.max())
    if SCORES[score].is_signed:
        # White is 0; both sides have the same length, so that a colour's strength is the size of a ratio.
        limit = max(abs(low), abs(high)) or 1
        norm, colour_map = TwoSlopeNorm(0, -limit, limit), "RdBu"
        low, high = -limit, limit
    elif SCORES[score].no_change is None:
        norm, colour_map = Normalize(low, high if high > low else low + 1), "magma"
    else:
        low = 0
        norm, colour_map = Normalize(0, high or 1), "magma_r"
    below, above = scores.min() < low, scores.max() > high
    extend = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}
    return {"map": colour_map, "norm": norm, "extend": extend[bool(below), bool(above)]}


def _text(figure, x, y, text, fontsize=9, **options):
    figure.text(x, y, text, fontsize=fontsize, parse_math=False, **options)


def _cut(name, inches):
    limit = max(30, int(inches / 0.085))
    return name if len(name) <= limit else name[: limit - 2] + " …"
