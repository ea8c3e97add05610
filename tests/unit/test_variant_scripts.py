"""score_variants.py and mutagenesis.py as Galaxy runs them: their numbers beside score_pairs.py, outputs, refusals."""

import csv
import re
import xml.etree.ElementTree as ET
from itertools import count, permutations

import pybigtools
import pyBigWig
import pysam
import pytest
from Bio import SeqIO
from Bio.Seq import Seq

from conftest import TEST_DATA, assert_refused, read_table
from dna_lm.inputs.fasta import Record
from dna_lm.inputs.stretches import Stretch
from dna_lm.mutagenesis import heatmap, sinks, source
from dna_lm.scoring.rows import Counts
from make_sequences import Variant
from naive import Naive

DEMO, HEADLESS = TEST_DATA / "models" / "demo-mixtral", TEST_DATA / "models" / "headless-mixtral"
REFERENCE = TEST_DATA / "reference.fasta"
ALL_SCORES = ("l2", "l1", "cosine_distance", "inner_product", "llr")
OF_PAIRS = (
    "wt_length",
    "mut_length",
    "n_differences",
    "wt_tokens",
    "mut_tokens",
    "changed_tokens",
    "ends",
    *ALL_SCORES,
)


@pytest.fixture(scope="module")
def sequences():
    return {record.id: str(record.seq).upper() for record in SeqIO.parse(REFERENCE, "fasta")}


@pytest.fixture
def run(run_script, tmp_path):
    """Run a script with the demo model; gives its table's rows (dicts of text) and its messages."""
    number = count()

    def run(script, *options):
        output = tmp_path / f"table{next(number)}.tsv"
        done = run_script(script, "--model", DEMO, "--output", output, *options)
        assert done.returncode == 0, done.stderr
        return read_table(output), done.stderr

    return run


def score_pairs(run, folder, pairs, *options):
    """score_pairs.py on (wild type, mutant) sequences."""
    for side, name in enumerate(("wt", "mut")):
        (folder / f"{name}.fasta").write_text("".join(f">{n}\n{pair[side]}\n" for n, pair in enumerate(pairs)))
    return run("score_pairs.py", "--wild-type", folder / "wt.fasta", "--mutant", folder / "mut.fasta", *options)[0]


def variants_of(path=TEST_DATA / "variants.vcf"):
    """A VCF and its reference, on the strand that score_pairs.py reads by default."""
    return "--variants", path, "--reference", REFERENCE, "--strand", "forward"


# --- score_variants ------------------------------------------------------------------------------------------------


@pytest.mark.cpu
def test_variants_score_as_the_pairs_of_their_windows(run, sequences, tmp_path):
    """Windows cut here by hand: 100 bases on either side, of all substitutions away from the sequences' ends."""
    options = "--scores", *ALL_SCORES, "--strand", "mean"
    rows, _ = run("score_variants.py", *variants_of(), *options)
    pairs, scored = [], []
    for row in rows:
        bases, at = sequences.get(row["chrom"], ""), int(row["pos"]) - 1
        if row["status"] == "ok" and len(row["ref"]) == len(row["alt"]) == 1 and 100 <= at < len(bases) - 100:
            scored.append(row)
            before, after = bases[at - 100 : at], bases[at + 1 : at + 101]
            pairs.append((before + row["ref"].upper() + after, before + row["alt"].upper() + after))
            assert (row["window_start"], row["window_end"]) == (str(at - 99), str(at + 101))
    assert len(scored) >= 10
    for row, expected in zip(scored, score_pairs(run, tmp_path, pairs, *options), strict=True):
        assert {name: row[name] for name in OF_PAIRS} == {name: expected[name] for name in OF_PAIRS}


def test_the_windows_given_are_those_that_were_scored(run, tmp_path):
    files = tmp_path / "w.fa", tmp_path / "m.fa"
    options = "--wild-type-windows", files[0], "--mutant-windows", files[1], "--window", 61
    rows, _ = run("score_variants.py", *variants_of(), *options)
    pairs, _ = run("score_pairs.py", "--wild-type", files[0], "--mutant", files[1])
    assert len(pairs) > 20
    with_window = [row for row in rows if row["window_start"]]
    for row, pair in zip(with_window, pairs, strict=True):
        assert (row["id"], row["status"], row["l2"]) == (pair["id"], pair["status"], pair["l2"])


def edited(bases, row):
    """The sequence with a row's change."""
    at, ref, alt = int(row["pos"]) - 1, row["ref"].upper(), row["alt"].upper()
    assert bases[at : at + len(ref)] == ref
    return bases[:at] + alt + bases[at + len(ref) :]


