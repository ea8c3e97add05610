"""evaluate.py run as people and Galaxy run it: ClinVar's VCF, a measured scan, several tables, and users' mistakes."""

import csv
import json
import re
import xml.etree.ElementTree as ET
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sklearn_metrics

from conftest import TEST_DATA, assert_refused, read_table
from dna_lm.commands import evaluate
from dna_lm.errors import UserError
from dna_lm.evaluate import report, resampling
from dna_lm.outputs import markdown

SCORES = TEST_DATA / "evaluate_scores.tsv"
OTHER = TEST_DATA / "evaluate_scores_other.tsv"
CLINVAR = ["--labels", TEST_DATA / "evaluate_clinvar.vcf", "--clinvar"]
SCAN = ["--table", TEST_DATA / "evaluate_brca1_scores.tsv", "--labels", TEST_DATA / "evaluate_brca1.tsv"]
LOSS = ["--label-column", "func.class", "--positive", "LOF", "--negative", "FUNC", "INT"]
HOSTILE = [
    "</text><script>alert(1)</script>",
    'x\'; touch pwned; "$HOME" `id` | **b** [a](javascript:1) ${galaxy history_link()}',
    "_=$\\frac{ &amp; ünï",
]
# The number of characters of a report that Galaxy reads.
GALAXY_READS = 10_240


def prepare(folder, arguments):
    outputs = {name: folder / f"out.{name}" for name in ("output", "comparisons", "rows", "plot", "report")}
    return [str(part) for part in (*arguments, *(x for name in outputs for x in (f"--{name}", outputs[name])))], outputs


def run(folder, *arguments):
    """The paths of all outputs."""
    arguments, outputs = prepare(folder, arguments)
    evaluate.main(arguments)
    return outputs


def metrics_of(outputs):
    return {(row["score"], row["stratum"]): row for row in read_table(outputs["output"])}


def refused(folder, message, *arguments):
    arguments, outputs = prepare(folder, arguments)
    with pytest.raises(UserError, match=message) as raised:
        evaluate.main(arguments)
    assert str(raised.value).isprintable()  # one line
    assert not any(path.exists() for path in outputs.values()) and not list(folder.glob(".partial-*"))


def write(path, header, rows):
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in (header, *rows)), encoding="utf-8")
    return path


def labels_of_clinvar():
    """Position -> CLNSIG of the VCF, read without the suite."""
    lines = (TEST_DATA / "evaluate_clinvar.vcf").read_text().splitlines()
    cells = [line.split("\t") for line in lines if not line.startswith("#")]
    return {row[1]: (re.findall("CLNSIG=([^;]*)", row[7]) or [""])[0] for row in cells}


def test_clinvar_end_to_end(tmp_path):
    outputs = run(tmp_path, "--table", SCORES, *CLINVAR)
    labels = labels_of_clinvar()
    positive, negative = {"Pathogenic", "Likely_pathogenic", "Pathogenic/Likely_pathogenic"}, set()
    negative = {"Benign", "Likely_benign", "Benign/Likely_benign"}
    table = [row | {"label": labels[row["pos"]].split("|")[0]} for row in read_table(SCORES)]
    used = [row for row in table if row["status"] == "ok" and row["label"] in positive | negative]
    truth = [row["label"] in positive for row in used]
    found = metrics_of(outputs)
    for score, sign in (("l2", 1), ("llr", -1), ("changed_tokens", 1)):
        values = [sign * float(row[score]) for row in used]
        row = found[score, "all"]
        assert float(row["auroc"]) == pytest.approx(sklearn_metrics.roc_auc_score(truth, values))
        assert float(row["average_precision"]) == pytest.approx(sklearn_metrics.average_precision_score(truth, values))
        assert (row["n_positive"], row["n_negative"]) == (str(sum(truth)), str(len(truth) - sum(truth)))
        assert int(row["n_left_out"]) == len(table) - len(used)
        assert float(row["prevalence"]) == pytest.approx(np.mean(truth))
        assert row["direction"] == ("down" if sign < 0 else "up")
        low, high = float(row["average_precision_low"]), float(row["average_precision_high"])
        assert 0 <= low < float(row["average_precision"]) < high <= 1
    assert [row["kind"] for row in found.values()] == ["score"] * 2 + ["ensemble"] + ["baseline"] * 5
    # Every row of the score table, in its order, used or with a reason.
    rows = read_table(outputs["rows"])
    assert [row["id"] for row in rows] == [row["id"] for row in table]
    assert [row["used"] == "yes" for row in rows] == [row in used for row in table]
    reasons = Counter(row["reason"] for row in rows if row["used"] == "no")
    assert "" not in reasons and reasons["low penetrance"] == 4 and reasons["invalid_base"] == 3
    ranks = stats.rankdata([-float(row["l2"]) for row in used])
    assert [float(row["l2_rank"]) for row in rows if row["used"] == "yes"] == ranks.tolist()
    both = ranks + stats.rankdata([float(row["llr"]) for row in used])
    assert [float(row["ensemble_rank"]) for row in rows if row["ensemble_rank"]] == stats.rankdata(both).tolist()
    assert outputs["plot"].read_bytes().startswith(b"\x89PNG")
    report = outputs["report"].read_text()
    assert re.match(r"# .*\n\n\*\*llr\*\* separates positive from negative rows better than the best baseline:", report)
    assert "low penetrance: 4" in report and "88 of the 88 records of the VCF with labels" in report


