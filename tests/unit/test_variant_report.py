"""The report and the track of Score variants, next to what the table has; pictures; text of users."""

import html
import random
import re
import statistics

import matplotlib.pyplot as plt
import numpy as np
import pyBigWig
import pytest
from Bio import SeqIO

from conftest import TEST_DATA, assert_refused, read_table
from dna_lm.galaxy import MAX_REPORT_BYTES
from dna_lm.variants import distribution
from test_ranking import kind_of, sorted_by_hand

DEMO = TEST_DATA / "models" / "demo-mixtral"
REFERENCE = TEST_DATA / "reference.fasta"
VARIANTS = "--variants", TEST_DATA / "variants.vcf", "--reference", REFERENCE
HEADER = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


@pytest.fixture
def run(run_script, tmp_path):
    """Run score_variants.py with table, report, picture and track; gives the table's rows and the report."""

    def run(*options):
        outputs = [f"--{name}={tmp_path / name}" for name in ("output", "report", "plot", "track")]
        done = run_script("score_variants.py", "--model", DEMO, *outputs, *options)
        assert done.returncode == 0, done.stderr
        return read_table(tmp_path / "output"), (tmp_path / "report").read_text()

    return run


def shown(number):
    """A number as reports show it."""
    return f"{number:,.0f}" if abs(number) >= 9999.5 else f"{number:.4g}"


def tables_of(report):
    """The tables of a report, as lists of rows of text without entities: by the heading above them."""
    found = {}
    for block in report.replace("&#95;", "_").replace("&#43;", "+").split("\n\n"):
        if block.startswith("## "):
            heading = block[3:]
        elif block.startswith("| "):
            lines = [line.strip("| ").split(" | ") for line in block.splitlines()]
            found[heading] = [lines[0], *lines[2:]]
    return found


@pytest.mark.parametrize(
    ("score", "options"),
    [
        ("l2", ["--background", 12, "--background-width", 5, "--regions", TEST_DATA / "regions.bed"]),
        ("llr", []),
        ("inner_product", ["--sort", "impact"]),
    ],
)
def test_the_report_has_what_the_table_has(run, score, options):
    rows, report = run(*VARIANTS, "--scores", score, *options)
    scored = [row for row in rows if row["status"] == "ok"]
    n_lines = sum(line[0] != "#" for line in (TEST_DATA / "variants.vcf").read_text().splitlines())
    first = report.split("\n\n")[1]
    assert first.startswith(f"**{len(scored)} of {len(rows)} alleles** ({n_lines} lines of the VCF) have a score")
    for status in {row["status"] for row in rows} - {"ok"}:
        number = sum(row["status"] == status for row in rows)
        assert re.search(rf"^- {number} .*{status}", report, re.M), status
    tables = tables_of(report)
    ranked = sorted_by_hand(rows, score)
    for name, is_of in (("substitutions", True), ("insertions and deletions", False)):
        of_kind = [row for row in ranked if row["status"] == "ok" and (kind_of(row) == "substitution") == is_of]
        header, *largest = tables[f"Largest impact: {name}"]
        expected = []
        for row in of_kind[:20]:
            cells = {
                "Position": f"{row['chrom']}:{row['pos']}",
                "Change": f"{row['ref']}→{row['alt']}",
                "ID": "" if ">" in row["id"] else row["id"],
                "Region": row.get("region"),
                score: shown(float(row[score])),
                "Percentile": f"{float(row[f'{score}_percentile']):.4g}" if options[:1] == ["--background"] else None,
            }
            expected.append([cells[column] for column in header])
            assert {name for name, cell in cells.items() if cell is not None} == set(header)
        assert largest == expected and len(expected) > 5
        values = [float(row[score]) for row in of_kind]
        (line,) = (line for line in tables["Distribution of the score"] if line[0].lower() == name)
        numbers = len(values), min(values), statistics.median(values), max(values)
        assert line[1:] == [shown(number) for number in numbers]


