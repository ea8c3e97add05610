"""A scoring job from a model to its outputs, the same for every tool: check, load, score, write, count.

A job has a source and outputs. The source is read to its end first, so that a faulty file is refused before any work is
done, and then once more for its items. Each output is a path and a sink: a context manager that opens the path and
yields a function. The job calls this function with every row after computing it. A sink that needs all rows, such as a
picture, writes when its context ends without an error.
"""

import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Protocol

from dna_lm import cli, statuses
from dna_lm.engine.encoder import Budget
from dna_lm.errors import UserError, counted
from dna_lm.marks import Mark
from dna_lm.model.checkpoint import Checkpoint
from dna_lm.outputs.markdown import inert, limited
from dna_lm.scores import SCORES
from dna_lm.scoring import pipeline
from dna_lm.scoring.forecast import Checked, Forecast
from dna_lm.scoring.pipeline import Item, Single
from dna_lm.scoring.provenance import provenance
from dna_lm.scoring.rows import Row, ScoredPair
from dna_lm.scoring.settings import Settings
from dna_lm.scoring.warnings import Warnings, of_settings, plain

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Facts:
    """What an output may say of its job.

    describe: gives the provenance. warnings: complete when the sinks close. chunk: the mark of one chunk of a larger
    input. is_causal: whether the model is.
    """

    describe: Callable[[], Mapping[str, Any]]
    warnings: Warnings
    chunk: Mark | str | None = None
    is_causal: bool = False

    @cached_property
    def provenance(self) -> Mapping[str, Any]:
        """Name -> value of all that decides the numbers. All weights are read for it, once, when it is asked for."""
        return self.describe()


# A path, or None for an output that is not wanted, and what opens it.
Output = tuple[str | None, Callable[[str], AbstractContextManager[Callable[[Any], None]]]]


class Source(Protocol):
    """What a tool reads. `compute` makes rows of items: `pipeline.score` or `pipeline.embed`.

    noun: what a row is, in the plural; is_ranked: whether rows are ranked with insertions and deletions apart, known
    after `check`.
    """

    compute: Callable[..., Iterator[tuple[Any, Any]]]
    noun: str

    @property
    def is_ranked(self) -> bool: ...

    def check(self) -> Checked:
        """Read everything once, and count. Raise `UserError` for a fault."""

    def items(self, checkpoint: Checkpoint, settings: Settings) -> Iterator[Item | Single]:
        """Read everything again, as items for the model."""

    def rows(self, computed: Iterator[tuple[Any, Any]]) -> Iterable[Any]:
        """The rows: one for each record or allele, with what the source knows of it."""

    def as_text(self) -> dict[str, Any]:
        """Name -> value of what the source was given and what decides the numbers."""


def rows(
    model: Checkpoint,
    settings: Settings,
    source: Source,
    budget: Budget,
    watch: Callable[[Iterator[Item | Single]], Iterator[Item | Single]] = iter,
) -> Iterable[Any]:
    """Yield the rows of a source as they are computed. watch: sees each item and passes it on."""
    padded = padding(model, settings, lambda: source.items(model, settings))
    items = watch(source.items(model, settings))
    return source.rows(source.compute(model, items, settings, budget, **padded))


def padding(
    model: Checkpoint, settings: Settings, items: Callable[[], Iterable[Item | Single]]
) -> dict[str, Sequence[int]]:
    """What tutorial mode tells `pipeline` to pad to; `items` is called for it, and read to its end."""
    return {"pad_to": pipeline.longest(model, items(), settings)} if settings.tutorial else {}


