"""Tables out, row by row.

Each function here is a context manager that opens a file and yields a function to write a row with. That function takes
a payload, which it ignores, and the row, a dict with the same keys in every row. The key `CHUNK` of a chunk's rows
holds its mark, which is not a cell.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from dna_lm.marks import CHUNK

# A tuple, because `float | np.floating` would make a new union for every cell.
_FLOATS = (float, np.floating)

Row = dict[str, Any]
Sink = Callable[[Any, Row], None]


def cell(value: object) -> str:
    """A value as text: empty for `None`; enough digits for a number to give the float32 back."""
    if value is None:
        return ""
    return f"{value:.9g}" if isinstance(value, _FLOATS) else str(value)


def line(row: Row, header: Iterable[str]) -> str:
    """The cells of a row under a header, as a line of a table without its line end."""
    return "\t".join([cell(row[name]) for name in header])


@contextmanager
def score_table(path: str) -> Iterator[Callable[[Any, Row], None]]:
    """Tab-separated text with one header line, the keys of the first row. Cells hold no tab and no newline."""
    with open(path, "w", encoding="utf-8") as handle:
        header = []
        end = "\n"

        def write(_payload: object, row: Row) -> None:
            nonlocal end
            if not header:
                header.extend(name for name in row if name != CHUNK)
                mark = [f"{CHUNK}={row[CHUNK]}"] if CHUNK in row else []
                print(*header, *mark, sep="\t", file=handle)
                end = "\t\n" if mark else "\n"
            print(line(row, header), end=end, file=handle)

        yield write
