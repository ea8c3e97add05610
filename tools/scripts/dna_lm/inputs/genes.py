"""What a place is in the genes of a GFF or GTF file: one word, by precedence, and the name of the gene.

Knows transcripts and their parts, and nothing of variants. Introns, splice sites and UTRs are derived from the exons
and coding sequences of each transcript, since few files have them. Memory grows with the number of features.
"""

import re
from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple
from urllib.parse import unquote

import numpy as np

from dna_lm.errors import UserError, quoted
from dna_lm.inputs import text
from dna_lm.inputs.regions import BETWEEN_NAMES, Region, Regions, read_regions
from dna_lm.names import NONE, clean_label

CDS, FIVE, THREE, UTR, SPLICE = "CDS", "five_prime_UTR", "three_prime_UTR", "UTR", "splice_site"
NON_CODING, EXON, INTRON, GENE, INTERGENIC = "non_coding_exon", "exon", "intron", "gene", "intergenic"
# The first of them that a place is in is its word. `exon`: of a file without any coding sequence. `gene`: in a gene,
# and in no exon or intron of it.
WORDS = (CDS, FIVE, THREE, UTR, SPLICE, NON_CODING, EXON, INTRON, GENE, INTERGENIC)
_RANK = {word: rank for rank, word in enumerate(WORDS)}
# What a word becomes when only wider ones are wanted.
_WIDER = {CDS: EXON, FIVE: UTR, THREE: UTR, UTR: EXON, NON_CODING: EXON, SPLICE: INTRON, EXON: GENE, INTRON: GENE}
# Bases at each end of an intron.
_N_SPLICE = 2

# Features that are parts of transcripts, in lower case. In GTF the stop codon is not in the coding sequence.
_PARTS = {
    **dict.fromkeys(("cds", "stop_codon", "start_codon", "coding_exon"), CDS),
    **dict.fromkeys(("five_prime_utr", "5utr", "5'utr", "utr5"), FIVE),
    **dict.fromkeys(("three_prime_utr", "3utr", "3'utr", "utr3"), THREE),
    **dict.fromkeys(("exon", "noncoding_exon", "pseudogenic_exon"), EXON),
    "utr": UTR,
    "intron": INTRON,
}
_KINDS = (CDS, FIVE, THREE, UTR, EXON, INTRON)
# Genes and transcripts: pseudogene, ncRNA_gene, mRNA, lnc_RNA, primary_transcript.
_GENES = "gene", "transcript", "rna"
_WANTED = "ID|Parent|Name|gene_name|gene|gene_id|transcript_id|locus_tag"
# As in GFF3, ID=x;Parent=y, and in GTF, gene_id "x"; transcript_id "y";
_ATTRIBUTE = re.compile(rf'(?:^|;)\s*({_WANTED})(?:\s*=|\s)\s*("[^"]*"|[^;]*)')


class Part(NamedTuple):
    """A word, and the name of the gene that it is of."""

    word: str
    gene: str


def read_named(
    path: str,
    file_format: str,
    only: Collection[str] = (),
    lengths: Mapping[str, int] | None = None,
    types: bool = False,
) -> Regions:
    """The regions of a BED, GFF or GTF file, to look places up in: `Genes` if a GFF or GTF file has exons.

    types: the combination of feature types of a GFF or GTF file instead. only, lengths: as of `Regions`.
    """
    kind = Genes if file_format == "gff" and not types and _has_exons(path) else Regions
    return kind(read_regions(path, file_format), only, lengths)


def _has_exons(path):
    types = (line.split("\t", 3)[2:3] for line in text.lines(path, "regions (GFF)") if line[0] != "#")
    return any(found and _part(found[0]) in (CDS, EXON) for found in types)


def _part(feature):
    return _PARTS.get(feature.strip().lower())


class Genes(Regions):
    """Places in genes: the word of a place in the column `region`, and the gene's name in the column `gene`."""

    def __init__(
        self, features: Iterable[Region], only: Collection[str] = (), lengths: Mapping[str, int] | None = None
    ) -> None:
        """only: words to keep, empty for all; a wider one stands for those in it, as `exon` for `CDS`.

        Raises `UserError` for another name.
        """
        if unknown := [name for name in only if name not in WORDS]:
            raise UserError(
                f"regions: none is called {quoted(unknown[0], 30)}: of genes there are {', '.join(WORDS)}. Or tick "
                '"Feature types as they are" (--feature-types)'
            )
        super().__init__(_parts(features), (), lengths)
        self._word = {word: _shown(word, only) for word in WORDS}

    def columns(self, contig: str, start: int, end: int) -> dict[str, str]:
        """The word of the best part of a gene that shares a base with `start` to `end` (from 0, end excluded).

        An empty interval, where bases are inserted, has the word of the base before or after it, whichever comes later
        in `WORDS`. `none`: on a sequence without genes, or a word that is not wanted. The gene is that of the word;
        several are in alphabetical order.
        """
        if not self.has(contig):
            return {"region": NONE, "gene": ""}
        if start < end:
            rank, genes = self._best(contig, start, end)
        else:
            rank, genes = max((self._best(contig, at, at + 1) for at in (start - 1, start)), key=lambda best: best[0])
        return {"region": self._word[WORDS[rank]], "gene": BETWEEN_NAMES.join(sorted(genes))}

    def _best(self, contig, start, end):
        parts = self.found(contig, start, end)
        rank = min((_RANK[part.word] for part in parts), default=_RANK[INTERGENIC])
        return rank, {part.gene for part in parts if _RANK[part.word] == rank} - {""}


