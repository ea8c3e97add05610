"""From records to rows: chunks of records are tokenised, encoded, scored and handed on, so memory stays bounded.

Knows nothing of files.

Strands: whatever a tool writes is computed on each chosen strand and then averaged. `forward` reads the sequences as
given, `reverse` their reverse complements, `mean` is the arithmetic mean of both results (of the two scores, or of the
two embeddings). Token counts are those of the strand that was read, of the forward strand for `mean`.

Truncation, when asked for, cuts a pair that is too long for the model to what surrounds its change; its row counts the
tokens that were read, and the bases that were given.

Tutorial mode gives the public tutorial's numbers: the sequences of a file are padded to the longest one of that file
and pooled over the padding as well, as if the file were one batch.
"""

import logging
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from Bio.Seq import reverse_complement

from dna_lm import scores
from dna_lm.engine import encoder, likelihood
from dna_lm.engine.encoder import Budget, Embedding
from dna_lm.engine.truncation import around_change
from dna_lm.errors import UserError, counted
from dna_lm.inputs.fasta import INVALID_BASE, OK

TOO_LONG = "too_long"
NOT_FINITE = "not_finite"
# Whether each strand that is read is the reverse complement.
STRANDS = {"forward": (False,), "reverse": (True,), "mean": (False, True)}

# Enough records to fill batches of each length. The embeddings of a chunk are held together, and in float64 for the
# distances: of 512 pairs with 4,096 logits each some 50 MB.
_CHUNK_RECORDS = 512
_CHUNK_BASES = 2**21
_ROWS_PER_MESSAGE = 10_000

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """How sequences are turned into numbers, the same in every tool."""

    embedding: Embedding = field(default_factory=Embedding)
    strand: str = "forward"
    budget: Budget = field(default_factory=Budget, compare=False)
    tutorial: bool = False
    truncate: bool = False

    def check(self, checkpoint, wanted_scores=("l2",)):
        """Raise `UserError` when the options contradict each other or the checkpoint cannot give what is asked for."""
        if self.tutorial and (self.embedding != Embedding() or self.strand != "forward" or scores.LLR in wanted_scores):
            raise UserError(
                "tutorial mode is the representation 'logits', the pooling 'max' and the forward strand, without llr: "
                "leave out the other options, or leave out tutorial mode"
            )
        if self.tutorial and self.truncate:
            raise UserError("tutorial mode reads whole sequences: leave out --truncate, or leave out tutorial mode")
        if set(wanted_scores) - {scores.LLR}:
            self.embedding.check(checkpoint)
        if scores.LLR in wanted_scores:
            checkpoint.require_head("the score 'llr'")

    def described(self):
        """The settings that decide the numbers, as strings."""
        layer = str(self.embedding.layer) if self.embedding.representation == "hidden" else ""
        return {
            "representation": self.embedding.representation,
            "layer": layer,
            "pooling": self.embedding.pooling,
            "strand": self.strand,
            "tutorial": str(self.tutorial),
        }


def embed(checkpoint, records, settings, pad_to=0):
    """Yield a row for each record: a dict of id, status, length, tokens, and embedding: float32 (width,) or `None`."""
    for chunk in _chunks((record,) for record in records):
        statuses, strands = _read(checkpoint, chunk, settings.strand)
        good = [number for number, status in enumerate(statuses) if status == OK]
        found = {}
        if good:
            per_strand = [_embeddings(checkpoint, [s[n][0] for n in good], settings, pad_to) for s in strands]
            found = _finite_means(per_strand, good, statuses)
        for number, ((record,), status) in enumerate(zip(chunk, statuses, strict=True)):
            yield {
                "id": record.id,
                "status": status,
                "length": len(record.sequence),
                "tokens": len(strands[0][number][0]) if number in strands[0] else None,
                "embedding": found.get(number),
            }


