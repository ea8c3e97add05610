"""The report of mutagenesis.py next to its table, and the logo above the heat map."""

import csv
import io
import json
import re
from collections import defaultdict

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from conftest import TEST_DATA, read_table
from dna_lm.galaxy import GALAXY, MAX_REPORT_BYTES
from dna_lm.inputs.fasta import Record
from dna_lm.inputs.stretches import Stretch
from dna_lm.mutagenesis import heatmap, hover_map, logo
from dna_lm.mutagenesis.report import Summary, written
from dna_lm.mutagenesis.source import Mutation, MutationRow
from dna_lm.outputs.markdown import number_text
from dna_lm.scoring.job import Facts
from dna_lm.scoring.rows import Counts
from dna_lm.scoring.warnings import Warnings

DEMO = TEST_DATA / "models" / "demo-mixtral"


@pytest.fixture
def run(run_script, tmp_path):
    """Run mutagenesis.py with the demo model; gives its table and its report."""

    def run(*options):
        options = "--model", DEMO, "--output", "t.tsv", "--report", "r.md", *options
        done = run_script("mutagenesis.py", *options)
        assert done.returncode == 0, done.stderr
        return read_table(tmp_path / "t.tsv"), (tmp_path / "r.md").read_text()

    return run


def cells_of(report, heading):
    """The rows of the table below a heading."""
    part = report.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize(("score", "sign"), [("l2", -1), ("llr", 1), ("inner_product", 1)])
