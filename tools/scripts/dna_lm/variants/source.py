"""The source of one row per alternate allele of a VCF."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dna_lm.inputs import alleles, vcf
from dna_lm.inputs.alleles import Allele
from dna_lm.inputs.reference import Reference
from dna_lm.inputs.regions import Regions
from dna_lm.model.checkpoint import Checkpoint
from dna_lm.mutations import NORMALISED
from dna_lm.scoring import pipeline
from dna_lm.scoring.forecast import Checked
from dna_lm.scoring.pipeline import COUNTS, Item, Row
from dna_lm.scoring.settings import Settings
from dna_lm.statuses import OK
from dna_lm.variants.background import Background, percentile


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
