"""Write the sequence files of test-data/: the tutorial's CFTR trio, real dbSNP variants, files to be refused.

The dbSNP variants are there as pairs of windows, and a part of them as a VCF with its reference.

Every variant lies in the stretch of chromosome 22 that the demonstration model never saw, window and all. Running the
script again gives the same bytes.
"""

import argparse
import gzip
import io
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from Bio import SeqIO
from Bio.Seq import Seq
from Bio.SeqRecord import SeqRecord
from reference import HELD_OUT, REFERENCE, VARIANTS, WINDOW, read_reference

FLANK = WINDOW // 2
N_SUBSTITUTIONS = 200
# Bases of the VCF's reference: the beginning of the held-out stretch.
N_VCF_BASES = 30_000

# The tutorial's portion of the CFTR gene. Its two mutants: the third base, and three bases deleted after the 16th.
CFTR_WILD_TYPE = "ATTAAAGAAAATATCATCTTTGGTGTTTCCTAT"
CFTR_MUTANTS = {
    "ATT_to_ATA": "ATAAAAGAAAATATCATCTTTGGTGTTTCCTAT",
    "TCT_deletion": "ATTAAAGAAAATATCATTGGTGTTTCCTAT",
}
# Galaxy refuses to take a file with a <script> tag at its start, so the HTML is another.
HOSTILE_IDS = ("<img/src=x/onerror=alert(1)>", """$(touch${IFS}pwned);"'""", '=HYPERLINK("x")')


@dataclass(frozen=True)
class Variant:
    """A line of hisat2's .snp file.

    `position`, from 0, is the changed base (single), the first deleted base (deletion), or the base that the inserted
    bases come to stand before (insertion). `change` is the new base, the number of deleted bases, or the inserted ones.
    hisat2's manual leaves the indels open; the reference settles it: read this way, and no other, dbSNP's indels are
    left-aligned (186 of 187 deletions and 135 of 141 insertions; 108 and 101 one base to the left, 31 and 63 to the
    right).
    """

    id: str
    kind: str
    position: int
    change: str

    def wild_type(self, reference):
        """The window of 201 bases around `position`."""
        return reference[self.position - FLANK : self.position + FLANK + 1]

    def mutant(self, reference):
        """The same window changed: both ends stay where they are, so an indel's window changes its length."""
        left = reference[self.position - FLANK : self.position]
        right = reference[self.position : self.position + FLANK + 1]
        if self.kind == "single":
            return left + self.change + right[1:]
        if self.kind == "deletion":
            return left + right[int(self.change) :]
        return left + self.change + right

    def vcf_line(self, contig, reference):
        """The variant as a line of a VCF: an insertion or deletion has the base before it in REF and ALT."""
        start = self.position - (self.kind != "single")
        n_deleted = int(self.change) if self.kind == "deletion" else self.kind == "single"
        end = self.position + n_deleted
        before = reference[start : self.position]
        added = "" if self.kind == "deletion" else self.change
        return "\t".join([contig, str(start + 1), self.id, reference[start:end], before + added, ".", ".", "."])


def read_variants(path):
    """The variants of a .snp file, in its order.

    A site with several alleles has a line for each, all under one rs number: the second is called rs..._2 here, and so
    on, so that records can be paired by identifier.
    """
    alleles = Counter()
    variants = []
    for line in Path(path).read_text().splitlines():
        name, kind, _, position, change = line.split("\t")
        alleles[name] += 1
        unique = name if alleles[name] == 1 else f"{name}_{alleles[name]}"
        variants.append(Variant(unique, kind, int(position), change))
    return variants


def why_unusable(variant, reference):
    """What keeps a variant out of the fixtures, or None."""
    if variant.position - FLANK < HELD_OUT[0] or variant.position + FLANK + 1 > HELD_OUT[1]:
        return "outside the held-out stretch"
    if variant.kind == "single" and variant.change == reference[variant.position]:
        return "the allele is the reference's"
    if not set(variant.wild_type(reference)) <= set("ACGT"):
        return "a base is unknown"
    if variant.kind == "deletion" and int(variant.change) > FLANK:
        return "the deletion leaves the window"
    return None


def fasta(records, line_end="\n"):
    """FASTA text, 60 bases a line, of (identifier, sequence) pairs."""
    text = io.StringIO()
    SeqIO.write((SeqRecord(Seq(sequence), id=name, description="") for name, sequence in records), text, "fasta")
    return text.getvalue().replace("\n", line_end).encode()


def gzipped(content):
    """gzip without a time or a name in it: the same content gives the same bytes."""
    return gzip.compress(content, mtime=0)


def pair_files(name, pairs, suffix=""):
    """File names and contents of (identifier, wild type, mutant) triples."""
    pack = gzipped if suffix == ".gz" else bytes
    return {
        f"{name}_wild_type.fasta{suffix}": pack(fasta((id, wild_type) for id, wild_type, _ in pairs)),
        f"{name}_mutant.fasta{suffix}": pack(fasta((id, mutant) for id, _, mutant in pairs)),
    }


def cftr_files():
    return pair_files("cftr", [(name, CFTR_WILD_TYPE, mutant) for name, mutant in CFTR_MUTANTS.items()])


