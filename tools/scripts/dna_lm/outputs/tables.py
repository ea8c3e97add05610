"""Tables out, row by row.

A sink is a context manager that opens a file and yields a function to write a row with.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from dna_lm.marks import CHUNK, Mark

# A tuple, because `float | np.floating` would make a new union for every cell.
_FLOATS = (float, np.floating)


def cell(value: object) -> str:
    """A value as text: empty for `None`; enough digits for a number to give the float32 back."""
    if value is None:
        return ""
    return f"{value:.9g}" if isinstance(value, _FLOATS) else str(value)


def line(values: Iterable[object]) -> str:
    """The cells of a row as a line of a table, without its line end. Texts hold no tab and no newline."""
    return "\t".join(map(cell, values))


@contextmanager
def table(
    path: str, cells: Callable[[Any], dict[str, object]], chunk: Mark | str | None = None
) -> Iterator[Callable[[Any], None]]:
    """Tab-separated text with one header line.

    cells: from a row to its columns, name -> value, the same names in every row. chunk: the mark of one chunk of a
    larger input.
    """
    end = "\t\n" if chunk else "\n"
    with open(path, "w", encoding="utf-8") as handle:
        has_header = False

        def write(row: Any) -> None:
            nonlocal has_header
            named = cells(row)
            if not has_header:
                mark = [f"{CHUNK}={chunk}"] if chunk else []
                print(*named, *mark, sep="\t", file=handle)
                has_header = True
            print(line(named.values()), end=end, file=handle)

        yield write