def run(
    load: Callable[[], Checkpoint],
    settings: Settings,
    source: Source,
    outputs: Callable[[Facts], Sequence[Output]],
    batch_tokens: int | None = None,
    fail_on_unscored: bool = False,
) -> "Tally":
    """Compute the rows of a source and write the outputs, all or none of them.

    load: gives the model, and is called when the source has been checked. batch_tokens: in a forward pass, by default
    as many as suit the device and the memory. fail_on_unscored: raise when any row has no score. Warnings are logged
    before the rows, those about the rows before the counts. Raises `UserError` for a faulty input, model or setting,
    and when nothing, or not all that must be, could be read.
    """
    checked = source.check()
    model = load()
    checked = checked.with_model(model)
    settings.check(model)
    warnings = Warnings(source.noun, source.is_ranked)
    warnings.settings = of_settings(model.is_demonstration, settings.strand, pipeline.is_mirrored(model, settings))
    warnings.settings += map(inert, checked.notes)
    _log_warnings(warnings.settings)
    budget = Budget(batch_tokens) if batch_tokens else Budget.fitting(model)
    tally = Tally(model, budget, bool(checked.chunk))
    forecast = Forecast(checked, budget, len(pipeline.strands_read(model, settings)))
    facts = Facts(partial(provenance, model, settings, source), warnings, checked.chunk, model.is_causal)
    wanted = outputs(facts)
    with cli.atomic_outputs(*(path for path, _ in wanted)) as paths:
        with contextlib.ExitStack() as opened:
            sinks = [opened.enter_context(sink(path)) for path, (_, sink) in zip(paths, wanted, strict=True) if path]
            for row in rows(model, settings, source, budget, forecast.watch):
                for sink in sinks:
                    sink(row)
                warnings.add(row)
                tally.add(row)
        _log_warnings(warnings.of_rows())
        tally.report(fail_on_unscored)
    return tally


def _log_warnings(warnings: Iterable[str]) -> None:
    for warning in warnings:
        log.warning("%s", plain(warning))


class Tally:
    """Counts of the rows' statuses and the largest impact, and the report on them at the end.

    `is_chunk`: the rows are those of one chunk of a larger input, which may have nothing that can be read.
    """

    def __init__(self, checkpoint: Checkpoint, budget: Budget, is_chunk: bool = False) -> None:
        self.counts: Counter[str] = Counter()
        self.is_chunk = is_chunk
        self.budget = budget
        self.meanings = statuses.meanings(checkpoint.max_tokens, checkpoint.precision_name)
        # Of substitutions, if there are any: whether it is one, its impact, and the mutation and its score in words.
        self._largest: tuple[bool, float, str] | None = None

    def add(self, row: Row) -> None:
        """Count a row."""
        self.counts[row.status] += 1
        if row.status == statuses.OK and isinstance(row, ScoredPair) and row.scores:
            name, value = next(iter(row.scores.items()))
            rank = not row.is_indel, (1 if SCORES[name].grows else -1) * value
            if self._largest is None or rank > self._largest[:2]:
                self._largest = *rank, f"largest impact {limited(row.what, 100)} ({name} {value:.4g})"

    def report(self, fail_on_unscored: bool = False) -> None:
        """Log the count of each status. Raise `UserError` when nothing could be read, or not all of what must be."""
        total = self.counts.total()
        n_unread = total - self.counts[statuses.OK]
        listed = statuses.listed(self.counts)
        meanings = "; ".join(f"{status}: {self.meanings[status]}" for status in self.counts if status in self.meanings)
        if (n_unread == total and not self.is_chunk) or (n_unread and fail_on_unscored):
            reasons = f" ({meanings})" if meanings else ""
            raise UserError(f"the model could not read {n_unread} of {counted(total, 'record')}: {listed}{reasons}")
        n_read = self.counts[statuses.OK]
        cli.result("; ".join([f"{n_read:,} of {total:,} records read", *(self._largest or ())[2:]]))
        log.info("%s: %s", counted(total, "record"), listed)
        if meanings:
            log.info("%s", meanings)
        budget = self.budget
        log.info("%s given, %d computed, %d at once", counted(budget.given, "token"), budget.computed, budget.tokens)
