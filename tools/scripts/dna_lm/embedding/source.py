"""The source of one row per FASTA record."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dna_lm.errors import UserError, quoted
from dna_lm.inputs import chunks, fasta
from dna_lm.inputs.fasta import Record
from dna_lm.model.checkpoint import Checkpoint
from dna_lm.names import NONE
from dna_lm.scoring import pipeline
from dna_lm.scoring.forecast import Checked
from dna_lm.scoring.pipeline import Row, Single
from dna_lm.scoring.settings import Settings
from dna_lm.statuses import OK

# A pseudo-log-likelihood reads a sequence as many times as it has tokens: 4 million tokens for one of this length.
MOST_MASKED_TOKENS = 2048

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SequenceSource:
    """The records of FASTA files, to embed. The payload of a record is its group.

    files: (label, path) of each. groups: identifier -> group or ""; without them, the group is the label of the file,
    and a single file has no groups. watch: called with every row. no_group: the group of a record without one.
    """

    files: Sequence[tuple[str, str]]
    groups: Mapping[str, str] | None = None
    watch: Callable[[Row], None] | None = None
    no_group: str = NONE
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

    def rows(self, computed: Iterable[tuple[Any, Row]]) -> Iterator[tuple[Any, Row]]:
        is_grouped = self.groups is not None or len(self.files) > 1
        for group, row in computed:
            if is_grouped:
                embedding = row.pop("embedding")
                row |= {"group": group, "embedding": embedding}
            if self.watch:
                self.watch(row)
            yield group, row