def test_loss_of_function_of_a_scan(tmp_path):
    other = ["--scores", "llr", "CADD.score", "--direction", "CADD.score=up"]
    refused(tmp_path, "has no column 'CADD.score' .score.; its numeric columns", *SCAN, *LOSS, *other)
    outputs = run(tmp_path, *SCAN, *LOSS, "--stratum-column", "consequence")
    found, labels = metrics_of(outputs), read_table(TEST_DATA / "evaluate_brca1.tsv")
    truth = [row["func.class"] == "LOF" for row in labels]
    scores = [-float(row["llr"]) for row in read_table(SCAN[1])]
    assert float(found["llr", "all"]["auroc"]) == pytest.approx(sklearn_metrics.roc_auc_score(truth, scores))
    missense = [row["consequence"] == "Missense" for row in labels]
    of_missense = sklearn_metrics.roc_auc_score(np.array(truth)[missense], np.array(scores)[missense])
    assert float(found["llr", "Missense"]["auroc"]) == pytest.approx(of_missense)


def test_scores_of_the_label_table_itself(tmp_path):
    """CADD and phyloP come in the table with the labels, which then is the score table."""
    table = ["--table", TEST_DATA / "evaluate_brca1.tsv", "--scores", "CADD.score", "phyloP (mammalian)"]
    refused(tmp_path, "'CADD.score' is not a score of this suite: say under", *table, *LOSS)
    outputs = run(tmp_path, *table, *LOSS, "--direction", "CADD.score=up", "phyloP (mammalian)=up")
    rows = read_table(TEST_DATA / "evaluate_brca1.tsv")
    truth, scores = [row["func.class"] == "LOF" for row in rows], [float(row["CADD.score"]) for row in rows]
    found = metrics_of(outputs)
    assert float(found["CADD.score", "all"]["auroc"]) == pytest.approx(sklearn_metrics.roc_auc_score(truth, scores))
    assert read_table(outputs["rows"])[0]["id"] == "1:301:G:A"
    # Without the suite's counts, what alleles tell is left, and the random score.
    assert [name for name, _ in found if found[name, "all"]["kind"] == "baseline"] == ["transversion", "random"]