def score_pairs(checkpoint, pairs, settings, wanted_scores, pad_to=(0, 0)):
    """Yield a row of the score table (a dict) for each (wild-type, mutant) pair of records.

    `pad_to`: tokens that wild types and mutants are padded to (tutorial mode).
    """
    for chunk in _chunks(pairs):
        statuses, strands = _read(checkpoint, chunk, settings.strand, settings.truncate)
        good = [number for number, status in enumerate(statuses) if status == OK]
        found = {}
        if good:
            same_length = [len(chunk[n][0].sequence) == len(chunk[n][1].sequence) for n in good]
            per_strand = [
                _scores(checkpoint, [s[n] for n in good], same_length, settings, wanted_scores, pad_to) for s in strands
            ]
            found = _finite_means(per_strand, good, statuses)
        not_scored = [None] * len(wanted_scores)
        for number, ((wild_type, mutant), status) in enumerate(zip(chunk, statuses, strict=True)):
            yield {
                "id": wild_type.id,
                "status": status,
                "wt_length": len(wild_type.sequence),
                "mut_length": len(mutant.sequence),
                # The edit distance of two long sequences takes long: not for a row that has no score.
                "n_differences": (
                    scores.count_differences(wild_type.sequence, mutant.sequence) if status == OK else None
                ),
                **_token_counts(strands[0].get(number)),
                **dict(zip(wanted_scores, found.get(number, not_scored), strict=True)),
            }


@np.errstate(invalid="ignore", over="ignore")
def _finite_means(per_strand, numbers, statuses):
    """Means over strands of results, each (n, width): a dict from the n items' numbers to (width,).

    An item whose mean is not finite is left out, and its entry in `statuses` becomes `NOT_FINITE`.
    """
    means = np.mean(per_strand, axis=0)
    # VCF, bigWig and most readers of tables hold float32: what it cannot is no finite number to them.
    finite = (np.abs(means) <= np.finfo(np.float32).max).all(axis=1)
    for number in np.compress(~finite, numbers):
        statuses[number] = NOT_FINITE
    return {number: mean for number, mean, is_finite in zip(numbers, means, finite, strict=True) if is_finite}


def _chunks(items):
    """Lists of consecutive tuples of records, bounded in number and in bases."""
    chunk, n_bases = [], 0
    for records in items:
        chunk.append(records)
        n_bases += sum(len(record.sequence) for record in records)
        if len(chunk) == _CHUNK_RECORDS or n_bases >= _CHUNK_BASES:
            yield chunk
            chunk, n_bases = [], 0
    if chunk:
        yield chunk


def _read(checkpoint, chunk, strand, truncate=False):
    """The status of each tuple of records, and per strand a dict from its number to its records' token ids.

    With `truncate`, pairs that are too long are cut to what surrounds their change.
    """
    statuses = [next((record.status for record in records if record.status != OK), OK) for records in chunk]
    readable = [number for number, status in enumerate(statuses) if status == OK]
    strands = []
    for reverse in STRANDS[strand]:
        sequences = [record.sequence for number in readable for record in chunk[number]]
        ids = iter(checkpoint.tokenise(map(reverse_complement, sequences) if reverse else sequences))
        strands.append({number: tuple(next(ids) for _ in chunk[number]) for number in readable})
    for number in readable:
        if any(len(ids) > checkpoint.max_tokens for tokens in strands for ids in tokens[number]):
            pair = [record.sequence for record in chunk[number]]
            cut = around_change(checkpoint, *pair, STRANDS[strand]) if truncate else None
            if cut is None:
                statuses[number] = TOO_LONG
            for tokens, ids in zip(strands, cut or (), strict=False):
                tokens[number] = ids
    return statuses, strands


def _embeddings(checkpoint, token_lists, settings, pad_to):
    padded = _padded(checkpoint, token_lists, pad_to)
    return encoder.encode(checkpoint, padded, settings.embedding, False, settings.budget)[0]


