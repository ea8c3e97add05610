"""Rows of pairs and records from the library, for tests that have them in memory."""

from collections.abc import Iterable
from typing import Any

from dna_lm.engine.encoder import Budget, Embedding
from dna_lm.inputs.fasta import Record
from dna_lm.model.checkpoint import Checkpoint
from dna_lm.scoring import pipeline
from dna_lm.scoring.pipeline import Item, Row, Single
from dna_lm.scoring.settings import Settings


def score_pairs(
    loaded: Checkpoint,
    pairs: Iterable[tuple[Record, Record]],
    wanted: tuple[str, ...] = ("l2",),
    batch_tokens: int = 2048,
    **settings: Any,
) -> list[Row]:
    """The row of each (wild-type, mutant) pair."""
    items = (Item(None, *pair) for pair in pairs)
    rows = pipeline.score(loaded, items, Settings(scores=tuple(wanted), **settings), Budget(batch_tokens))
    return [row for _, row in rows]


def embed(loaded: Checkpoint, records: Iterable[Record], embedding: Embedding, strand: str = "forward") -> list[Row]:
    """The row of each record."""
    rows = pipeline.embed(loaded, map(Single, records), Settings(embedding, strand, scores=()), Budget())
    return [row for _, row in rows]
