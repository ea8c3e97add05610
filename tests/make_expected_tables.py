"""Write the tables that the wrappers' tests expect (test-data/expected/): numbers computed without the suite.

python tests/make_expected_tables.py [FOLDER]

Galaxy has no numeric tolerance for tables. Of its comparisons only `re_match` accepts differences, with one regular
expression for each line. So each number is written as a regular expression for an interval around it. For people, the
number itself comes before it in a comment of the expression: `(?#16.0683)`. macros.xml has the width of the intervals.

A model's numbers are transformers' own, one sequence at a time (the tutorial's: whole files at a time), in float64,
with windows, counts and statuses as docs/method.md defines them. Those of groups are scipy's and numpy's.
"""

import gzip
import math
import re
import sys
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import torch
from Bio import SeqIO
from Bio.Seq import reverse_complement
from scipy import stats

ROOT = Path(__file__).resolve().parents[1]
TEST_DATA = ROOT / "test-data"
sys.path.insert(0, str(ROOT / "tests" / "unit"))
from naive import Naive  # noqa: E402

TOKENS = {token.get("name"): token.text for token in ElementTree.parse(ROOT / "tools" / "macros.xml").iter("token")}
TOLERANCE = float(TOKENS["@TOLERANCE@"])
TOLERANCE_16_BITS = float(TOKENS["@TOLERANCE_16_BITS@"])

COUNTS = ["wt_length", "mut_length", "n_differences", "wt_tokens", "mut_tokens", "changed_tokens"]
ALL_SCORES = ["l2", "l1", "cosine_distance", "inner_product", "llr"]
# A log-likelihood ratio is a difference of large sums: one near 0 is no more precise than one of this size.
SMALL_LLR = 0.1


class Number:
    """A cell that holds a number: within `tolerance` of its size, or of `scale` where that is larger."""

    def __init__(self, value, scale=0.0, tolerance=TOLERANCE):
        self.value = float(value)
        self.margin = tolerance * max(abs(self.value), scale)

    def pattern(self):
        return f"(?#{self.value:.6g}){interval(self.value - self.margin, self.value + self.margin)}"


# --- numbers in an interval ------------------------------------------------------------------------------------------


def interval(low, high):
    """A regular expression of the numbers from `low` to `high` as `%g` or `str` writes them; the ends round outwards.

    Numbers below 1e-12 count as 0. Raises `ValueError` for numbers from 1e9 on, which `%g` may write otherwise, and
    for an interval so wide that a list of its whole numbers is long.
    """
    if max(-low, high) >= 1e9 or high - low > 1000:
        raise ValueError(f"{low} to {high}: too large")
    parts = []
    if low < 0:
        parts += ["-" + part for part in _positive(max(0.0, -high), -low)]
    if high >= 0:
        parts += _positive(max(0.0, low), high)
    return f"(?:{'|'.join(parts)})"


def _positive(low, high):
    """The alternatives for 0 <= low <= high."""
    # Two digits of the interval's width are kept; %g has an exponent below 1e-4, and then one digit before the point.
    decimals = 2 - math.floor(math.log10(high - low or 1))
    parts = _fixed(max(low, 1e-4), high, decimals) if high >= 1e-4 else []
    for exponent in range(-5, -13, -1):
        start, end = max(low, 10.0**exponent), min(high, 10.0 ** (exponent + 1))
        if start < end:
            digits = max(1, decimals + exponent)
            mantissas = _fixed(start / 10.0**exponent, min(end / 10.0**exponent, 10), digits, 9)
            parts.append(f"(?:{'|'.join(mantissas)})e-{-exponent:02}")
    if low < 1e-12:
        parts += [r"0(?:\.0)?", r"[\d.]+e-(?:1[3-9]|[2-9]\d)"]
    return parts