@np.errstate(invalid="ignore", over="ignore")
def _scores(checkpoint, token_pairs, same_length, settings, wanted_scores, pad_to):
    """The wanted scores of one strand: float64 (pairs, scores)."""
    n_pairs = len(token_pairs)
    token_lists = [
        ids for side in (0, 1) for ids in _padded(checkpoint, [pair[side] for pair in token_pairs], pad_to[side])
    ]
    distances = [name for name in wanted_scores if name != scores.LLR]
    causal_llr = scores.LLR in wanted_scores and checkpoint.is_causal
    embeddings, log_likelihoods = encoder.encode(
        checkpoint,
        token_lists if distances or causal_llr else [],
        settings.embedding if distances else None,
        causal_llr,
        settings.budget,
    )
    found = {}
    if distances:
        wild_type, mutant = embeddings.astype(np.float64).reshape(2, n_pairs, -1)
        found = {name: scores.DISTANCES[name](wild_type, mutant) for name in distances}
    if causal_llr:
        found[scores.LLR] = log_likelihoods[n_pairs:] - log_likelihoods[:n_pairs]
    elif scores.LLR in wanted_scores:
        found[scores.LLR] = likelihood.masked_log_likelihood_ratios(
            checkpoint, token_pairs, same_length, settings.budget
        )
    return np.stack([found[name] for name in wanted_scores], axis=1)


def _padded(checkpoint, token_lists, pad_to):
    return [[*ids, *[checkpoint.pad_token_id] * (pad_to - len(ids))] for ids in token_lists]


def _token_counts(tokens):
    if tokens is None:
        return {"wt_tokens": None, "mut_tokens": None, "changed_tokens": None}
    wild_type, mutant = tokens
    changed = scores.count_changed_tokens(wild_type, mutant)
    return {"wt_tokens": len(wild_type), "mut_tokens": len(mutant), "changed_tokens": changed}


def longest(checkpoint, records):
    """Tokens of the longest sequence that can be read: what tutorial mode pads to."""
    return _longest(checkpoint, ((record,) for record in records), 1)[0]


def longest_pair(checkpoint, pairs):
    """Tokens of the longest wild type and of the longest mutant among the pairs that can be read."""
    return _longest(checkpoint, pairs, 2)


def _longest(checkpoint, items, n_records):
    lengths = [0] * n_records
    for chunk in _chunks(items):
        statuses, (tokens,) = _read(checkpoint, chunk, "forward")
        good = [tuple(map(len, ids)) for number, ids in tokens.items() if statuses[number] == OK]
        lengths = [max(column) for column in zip(lengths, *good, strict=True)]
    return lengths


class Tally:
    """Counts of the rows' statuses, and the report on them at the end.

    `is_chunk`: the rows are those of one chunk of a larger input, which may have nothing that can be read.
    """

    def __init__(self, checkpoint, budget, is_chunk=False):
        self.counts = Counter()
        self.is_chunk = is_chunk
        self.budget = budget
        self.meanings = {
            INVALID_BASE: "letters other than A, C, G, T",
            TOO_LONG: f"more than the {checkpoint.max_tokens} tokens that the model reads",
            NOT_FINITE: f"the model's output, or a score of it, is not a finite number in {checkpoint.precision_name}",
        }

    def watch(self, rows):
        """Pass rows on, counting their statuses and saying now and then how many are done."""
        for row in rows:
            self.counts[row["status"]] += 1
            if self.counts.total() % _ROWS_PER_MESSAGE == 0:
                log.info("%d records done", self.counts.total())
            yield row

    def report(self, fail_on_unscored=False):
        """Log the count of each status. Raise `UserError` when nothing could be read, or not all of what must be."""
        total = self.counts.total()
        unread = total - self.counts[OK]
        listed = ", ".join(f"{status} {count}" for status, count in self.counts.most_common())
        meanings = "; ".join(f"{status}: {self.meanings[status]}" for status in self.counts if status in self.meanings)
        if (unread == total and not self.is_chunk) or (unread and fail_on_unscored):
            reasons = f" ({meanings})" if meanings else ""
            raise UserError(f"the model could not read {unread} of {counted(total, 'record')}: {listed}{reasons}")
        log.info("%s: %s", counted(total, "record"), listed)
        if meanings:
            log.info("%s", meanings)
        budget = self.budget
        log.info("%s given, %d computed, %d at once", counted(budget.given, "token"), budget.computed, budget.tokens)
