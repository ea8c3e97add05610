"""Names that people read: labels of groups and regions."""

import itertools
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Container, Iterable

# What a table says of a row without a group or a region, so that such rows are a group when groups are compared.
NONE = "none"


def without(noun: str, names: Iterable[str]) -> str:
    """What stands for a row without a `noun` (group, region): `NONE`, or another word if it is one of the `names`."""
    taken = set(names)
    return NONE if NONE not in taken else unlike(f"no {noun}", taken)


def unlike(name: str, taken: Container[str]) -> str:
    """The name, with a number if it is taken."""
    numbered = (f"{name} ({number})" for number in itertools.count(2))
    return next(text for text in itertools.chain([name], numbered) if text not in taken)


def clean_label(text: str) -> str:
    """A label on one line: control, format and line-separator characters become spaces, runs of spaces one."""
    text = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in str(text))
    return " ".join(text.split())


def numbered(labels: Iterable[str]) -> list[str]:
    """Labels that all differ: the second `x` becomes `x (2)`."""
    found: list[str] = []
    for label in labels:
        found.append(unlike(label, found))
    return found


def split_labels(text: str) -> list[str]:
    """The labels in a comma-separated list."""
    return [label for label in map(clean_label, text.split(",")) if label]


def shortened(text: str, limit: int, size: Callable[[str], int] = len) -> str:
    """The text; if its `size` is above `limit`, `…` replaces its middle. A character has a size of at least one."""
    if size(text) <= limit:
        return text

    def cut(kept: int) -> str:
        return f"{text[: kept - kept // 3]}…{text[len(text) - kept // 3 :]}"

    # The size grows with the number of characters kept, which is below `limit`.
    return cut(bisect_right(range(min(limit, len(text))), limit, key=lambda kept: size(cut(kept))) - 1)