def test_a_measured_effect(tmp_path):
    measured = ["--measured-column", "function.score.mean"]
    down = run(tmp_path, *SCAN, *measured, "--measured-direction", "down")
    labels = [float(row["function.score.mean"]) for row in read_table(TEST_DATA / "evaluate_brca1.tsv")]
    scores = [float(row["llr"]) for row in read_table(SCAN[1])]
    row = metrics_of(down)["llr", "all"]
    # A low llr and a low function score both mean an effect.
    assert float(row["spearman"]) == pytest.approx(stats.spearmanr(scores, labels).statistic)
    assert float(row["pearson"]) == pytest.approx(stats.pearsonr(scores, labels).statistic)
    assert list(row)[:10] == ["score", "kind", "direction", "stratum", "n", "n_left_out"] + [
        *("spearman", "spearman_low", "spearman_high", "pearson")
    ]
    assert [float(line["label"]) for line in read_table(down["rows"])] == labels
    assert "**llr** follows the measured effect better than the best baseline" in down["report"].read_text()
    up = metrics_of(run(tmp_path, *SCAN, *measured))
    assert float(up["llr", "all"]["spearman"]) == pytest.approx(-float(row["spearman"]))
    assert up["n_differences", "all"]["note"] == "constant" and up["n_differences", "all"]["spearman"] == ""


def test_two_models_on_the_rows_that_both_scored(tmp_path):
    outputs = run(tmp_path, "--table", f"a={SCORES}", "--table", f"b={OTHER}", *CLINVAR, "--ensemble", "llr")
    found = metrics_of(outputs)
    assert {row["n_positive"] for row in found.values()} == {found["a:l2", "all"]["n_positive"]}
    assert {"a:l2", "a:llr", "b:l2", "b:llr", "ensemble", "a:changed_tokens", "b:changed_tokens", "n_differences"} <= {
        name for name, _ in found
    }
    reasons = Counter(row["reason"] for row in read_table(outputs["rows"]))
    assert reasons["b: no such row"] == 1 and reasons["a: invalid_base"] == 3
    compared = read_table(outputs["comparisons"])
    assert len(compared) == 5 + 10 and {row["test"] for row in compared} == {"delong"}
    for row in compared:
        difference = float(row["auroc_a"]) - float(row["auroc_b"])
        assert float(row["difference"]) == pytest.approx(difference)
        assert float(row["p"]) <= float(row["p_corrected"]) <= 1
        assert difference == pytest.approx(
            float(found[row["score_a"], "all"]["auroc"]) - float(found[row["score_b"], "all"]["auroc"])
        )
    ranks = [(row["a:llr_rank"], row["b:llr_rank"], row["ensemble_rank"]) for row in read_table(outputs["rows"])]
    a, b, both = np.array([list(map(float, row)) for row in ranks if row[2]]).T
    assert both.tolist() == stats.rankdata(a + b).tolist()


def test_strata_and_clusters(tmp_path):
    outputs = run(tmp_path, "--table", SCORES, *CLINVAR, "--stratum-column", "region", "--cluster-column", "GENEINFO")
    found = metrics_of(outputs)
    assert {stratum for _, stratum in found} == {"all", "exon", "intron"}
    whole, parts = found["l2", "all"], [found["l2", name] for name in ("exon", "intron")]
    for column in ("n_positive", "n_negative", "n_left_out"):
        assert int(whole[column]) == sum(int(part[column]) for part in parts)
    assert {row["test"] for row in read_table(outputs["comparisons"])} == {"cluster bootstrap"}
    assert "The rows are in 8 clusters." in outputs["report"].read_text()


def test_too_few_of_a_label_are_said_and_not_computed(tmp_path):
    outputs = run(tmp_path, "--table", SCORES, *CLINVAR, "--stratum-column", "GENEINFO")
    few = metrics_of(outputs)["l2", "GENE1"]
    assert few["auroc"] == few["average_precision"] == few["p_best_baseline"] == ""
    assert re.fullmatch(r"too few: \d positive and \d negative rows, at least 5 of each are needed", few["note"])
    only = write(tmp_path / "t.tsv", ["id", "l2", "y"], [[n, n, "p" if n < 3 else "n"] for n in range(9)])
    labels = ["--label-column", "y", "--positive", "p", "--negative", "n"]
    outputs = run(tmp_path, "--table", only, *labels)
    assert outputs["report"].read_text().split("\n\n")[1].startswith("Nothing was computed for **l2**: too few: 3")
    assert outputs["plot"].exists()


