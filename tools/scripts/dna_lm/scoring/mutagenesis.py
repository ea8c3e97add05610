"""Every substitution, and every deletion of one base, of stretches of DNA -> rows of a table, and what is drawn.

Knows sequences, references and the pipeline; nothing of drawing.
"""

import math
from collections import deque
from dataclasses import dataclass, field, replace

import numpy as np
from Bio.Seq import reverse_complement

from dna_lm.errors import UserError, quoted
from dna_lm.inputs import alleles, regions
from dna_lm.inputs.fasta import OK, Record
from dna_lm.scoring import pipeline

BASES = "ACGT"
DELETION = "-"


@dataclass(frozen=True, slots=True)
class Stretch:
    """DNA to mutate: the bases `first` to `end` (half-open, from 0) of a record, whose others are read around them.

    `place`: the sequence and the position, from 0, that the base `first` has in a reference; None for a FASTA record.
    """

    record: Record
    first: int
    end: int
    place: tuple[str, int] | None = None


def from_records(records):
    """A `Stretch` for each FASTA record: all of it."""
    for record in records:
        yield Stretch(record, 0, len(record.sequence))


def from_intervals(path, file_format, reference, flank):
    """A `Stretch` for each interval of a BED or GFF file, with `flank` bases of the reference on either side.

    At a sequence's end the flanks are shifted, not shortened: what one side lacks the other has more. An interval whose
    flanks the sequence has no room for, or whose sequence the reference does not have, has no bases and a status.
    Raises `UserError` for an interval past the end of its sequence, and when the reference has none of the sequences.
    """
    unknown, n_known = {}, 0
    for interval in regions.read(path, file_format, "intervals"):
        contig, start, end = interval.contig, interval.start, interval.end
        length = reference.lengths.get(contig)
        if length is None:
            unknown.setdefault(contig)
            yield Stretch(Record(interval.name, "", alleles.UNKNOWN_CONTIG), 0, 0, (contig, start))
            continue
        n_known += 1
        if end > length:
            raise UserError(
                f"intervals ({file_format.upper()}), line {interval.line}: it ends at {end}, past the end of "
                f"{quoted(contig)}, which has {length} bases in the reference: the two do not belong together"
            )
        window = alleles.around(start, end - start, 2 * flank + 1, length)
        if window is None:
            yield Stretch(Record(interval.name, "", alleles.WINDOW_OFF_END), 0, 0, (contig, start))
            continue
        record = reference.record(interval.name, contig, *window)
        yield Stretch(record, start - window[0], end - window[0], (contig, start))
    if not n_known:
        alleles.refuse_unknown(list(unknown), list(reference.lengths), "intervals")


def mutants(stretch, deletions=False):
    """Yield (index from 0, new base or `-`, mutant sequence), from the first base on; substitutions come before `-`."""
    sequence = stretch.record.sequence
    for at in range(stretch.first, stretch.end):
        before, after = sequence[:at], sequence[at + 1 :]
        for base in BASES:
            if base != sequence[at]:
                yield at, base, before + base + after
        if deletions:
            yield at, DELETION, before + after


def score_stretches(checkpoint, stretches, settings, wanted, deletions=False, pad_to=(0, 0)):
    """Yield (stretch, row) for each mutant; the row has id, position, ref, alt, then the columns of `score_pairs`.

    Positions count from 1 from the stretch's first base. For a stretch with a place, chrom and pos (from 1) follow. A
    stretch that cannot be read has one row, with its status and no position.
    """
    waiting = deque()

    def pairs():
        for stretch, at, base, pair in _pairs(checkpoint, stretches, settings, deletions):
            waiting.append((stretch, at, base))
            yield pair

    for scored in pipeline.score_pairs(checkpoint, pairs(), settings, wanted, pad_to):
        stretch, at, base = waiting.popleft()
        row = {"id": scored.pop("id"), "position": None, "ref": None, "alt": base}
        if at is None:
            scored |= {"wt_length": len(stretch.record.sequence) or None, "mut_length": None}
        else:
            row |= {"position": at - stretch.first + 1, "ref": stretch.record.sequence[at]}
        row |= scored
        if stretch.place:
            contig, start = stretch.place
            row |= {"chrom": contig, "pos": None if at is None else start + at - stretch.first + 1}
        yield stretch, row


def longest_pair(checkpoint, stretches, settings, deletions=False):
    """What tutorial mode pads wild types and mutants to."""
    return pipeline.longest_pair(checkpoint, (pair for *_, pair in _pairs(checkpoint, stretches, settings, deletions)))


def _pairs(checkpoint, stretches, settings, deletions):
    for stretch in stretches:
        record = stretch.record
        if record.status == OK and _is_too_long(checkpoint, record.sequence, settings.strand):
            # One row instead of thousands that are each read again to find the same.
            record = replace(record, status=pipeline.TOO_LONG)
        if record.status != OK:
            yield stretch, None, None, (record, record)
            continue
        for at, base, mutant in mutants(stretch, deletions):
            yield stretch, at, base, (record, Record(record.id, mutant, OK))


def _is_too_long(checkpoint, sequence, strand):
    both = [reverse_complement(sequence) if reverse else sequence for reverse in pipeline.STRANDS[strand]]
    return any(len(ids) > checkpoint.max_tokens for ids in checkpoint.tokenise(both))


@dataclass
class Landscape:
    """One stretch's scores, to be drawn: `scores` is float (alternates, bases), NaN for the base itself."""

    name: str
    bases: str
    start: int  # what the first base is called: 1, or its position in the reference
    alternates: str
    scores: np.ndarray


@dataclass
class Landscapes:
    """Collects one score of the rows that pass: to draw the first stretches, up to `max_bases`, and for a track."""

    score: str
    deletions: bool
    max_bases: int
    drawn: list = field(default_factory=list)
    n_not_drawn: int = 0
    _track: dict = field(default_factory=dict)

    def watch(self, scored):
        """Pass on the rows of `scored`, (stretch, row) pairs."""
        current, room = None, self.max_bases
        for stretch, row in scored:
            if row["position"] is not None:
                if stretch is not current:
                    current = stretch
                    room = self._begin(stretch, room)
                if row[self.score] is not None:
                    self._note(stretch, row)
            yield row

    def _begin(self, stretch, room):
        bases = stretch.record.sequence[stretch.first : stretch.end]
        self._is_drawn = len(bases) <= room
        if not self._is_drawn:
            self.n_not_drawn += 1
            return room
        alternates = BASES + DELETION * self.deletions
        start = stretch.place[1] + 1 if stretch.place else 1
        scores = np.full((len(alternates), len(bases)), math.nan)
        self.drawn.append(Landscape(stretch.record.id, bases, start, alternates, scores))
        return room - len(bases)

    def _note(self, stretch, row):
        if self._is_drawn:
            landscape = self.drawn[-1]
            landscape.scores[landscape.alternates.index(row["alt"]), row["position"] - 1] = row[self.score]
        if stretch.place and row["alt"] != DELETION:
            total = self._track.setdefault(row["chrom"], {}).setdefault(row["pos"], [0.0, 0])
            total[0] += row[self.score]
            total[1] += 1

    def track(self):
        """Yield (sequence, start, end, mean score of the substitutions of this base), sorted, half-open from 0.

        A base in several intervals has one line: the mean of all its substitutions in all of them.
        """
        for contig in sorted(self._track):
            for pos, (total, n) in sorted(self._track[contig].items()):
                yield contig, pos - 1, pos, total / n