@pytest.mark.cpu
@pytest.mark.parametrize("model", ["demo-mixtral", "tiny-esm"])
def test_windows_of_the_same_length_score_as_their_pairs(run, sequences, tmp_path, model):
    """Both are cut here out of the reference and of the edited sequence, from the first base in the table on."""
    scores = "l2", "cosine_distance", "llr"
    options = "--scores", *scores, "--model", TEST_DATA / "models" / model
    kind = "--window", 51, "--indel-window", "same-length", "--output-vcf", tmp_path / "out.vcf"
    rows, _ = run("score_variants.py", *variants_of(), *options, *kind)
    with_flanks, _ = run("score_variants.py", *variants_of(), *options, *kind[:2])
    with_flanks = {(row["id"], row["alt"]): row for row in with_flanks}
    assert 'window="51",indel_window="same-length"' in (tmp_path / "out.vcf").read_text()
    scored = [row for row in rows if row["status"] == "ok"]
    pairs = []
    for row in scored:
        bases, start = sequences[row["chrom"]], int(row["window_start"]) - 1
        pairs.append((bases[start : start + 51], edited(bases, row)[start : start + 51]))
        assert (row["wt_length"], row["mut_length"], row["window_end"]) == ("51", "51", str(start + 51))
        assert row["n_differences"] == with_flanks[row["id"], row["alt"]]["n_differences"]
    n_indels = 0
    for row, pair in zip(scored, score_pairs(run, tmp_path, pairs, *options), strict=True):
        is_indel = len(row["ref"]) != len(row["alt"])
        n_indels += is_indel
        # score_pairs.py masks what differs, which after an indel is every base.
        same = scores if model == "demo-mixtral" or not is_indel else scores[:2]
        assert {name: row[name] for name in same} == {name: pair[name] for name in same}
        if len(row["ref"]) == len(row["alt"]) == 1:
            assert {name: row[name] for name in OF_PAIRS[:6]} == {name: pair[name] for name in OF_PAIRS[:6]}
            assert row == with_flanks[row["id"], row["alt"]]
    assert n_indels == 7
    score = {row["id"]: row["llr"] for row in rows}
    assert score["del_left"] == score["del_middle"] == score["del_padded"]


@pytest.mark.parametrize("model", ["demo-mixtral", "tiny-esm"])
def test_insertions_that_differ_beyond_their_window_are_cut(run, sequences, tmp_path, model):
    bases = sequences["chr1"]
    changes = [(bases[299], bases[299] + "GATTACA" * 90 + end) for end in ("", "CCCC", "TTTT")]
    changes += [(bases[299], bases[299] + "GATTACA"), (bases[299:800], bases[299])]
    lines = [f"chr1\t300\tv{n}\t{ref}\t{alt}\t.\t.\t.\n" for n, (ref, alt) in enumerate(changes)]
    (tmp_path / "v.vcf").write_text(
        "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n" + "".join(lines)
    )
    options = "--variants", tmp_path / "v.vcf", "--reference", TEST_DATA / "reference.fasta", "--window", 51
    options += "--model", TEST_DATA / "models" / model, "--strand", "forward"
    rows, _ = run("score_variants.py", *options, "--indel-window", "same-length")
    assert rows[0]["l2"] == rows[1]["l2"] == rows[2]["l2"]
    assert [row["ends"] for row in rows] == ["cut", "cut", "cut", "whole", "cut"]
    rows, _ = run("score_variants.py", *options)
    assert {row["ends"] for row in rows if row["status"] == "ok"} == {"whole"}


def test_an_indel_of_a_masked_model_is_a_difference_of_pseudo_log_likelihoods(run, sequences):
    """For windows of both kinds, as the naive implementation sums them."""
    model = TEST_DATA / "models" / "tiny-esm"
    naive = Naive(model, masked=True)
    for kind, length in (("same-flanks", 20), ("same-length", 21)):
        options = "--model", model, "--scores", "llr", "--window", 21, "--indel-window", kind
        rows, _ = run("score_variants.py", *variants_of(), *options)
        row = next(row for row in rows if row["id"] == "del_left")
        start, bases = int(row["window_start"]) - 1, sequences["chr1"]
        wild_type = bases[start : int(row["window_end"])]
        mutant = edited(bases, row)[start : start + len(wild_type)][: length + 1]
        both = [naive.pseudo_log_likelihood(naive.ids(sequence)[0]) for sequence in (wild_type, mutant)]
        assert (len(wild_type), len(mutant)) == ((22, 21) if kind == "same-flanks" else (21, 21))
        assert float(row["llr"]) == pytest.approx(both[1] - both[0], rel=1e-4)


