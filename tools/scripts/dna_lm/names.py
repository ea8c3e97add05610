"""Names that people read: labels of groups and regions, scores in words."""

import itertools
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Container, Iterable

from dna_lm.scores import SCORES

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


def score_name(column: str) -> str:
    """The name of a score column for people: a label for the scores of the suite, the column's name for others."""
    return SCORES[column].label if column in SCORES else clean_label(column)


def clean_label(text: str) -> str:
    """A label on one line: control, format and line-separator characters become spaces, runs of spaces one."""
    text = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in str(text))
    return " ".join(text.split())


def numbered(labels: Iterable[str]) -> list[str]:
    """Labels that all differ: the second `x` becomes `x (2)`."""
    found: list[str] = []
    for label in labels:
        n = 1
        while (new := f"{label} ({n})" if n > 1 else label) in found:
            n += 1
        found.append(new)
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