def _shown(word, only):
    while only and word not in only:
        if word not in _WIDER:
            return NONE
        word = _WIDER[word]
    return word


# --- from features to parts of genes ---------------------------------------------------------------------------------


def _parts(features: Iterable[Region]) -> Iterator[Region]:
    """The parts of all genes, each named by a `Part`."""
    # (contig, strand, identifier) -> number of a transcript, and the name of its gene if its parts say it.
    transcripts, named = {}, []
    columns = tuple(array("q") for _ in range(4))
    # Of genes and transcripts: identifier -> that of its parent, and its name.
    parents = {}
    genes = []
    circular = set()
    for number, feature in enumerate(features):
        if not 0 <= feature.start < feature.end:
            continue
        if feature.is_circular:
            circular.add(feature.contig)
        kind = _part(feature.name)
        attributes = _attributes(feature.attributes)
        if kind is None:
            name, *above = _identity(attributes)
            if feature.name.lower().endswith(_GENES):
                genes.append((feature.contig, feature.start, feature.end, name, _gene(attributes)))
            if name:
                parents[name] = (above[0] if above else None), _gene(attributes)
            continue
        # Coding sequences without a parent are those of bacteria: lines with one identifier are one sequence.
        own = attributes.get("ID") if kind == CDS else None
        above = _listed(attributes.get("Parent") or attributes.get("transcript_id")) or [own or f"\t{number}"]
        for parent in above:
            at = transcripts.setdefault((feature.contig, feature.strand, parent), len(transcripts))
            if at == len(named):
                named.append((_name(attributes, "gene_name", "gene"), _name(attributes, "gene_id")))
            for column, value in zip(columns, (at, feature.start, feature.end, _KINDS.index(kind)), strict=True):
                column.append(value)

    def gene_of(name: str) -> str:
        """The name at the top of the parents; of a parent that the file lacks, its identifier."""
        seen, gene = set(), ""
        while name in parents and name not in seen:
            seen.add(name)
            name, own = parents[name]
            gene = own or gene
        return _clean(name) if seen and name and name not in seen else gene

    def region(contig: str, start: int, end: int, word: str, gene: str) -> Region:
        return Region(contig, start, end, Part(word, gene), 0, is_circular=contig in circular)

    for contig, start, end, name, gene in genes:
        yield region(contig, start, end, GENE, gene_of(name) or gene)
    ats, starts, ends, kinds = map(np.asarray, columns)
    order = np.lexsort((ends, starts, ats))
    bounds = np.searchsorted(ats[order], np.arange(len(transcripts) + 1))
    exon = NON_CODING if (kinds == _KINDS.index(CDS)).any() else EXON
    for (contig, strand, name), at in transcripts.items():
        rows = order[bounds[at] : bounds[at + 1]]
        lines = [
            (start, end, _KINDS[kind])
            for start, end, kind in zip(starts[rows].tolist(), ends[rows].tolist(), kinds[rows].tolist(), strict=True)
        ]
        gene = named[at][0] or gene_of(name) or named[at][1]
        for start, end, word in _derived(lines, strand, exon):
            yield region(contig, start, end, word, gene)


def _derived(lines, strand, exon):
    """Yield (start, end, word) for the parts of a transcript. lines: (start, end, kind), in the order of the starts."""
    exons, introns = [], [(start, end) for start, end, kind in lines if kind == INTRON]
    for start, end, kind in lines:
        if kind == INTRON:
            continue
        if kind != EXON:
            yield start, end, kind
        if exons and start <= exons[-1][1]:
            exons[-1][1] = max(exons[-1][1], end)
        else:
            exons.append([start, end])
    coding = [(start, end) for start, end, kind in lines if kind == CDS]
    first, last = (coding[0][0], max(end for _, end in coding)) if coding else (0, 0)
    before, after = {"+": (FIVE, THREE), "-": (THREE, FIVE)}.get(strand, (UTR, UTR))
    for start, end in exons:
        yield start, end, exon
        if coding and start < first:
            yield start, min(end, first), before
        if coding and end > last:
            yield max(start, last), end, after
    introns += [(one[1], other[0]) for one, other in zip(exons, exons[1:], strict=False)]
    for start, end in introns:
        yield start, end, INTRON
        yield start, min(start + _N_SPLICE, end), SPLICE
        yield max(end - _N_SPLICE, start), end, SPLICE


def _attributes(cell):
    return {name: value.strip().strip('"').strip() for name, value in reversed(_ATTRIBUTE.findall(cell))}


def _listed(cell):
    return [name for name in (cell or "").split(",") if name]


def _identity(attributes):
    """The identifier of a gene or transcript and, if it has one, that of its parent."""
    above = _listed(attributes.get("Parent"))[:1]
    if "ID" in attributes:
        return [attributes["ID"], *above]
    names = [attributes.get(name) for name in ("transcript_id", "gene_id")]
    return [*filter(None, names)] or [""]


def _gene(attributes):
    """The name in the attributes of a gene or transcript, or nothing."""
    return _name(attributes, "gene_name", "gene", "Name", "gene_id", "locus_tag", "ID")


def _name(attributes, *keys):
    return _clean(next((attributes[key] for key in keys if attributes.get(key)), ""))


def _clean(name):
    return clean_label(unquote(name).removeprefix("gene:").removeprefix("gene-"))
