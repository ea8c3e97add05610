"""The scores of groups of rows: a bounded sample of each, and a picture of their distributions."""

import random
from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np

from dna_lm.outputs.figures import COLOURS, METADATA, STYLE

# Scores of a group that are kept. The median of so many random ones is within 0.3 % of the ranks of all.
SAMPLE_SIZE = 100_000

_MAX_BINS = 60


class Sample:
    """The smallest and the largest of any number of scores, and all of them or a random sample of `size`."""

    def __init__(self, size: int = SAMPLE_SIZE) -> None:
        self.n = 0
        self.low = self.high = float("nan")
        self._size = size
        self._scores: list[float] = []
        self._random = random.Random(1)

    def add(self, score: float) -> None:
        """Count a score. Each of those added so far has the same chance to be kept (Vitter 1985, algorithm R)."""
        self.low = min(score, self.low) if self.n else score
        self.high = max(score, self.high) if self.n else score
        self.n += 1
        if self.n <= self._size:
            self._scores.append(score)
        elif (at := self._random.randrange(self.n)) < self._size:
            self._scores[at] = score

    @property
    def is_complete(self) -> bool:
        """Whether all scores were kept."""
        return self.n <= self._size

    @property
    def scores(self) -> np.ndarray:
        """The scores that were kept: float64 (at most `size`,)."""
        return np.array(self._scores, float)


def draw(path: str, groups: Mapping[str, Sample], axis_name: str) -> None:
    """A PNG file with a histogram for each group (its name -> its scores), all with one axis of scores."""
    groups = {name: sample for name, sample in groups.items() if sample.n}
    with plt.rc_context(STYLE):
        height = 0.9 + 1.5 * max(1, len(groups))
        figure, grid = plt.subplots(
            max(1, len(groups)), figsize=(7.5, height), sharex=True, squeeze=False, layout="constrained"
        )
        edges = _edges(np.concatenate([sample.scores for sample in groups.values()] or [[]]))
        for number, (axes, (name, sample)) in enumerate(zip(grid[:, 0], groups.items(), strict=False)):
            # A sample is drawn at the height of all.
            weights = np.full(len(sample.scores), sample.n / len(sample.scores))
            axes.hist(sample.scores, edges, weights=weights, color=COLOURS[number], edgecolor="white", linewidth=0.4)
            axes.set_title(f"{name} ({sample.n:,})", loc="left", fontsize=11, parse_math=False)
            axes.set_ylabel("Alleles")
            axes.yaxis.get_major_locator().set_params(integer=True, nbins=4)
        if not groups:
            grid[0, 0].text(0.5, 0.5, "no scores", ha="center", va="center", transform=grid[0, 0].transAxes)
        grid[-1, 0].set_xlabel(axis_name, parse_math=False)
        figure.savefig(path, format="png", dpi=120, metadata=METADATA["png"])
        plt.close(figure)


def _edges(scores):
    """The edges of bars with equal widths: numpy's choice of their number, within limits."""
    if len(np.unique(scores)) < 2:
        return 1
    n_bins = min(_MAX_BINS, max(10, len(np.histogram_bin_edges(scores, "sturges")) - 1, int(len(scores) ** 0.5)))
    return np.histogram_bin_edges(scores, n_bins)
