"""The source of one row per FASTA record."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dna_lm.embedding.pca import Collector
from dna_lm.errors import UserError, quoted
from dna_lm.inputs import chunks, fasta
from dna_lm.inputs.fasta import Record
from dna_lm.model.checkpoint import Checkpoint
from dna_lm.names import NONE
from dna_lm.scoring import pipeline
from dna_lm.scoring.forecast import Checked
from dna_lm.scoring.pipeline import Single
from dna_lm.scoring.rows import EmbeddedRecord
from dna_lm.scoring.settings import Settings
from dna_lm.statuses import OK

# A pseudo-log-likelihood reads a sequence as many times as it has tokens: 4 million tokens for one of this length.
MOST_MASKED_TOKENS = 2048

log = logging.getLogger(__name__)


@dataclass
class SequenceSource:
    """The records of FASTA files, to embed. The payload of a record is its group.

    files: (label, path) of each. groups: identifier -> group or ""; without them, the group is the label of the file,
    and a single file has no groups. no_group: the group of a record without one. watcher: takes
    every row before the sinks do.
    """

    noun = "records"
    is_ranked = False

    files: Sequence[tuple[str, str]]
    groups: Mapping[str, str] | None = None
    no_group: str = NONE
    watcher: Collector | None = None
    compute = staticmethod(pipeline.embed)

    def _records(self) -> Iterator[tuple[str, Record]]:
        """(label of the file, record)."""
        for label, path in self.files:
            role = "FASTA" if len(self.files) == 1 else f"FASTA {quoted(label)}"
            for record in fasta.read_fasta(path, role):
                yield label, record

    def check(self) -> Checked:
        n_records, n_bases = fasta.count_bases(record for _, record in self._records())
        if self.groups is not None:
            self._check_groups(n_records)
        chunk = chunks.mark_of_fasta(self.files[0][1]) if len(self.files) == 1 else None
        return Checked(chunk, n_records, n_bases)

    def _check_groups(self, n_records: int) -> None:
        """Raise `UserError` when the table of groups has none of the records; log how many it does not have."""
        n_missing = sum(record.id not in self.groups for _, record in self._records())
        if n_missing == n_records:
            examples = [quoted(next(iter(names)), 30) for names in (self.groups, (r.id for _, r in self._records()))]
            raise UserError(
                f"no record has an identifier of the table of groups, for example {examples[0]} in the table and "
                f"{examples[1]} in the FASTA: its column 'id' must have the FASTA's identifiers"
            )
        if n_missing:
            log.info("%d of %d records are not in the table of groups", n_missing, n_records)

    def items(self, checkpoint: Checkpoint, settings: Settings) -> Iterator[Single]:
        if settings.log_likelihood and not checkpoint.is_causal:
            self._refuse_long(checkpoint)
        for label, record in self._records():
            yield Single(record, label if self.groups is None else self.groups.get(record.id) or self.no_group)

    def _refuse_long(self, checkpoint: Checkpoint) -> None:
        """Raise `UserError` for a record that a masked model would have to read too many times."""
        for _, record in self._records():
            is_read = record.status == OK and not checkpoint.is_far_too_long(record.sequence)
            n_tokens = len(checkpoint.tokenise([record.sequence])[0]) if is_read else 0
            if MOST_MASKED_TOKENS < n_tokens <= checkpoint.max_tokens:
                raise UserError(
                    f"record {quoted(record.id)} has {n_tokens} tokens: the log-likelihood of a masked model takes one "
                    f"forward pass for each token, so {MOST_MASKED_TOKENS} are allowed: leave out the log-likelihood, "
                    "cut long records, or choose a causal model"
                )

    @property
    def is_grouped(self) -> bool:
        """Whether rows have a group."""
        return self.groups is not None or len(self.files) > 1

    def rows(self, computed: Iterable[tuple[Any, EmbeddedRecord]]) -> Iterator[EmbeddedRecord]:
        for group, found in computed:
            row = replace(found, group=group) if self.is_grouped else found
            if self.watcher:
                self.watcher.add(row)
            yield row

    def as_text(self) -> dict[str, str]:
        return {}
