"""Names that people read: labels of groups and regions, scores in words."""

import itertools
import re
import unicodedata
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Container, Iterable, Sequence

from dna_lm.scores import SCORES

# What the suite's tools put around the name of their input when they name an output; and file extensions.
_ADDITIONS = re.compile(
    r"\A(?:(?:mutation|variant|mutagenesis) scores|dependencies|embeddings|pca coordinates"
    r"|(?:(?:wild-type|mutant) )?(?:chunks|windows)) of "
    r"|(?: \(as in the tutorial\)|, put together)\Z"
    r"|\.(?:tsv|tab|tabular|csv|txt|fasta|fas|fa|fna|ffn|vcf|bed|gff3?|gtf|gz|bgz|bz2|xz|zip)\Z",
    re.IGNORECASE,
)


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


def split_labels(text: str) -> list[str]:
    """The labels in a comma-separated list."""
    return [label for label in map(clean_label, text.split(",")) if label]


def short_labels(names: Sequence[str]) -> list[str]:
    """Labels of groups from the names of their datasets, in order: `exon` for `Mutation scores of exon.fasta.gz`.

    What the suite's tools put around the name of their input is left out, and file extensions. Names that would get the
    same label keep their whole text, so labels are equal only where names are.
    """
    names = [clean_label(name) for name in names]
    labels = [_without_additions(name) for name in names]
    counts = Counter(labels)
    return [name if counts[label] > 1 else label for name, label in zip(names, labels, strict=True)]


def _without_additions(name: str) -> str:
    """The name without `_ADDITIONS`, of which one can follow another. Empty only where the name is."""
    while (shorter := clean_label(_ADDITIONS.sub("", name))) not in ("", name):
        name = shorter
    return name


def shortened(text: str, limit: int, size: Callable[[str], int] = len) -> str:
    """The text; if its `size` is above `limit`, `…` replaces its middle. A character has a size of at least one."""
    if size(text) <= limit:
        return text

    def cut(kept: int) -> str:
        return f"{text[: kept - kept // 3]}…{text[len(text) - kept // 3 :]}"

    # The size grows with the number of characters kept, which is below `limit`.
    return cut(bisect_right(range(min(limit, len(text))), limit, key=lambda kept: size(cut(kept))) - 1)
