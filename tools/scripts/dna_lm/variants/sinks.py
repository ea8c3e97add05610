"""Outputs of one row per alternate allele: the VCF with scores, the windows, the track."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import groupby

from dna_lm.inputs import vcf
from dna_lm.inputs.alleles import Allele
from dna_lm.inputs.reference import Reference
from dna_lm.outputs.bigwig import write_bigwig
from dna_lm.outputs.tables import Row, cell
from dna_lm.scores import SCORES
from dna_lm.statuses import OK
from dna_lm.variants import ranking
from dna_lm.variants.source import VariantSource

# INFO fields are called PREFIX_NAME; this is the default.
PREFIX = "DNALM"


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
