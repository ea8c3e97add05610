"""Alleles of VCF lines -> the wild-type and the mutant window of each, or why it has none.

Knows references and the VCF's lines, nothing of models. Every alternate allele of every line is one `Allele`, in the
file's order.

An allele is trimmed and left-aligned against the reference first (Tan, Abecasis and Kang 2015,
doi:10.1093/bioinformatics/btv112), so that all spellings of a variant have one window. An insertion or deletion keeps
one neighbouring base, as in VCF: the base before, or at a sequence's start the base after.

Windows begin `window // 2` bases before the reference allele, unless told otherwise. There are two kinds. With the
*same flanks*, the wild-type window ends `window - 1 - window // 2` bases after the reference allele, and the mutant
window has the alternate allele in its place: an indel has windows of different lengths. With the *same length*, both
have `window` bases, so the mutant window of a deletion reads further into the reference, and that of an insertion less
far. For a substitution of one base both kinds are equal. Where a sequence ends, the windows are shifted to lie in it.
"""

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from dna_lm import statuses
from dna_lm.contigs import matched
from dna_lm.errors import UserError, counted, quoted
from dna_lm.inputs import vcf
from dna_lm.inputs.fasta import NOT_ACGT, Record, normalised
from dna_lm.inputs.reference import Reference
from dna_lm.inputs.regions import Regions
from dna_lm.mutations import trimmed
from dna_lm.statuses import (
    INVALID_BASE,
    MISSING_ALT,
    NO_CHANGE,
    OK,
    OUTSIDE_SEQUENCE,
    REF_MISMATCH,
    SYMBOLIC_ALLELE,
    UNKNOWN_CONTIG,
    WINDOW_OFF_END,
)

log = logging.getLogger(__name__)

# Kinds of windows; the first is the default.
SAME_FLANKS, SAME_LENGTH = INDEL_WINDOWS = "same-flanks", "same-length"

# What an allele does to the reference's bases. A combination replaces some by another number of bases.
SUBSTITUTION, INSERTION, DELETION, COMBINATION = "substitution", "insertion", "deletion", "combination"

# Bases read at once on one side of an insertion or deletion: few repeats are longer.
_BLOCK = 256
_LISTED = 3
# Names of unknown sequences that are counted one by one.
_MOST_UNKNOWN = 10_000


@dataclass(frozen=True, slots=True)
class Allele:
    """One alternate allele of a VCF line, and its wild-type window, half-open, from 0, on the sequence `line.chrom`.

    `start`, `ref`, `alt` are normalised; they and the window are None, and `wild_type` empty, when the status says that
    there is no window. `beyond`: with windows of the same length, the bases after the wild-type window that a deletion
    moves into the mutant window; None with the same flanks. `is_last`: no other allele of its line comes after it.
    `shift`: by how many bases an insertion or deletion can be moved to the right without another mutant sequence.
    `contig`: the reference's name of the sequence `line.chrom`; None if it has none.
    """

    line: vcf.Line
    written_alt: str
    is_last: bool
    status: str
    start: int | None = None
    ref: str | None = None
    alt: str | None = None
    window: tuple[int, int] | None = None
    wild_type: str = ""
    beyond: str | None = None
    shift: int = 0
    contig: str | None = None

    @property
    def id(self) -> str:
        """The VCF's own, or the variant as written."""
        line = self.line
        return f"{line.chrom}:{line.pos}:{line.ref}>{self.written_alt}" if line.id == vcf.MISSING else line.id

    @property
    def mutant(self) -> str:
        """The bases of the mutant window; empty without a window."""
        if self.window is None:
            return ""
        return self.edited(self.start - self.window[0], len(self.ref), self.alt)

    def edited(self, at: int, n_bases: int, alt: str) -> str:
        """The mutant window if `alt` took the place of `n_bases` bases at `at` (from 0) in the wild-type window.

        With windows of the same length, it may not be shorter than these bases by more than the allele's own is.
        """
        if self.beyond is None:
            return self.wild_type[:at] + alt + self.wild_type[at + n_bases :]
        bases = self.wild_type + self.beyond
        return (bases[:at] + alt + bases[at + n_bases :])[: len(self.wild_type)]

    @property
    def shifting(self) -> tuple[str, str] | None:
        """(Reference, alternate) if the bases after the allele are shifted in a mutant window of the same length."""
        return None if self.beyond is None or len(self.ref) == len(self.alt) else (self.ref, self.alt)

    @property
    def is_cut(self) -> bool:
        """Whether the reference or the alternate allele ends beyond its window of the same length."""
        if self.beyond is None:
            return False
        start, ref, alt = self.trimmed()
        return start - self.window[0] + max(len(ref), len(alt)) > len(self.wild_type)

    def changed(self) -> tuple[int, int]:
        """The bases of the reference that the allele replaces, half-open from 0; empty for an insertion."""
        if self.window is None:
            return self.line.pos - 1, self.line.pos - 1 + len(self.line.ref)
        start, ref, _ = self.trimmed()
        return start, start + len(ref)

    def trimmed(self) -> tuple[int, str, str]:
        """Start, reference and alternate without the bases that they share; one of the two can be empty."""
        return trimmed(self.start, self.ref, self.alt)

    @property
    def kind(self) -> str | None:
        """`SUBSTITUTION` (of one or more bases), `INSERTION`, `DELETION` or `COMBINATION`; None without a window."""
        if self.window is None:
            return None
        _, ref, alt = self.trimmed()
        if len(ref) == len(alt):
            return SUBSTITUTION
        return COMBINATION if ref and alt else (DELETION if ref else INSERTION)

    def windows(self) -> tuple[Record, Record]:
        """The wild-type and the mutant window."""
        name = vcf.readable(self.id)
        return Record(name, self.wild_type, self.status), Record(name, self.mutant, self.status)


