"""The source of one row per pair of two FASTA files."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from dna_lm.inputs import chunks, fasta
from dna_lm.inputs.fasta import Record
from dna_lm.model.checkpoint import Checkpoint
from dna_lm.scoring import pipeline
from dna_lm.scoring.forecast import Checked
from dna_lm.scoring.pipeline import Item
from dna_lm.scoring.rows import ScoredPair
from dna_lm.scoring.settings import Settings


@dataclass
class PairSource:
    """The pairs of two FASTA files, to score. `pair_by` is a key of `fasta.PAIRINGS`; `check` may find another."""

    noun = "pairs"
    is_ranked = False

    wild_type_path: str
    mutant_path: str
    pair_by: str = "order"
    allow_identical: bool = False
    compute = staticmethod(pipeline.score)

    def _pairs(self) -> Iterator[tuple[Record, Record]]:
        return fasta.PAIRINGS[self.pair_by](self.wild_type_path, self.mutant_path)

    def check(self) -> Checked:
        paths = self.wild_type_path, self.mutant_path
        counts = fasta.check_pairs(*paths, self.pair_by)
        self.pair_by = counts.pair_by
        chunk = chunks.mark_of_pair(*paths)
        if not self.allow_identical and not chunk:
            fasta.refuse_identical(counts.n_pairs, counts.n_identical, *paths)
        return Checked(chunk, counts.n_pairs, counts.n_bases)

    def items(self, _checkpoint: Checkpoint, _settings: Settings) -> Iterator[Item]:
        return (Item(None, wild_type, mutant) for wild_type, mutant in self._pairs())

    def rows(self, computed: Iterable[tuple[Any, ScoredPair]]) -> Iterator[ScoredPair]:
        return (row for _, row in computed)

    def as_text(self) -> dict[str, str]:
        return {"pairs": self.pair_by}
