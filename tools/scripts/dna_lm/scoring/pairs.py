"""Sources of one row per FASTA record or pair: sequences to embed, and pairs to score."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from dna_lm.inputs import chunks, fasta
from dna_lm.inputs.fasta import Record
from dna_lm.model.checkpoint import Checkpoint
from dna_lm.scoring import pipeline
from dna_lm.scoring.forecast import Checked
from dna_lm.scoring.pipeline import Item, Row, Single
from dna_lm.scoring.settings import Settings


@dataclass(frozen=True)
class SequenceSource:
    """The records of a FASTA file, to embed."""

    path: str
    compute = staticmethod(pipeline.embed)

    def check(self) -> Checked:
        n_records, n_bases = fasta.count_bases(fasta.read_fasta(self.path))
        return Checked(chunks.is_fasta_chunk(self.path), n_records, n_bases)

    def items(self, _checkpoint: Checkpoint, _settings: Settings) -> Iterator[Single]:
        return map(Single, fasta.read_fasta(self.path))

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

    def check(self) -> Checked:
        paths = self.wild_type_path, self.mutant_path
        n_pairs, n_identical, n_bases = fasta.count_pairs(self._pairs())
        is_chunk = chunks.are_fasta_chunks(*paths)
        if not self.allow_identical and not is_chunk:
            fasta.refuse_identical(n_pairs, n_identical, *paths)
        return Checked(is_chunk, n_pairs, n_bases)

    def items(self, _checkpoint: Checkpoint, _settings: Settings) -> Iterator[Item]:
        return (Item(None, wild_type, mutant) for wild_type, mutant in self._pairs())

    def rows(self, computed: Iterable[tuple[Any, Row]]) -> Iterable[tuple[Any, Row]]:
        return computed