def labelled_table(path, scores, labels, name="l2"):
    rows = [
        [f"m{n}", score, "p" if label else "n"] for n, (score, label) in enumerate(zip(scores, labels, strict=True))
    ]
    return write(path, ["id", name, "y"], rows)


P_OR_N = ["--label-column", "y", "--positive", "p", "--negative", "n"]


def first_sentence(folder, scores, labels):
    outputs = run(folder, "--table", labelled_table(folder / "t.tsv", scores, labels), *P_OR_N)
    return outputs["report"].read_text().split("\n\n")[1], outputs["report"].read_text()


def test_the_first_sentence_fits_the_finding(tmp_path):
    rng = np.random.default_rng(2)
    labels = np.arange(200) % 4 == 0
    noise = rng.normal(size=200)
    better, _ = first_sentence(tmp_path, noise + 2 * labels, labels)
    assert better.startswith("**l2** separates positive from negative rows better than the best baseline: AUROC 0.9")
    worse, report = first_sentence(tmp_path, noise - 2 * labels, labels)
    assert "rows worse than the best baseline" in worse and "**Below chance: l2.**" in report
    unclear, _ = first_sentence(tmp_path, noise, labels)
    assert unclear.startswith("**l2** is not clearly better than the best baseline")
    constant, report = first_sentence(tmp_path, np.ones(200), labels)
    assert "AUROC 0.500 against" in constant and "Constant, so it cannot tell rows apart: l2." in report
    perfect, _ = first_sentence(tmp_path, labels + 0.0, labels)
    assert "AUROC 1.000 (0.9" in perfect and "better than the best baseline" in perfect