def test_the_report_of_texts_from_outside_is_inert_and_short(run, tmp_path):
    """Names of sequences, identifiers and regions with markup, and as long as they may be."""
    names = ["c|`${galaxy", "<script>alert(1)</script>", "[x](y)" + "é" * 500]
    letters = random.Random(2)
    bases = "".join(letters.choices("ACGT", k=1200))
    (tmp_path / "r.fa").write_text("".join(f">{name}\n{bases}\n" for name in names))
    lines, regions = [], []
    for name in names:
        for at in range(100, 1100, 40):
            long = bases[at : at + 45] if at % 3 == 0 else bases[at]
            for alt in (letters.choice("ACGT".replace(bases[at], "")), bases[at] + "ACGGTCA" * 30):
                lines.append(f"{name}\t{at + 1}\t**{at}**|<b>{'x' * 90}\t{long}\t{alt}\t.\t.\t.\n")
        regions.append(f"{name}\t0\t1200\t```galaxy|{'y' * 300}\n")
    (tmp_path / "v.vcf").write_text(HEADER + "".join(lines))
    (tmp_path / "r.bed").write_text("".join(regions))
    options = "--regions", tmp_path / "r.bed", "--report-for", "galaxy", "--background", 1, "--window", 21
    rows, report = run("--variants", tmp_path / "v.vcf", "--reference", tmp_path / "r.fa", *options)
    assert len(report.encode()) <= MAX_REPORT_BYTES
    assert {row["status"] for row in rows} == {"ok"}
    for text in ("<script", "<b>", "${", "**100**", "[x]"):
        assert text not in report
    assert re.findall("^```.*", report, re.M) == ["```galaxy", "```"]
    assert "The first " in report and "the score table has them all" in report
    assert "Model and settings" in report


DEMONSTRATION, STRAND, INDELS = (
    "demonstration model",
    "One strand was read (forward)",
    "7 insertions and deletions among",
)
TOKENS, LENGTHS = "number of tokens changes in 6 of 22", "differ in length in 7 of 22 alleles"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], {DEMONSTRATION, INDELS, TOKENS}),
        (["--strand", "forward", "--scores", "l2", "llr"], {DEMONSTRATION, STRAND, INDELS, TOKENS, LENGTHS}),
        (["--sort", "impact"], {DEMONSTRATION, TOKENS}),
        (["--background", 1], {DEMONSTRATION, TOKENS}),
        (
            ["--scores", "llr", "--indel-window", "same-length", "--sort", "impact"],
            {DEMONSTRATION, "of tokens changes"},
        ),
        (["--model", TEST_DATA / "models" / "tiny-mistral", "--window", 30], {INDELS, "of tokens changes"}),
    ],
)
def test_warnings_are_in_the_report_and_in_the_log(run_script, tmp_path, options, expected):
    """Each where it applies, in the same words; in the log between the result and the counts."""
    outputs = "--output", tmp_path / "out.tsv", "--report", tmp_path / "report"
    done = run_script("score_variants.py", "--model", DEMO, *VARIANTS, *outputs, *options)
    assert done.returncode == 0, done.stderr
    report = (tmp_path / "report").read_text()
    listed = report.split("## Please note")[1].split("##")[0].strip().splitlines()
    result, of_input, *logged = done.stderr.split("34 records: ")[0].splitlines()
    assert " of 34 records read; largest impact " in result
    assert of_input == "1 of 34 alleles of the VCF are on sequences that the reference lacks: 'chrUn' 1"
    assert [html.unescape(line[2:]).replace("**", "") for line in listed] == logged
    assert len(listed) == len(expected)
    assert all(any(text in line.replace("**", "") for line in listed) for text in expected)


def test_a_sample_is_bounded_and_random():
    """Every number has the same chance to be kept; smallest, largest and count are those of all."""
    kept = np.zeros(50)
    for seed in range(400):
        sample = distribution.Sample(10)
        sample._random.seed(seed)
        for number in range(50):
            sample.add(float(number))
        assert (sample.n, sample.low, sample.high, len(sample.scores)) == (50, 0, 49, 10)
        assert not sample.is_complete
        kept[sample.scores.astype(int)] += 1
    # 400 x 10 / 50 = 80 times each; the standard deviation of a binomial is 8.
    assert abs(kept - 80).max() < 4.5 * 8
    small = distribution.Sample(10)
    for number in (3.0, 1.0, 2.0):
        small.add(number)
    assert small.is_complete and sorted(small.scores) == [1, 2, 3]


@pytest.mark.parametrize("numbers", [[], [1.5], [2.0, 2.0], list(range(300))])
def test_the_picture_has_a_bar_for_every_score(tmp_path, monkeypatch, numbers):
    figures = []
    monkeypatch.setattr(plt, "close", figures.append)
    sample = distribution.Sample()
    for number in numbers:
        sample.add(float(number))
    distribution.draw(tmp_path / "x.png", {"$A$_": sample, "Empty": distribution.Sample()}, "Score")
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    (figure,) = figures
    (axes,) = figure.axes
    assert sum(bar.get_height() for bar in axes.patches) == len(numbers)
    if numbers:
        assert axes.get_title(loc="left") == f"$A$_ ({len(numbers)})"


