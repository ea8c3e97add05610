"""Names that people read: labels of groups and regions, scores in words."""

import unicodedata

from dna_lm.scores import SCORES


def score_name(column: str) -> str:
    """The name of a score column for people: a label for the scores of the suite, the column's name for others."""
    return SCORES[column].label if column in SCORES else clean_label(column)


def clean_label(text: str) -> str:
    """A label on one line: control, format and line-separator characters become spaces, runs of spaces one."""
    text = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in str(text))
    return " ".join(text.split())


def split_labels(text: str) -> list[str]:
    """The labels in a comma-separated list."""
    return [label for label in map(clean_label, text.split(",")) if label]
