"""Tables out: score tables, and embeddings as text or as an AnnData file. Rows are streamed."""

import numpy as np

from dna_lm.inputs.fasta import OK


def write_table(path, rows):
    """Write dict rows with equal keys as tab-separated text with one header line. Cells hold no tab and no newline."""
    header = None
    with open(path, "w", encoding="utf-8") as handle:
        for row in rows:
            if header is None:
                header = list(row)
                print(*header, sep="\t", file=handle)
            print(*(cell(row[name]) for name in header), sep="\t", file=handle)


def cell(value):
    """A value as text: empty for `None`; enough digits for a number to give the float32 back."""
    if value is None:
        return ""
    return f"{value:.9g}" if isinstance(value, float | np.floating) else str(value)


def write_embedding_table(path, rows, width):
    """Write embedding rows as a table: id, status, length, tokens, dim_1 ... dim_`width` (empty when not embedded)."""
    names = [f"dim_{number}" for number in range(1, width + 1)]
    nothing = [None] * width

    def flattened(row):
        embedding = row.pop("embedding")
        return row | dict(zip(names, nothing if embedding is None else embedding, strict=True))

    write_table(path, map(flattened, rows))


def write_h5ad(path, rows, width, settings):
    """Write embedding rows as an AnnData file: X float32 (embedded records, width), obs: id, length, tokens.

    Records without an embedding cannot stand in X (scanpy's methods take no missing values): `uns["not_embedded"]`
    lists their ids and statuses. `uns["dna_lm"]` holds `settings`, a dict of strings.
    """
    import h5py
    import pandas as pd
    from anndata.io import write_elem

    kept, left_out = [], []
    with h5py.File(path, "w") as file:
        write_elem(file, "X", np.empty((0, width), np.float32), dataset_kwargs={"maxshape": (None, width)})
        block = []
        for row in rows:
            embedding = row.pop("embedding")
            (kept if row["status"] == OK else left_out).append(row)
            if embedding is not None:
                block.append(embedding)
            if len(block) == _ROWS_PER_WRITE:
                _append(file["X"], block)
                block = []
        _append(file["X"], block)
        index = pd.Index([str(number) for number in range(len(kept))])
        write_elem(file, "obs", pd.DataFrame(kept, index=index, columns=["id", "length", "tokens"]))
        write_elem(file, "var", pd.DataFrame(index=[f"dim_{number}" for number in range(1, width + 1)]))
        not_embedded = {name: np.array([row[name] for row in left_out], dtype=object) for name in ("id", "status")}
        write_elem(file, "uns", {"dna_lm": settings, "not_embedded": not_embedded})
        for name in ("layers", "obsm", "varm", "obsp", "varp"):
            write_elem(file, name, {})
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})


_ROWS_PER_WRITE = 512


def _append(dataset, block):
    if block:
        dataset.resize(len(dataset) + len(block), axis=0)
        dataset[-len(block) :] = np.stack(block)


def write_bedgraph(path, rows):
    """Write (sequence, start, end, number) rows, half-open from 0, as bedGraph without a header."""
    with open(path, "w", encoding="utf-8") as handle:
        for row in rows:
            print(*map(cell, row), sep="\t", file=handle)
