"""Draws the first two principal components of embeddings, one point for each record, coloured by group.

Knows coordinates and names, nothing of models. Names are drawn as plain text.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from dna_lm.embedding.pca import Collector
from dna_lm.names import shortened
from dna_lm.outputs.figures import COLOURS, METADATA, STYLE
from dna_lm.scoring.rows import EmbeddedRecord

# More groups can no longer be told apart: the largest ones are drawn in colours.
MOST_GROUPS = 12
# Greys are kept for the other groups and for records without one. Each colour comes first as a circle.
_OTHER, _NO_GROUP = ("#777777", "o"), ("#D9D9D9", "o")
_GROUP_COLOURS = tuple(colour for colour in COLOURS if colour != "#999999")
_MARKERS = ("o", "^")

# More points hide each other, and make a vector file that nothing opens well: a random sample of this size is drawn.
MOST_POINTS = 20_000
# Beyond this number the points of a vector file are one picture in it; its text stays text.
_MOST_SHAPES = 5_000

_LONGEST_NAME = 32


@contextmanager
def picture(path: str, collector: Collector, file_format: str = "png") -> Iterator[Callable[[EmbeddedRecord], None]]:
    """A sink that draws the records of the collector into `path` when all rows have come."""
    yield lambda _row: None
    found = collector.components()
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(8.2, 5.6), layout="constrained")
        if found is None:
            axes.set_axis_off()
            text = collector.summary().replace(": ", ":\n").capitalize()
            axes.text(0.5, 0.5, text, ha="center", va="center", parse_math=False)
        else:
            shares = [*found.shares[:2], 0.0][:2]
            points = found.coordinates[:, :2]
            if points.shape[1] == 1:
                points = np.column_stack((points, np.zeros(len(points), np.float32)))
            notes = _draw(axes, points, collector.groups, collector.no_group, file_format)
            n_not_embedded = len(collector.records) - len(collector.groups)
            if n_not_embedded:
                notes.append(f"Without an embedding, not drawn: {n_not_embedded:,}.")
            for number, (name, share) in enumerate(zip(("x", "y"), shares, strict=True), start=1):
                axes.set(**{f"{name}label": f"Principal component {number} ({share * 100:.1f} % of the variance)"})
            if notes:
                figure.supxlabel(" ".join(notes), fontsize=8, color="0.35", x=0.02, ha="left")
        figure.savefig(path, format=file_format, dpi=150, metadata=METADATA[file_format])
        plt.close(figure)


def _draw(axes: Axes, points: np.ndarray, groups: Sequence[str], none: str, file_format: str) -> list[str]:
    """Draw points (n, 2) and the legend; return sentences about what is not drawn as asked."""
    counts = Counter(groups)  # in the order of the records
    n_none = counts.pop(none, 0)
    shown = list(counts)
    if len(shown) > MOST_GROUPS:
        largest = {group for group, _ in counts.most_common(MOST_GROUPS)}
        shown = [group for group in shown if group in largest]
    looks = {
        group: (_GROUP_COLOURS[at % len(_GROUP_COLOURS)], _MARKERS[at // len(_GROUP_COLOURS)])
        for at, group in enumerate(shown)
    }
    is_grouped = bool(counts)
    no_group = _NO_GROUP if is_grouped else (COLOURS[0], "o")
    notes = []
    # Random order, so that no group covers the others; the same in every run.
    order = np.random.default_rng(0).permutation(len(points))
    if len(points) > MOST_POINTS:
        order = order[:MOST_POINTS]
        notes.append(f"Drawn: a random sample of {MOST_POINTS:,} of {len(points):,} records.")
    look = [no_group if groups[at] == none else looks.get(groups[at], _OTHER) for at in order]
    n = len(order)
    size, opacity = (26, 0.85) if n <= 500 else (12, 0.7) if n <= 3000 else (5, 0.5)
    for marker in _MARKERS:
        chosen = np.array([found == marker for _, found in look], bool)
        if chosen.any():
            axes.scatter(
                *points[order[chosen]].T,
                s=size,
                c=[colour for colour, found in look if found == marker],
                marker=marker,
                alpha=opacity,
                linewidths=0.3 if n <= 500 else 0,
                edgecolors="0.25",
                rasterized=n > _MOST_SHAPES and file_format != "png",
            )
    axes.grid(True, color="0.92", linewidth=0.8)
    axes.set_axisbelow(True)
    n_other = len(counts) - len(shown)
    if is_grouped:
        names = _short_names(shown)
        entries = [(looks[group], f"{names[group]} ({counts[group]:,})") for group in shown]
        if n_other:
            others = sum(count for group, count in counts.items() if group not in looks)
            entries.append((_OTHER, f"{n_other:,} other group{'s' if n_other > 1 else ''} ({others:,})"))
            notes.append(f"Coloured: the {MOST_GROUPS} largest of {len(counts):,} groups.")
        if n_none:
            entries.append((_NO_GROUP, f"no group ({n_none:,})"))
        _write_legend(axes, entries)
    return notes


def _short_names(groups: Sequence[str]) -> dict[str, str]:
    """Group -> its name in the legend. Long names that would look alike get numbers."""
    short = {group: shortened(group, _LONGEST_NAME) for group in groups}
    times = Counter(short.values())
    return {
        group: name if times[name] == 1 else f"{at}: {name}" for at, (group, name) in enumerate(short.items(), start=1)
    }


def _write_legend(axes: Axes, entries: Sequence[tuple[tuple[str, str], str]]) -> None:
    """Markers and texts, right of the axes."""
    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle="", markersize=7, markeredgecolor="0.25", mew=0.3)
        for (colour, marker), _ in entries
    ]
    # matplotlib leaves out a label that begins with an underscore, so the texts are set below.
    legend = axes.legend(
        handles,
        [str(number) for number in range(len(entries))],
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
        fontsize=9,
        frameon=False,
        handletextpad=0.4,
    )
    for text, (_, label) in zip(legend.get_texts(), entries, strict=True):
        text.set_parse_math(False)
        text.set_text(label)
