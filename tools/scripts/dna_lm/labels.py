"""Names that people read: labels of groups and regions, scores in words. Knows only text."""

import unicodedata

SCORE_NAMES = {
    "l2": "L2 distance (wild-type to mutant)",
    "l1": "L1 distance (wild-type to mutant)",
    "cosine_distance": "Cosine distance (wild-type to mutant)",
    "inner_product": "Inner product (wild-type and mutant)",
    "llr": "Log-likelihood ratio (mutant / wild-type)",
}


def score_name(column):
    """The name of a score column for people: a phrase for the scores of the suite, the column's name for others."""
    return SCORE_NAMES.get(column, clean_label(column))


def clean_label(text):
    """A label on one line: control, format and line-separator characters become spaces, runs of spaces one."""
    text = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in str(text))
    return " ".join(text.split())


def split_labels(text):
    """The labels in a comma-separated list."""
    return [label for label in map(clean_label, text.split(",")) if label]