def test_every_allele_is_in_the_table_and_every_line_in_the_vcf(run, tmp_path):
    rows, _ = run("score_variants.py", *variants_of(), "--output-vcf", tmp_path / "out.vcf", "--scores", "l2", "llr")
    source = (TEST_DATA / "variants.vcf").read_text().splitlines()
    lines = [line.split("\t") for line in source if not line.startswith("#")]
    written = [(line[0], line[1], line[3], alt) for line in lines for alt in line[4].split(",")]
    assert [(row["chrom"], row["pos"], row["ref"], row["alt"]) for row in rows] == written

    output = (tmp_path / "out.vcf").read_text().splitlines()
    without = [
        re.sub(r"(?<=\t);|;?DNALM_\w+=[^;\t]*", "", line).replace("\t\t", "\t.\t")
        for line in output
        if "DNALM" not in line or not line.startswith("#")
    ]
    assert without == source

    remaining = iter(rows)
    with pysam.VariantFile(str(tmp_path / "out.vcf")) as file:
        assert file.header.info["DNALM_L2"].number == "A"
        for record in file:
            of_line = [next(remaining) for _ in record.alts or [None]]
            if record.alts:
                for name in ("l2", "llr"):
                    found = record.info[f"DNALM_{name.upper()}"]
                    expected = [float(row[name]) if row[name] else None for row in of_line]
                    assert [None if value is None else pytest.approx(value, rel=1e-6) for value in found] == expected
                assert list(record.info["DNALM_STATUS"]) == [row["status"] for row in of_line]
    assert next(remaining, None) is None


def test_spellings_and_copies_of_a_variant_score_the_same(run):
    rows, _ = run("score_variants.py", *variants_of())
    score = {row["id"]: row["l2"] for row in rows}
    assert score["del_left"] == score["del_middle"] == score["del_padded"]
    assert score["snv"] == score["twice"] == score["snv_padded"]


def test_both_strands_are_read_by_default(run):
    rows, _ = run("score_variants.py", *variants_of()[:4])
    assert rows == run("score_variants.py", *variants_of(), "--strand", "mean")[0]


def test_bgzip_or_plain_is_the_same(run, tmp_path):
    plain = tmp_path / "plain.vcf"
    with pysam.BGZFile(str(TEST_DATA / "variants_sorted.vcf.gz")) as packed:
        plain.write_bytes(packed.read())
    expected, _ = run("score_variants.py", *variants_of(plain))
    packed = *variants_of(TEST_DATA / "variants_sorted.vcf.gz"), "--reference", f"{REFERENCE}.gz"
    assert run("score_variants.py", *packed)[0] == expected


def test_the_percentile_is_counted_among_the_substitutions_beside(run, sequences, tmp_path):
    rows, _ = run("score_variants.py", *variants_of(), "--background", 1000, "--background-width", 5)
    bases = sequences["chr1"]
    row = next(row for row in rows if row["id"] == "snv")
    window = bases[199:400]
    mutants = [window[:at] + base + window[at + 1 :] for at in range(98, 103) for base in "ACGT" if base != window[at]]
    own = window[:100] + row["alt"] + window[101:]
    assert row["n_background"] == "14" and own in mutants
    scored = score_pairs(run, tmp_path, [(window, mutant) for mutant in mutants if mutant != own])
    lower = sum(float(other["l2"]) < float(row["l2"]) for other in scored)
    assert float(row["l2_percentile"]) == pytest.approx(100 * lower / 14)
    for row in rows:
        assert bool(row["l2_percentile"]) == (row["status"] == "ok") == (row["n_background"] != "0")


@pytest.mark.parametrize("kind", ["same-flanks", "same-length"])
@pytest.mark.parametrize("name", ["del_left", "ins", "repeat", "complex"])
def test_the_percentile_of_an_indel_is_counted_among_indels(run, sequences, tmp_path, kind, name):
    """All that a plain loop makes of the sequence, within 6 bases of the first base that is replaced."""
    few = tmp_path / "few.vcf"
    source = (TEST_DATA / "variants.vcf").read_text().splitlines(keepends=True)
    few.write_text("".join(line for line in source if line.startswith("#") or line.split("\t")[2] == name))
    options = "--window", 61, "--indel-window", kind, "--background", 1000, "--background-width", 13
    rows, _ = run("score_variants.py", *variants_of(few), *options)
    for row in rows:
        bases, start, end = sequences[row["chrom"]], int(row["window_start"]) - 1, int(row["window_end"])
        ref, alt = row["ref"].upper(), row["alt"].upper()
        while ref and alt and ref[-1] == alt[-1]:
            ref, alt = ref[:-1], alt[:-1]
        if ref[:1] == alt[:1]:
            ref, alt = ref[1:], alt[1:]
        # The window has 30 bases before the one that an indel keeps, and before the first of a combination.
        first = start + 30 + (name != "complex")
        mutants = set()
        for at in range(first - 6, first + 7):
            for inserted in set(permutations(alt)):
                mutant = bases[:at] + "".join(inserted) + bases[at + len(ref) :]
                cut = end if kind == "same-length" else end + len(mutant) - len(bases)
                mutants.add(mutant[start:cut])
        cut = end if kind == "same-length" else end + len(alt) - len(ref)
        own = edited(bases, row)[start:cut]
        assert own in mutants
        mutants -= {own, bases[start:end]}
        assert int(row["n_background"]) == len(mutants) > 0
        scored = score_pairs(run, tmp_path, [(bases[start:end], mutant) for mutant in sorted(mutants)])
        lower = sum(float(other["l2"]) < float(row["l2"]) for other in scored)
        assert float(row["l2_percentile"]) == pytest.approx(100 * lower / len(mutants))