def test_the_same_seed_gives_the_same_files(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    arguments = ["--table", SCORES, *CLINVAR, "--plot-format", "svg"]
    first, second = (run(tmp_path / name, *arguments) for name in "ab")
    for name in ("output", "comparisons", "rows", "plot"):
        assert first[name].read_bytes() == second[name].read_bytes()
    third = run(tmp_path / "c", *arguments, "--seed", 2)
    assert metrics_of(third)["random", "all"] != metrics_of(first)["random", "all"]


def svg_texts(path):
    return ["".join(node.itertext()) for node in ET.parse(path).getroot().iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("kind", ["binary", "measured"])
def test_pictures_say_the_numbers(tmp_path, kind):
    labels = LOSS if kind == "binary" else ["--measured-column", "function.score.mean"]
    outputs = run(tmp_path, *SCAN, *labels, "--plot-format", "svg", "--title", "Two $ signs $")
    texts = svg_texts(outputs["plot"])
    row = metrics_of(outputs)["llr", "all"]
    numbers = [row[name] for name in (("auroc", "auroc_low", "auroc_high") if kind == "binary" else ())]
    if kind == "binary":
        assert "llr {:.2f} ({:.2f}–{:.2f})".format(*map(float, numbers)) in texts
        assert any(text.startswith("best baseline: ") for text in texts) and "chance 0.50" in texts
    else:
        assert sum(text.startswith("Spearman ") for text in texts) == 3
    assert "Two $ signs $" in texts
    assert run(tmp_path, *SCAN, *labels, "--plot-format", "pdf")["plot"].read_bytes().startswith(b"%PDF-")


def test_many_rows_are_drawn_as_a_density(tmp_path):
    rng = np.random.default_rng(1)
    numbers = rng.normal(size=3000)
    table = write(tmp_path / "t.tsv", ["id", "l2", "y"], [[n, x + 1, x] for n, x in enumerate(numbers)])
    outputs = run(tmp_path, "--table", table, "--measured-column", "y", "--plot-format", "svg")
    assert outputs["plot"].stat().st_size < 500_000


def test_hostile_text_is_inert(tmp_path):
    """In names of columns and tables, labels, strata, statuses and the title."""
    rows = [
        [f"{HOSTILE[n % 3]}{n}", "ok" if n % 9 else HOSTILE[1], n % 7 if n % 9 else "", HOSTILE[n % 2], HOSTILE[n % 3]]
        for n in range(60)
    ]
    rows.append(["x", "ok", 1, "*other*`<b>`", HOSTILE[2]])
    table = write(tmp_path / "t.tsv", ["id", "status", HOSTILE[2], HOSTILE[0], HOSTILE[1]], rows)
    typed = {
        "scores": [HOSTILE[2]],
        "direction": [f"{HOSTILE[2]}=up"],
        "label-column": HOSTILE[0],
        "positive": [HOSTILE[0], "x\n\n# y\x1b[31m\u2028\u202e\r\x85"],
        "negative": [HOSTILE[1]],
        "stratum-column": HOSTILE[1],
        "title": HOSTILE[1],
    }
    options = tmp_path / "typed.json"
    options.write_text(json.dumps(typed))
    outputs = run(tmp_path, "--table", table, "--options", options, "--plot-format", "svg", "--report-for", "galaxy")
    report = outputs["report"].read_text()
    assert set(re.findall(r"^```.*", report, re.MULTILINE)) == {"```galaxy", "```"}
    assert all(line.isprintable() for line in report.split("\n")) and "x &#35; y &#91;31m" in report
    for active in ("<script", "${", "[a]", "**b**", "`id`", "<b>", "*other*"):
        assert active not in report
    assert {element.tag.split("}")[1] for element in ET.parse(outputs["plot"]).getroot().iter()}.isdisjoint(
        {"script", "foreignObject", "a"}
    )
    for name in ("output", "rows"):
        lines = [line.count("\t") for line in outputs[name].read_text().splitlines()]
        assert len(set(lines)) == 1
    assert [row["id"] for row in read_table(outputs["rows"])] == [str(row[0]) for row in rows]
    assert not (tmp_path / "pwned").exists()


def report_of(folder, names, n_strata):
    """The report in Galaxy of random scores in strata with long names."""
    rng = np.random.default_rng(1)
    rows = [[n, "pn"[n % 2], f"{n % n_strata}" * 20, *rng.normal(size=len(names))] for n in range(600)]
    table = write(folder / "t.tsv", ["id", "y", "stratum", *names], rows)
    typed = {"scores": names, "direction": [f"{name}=up" for name in names], "stratum-column": "stratum"}
    (folder / "typed.json").write_text(json.dumps(typed))
    galaxy = ["--report-for", "galaxy"]
    outputs = {name: folder / name for name in ("metrics", "report")}
    arguments = ["--table", table, "--options", folder / "typed.json", *P_OR_N, *galaxy, "--output", outputs["metrics"]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resampling, "MOST_METRICS", 0)  # few resamples
        patch.setattr(resampling, "FEWEST_RESAMPLES", 3)
        evaluate.main([*map(str, arguments), "--report", str(outputs["report"])])
    return outputs["report"].read_text()


def test_a_report_of_many_strata_is_short_only_by_its_limit(tmp_path, monkeypatch):
    names = [f"{number}{'x' * 59}" for number in range(8)]
    assert len(report_of(tmp_path, names, 60)) < GALAXY_READS
    monkeypatch.setattr(report, "fitting", lambda compose, page: markdown.fitting(compose, page, 10**6))
    assert len(report_of(tmp_path, names, 60)) > GALAXY_READS + 2_000


@given(
    names=st.lists(st.text("ab|<é核_$ ", min_size=1, max_size=80), min_size=1, max_size=8, unique_by=str.strip),
    n_strata=st.integers(1, 60),
)
@settings(max_examples=15)
def test_every_report_is_shown_whole(tmp_path_factory, names, n_strata):
    folder = tmp_path_factory.mktemp("report")
    names = [f"s{name}{number}" for number, name in enumerate(names)]
    report = report_of(folder, names, n_strata)
    assert len(report.encode()) < GALAXY_READS - 500 and "ends here" not in report
    assert [line for line in report.splitlines() if line.startswith("## ")] == [
        *("## Metrics", "## Comparisons on the same rows", "## Strata", "## How to read this", "## Settings")
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([*CLINVAR], "give one or more score tables"),
        (["--table", SCORES], "either --label-column .or --clinvar. or --measured-column"),
        (["--table", SCORES, "--label-column", "region"], "say which labels are positive and which negative"),
        (["--table", SCORES, "--measured-column", "l2", "--positive", "x"], "leave them out with --measured-column"),
        (["--table", SCORES, *CLINVAR, "--measured-direction", "up"], "no effect without --measured-column"),
        (["--table", SCORES, *CLINVAR, "--ensemble", "l2", "llr", "--no-ensemble"], "contradict each other"),
        (["--table", SCORES, *CLINVAR, "--ensemble", "l2"], "an ensemble of 'l2' alone is that score"),
        (["--table", SCORES, *CLINVAR, "--ensemble", "l3"], "--ensemble names 'l3', which is not one of the scores"),
        (["--table", SCORES, "--clinvar"], "has no column 'CLNSIG' .text.; its columns: 'chrom', 'pos'"),
        (["--table", SCORES, *CLINVAR, "--stratum-column", "gene"], "has no column 'gene'"),
        (["--table", SCORES, *CLINVAR, "--label-column", "CLNDN"], "no line of the VCF with labels has INFO 'CLNDN'"),
        (
            ["--table", SCORES, "--label-column", "region", "--positive", "Exon", "--negative", "intron"],
            "no row has a positive label in 'region'; values found: 'exon' 45, 'intron' 43. Name the positive",
        ),
        (["--table", SCORES, "--measured-column", "region"], "'exon' in column 'region' is not a finite number"),
        (["--table", f"a={SCORES}", "--table", f"a={OTHER}", *CLINVAR], "two tables are called 'a'"),
        (["--table", SCORES, *CLINVAR[:1], TEST_DATA / "snv_mutant.fasta", *LOSS], "the table with labels has "),
        (["--table", SCORES, "--labels", "/nowhere", *LOSS], "cannot read the table with labels: No such file"),
        (["--table", "/nowhere", *CLINVAR], "cannot read score table 'nowhere': No such file"),
        (["--table", SCORES, "--labels", TEST_DATA / "bad_truncated.vcf", "--clinvar"], "VCF, line "),
    ],
)
def test_a_users_mistake_ends_in_one_line(tmp_path, arguments, message):
    refused(tmp_path, message, *arguments)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "score table 't' is empty"),
        ("id\tl2\ty\n", "score table 't' has a header and no rows"),
        ("id\tl2\ty\na\tx\tp\n", "score table 't', line 2: 'x' in column 'l2' is not a finite number"),
        ("id\tl2\ty\na\t1_0\tp\n", "line 2: '1_0' in column 'l2'"),
        ("id\tl2\ty\na\t1\tp\nb\tinf\tn\n", "line 3: 'inf' in column 'l2'"),
        ("id\tl2\ty\na\t1\n", "line 2: 2 fields where the header has 3"),
        ("id\tl2\tl2\ty\na\t1\t1\tp\n", "has 2 columns called 'l2'"),
        ("id\tl1\tz\na\t1\tp\n", "has no column 'y' .text.; its columns: 'id', 'l1', 'z'"),
    ],
)
def test_a_bad_table_ends_in_one_line(tmp_path, text, message):
    (tmp_path / "t.tsv").write_text(text)
    refused(tmp_path, message, "--table", tmp_path / "t.tsv", *P_OR_N)


