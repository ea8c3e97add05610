"""A scoring job from its arguments to its outputs, the same for every script: check, load, score, write, count.

A job has a source and outputs. The source is read to its end first, so that a faulty file is refused before any work is
done, and then once more for its items. Each output is a path and a sink: a context manager that opens the path and
yields a function. The job calls this function with every (payload, row) after computing it. A sink that needs all rows,
such as a picture, writes when its context ends without an error.
"""

import argparse
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Protocol

from dna_lm import cli, statuses
from dna_lm.engine.encoder import Budget
from dna_lm.errors import UserError, counted
from dna_lm.marks import CHUNK
from dna_lm.model.checkpoint import Checkpoint
from dna_lm.outputs.tables import Sink
from dna_lm.scoring import options, pipeline
from dna_lm.scoring.forecast import Checked, Forecast
from dna_lm.scoring.pipeline import Item, Row, Single
from dna_lm.scoring.settings import Settings
from dna_lm.scoring.warnings import Warnings, of_settings, plain

log = logging.getLogger(__name__)

# A path, or None for an output that is not wanted, and what opens it.
Output = tuple[str | None, Callable[[str], AbstractContextManager[Sink]]]


class Source(Protocol):
    """What a script reads. `compute` makes rows of items: `pipeline.score` or `pipeline.embed`."""

    compute: Callable[..., Iterator[tuple[Any, Row]]]

    def check(self) -> Checked:
        """Read everything once, and count. Raise `UserError` for a fault."""

    def items(self, checkpoint: Checkpoint, settings: Settings) -> Iterator[Item | Single]:
        """Read everything again, as items for the model."""

    def rows(self, computed: Iterator[tuple[Any, Row]]) -> Iterable[tuple[Any, Row]]:
        """The rows as they are written: with the source's own columns, one for each record or allele."""


def run(
    arguments: argparse.Namespace,
    source: Source,
    outputs: list[Output],
    warnings: Warnings | None = None,
) -> None:
    """Compute the rows of a source and write the outputs, all or none of them.

    arguments: those of `options.add_model_options`. warnings: to be completed before the outputs are; by default new
    ones. Warnings are logged before the rows, those about the rows before the counts. Raises `UserError`
    for a faulty input, model or setting, and when nothing, or not all that must be, could be read.
    """
    checked = source.check()
    checkpoint = options.load_checkpoint(arguments)
    settings = options.settings_from(arguments)
    settings.check(checkpoint)
    warnings = warnings or Warnings()
    is_mirrored = pipeline.is_mirrored(checkpoint, settings)
    warnings.settings = of_settings(checkpoint.is_demonstration, settings.strand, is_mirrored)
    _log_warnings(warnings.settings)
    budget = options.budget_from(arguments, checkpoint)
    padding = {}
    if settings.tutorial:
        padding = {"pad_to": pipeline.longest(checkpoint, source.items(checkpoint, settings), settings)}
    tally = Tally(checkpoint, budget, bool(checked.chunk))
    forecast = Forecast(checked, budget, len(pipeline.strands_read(checkpoint, settings)))
    with cli.atomic_outputs(*(path for path, _ in outputs)) as paths:
        with contextlib.ExitStack() as opened:
            sinks = [opened.enter_context(sink(path)) for path, (_, sink) in zip(paths, outputs, strict=True) if path]
            items = forecast.watch(source.items(checkpoint, settings))
            computed = source.compute(checkpoint, items, settings, budget, **padding)
            for payload, row in source.rows(computed):
                if checked.chunk:
                    # First: the last one can be an embedding.
                    row = {CHUNK: checked.chunk} | row
                for sink in sinks:
                    sink(payload, row)
                warnings.add(row)
                tally.add(row["status"])
        _log_warnings(warnings.of_rows())
        tally.report(arguments.fail_on_unscored)


def _log_warnings(warnings):
    for warning in warnings:
        log.warning("%s", plain(warning))


class Tally:
    """Counts of the rows' statuses, and the report on them at the end.

    `is_chunk`: the rows are those of one chunk of a larger input, which may have nothing that can be read.
    """

    def __init__(self, checkpoint: Checkpoint, budget: Budget, is_chunk: bool = False) -> None:
        self.counts: Counter[str] = Counter()
        self.is_chunk = is_chunk
        self.budget = budget
        self.meanings = statuses.meanings(checkpoint.max_tokens, checkpoint.precision_name)

    def add(self, status: str) -> None:
        """Count a row."""
        self.counts[status] += 1

    def report(self, fail_on_unscored: bool = False) -> None:
        """Log the count of each status. Raise `UserError` when nothing could be read, or not all of what must be."""
        total = self.counts.total()
        n_unread = total - self.counts[statuses.OK]
        listed = statuses.listed(self.counts)
        meanings = "; ".join(f"{status}: {self.meanings[status]}" for status in self.counts if status in self.meanings)
        if (n_unread == total and not self.is_chunk) or (n_unread and fail_on_unscored):
            reasons = f" ({meanings})" if meanings else ""
            raise UserError(f"the model could not read {n_unread} of {counted(total, 'record')}: {listed}{reasons}")
        log.info("%s: %s", counted(total, "record"), listed)
        if meanings:
            log.info("%s", meanings)
        budget = self.budget
        log.info("%s given, %d computed, %d at once", counted(budget.given, "token"), budget.computed, budget.tokens)
