"""Write the variant files of test-data/: a made-up reference, a VCF of every kind of allele on it, files to be refused.

Nothing here is of a real genome. Running the script again gives the same bytes.
"""

import argparse
import gzip
import random
import tempfile
from pathlib import Path

import pysam

FORMAT = "##fileformat=VCFv4.2\n"
COLUMNS = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"


def make_reference():
    """Two sequences to score on, with repeats, lower case and unknown bases, and one shorter than a window."""
    letters = random.Random(4)

    def dna(length):
        return "".join(letters.choices("ACGT", k=length))

    chr1 = dna(400) + "C" + "A" * 9 + "G" + dna(189) + "CAG" * 8 + dna(376) + dna(200).lower() + "N" * 20 + dna(780)
    return {"chr1": chr1, "chr2": dna(700), "chr3": dna(150)}


def fasta(sequences, prefix=""):
    lines = []
    for name, sequence in sequences.items():
        lines += [f">{prefix}{name}", *(sequence[at : at + 60] for at in range(0, len(sequence), 60))]
    return "".join(line + "\n" for line in lines)


def other(base):
    return {"A": "G", "G": "A", "C": "T", "T": "C"}[base.upper()]


def variant_lines(reference):
    """(CHROM, POS, ID, REF, ALT) of every kind of allele: unsorted, one line twice, three spellings of one deletion."""
    chr1, chr2 = reference["chr1"], reference["chr2"]

    def at(chrom, pos, length=1):
        return reference[chrom][pos - 1 : pos - 1 + length]

    def snv(chrom, pos, name):
        base = at(chrom, pos).upper()
        return chrom, pos, name, base, other(base)

    run = chr1.index("C" + "A" * 9 + "G") + 2  # the first A of the run, from 1
    repeat = chr1.index("CAG" * 8) + 1
    unknown = chr1.index("N") + 1
    return [
        snv("chr1", 300, "snv"),
        snv("chr2", 350, "snv_chr2"),
        snv("chr1", 150, "unsorted"),
        snv("chr1", 300, "twice"),
        # One deletion of an A, written at three places of the run; then the insertion of one.
        ("chr1", run - 1, "del_left", at("chr1", run - 1, 2), at("chr1", run - 1)),
        ("chr1", run + 3, "del_middle", "AA", "A"),
        ("chr1", run + 5, "del_padded", at("chr1", run + 5, 6), at("chr1", run + 5, 3) + at("chr1", run + 9, 2)),
        ("chr1", run + 8, "ins", "A", "AA"),
        ("chr1", repeat, "repeat", "CAGCAG", "CAG,CAGCAGCAG"),
        ("chr1", 500, "mnv", at("chr1", 500, 2), "".join(map(other, at("chr1", 500, 2)))),
        # The same substitution with a base before and one after it.
        ("chr1", 299, "snv_padded", at("chr1", 299, 3), at("chr1", 299) + other(at("chr1", 300)) + at("chr1", 301)),
        ("chr2", 100, "complex", at("chr2", 100, 3), other(at("chr2", 100)) + "TTTT"),
        ("chr2", 200, "lower", at("chr2", 200).lower(), other(at("chr2", 200)).lower()),
        snv("chr1", 1050, "in_lower_case"),
        snv("chr1", 1, "first_base"),
        snv("chr2", 700, "last_base"),
        ("chr1", 320, "three", at("chr1", 320), ",".join(b for b in "ACGT" if b != at("chr1", 320))),
        # No score, each for its own reason.
        ("chr1", 600, "mixed", at("chr1", 600), f"{other(at('chr1', 600))},<DEL>,*"),
        ("chr1", 610, "symbolic", at("chr1", 610), "<DUP:TANDEM>"),
        ("chr1", 620, "breakend", at("chr1", 620), f"{at('chr1', 620)}[chr2:30["),
        ("chr1", 630, "no_alt", at("chr1", 630), "."),
        ("chr1", 640, "same", at("chr1", 640), at("chr1", 640)),
        ("chr1", 650, "mismatch", other(at("chr1", 650)), at("chr1", 650)),
        ("chr1", 660, "iupac", at("chr1", 660), "R"),
        snv("chr1", unknown - 30, "near_unknown"),
        ("chr1", unknown, "on_unknown", "N", "A"),
        ("chrUn", 5, "unknown_contig", "A", "C"),
        snv("chr3", 75, "short_contig"),
    ], snv("chr2", len(chr2) // 3, ".")


def variant_files(reference):
    lines, unnamed = variant_lines(reference)
    header = FORMAT + '##INFO=<ID=DP,Number=1,Type=Integer,Description="Depth">\n'
    header += "".join(f"##contig=<ID={name},length={len(bases)}>\n" for name, bases in reference.items())
    infos = ["DP=12", ".", "NEVER_DEFINED=a%2Cb;FLAG", "DP=3;CSQ=x|<b>|$(y)"]
    genotypes = ["GT:DP\t0/1:7\t./.", "GT\t1|0\t0|0", "GT\t0/0\t1/1"]
    text = header + f"{COLUMNS}\tFORMAT\tmother\t<i>son\n"
    for number, line in enumerate([*lines, unnamed]):
        cells = [*map(str, line), str(number), "PASS", infos[number % 4], genotypes[number % 3]]
        text += "\t".join(cells) + "\n"
    rank = list(reference).index
    sorted_lines = sorted((line for line in lines if line[0] in reference), key=lambda line: (rank(line[0]), line[1]))
    few = "".join("\t".join([*map(str, line), ".", ".", "."]) + "\n" for line in sorted_lines[:6])
    whole = header + COLUMNS + "\n" + few
    return {"variants.vcf": text, "variants_sorted.vcf": whole}


def of_another_build(reference):
    """A VCF of substitutions with the positions of another build, in which chr1 has 7 bases fewer before them."""
    chr1 = reference["chr1"].upper()
    places = range(50, 1050, 60)
    rows = "".join(f"chr1\t{pos}\t.\t{chr1[pos + 6]}\t{other(chr1[pos + 6])}\t.\t.\t.\n" for pos in places)
    return FORMAT + COLUMNS + "\n" + rows


def scored_chunks():
    """Two chunks that look scored: one row is ok, ten REF alleles are mismatches, one sequence is unknown."""
    header = FORMAT + '##dna_lm_chunk=yes\n##dna_lm=<ID=DNALM,version="0.1.0">\n'
    header += '##INFO=<ID=DNALM_STATUS,Number=A,Type=String,Description="ok, or why the allele has no score">\n'
    header += COLUMNS + "\n"

    def row(chrom, pos, name, ref, alt, score, status):
        return f"{chrom}\t{pos}\t{name}\t{ref}\t{alt}\t.\t.\tDNALM_L2={score};DNALM_STATUS={status}\n"

    mismatches = [
        [row("chr1", first + n, ".", "A", "C", ".", "ref_mismatch") for n in range(5)] for first in (301, 401)
    ]
    return {
        "scored_chunk_1.vcf": header + row("chr1", 300, "snv", "G", "A", "10.9", "ok") + "".join(mismatches[0]),
        "scored_chunk_2.vcf": header + "".join(mismatches[1]) + row("decoy", 1, ".", "A", "C", ".", "unknown_contig"),
    }


def bad_files(whole):
    """VCFs that are refused, each for what its name says."""
    head, first = whole.split(COLUMNS + "\n")
    lines = first.splitlines(keepends=True)

    def at_position(position):
        cells = lines[1].split("\t")
        cells[1] = position
        return head + COLUMNS + "\n" + lines[0] + "\t".join(cells) + "".join(lines[2:])

    return {
        "bad_no_header.vcf": first,
        "bad_truncated.vcf": whole[: -len(lines[-1]) // 2],
        "bad_pos_0.vcf": at_position("0"),
        "bad_pos_past_end.vcf": at_position("2001"),
        "bad_no_variant.vcf": head + COLUMNS + "\n",
        "variants_other_style.vcf": whole.replace("\nchr", "\n").replace("ID=chr", "ID="),
    }


def region_files():
    bed = "track name=x\nchr1\t250\t420\texon\nchr1\t420\t620\tintron\nchr1\t590\t700\texon\nchr2\t0\t250\tintron\n"
    gff = "##gff-version 3\n"
    for contig, kind, start, end in (
        ("chr1", "gene", 251, 700),
        ("chr1", "exon", 251, 420),
        ("chr1", "exon", 591, 700),
        ("chr2", "exon", 1, 250),
    ):
        gff += f"{contig}\tmade_up\t{kind}\t{start}\t{end}\t.\t+\t.\tID=x\n"
    return {
        "regions.bed": bed,
        "regions.gff3": gff,
        "intervals.bed": "chr1\t300\t312\tmotif\t0\t+\nchr2\t0\t5\n",
        "intervals_unreadable.bed": "chr1\t300\t304\tgood\nchrUn\t3\t9\tunknown\nchr3\t10\t20\tshort\n",
        "one_exon.gff3": "##gff-version 3\nchr2\tmade_up\texon\t11\t30\t.\t+\t.\tID=x\n",
        "bad_intervals.bed": "chr1\t300\t304\nchr1\t1990\t2001\n",
    }


def bgzipped(content):
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "x"), Path(folder, "x.gz")
        source.write_text(content)
        pysam.tabix_compress(str(source), str(target))
        return target.read_bytes()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "test-data")
    folder = parser.parse_args().output
    reference = make_reference()
    files = variant_files(reference) | region_files() | {"reference.fasta": fasta(reference)}
    files |= bad_files(files["variants_sorted.vcf"])
    files |= scored_chunks()
    files["variants_other_build.vcf"] = of_another_build(reference)
    files = {name: content.encode() for name, content in files.items()}
    for name in ("reference.fasta", "variants_sorted.vcf"):
        files[f"{name}.gz"] = bgzipped(files[name].decode())
    del files["variants_sorted.vcf"]
    first = fasta({"made_up": reference["chr2"][100:120]})
    files["one_sequence.fasta.gz"] = gzip.compress(first.encode(), mtime=0)
    # Without its last block, the empty one: cut between two blocks it unpacks without complaint.
    files["bad_truncated.vcf.gz"] = files["variants_sorted.vcf.gz"][:-28]
    for name, content in files.items():
        (folder / name).write_bytes(content)
    pysam.faidx(str(folder / "reference.fasta"))


if __name__ == "__main__":
    main()