def test_as_a_process_an_error_is_one_line(run_script, tmp_path):
    done = run_script("evaluate.py", "--table", SCORES, "--clinvar", "--output", "out.tsv", "--plot", "out.png")
    assert_refused(done, "has no column 'CLNSIG'", tmp_path)
    done = run_script("evaluate.py", "--table", SCORES, *CLINVAR, "--output", "out.tsv")
    assert done.returncode == 0 and len(done.stderr.splitlines()) == 1
    with open(tmp_path / "out.tsv") as handle:
        assert len(list(csv.reader(handle, delimiter="\t"))) == 1 + 8


@pytest.mark.parametrize(
    ("values", "options", "listed"),
    [
        (["TRUE", "FALSE", "NA"], ["--positive", "True", "--negative", "FALSE"], "'FALSE' 10, 'NA' 10, 'TRUE' 10"),
        (['"pathogenic"', "benign"], ["--positive", "pathogenic", "--negative", "benign"], """'"pathogenic"' 10"""),
        (
            ["pathogenic", "likely_benign", "pathogenic&likely_pathogenic"],
            ["--clinvar"],
            "'likely_benign' 10, 'pathogenic' 10, 'pathogenic&likely_pathogenic' 10",
        ),
        (["x" * 200 + str(n) for n in range(30)], ["--clinvar"], "and 2[0-9] more"),
    ],
)
def test_values_of_a_refused_column_are_listed_as_they_are_written(tmp_path, values, options, listed):
    rows = sorted([n, n, value] for n, value in enumerate(sorted(values) * 10))
    table = write(tmp_path / "t.tsv", ["id", "l2", "y"], rows)
    arguments, _ = prepare(tmp_path, ["--table", table, "--label-column", "y", *options])
    with pytest.raises(UserError, match="no row has a positive label in 'y'; values found: ") as raised:
        evaluate.main(arguments)
    found = str(raised.value)
    assert re.search(listed, found)
    assert len(found) <= 250 and '"Positive values" (--positive)' in found


