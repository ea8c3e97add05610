"""The way in from Python: load a model, then score or embed what you have in memory or in files.

Every function yields its rows one by one, in the order of the input, as soon as they are computed; memory does not grow
with their number, except in tutorial mode. A row that cannot be scored comes too, with a status that says why. The
settings are those of `scoring.settings.Settings`: `strand`, `embedding`, `truncate` and so on. What a user can correct
raises `errors.UserError`. A VCF is checked to its end before the model reads anything.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from dna_lm.engine.encoder import Budget, Embedding
from dna_lm.engine.loading import load
from dna_lm.inputs import stretches
from dna_lm.inputs.alleles import SAME_FLANKS
from dna_lm.inputs.fasta import Record, normalised, record_of
from dna_lm.inputs.reference import Reference, open_reference
from dna_lm.model.checkpoint import Checkpoint
from dna_lm.mutagenesis.source import MutationRow, MutationSource
from dna_lm.scoring import job, pipeline
from dna_lm.scoring.pipeline import Item, Single
from dna_lm.scoring.recommended import of as recommended
from dna_lm.scoring.rows import EmbeddedRecord, ScoredPair
from dna_lm.scoring.settings import Settings
from dna_lm.variants.background import Background
from dna_lm.variants.source import VariantRow, VariantSource

__all__ = ["Embedding", "Record", "Settings", "embed", "load", "mutate", "recommended", "score_pairs", "score_variants"]

# A text, or a record that keeps its identifier.
Dna = str | Record


def score_pairs(
    model: Checkpoint,
    pairs: Iterable[tuple[Dna, Dna]],
    scores: Sequence[str] = ("l2",),
    batch_tokens: int | None = None,
    **settings: Any,
) -> Iterator[ScoredPair]:
    """Score mutations: the row of each (wild type, mutant).

    >>> from dna_lm import api
    >>> model = api.load("test-data/models/demo-mixtral")
    >>> [row] = api.score_pairs(model, [("ACGTTGCA", "ACGATGCA")], ["l2", "cosine_distance"])
    >>> row.status, sorted(row.scores), row.counts.n_differences
    ('ok', ['cosine_distance', 'l2'], 1)
    """
    chosen = _checked(model, scores=tuple(scores), **settings)
    given = _given(pairs, chosen)

    def items() -> Iterator[Item]:
        for number, (wild_type, mutant) in enumerate(given, start=1):
            yield Item(None, _record(wild_type, number), _record(mutant, number))

    padded = job.padding(model, chosen, items)
    computed = pipeline.score(model, items(), chosen, _budget(model, batch_tokens), **padded)
    return (row for _, row in computed)


def embed(
    model: Checkpoint,
    sequences: Iterable[Dna],
    embedding: Embedding | None = None,
    batch_tokens: int | None = None,
    **settings: Any,
) -> Iterator[EmbeddedRecord]:
    """Embed sequences: the row of each, with its vector.

    >>> from dna_lm import api
    >>> model = api.load("test-data/models/demo-mixtral")
    >>> [row] = api.embed(model, ["ACGTTGCA"], api.Embedding("hidden", pooling="mean"))
    >>> row.status, row.embedding.shape == (model.hidden_size,)
    ('ok', True)
    """
    chosen = _checked(model, embedding=embedding or Embedding(), scores=(), **settings)
    given = _given(sequences, chosen)

    def items() -> Iterator[Single]:
        return map(Single, _records(given))

    padded = job.padding(model, chosen, items)
    return (row for _, row in pipeline.embed(model, items(), chosen, _budget(model, batch_tokens), **padded))


def score_variants(
    model: Checkpoint,
    variants: Path | str,
    reference: Path | str | Reference,
    scores: Sequence[str] = ("l2",),
    window: int = 201,
    background: Background | None = None,
    indel_window: str = SAME_FLANKS,
    before: int | None = None,
    batch_tokens: int | None = None,
    **settings: Any,
) -> Iterator[VariantRow]:
    """Score the variants of a VCF: the row of each alternate allele, in windows of the reference.

    before: bases of a window before a substitution, by default half of it.

    >>> from dna_lm import api
    >>> model = api.load("test-data/models/demo-mixtral")
    >>> rows = api.score_variants(model, "test-data/variants.vcf", "test-data/reference.fasta", window=101)
    >>> row = next(row for row in rows if row.status == "ok")
    >>> row.chrom, row.pos, row.ref, row.alt, row.is_indel
    ('chr1', 300, 'G', 'A', False)
    """
    chosen = _checked(model, scores=tuple(scores), **{"strand": "mean"} | settings)

    def rows() -> Iterator[VariantRow]:
        opened = nullcontext(reference) if isinstance(reference, Reference) else open_reference(str(reference))
        with opened as genome:
            placed = {"indel_window": indel_window, "before": before}
            source = VariantSource(str(variants), genome, window, background, **placed)
            source.check()
            yield from job.rows(model, chosen, source, _budget(model, batch_tokens))

    return rows()


def mutate(
    model: Checkpoint,
    sequences: Iterable[Dna],
    scores: Sequence[str] = ("l2",),
    deletions: bool = False,
    batch_tokens: int | None = None,
    **settings: Any,
) -> Iterator[MutationRow]:
    """Score every substitution of sequences, and every deletion of one base: the row of each mutant.

    >>> from dna_lm import api
    >>> model = api.load("test-data/models/demo-mixtral")
    >>> rows = list(api.mutate(model, ["ACGTTGCA"]))
    >>> len(rows), rows[0].mutation.position, rows[0].mutation.alt
    (24, 1, 'C')
    """
    chosen = _checked(model, scores=tuple(scores), **{"strand": "mean"} | settings)
    given = _given(sequences, chosen)
    source = MutationSource(lambda: stretches.from_records(_records(given)), deletions)
    return iter(job.rows(model, chosen, source, _budget(model, batch_tokens)))


def _checked(model: Checkpoint, **settings: Any) -> Settings:
    chosen = Settings(**settings)
    chosen.check(model)
    return chosen


def _given(inputs: Iterable[Any], settings: Settings) -> Iterable[Any]:
    """The inputs; in memory for tutorial mode, which reads them twice to pad to the longest."""
    return list(inputs) if settings.tutorial else inputs


def _records(sequences: Iterable[Dna]) -> Iterator[Record]:
    return (_record(sequence, number) for number, sequence in enumerate(sequences, start=1))


def _record(sequence: Dna, number: int) -> Record:
    """A record of a sequence, by the rules for letters that hold for FASTA files."""
    return sequence if isinstance(sequence, Record) else record_of(f"record_{number}", normalised(sequence))


def _budget(model: Checkpoint, batch_tokens: int | None) -> Budget:
    return Budget(batch_tokens) if batch_tokens else Budget.fitting(model)
