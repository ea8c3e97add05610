"""Embeddings as a table or as an AnnData file."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from dna_lm.marks import CHUNK
from dna_lm.outputs.tables import Row, score_table
from dna_lm.statuses import OK

_ROWS_PER_WRITE = 512


@contextmanager
def embedding_table(path: str) -> Iterator[Callable[[Any, Row], None]]:
    """A table of the row's columns and dim_1 ...; the dimensions are empty when the status is not ok.

    The last key of a row is the embedding.
    """
    with score_table(path) as write_row:

        def write(payload: object, row: Row) -> None:
            *others, embedding = row.items()
            numbers = embedding[1] if row["status"] == OK else [None] * len(embedding[1])
            dimensions = {f"dim_{number}": value for number, value in enumerate(numbers, 1)}
            write_row(payload, dict(others) | dimensions)

        yield write


@contextmanager
def h5ad(
    path: str, settings: dict[str, str], components: Callable[[], Any] | None = None
) -> Iterator[Callable[[Any, Row], None]]:
    """An AnnData file: X float32 (embedded records, width), obs: the row's other columns, from id to ends or more.

    scanpy's methods take no missing values, so records without an embedding are not in X: `uns["not_embedded"]` lists
    their ids and statuses. `uns["dna_lm"]` holds `settings`. `components`: gives the `pca.Components` of X, or `None`,
    when all rows have come; they are where `scanpy.pp.pca` puts them.
    """
    import h5py
    import pandas as pd
    from anndata.io import write_elem

    embedded, left_out, waiting, observed = [], [], [], []
    with h5py.File(path, "w") as file:

        def write(_payload: object, row: Row) -> None:
            *others, (_, embedding) = [item for item in row.items() if item[0] != CHUNK]
            if "X" not in file:
                observed.extend(name for name, _ in others if name != "status")
                write_elem(
                    file,
                    "X",
                    np.empty((0, len(embedding)), np.float32),
                    dataset_kwargs={"maxshape": (None, len(embedding))},
                )
            (embedded if row["status"] == OK else left_out).append(dict(others))
            if row["status"] == OK:
                waiting.append(embedding)
            if len(waiting) == _ROWS_PER_WRITE:
                _append(file["X"], waiting)

        yield write
        _append(file["X"], waiting)
        index = pd.Index([str(number) for number in range(len(embedded))])
        write_elem(file, "obs", pd.DataFrame(embedded, index=index, columns=observed))
        dimensions = [f"dim_{number}" for number in range(1, file["X"].shape[1] + 1)]
        write_elem(file, "var", pd.DataFrame(index=dimensions))
        not_embedded = {name: np.array([row[name] for row in left_out], dtype=object) for name in ("id", "status")}
        groups = {"uns": {"dna_lm": settings, "not_embedded": not_embedded}, "obsm": {}, "varm": {}}
        if components and (found := components()):
            groups["obsm"]["X_pca"] = found.coordinates
            groups["varm"]["PCs"] = found.axes.T
            groups["uns"]["pca"] = {"variance": found.variances, "variance_ratio": found.shares}
        for name in ("uns", "layers", "obsm", "varm", "obsp", "varp"):
            write_elem(file, name, groups.get(name, {}))
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})


def _append(dataset, waiting):
    """Move the waiting rows to the end of a dataset."""
    if waiting:
        dataset.resize(len(dataset) + len(waiting), axis=0)
        dataset[-len(waiting) :] = np.stack(waiting)
        waiting.clear()