def test_a_score_called_ensemble_is_kept_apart(tmp_path):
    rng = np.random.default_rng(5)
    numbers = rng.normal(size=(40, 3))
    rows = [[f"v{n}", *cells, "p" if n % 2 else "n"] for n, cells in enumerate(numbers.tolist())]
    table = write(tmp_path / "t.tsv", ["id", "l2", "ensemble", "l2_rank", "y"], rows)
    scores = ["--scores", "l2", "ensemble", "l2_rank", "--direction", "ensemble=up", "l2_rank=up"]
    outputs = run(tmp_path, "--table", table, *scores, *P_OR_N)
    kinds = {row["score"]: row["kind"] for row in read_table(outputs["output"])}
    assert kinds["ensemble"] == "score" and kinds["ensemble (2)"] == "ensemble"
    truth = [row[-1] == "p" for row in rows]
    area = sklearn_metrics.roc_auc_score(truth, numbers[:, 1])
    assert float(metrics_of(outputs)["ensemble", "all"]["auroc"]) == pytest.approx(area)
    ranks = stats.rankdata(-numbers, axis=0)
    combined = stats.rankdata(ranks.mean(axis=1))
    area = sklearn_metrics.roc_auc_score(truth, -combined)
    assert float(metrics_of(outputs)["ensemble (2)", "all"]["auroc"]) == pytest.approx(area)
    per_row = read_table(outputs["rows"])
    assert [float(row["ensemble_rank"]) for row in per_row] == ranks[:, 1].tolist()
    assert [float(row["ensemble (2)_rank"]) for row in per_row] == combined.tolist()
    assert [float(row["l2_rank"]) for row in per_row] == numbers[:, 2].tolist()
    assert [float(row["l2_rank (2)"]) for row in per_row] == ranks[:, 0].tolist()


def test_names_of_scores_of_two_tables_that_collide_are_refused(tmp_path):
    paths = [write(tmp_path / name, ["id", score, "y"], [[1, 2, "p"]]) for name, score in (("1", "b:c"), ("2", "c"))]
    scores = ["--scores", "b:c", "c", "--direction", "b:c=up", "c=up"]
    tables = ["--table", f"a={paths[0]}", "--table", f"a:b={paths[1]}"]
    refused(tmp_path, "two scores would be called 'a:b:c', TABLE:SCORE: give the", *tables, *scores, *P_OR_N)


def test_a_table_from_a_spreadsheet_is_read(tmp_path):
    (tmp_path / "l.csv").write_text("ID,Class\n" + "".join(f'v{n},"{"p" if n % 2 else "n"}"\n' for n in range(12)))
    table = write(tmp_path / "t.tsv", ["id", "l2"], [[f"v{n}", n] for n in range(12)])
    labels = ["--labels", tmp_path / "l.csv", "--label-column", "Class", "--positive", "p", "--negative", "n"]
    outputs = run(tmp_path, "--table", table, *labels)
    assert metrics_of(outputs)["l2", "all"]["n_positive"] == "6"