def test_the_positions_are_those_of_the_table(run, score, sign):
    """The largest mean distance, the lowest mean ratio and the lowest inner product come first."""
    rows, report = run("--sequences", TEST_DATA / "cftr_wild_type.fasta", "--deletions", "--scores", score)
    scores = defaultdict(dict)
    # The second sequence is the first one again, under another name.
    for row in rows[: len(rows) // 2]:
        if row["alt"] != "-":
            scores[row["id"], row["position"], row["ref"]][row["alt"]] = float(row[score])
    ordered = sorted(scores, key=lambda place: sign * sum(scores[place].values()))
    expected = []
    for name, position, ref in ordered[:20]:
        values = scores[name, position, ref]
        alt = min(values, key=lambda base: sign * values[base])
        numbers = map(number_text, (values[alt], sum(values.values()) / 3))
        expected.append([name.replace("_", "&#95;"), position, ref, f"{ref}→{alt}", *numbers])
    assert cells_of(report, "Most sensitive positions") == expected
    name, position, ref, change, *numbers = expected[0]
    assert f"- **{ref} at position {position} of {name}**: mean {numbers[1]}; " in report
    assert f"; the strongest mutation is {change}, {numbers[0]}\n" in report
    assert f"**{len(rows)} of {len(rows)} rows**" in report
    assert f"{sum(row['alt'] == '-' for row in rows)} deletions among its substitutions" in report


def test_statuses_and_warnings_are_in_words(run, tmp_path):
    (tmp_path / "x.bed").write_text("chr1\t300\t305\t<b>*x*|\t0\t-\nchrUn\t0\t9\tu\nchr1\t0\t1\ty\n")
    reference = TEST_DATA / "reference.fasta"
    inputs = "--intervals", "x.bed", "--reference", reference, "--flank", 10, "--strand", "forward"
    _, report = run(*inputs, "--heatmap", "map.png")
    assert "- 1 `unknown_contig`: CHROM is not in the reference" in report
    for warning in (
        "**One strand was read** (forward).",
        "**The demonstration model was used.**",
        "**The model read sequences of 21 to 25 bases.**",
        "**1 interval is on the minus strand.**",
    ):
        assert f"- {warning}" in report
    assert "![Heat map of the scores](<map.png>)" in report
    assert "- Bases on either side: 10" in report
    assert "<b>" not in report and "*x*" not in report
    assert cells_of(report, "Most sensitive positions")[0][0].startswith("chr1:30")


def rows_of(stretch, score):
    for at, base in enumerate(stretch.bases, stretch.first):
        for alt in "ACGT".replace(base, ""):
            mutation = Mutation(stretch, at, alt)
            yield MutationRow(stretch.record.id, "ok", {"l2": score(at)}, Counts(1, 1, 1, 1, 1, 1), mutation=mutation)


def test_the_same_sequence_given_twice_is_listed_once():
    summary = Summary("l2")
    for name in "abc":
        sequence = "ACGTAC" if name != "b" else "ACGTAA"
        for row in rows_of(Stretch(Record(name, sequence, "ok"), 0, 6), float):
            summary.add(row)
    largest = [(position.stretch.record.id, position.number) for position in summary.largest()]
    assert largest == [(name, number) for number in range(6, 0, -1) for name in "ab"]
    assert summary.largest() == summary.largest()


def test_a_long_report_fits_into_galaxys_page():
    """Many sequences with long names of characters that become entities; what is kept stays small."""
    summary = Summary("l2")
    for number in range(300):
        stretch = Stretch(Record("*" * 500 + str(number), "A" * number + "ACGT", "ok"), number, number + 4)
        for row in rows_of(stretch, lambda at, number=number: at - number + number / 1000):
            summary.add(row)
    assert len(summary._largest) < 500
    texts = {"model": "m" * 5000, "strand": "mean"}
    warnings = Warnings()
    warnings.settings = ["x" * 300]
    report = written(summary, Facts(lambda: texts, warnings), None, GALAXY)
    assert len(report.encode()) <= MAX_REPORT_BYTES
    assert [position.number for position in summary.largest()] == [4] * 20
    assert re.search(r"mean 3\.299", report)


def scores_to_point_at(report):
    """The table and the chart of the report's vega block."""
    (chart,) = re.findall(r"```vega\n(.*)\n```", report)
    chart = json.loads(chart)
    return list(csv.DictReader(io.StringIO(chart["data"]["values"]))), chart


@pytest.mark.parametrize("score", ["l2", "llr"])
def test_galaxys_report_has_the_scores_to_point_at(run, score):
    given = "--sequences", TEST_DATA / "one_sequence.fasta.gz", "--deletions", "--scores", score
    rows, report = run(*given, "--report-for", "galaxy")
    shown, chart = scores_to_point_at(report)
    assert chart["encoding"]["color"]["title"] == score
    for row in rows:
        if row["alt"] != "-":
            line = shown[int(row["position"]) - 1]
            assert (line["Base"], line[row["ref"]]) == (row["ref"], "")
            assert float(line[row["alt"]]) == pytest.approx(float(row[score]), rel=0.005)
    assert sum(bool(line[base]) for line in shown for base in "ACGT") == 3 * len(shown)
    assert "vega" not in run(*given)[1]


def test_scores_to_point_at_give_way_to_the_table():
    """201 bases fit next to the whole table; several sequences, a long one or long names have no such map."""
    warnings = Warnings()
    warnings.settings = ["x" * 600]
    texts = dict.fromkeys("abcdefghi", "m" * 64)
    facts = Facts(lambda: texts, warnings)

    def report(n_bases, n_sequences=1, name="exon"):
        summary = Summary("l2")
        for number in range(n_sequences):
            stretch = Stretch(Record(name, "ACGT" * 100, "ok"), number, number + n_bases, ("chr1", 10**8))
            for row in rows_of(stretch, lambda at: 100.25 + at):
                summary.add(row)
        text = written(summary, facts, "map", GALAXY)
        assert len(text.encode()) <= MAX_REPORT_BYTES
        assert len(cells_of(text, "Most sensitive positions")) == 20
        return text

    shown, _ = scores_to_point_at(report(201))
    assert len(shown) == 201
    for others in (report(hover_map.MAX_BASES + 1), report(20, 2), report(201, 1, "*" * 60)):
        assert "vega" not in others


# --- the logo ------------------------------------------------------------------------------------------------------


def test_letters_are_mean_effects_of_substitutions():
    scores = np.array([[np.nan, 1, 2], [3, np.nan, -4], [6, 5, np.nan], [9, np.nan, 1], [50, 50, 50]])
    landscape = heatmap.Landscape("x", "ACG", 1, "ACGT-", scores)
    np.testing.assert_allclose(landscape.effects("l2"), [6, 3, -1 / 3])
    np.testing.assert_allclose(landscape.effects("llr"), [-6, -3, 1 / 3])
    assert landscape.effects("inner_product") is None
    scores[:, 1] = np.nan
    assert np.isnan(landscape.effects("l2")[1])


def test_a_letter_lies_between_zero_and_its_height():
    axes = Figure().add_subplot()
    logo.draw(axes, "ACGTA", np.array([1.0, -2.0, np.nan, 0.5, 3.0]))
    boxes = {}
    for patch in axes.patches:
        base = next(
            base
            for base, colour in logo.COLOURS.items()
            if plt.matplotlib.colors.to_rgba(colour) == patch.get_facecolor()
        )
        path = patch.get_path()
        vertices = path.vertices[path.codes != path.CLOSEPOLY]  # this code has no place
        for at in np.unique(np.floor(vertices[:, 0])):
            ys = vertices[np.floor(vertices[:, 0]) == at][:, 1]
            boxes[int(at)] = (base, round(ys.min(), 9), round(ys.max(), 9))
    assert boxes == {0: ("A", 0, 1), 1: ("C", -2, 0), 3: ("T", 0, 0.5), 4: ("A", 0, 3)}


@pytest.mark.parametrize("score", ["l2", "llr", "inner_product"])
def test_the_picture_explains_itself_in_text(tmp_path, score):
    scores = np.where(np.eye(4, 33, dtype=bool), np.nan, 0.5)
    landscape = heatmap.Landscape("name", "ACGT" + "A" * 29, 1, "ACGT", scores)
    heatmap.draw(tmp_path / "x.svg", [landscape], score, "svg")
    text = " ".join(re.findall(r">([^<]*)</text>", (tmp_path / "x.svg").read_text()))
    assert "Across: the sequence. Down: what replaces its base. Dot: the base itself." in text
    assert ("Letters are as high as" in text) == (score != "inner_product")
    assert "A C G T A C G T A A A A" in text
