"""Outputs of one row per alternate allele: the VCF with scores, the windows, the track."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import groupby

from dna_lm.databases import private_database
from dna_lm.inputs import vcf
from dna_lm.inputs.reference import Reference
from dna_lm.mutations import NORMALISED
from dna_lm.outputs.bigwig import write_bigwig
from dna_lm.outputs.tables import cell
from dna_lm.scores import SCORES
from dna_lm.scoring.rows import Cells
from dna_lm.statuses import OK
from dna_lm.variants import ranking
from dna_lm.variants.source import VariantRow

# INFO fields are called PREFIX_NAME; this is the default.
PREFIX = "DNALM"

Sink = Callable[[VariantRow], None]


def cells(row: VariantRow) -> Cells:
    """The columns of an allele: name -> value, in their order.

    The place, the id, the status; the scores, with a background their percentiles and the number drawn; the counts; the
    wild-type window, counted from 1 and its end included; the region and the gene, if there are any; the kind of the
    allele; its normalised spelling, and by how many bases it can be moved.
    """
    allele = row.allele
    found: Cells = {"chrom": row.chrom, "pos": row.pos, "ref": row.ref, "alt": row.alt, "id": row.id}
    found |= scored_cells(row) | asdict(row.counts)
    start, end = allele.window or (None, None)
    found |= {"window_start": None if start is None else start + 1, "window_end": end}
    if row.region is not None:
        found["region"] = row.region
    if row.gene is not None:
        found["gene"] = row.gene
    # Last, so that the other columns keep their numbers.
    found["kind"] = allele.kind
    normal = (None,) * 4
    if allele.window is not None:
        normal = allele.start + 1, allele.ref, allele.alt, allele.shift
    return found | dict(zip(NORMALISED, normal, strict=True))


def scored_cells(row: VariantRow) -> Cells:
    """The status, the scores and their percentiles."""
    found: Cells = {"status": row.status, **row.scores}
    if row.percentiles is not None:
        found |= {f"{name}_percentile": value for name, value in row.percentiles.items()}
        found["n_background"] = row.n_background
    return found


@contextmanager
def wild_type_windows(path: str) -> Iterator[Sink]:
    """A FASTA file of the wild-type window of each allele that has one."""
    with _windows(path, 0) as write:
        yield write


@contextmanager
def mutant_windows(path: str) -> Iterator[Sink]:
    """A FASTA file of the mutant windows, in the same order."""
    with _windows(path, 1) as write:
        yield write


@contextmanager
def _windows(path, side):
    with open(path, "w", encoding="utf-8") as handle:

        def write(row: VariantRow) -> None:
            if row.allele.window is not None:
                record = row.allele.windows()[side]
                handle.write(f">{record.id}\n{record.sequence}\n")

        yield write


@contextmanager
def track(path: str, score: str, reference: Reference) -> Iterator[Sink]:
    """A bigWig file of one score: a number at the first changed base of each allele that has one.

    An insertion is at the base after it, or at the last base of its sequence. Of several alleles at a base the first in
    the order of `ranking` is taken.
    """
    numbers = {name: number for number, name in enumerate(reference.lengths)}
    names = list(reference.lengths)
    with private_database() as database:
        database.execute(
            "CREATE TABLE place (number INTEGER PRIMARY KEY, contig INTEGER, base INTEGER, kind INTEGER, first REAL, "
            "second REAL, score REAL)"
        )

        def write(row: VariantRow) -> None:
            if row.status == OK:
                contig = row.allele.contig
                base = min(row.allele.changed()[0], reference.lengths[contig] - 1)
                # The number in the table, so that both give the same float32.
                value = float(cell(row.scores[score]))
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
    def annotated_vcf(self, path: str, header: Sequence[str], settings: Mapping[str, object]) -> Iterator[Sink]:
        """The VCF with the fields in INFO: each line is written as soon as all its alleles have come.

        header: the lines of the VCF's; settings: name -> text, to be added to it.
        """
        fields = self.fields()
        of_line = []
        with vcf.open_for_writing(path) as handle:
            handle.writelines(vcf.header_with(header, fields.values(), self.prefix, settings))

            def write(row: VariantRow) -> None:
                of_line.append(scored_cells(row))
                if row.allele.is_last:
                    values = {
                        info.id: [cell(of_allele[column]) or vcf.MISSING for of_allele in of_line]
                        for column, info in fields.items()
                    }
                    handle.write(vcf.line_with(row.allele.line, values))
                    of_line.clear()

            yield write