@dataclass(frozen=True)
class CheckedVcf:
    """What `check_vcf` found.

    header: the VCF's own, in lines. counts: status -> alleles, as far as it is known without windows. contigs: CHROM ->
    the reference's name of the same sequence. n_of_contig: alleles on each of these. notes: of `styles`.
    """

    header: list[str]
    counts: Counter[str]
    contigs: dict[str, str]
    n_of_contig: Counter[str]
    notes: list[str]


def check_vcf(
    path: str, reference: Reference, refused_ids: Collection[str] = (), allow_ref_mismatches: bool = False
) -> CheckedVcf:
    """Read a VCF to its end, so that a fault is found before any work is done.

    Sequences have the reference's names, or other styles of them. Raises `UserError` as `vcf.read_lines` does; for a
    file without variants; when no CHROM, or not one allele in ten, is in the reference; and, unless
    `allow_ref_mismatches`, when so many REF alleles differ from the reference that the two are of different genome
    builds. The last two are rules for a whole file: for a chunk they are only logged.
    """
    contigs = {name: name for name in reference.lengths}
    while True:
        header, counts, known, unknown = [], Counter(), Counter(), Counter()
        line = mismatch = None
        for line in vcf.read_lines(path, header, refused_ids):
            contig = contigs.get(line.chrom)
            if contig is not None:
                known[line.chrom] += len(line.alts)
            else:
                is_listed = len(unknown) < _MOST_UNKNOWN or line.chrom in unknown
                unknown[line.chrom if is_listed else "others"] += len(line.alts)
            ref = normalised(line.ref)
            statuses_of_line = [_status(line, contig, ref, alt, normalised(alt), reference) for alt in line.alts]
            counts.update(statuses_of_line)
            if mismatch is None and not {REF_MISMATCH, OUTSIDE_SEQUENCE}.isdisjoint(statuses_of_line):
                mismatch = line
        # Which styles are one-to-one is known when all names are. Few files need this second look.
        others = matched([*known, *unknown], reference.lengths)
        if others.items() <= contigs.items():
            break
        contigs |= others
    if line is None:
        raise UserError(f"VCF: its header ends at line {len(header)} and no variant follows")
    vcf.check_ids(header, refused_ids)
    n_of_contig = Counter()
    for name, number in known.items():
        n_of_contig[contigs[name]] += number
    try:
        judge_unknown("VCF", "allele", unknown, known.total(), reference, vcf.is_chunk(header))
        if known and counts[OUTSIDE_SEQUENCE] == known.total():
            raise UserError(
                f"VCF, line {mismatch.number}: POS {mismatch.pos} is past the end of {quoted(mismatch.chrom)}, which "
                f"has {reference.lengths[contigs[mismatch.chrom]]} bases in the reference, and no other line fits: the "
                "two do not belong together"
            )
        if not allow_ref_mismatches and (message := statuses.mismatches(counts)):
            _refuse_mismatches(message, reference, mismatch, contigs[mismatch.chrom])
    except UserError as error:
        if not vcf.is_chunk(header):
            raise
        log.warning("in this chunk, %s", error)
    notes = styles("VCF", {name: contigs[name] for name in known})
    return CheckedVcf(header, counts, contigs, n_of_contig, notes)


def _refuse_mismatches(message, reference, line, contig):
    start = min(line.pos - 1, reference.lengths[contig])
    bases = reference.fetch(contig, start, min(start + len(line.ref), reference.lengths[contig])) if start >= 0 else ""
    raise UserError(
        f"{message}, first at line {line.number}: {quoted(f'{line.chrom}:{line.pos}', 24)} is {quoted(line.ref, 8)}, "
        f"and {quoted(bases, 8)} in {quoted(reference.name, 24)}. Choose the genome build of the VCF, or "
        '"Continue when many REF alleles differ from the reference" (--allow-ref-mismatches)'
    )