@pytest.mark.cpu
def test_percentiles_depend_on_the_seed_and_not_on_the_other_lines(run, tmp_path):
    options = "--background", 5, "--same-change", "--background-width", 201, "--seed"
    source = (TEST_DATA / "variants.vcf").read_text().splitlines(keepends=True)
    header = [line for line in source if line.startswith("#")]
    few = tmp_path / "few.vcf"
    few.write_text("".join(header + [line for line in reversed(source) if line.split("\t")[2:3] in (["snv"], ["mnv"])]))
    whole, _ = run("score_variants.py", *variants_of(), *options, 1)
    part, _ = run("score_variants.py", *variants_of(few), *options, 1)
    assert part == [next(row for row in whole if row["id"] == name) for name in ("mnv", "snv")]
    assert part[0]["n_background"] == "0" and part[0]["l2_percentile"] == "" and part[0]["l2"]
    assert int(part[1]["n_background"]) > 0


def test_regions_become_groups(run, run_script, tmp_path):
    rows, _ = run("score_variants.py", *variants_of(), "--regions", TEST_DATA / "regions.bed")
    region = {row["id"]: row["region"] for row in rows}
    assert region["snv"] == "exon" and region["mnv"] == "intron" and region["in_lower_case"] == "none"
    assert region["repeat"] == "exon+intron"
    outputs = "--output", tmp_path / "tests.tsv", "--summary", tmp_path / "summary.tsv"
    done = run_script(
        "compare_groups.py", "--table", tmp_path / "table0.tsv", "--group-column", "region", "--only", "exon, none",
        *outputs,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [row["group"] for row in read_table(tmp_path / "summary.tsv")] == ["exon", "none"]


def test_another_models_scores_stay_in_the_vcf(run, run_script, tmp_path):
    first = tmp_path / "first.vcf"
    run("score_variants.py", *variants_of(), "--output-vcf", first)
    again = "score_variants.py", *variants_of(first), "--output-vcf", tmp_path / "second.vcf"
    done = run_script(*again, "--model", DEMO, "--output", tmp_path / "x.tsv")
    assert done.returncode == 1
    assert "INFO has 'DNALM_L2' already: choose another prefix" in done.stderr
    run(*again, "--info-prefix", "other")
    with pysam.VariantFile(str(tmp_path / "second.vcf")) as file:
        record = next(iter(file))
        assert record.info["DNALM_L2"] == record.info["other_L2"]


def test_too_long_windows_keep_their_rows(run, tmp_path):
    (tmp_path / "r.fa").write_text(">c\n" + "ACGTTGCAGA" * 400 + "\n")
    header = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    deletion = "ACGTTGCAGA" * 380
    (tmp_path / "v.vcf").write_text(f"{header}c\t1001\tsnv\tA\tC\t.\t.\t.\nc\t1\tdel\t{deletion}\tA\t.\t.\t.\n")
    rows, _ = run("score_variants.py", "--variants", "v.vcf", "--reference", "r.fa", "--background", 3)
    assert [(row["id"], row["status"], bool(row["l2"]), row["n_background"]) for row in rows] == [
        ("snv", "ok", True, "3"),
        ("del", "too_long", False, "0"),
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--regions", TEST_DATA / "regions.bed", "--region-names", "exon,x"], "regions: none is called 'x'"),
        (["--regions", TEST_DATA / "variants.vcf"], r"regions \(BED\), line 7: 'snv' is not a position"),
        (["--reference", TEST_DATA / "indel_wild_type.fasta.gz"], "compressed with gzip"),
        (["--reference", "nowhere"], "reference: 'nowhere' is not a file"),
        (["--variants", TEST_DATA / "bad_no_header.vcf"], "VCF, line 1"),
        (["--fail-on-unscored"], "could not read 12 of 34 records"),
        (["--variants", TEST_DATA / "variants_other_build.vcf"], "13 of 17 REF alleles differ from the reference"),
        (["--model", HEADLESS], "the representation 'logits' needs the model's language-model head"),
    ],
)
def test_what_cannot_be_scored_is_one_line_and_no_output(run_script, tmp_path, options, message):
    outputs = "--output", tmp_path / "out.tsv", "--output-vcf", tmp_path / "out.vcf"
    done = run_script("score_variants.py", "--model", DEMO, *variants_of(), *outputs, *options)
    assert_refused(done, message, tmp_path)


