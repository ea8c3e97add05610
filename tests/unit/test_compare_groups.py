"""compare_groups.py run as people and Galaxy run it: outputs, options, hostile labels, and what a user gets wrong."""

import csv
import html
import json
import math
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from dna_lm.commands import compare_groups
from dna_lm.compare import plots, report, score_tables, statistics
from dna_lm.compare.hypothesis_tests import TITLES
from dna_lm.errors import UserError
from dna_lm.galaxy import FILES, GALAXY
from dna_lm.outputs import markdown

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tools" / "scripts" / "compare_groups.py"
DATA = ROOT / "test-data"
HOSTILE = [
    "</text><script>alert(1)</script>",
    'x\'; touch pwned; "$HOME" `id` | **b** [a](javascript:1) ${galaxy history_link()}',
    "two\nlines\tand ```galaxy\nhistory_link()\n``` $\\frac{",
    "_=\x1b[31m\u202e &amp; ünï",
]


def prepare(tmp_path, *arguments):
    outputs = {name: tmp_path / f"out.{name}" for name in ("tests", "summary", "plot", "report")}
    arguments += ("--output", outputs["tests"], "--summary", outputs["summary"])
    arguments += ("--plot", outputs["plot"], "--report", outputs["report"])
    return list(map(str, arguments)), outputs


def run_script(arguments):
    """The script in a new process, as Galaxy runs it. It starts slowly, so most tests call `main`."""
    return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, timeout=60)


def succeed(tmp_path, *arguments):
    arguments, outputs = prepare(tmp_path, *arguments)
    compare_groups.main(arguments)
    return outputs


def fails(tmp_path, message, *arguments):
    arguments, outputs = prepare(tmp_path, *arguments)
    with pytest.raises(UserError) as raised:
        compare_groups.main(arguments)
    assert message in f"{raised.value}\n"
    assert str(raised.value).isprintable()  # one line
    assert_no_outputs(tmp_path, outputs)


def assert_no_outputs(tmp_path, outputs):
    assert not any(path.exists() for path in outputs.values())
    assert not list(tmp_path.glob(".partial-*"))