def variant_files(reference, variants):
    """Evenly spread substitutions, and every insertion and deletion; the indels gzipped."""
    reasons = {variant: why_unusable(variant, reference) for variant in variants}
    print("left out:", dict(Counter(reason for reason in reasons.values() if reason)))
    usable = [variant for variant, reason in reasons.items() if not reason]
    singles = [variant for variant in usable if variant.kind == "single"]
    singles = [singles[number * len(singles) // N_SUBSTITUTIONS] for number in range(N_SUBSTITUTIONS)]
    indels = [variant for variant in usable if variant.kind != "single"]
    print("kept:", dict(Counter(variant.kind for variant in singles + indels)))

    def pairs(kept):
        return [(variant.id, variant.wild_type(reference), variant.mutant(reference)) for variant in kept]

    return pair_files("snv", pairs(singles)) | pair_files("indel", pairs(indels), ".gz")


def vcf(contig, reference, variants):
    """A VCF, as text, of variants of the sequence `reference`."""
    header = ["##fileformat=VCFv4.2", f"##contig=<ID={contig},length={len(reference)}>"]
    header.append("#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO")
    return "".join(line + "\n" for line in [*header, *(v.vcf_line(contig, reference) for v in variants)])


def vcf_files(reference, variants):
    """Variants and reference for a first try: the VCF of test-data/ that tests have is of every odd allele."""
    first, contig = HELD_OUT[0], "chr22_part"
    part = reference[first : first + N_VCF_BASES]
    places = range(first + FLANK, first + N_VCF_BASES - FLANK)
    kept = [variant for variant in variants if variant.position in places and not why_unusable(variant, reference)]
    moved = [replace(variant, position=variant.position - first) for variant in kept]
    return {"dbsnp.vcf": vcf(contig, part, moved).encode(), "dbsnp_reference.fasta": fasta([(contig, part)])}


def embedding_files(reference):
    """Twelve records of 30 to 120 bases; two of them not in plain upper-case DNA."""
    lengths = range(30, 121, 8)
    records = []
    for number, length in enumerate(lengths):
        start = HELD_OUT[0] + number * (HELD_OUT[1] - HELD_OUT[0]) // len(lengths)
        records.append((f"chr22_{number + 1}", reference[start : start + length]))
    records[4] = ("lower_case", records[4][1].lower())
    records[7] = ("rna", records[7][1].replace("T", "U"))
    return {"sequences.fasta": fasta(records)}


def messy_files(reference):
    """Pairs that a policy has to be stated for: line ends of Windows, blanks, lower case, U, IUPAC codes, N."""
    start, length = HELD_OUT[0] + 1000, 90
    clean = reference[start : start + length]
    middle = length // 2
    other = {"A": "C", "C": "A", "G": "T", "T": "G"}[clean[middle]]
    mutated = clean[:middle] + other + clean[middle + 1 :]
    changes = {
        "clean": lambda dna: dna,
        "lower_case": str.lower,
        "mixed_case": lambda dna: dna[:30] + dna[30:].lower(),
        "rna": lambda dna: dna.replace("T", "U"),
        "blanks": lambda dna: " ".join(dna[at : at + 10] for at in range(0, length, 10)),
        "iupac": lambda dna: dna[:10] + "RYK" + dna[13:],
        "unknown_bases": lambda dna: dna[:20] + "NNNN" + dna[24:],
    }
    return {
        "messy.fasta": fasta(((name, change(clean)) for name, change in changes.items()), "\r\n"),
        "messy_mutant.fasta": fasta(((name, change(mutated)) for name, change in changes.items()), "\r\n"),
    }


def bad_files(snv_wild_type):
    """Files that every tool refuses in one line, and pairs whose names are made to break out of something."""
    whole = gzipped(snv_wild_type)
    mutants = list(CFTR_MUTANTS.items())
    hostile = [(name, CFTR_WILD_TYPE, CFTR_MUTANTS["ATT_to_ATA"]) for name in HOSTILE_IDS]
    return pair_files("hostile_ids", hostile) | {
        # The start of human insulin.
        "bad_protein.fasta": fasta([("insulin", "MALWMRLLPLLALLALWGPDPAAAFVNQHLCGSHLVEALYLVCGERGFFYTPKTRREAEDL")]),
        "bad_empty_record.fasta": fasta([mutants[0], ("nothing", ""), mutants[1]]),
        "bad_unequal.fasta": fasta(mutants[:1]),
        "bad_duplicate_ids.fasta": fasta([mutants[0], (mutants[0][0], mutants[1][1])]),
        "bad_truncated.fasta.gz": whole[: len(whole) // 2],
        "bad_binary.bin": bytes(range(256)) * 2,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "test-data")
    parser.add_argument("--reference", type=Path, default=REFERENCE, help="FASTA of Debian's package hisat2")
    parser.add_argument("--variants", type=Path, default=VARIANTS, help="the .snp file beside it")
    arguments = parser.parse_args()

    reference = read_reference(arguments.reference)
    variants = read_variants(arguments.variants)
    files = cftr_files() | variant_files(reference, variants) | vcf_files(reference, variants)
    files |= embedding_files(reference) | messy_files(reference) | bad_files(files["snv_wild_type.fasta"])
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (arguments.output / name).write_bytes(content)


if __name__ == "__main__":
    main()
