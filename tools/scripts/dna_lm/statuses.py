"""Statuses that several steps know, and rules for their counts over a whole input.

A tool applies the rules to its input, unless this is a chunk of a larger input. Then the tool that puts the chunks
together applies them to all rows.
"""

import logging
from collections.abc import Mapping

from dna_lm.errors import UserError, counted

log = logging.getLogger(__name__)

OK = "ok"
INVALID_BASE = "invalid_base"
EMPTY = "empty"
TOO_LONG = "too_long"
TOO_SHORT = "too_short"
CHANGE_NOT_READ = "change_not_read"
NOT_FINITE = "not_finite"
SYMBOLIC_ALLELE = "symbolic_allele"
MISSING_ALT = "missing_alt"
UNKNOWN_CONTIG = "unknown_contig"
REF_MISMATCH = "ref_mismatch"
NO_CHANGE = "no_change"
WINDOW_OFF_END = "window_off_end"
OUTSIDE_SEQUENCE = "outside_sequence"

# Alleles with these statuses have a REF that was not compared with the reference.
_NOT_COMPARED = SYMBOLIC_ALLELE, MISSING_ALT, UNKNOWN_CONTIG
# At least this many, and more than one in this many, mean another file than was meant: with REF mismatches the VCF is
# of another genome build, with bad records the file is damaged or holds proteins. A VCF of the right build has no
# mismatch. In one of another build about three in four bases differ: one in four matches by chance.
FEWEST_MISMATCHES = 10
ONE_MISMATCH_IN = 10
# When more than nine in ten rows are on sequences that the reference lacks, it is probably not theirs.
ONE_KNOWN_IN = 10


def meanings(max_tokens: int | None = None, precision: str = "this precision") -> dict[str, str]:
    """What each status means: of a model that reads `max_tokens` tokens, or any model, computed with a `precision`."""
    return {
        INVALID_BASE: "letters other than A, C, G, T",
        EMPTY: "no base: an empty record, or an interval that ends where it starts, or before",
        TOO_LONG: "more tokens than the model reads"
        if max_tokens is None
        else f"more than the {max_tokens} tokens that the model reads",
        TOO_SHORT: "fewer bases than one token of the model has",
        CHANGE_NOT_READ: "wild type and mutant look identical to the model: "
        "the change lies in end bases too short to fill a token",
        NOT_FINITE: f"the model's output, or a score of it, is not a finite number in {precision}",
        SYMBOLIC_ALLELE: "<...>, *, or a breakend: no sequence",
        MISSING_ALT: "ALT is '.'",
        UNKNOWN_CONTIG: "CHROM is not in the reference",
        REF_MISMATCH: "REF is not what the reference has there; if many, is it another genome build?",
        NO_CHANGE: "ALT equals REF, or two windows of the same length are equal",
        WINDOW_OFF_END: "the sequence, or its mutant, is shorter than the window",
        OUTSIDE_SEQUENCE: "the position, or a part of the interval, is before the first or after the last base of its "
        "sequence in the reference",
    }


def refuse_nothing_scored(counts: Mapping[str, int]) -> None:
    """Raise `UserError` when `counts` (status -> number of rows) has rows and none of them is ok."""
    total = sum(counts.values())
    if total and not counts.get(OK):
        raise UserError(f"none of {counted(total, 'record')} has a score: {listed(counts)}")


def mismatches(counts: Mapping[str, int]) -> str | None:
    """A message with the numbers of differing and compared REF alleles, or None when few enough differ.

    counts: status -> number of alleles.
    """
    n_compared = sum(number for status, number in counts.items() if status not in _NOT_COMPARED)
    # The reference has no base past the end of a sequence.
    n_differing = counts.get(REF_MISMATCH, 0) + counts.get(OUTSIDE_SEQUENCE, 0)
    if not are_many(n_differing, n_compared):
        return None
    return f"{n_differing} of {n_compared} REF alleles differ from the reference"


def are_many(n_bad: int, total: int) -> bool:
    """Whether so many are bad that the file is another one than was meant."""
    return n_bad >= FEWEST_MISMATCHES and ONE_MISMATCH_IN * n_bad > total


def nearly_all(n_unknown: int, total: int) -> bool:
    """Whether more than nine in ten are on sequences that another file does not have."""
    return ONE_KNOWN_IN * (total - n_unknown) < total


class BadRecords:
    """Counts the records of a file that cannot be used. A few keep their rows; a file full of them is refused."""

    def __init__(self) -> None:
        self.total = self.n_bad = 0
        self.first = None

    def add(self, fault: str | None = None) -> None:
        """Count a record. fault: where it is, what is wrong with it, and what to do; None for a good one."""
        self.total += 1
        if fault:
            self.n_bad += 1
            self.first = self.first or fault

    def judge(self, is_chunk: bool = False, but: str = "it keeps its row, without a score") -> None:
        """Log how many there are. Raise `UserError` when all are bad, or many, unless they are those of a chunk."""
        if not self.n_bad:
            return
        if not is_chunk and (self.n_bad == self.total or are_many(self.n_bad, self.total)):
            others = f" ({self.n_bad} of {self.total} records are bad)" if self.total > 1 else ""
            raise UserError(f"{self.first}{others}")
        log.warning("%s (%d of %d records: %s)", self.first, self.n_bad, self.total, but)


def listed(counts: Mapping[str, int]) -> str:
    """Counts as text, the most frequent status first."""
    return ", ".join(f"{status} {number}" for status, number in sorted(counts.items(), key=lambda item: -item[1]))