@pytest.mark.parametrize(
    ("script", "options", "message"),
    [
        ("score_variants.py", ["--region-names", "exon"], "--region-names has no effect without --regions"),
        ("score_variants.py", ["--regions-format", "gff"], "--regions-format has no effect without --regions"),
        ("score_variants.py", ["--background-width", 51], "--background-width has no effect without --background"),
        ("score_variants.py", ["--same-change", "--background", 0], "--same-change has no effect without --background"),
        ("score_variants.py", ["--seed", 1], "--seed has no effect without --background"),
        ("score_variants.py", ["--info-prefix", "DNALM"], "--info-prefix has no effect without --output-vcf"),
        ("mutagenesis.py", ["--flank", 0], "--flank has no effect without --intervals"),
        ("mutagenesis.py", ["--reference", "x"], "--reference has no effect without --intervals"),
        ("mutagenesis.py", ["--intervals-format", "bed"], "--intervals-format has no effect without --intervals"),
        ("mutagenesis.py", ["--heatmap-format", "png"], "--heatmap-format has no effect without --heatmap"),
        ("mutagenesis.py", ["--draw", "l2"], "--draw has no effect without --heatmap, --track"),
        ("mutagenesis.py", ["--report-for", "galaxy"], "--report-for has no effect without --report"),
        ("split.py", ["--pair-by", "order"], "--pair-by has no effect without --wild-type"),
        ("split.py", ["--allow-identical"], "--allow-identical has no effect without --wild-type"),
    ],
)
def test_an_option_without_its_partner_is_refused_before_anything_is_read(
    run_script, tmp_path, script, options, message
):
    """The files do not exist."""
    inputs = {
        "score_variants.py": ["--model", "m", "--variants", "v", "--reference", "r"],
        "mutagenesis.py": ["--model", "m", "--sequences", "s"],
        "split.py": ["--variants", "v", "--size", 1],
    }
    done = run_script(script, *inputs[script], "--output", tmp_path / "out.tsv", *options)
    assert_refused(done, f"^error: {message}", tmp_path)


# --- mutagenesis ---------------------------------------------------------------------------------------------------


@pytest.mark.cpu
def test_mutants_score_as_their_pairs(run, tmp_path):
    """Both strands are read without being asked for."""
    options = "--scores", *ALL_SCORES
    rows, _ = run("mutagenesis.py", "--sequences", TEST_DATA / "cftr_wild_type.fasta", "--deletions", *options)
    expected, pairs = [], []
    for record in SeqIO.parse(TEST_DATA / "cftr_wild_type.fasta", "fasta"):
        bases = str(record.seq)
        for at, own in enumerate(bases):
            for base in [base for base in "ACGT" if base != own] + ["-"]:
                expected.append((record.id, str(at + 1), own, base))
                pairs.append((bases, bases[:at] + base.replace("-", "") + bases[at + 1 :]))
    assert [(row["id"], row["position"], row["ref"], row["alt"]) for row in rows] == expected
    of_pairs = score_pairs(run, tmp_path, pairs, *options, "--strand", "mean")
    for row, pair in zip(rows, of_pairs, strict=True):
        assert {name: row[name] for name in OF_PAIRS} == {name: pair[name] for name in OF_PAIRS}


TRACKS = ("--track", "mean.bw", "--base-tracks", "A.bw", "C.bw", "G.bw", "T.bw")


def read_tracks(folder):
    """(name, chrom, position from 1) -> value, as pybigtools reads the files; each covers single bases."""
    values = {}
    for name in ("mean", *"ACGT"):
        file = pybigtools.open(str(folder / f"{name}.bw"))
        assert list(file.chroms()) == ["chr1", "chr2", "chr3"]
        with pyBigWig.open(str(folder / f"{name}.bw")) as other:
            for chrom in file.chroms():
                runs = list(file.records(chrom))
                assert runs == list(other.intervals(chrom) or ())
                assert all(end == start + 1 for start, end, _ in runs)
                values |= {(name, chrom, end): value for _, end, value in runs}
    return values


def means_of(rows, score="l2"):
    """What `read_tracks` gives for the rows of a table, by their definition."""
    lists = {}
    for row in rows:
        if row["alt"] not in ("", "-") and row[score]:
            for name in ("mean", row["alt"]):
                lists.setdefault((name, row["chrom"], int(row["pos"])), []).append(float(row[score]))
    return {place: pytest.approx(sum(values) / len(values), rel=1e-6) for place, values in lists.items()}


def test_intervals_have_coordinates_flanks_and_tracks(run, sequences, tmp_path):
    options = "--intervals", TEST_DATA / "intervals.bed", "--reference", REFERENCE, "--flank", 20
    rows, _ = run("mutagenesis.py", *options, "--deletions", *TRACKS)
    assert len(rows) == 4 * (12 + 5)
    for row in rows:
        bases = sequences[row["chrom"]]
        assert bases[int(row["pos"]) - 1] == row["ref"]
        assert row["wt_length"] == {"motif": "52", "chr2:0-5": "45"}[row["id"]]
    assert read_tracks(tmp_path) == means_of(rows)


