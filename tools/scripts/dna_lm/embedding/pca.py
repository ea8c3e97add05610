"""Principal components of embeddings: the vectors wait in a temporary file, so that memory does not grow with them.

Knows rows, nothing of models or pictures. The components are those of scikit-learn's `PCA`: vectors are centred and not
scaled, and the largest loading of a component is positive, so the same vectors give the same coordinates.
"""

import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from dna_lm.embedding.sinks import cells
from dna_lm.names import NONE
from dna_lm.outputs import tables
from dna_lm.scoring.rows import Cells, EmbeddedRecord
from dna_lm.statuses import OK

# scanpy's default: fewer in an AnnData file would be used for neighbours and UMAP without a message.
MOST_COMPONENTS = 50
# Components in the table of coordinates.
COLUMNS = 10

# Numbers that the components are computed from, float64: 256 MB, and as much again while scikit-learn works. These are
# 8,192 vectors of 4,096 numbers or 131,072 of 256. Of more vectors, a random sample of this size is taken.
MOST_NUMBERS = 2**25
# With fewer vectors every picture looks the same.
FEWEST = 3
# Below this size the full decomposition is fast; above it only the first components are computed.
_SMALL = 500
_ROWS_AT_ONCE = 4096

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Components:
    """coordinates: float32 (vectors, k); axes: float32 (k, width); variances, shares: float64 (k,), largest first.

    A share is that of the variance of all numbers, from 0 to 1. n_sampled: the vectors that the axes were computed
    from.
    """

    coordinates: np.ndarray
    axes: np.ndarray
    variances: np.ndarray
    shares: np.ndarray
    n_sampled: int


class Collector:
    """Takes every row of a job, and gives the components when all have come.

    For each record it keeps a line of text, its group and its coordinates, about 0.5 kB together. columns: of the table
    of coordinates; no_group: the group of a record without one.
    """

    def __init__(self, columns: Callable[[EmbeddedRecord], Cells] = cells, no_group: str = NONE) -> None:
        self.columns = columns
        self.no_group = no_group
        self.records: list[tuple[str, bool]] = []  # a line of the table, and whether there is an embedding
        self.groups: list[str] = []  # of embedded records
        self.header: list[str] = []
        self._file = tempfile.TemporaryFile()  # noqa: SIM115, read when all rows have come
        self._width = 0
        self._computed = False
        self._components: Components | None = None

    def add(self, row: EmbeddedRecord) -> None:
        """Take a row."""
        named = self.columns(row)
        self.header = list(named)
        self._width = len(row.embedding)
        self.records.append((tables.line(named.values()), row.status == OK))
        if row.status == OK:
            self._file.write(np.asarray(row.embedding, np.float32).tobytes())
            self.groups.append(self.no_group if row.group is None else row.group)

    def components(self) -> Components | None:
        """The components of all vectors, computed once; `None` for fewer than three, or when all are equal."""
        if not self._computed:
            self._file.flush()
            n = len(self.groups)
            if n >= FEWEST:
                self._components = principal_components(np.memmap(self._file, np.float32, "r", shape=(n, self._width)))
            self._computed = True
            log.info("%s", self.summary())
        return self._components

    def summary(self) -> str:
        """What was computed from how many records, in a sentence."""
        found, n, total = self._components, len(self.groups), len(self.records)
        embedded = f"{n:,} records" if n == total else f"{n:,} of {total:,} records"
        if found is None:
            reason = f"at least {FEWEST} are needed" if n < FEWEST else "all embeddings are equal"
            return f"no principal components of {embedded}: {reason}"
        shares = " and ".join(f"{share * 100:.1f} %" for share in found.shares[:2])
        text = f"principal components of {embedded}: the first two have {shares} of the variance"
        return text if found.n_sampled == n else f"{text}; axes computed from a random sample of {found.n_sampled:,}"


def principal_components(vectors: np.ndarray) -> Components | None:
    """The first components of vectors (n, width), at most `MOST_COMPONENTS`; `None` when all vectors are equal."""
    from sklearn.decomposition import PCA

    n, width = vectors.shape
    n_sampled = min(n, max(MOST_COMPONENTS + 1, MOST_NUMBERS // width))
    chosen = slice(None)
    if n_sampled < n:
        chosen = np.sort(np.random.default_rng(0).choice(n, n_sampled, replace=False))
    sample = np.asarray(vectors[chosen], np.float64)
    if not np.ptp(sample, axis=0).any():
        return None
    n_components = min(MOST_COMPONENTS, n_sampled - 1, width)
    is_small = min(n_sampled, width) <= _SMALL
    pca = PCA(n_components, svd_solver="full" if is_small else "arpack", random_state=0).fit(sample)
    del sample
    coordinates = np.empty((n, n_components), np.float32)
    for start in range(0, n, _ROWS_AT_ONCE):
        coordinates[start : start + _ROWS_AT_ONCE] = pca.transform(
            np.asarray(vectors[start : start + _ROWS_AT_ONCE], np.float64)
        )
    axes = pca.components_.astype(np.float32)
    return Components(coordinates, axes, pca.explained_variance_, pca.explained_variance_ratio_, n_sampled)


@contextmanager
def coordinates_table(path: str, collector: Collector) -> Iterator[Callable[[EmbeddedRecord], None]]:
    """A table of the rows without their vectors, and `pc_1`, `pc_2` ..., which are empty without an embedding."""
    yield lambda _row: None
    found = collector.components()
    n_columns = 2 if found is None else min(COLUMNS, found.coordinates.shape[1])
    names = [f"pc_{number}" for number in range(1, n_columns + 1)]
    at = 0
    with open(path, "w", encoding="utf-8") as handle:
        print(*collector.header, *names, sep="\t", file=handle)
        for line, is_embedded in collector.records:
            cells = [""] * n_columns
            if is_embedded and found is not None:
                cells = [tables.cell(value) for value in found.coordinates[at, :n_columns]]
            at += is_embedded
            print(line, *cells, sep="\t", file=handle)