def styles(role: str, contigs: Mapping[str, str]) -> list[str]:
    """A sentence if sequences of a file are named in another style than the reference's."""
    others = [f"{quoted(name)} as {quoted(contig)}" for name, contig in contigs.items() if name != contig]
    what = f"{role}: {counted(len(others), 'sequence')} read by the names of the reference"
    return [f"{what}: {listed(others)}."] if others else []


def judge_unknown(
    role: str, noun: str, unknown: Mapping[str, int], n_known: int, reference: Reference, is_chunk: bool = False
) -> None:
    """Log how many are on sequences that the reference lacks. Raise `UserError` when all or nearly all are.

    unknown: name of a sequence -> number of what `noun` says; n_known: how many are on other sequences.
    """
    n_unknown = sum(unknown.values())
    if not n_unknown:
        return
    known = list(reference.lengths)
    names = listed([quoted(name) for name in unknown])
    if not n_known:
        raise UserError(
            f"no sequence of the {role} ({names}) is in the reference ({listed(map(quoted, known))}): "
            "the two do not belong together"
        )
    counts = (
        f"{n_unknown} of {counted(n_unknown + n_known, noun)} of the {role} are on sequences that the reference lacks"
    )
    if statuses.nearly_all(n_unknown, n_unknown + n_known):
        raise UserError(
            f"{counts} ({names}): rename the sequences of the {role}, take the reference that they belong to, or keep "
            "only what is on its sequences"
        )
    if not is_chunk:
        log.warning("%s: %s", counts, listed([f"{quoted(name)} {number}" for name, number in unknown.items()]))


def judge_regions(regions: Regions, vcf_checked: CheckedVcf, is_chunk: bool) -> None:
    """Log how many alleles are on sequences without regions.

    Raise `UserError` when nearly all are, and the regions are on sequences that the reference lacks.
    """
    with_regions = set(regions.contigs.values())
    without = {name: number for name, number in vcf_checked.n_of_contig.items() if name not in with_regions}
    n_without, total = sum(without.values()), vcf_checked.n_of_contig.total()
    unknown = [quoted(name) for name in regions.n_of_contig if name not in regions.contigs]
    if unknown:
        log.warning("regions: the reference lacks %s: %s", counted(len(unknown), "sequence"), listed(unknown))
    if not n_without:
        return
    counts = f"{n_without} of {counted(total, 'allele')} are on sequences without regions"
    if unknown and not is_chunk and statuses.nearly_all(n_without, total):
        raise UserError(
            f"{counts} ({listed(map(quoted, without))}), and the regions are on others ({listed(unknown)}): give "
            "regions with the sequence names of the reference"
        )
    log.warning("%s: %s", counts, listed([f"{quoted(name)} {number}" for name, number in without.items()]))


def listed(texts: Iterable[str]) -> str:
    """The first few of some texts, and how many more there are."""
    texts = list(texts)
    return ", ".join(texts[:_LISTED]) + (f" and {len(texts) - _LISTED} more" if len(texts) > _LISTED else "")


def read_alleles(
    path: str,
    reference: Reference,
    window: int,
    indel_window: str = SAME_FLANKS,
    contigs: Mapping[str, str] | None = None,
    before: int | None = None,
) -> Iterator[Allele]:
    """Yield an `Allele` for each alternate allele of each line of the VCF at `path`.

    indel_window: one of `INDEL_WINDOWS`. before: bases of a window before the reference allele, by default half of it.
    contigs: those of `check_vcf`; without them, CHROM is a name of the reference.
    """
    contigs = {name: name for name in reference.lengths} if contigs is None else contigs
    placed = {SAME_FLANKS: _with_same_flanks, SAME_LENGTH: _with_same_length}[indel_window]
    left = window // 2 if before is None else before
    for line in vcf.read_lines(path):
        ref = normalised(line.ref)
        contig = contigs.get(line.chrom)
        for number, written in enumerate(line.alts, 1):
            alt = normalised(written)
            status = _status(line, contig, ref, written, alt, reference)
            place = {"status": status}
            if status == OK:
                normal = normalise(reference, contig, line.pos - 1, ref, alt)
                place = placed(reference, contig, *normal, window, left)
                place["shift"] = shift(reference, contig, *normal)
            yield Allele(line, written, number == len(line.alts), contig=contig, **place)


