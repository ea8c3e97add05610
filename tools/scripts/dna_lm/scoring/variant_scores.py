"""Alleles -> rows of the score table and lines of the annotated VCF, streamed and in step.

Knows alleles, the pipeline and the background; nothing of how a VCF or a reference is read.
"""

import os
from collections import deque
from dataclasses import dataclass

from dna_lm import scores
from dna_lm.inputs import vcf
from dna_lm.inputs.fasta import OK
from dna_lm.scoring import pipeline
from dna_lm.scoring.background import percentile
from dna_lm.tables import cell

# INFO fields are called PREFIX_NAME; this is the default.
PREFIX = "DNALM"

_DESCRIPTIONS = {
    "l2": "L2 distance of the embeddings of wild-type and mutant window",
    "l1": "L1 distance of the embeddings of wild-type and mutant window",
    "cosine_distance": "Cosine distance of the embeddings of wild-type and mutant window",
    "inner_product": "Inner product of the embeddings of wild-type and mutant window",
    scores.LLR: "log P(mutant window) - log P(wild-type window), in nats",
}


def score_alleles(checkpoint, alleles, settings, wanted, background=None, regions=None, pad_to=(0, 0)):
    """Yield (allele, row) for each allele: the row has chrom, pos, ref, alt, then the columns of `score_pairs`.

    After the scores come, with a `background`, a percentile for each score and the number drawn; then the window,
    counted from 1 and its end included; then, with `regions`, the names of those that the changed bases lie in.
    """
    waiting = deque()

    def pairs():
        for allele in alleles:
            drawn = background.draw(allele) if background else []
            waiting.append((allele, len(drawn)))
            yield allele.pair()
            yield from drawn

    rows = pipeline.score_pairs(checkpoint, pairs(), settings, wanted, pad_to)
    for scored in rows:
        allele, n_drawn = waiting.popleft()
        drawn = [next(rows) for _ in range(n_drawn)]
        if allele.window is None:
            scored |= {"wt_length": None, "mut_length": None}
        line = allele.line
        row = {"chrom": vcf.readable(line.chrom), "pos": line.pos, "ref": line.ref, "alt": allele.written_alt, **scored}
        if background:
            row |= _percentiles(scored, drawn, wanted)
        first, end = allele.window or (None, None)
        row |= {"window_start": None if first is None else first + 1, "window_end": end}
        if regions:
            row["region"] = regions.names(line.chrom, *allele.changed())
        yield allele, row


def _percentiles(scored, drawn, wanted):
    drawn = [row for row in drawn if row["status"] == OK] if scored["status"] == OK else []
    found = {f"{name}_percentile": percentile(scored[name], [row[name] for row in drawn]) for name in wanted}
    return found | {"n_background": len(drawn)}


def write_windows(wild_type_path, mutant_path, alleles):
    """Pass alleles on, and write the windows of those that have any to two FASTA files; a path may be None."""
    with (
        open(wild_type_path or os.devnull, "w", encoding="utf-8") as wild_types,
        open(mutant_path or os.devnull, "w", encoding="utf-8") as mutants,
    ):
        for allele in alleles:
            if allele.window is not None:
                for handle, record in zip((wild_types, mutants), allele.pair(), strict=True):
                    handle.write(f">{record.id}\n{record.sequence}\n")
            yield allele


@dataclass(frozen=True)
class Annotation:
    """Which columns of the table go into INFO, and under which names."""

    prefix: str
    wanted: tuple[str, ...]
    with_background: bool

    def columns(self):
        """Column of the table -> the INFO `vcf.Field`."""
        texts = [(name, "Float", _DESCRIPTIONS[name]) for name in self.wanted]
        if self.with_background:
            texts += [
                (f"{name}_percentile", "Float", f"Percentile of {self._id(name)} among the background substitutions")
                for name in self.wanted
            ]
            texts.append(("n_background", "Integer", "Background substitutions drawn"))
        texts.append(("status", "String", "ok, or why the allele has no score"))
        return {name: vcf.Field(self._id(name), kind, text) for name, kind, text in texts}

    def _id(self, column):
        return f"{self.prefix}_{column.upper()}"

    @property
    def ids(self):
        return frozenset(field.id for field in self.columns().values())

    def write(self, handle, header, lines, settings, scored):
        """Pass on the rows of `scored`, (allele, row) pairs, and write each VCF line as soon as its alleles are there.

        lines: the `vcf.Line`s that the alleles are of, with their text. settings: name -> text, for the header.
        """
        columns = self.columns()
        handle.writelines(vcf.header_with(header, columns.values(), self.prefix, settings))
        of_line = []
        for allele, row in scored:
            of_line.append(row)
            if allele.is_last:
                values = {
                    field.id: [cell(one[name]) or vcf.MISSING for one in of_line] for name, field in columns.items()
                }
                handle.write(vcf.line_with(next(lines), values))
                of_line = []
            yield row
