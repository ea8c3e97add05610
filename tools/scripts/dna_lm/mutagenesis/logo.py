"""Draws a sequence as letters of given heights. Knows nothing of what a height means."""

from functools import cache

import numpy as np
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.textpath import TextPath

# Of Okabe and Ito's palette (see `figures.COLOURS`), near the colours that genome browsers give the bases.
COLOURS = {"A": "#009E73", "C": "#0072B2", "G": "#E69F00", "T": "#D55E00"}
_LETTER_WIDTH = 0.9  # of a base


@cache
def _glyph(base):
    """The outline of a letter, one wide and one high."""
    outline = TextPath((0, 0), base, size=1, prop=FontProperties(family="DejaVu Sans", weight="bold"))
    box = outline.get_extents()
    return (outline.vertices - [box.x0, box.y0]) / [box.width, box.height], outline.codes


def draw(axes: Axes, bases: str, heights: np.ndarray) -> None:
    """Draw each base between 0 and its height, upright also below 0; none for NaN. Base n is between n and n + 1."""
    for base, colour in COLOURS.items():
        places = [at for at, other in enumerate(bases) if other == base and np.isfinite(heights[at])]
        if not places:
            continue
        outline, codes = _glyph(base)
        letters = [
            outline * [_LETTER_WIDTH, abs(heights[at])] + [at + (1 - _LETTER_WIDTH) / 2, min(heights[at], 0)]
            for at in places
        ]
        path = Path(np.concatenate(letters), np.tile(codes, len(places)))
        axes.add_patch(PathPatch(path, facecolor=colour, linewidth=0))
