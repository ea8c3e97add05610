"""Rows of pairs and records from the library, for tests that have them in memory."""

import random
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from dna_lm import api
from dna_lm.engine.encoder import Embedding
from dna_lm.inputs.fasta import Record
from dna_lm.model.checkpoint import Checkpoint
from dna_lm.scores import LLR_MEAN, SCORES
from dna_lm.scoring.rows import EmbeddedRecord, ScoredPair


def score_pairs(
    loaded: Checkpoint,
    pairs: Iterable[tuple[Record, Record]],
    wanted: Sequence[str] = ("l2",),
    batch_tokens: int = 2048,
    **settings: Any,
) -> list[ScoredPair]:
    """The row of each (wild-type, mutant) pair."""
    return list(api.score_pairs(loaded, pairs, wanted, batch_tokens, **settings))


def embed(
    loaded: Checkpoint, records: Iterable[Record], embedding: Embedding, strand: str = "forward", **settings: Any
) -> list[EmbeddedRecord]:
    """The row of each record."""
    return list(api.embed(loaded, records, embedding, batch_tokens=3072, strand=strand, **settings))


def scores_of(loaded: Checkpoint) -> list[str]:
    """All scores that a model has."""
    return [name for name in SCORES if loaded.is_causal or name != LLR_MEAN]


def assert_same_bits(loaded: Checkpoint, pairs: Sequence[tuple[Record, Record]]) -> None:
    """Assert that every score of a pair is the same to the last bit in other batches and in another order."""
    rows = score_pairs(loaded, pairs, scores_of(loaded))
    order = random.Random(4).sample(range(len(pairs)), len(pairs))
    for batch_tokens, chosen in ((1, order), (100, order[:7]), (5000, order[5:])):
        found = score_pairs(loaded, [pairs[number] for number in chosen], scores_of(loaded), batch_tokens)
        assert found == [rows[number] for number in chosen]


def random_pairs(
    n: int,
    seed: int,
    lengths: tuple[int, int] = (1, 250),
    removed: tuple[int, ...] = (0, 1, 1, 1, 3),
    added: tuple[int, ...] = (0, 1, 1, 1, 4),
) -> Iterator[tuple[Record, Record]]:
    """Random pairs: substitutions, insertions and deletions, at the ends too.

    `removed` and `added` are the numbers of bases to choose from; with 0 in both, some pairs have no change.
    """
    rng = random.Random(seed)
    for number in range(n):
        wild_type = "".join(rng.choices("ACGT", k=rng.randint(*lengths)))
        start = rng.choice([0, len(wild_type) - 1, rng.randrange(len(wild_type))])
        stop = min(len(wild_type), start + rng.choice(removed))
        mutant = wild_type[:start] + "".join(rng.choices("ACGT", k=rng.choice(added))) + wild_type[stop:]
        yield Record(f"p{number}", wild_type, "ok"), Record(f"p{number}", mutant or "A", "ok")