def _status(line, contig, ref, written, alt, reference):
    if written == vcf.MISSING:
        return MISSING_ALT
    if vcf.is_symbolic(written):
        return SYMBOLIC_ALLELE
    if contig is None:
        return UNKNOWN_CONTIG
    if not (vcf.is_dna(line.ref) and vcf.is_dna(written)) or NOT_ACGT.search(ref) or NOT_ACGT.search(alt):
        return INVALID_BASE
    start, length = line.pos - 1, reference.lengths[contig]
    if not 0 <= start < length:
        return OUTSIDE_SEQUENCE
    if start + len(ref) > length:
        return REF_MISMATCH
    bases = reference.fetch(contig, start, start + len(ref))
    if bases != ref:
        # An unknown base of the reference contradicts nothing.
        differing = [there for there, here in zip(bases, ref, strict=True) if there != here]
        return INVALID_BASE if all(map(NOT_ACGT.match, differing)) else REF_MISMATCH
    return NO_CHANGE if ref == alt else OK


def _with_same_flanks(reference, contig, start, ref, alt, window, left):
    stretch = around(start, len(ref), window, reference.lengths[contig], left)
    if stretch is None:
        return {"status": WINDOW_OFF_END}
    wild_type = reference.fetch(contig, *stretch)
    status = INVALID_BASE if NOT_ACGT.search(wild_type) else OK
    return {"status": status, "start": start, "ref": ref, "alt": alt, "window": stretch, "wild_type": wild_type}


def _with_same_length(reference, contig, start, ref, alt, window, left):
    n_moved_in = max(0, len(ref) - len(alt))
    last = reference.lengths[contig] - n_moved_in - window
    if last < 0:
        return {"status": WINDOW_OFF_END}
    first = min(max(0, start - left), last)
    end = first + window
    bases = reference.fetch(contig, first, end + n_moved_in)
    placed = {"start": start, "ref": ref, "alt": alt, "window": (first, end)}
    placed |= {"wild_type": bases[:window], "beyond": bases[window:]}
    at = start - first
    if NOT_ACGT.search(bases):
        status = INVALID_BASE
    else:
        # In a repeat that fills the rest of the window, an indel of its units shows nowhere in it.
        is_seen = (bases[:at] + alt + bases[at + len(ref) :])[:window] != bases[:window]
        status = OK if is_seen else NO_CHANGE
    return placed | {"status": status}


def normalise(reference: Reference, contig: str, start: int, ref: str, alt: str) -> tuple[int, str, str]:
    """The normalised spelling of a variant (start from 0, REF, ALT): trimmed, left-aligned, indels with a neighbour."""
    start, ref, alt = trimmed(start, ref, alt)
    if ref and alt:
        return start, ref, alt
    start, indel = _leftmost(reference, contig, start, ref or alt)
    ref, alt = (indel, "") if ref else ("", indel)
    if start:
        start -= 1
        base = reference.fetch(contig, start, start + 1)
        return start, base + ref, base + alt
    base = reference.fetch(contig, len(ref), len(ref) + 1)
    return start, ref + base, alt + base


def _leftmost(reference, contig, start, indel):
    """The leftmost position of inserted or deleted bases, and these bases as they are there.

    While the base before equals the last of them, that base takes the first place: the result is the same sequence.
    """
    length, moved = len(indel), 0
    while start - moved > 0:
        block = reference.fetch(contig, max(0, start - moved - _BLOCK), start - moved)
        passed = 0
        while passed < len(block) and block[-1 - passed] == indel[(-1 - moved - passed) % length]:
            passed += 1
        moved += passed
        if passed < len(block):
            break
    turn = length - moved % length
    return start - moved, indel[turn:] + indel[:turn]


def shift(reference: Reference, contig: str, start: int, ref: str, alt: str) -> int:
    """By how many bases a normalised variant can be moved to the right: 0 for one that replaces bases by others.

    While the base after an insertion or deletion equals its first one, that base becomes its last one: the result is
    the same sequence.
    """
    start, ref, alt = trimmed(start, ref, alt)
    if ref and alt:
        return 0
    indel, after, end = ref or alt, start + len(ref), reference.lengths[contig]
    moved = 0
    while after + moved < end:
        block = reference.fetch(contig, after + moved, min(end, after + moved + _BLOCK))
        passed = 0
        while passed < len(block) and block[passed] == indel[(moved + passed) % len(indel)]:
            passed += 1
        moved += passed
        if passed < len(block):
            break
    return moved


def around(start: int, n_bases: int, window: int, length: int, before: int | None = None) -> tuple[int, int] | None:
    """The window around `n_bases` bases at `start`, half-open, within a sequence of `length`, or None if too short.

    before: bases of the window before `start`, by default half of it.
    """
    left = window // 2 if before is None else before
    size = window - 1 + n_bases
    if size > length:
        return None
    first = min(max(0, start - left), length - size)
    return first, first + size
