"""How long a job will take: what the check of the input counted, at the rate measured so far. For the log only.

Bases, not records, are compared with time: sequences of one input can have very different lengths. They are known
before the model is loaded, and their tokens are counted when they are read by the model, so nothing is read twice.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from dna_lm.engine.encoder import Budget
from dna_lm.model.checkpoint import Checkpoint
from dna_lm.scoring.pipeline import Item, Single

# Seconds before the first message, and the shortest job that has one.
_FIRST = 5
_SHORTEST = 20
# The next message comes when this many times as much time has passed.
_LATER = 4
_UNITS = (("second", 1, 90), ("minute", 60, 90 * 60), ("hour", 3600, 48 * 3600), ("day", 24 * 3600, float("inf")))

# Messages that are for now: see `cli`.
_LIVE = {"is_live": True}

log = logging.getLogger(__name__)

Given = TypeVar("Given", Item, Single)


@dataclass(frozen=True)
class Checked:
    """What a source found when it was read to its end.

    `chunk`: the mark of one chunk of a larger input; None, or false, for a whole one. `n_records`: rows to write.
    `n_bases`: the bases of all sequences that the model will read, about, or a function that says so of a model; None
    for either when it is not known. `notes`: what the log and the report say of it.
    """

    chunk: object
    n_records: int | None = None
    n_bases: int | Callable[[Checkpoint], int] | None = None
    notes: Sequence[str] = ()

    def with_model(self, checkpoint: Checkpoint) -> "Checked":
        """With the bases that this model will read."""
        return replace(self, n_bases=self.n_bases(checkpoint)) if callable(self.n_bases) else self


class Forecast:
    """Watches a job's items go to the model, and logs now and then how long the rest will take.

    n_passes: how often the model reads each sequence, at least: once for each strand.
    """

    def __init__(
        self, checked: Checked, budget: Budget, n_passes: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._checked, self._budget, self._n_passes, self._clock = checked, budget, n_passes, clock
        self._start = clock()
        self._next = _FIRST
        self._given = budget.given
        self._n_bases = self._n_items = 0
        # Of the first portion: passes through the model that have ended, and the share of the one that goes on.
        self._n_ended, self._share = 0, 0.0
        budget.watcher = self._during_first_portion

    def watch(self, items: Iterable[Given]) -> Iterator[Given]:
        """Pass the items on. When one is asked for after tokens were given, all before it have been computed."""
        for item in items:
            if self._budget.given != self._given:
                self._given, self._budget.watcher = self._budget.given, None
                self._after_portion()
            self._n_bases += sum(len(record.sequence) for record in item.records)
            self._n_items += 1
            yield item

    def _during_first_portion(self, share):
        """`share`: of the sequences in this pass. Later passes may be more than are known, so it is a lower bound."""
        if share < self._share:
            self._n_ended += 1
        self._share = share
        if not self._is_time():
            return
        done = (self._n_ended + share) / max(self._n_passes, self._n_ended + 1)
        if seconds := self._seconds_in_all(done):
            log.info("at least %s for %s", _duration(seconds), self._records(), extra=_LIVE)

    def _after_portion(self):
        if not self._is_time():
            return
        seconds = self._clock() - self._start
        rate = f"{_rounded(self._given / seconds)} tokens a second"
        if in_all := self._seconds_in_all(1):
            n_tokens = _rounded(self._given * in_all / seconds)
            left = _duration(max(0, in_all - seconds))
            log.info("%s left for %s, %s tokens at %s", left, self._records(), n_tokens, rate, extra=_LIVE)
        elif not self._checked.n_bases:
            log.info("%d records done, %s; it is not known how many there are", self._n_items, rate, extra=_LIVE)

    def _is_time(self):
        seconds = self._clock() - self._start
        if seconds < self._next:
            return False
        self._next = _LATER * seconds
        return True

    def _seconds_in_all(self, done):
        """For all bases, if the share `done` of those handed out has been computed; None for a short job."""
        if not self._checked.n_bases:
            return None
        seconds = (self._clock() - self._start) * self._checked.n_bases / (done * self._n_bases)
        return seconds if seconds >= _SHORTEST else None

    def _records(self):
        return f"{self._checked.n_records:,} records"


def _rounded(number):
    """Two digits, since a rate is measured on a part."""
    return f"about {float(f'{number:.2g}'):,.0f}"


def _duration(seconds):
    """Text such as `about 40 minutes`."""
    name, length = next((name, length) for name, length, limit in _UNITS if seconds < limit)
    number = max(1, round(seconds / length))
    return f"about {number} {name}{'s' * (number != 1)}"
