"""From items to rows: a portion of the items is tokenised, encoded and scored, and handed on before the next.

Memory is bounded by a portion. Knows nothing of files.

An item is what one row is made of: the records that the model reads, and a payload, which is returned unchanged with
the row.

Strands: every result is computed on each chosen strand and then averaged. `forward` reads the sequences as given,
`reverse` their reverse complements, `mean` is the arithmetic mean of both results (of the two scores, or of the two
embeddings). A model that reads both strands with the same weights is given one of them, from which the results for the
other one follow (see `model.mirror`). Token counts are those of the strand that was read, of the forward strand for
`mean`.

A record that is too long for the model has no token counts: whether it is tokenised at all depends on its length.

Truncation, when asked for, cuts a pair that is too long for the model to the bases around its change. Its row counts
the tokens that were read, and the bases that were given.

Ends: a row says whether all bases of its sequences were read (`whole`), whether bases were added to fill the last token
(`filled`), or whether some were left out (`cut`), by truncation or because they fill no token.

Dependencies, when asked for, come from the forward passes that the scores need (see `dependencies`).

Tutorial mode gives the public tutorial's numbers: the sequences of a file are padded to the longest one of that file
and pooled over the padding as well, as if the file were one batch. Log-likelihoods do not depend on it.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dna_lm import scores
from dna_lm.engine import encoder, host, likelihood
from dna_lm.engine.encoder import Budget
from dna_lm.inputs.fasta import Record
from dna_lm.model.checkpoint import Checkpoint
from dna_lm.model.tokens import base_tokens
from dna_lm.model.tokens.kmers import CUT
from dna_lm.scoring import token_pairs
from dna_lm.scoring.dependencies import Comparison
from dna_lm.scoring.portions import portions
from dna_lm.scoring.rows import Counts, EmbeddedRecord, ScoredPair
from dna_lm.scoring.settings import PURPOSE, STRANDS, Settings
from dna_lm.scoring.truncation import around_change
from dna_lm.statuses import CHANGE_NOT_READ, NOT_FINITE, OK, TOO_LONG, TOO_SHORT


@dataclass(frozen=True, slots=True)
class Single:
    """One record to embed."""

    record: Record
    payload: Any = None
    is_cut = False

    @property
    def records(self) -> tuple[Record, ...]:
        """What the model reads."""
        return (self.record,)

    @property
    def carried(self) -> int:
        """Bytes of the payload: there is none."""
        return 0


@dataclass(frozen=True, slots=True)
class Item:
    """A wild type and a mutant to score. `carried` estimates the memory that the payload takes, in bytes.

    `shifting`: the reference and the alternate allele of a pair that has equally many bases although these two have
    not. After them, the mutant's bases are shifted. So bases are counted in the alleles, and tokens are not compared
    one by one. `is_cut`: one of the two sequences lacks bases of its allele.
    """

    payload: Any
    wild_type: Record
    mutant: Record
    carried: int = 0
    shifting: tuple[str, str] | None = None
    is_cut: bool = False

    @property
    def records(self) -> tuple[Record, ...]:
        """What the model reads."""
        return self.wild_type, self.mutant

    @property
    def is_aligned(self) -> bool:
        """Whether the n-th base of the one corresponds to the n-th base of the other."""
        return self.shifting is None and len(self.wild_type.sequence) == len(self.mutant.sequence)


def embed(
    checkpoint: Checkpoint, items: Iterable[Single], settings: Settings, budget: Budget, pad_to: Sequence[int] = (0,)
) -> Iterator[tuple[Any, EmbeddedRecord]]:
    """Yield (payload, row) for each item.

    If the settings ask for it, a row has a log-likelihood; the bases are those that the model reads. The embedding of a
    record that could not be read is NaN, other numbers are `None`. `pad_to`: tokens to pad to (tutorial mode).
    """
    unread = np.full(settings.embedding.width(checkpoint), np.nan, np.float32)
    for portion, (statuses, strands, ends) in _tokenised(checkpoint, items, settings):
        readable = [number for number, status in enumerate(statuses) if status == OK]
        embeddings, log_likelihoods = {}, {}
        if readable:
            encoded = [
                _encode(checkpoint, [tokens[n][0] for n in readable], settings, budget, pad_to[0]) for tokens in strands
            ]
            of_strands, summed = zip(*encoded, strict=True)
            if is_mirrored(checkpoint, settings):
                [given], representation = of_strands, settings.embedding.representation
                other = checkpoint.mirror.pooled(given, representation)
                of_strands = [other if reverse else given for reverse in STRANDS[settings.strand]]
            embeddings = _finite_means(of_strands, readable, statuses)
            if settings.log_likelihood:
                log_likelihoods = _finite_means(summed, readable, statuses)
        for number, (item, status) in enumerate(zip(portion, statuses, strict=True)):
            n_bases = len(item.record.sequence)
            total = bits = None
            if number in log_likelihoods and status == OK:
                total = log_likelihoods[number].item()
                bits = -total / math.log(2) / checkpoint.reading.n_bases_read(n_bases)
            yield (
                item.payload,
                EmbeddedRecord(
                    id=item.record.id,
                    status=status,
                    length=n_bases,
                    tokens=len(strands[0][number][0]) if number in strands[0] else None,
                    ends=ends.get(number),
                    embedding=embeddings.get(number, unread),
                    log_likelihood=total,
                    bits_per_base=bits,
                ),
            )


def score(
    checkpoint: Checkpoint, items: Iterable[Item], settings: Settings, budget: Budget, pad_to: Sequence[int] = (0, 0)
) -> Iterator[tuple[Any, ScoredPair]]:
    """Yield (payload, row) for each item.

    A score or count that could not be computed is `None`. `pad_to`: tokens that wild types and mutants are padded to
    (tutorial mode). With dependencies a row has `changes`, unless bases of the pair do not correspond.
    """
    not_scored = [None] * len(settings.scores)
    bases = base_tokens.find(checkpoint, PURPOSE) if settings.dependencies else None
    for portion, (statuses, strands, ends) in _tokenised(checkpoint, items, settings):
        readable = [number for number, status in enumerate(statuses) if status == OK]
        values, changes = {}, {}
        if readable:
            aligned = [portion[n].is_aligned for n in readable]
            computed = [
                token_pairs.compute(checkpoint, [tokens[n] for n in readable], aligned, settings, budget, pad_to, bases)
                for tokens in strands
            ]
            values = _finite_means([of_strand for of_strand, _ in computed], readable, statuses)
            if bases:
                predictions = [dict(zip(readable, pairs, strict=True)) for _, pairs in computed]
                comparison = Comparison(checkpoint, bases, strands_read(checkpoint, settings))
                lengths = {n: len(portion[n].wild_type.sequence) for n in readable if portion[n].is_aligned}
                changes = comparison.finite_changes(lengths, strands, predictions, statuses)
        for number, (item, status) in enumerate(zip(portion, statuses, strict=True)):
            scored = values.get(number, not_scored) if status == OK else not_scored
            of_item = dict(zip(settings.scores, scored, strict=True))
            counts = _counts(item, status, strands[0].get(number), ends.get(number))
            yield item.payload, ScoredPair(item.wild_type.id, status, of_item, counts, changes.get(number))


def strands_read(checkpoint: Checkpoint, settings: Settings) -> tuple[bool, ...]:
    """The strands that the model reads: for each, whether it is the reverse complement."""
    return STRANDS["forward" if is_mirrored(checkpoint, settings) else settings.strand]


def _tokenised(checkpoint, items, settings):
    """Portions of the items, and what `_tokenise` gives of each: on a GPU while it computes the portion before."""
    tokenised = (
        (portion, _tokenise(checkpoint, portion, settings)) for portion in portions(items, checkpoint.device.type)
    )
    return host.ahead(tokenised, checkpoint.device)


def is_mirrored(checkpoint: Checkpoint, settings: Settings) -> bool:
    """Whether only the given strand is read, because the results for the other follow from it.

    They do not from its last token, which is the other strand's first.
    """
    return checkpoint.mirror is not None and settings.embedding.pooling != "last"


def _tokenise(checkpoint, portion, settings):
    """Statuses of items; per strand read, a dict from an item's number to its records' ids; one from it to its ends."""
    reverses = strands_read(checkpoint, settings)
    statuses = [status_of(checkpoint, item.records) for item in portion]
    readable = [number for number, status in enumerate(statuses) if status == OK]
    tokenised = [
        number
        for number in readable
        if not any(checkpoint.is_far_too_long(record.sequence) for record in portion[number].records)
    ]
    strands = []
    for reverse in reverses:
        sequences = [record.sequence for number in tokenised for record in portion[number].records]
        # Each sequence once: the mutants of one wild type come with it, each as a pair.
        distinct = list(dict.fromkeys(sequences))
        ids_of = dict(zip(distinct, checkpoint.tokenise(distinct, reverse), strict=True))
        ids = map(ids_of.__getitem__, sequences)
        strands.append({number: tuple(next(ids) for _ in portion[number].records) for number in tokenised})
    ends = {}
    for number in readable:
        pair = [record.sequence for record in portion[number].records]
        ends[number] = CUT if portion[number].is_cut else checkpoint.reading.ends_of(pair)
        of_strands = [tokens.pop(number, None) for tokens in strands]
        if None in of_strands or any(len(ids) > checkpoint.max_tokens for tokens in of_strands for ids in tokens):
            of_strands = around_change(checkpoint, *pair, reverses) if settings.truncate else None
            ends[number] = CUT
        if of_strands is None:
            statuses[number] = TOO_LONG
            del ends[number]
            continue
        for tokens, ids in zip(strands, of_strands, strict=True):
            tokens[number] = ids
        if pair[0] != pair[-1] and any(ids[0] == ids[-1] for ids in of_strands):
            # On that strand the score would be 0, as if the model saw no difference: it has not seen the change.
            statuses[number] = CHANGE_NOT_READ
    return statuses, strands, ends


def status_of(checkpoint: Checkpoint, records: Iterable[Record]) -> str:
    """The status of records by what they hold and how few bases they have: the first one that is not ok."""
    return next((status for record in records if (status := _status_of_one(checkpoint, record)) != OK), OK)


def _status_of_one(checkpoint, record):
    is_short = record.status == OK and len(record.sequence) < checkpoint.reading.fewest_bases
    return TOO_SHORT if is_short else record.status


@np.errstate(invalid="ignore", over="ignore")
def _finite_means(of_strands, numbers, statuses):
    """Means over strands of results, each (n, width): a dict from the n items' numbers to (width,).

    An item whose mean is not finite is left out, and its entry in `statuses` becomes `NOT_FINITE`.
    """
    means = np.mean(of_strands, axis=0)
    # VCF, bigWig and most readers of tables hold float32. To them a larger number is not finite.
    is_finite = (np.abs(means) <= np.finfo(np.float32).max).all(axis=1)
    for number in np.compress(~is_finite, numbers):
        statuses[number] = NOT_FINITE
    return dict(zip(np.compress(is_finite, numbers), means[is_finite], strict=True))


def _encode(checkpoint, token_lists, settings, budget, pad_to):
    """Embeddings (n, width), and log-likelihoods (n, 1) or `None`."""
    padded = token_pairs.padded(checkpoint, token_lists, pad_to)
    # One pass gives both, unless the embeddings are those of padded sequences.
    with_both = settings.log_likelihood and checkpoint.is_causal and not settings.tutorial
    embeddings, summed = encoder.encode(checkpoint, padded, settings.embedding, with_both, budget)
    if settings.log_likelihood and summed is None:
        summed = likelihood.log_likelihoods(checkpoint, token_lists, budget)
    return embeddings, None if summed is None else summed[:, None]


def _counts(item, status, tokens, ends):
    wild_type, mutant = item.wild_type.sequence, item.mutant.sequence
    # The edit distance of two long sequences takes long: not for a row that has no score.
    n_differences = scores.count_differences(*(item.shifting or (wild_type, mutant))) if status == OK else None
    of_tokens = (None, None, None)
    if tokens is not None:
        of_tokens = (*map(len, tokens), scores.count_changed_tokens(*tokens))
    return Counts(len(wild_type), len(mutant), n_differences, *of_tokens, ends)


def longest(checkpoint: Checkpoint, items: Iterable[Single | Item], settings: Settings) -> list[int]:
    """Tokens of the longest sequence that can be read, for each record of an item: what tutorial mode pads to."""
    lengths = []
    for portion in portions(items, checkpoint.device.type):
        statuses, (tokens, *_), _ = _tokenise(checkpoint, portion, settings)
        lengths += [tuple(map(len, ids)) for number, ids in tokens.items() if statuses[number] == OK]
        lengths = [tuple(map(max, zip(*lengths, strict=True)))] if lengths else []
    return list(lengths[0]) if lengths else [0] * 2