def first_changed(bases, row):
    """From 0, by trying every base: where the leftmost spelling of a change begins."""
    at, ref, alt = int(row["pos"]) - 1, row["ref"].upper(), row["alt"].upper()
    mutant = bases[:at] + alt + bases[at + len(ref) :]
    longer = len(mutant) - len(bases)
    for place in range(len(bases) + 1):
        if kind_of(row) == "deletion" and bases[:place] + bases[place - longer :] == mutant:
            return place
        inserted = mutant[place : place + max(longer, 0)]
        if kind_of(row) == "insertion" and bases[:place] + inserted + bases[place:] == mutant:
            return min(place, len(bases) - 1)
        if kind_of(row) in ("substitution", "combination") and bases[place] != mutant[place]:
            return place
    raise AssertionError(row)


@pytest.mark.parametrize(
    "background", [[], ["--background", 6, "--background-width", 3]], ids=["scores", "percentiles"]
)
@pytest.mark.parametrize("score", ["l2", "llr"])
def test_the_track_has_the_allele_that_the_sorted_table_has_first(run, tmp_path, score, background):
    sequences = {record.id: str(record.seq).upper() for record in SeqIO.parse(REFERENCE, "fasta")}
    # A substitution and an insertion whose first changed base is the same one, which scores higher.
    bases = sequences["chr1"]
    lines = [
        f"chr1\t{pos}\t.\t{bases[pos - 1]}\t{alt}\t.\t.\t.\n"
        for start in range(200, 400, 20)
        for pos, alt in ((start, bases[start - 1] + "GATTACAG"), (start + 1, "A" if bases[start] != "A" else "C"))
        if bases[start] not in "GN" and bases[start - 1] not in "GN"
    ]
    assert len(lines) > 6
    (tmp_path / "v.vcf").write_text(HEADER + "".join(lines))
    for variants in (TEST_DATA / "variants.vcf", tmp_path / "v.vcf"):
        given = "--variants", variants, "--reference", REFERENCE, "--scores", score, *background
        rows, _ = run(*given, "--sort", "impact")
        expected, of_place, largest = {}, {}, max if score == "l2" else min
        for row in rows:
            if row["status"] == "ok":
                place = row["chrom"], first_changed(sequences[row["chrom"]], row)
                expected.setdefault(place, float(np.float32(float(row[score]))))
                of_place.setdefault(place, []).append(float(np.float32(float(row[score]))))
        with pyBigWig.open(str(tmp_path / "track")) as file:
            assert file.chroms() == {name: len(bases) for name, bases in sequences.items()}
            found = {
                (name, start): value
                for name in sequences
                for start, end, value in file.intervals(name) or ()
                if end == start + 1
            }
        assert found == expected
    # Substitutions come first, whatever the insertions score.
    assert any(largest(values) != expected[place] for place, values in of_place.items())


def test_an_insertion_after_the_last_base_is_at_that_base(run, tmp_path):
    (tmp_path / "r.fa").write_text(">c\n" + "ACGTTGCAGA" * 4 + "\n")
    (tmp_path / "v.vcf").write_text(HEADER + "c\t40\t.\tA\tAC\t.\t.\t.\nc\t1\t.\tA\tCA\t.\t.\t.\n")
    rows, _ = run("--variants", tmp_path / "v.vcf", "--reference", tmp_path / "r.fa", "--window", 21)
    with pyBigWig.open(str(tmp_path / "track")) as file:
        assert [start for start, *_ in file.intervals("c")] == [0, 39]
    assert [row["kind"] for row in rows] == ["insertion"] * 2


def test_what_belongs_to_the_report_needs_it(run_script, tmp_path):
    done = run_script("score_variants.py", "--model", DEMO, *VARIANTS, "--output", "out.tsv", "--report-for", "galaxy")
    assert_refused(done, "--report-for has no effect without --report", tmp_path)


def test_a_chunk_without_scores_has_all_outputs(run, tmp_path):
    header = HEADER.replace("#CHROM", "##dna_lm_chunk=1/2:0123456789abcdef\n#CHROM")
    (tmp_path / "v.vcf").write_text(header + "chr1\t300\t.\tG\t.\t.\t.\t.\nx\t3\t.\tG\tA\t.\t.\t.\n")
    rows, report = run("--variants", tmp_path / "v.vcf", "--reference", REFERENCE, "--sort", "impact")
    assert [row["status"] for row in rows] == ["missing_alt", "unknown_contig"]
    assert "**0 of 2 alleles** (2 lines of the VCF) have a score." in report and "Largest" not in report
    with pyBigWig.open(str(tmp_path / "track")) as file:
        assert file.intervals("chr1") is None
    assert (tmp_path / "plot").read_bytes().startswith(b"\x89PNG")
