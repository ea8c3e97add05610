"""Draws dependency maps: the mutated base down, the base whose prediction changes across.

Knows arrays and names, nothing of models or files of sequences. Names are drawn as they are.
"""

from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from dna_lm.inputs.stretches import Stretch
from dna_lm.names import clean_label, shortened
from dna_lm.outputs.figures import METADATA, STYLE

# More panels make a picture that nothing opens well.
MOST_PANELS = 6

TITLE = "How much a mutation of one base changes what the model predicts for another"
DIRECTIONS = {
    "forward": "Above the diagonal only: the model reads from left to right, so a base changes only what follows it.",
    "reverse": "Below the diagonal only: read on the reverse strand, from right to left, a base changes only what "
    "precedes it.",
    "mean": "Above the diagonal: forward strand; below: reverse strand (the model reads in one direction only).",
}
BOTH_STRANDS = "Mean of both strands."
UNDEFINED = "Grey: no value."

# A cell is a whole number of pixels, so that all look alike.
_PIXELS = 150
_WIDEST_CELL, _MAP = 36, 1800
# Inches.
_TOP, _NAME, _BETWEEN, _BOTTOM, _RIGHT = 0.75, 0.35, 0.85, 0.3, 1.35
_LEAST_WIDTH, _LEAST_HEIGHT, _LEAST_SIDE, _BAR = 8.2, 3.6, 2.0, 2.2
_STEPS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000)
_CHARACTER = 0.075
# Points: smaller letters cannot be read.
_SMALLEST_LETTER = 5


@dataclass(frozen=True)
class Panel:
    """The dependencies of one stretch, float32 (mutated bases, bases): NaN where there is none."""

    stretch: Stretch
    dependencies: np.ndarray

    @property
    def cell(self) -> float:
        """Inches."""
        return min(_WIDEST_CELL, max(1, round(_MAP / len(self.stretch.bases)))) / _PIXELS

    @property
    def side(self) -> float:
        """Of the map, in inches."""
        return self.cell * len(self.stretch.bases)


def draw(
    path: str, panels: list[Panel], strand: str, is_causal: bool, file_format: str = "png", n_not_drawn: int = 0
) -> None:
    """Draw panels, all on one scale of colours, into `path`.

    strand: that the model read, of a causal model or another. `n_not_drawn`: the number of stretches left out, which
    the picture names.
    """
    # Positions in a genome have many digits.
    most_digits = max((len(f"{panel.stretch.start + len(panel.stretch.bases):,}") for panel in panels), default=1)
    left = 0.75 + most_digits * _CHARACTER
    width = max(_LEAST_WIDTH, left + max((panel.side for panel in panels), default=0) + _RIGHT)
    height = max(_LEAST_HEIGHT, _TOP + sum(_NAME + panel.side + _BETWEEN for panel in panels) + _BOTTOM)
    # Whole pixels, as the maps.
    width, height = (round(inches * _PIXELS) / _PIXELS for inches in (width, height))
    colours, extend = _colours(panels)
    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=(width, height))
        top = _TOP
        for panel in panels:
            top += _NAME
            place = left, round((height - top - panel.side) * _PIXELS) / _PIXELS
            axes = figure.add_axes((place[0] / width, place[1] / height, panel.side / width, panel.side / height))
            _draw_panel(axes, panel, colours)
            top += panel.side + _BETWEEN
        if panels:
            x = left + max(_LEAST_SIDE, *(panel.side for panel in panels)) + 0.3
            y = height - _TOP - _NAME - _BAR
            axes = figure.add_axes((x / width, y / height, 0.14 / width, _BAR / height))
            figure.colorbar(colours, cax=axes, extend=extend).set_label("largest change of log2 odds", fontsize=9)
            axes.tick_params(labelsize=8)
        small = {"fontsize": 8, "color": "0.35", "parse_math": False}
        figure.text(left / width, 1 - 0.3 / height, TITLE, fontsize=12, parse_math=False)
        direction = DIRECTIONS[strand] if is_causal else BOTH_STRANDS if strand == "mean" else ""
        figure.text(left / width, 1 - 0.55 / height, f"{direction} {UNDEFINED}".strip(), **small)
        if n_not_drawn:
            note = f"Not drawn, only in the tables: {n_not_drawn} more (a picture has {len(panels)} maps)."
            figure.text(left / width, 0.12 / height, note, **small)
        figure.savefig(path, format=file_format, dpi=_PIXELS, metadata=METADATA[file_format])
        plt.close(figure)


def _draw_panel(axes: Axes, panel: Panel, colours: ScalarMappable) -> None:
    bases, start = panel.stretch.bases, panel.stretch.start
    n_bases = len(bases)
    axes.imshow(
        np.ma.masked_invalid(panel.dependencies),
        cmap=colours.cmap,
        norm=colours.norm,
        interpolation="nearest",
        extent=(0, n_bases, n_bases, 0),
    )
    axes.set_facecolor("0.85")
    for spine in axes.spines.values():
        spine.set_visible(False)
    limit = max(30, int(panel.side / 0.085))
    axes.set_title(shortened(clean_label(panel.stretch.record.id), limit), loc="left", fontsize=9, parse_math=False)
    letter = min(9, panel.cell * 72 * 0.75)
    has_letters = letter >= _SMALLEST_LETTER
    if has_letters:
        style = {"fontsize": letter, "family": "DejaVu Sans Mono"}
        # From the map's edge, in cells.
        gap = 0.04 / panel.cell
        for at, base in enumerate(bases):
            axes.text(at + 0.5, n_bases + gap, base, ha="center", va="top", **style)
            axes.text(-gap, at + 0.5, base, ha="right", va="center", **style)
    # Room for the largest number.
    least = (len(f"{start + n_bases:,}") * _CHARACTER + 0.15) / panel.cell
    step = next((step for step in _STEPS[2:] if step >= least), _STEPS[-1])
    shown = [at for at in range(n_bases) if (start + at) % step == 0] or [0]
    names = [f"{start + at:,}" for at in shown]
    axes.set_xticks([at + 0.5 for at in shown], names, fontsize=8)
    axes.set_yticks([at + 0.5 for at in shown], names, fontsize=8)
    axes.tick_params(axis="both", length=0 if has_letters else 3, pad=letter + 5 if has_letters else 2)
    axes.set_xlabel("base whose prediction changes", fontsize=9)
    axes.set_ylabel("mutated base", fontsize=9)


def _colours(panels: list[Panel]) -> tuple[ScalarMappable, str]:
    """The colours, from 0 upwards, and whether the scale's upper end has an arrow.

    They end at the median of the mutated bases' largest dependencies, so that neither single peaks nor the length of a
    stretch decide what can be seen.
    """
    largest = np.concatenate([np.nan_to_num(panel.dependencies).max(axis=1) for panel in panels] or [np.zeros(1)])
    high = float(np.median(largest[largest > 0])) if largest.any() else 1.0
    return ScalarMappable(Normalize(0, high), "magma_r"), "max" if largest.max() > high else "neither"