def rows(path):
    with open(path, encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t", quoting=csv.QUOTE_NONE))


def l2(name):
    cells = [row["l2"] for row in rows(DATA / f"groups_{name}.tsv")]
    return np.array([float(cell) for cell in cells if cell])


def labelled(*names):
    return [argument for name in names for argument in ("--group", f"{name}={DATA / f'groups_{name}.tsv'}")]


def write(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def groups_file(tmp_path, labels, key="label"):
    tables = [str(DATA / f"groups_{name}.tsv") for name in ("exon", "intron", "utr", "model_a")]
    listed = [{key: label, "table": table} for label, table in zip(labels, tables, strict=False)]
    return write(tmp_path / "groups.json", json.dumps(listed))


def test_two_tables(tmp_path):
    arguments, outputs = prepare(tmp_path, *labelled("exon", "intron"))
    done = run_script(arguments)
    assert done.returncode == 0 and len(done.stderr.splitlines()) == 1
    rank_sum, welch = rows(outputs["tests"])
    exon, intron = l2("exon"), l2("intron")
    expected = stats.mannwhitneyu(exon, intron, method="exact").pvalue
    assert float(rank_sum["p"]) == pytest.approx(expected, rel=1e-12)
    assert float(welch["p"]) == stats.ttest_ind(exon, intron, equal_var=False).pvalue
    assert float(rank_sum["auc"]) == pytest.approx(np.mean(exon[:, None] > intron), rel=1e-12)
    first, second = rows(outputs["summary"])
    assert (first["group"], first["n"], first["n_not_scored"]) == ("exon", "58", "2")
    assert float(second["median"]) == np.median(intron)
    assert float(second["sd"]) == pytest.approx(np.std(intron, ddof=1))
    assert outputs["plot"].read_bytes().startswith(b"\x89PNG")
    report = outputs["report"].read_text()
    # Effect size before p, in the first paragraph.
    assert re.match(
        r"# .*\n\n\*\*exon\*\* scores higher than \*\*intron\*\* .* 77 % .*AUC 0\.765.* p = 3\.5e-07", report
    )
    assert "![Scores of the groups](<out.plot>)" in report


def test_one_table_gives_the_numbers_of_its_parts(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    parts = succeed(tmp_path / "a", *labelled("exon", "intron", "utr"))
    table = ["--table", DATA / "groups_one_table.tsv"]
    for column in (["--group-column", "region"], ["--group-column-number", 14]):
        whole = succeed(tmp_path / "b", *table, *column)
        expected = {frozenset((r["group_a"], r["group_b"])): r for r in rows(parts["tests"]) if r["test"] == "welch-t"}
        found = [row for row in rows(whole["tests"]) if row["test"] == "welch-t"]
        assert len(found) == 3
        for row in found:
            other = expected[frozenset((row["group_a"], row["group_b"]))]
            assert float(row["p"]) == pytest.approx(float(other["p"]), rel=1e-9)
            assert float(row["p_corrected"]) == pytest.approx(float(other["p_corrected"]), rel=1e-9)


def test_some_groups_of_a_table_give_the_numbers_of_those_alone(tmp_path):
    parts = rows(succeed(tmp_path, *labelled("exon", "utr"))["tests"])
    table = ["--table", DATA / "groups_one_table.tsv", "--group-column", "region"]
    whole = rows(succeed(tmp_path, *table, "--only", "utr, exon")["tests"])
    assert [(row["group_a"], row["group_b"]) for row in whole] == [("exon", "utr")] * 2
    assert [float(row["p"]) for row in whole] == pytest.approx([float(row["p"]) for row in parts])


def test_paired_leaves_out_pairs_with_one_score_and_checks_ids(tmp_path):
    models = labelled("model_a", "model_b")
    outputs = succeed(tmp_path, *models, "--paired")
    assert [row["n_a"] for row in rows(outputs["tests"])] == ["38", "38"]
    assert "Check the pairing" not in outputs["report"].read_text()
    outputs = succeed(tmp_path, *labelled("exon", "intron"), "--paired")
    assert "60 of 60 rows do not have the same id" in outputs["report"].read_text()


def paired_tables(tmp_path, order, keys, others=None):
    """Two groups of 20 rows; the second score is 1 to 20 more, and its rows are in another order."""
    numbers = np.random.default_rng(3).normal(0, 50, 20)
    first = [[*key, value] for key, value in zip(keys["first"], numbers, strict=True)]
    second = [[*key, value + n] for n, (key, value) in enumerate(zip(others or keys["first"], numbers, strict=True), 1)]
    paths = []
    for name, table in (("a", first), ("b", [second[at] for at in order])):
        lines = ["\t".join([*keys["header"], "l2"]), *("\t".join(map(str, row)) for row in table)]
        paths += ["--group", f"{name}={write(tmp_path / f'{name}.tsv', chr(10).join(lines) + chr(10))}"]
    return [*paths, "--paired"]


IDS = {"header": ["id"], "first": [[f"s{n}"] for n in range(20)]}
NUMBERED = {
    "header": ["chrom", "pos", "ref", "alt", "id"],
    "first": [["chr1", 100 + n, "A", "C", n] for n in range(20)],
}
ANOTHER_ORDER = [at * 7 % 20 for at in range(20)]


@pytest.mark.parametrize(
    ("keys", "others", "by"),
    [
        (IDS, None, "id"),
        # Without ids; another style; ids that are the numbers of the rows say nothing.
        ({"header": NUMBERED["header"][:4], "first": [row[:4] for row in NUMBERED["first"]]}, None, "chrom, pos"),
        (NUMBERED, [["1", f"{100 + n}.0", "a", "c", ANOTHER_ORDER.index(n)] for n in range(20)], "chrom, pos"),
        (
            {"header": ["id", "position", "ref", "alt"], "first": [["seq", n + 1, "A", "C"] for n in range(20)]},
            None,
            "id, position",
        ),
    ],
)
def test_paired_rows_in_another_order_are_joined_and_this_is_said(tmp_path, caplog, keys, others, by):
    arguments = paired_tables(tmp_path, ANOTHER_ORDER, keys, others)
    outputs = succeed(tmp_path, *arguments)
    # All 20 differences have one sign: p is 2 / 2 ** 20.
    assert float(rows(outputs["tests"])[0]["p"]) == pytest.approx(2**-19)
    message = f"group 'b' has the rows of group 'a' in another order: they were paired by {by}"
    assert message in caplog.messages[0]
    assert message in html.unescape(outputs["report"].read_text()).replace("\\", "")


def test_paired_groups_of_one_table_are_joined_too(tmp_path, caplog):
    lines = ["id\tl2\tmodel", *(f"s{n}\t{n * n}\tx" for n in range(20))]
    lines += [f"s{n}\t{n * n + n + 1}\ty" for n in ANOTHER_ORDER]
    table = write(tmp_path / "t.tsv", "\n".join(lines) + "\n")
    outputs = succeed(tmp_path, "--table", table, "--group-column", "model", "--paired")
    assert float(rows(outputs["tests"])[0]["p"]) == pytest.approx(2**-19)
    assert "group 'y' has the rows of group 'x' in another order" in caplog.messages[0]


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ([[f"s{n + 1}"] for n in range(20)], "row 2 of group 'a', 's1', is another row of group 'b' (by id)"),
        ([[f"s{n // 2 * 2}"] for n in range(20)], None),
        ([["x"] for n in range(20)], None),
    ],
)
def test_paired_rows_that_contradict_their_order_are_refused(tmp_path, caplog, others, message):
    arguments = paired_tables(tmp_path, range(20), IDS, others)
    if message:
        fails(tmp_path, message, *arguments)
    else:
        succeed(tmp_path, *arguments)
        assert re.match(
            "rows were paired by their order, and [12]0 of 20 rows do not have the same id", caplog.messages[0]
        )


@pytest.mark.parametrize("first", ["l2", "id\tl2", "chrom\tpos\tref\talt\tl2"])
def test_paired_groups_that_only_contradict_each_other_are_refused(tmp_path, first):
    """The first group says nothing about the order of the other two."""
    cells = {"l2": "", "id\tl2": "x{0}\t"}.get(first, "chr2\t{0}\tA\tC\t")
    numbers = np.random.default_rng(3).normal(0, 50, 20)
    tables = {
        "a": [first, *(cells.format(n + 1) + f"{numbers[n]}" for n in range(20))],
        "b": ["id\tl2", *(f"s{n}\t{numbers[n] + n}" for n in range(20))],
        "c": ["id\tl2", *(f"s{n}\t{numbers[n] - n}" for n in ANOTHER_ORDER)],
    }
    groups = []
    for name, lines in tables.items():
        groups += ["--group", f"{name}={write(tmp_path / f'{name}.tsv', chr(10).join(lines) + chr(10))}"]
    fails(
        tmp_path,
        "groups 'b' and 'c' have the same rows (by id) in different orders, and group 'a'",
        *groups,
        "--paired",
    )
    succeed(tmp_path, *groups[:4], "--group", f"c={tmp_path / 'b.tsv'}", "--paired")


def test_paired_rows_with_ids_that_contradict_positions_are_refused(tmp_path):
    numbered = {"header": ["id", "pos"], "first": [[n, 100 + n] for n in range(20)]}
    others = [[19 - n, 100 + n] for n in range(20)]
    message = "the ids are in another order, but '0' is '100' in group 'a' and '119' in group 'b'"
    fails(tmp_path, message, *paired_tables(tmp_path, range(20), numbered, others))


def test_tutorial_mode_says_what_is_wrong_with_it(tmp_path):
    outputs = succeed(tmp_path, *labelled("exon", "intron"), "--tutorial")
    assert "p depends on the order of the rows" in outputs["report"].read_text()
    assert [row["n_a"] for row in rows(outputs["tests"])] == ["58", "57"]


def test_the_tutorials_tests_of_three_groups_are_those_of_each_pair(tmp_path):
    three = []
    for name in ("exon", "intron", "utr"):
        lines = (DATA / f"groups_{name}.tsv").read_text().splitlines(keepends=True)[:40]
        three.append(f"{name}={write(tmp_path / f'{name}.tsv', ''.join(lines))}")
    every = rows(succeed(tmp_path, *[part for group in three for part in ("--group", group)], "--tutorial")["tests"])
    assert [(row["group_a"], row["group_b"]) for row in every[::2]] == [
        ("exon", "intron"),
        ("exon", "utr"),
        ("intron", "utr"),
    ]
    pair = rows(succeed(tmp_path, "--group", three[0], "--group", three[2], "--tutorial")["tests"])
    assert [row["p"] for row in every[2:4]] == [row["p"] for row in pair]


def test_names_of_datasets_become_short_labels(tmp_path):
    names = ["Mutation scores of exon_alt.fasta.gz", "Variant scores of intron.vcf (as in the tutorial)"]
    outputs = succeed(tmp_path, "--groups", groups_file(tmp_path, names, "name"))
    assert [row["group"] for row in rows(outputs["summary"])] == ["exon_alt", "intron"]
    assert outputs["report"].read_text().split("\n")[2].startswith("**exon&#95;alt** scores higher than **intron** in")
    # A label that a user typed stays.
    outputs = succeed(tmp_path, "--groups", groups_file(tmp_path, names))
    assert [row["group"] for row in rows(outputs["summary"])] == names


def test_options_in_a_file_are_those_of_the_command_line(tmp_path):
    table = ["--table", DATA / "groups_one_table.tsv", "--group-column", "region"]
    typed = {"only": "utr, exon", "column": "l1", "title": "5' UTR --paired"}
    in_file = succeed(tmp_path, *table, "--options", write(tmp_path / "o.json", json.dumps(typed | {"tests": ""})))
    in_file = [path.read_bytes() for path in in_file.values()]
    arguments = [f"--{name}={text}" for name, text in typed.items()]
    assert in_file == [path.read_bytes() for path in succeed(tmp_path, *table, *arguments).values()]


@pytest.mark.parametrize("kind", plots.KINDS)
@pytest.mark.parametrize("log_scale", [[], ["--log-scale"]])
def test_plots_are_of_the_kind_asked_for_and_the_same_every_time(tmp_path, kind, log_scale):
    arguments = [*labelled("exon", "intron", "utr"), "--plot-kind", kind, "--plot-format", "svg", *log_scale]
    first = succeed(tmp_path, *arguments)["plot"].read_bytes()
    assert succeed(tmp_path, *arguments)["plot"].read_bytes() == first
    texts = ["".join(node.itertext()) for node in ET.fromstring(first).iter("{http://www.w3.org/2000/svg}text")]
    assert "L2 (Euclidean) distance" in texts
    assert sum("n = 58" in text for text in texts) == 1
    assert ("Share of scores at or below" in texts) == (kind == "ecdf")


@pytest.mark.parametrize(
    ("file_format", "start", "shown"), [("png", b"\x89PNG", True), ("svg", b"<?xml", False), ("pdf", b"%PDF-", False)]
)
def test_galaxy_is_asked_for_an_image_only_where_it_shows_one(tmp_path, file_format, start, shown):
    options = ["--plot-format", file_format, "--report-for", "galaxy"]
    outputs = succeed(tmp_path, *labelled("exon", "intron"), *options)
    assert outputs["plot"].read_bytes().startswith(start)
    report = outputs["report"].read_text()
    assert ("history_dataset_as_image" in report) == shown
    assert ("cannot be shown inside a report" in report) != shown


def drawn(path, labels, kind="box", file_format="svg"):
    rng = np.random.default_rng(0)
    groups = [(label, rng.lognormal(0, 1, 9)) for label in labels]
    plots.draw_groups(str(path), groups, "L2 (Euclidean) distance", kind, file_format)
    return path


@pytest.mark.parametrize("kind", plots.KINDS)
@pytest.mark.parametrize("n_groups", [2, 6, 40])
def test_plots_show_long_labels_whole(tmp_path, kind, n_groups):
    labels = [f"{'W' * 20}_and-{'x' * 30}_{number:04}" for number in range(n_groups)]
    assert {len(label) for label in labels} == {60}
    svg = ET.parse(drawn(tmp_path / "plot.svg", labels, kind)).getroot()
    texts = ["".join(node.itertext()) for node in svg.iter("{http://www.w3.org/2000/svg}text")]
    joined = "".join("".join(texts).split())
    assert all(label in joined for label in labels)


@pytest.mark.parametrize("labels", [["W" * 60] * 6, ["W" * 18] * 6, ["exon", "intron"], ["some_label_of_a_file"] * 5])
def test_labels_do_not_overlap(tmp_path, monkeypatch, labels):
    boxes = []

    def measure(figure):
        figure.canvas.draw()
        axes = figure.axes[0]
        ticks = [
            tick for axis in (axes.xaxis, axes.yaxis) for tick in axis.get_ticklabels() if "n =" in tick.get_text()
        ]
        boxes.extend(tick.get_window_extent() for tick in ticks)

    monkeypatch.setattr(plots.plt, "close", measure)
    drawn(tmp_path / "plot.png", labels, file_format="png")
    assert len(boxes) == len(labels)
    assert not any(a.overlaps(b) for number, a in enumerate(boxes) for b in boxes[:number])


def test_forty_groups_have_lines_of_their_own():
    assert len({(n % len(plots.COLOURS), n // len(plots.COLOURS) % len(plots.LINES)) for n in range(40)}) == 40


@pytest.mark.parametrize("kind", plots.KINDS)
def test_hostile_labels_are_inert(tmp_path, kind):
    names = groups_file(tmp_path, HOSTILE)
    options = ["--title", HOSTILE[0] + HOSTILE[2], "--plot-kind", kind, "--plot-format", "svg"]
    outputs = succeed(tmp_path, "--groups", names, *options, "--report-for", "galaxy")
    assert len(outputs["summary"].read_text().split("\n")) == 4 + 2
    assert [row["group"] for row in rows(outputs["summary"])] == [
        "</text><script>alert(1)</script>",
        HOSTILE[1],
        "two lines and ```galaxy history_link() ``` $\\frac{",
        "_= [31m &amp; ünï",
    ]
    assert {element.tag.split("}")[1] for element in ET.fromstring(outputs["plot"].read_bytes()).iter()}.isdisjoint(
        {"script", "foreignObject", "a"}
    )
    report = outputs["report"].read_text()
    assert re.findall(r"^```.*", report, re.MULTILINE) == ["```galaxy", "```"]  # the tests table's own
    for active in ("<script", "${", "[a]", "**b**", "`id`", "\x1b", "\u202e"):
        assert active not in report
    assert not (tmp_path / "pwned").exists()


# The number of characters of a report that Galaxy reads: `DatasetsService.report`, `open(file_path).read(1024 * 10)`.
GALAXY_READS = 1024 * 10
LABELS = st.one_of(
    st.sampled_from(["|" * 500, "\U0001f9ec" * 400, "&" * 3, "é" * 90, "exon"]), st.text("ab|<é核_ ", max_size=150)
)


def report_of(labels, seed=0, **options):
    """A report of made-up groups, written as the script writes it, with every second group missing a score."""
    rng = np.random.default_rng(seed)
    made = [
        statistics.Group(label, np.append(rng.normal(i / 4, 1, 6), np.nan if i % 2 else 1.0), "x" * 99)
        for i, label in enumerate(labels)
    ]
    design = {name: options.pop(name, False) for name in ("paired", "tutorial")}
    options = {"title": "", "score": "L2 (Euclidean) distance", "page": GALAXY} | options
    return report.write_report(
        made,
        statistics.compare(made, **design),
        [statistics.summarise(group.scores) for group in made],
        options.pop("score"),
        **options,
        **design,
        correction="holm",
        plot=markdown.plot_block(
            "plot.png", "png", "Scores", "Points: a random 500 of each larger group.", options["page"]
        ),
        settings={
            "Score column": "|" * 2000,
            "Tests": ", ".join(TITLES.values()),
            "Versions": "x" * 90,
        },
    )


@given(
    labels=st.lists(LABELS, min_size=2, max_size=40),
    title=st.one_of(st.just("<" * 1000), st.text(max_size=1000)),
    score=st.one_of(st.just("`" * 300), LABELS),
    design=st.sampled_from([{}, {"paired": True}, {"tutorial": True}]),
    page=st.sampled_from([FILES, GALAXY]),
)
@settings(max_examples=60, deadline=None)
def test_every_report_is_shown_whole(labels, title, score, design, page):
    # The tutorial's tests take scipy half a minute for forty groups.
    labels = [f"{label}{number}" for number, label in enumerate(labels[:6] if "tutorial" in design else labels)]
    report = report_of(labels, title=score_tables.clean_label(title), score=score, page=page, **design)
    assert len(report.encode()) < GALAXY_READS - 500  # in bytes: characters are never more
    assert report.count("\n```galaxy") * 2 == report.count("\n```") and report.endswith("x\n")
    headings = re.findall(r"^## (.*)", report, re.MULTILINE)
    assert headings == ["Plot", "Groups", "Effect sizes", "Tests", "How to read this", "Settings"]
    # Every table is complete, or says where the rest is.
    pairs = math.comb(len(labels), 2)
    tests = 2 * pairs + 2 * (len(labels) > 2 and not design)
    tables = re.findall(
        r"((?:^\|.*\n)+)\n(The first (\d+) of (\d+); the (\w+) table has them all)?", report, re.MULTILINE
    )
    expected = zip(tables, (len(labels), pairs, tests), ("summary", "tests", "tests"), strict=True)
    for (lines, cut, shown, total, source), rows_in_all, table_name in expected:
        rows_here = lines.count("\n") - 2
        assert len({line.count(" |") for line in lines.splitlines()[2:]}) == 1
        if rows_here < rows_in_all:
            assert cut and (int(shown), int(total), source) == (rows_here, rows_in_all, table_name)
        else:
            assert rows_here == rows_in_all and not cut


def test_the_report_of_eight_groups_has_every_group_and_says_where_the_other_pairs_are():
    report = report_of([f"region {letter}" for letter in "ABCDEFGH"])
    assert re.search(r"The pairs with the largest differences, \d+ of 28 \(the tests table has them all\):", report)
    assert all(f"| region {letter} |" in report for letter in "ABCDEFGH")
    assert report.index("Of 28 pairs of groups") < report.index("## Plot")


@pytest.mark.parametrize(
    ("character", "design"),
    [("x", {}), ("_", {"paired": True}), ("é", {"paired": True}), ("\U0001f9ec", {}), ("_", {"tutorial": True})],
)
def test_a_report_of_forty_groups_has_long_labels_whole(character, design):
    labels = [f"{number:02}{character * 58}" for number in range(40)]
    report = report_of(labels, title="t" * 100, **design)
    assert len(report.encode()) < GALAXY_READS - 500 and "…" not in report.split("## Settings")[0]
    assert "ends here" not in report


def test_without_its_limit_a_report_of_forty_groups_would_be_cut_by_galaxy(monkeypatch):
    """So the tests of the length can fail."""
    labels = [f"{number:02}{'x' * 58}" for number in range(40)]
    monkeypatch.setattr(report, "MAX_REPORT_BYTES", 10**6)
    assert len(report_of(labels)) > 2 * GALAXY_READS


def test_a_report_that_is_too_long_ends_at_a_line_and_says_so():
    lines = ["# Title", "", "é" * 100, "", "```galaxy", "history_dataset_as_table()", "```", "", *["last"] * 50]
    for limit in range(330, 450):
        text = markdown.cut_at_line("\n".join(lines), limit)
        assert len(text.encode()) <= limit and text.endswith(" tables have all numbers.*\n")
        whole = text.partition("\n\n*This report was too long")[0]
        shown = whole.split("\n")
        assert shown == lines[: len(shown)] and shown.count("```galaxy") == shown.count("```")


def test_a_report_without_room_for_one_row_is_cut(monkeypatch):
    monkeypatch.setattr(report, "MAX_REPORT_BYTES", 3_000)
    text = report_of(["exon", "intron", "utr"])
    assert 2_000 < len(text.encode()) <= 3_000 and text.startswith("# Comparison") and "ends here" in text


def test_the_report_of_three_groups_is_complete():
    report = report_of(["exon", "intron", "utr"])
    assert "The first" not in report and "Every pair, the largest difference first:" in report
    assert report.count("Mann–Whitney U |") == 3


def test_long_labels_stay_apart():
    report = report_of([f"{'a' * 400}{number}{'b' * 400}" for number in range(2)])
    names = re.findall(r"^\| (?:&#8199;)?(a+…b+(?: \(\d\))?) \|", report.split("## Effect")[0], re.MULTILINE)
    assert len(set(names)) == 2


def test_inert_text_reads_as_before():
    text = "".join(map(chr, range(33, 127)))
    assert html.unescape(markdown.inert(text)) == text
    assert markdown.inert("two\n lines\x1b") == "two lines"


def test_a_table_may_have_crlf_a_byte_order_mark_comment_header_and_na(tmp_path):
    table = write(
        tmp_path / "t.tsv", b"\xef\xbb\xbf#id\tl2\tg\r\na\t1\tx\r\nb\tNA\tx\r\nc\t2.5\tx\r\n\r\nd\tnan\ty\r\n"
    )
    x, y = score_tables.read_grouped_table(table, "l2", "g")
    assert (x.label, y.label) == ("x", "y")
    np.testing.assert_array_equal(x.scores, [1, np.nan, 2.5])
    np.testing.assert_array_equal(y.scores, [np.nan])


HEADER = "id\tl2\n"
GOOD = HEADER + "a\t1\nb\t2\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "table of group 'bad' is empty"),
        (HEADER, "table of group 'bad' has a header and no rows"),
        (HEADER + "a\t1\nb\tx\n", "table of group 'bad', line 3: 'x' in column 'l2' is not a finite number"),
        (HEADER + "a\t1\nb\tinf\n", "line 3: 'inf' in column 'l2' is not a finite number"),
        (HEADER + "a\t1\nb\t1_0\n", "line 3: '1_0' in column 'l2'"),
        (HEADER + "a\t1\nb\t-2e300\n", "line 3: '-2e300' in column 'l2' is beyond ±1e+70"),
        (HEADER + "a\t1\nb\n", "line 3: 1 field where the header has 2"),
        (HEADER + "a\t1\nb\t1\t2\n", "line 3: 3 fields where the header has 2"),
        (HEADER + "a\t1\nb\t\n", "group 'bad' has 1 scored row of 2: need at least two"),
        ("id\tl1\tname\na\t1\tx\n", "table of group 'bad' has no column 'l2' (score); its numeric columns: 'l1'\n"),
        ("l2\tl2\n1\t2\n", "2 columns called 'l2'"),
        (b"\x1f\x8b\x08\x00\xff\xfe", "table of group 'bad' is not text"),
        (b"PK\x00\x00\n\x00", "table of group 'bad' is binary"),
    ],
)
def test_a_bad_table_ends_in_one_line(tmp_path, text, message):
    good, bad = write(tmp_path / "good.tsv", GOOD), write(tmp_path / "bad.tsv", text)
    fails(tmp_path, message, "--group", f"good={good}", "--group", f"bad={bad}")


@pytest.mark.parametrize("unit", [1e-60, 1e10, 1e69])
def test_p_does_not_depend_on_the_unit_of_the_scores(tmp_path, unit):
    """Up to the largest scores that are read: the tests compute squares of squares."""
    ps = []
    for factor in (1, unit):
        low = write(tmp_path / "low.tsv", "l2\n" + "".join(f"{n * factor!r}\n" for n in (1, 2, 3, 4, 5.5, 6)))
        high = write(tmp_path / "high.tsv", "l2\n" + "".join(f"{n * factor!r}\n" for n in (3, 4.5, 5, 6, 7, 9)))
        tests = ["--tests", "welch-t", "student-t", "mann-whitney", "kolmogorov-smirnov"]
        groups = ["--group", f"low={low}", "--group", f"high={high}"]
        ps.append([float(row["p"]) for row in rows(succeed(tmp_path, *groups, *tests)["tests"])])
    assert len(ps[0]) == 4 and ps[1] == pytest.approx(ps[0], rel=1e-6)


def test_as_a_process_an_error_is_one_line_and_exit_code_1(tmp_path):
    arguments, outputs = prepare(tmp_path, *labelled("exon", "one_scored"))
    done = run_script(arguments)
    assert done.returncode == 1
    assert done.stderr == "error: group 'one_scored' has 1 scored row of 3: need at least two\n"
    assert_no_outputs(tmp_path, outputs)


def test_a_group_that_is_too_small_is_left_out_and_named(tmp_path, caplog):
    """The others are compared as without it."""
    plain = succeed(tmp_path, *labelled("exon", "intron"))
    before = [rows(plain[name]) for name in ("tests", "summary")]
    outputs = succeed(tmp_path, *labelled("exon", "one_scored", "intron"))
    assert [rows(outputs[name]) for name in ("tests", "summary")] == before
    assert "left out, as they have fewer than two scored rows: 'one_scored' (1)" in caplog.text
    assert "- Left out (fewer than two scored rows): 'one&#95;scored' (1)" in outputs["report"].read_text()


ONE_TABLE = ["--table", DATA / "groups_one_table.tsv"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (labelled("exon"), "found 1 group, need at least two"),
        (labelled("exon", "exon"), "two groups are called 'exon'"),
        (labelled("exon", "utr") + ["--paired"], "paired rows need equal counts"),
        (labelled("exon", "intron") + ["--column", "llr", "--log-scale"], "a log axis needs scores above 0"),
        (["--group", "exon"], "--group takes LABEL=TABLE, found 'exon'"),
        (["--group", "exon=/nowhere"], "cannot read table of group 'exon': No such file"),
        (ONE_TABLE, "--table needs --group-column"),
        ([*ONE_TABLE, "--group-column", "id"], "more than 40 groups in column 'id'"),
        ([*ONE_TABLE, "--group-column", "Region"], "no column 'Region' (group); its columns: 'id', 'status'"),
        ([*ONE_TABLE, "--group-column-number", "15"], "no column 15 (group): it has 14 columns"),
        ([*ONE_TABLE, "--group-column", "region", *labelled("exon")], "give the groups either as"),
        ([*ONE_TABLE, "--group-column", "region", "--only", "exon,x"], "no row of group 'x' in column 'region'"),
        (labelled("exon", "intron") + ["--only", "exon"], "--only needs --table"),
        (["--groups", DATA / "groups_exon.tsv"], "is not a JSON list"),
    ],
)
def test_arguments_that_do_not_fit_end_in_one_line(tmp_path, arguments, message):
    fails(tmp_path, message, *arguments)


def test_a_path_may_hold_an_equals_sign(tmp_path):
    paths = [write(tmp_path / f"n={i}.tsv", GOOD) for i in (1, 2)]
    outputs = succeed(tmp_path, "--group", f"one={paths[0]}", "--group", f"two={paths[1]}")
    assert [row["group"] for row in rows(outputs["summary"])] == ["one", "two"]


def wordy(tmp_path, a, b, *options):
    """The report's first sentence for two lists of scores."""
    for name, scores in (("a", a), ("b", b)):
        write(tmp_path / f"{name}.tsv", "l2\n" + "".join(f"{score}\n" for score in scores))
    outputs = succeed(tmp_path, "--group", f"a={tmp_path / 'a.tsv'}", "--group", f"b={tmp_path / 'b.tsv'}", *options)
    return outputs["report"].read_text().split("\n\n")[1]


def test_the_first_sentence_fits_the_finding(tmp_path):
    quantiles = stats.norm.ppf((np.arange(4000) + 0.5) / 4000) + 10
    negligible = wordy(tmp_path, quantiles + 0.1, quantiles)
    assert negligible.startswith("**a** scores higher than **b** in L2 (Euclidean) distance, but the differ")
    assert "negligible" in negligible
    assert wordy(tmp_path, quantiles, quantiles).startswith("**a** and **b** score alike")
    assert wordy(tmp_path, [1, 2, 3], [2, 3, 4]).startswith("No clear difference")
    assert wordy(tmp_path, quantiles[:500], quantiles[:500] + 1).startswith("**b** scores higher than **a**")


def test_the_first_sentence_names_the_higher_group_first_and_its_rows_too(tmp_path):
    rng = np.random.default_rng(7)
    low, high = rng.normal(size=20), rng.normal(size=30) + 2
    assert "**b** scores higher than **a**" in (text := wordy(tmp_path, low, high)) and "n = 30 and 20." in text
    assert "**a** scores higher than **b**" in (text := wordy(tmp_path, high, low)) and "n = 30 and 20." in text


def test_the_first_sentence_does_not_contradict_its_test(tmp_path):
    one_sided = wordy(tmp_path, [2.0] * 9, [3.0] * 9, "--paired")
    assert one_sided.startswith("**b** scores higher than **a**") and "too few rows to say by how much" in one_sided
    equal = wordy(tmp_path, [2.0, 3.0, 4.0], [2.0, 3.0, 4.0], "--paired")
    assert "every pair has two equal scores; 3 pairs." in equal
    assert "leaves open" not in equal
    assert "ties counted half" in wordy(tmp_path, [1.0] * 5, [1.0] * 5)


def test_two_rows_have_no_interval_and_the_report_says_so(tmp_path):
    """The p of two rows against forty is exact: 2 of the 861 ways to choose two of the 42."""
    clear = wordy(tmp_path, [101, 102], range(40))
    assert (
        clear.startswith("**a** scores higher than **b**") and "but there are too few rows to say by how much" in clear
    )
    assert "(AUC 1.000, too few rows for an interval)" in clear and f"p = {2 / 861:.2g}" in clear
    open_question = wordy(tmp_path, [1, 4], [2, 3, 5])
    assert open_question.startswith("No clear difference") and "leaves open which group is higher" in open_question
    assert "nan" not in (tmp_path / "out.report").read_text()
    rank_sum = rows(tmp_path / "out.tests")[0]
    assert (rank_sum["auc"], rank_sum["auc_low"], rank_sum["auc_high"]) == (repr(2 / 6), "", "")
    assert (rank_sum["cliffs_delta_low"], rank_sum["cliffs_delta_high"]) == ("", "")
    assert rank_sum["hedges_g_low"] and rank_sum["hedges_g_high"]
    paired = wordy(tmp_path, [1, 2], [3, 5], "--paired")
    assert "rank-biserial correlation 1.000, too few rows for an interval" in paired


@pytest.mark.parametrize("table", [7, {}, None])
def test_a_group_list_names_files(tmp_path, table):
    listed = write(tmp_path / "groups.json", json.dumps([{"label": "a", "table": table}]))
    fails(tmp_path, "a table is not the path of a file", "--groups", listed)


@pytest.mark.parametrize("unit", [2.0**-997, 1e-300, 5e-324, 2.0**-260])
@pytest.mark.parametrize("kind", plots.KINDS)
def test_tiny_scores_are_compared_and_drawn_like_others(tmp_path, kind, unit):
    """Their squares are rounded to 0, and no number here depends on the unit of the scores."""
    scores = {"a": [1, 2, 3, 7], "b": [5, 6, 7, 9], "c": [4, 4, 5, 8]}
    found = []
    for factor in (1, unit):
        folder = tmp_path / str(factor)
        folder.mkdir()
        for label, values in scores.items():
            (folder / label).write_text("l2\n" + "".join(f"{value * factor!r}\n" for value in values))
        arguments = [text for label in scores for text in ("--group", f"{label}={folder / label}")]
        outputs = succeed(folder, *arguments, "--plot-kind", kind)
        assert outputs["plot"].read_bytes().startswith(b"\x89PNG")
        tests = [line.split("\t")[7:] for line in outputs["tests"].read_text().splitlines()]
        summary = [line.split("\t")[1:] for line in outputs["summary"].read_text().splitlines()]
        found.append((tests, summary))
    (tests, summary), (tiny_tests, tiny_summary) = found
    for row, tiny in zip(tests[1:], tiny_tests[1:], strict=True):
        assert [cell == "" for cell in row] == [cell == "" for cell in tiny]
        assert [float(c) for c in tiny if c] == pytest.approx([float(c) for c in row if c], rel=1e-9, abs=1e-12)
    for row, tiny in zip(summary[1:], tiny_summary[1:], strict=True):
        for name, number, small in zip(summary[0][2:], row[2:], tiny[2:], strict=True):
            # The smallest numbers there are have no half.
            assert float(small) == pytest.approx(float(number) * unit, rel=1e-9, abs=5e-324), name