def _fixed(low, high, decimals, largest=math.inf):
    """The alternatives for numbers from `low` to `high` without exponent, told apart by so many decimals.

    Every number is one of the whole numbers of its first digits, from `first` to `last`: these are put into blocks that
    share all digits but some at their end.
    """
    decimals = max(0, decimals)
    unit = 10**decimals
    first, last = math.floor(low * unit), min(math.ceil(high * unit) - 1, (largest + 1) * unit - 1)
    parts = []
    at = first
    while at <= last:
        size = 1
        # A block of 10, 100, ... must begin at a multiple of its size; it must not reach before the point.
        while size * 10 <= unit and at % (size * 10) == 0 and at + size * 10 - 1 <= last:
            size *= 10
        count = min(10 - at // size % 10, (last - at + 1) // size)
        parts += _block(at // size, count, decimals - len(str(size)) + 1)
        at += count * size
    return parts


def _block(first, count, decimals):
    """The alternatives for numbers that begin like one of `count` whole numbers from `first`, read with `decimals`."""
    text = f"{first:0{decimals + 1}}"
    digits = text[-1] if count == 1 else f"[{text[-1]}-{int(text[-1]) + count - 1}]"
    if not decimals:
        return [rf"{text[:-1]}{digits}(?:\.\d+)?"]
    whole, fraction = text[:-decimals], text[-decimals:-1]
    parts = [rf"{whole}\.{fraction}{digits}\d*"]
    # Zeros at the end are not written; Python keeps one after the point.
    if not int(text[-1]):
        shorter = f"{whole}.{fraction}".rstrip("0").rstrip(".")
        parts.append(re.escape(shorter) + ("" if "." in shorter else r"(?:\.0)?"))
    return parts


# --- the model's numbers ---------------------------------------------------------------------------------------------


class Oracle(Naive):
    """The naive implementation in float64, with a cache of its results."""

    def __init__(self, name, **how):
        super().__init__(TEST_DATA / "models" / name, dtype=torch.float64, **how)
        self.embedding = cache(self.embedding)
        self.masked = how.get("masked", False)

    def score(self, name, wild_type, mutant, strand, how):
        if strand == "mean":
            return sum(self.score(name, wild_type, mutant, one, how) for one in ("forward", "reverse")) / 2
        if name == "llr":
            both = [reverse_complement(each) if strand == "reverse" else each for each in (wild_type, mutant)]
            return (self.masked_llr if self.masked else self.causal_llr)(*both)
        a, b = (self.embedding(each, strand=strand, **how) for each in (wild_type, mutant))
        if name == "l2":
            return torch.norm(a - b).item()
        if name == "l1":
            return (a - b).abs().sum().item()
        if name == "inner_product":
            return (a @ b).item()
        return 1 - torch.cosine_similarity(a, b, dim=0).item()

    def tokens(self, sequence, strand):
        return self.ids(reverse_complement(sequence) if strand == "reverse" else sequence)[0].tolist()

    def counts(self, wild_type, mutant, strand="forward"):
        a, b = self.tokens(wild_type, strand), self.tokens(mutant, strand)
        return [len(wild_type), len(mutant), edits(wild_type, mutant), len(a), len(b), changed(a, b)]

    def cells(self, wild_type, mutant, scores=("l2",), strand="forward", tolerance=TOLERANCE, **how):
        """Scores and counts of a pair."""
        numbers = [self.score(name, wild_type, mutant, strand, how) for name in scores]
        scales = [SMALL_LLR if name == "llr" else 0 for name in scores]
        numbers = [Number(*each, tolerance) for each in zip(numbers, scales, strict=True)]
        return [*numbers, *self.counts(wild_type, mutant, strand)]


def edits(first, second):
    """Positions that differ, or for other lengths the edit distance."""
    if len(first) == len(second):
        return sum(a != b for a, b in zip(first, second, strict=True))
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        before, row = row, [i]
        for j, b in enumerate(second, 1):
            row.append(min(row[-1] + 1, before[j] + 1, before[j - 1] + (a != b)))
    return row[-1]


def changed(first, second):
    """Tokens that differ, or for other numbers of them the longer of what is left without common beginning and end."""
    if len(first) == len(second):
        return sum(a != b for a, b in zip(first, second, strict=True))
    first, second = list(first), list(second)
    for end in (0, -1):
        while first and second and first[end] == second[end]:
            del first[end], second[end]
    return max(len(first), len(second))


# --- what is read ----------------------------------------------------------------------------------------------------


def clean(text):
    return "".join(text.split()).upper().replace("U", "T")


def records(name):
    """(identifier, sequence as the tools read it) of a FASTA file."""
    path = TEST_DATA / name
    with gzip.open(path, "rt") if path.suffix == ".gz" else open(path) as handle:
        return [(record.id, clean(str(record.seq))) for record in SeqIO.parse(handle, "fasta")]


def pairs(wild_types, mutants):
    """(identifier, wild type, mutant) of the records of two FASTA files, by their order."""
    return [(name, a, b) for (name, a), (_, b) in zip(records(wild_types), records(mutants), strict=True)]


def genome():
    return dict(records("reference.fasta"))


def stretch(sequence, start, end):
    """Where a stretch lies, shifted into its sequence."""
    shift = max(0, -start) - max(0, end - len(sequence))
    return start + shift, end + shift


def windows(sequence, pos, ref, alt, n):
    """(start, end, wild type, mutant) of an allele's window; `pos` counts from 1, the result from 0, half-open."""
    start = pos - 1
    while ref and alt and ref[-1] == alt[-1]:
        ref, alt = ref[:-1], alt[:-1]
    while ref and alt and ref[0] == alt[0]:
        ref, alt, start = ref[1:], alt[1:], start + 1
    if not (ref and alt):
        while start and (ref or alt)[-1] == sequence[start - 1]:
            start -= 1
            ref, alt = (sequence[start] + text[:-1] if text else "" for text in (ref, alt))
        assert start, "an indel at the first base keeps the base after it: write it here if a fixture has one"
        start -= 1
        ref, alt = sequence[start] + ref, sequence[start] + alt
    left, right = stretch(sequence, start - n // 2, start + len(ref) + n - 1 - n // 2)
    before, after = sequence[left:start], sequence[start + len(ref) : right]
    return left, right, before + ref + after, before + alt + after


def alleles(name):
    """(line's cells, ALT) of each allele of a VCF."""
    path = TEST_DATA / name
    with gzip.open(path, "rt") if path.suffix == ".gz" else open(path) as handle:
        lines = [line.rstrip("\n").split("\t") for line in handle if not line.startswith("#")]
    return [(line, alt) for line in lines for alt in line[4].split(",")]


# --- the tables ------------------------------------------------------------------------------------------------------


def score_pairs(oracle, listed, scores=("l2",), **how):
    yield ["id", "status", *scores, *COUNTS]
    for name, wild_type, mutant in listed:
        if set(wild_type + mutant) <= set("ACGT"):
            yield [name, "ok", *oracle.cells(wild_type, mutant, scores, **how)]
        else:
            yield [name, "invalid_base", *[""] * len(scores), len(wild_type), len(mutant), *[""] * 4]


def tutorial_pairs(oracle, listed):
    effects = oracle.tutorial_effect([a for _, a, _ in listed], [b for _, _, b in listed]).tolist()
    yield ["id", "status", "l2", *COUNTS]
    for (name, wild_type, mutant), effect in zip(listed, effects, strict=True):
        yield [name, "ok", Number(effect), *oracle.counts(wild_type, mutant)]


def embed(oracle, listed, width, compared=8, tutorial=False, tolerance=TOLERANCE, strand="forward", **how):
    """The first `compared` numbers of each embedding; what follows must look like numbers."""
    sequences = [sequence for _, sequence in listed]
    readable = [set(sequence) <= set("ACGT") for sequence in sequences]
    vectors = oracle.tutorial_embedding(sequences) if tutorial else None
    yield ["id", "status", "length", "tokens", *(f"dim_{n}" for n in range(1, width + 1))]
    for at, (name, sequence) in enumerate(listed):
        if not readable[at]:
            yield [name, "invalid_base", len(sequence), "", *[""] * width]
            continue
        vector = vectors[at] if tutorial else oracle.embedding(sequence, strand=strand, **how)
        assert len(vector) == width
        scale = vector.abs().max().item()
        numbers = [Number(value, scale, tolerance) for value in vector.tolist()[:compared]]
        tokens = len(oracle.tokens(sequence, strand))
        yield [name, "ok", len(sequence), tokens, *numbers, *[None] * (width - compared)]


# Alleles of variants.vcf without a score: by identifier, and by ALT where the line has others.
STATUSES = {
    ("mixed", "<DEL>"): "symbolic_allele",
    ("mixed", "*"): "symbolic_allele",
    "symbolic": "symbolic_allele",
    "breakend": "symbolic_allele",
    "no_alt": "missing_alt",
    "same": "no_change",
    "mismatch": "ref_mismatch",
    "iupac": "invalid_base",
    "on_unknown": "invalid_base",
    "near_unknown": "invalid_base",
    "unknown_contig": "unknown_contig",
    "short_contig": "window_off_end",
}


def score_variants(oracle, vcf, n=201, scores=("l2",), background=None, regions=None, **how):
    """`background`: width, and whether only the same change counts; there must be no more than the tool draws."""
    reference = genome()
    columns = [*scores, *(f"{score}_percentile" for score in scores), "n_background"] if background else [*scores]
    yield [
        *("chrom", "pos", "ref", "alt", "id", "status", *columns, *COUNTS, "window_start", "window_end"),
        *(["region"] if regions else []),
    ]
    rows = []
    for line, alt in alleles(vcf):
        chrom, pos, name, ref = line[0], int(line[1]), line[2], line[3].upper()
        status = STATUSES.get(name) or STATUSES.get((name, alt)) or "ok"
        spelled = f"{chrom}:{pos}:{line[3]}>{alt}" if name == "." else name
        rows.append([[chrom, pos, line[3], alt, spelled, status], None])
        if status == "ok" or name == "near_unknown":
            rows[-1][1] = (reference[chrom], pos, ref, alt.upper(), n)
    for row, place in rows:
        status, extra = row[-1], [name_of_region(regions, row)] if regions else []
        if place is None:
            yield [*row, *[""] * (len(COUNTS) + len(columns) + 2), *extra]
            continue
        start, end, wild_type, mutant = windows(*place)
        if status != "ok":
            yield [*row, *[""] * len(columns), len(wild_type), len(mutant), *[""] * 4, start + 1, end, *extra]
            continue
        cells = oracle.cells(wild_type, mutant, scores, **how)
        if background:
            cells[1:1] = near(oracle, place, cells[0].value, *background)
        yield [*row, *cells, start + 1, end, *extra]


def near(oracle, place, score, width, same_change):
    """[percentile of an l2, number of substitutions] among all the others near a substitution, in its own window."""
    sequence, pos, ref, alt, n = place
    start, end, wild_type, _ = windows(*place)
    while ref[0] == alt[0]:
        ref, alt, pos = ref[1:], alt[1:], pos + 1
    own = pos - 1

    def change(at, base):
        around = sequence[at - 1 : at + 2] if 0 < at < len(sequence) - 1 else None
        if around is None:
            return None
        return {(around, base), (reverse_complement(around), reverse_complement(base))}

    others = []
    for at in range(max(start, own - width // 2), min(end, own + width - width // 2)):
        for base in "ACGT":
            if base == sequence[at] or (at, base) == (own, alt[0]):
                continue
            if same_change and (change(own, alt[0]) is None or change(at, base) != change(own, alt[0])):
                continue
            mutant = wild_type[: at - start] + base + wild_type[at - start + 1 :]
            others.append(oracle.score("l2", wild_type, mutant, "forward", {}))
    if not others:
        return ["", 0]
    below = sum(other < score for other in others)
    return [Number(100 * below / len(others)), len(others)]


def name_of_region(regions, row):
    """Names of the (chrom, start, end, name), half-open from 0, that a substitution at `pos` lies in."""
    chrom, pos, ref, alt = row[:4]
    same = next(n for n, (a, b) in enumerate(zip(ref, alt, strict=True)) if a != b)
    at = pos - 1 + same
    return "+".join(sorted({name for c, start, end, name in regions if c == chrom and start <= at < end})) or "none"


def annotated(table, vcf):
    """The lines of a VCF with L2 and status in INFO; `table`: the rows of the same VCF."""
    rows = [dict(zip(table[0], row, strict=True)) for row in table[1:]]
    number = iter(rows)
    text = (TEST_DATA / vcf).read_text().splitlines()
    for line in text:
        cells = line.split("\t")
        if line.startswith("#CHROM"):
            yield [re.compile(r"##dna_lm=<ID=DNALM,.*")]
            yield [re.compile("##INFO=<ID=DNALM_L2,Number=A,Type=Float,.*")]
            yield [re.compile("##INFO=<ID=DNALM_STATUS,Number=A,Type=String,.*")]
        if not line.startswith("#"):
            own = [next(number) for _ in cells[4].split(",")]
            scores = [row["l2"] if row["status"] == "ok" else "." for row in own]
            info = [] if cells[7] == "." else [cells[7], ";"]
            info += ["DNALM_L2=", *joined(scores), ";DNALM_STATUS=", ",".join(row["status"] for row in own)]
            cells[7] = tuple(info)
        yield cells


def joined(items):
    return [part for item in items for part in (",", item)][1:]


def mutagenesis(oracle, listed, scores=("l2",), deletions=False, **how):
    """`listed`: (id, sequence, first base from 0, number of bases, contig and its base) of what is mutated."""
    in_genome = any(place for *_, place in listed)
    yield [*(["chrom", "pos"] if in_genome else []), "id", "position", "ref", "alt", "status", *scores, *COUNTS]
    for name, sequence, first, length, place in listed:
        changes = [(at, alt) for at in range(length) for alt in ("ACGT-" if deletions else "ACGT")]
        changes = [(at, alt) for at, alt in changes if alt != sequence[first + at]]
        mutants = [sequence[: first + at] + alt.strip("-") + sequence[first + at + 1 :] for at, alt in changes]
        for (at, alt), mutant in zip(changes, mutants, strict=True):
            cells = oracle.cells(sequence, mutant, scores, **how)
            where = [place[0], place[1] + at + 1] if place else []
            yield [*where, name, at + 1, sequence[first + at], alt, "ok", *cells]


def intervals(listed, flank=0):
    """What `mutagenesis` takes, for (chrom, start, end, name)."""
    for chrom, start, end, name in listed:
        sequence = genome()[chrom]
        left, right = stretch(sequence, start - flank, end + flank)
        yield name, sequence[left:right], start - left, end - start, (chrom, start)


def track(table):
    """chrom, start, end and mean of the three substitutions of each base."""
    rows = [dict(zip(table[0], row, strict=True)) for row in table[1:]]
    for at in range(0, len(rows), 3):
        mean = sum(row["l2"].value for row in rows[at : at + 3]) / 3
        yield [rows[at]["chrom"], rows[at]["pos"] - 1, rows[at]["pos"], Number(mean)]


REST = re.compile(".*")


def scores_of(name):
    """The column `l2` of a score table, NaN where it is empty."""
    lines = [line.split("\t") for line in (TEST_DATA / name).read_text().splitlines()]
    column = lines[0].index("l2")
    return np.array([float(cells[column] or "nan") for cells in lines[1:]])


def summaries(groups):
    yield ["group", "n", "n_not_scored", "mean", "sd", "median", "q1", "q3", "min", "max"]
    for label, scores in groups.items():
        scored = scores[~np.isnan(scores)]
        quarters = np.percentile(scored, [50, 25, 75])
        numbers = [scored.mean(), scored.std(ddof=1), *quarters, scored.min(), scored.max()]
        yield [label, len(scored), len(scores) - len(scored), *map(Number, numbers)]


def comparisons(groups, listed, holm, auc=""):
    """`listed`: name, two counts, left out, statistic, degrees of freedom or None, p.

    Effect sizes other than `auc` are left open. `holm`: correct two p-values after Holm; without it they stay.
    """
    yield ["comparison", "group_a", "group_b", "test", REST]
    smaller, larger = sorted(p for *_, p in listed)
    corrected = {smaller: 2 * smaller, larger: max(2 * smaller, larger)} if holm else {p: p for p in (smaller, larger)}
    for name, n_a, n_b, left_out, statistic, df, p in listed:
        df = "" if df is None else Number(df)
        numbers = [Number(statistic), df, "", Number(p), Number(corrected[p])]
        yield ["pair", *groups, name, n_a, n_b, left_out, *numbers, auc, REST]


def independent(groups, tutorial=False):
    """The default tests of two groups, or the tutorial's two on them: a paired one on rows that are not paired."""
    given = list(groups.values())
    a, b = (scores[~np.isnan(scores)] for scores in given)
    n = [len(a), len(b), sum(map(len, given)) - len(a) - len(b)]
    u = stats.mannwhitneyu(a, b, method="exact")
    auc = Number(u.statistic / len(a) / len(b))
    if not tutorial:
        welch = stats.ttest_ind(a, b, equal_var=False)
        listed = [("mann-whitney", *n, u.statistic, None, u.pvalue)]
        return comparisons(groups, [*listed, ("welch-t", *n, welch.statistic, welch.df, welch.pvalue)], True, auc)
    t = stats.ttest_ind(a, b)
    _, (n_both, *_), signed = signed_rank(*given)
    listed = [("student-t-as-in-the-tutorial", *n, t.statistic, t.df, t.pvalue)]
    listed += [("signed-rank-as-in-the-tutorial", n_both, n_both, n[2], signed.statistic, None, signed.pvalue)]
    return comparisons(groups, listed, True, auc)


def signed_rank(a, b):
    """Rows with both scores, [their number twice, and how many are left out], and Wilcoxon's test of them."""
    both = ~(np.isnan(a) | np.isnan(b))
    return both, [both.sum(), both.sum(), len(a) - both.sum()], stats.wilcoxon(a[both], b[both])


def paired(groups):
    a, b = groups.values()
    both, n, signed = signed_rank(a, b)
    t = stats.ttest_rel(a[both], b[both])
    listed = [("wilcoxon-signed-rank", *n, signed.statistic, None, signed.pvalue)]
    return comparisons(groups, [*listed, ("paired-t", *n, t.statistic, t.df, t.pvalue)], False)


# --- all files -------------------------------------------------------------------------------------------------------


def tables():
    """File name -> rows of cells: text, whole numbers, `Number`s, None for any number, or tuples of such."""
    demo, headless = Oracle("demo-mixtral"), Oracle("headless-mixtral", head=False)
    esm = Oracle("tiny-esm", masked=True)
    hidden = {"representation": "hidden"}
    cftr = pairs("cftr_wild_type.fasta", "cftr_mutant.fasta")
    indels = pairs("indel_wild_type.fasta.gz", "indel_mutant.fasta.gz")
    messy = pairs("messy.fasta", "messy_mutant.fasta")
    yield "score_pairs_cftr", score_pairs(demo, cftr)
    yield "score_pairs_indels", score_pairs(demo, indels, ALL_SCORES, strand="mean")
    yield "score_pairs_tutorial", tutorial_pairs(demo, indels)
    how = {"strand": "reverse", "layer": 1, "pooling": "mean", "tolerance": TOLERANCE_16_BITS}
    yield "score_pairs_bfloat16", score_pairs(headless, cftr, **hidden, **how)
    yield "score_pairs_float16", score_pairs(headless, cftr, pooling="last", tolerance=TOLERANCE_16_BITS, **hidden)
    yield "score_pairs_esm", score_pairs(esm, cftr, ["l2", "llr"])
    yield "score_pairs_messy", score_pairs(demo, messy)

    every, few = "variants.vcf", "variants_sorted.vcf.gz"
    table = list(score_variants(demo, every))
    yield "score_variants", table
    yield "score_variants_vcf", annotated(table, every)
    yield "score_variants_window_100", score_variants(demo, few, 100, ALL_SCORES, strand="mean", pooling="mean")
    bed = [line.split("\t") for line in (TEST_DATA / "regions.bed").read_text().splitlines()[1:]]
    bed = [(chrom, int(start), int(end), name) for chrom, start, end, name in bed]
    yield "score_variants_background", score_variants(demo, few, background=(5, False), regions=bed)
    gff = [line.split("\t") for line in (TEST_DATA / "regions.gff3").read_text().splitlines()[1:]]
    gff = [(cells[0], int(cells[3]) - 1, int(cells[4]), cells[2]) for cells in gff]
    yield "score_variants_same_change", score_variants(demo, few, background=(201, True), regions=gff)
    yield "score_variants_esm", score_variants(esm, few, 31, ["l2", "llr"])

    whole = [(name, sequence, 0, len(sequence), None) for name, sequence, _ in cftr]
    one = [(name, sequence, 0, len(sequence), None) for name, sequence in records("one_sequence.fasta.gz")]
    yield "mutagenesis_cftr", mutagenesis(demo, whole)
    how = hidden | {"strand": "mean", "layer": 2, "pooling": "mean"}
    yield "mutagenesis_deletions", mutagenesis(demo, whole, ALL_SCORES, deletions=True, **how)
    for name, listed, flank in (
        ("intervals", [("chr1", 300, 312, "motif"), ("chr2", 0, 5, "chr2:0-5")], 20),
        ("exon", [("chr2", 10, 30, "exon")], 0),
    ):
        table = list(mutagenesis(demo, list(intervals(listed, flank))))
        yield f"mutagenesis_{name}", table
        yield f"mutagenesis_{name}_track", track(table)
    yield "mutagenesis_esm", mutagenesis(esm, one, ["llr"])

    sequences, gzipped = records("sequences.fasta"), records("indel_wild_type.fasta.gz")
    yield "embed", embed(demo, sequences, 128)
    yield "embed_tutorial", embed(demo, sequences, 128, compared=32, tutorial=True)
    how = {"strand": "reverse", "layer": 0, "pooling": "last", "tolerance": TOLERANCE_16_BITS}
    yield "embed_bfloat16", embed(headless, gzipped, 16, **hidden, **how)
    yield "embed_esm", embed(esm, sequences, 32, **hidden)
    yield "embed_messy", embed(demo, records("messy.fasta"), 128)


def group_tables():
    """As `tables`, for `compare_groups`."""
    regions = {name: scores_of(f"{name}.tsv") for name in ("groups_exon", "groups_intron")}
    models = {name: scores_of(f"{name}.tsv") for name in ("groups_model_a", "groups_model_b")}
    yield "compare_groups", independent(regions)
    yield "compare_groups_summary", summaries(regions)
    yield "compare_groups_paired", paired(models)
    yield "compare_groups_tutorial", independent(regions, tutorial=True)


def pattern(cell):
    if isinstance(cell, tuple):
        return "".join(map(pattern, cell))
    if isinstance(cell, Number):
        return cell.pattern()
    if isinstance(cell, re.Pattern):
        return cell.pattern
    if cell is None:
        return r"-?[\d.]+(?:e-\d+)?"
    return re.escape(str(cell))


def line(row):
    """The regular expression of a line; a run of any numbers is written once."""
    cells = [pattern(cell) for cell in row if cell is not None]
    rest = len(row) - len(cells)
    return "\t".join(cells) + (rf"(?:\t{pattern(None)}){{{rest}}}" if rest else "") + "$\n"


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else TEST_DATA / "expected"
    folder.mkdir(exist_ok=True)
    for name, rows in (*group_tables(), *tables()):
        (folder / f"{name}.re").write_text("".join(map(line, rows)))


if __name__ == "__main__":
    main()
