"""Statuses that several steps know, and rules for their counts over a whole input.

A tool applies the rules to its input, unless this is a chunk of a larger input. Then the tool that puts the chunks
together applies them to all rows.
"""

from collections.abc import Mapping

from dna_lm.errors import UserError, counted

OK = "ok"
INVALID_BASE = "invalid_base"
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

# Alleles with these statuses have a REF that was not compared with the reference.
_NOT_COMPARED = SYMBOLIC_ALLELE, MISSING_ALT, UNKNOWN_CONTIG
# At least this many mismatches, and more than one in this many compared alleles, mean another genome build. A VCF of
# the right build has none. In one of another build about three in four bases differ: one in four matches by chance.
FEWEST_MISMATCHES = 10
ONE_MISMATCH_IN = 10


def meanings(max_tokens: int | None = None, precision: str = "this precision") -> dict[str, str]:
    """What each status means: of a model that reads `max_tokens` tokens, or any model, computed with a `precision`."""
    return {
        INVALID_BASE: "letters other than A, C, G, T",
        TOO_LONG: "more tokens than the model reads"
        if max_tokens is None
        else f"more than the {max_tokens} tokens that the model reads",
        TOO_SHORT: "fewer bases than one token of the model has",
        CHANGE_NOT_READ: "the model is given the same tokens for both: bases at an end that fill no token are not read",
        NOT_FINITE: f"the model's output, or a score of it, is not a finite number in {precision}",
        SYMBOLIC_ALLELE: "<...>, *, or a breakend: no sequence",
        MISSING_ALT: "ALT is '.'",
        UNKNOWN_CONTIG: "CHROM is not in the reference",
        REF_MISMATCH: "REF is not what the reference has there; if many, is it another genome build?",
        NO_CHANGE: "ALT equals REF, or two windows of the same length are equal",
        WINDOW_OFF_END: "the sequence, or its mutant, is shorter than the window",
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
    n_differing = counts.get(REF_MISMATCH, 0)
    if n_differing < FEWEST_MISMATCHES or ONE_MISMATCH_IN * n_differing <= n_compared:
        return None
    return f"{n_differing} of {n_compared} REF alleles differ from the reference"


def listed(counts: Mapping[str, int]) -> str:
    """Counts as text, the most frequent status first."""
    return ", ".join(f"{status} {number}" for status, number in sorted(counts.items(), key=lambda item: -item[1]))