def test_overlapping_intervals_have_their_mean_at_each_base(run, tmp_path):
    (tmp_path / "x.bed").write_text("chr2\t10\t14\ta\nchr1\t12\t15\tb\nchr1\t10\t14\tc\t0\t-\n")
    options = "--intervals", "x.bed", "--reference", REFERENCE, "--scores", "l2", "llr", "--draw", "llr"
    rows, _ = run("mutagenesis.py", *options, *TRACKS)
    values = read_tracks(tmp_path)
    assert values == means_of(rows, "llr")
    assert [place[1:] for place in values if place[0] == "mean"] == [
        *(("chr1", pos) for pos in range(11, 16)),
        *(("chr2", pos) for pos in range(11, 15)),
    ]
    assert {row["wt_length"] for row in rows} == {"203", "204"}  # 100 bases on either side by default


def test_a_track_without_any_score_is_empty_and_valid(run, sequences, tmp_path):
    at = sequences["chr1"].index("A", 200)
    (tmp_path / "x.bed").write_text(f"chr1\t{at}\t{at + 1}\n")
    rows, _ = run("mutagenesis.py", "--intervals", "x.bed", "--reference", REFERENCE, *TRACKS)
    values = read_tracks(tmp_path)
    assert values == means_of(rows)
    assert {name for name, *_ in values} == {"mean", "C", "G", "T"}


def test_intervals_have_positions_along_their_strand(run, sequences, tmp_path):
    (tmp_path / "x.bed").write_text("chr1\t300\t307\ta\t0\t-\nchr1\t300\t307\tb\t0\t+\nchr1\t300\t307\tc\t0\t?\n")
    rows, _ = run("mutagenesis.py", "--intervals", "x.bed", "--reference", REFERENCE, "--deletions", *TRACKS)
    names = ("ref", "alt", "pos", "l2", "llr")
    by_id = {name: [row for row in rows if row["id"] == name] for name in "abc"}
    for forward in "bc":
        assert [[row.get(name) for name in names] for row in by_id["a"]] == [
            [row.get(name) for name in names] for row in by_id[forward]
        ]
        for row in by_id[forward]:
            assert row["strand"] == {"b": "+", "c": "."}[forward]
            assert (row["position_on_strand"], row["change_on_strand"]) == (
                row["position"],
                f"{row['ref']}>{row['alt']}",
            )
    gene = str(Seq(sequences["chr1"][300:307]).reverse_complement())
    for row in by_id["a"]:
        assert row["strand"] == "-"
        ref, alt = row["change_on_strand"].split(">")
        at = int(row["position_on_strand"]) - 1
        assert gene[at] == ref
        # The mutant of the gene is the reverse complement of the mutant of the genome.
        in_genome = int(row["position"]) - 1
        window = sequences["chr1"][300:307]
        mutant = window[:in_genome] + row["alt"].strip("-") + window[in_genome + 1 :]
        assert gene[:at] + alt.strip("-") + gene[at + 1 :] == str(Seq(mutant).reverse_complement())


def test_what_cannot_be_read_has_one_row(run, tmp_path):
    (tmp_path / "x.fasta").write_text(">n\nACGN\n>good\nACGT\n")
    rows, _ = run("mutagenesis.py", "--sequences", "x.fasta")
    assert [(row["id"], row["position"], row["status"]) for row in rows[:1]] == [("n", "", "invalid_base")]
    assert len(rows) == 1 + 12
    options = "--intervals", TEST_DATA / "intervals_unreadable.bed", "--reference", REFERENCE
    rows, _ = run("mutagenesis.py", *options)
    assert [row["status"] for row in rows[12:]] == ["unknown_contig", "window_off_end"]


def test_a_prefix_is_computed_once(run, tmp_path):
    """Of the mutants of a window of 201 bases, at most a token in 1.8 goes through the model, on each strand."""
    window = next(SeqIO.parse(TEST_DATA / "snv_wild_type.fasta", "fasta"))
    assert len(window) == 201
    SeqIO.write(window, tmp_path / "x.fasta", "fasta")
    rows, messages = run("mutagenesis.py", "--sequences", "x.fasta")
    assert len(rows) == 603
    given = 2 * sum(int(row["mut_tokens"]) for row in rows)
    computed = int(re.search(r"(\d+) computed", messages)[1])
    assert given / computed >= 1.8


