"""The order of variants by their impact, and the score table in this order.

The largest impact comes first. With percentiles, these decide, and the score decides among equal ones; an allele
without a percentile comes after those that have one. `scores.SCORES` knows which end of a score means more change.

An insertion or deletion moves all bases after it and tends to score higher than a substitution. So substitutions come
first, then all other alleles with a score, then those without one. Equal alleles keep their order.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from heapq import heappush, heappushpop

from dna_lm.databases import private_database
from dna_lm.outputs import tables
from dna_lm.scores import SCORES
from dna_lm.statuses import OK
from dna_lm.variants.source import VariantRow

# The groups that are ranked apart, in their order.
SUBSTITUTIONS, INDELS, UNSCORED = range(3)

_NO_PERCENTILE = 101.0  # after those with one, which end at 100


def group_of(row: VariantRow) -> int:
    """Which of the groups a row belongs to."""
    if row.status != OK:
        return UNSCORED
    return INDELS if row.is_indel else SUBSTITUTIONS


def key_of(row: VariantRow, score: str) -> tuple[float, float]:
    """What a row with a score is ordered by within its group: the larger the impact, the smaller.

    Numbers are compared as the table shows them.
    """
    sign = -1 if SCORES[score].grows else 1
    value = sign * float(tables.cell(row.scores[score]))
    percentile = row.percentile(score)
    if percentile is None:
        return _NO_PERCENTILE, value
    return sign * float(tables.cell(percentile)), value


@contextmanager
def ranked_table(
    path: str, score: str, cells: Callable[[VariantRow], dict[str, object]]
) -> Iterator[Callable[[VariantRow], None]]:
    """The table of `tables.table`, ordered by the impact of one score.

    The lines wait in a temporary database on disk, which sorts them, so memory stays bounded.
    """
    header: list[str] = []
    with private_database() as database:
        database.execute(
            "CREATE TABLE line (number INTEGER PRIMARY KEY, kind INTEGER, first REAL, second REAL, text TEXT)"
        )

        def write(row: VariantRow) -> None:
            named = cells(row)
            header[:] = header or named
            group = group_of(row)
            keys = (None, None) if group == UNSCORED else key_of(row, score)
            values = (group, *keys, tables.line(named.values()))
            database.execute("INSERT INTO line (kind, first, second, text) VALUES (?, ?, ?, ?)", values)

        yield write
        with open(path, "w", encoding="utf-8") as handle:
            print(*header, sep="\t", file=handle)
            for (text,) in database.execute("SELECT text FROM line ORDER BY kind, first, second, number"):
                print(text, file=handle)


@dataclass
class Largest:
    """The `n` rows with the largest impact among those added, whatever their number."""

    n: int
    score: str

    def __post_init__(self) -> None:
        self._heap: list[tuple[tuple[float, float, int], VariantRow]] = []
        self._n_added = 0

    def add(self, row: VariantRow) -> None:
        """Add a row that has a score."""
        first, second = key_of(row, self.score)
        # The smallest element of the heap is the row that leaves it next.
        entry = (-first, -second, -self._n_added), row
        self._n_added += 1
        if len(self._heap) < self.n:
            heappush(self._heap, entry)
        else:
            heappushpop(self._heap, entry)

    def rows(self) -> list[VariantRow]:
        """The rows, the largest impact first; of equal ones the one that was added first."""
        return [row for _, row in sorted(self._heap, key=lambda entry: entry[0], reverse=True)]
