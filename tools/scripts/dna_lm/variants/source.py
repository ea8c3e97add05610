"""The source of one row per alternate allele of a VCF."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, NamedTuple

from dna_lm.errors import UserError
from dna_lm.inputs import alleles, vcf
from dna_lm.inputs.alleles import SUBSTITUTION, Allele
from dna_lm.inputs.reference import Reference
from dna_lm.inputs.regions import Regions
from dna_lm.model.checkpoint import Checkpoint
from dna_lm.scoring import fitting, pipeline
from dna_lm.scoring.forecast import Checked
from dna_lm.scoring.pipeline import Item
from dna_lm.scoring.rows import ScoredPair
from dna_lm.scoring.settings import Settings
from dna_lm.statuses import OK
from dna_lm.variants.background import Background, percentile

# Alleles that are looked at for windows, and windows whose tokens are counted.
_LOOKED_AT, _N_TRIED = 1000, 4


class _Scored(NamedTuple):
    """An allele, and how many background mutations come after it."""

    allele: Allele
    n_drawn: int


@dataclass(frozen=True)
class VariantRow(ScoredPair):
    """An alternate allele.

    percentiles: score -> its percentile among `n_background` mutations, both `None` without a background; region: what
    the changed bases lie in, `None` without regions; gene: of which gene, `None` without genes.
    """

    allele: Allele = field(kw_only=True)
    percentiles: Mapping[str, float | None] | None = None
    n_background: int | None = None
    region: str | None = None
    gene: str | None = None

    # The text of a bad record need not be text.
    @property
    def chrom(self) -> str:
        """As in the VCF."""
        return vcf.readable(self.allele.line.chrom)

    @property
    def pos(self) -> int:
        """As in the VCF, from 1."""
        return self.allele.line.pos

    @property
    def ref(self) -> str:
        """As in the VCF."""
        return vcf.readable(self.allele.line.ref)

    @property
    def alt(self) -> str:
        """As in the VCF, of several alternate alleles this one."""
        return vcf.readable(self.allele.written_alt)

    @property
    def what(self) -> str:
        return f"{self.chrom}:{self.pos} {self.ref}→{self.alt}"

    @property
    def is_indel(self) -> bool:
        return self.allele.kind != SUBSTITUTION

    @property
    def has_percentiles(self) -> bool:
        return self.percentiles is not None

    def percentile(self, score: str) -> float | None:
        """The percentile of a score, if there is one."""
        return self.percentiles[score] if self.percentiles else None


@dataclass
class VariantSource:
    """The alleles of a VCF, to score in windows of `window` bases of an open reference; `indel_window`: their kind.

    `before`: the bases of a window before a substitution, by default half of it. `refused_ids`: INFO fields that the
    VCF must not have. `sort_by_impact`: whether the rows are to be sorted, which those of a chunk are not. `header`:
    the lines of the VCF's header, and `contigs`: CHROM -> the reference's name of it, known after `check`.
    """

    noun = "alleles"

    path: str
    reference: Reference
    window: int = 201
    background: Background | None = None
    regions: Regions | None = None
    refused_ids: frozenset[str] = frozenset()
    allow_ref_mismatches: bool = False
    indel_window: str = alleles.SAME_FLANKS
    sort_by_impact: bool = False
    before: int | None = None
    header: list[str] = field(default_factory=list)
    contigs: dict[str, str] = field(default_factory=dict)
    compute = staticmethod(pipeline.score)

    def check(self) -> Checked:
        given = self.path, self.reference, self.refused_ids, self.allow_ref_mismatches
        checked = alleles.check_vcf(*given)
        self.header, self.contigs = checked.header, checked.contigs
        notes = checked.notes
        if self.regions:
            alleles.judge_regions(self.regions, checked, self.is_chunk)
            notes = notes + alleles.styles("regions", self.regions.contigs)
        n_pairs = checked.counts[OK] * (1 + (self.background.n if self.background else 0))
        chunk = vcf.mark_of(self.header)
        return Checked(chunk, checked.counts.total(), 2 * self.window * n_pairs, notes)

    @property
    def is_chunk(self) -> bool:
        """Whether the VCF is a chunk of a larger one, known after `check`."""
        return vcf.is_chunk(self.header)

    @property
    def is_ranked(self) -> bool:
        """Whether the table is ranked, with insertions and deletions apart."""
        return self.sort_by_impact and not self.is_chunk

    def _alleles(self) -> Iterator[Allele]:
        given = self.path, self.reference, self.window, self.indel_window, self.contigs, self.before
        return alleles.read_alleles(*given)

    def _refuse_long_window(self, checkpoint: Checkpoint, strand: str) -> None:
        """Raise `UserError` if the model can read none of the first windows."""
        first = [allele.wild_type for allele in islice(self._alleles(), _LOOKED_AT) if allele.status == OK][:_N_TRIED]
        if not first or any(fitting.most_tokens(checkpoint, [one], strand) <= checkpoint.max_tokens for one in first):
            return

        def windows(length: int) -> list[str]:
            return [sequence[(len(sequence) - length) // 2 :][:length] for sequence in first]

        longest = fitting.longest_window(checkpoint, windows, strand, self.window)
        raise UserError(
            f"the model reads at most {checkpoint.max_tokens:,} tokens, a window of {self.window:,} bases has more: "
            f'choose at most about {longest:,} in "Bases in a window" (--window)'
        )

    def items(self, checkpoint: Checkpoint, settings: Settings) -> Iterator[Item]:
        self._refuse_long_window(checkpoint, settings.strand)
        for allele in self._alleles():
            drawn = self.background.draw(allele) if self.background else []
            payload = _Scored(allele, len(drawn))
            yield Item(payload, *allele.windows(), len(allele.line.text), allele.shifting, allele.is_cut)
            for pair in drawn:
                # Drawn indels shift the bases after them as the allele does.
                yield Item(None, *pair, shifting=allele.shifting)

    def rows(self, computed: Iterator[tuple[Any, ScoredPair]]) -> Iterator[VariantRow]:
        for (allele, n_drawn), found in computed:
            drawn = [next(computed)[1] for _ in range(n_drawn)]
            yield self._row(allele, found, drawn)

    def _row(self, allele: Allele, found: ScoredPair, drawn: list[ScoredPair]) -> VariantRow:
        counts = found.counts
        if allele.window is None:
            counts = replace(counts, wt_length=None, mut_length=None)
        percentiles = n_background = None
        if self.background:
            others = [row for row in drawn if row.status == OK] if found.status == OK else []
            percentiles = {
                name: percentile(value, [row.scores[name] for row in others]) for name, value in found.scores.items()
            }
            n_background = len(others)
        regions = {}
        if self.regions:
            regions = self.regions.columns(allele.contig or allele.line.chrom, *allele.changed())
        return VariantRow(
            found.id,
            found.status,
            found.scores,
            counts,
            allele=allele,
            percentiles=percentiles,
            n_background=n_background,
            **regions,
        )

    def as_text(self) -> dict[str, object]:
        return {
            "window": self.window,
            "indel_window": self.indel_window,
            "window_before": self.before,
            **(self.background.as_text() if self.background else {}),
        }