@pytest.mark.parametrize("file_format", ["png", "svg", "pdf"])
def test_heat_maps_are_the_same_every_time(run, tmp_path, file_format):
    options = "--sequences", TEST_DATA / "hostile_ids_wild_type.fasta", "--heatmap-format", file_format
    drawn = []
    for _ in range(2):
        run("mutagenesis.py", *options, "--heatmap", tmp_path / "x", "--scores", "l2", "llr", "--draw", "llr")
        drawn.append((tmp_path / "x").read_bytes())
    assert drawn[0] == drawn[1]
    assert drawn[0].startswith({"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF-"}[file_format])
    if file_format == "svg":
        elements = list(ET.fromstring(drawn[0]).iter())
        assert {element.tag.split("}")[1] for element in elements}.isdisjoint({"script", "foreignObject", "a", "img"})
        assert "<img/src=x/onerror=alert(1)>" in {element.text for element in elements}


def test_a_heat_map_holds_so_many_bases_and_says_what_it_leaves_out(tmp_path, monkeypatch):
    def scored(lengths):
        for name, length in lengths:
            stretch = Stretch(Record(name, "A" * length, "ok"), 0, length)
            for at in range(length):
                mutation = source.Mutation(stretch, at, "C")
                yield source.MutationRow(name, "ok", {"l2": float(at)}, Counts(length, length), mutation=mutation)

    drawn = []
    monkeypatch.setattr(
        heatmap,
        "draw",
        lambda path, landscapes, *rest, draw=heatmap.draw: (drawn.extend(landscapes), draw(path, landscapes, *rest)),
    )
    with sinks.heat_map(tmp_path / "x.svg", "l2", file_format="svg", max_bases=50) as add:
        for row in scored([("a", 30), ("b", 40), ("c", 20), ("d", 30), ("e", 20)]):
            add(row)
    assert [landscape.name for landscape in drawn] == ["a", "c"]
    assert drawn[1].scores[1].tolist() == [float(at) for at in range(20)]
    text = " ".join(re.findall(r">([^<]*)</text>", (tmp_path / "x.svg").read_text()))
    assert "Not drawn, only in the table: 1" in text
    assert "Sequences given again and not drawn a second time: 2." in text
    heatmap.draw(tmp_path / "none.png", [], "l2", "png", 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "give either --sequences FASTA, or --intervals"),
        (["--intervals", "x"], "--intervals needs --reference"),
        (["--sequences", TEST_DATA / "cftr_wild_type.fasta", "--track", "out.bw"], "--track needs --intervals"),
        (
            ["--sequences", TEST_DATA / "cftr_wild_type.fasta", "--base-tracks", *"ACGT"],
            "--base-tracks needs --intervals",
        ),
        (["--sequences", TEST_DATA / "bad_protein.fasta"], "is not a nucleotide code"),
        (
            ["--intervals", TEST_DATA / "bad_intervals.bed", "--reference", REFERENCE, "--fail-on-unscored"],
            "could not read 1 of 13 records: ok 12, outside_sequence 1",
        ),
        (["--intervals", TEST_DATA / "variants.vcf", "--reference", REFERENCE], r"\(BED\), line 7: "),
        (
            ["--intervals", TEST_DATA / "regions.bed", "--reference", TEST_DATA / "sequences.fasta"],
            "is in the reference",
        ),
        (
            ["--sequences", TEST_DATA / "cftr_wild_type.fasta", "--model", HEADLESS],
            "the representation 'logits' needs the model's language-model head",
        ),
    ],
)
def test_what_cannot_be_mutated_is_one_line_and_no_output(run_script, tmp_path, options, message):
    done = run_script("mutagenesis.py", "--model", DEMO, "--output", "out.tsv", "--heatmap", "out.png", *options)
    assert_refused(done, message, tmp_path)


def test_the_score_that_is_drawn_is_computed_too(run_script, tmp_path):
    given = "--sequences", TEST_DATA / "cftr_wild_type.fasta", "--heatmap", "x.png", "--output"
    assert run_script("mutagenesis.py", "--model", DEMO, *given, "a.tsv", "--draw", "llr").returncode == 0
    assert run_script("mutagenesis.py", "--model", DEMO, *given, "b.tsv", "--scores", "l2", "llr").returncode == 0
    assert read_table(tmp_path / "a.tsv") == read_table(tmp_path / "b.tsv")


# --- the dbSNP variants of the README --------------------------------------------------------------------------------


def test_the_vcf_of_dbsnp_variants_has_the_references_bases():
    def line(kind, position, change):
        return Variant("rs1", kind, position, change).vcf_line("c", "ACGTTGCA").split("\t")[:5]

    assert line("single", 3, "A") == ["c", "4", "rs1", "T", "A"]
    assert line("deletion", 3, "2") == ["c", "3", "rs1", "GTT", "G"]
    assert line("insertion", 3, "CC") == ["c", "3", "rs1", "G", "GCC"]


