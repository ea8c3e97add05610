"""Sources of one row per FASTA record or pair: sequences to embed, and pairs to score."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from dna_lm.errors import UserError, quoted
from dna_lm.inputs import chunks, fasta
from dna_lm.inputs.fasta import Record
from dna_lm.model.checkpoint import Checkpoint
from dna_lm.scoring import pipeline
from dna_lm.scoring.pipeline import Item, Row, Single
from dna_lm.scoring.settings import Settings
from dna_lm.statuses import OK

# A pseudo-log-likelihood reads a sequence as many times as it has tokens: 4 million tokens for one of this length.
MOST_MASKED_TOKENS = 2048


@dataclass(frozen=True)
class SequenceSource:
    """The records of a FASTA file, to embed."""

    path: str
    compute = staticmethod(pipeline.embed)

    def check(self) -> bool:
        fasta.read_to_end(fasta.read_fasta(self.path))
        return chunks.is_fasta_chunk(self.path)

    def items(self, checkpoint: Checkpoint, settings: Settings) -> Iterator[Single]:
        if settings.log_likelihood and not checkpoint.is_causal:
            self._refuse_long(checkpoint)
        return map(Single, fasta.read_fasta(self.path))

    def _refuse_long(self, checkpoint: Checkpoint) -> None:
        """Raise `UserError` for a record that a masked model would have to read too many times."""
        for record in fasta.read_fasta(self.path):
            n_tokens = len(checkpoint.tokenise([record.sequence])[0]) if record.status == OK else 0
            if MOST_MASKED_TOKENS < n_tokens <= checkpoint.max_tokens:
                raise UserError(
                    f"record {quoted(record.id)} has {n_tokens} tokens: the log-likelihood of a masked model takes one "
                    f"forward pass for each token, so {MOST_MASKED_TOKENS} are allowed: leave out the log-likelihood, "
                    "cut long records, or choose a causal model"
                )

    def rows(self, computed: Iterable[tuple[Any, Row]]) -> Iterable[tuple[Any, Row]]:
        return computed


@dataclass(frozen=True)
class PairSource:
    """The pairs of two FASTA files, to score. `pair_by` is a key of `fasta.PAIRINGS`."""

    wild_type_path: str
    mutant_path: str
    pair_by: str = "order"
    allow_identical: bool = False
    compute = staticmethod(pipeline.score)

    def _pairs(self) -> Iterator[tuple[Record, Record]]:
        return fasta.PAIRINGS[self.pair_by](self.wild_type_path, self.mutant_path)

    def check(self) -> bool:
        paths = self.wild_type_path, self.mutant_path
        n_pairs, n_identical = fasta.count_pairs(self._pairs())
        is_chunk = chunks.are_fasta_chunks(*paths)
        if not self.allow_identical and not is_chunk:
            fasta.refuse_identical(n_pairs, n_identical, *paths)
        return is_chunk

    def items(self, _checkpoint: Checkpoint, _settings: Settings) -> Iterator[Item]:
        return (Item(None, wild_type, mutant) for wild_type, mutant in self._pairs())

    def rows(self, computed: Iterable[tuple[Any, Row]]) -> Iterable[tuple[Any, Row]]:
        return computed
