"""Embeddings as a table or as an AnnData file."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np

from dna_lm.marks import Mark
from dna_lm.outputs import tables
from dna_lm.scoring.rows import Cells, EmbeddedRecord
from dna_lm.statuses import OK

_ROWS_PER_WRITE = 512


def cells(row: EmbeddedRecord, with_log_likelihood: bool = False, with_group: bool = False) -> Cells:
    """The columns of a record without its embedding: name -> value, in their order."""
    found: Cells = {name: getattr(row, name) for name in ("id", "status", "length", "tokens", "ends")}
    if with_log_likelihood:
        found |= {"log_likelihood": row.log_likelihood, "bits_per_base": row.bits_per_base}
    return found | ({"group": row.group} if with_group else {})


def embedding_table(
    path: str, columns: Callable[[EmbeddedRecord], Cells] = cells, chunk: Mark | str | None = None
) -> AbstractContextManager[Callable[[EmbeddedRecord], None]]:
    """A table of the columns and dim_1 ...; the dimensions are empty when the status is not ok."""

    def with_dimensions(row: EmbeddedRecord) -> Cells:
        numbers = row.embedding if row.status == OK else [None] * len(row.embedding)
        return columns(row) | {f"dim_{number}": value for number, value in enumerate(numbers, 1)}

    return tables.table(path, with_dimensions, chunk)


@contextmanager
def h5ad(
    path: str,
    settings: Mapping[str, str],
    columns: Callable[[EmbeddedRecord], Cells] = cells,
    components: Callable[[], Any] | None = None,
) -> Iterator[Callable[[EmbeddedRecord], None]]:
    """An AnnData file: X float32 (embedded records, width), obs: the other columns, from id to ends or more.

    scanpy's methods take no missing values, so records without an embedding are not in X: `uns["not_embedded"]` lists
    their ids and statuses. `uns["dna_lm"]` holds `settings`. `components`: gives the `pca.Components` of X, or `None`,
    when all rows have come; they are where `scanpy.pp.pca` puts them.
    """
    import h5py
    import pandas as pd
    from anndata.io import write_elem

    embedded: list[Cells] = []
    left_out: list[EmbeddedRecord] = []
    waiting: list[np.ndarray] = []
    observed: list[str] = []
    with h5py.File(path, "w") as file:

        def write(row: EmbeddedRecord) -> None:
            if "X" not in file:
                observed.extend(name for name in columns(row) if name != "status")
                width = len(row.embedding)
                write_elem(file, "X", np.empty((0, width), np.float32), dataset_kwargs={"maxshape": (None, width)})
            if row.status != OK:
                left_out.append(row)
                return
            embedded.append(columns(row))
            waiting.append(row.embedding)
            if len(waiting) == _ROWS_PER_WRITE:
                _append(file["X"], waiting)

        yield write
        _append(file["X"], waiting)
        index = pd.Index([str(number) for number in range(len(embedded))])
        write_elem(file, "obs", pd.DataFrame(embedded, index=index, columns=observed))
        dimensions = [f"dim_{number}" for number in range(1, file["X"].shape[1] + 1)]
        write_elem(file, "var", pd.DataFrame(index=dimensions))
        not_embedded = {
            name: np.array([getattr(row, name) for row in left_out], dtype=object) for name in ("id", "status")
        }
        groups = {"uns": {"dna_lm": dict(settings), "not_embedded": not_embedded}, "obsm": {}, "varm": {}}
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