@pytest.mark.cpu
def test_the_first_vcf_scores_like_the_pairs_of_the_same_variants(run_script, tmp_path):
    vcf = [*variants_of(TEST_DATA / "dbsnp.vcf"), "--reference", TEST_DATA / "dbsnp_reference.fasta"]
    pairs = ["--wild-type", TEST_DATA / "snv_wild_type.fasta", "--mutant", TEST_DATA / "snv_mutant.fasta"]
    scores = []
    for script, files in (("score_variants.py", vcf), ("score_pairs.py", pairs)):
        done = run_script(script, "--model", DEMO, *files, "--output", "out.tsv", "--fail-on-unscored")
        assert done.returncode == 0, done.stderr
        with open(tmp_path / "out.tsv", newline="") as table:
            scores.append({row["id"]: row["l2"] for row in csv.DictReader(table, delimiter="\t")})
    from_vcf, from_pairs = scores
    assert len(from_vcf) == sum(line[0] != "#" for line in (TEST_DATA / "dbsnp.vcf").read_text().splitlines())
    both = from_vcf.keys() & from_pairs.keys()
    assert len(both) > 10
    assert {name: from_vcf[name] for name in both} == {name: from_pairs[name] for name in both}


def test_other_styles_of_names_score_the_same(run, run_script, tmp_path):
    """VCF, regions and intervals of chromosomes without `chr`: equal scores, regions and tracks; names as written."""

    def bare(name):
        (tmp_path / name).write_text((TEST_DATA / name).read_text().replace("chr", ""))
        return tmp_path / name

    tracks = [tmp_path / "of_chr.bw", tmp_path / "of_bare.bw"]
    options = "--window", 31, "--track"
    inputs = TEST_DATA / "variants.vcf", TEST_DATA / "regions.bed"
    expected, _ = run("score_variants.py", *variants_of(inputs[0]), "--regions", inputs[1], *options, tracks[0])
    bare_inputs = bare("variants.vcf"), bare("regions.bed")
    rows, log = run(
        "score_variants.py",
        *variants_of(bare_inputs[0]),
        "--regions",
        bare_inputs[1],
        *options,
        tracks[1],
        "--report",
        tmp_path / "report.md",
    )
    assert [row["chrom"] for row in rows] == [row["chrom"].removeprefix("chr") for row in expected]
    names = [name for name in rows[0] if name not in ("chrom", "id", "alt")]
    assert [[row[name] for name in names] for row in rows] == [[row[name] for name in names] for row in expected]
    assert {row["region"] for row in rows} > {"exon", "intron"}
    assert tracks[0].read_bytes() == tracks[1].read_bytes()
    notes = [f"{what}: {n} sequences read by the names of the reference" for what, n in (("VCF", 3), ("regions", 2))]
    assert all(f"{note}: '1' as 'chr1', '2' as 'chr2'" in log for note in notes)
    assert all(note in (tmp_path / "report.md").read_text() for note in notes)
    given = "--reference", REFERENCE, "--flank", 20, "--intervals"
    expected, _ = run("mutagenesis.py", *given, TEST_DATA / "intervals.bed", "--track", tracks[0])
    rows, log = run("mutagenesis.py", *given, bare("intervals.bed"), "--track", tracks[1])
    assert log.count("intervals: 2 sequences read by the names of the reference: '1' as 'chr1', '2' as 'chr2'.") == 1
    assert [row["l2"] for row in rows] == [row["l2"] for row in expected]
    assert {row["chrom"] for row in rows} == {"1", "2"} and tracks[0].read_bytes() == tracks[1].read_bytes()


def test_bytes_that_are_not_utf_8_keep_their_rows(run, tmp_path):
    """In every column that holds text, in regions, and in the VCF with scores byte for byte."""
    lines = [b"chr1\t300\ta\xff\tG\tA,<D\xff>\t.\tq\xff\tX=\xff", b"c\xff\t5\t.\tA\tC\t.\t.\t."]
    lines.append(b"chr1\t300\t.\tG\tA\xff\t.\t.\t.")
    header = b"##fileformat=VCFv4.2\n##x=\xff\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    (tmp_path / "x.vcf").write_bytes(header + b"".join(line + b"\n" for line in lines))
    (tmp_path / "x.bed").write_bytes(b"chr1\t250\t420\tex\xe9\n")
    outputs = "--output-vcf", "out.vcf", "--mutant-windows", "m.fa", "--report", "out.md", "--plot", "out.png"
    rows, _ = run("score_variants.py", *variants_of("x.vcf"), "--regions", "x.bed", "--window", 31, *outputs)
    statuses = ["ok", "symbolic_allele", "unknown_contig", "invalid_base"]
    assert [row["status"] for row in rows] == statuses
    assert rows[0]["id"] == "a\ufffd" and rows[0]["region"] == "ex\\xe9" and rows[2]["chrom"] == "c\ufffd"
    written = (tmp_path / "out.vcf").read_bytes()
    assert all(line.split(b"\t.\t")[0] in written for line in lines) and b"##x=\xff\n" in written
