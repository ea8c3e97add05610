"""What is known of one pair or one record when it has been read. Its sinks know which columns it has in a table."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

Cells = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Counts:
    """What a mutation changed, in bases and in tokens of the strand that was read; `None` where it is not known.

    n_differences: bases that differ, or the edit distance; ends: whether all bases were read (see `pipeline`).
    """

    wt_length: int | None
    mut_length: int | None
    n_differences: int | None = None
    wt_tokens: int | None = None
    mut_tokens: int | None = None
    changed_tokens: int | None = None
    ends: str | None = None


@dataclass(frozen=True)
class ScoredPair:
    """A wild type and a mutant.

    id: the wild type's; status: `statuses.OK`, or why there is no score; scores: name -> number, `None` without one;
    changes: how much the mutation changes the prediction for each base (see `dependencies`), if it is asked for.
    """

    id: str
    status: str
    scores: Mapping[str, float | None]
    counts: Counts
    changes: np.ndarray | None = field(default=None, compare=False, repr=False)

    @property
    def what(self) -> str:
        """Which mutation it is, for people."""
        return self.id

    @property
    def n_beyond(self) -> int:
        """Bases of the input that are not read, because the whole is too long for the model."""
        return 0

    @property
    def is_indel(self) -> bool:
        """Whether bases are inserted or deleted."""
        return self.counts.wt_length != self.counts.mut_length

    @property
    def has_percentiles(self) -> bool:
        """Whether the scores are compared with those of random mutations."""
        return False


@dataclass(frozen=True)
class EmbeddedRecord:
    """A record: `length` in bases, its `embedding` float32 (width,), NaN when the status is not ok.

    log_likelihood in nats and bits_per_base: `None` if they are not asked for. group: `None` if there are no groups.
    """

    id: str
    status: str
    length: int
    tokens: int | None
    ends: str | None
    embedding: np.ndarray
    log_likelihood: float | None = None
    bits_per_base: float | None = None
    group: str | None = None


Row = ScoredPair | EmbeddedRecord


def pair_cells(row: ScoredPair) -> Cells:
    """The columns of a pair: name -> value, in their order."""
    return {"id": row.id, "status": row.status, **row.scores, **asdict(row.counts)}
