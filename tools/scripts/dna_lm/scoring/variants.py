"""The source of one row per alternate allele of a VCF, and its outputs: the VCF with scores, and the windows."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple

from dna_lm.bigwig import write_bigwig
from dna_lm.inputs import alleles, vcf
from dna_lm.inputs.alleles import Allele
from dna_lm.inputs.reference import Reference
from dna_lm.inputs.regions import Regions
from dna_lm.model.checkpoint import Checkpoint
from dna_lm.mutations import NORMALISED
from dna_lm.scores import SCORES
from dna_lm.scoring import pipeline, ranking
from dna_lm.scoring.background import Background, percentile
from dna_lm.scoring.forecast import Checked
from dna_lm.scoring.pipeline import COUNTS, Item, Row
from dna_lm.scoring.settings import Settings
from dna_lm.statuses import OK
from dna_lm.tables import cell

# INFO fields are called PREFIX_NAME; this is the default.
PREFIX = "DNALM"


class _Scored(NamedTuple):
    """An allele, and how many background mutations come after it."""

    allele: Allele
    n_drawn: int


@dataclass
class VariantSource:
    """The alleles of a VCF, to score in windows of `window` bases of an open reference; `indel_window`: their kind.

    A row has chrom, pos, ref, alt, id, status, the scores; with a `background` a percentile for each score and the
    number drawn; the counts; the wild-type window, counted from 1 and its end included; with `regions` the names of
    those that the changed bases lie in; the kind of the allele; its normalised spelling, and by how many bases it can
    be moved. `refused_ids`: INFO fields that the VCF must not have. `header`: the lines of the VCF's header, and
    `contigs`: CHROM -> the reference's name of it, known after `check`.
    """

    path: str
    reference: Reference
    window: int
    scores: tuple[str, ...]
    background: Background | None = None
    regions: Regions | None = None
    refused_ids: frozenset[str] = frozenset()
    allow_ref_mismatches: bool = False
    indel_window: str = alleles.SAME_FLANKS
    header: list[str] = field(default_factory=list)
    contigs: dict[str, str] = field(default_factory=dict)
    compute = staticmethod(pipeline.score)

    def check(self) -> Checked:
        given = self.path, self.reference, self.refused_ids, self.allow_ref_mismatches
        checked = alleles.check_vcf(*given)
        self.header, self.contigs = checked.header, checked.contigs
        if self.regions:
            alleles.judge_regions(self.regions, checked, self.is_chunk)
        n_pairs = checked.counts[OK] * (1 + (self.background.n if self.background else 0))
        chunk = vcf.mark_of(self.header)
        return Checked(chunk, checked.counts.total(), 2 * self.window * n_pairs)

    @property
    def is_chunk(self) -> bool:
        """Whether the VCF is a chunk of a larger one, known after `check`."""
        return vcf.is_chunk(self.header)

    def items(self, _checkpoint: Checkpoint, _settings: Settings) -> Iterator[Item]:
        for allele in alleles.read_alleles(self.path, self.reference, self.window, self.indel_window, self.contigs):
            drawn = self.background.draw(allele) if self.background else []
            payload = _Scored(allele, len(drawn))
            yield Item(payload, *allele.windows(), len(allele.line.text), allele.shifting, allele.is_cut)
            for pair in drawn:
                # Drawn indels shift the bases after them as the allele does.
                yield Item(None, *pair, shifting=allele.shifting)

    def rows(self, computed: Iterator[tuple[Any, Row]]) -> Iterator[tuple[Allele, Row]]:
        for (allele, n_drawn), row in computed:
            drawn = [next(computed)[1] for _ in range(n_drawn)]
            yield allele, self._row(allele, row, drawn)

    def _row(self, allele, scored, drawn):
        counts = {name: scored.pop(name) for name in COUNTS}
        line = allele.line
        # Text of a bad record need not be text.
        alt = vcf.readable(allele.written_alt)
        row = {"chrom": vcf.readable(line.chrom), "pos": line.pos, "ref": vcf.readable(line.ref), "alt": alt, **scored}
        if self.background:
            row |= self._percentiles(scored, drawn)
        if allele.window is None:
            counts |= {"wt_length": None, "mut_length": None}
        start, end = allele.window or (None, None)
        row |= counts | {"window_start": None if start is None else start + 1, "window_end": end}
        if self.regions:
            row["region"] = self.regions.names(allele.contig or line.chrom, *allele.changed())
        # Last, so that the other columns keep their numbers.
        row["kind"] = allele.kind
        normal = (None,) * 4
        if allele.window is not None:
            normal = allele.start + 1, allele.ref, allele.alt, allele.shift
        return row | dict(zip(NORMALISED, normal, strict=True))

    def _percentiles(self, scored, drawn):
        background = [row for row in drawn if row["status"] == OK] if scored["status"] == OK else []
        percentiles = {
            f"{name}_percentile": percentile(scored[name], [row[name] for row in background]) for name in self.scores
        }
        return percentiles | {"n_background": len(background)}


@contextmanager
def wild_type_windows(path: str) -> Iterator[Callable[[Allele, Row], None]]:
    """A FASTA file of the wild-type window of each allele that has one."""
    with _windows(path, 0) as write:
        yield write


@contextmanager
def mutant_windows(path: str) -> Iterator[Callable[[Allele, Row], None]]:
    """A FASTA file of the mutant windows, in the same order."""
    with _windows(path, 1) as write:
        yield write


@contextmanager
def _windows(path, side):
    with open(path, "w", encoding="utf-8") as handle:

        def write(allele, _row):
            if allele.window is not None:
                record = allele.windows()[side]
                handle.write(f">{record.id}\n{record.sequence}\n")

        yield write


@contextmanager
def track(path: str, score: str, reference: Reference) -> Iterator[Callable[[Allele, Row], None]]:
    """A bigWig file of one score: a number at the first changed base of each allele that has one.

    An insertion is at the base after it, or at the last base of its sequence. Of several alleles at a base the first in
    the order of `ranking` is taken.
    """
    numbers = {name: number for number, name in enumerate(reference.lengths)}
    names = list(reference.lengths)
    # An empty name makes SQLite keep a private file in the temporary folder and remove it when it is closed.
    with closing(sqlite3.connect("")) as database:
        database.execute(
            "CREATE TABLE place (number INTEGER PRIMARY KEY, contig INTEGER, base INTEGER, kind INTEGER, first REAL, "
            "second REAL, score REAL)"
        )

        def write(allele: Allele, row: Row) -> None:
            if row["status"] == OK:
                contig = allele.contig
                base = min(allele.changed()[0], reference.lengths[contig] - 1)
                # The number in the table, so that both give the same float32.
                value = float(cell(row[score]))
                values = (numbers[contig], base, ranking.group_of(row), *ranking.key_of(row, score), value)
                insert = "INSERT INTO place (contig, base, kind, first, second, score) VALUES (?, ?, ?, ?, ?, ?)"
                database.execute(insert, values)

        yield write
        places = database.execute(
            "SELECT contig, base, score FROM place ORDER BY contig, base, kind, first, second, number"
        )
        firsts = (next(same) for _, same in groupby(places, lambda place: place[:2]))
        with_numbers = {names[n] for (n,) in database.execute("SELECT DISTINCT contig FROM place")}
        runs = ((names[n], base, base + 1, value) for n, base, value in firsts)
        write_bigwig(path, reference.lengths, runs, with_numbers)


@dataclass(frozen=True)
class Annotation:
    """Which columns of the table go into a VCF's INFO, and under which names."""

    prefix: str
    scores: tuple[str, ...]
    with_background: bool

    def fields(self) -> dict[str, vcf.Field]:
        """Column of the table -> INFO field."""
        texts = [(name, "Float", SCORES[name].description) for name in self.scores]
        if self.with_background:
            texts += [
                (f"{name}_percentile", "Float", f"Percentile of {self._id(name)} among the background mutations")
                for name in self.scores
            ]
            texts.append(("n_background", "Integer", "Background mutations drawn"))
        texts.append(("status", "String", "ok, or why the allele has no score"))
        return {name: vcf.Field(self._id(name), kind, text) for name, kind, text in texts}

    def _id(self, column):
        return f"{self.prefix}_{column.upper()}"

    @property
    def ids(self) -> frozenset[str]:
        """The names of the INFO fields."""
        return frozenset(info.id for info in self.fields().values())

    @contextmanager
    def annotated_vcf(
        self, path: str, source: VariantSource, settings: dict[str, object]
    ) -> Iterator[Callable[[Allele, Row], None]]:
        """The source's VCF with the fields in INFO: each line is written as soon as all its alleles have come.

        settings: name -> text, for the header.
        """
        fields = self.fields()
        of_line = []
        with vcf.open_for_writing(path) as handle:
            handle.writelines(vcf.header_with(source.header, fields.values(), self.prefix, settings))

            def write(allele: Allele, row: Row) -> None:
                of_line.append(row)
                if allele.is_last:
                    values = {
                        info.id: [cell(row[column]) or vcf.MISSING for row in of_line]
                        for column, info in fields.items()
                    }
                    handle.write(vcf.line_with(allele.line, values))
                    of_line.clear()

            yield write
