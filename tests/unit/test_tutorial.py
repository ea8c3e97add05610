"""Every number of docs/tutorial.md that its files give: the scripts run as the forms do, the rest is counted here.

The numbers of exons and introns are not among them: their files are not in the repository.
"""

import itertools
import re
import statistics
from xml.etree import ElementTree

import pytest
from scipy.stats import mannwhitneyu, rankdata, spearmanr

from conftest import ROOT, TEST_DATA, read_table, script_runner
from dna_lm.engine.loading import load
from dna_lm.scoring import recommended

DEMO = TEST_DATA / "models" / "demo-mixtral"
TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text()
# Lines of a box begin with `>`, and a sentence can go over two lines.
WORDS = " ".join(re.sub(r"^(> ?)+", "", TUTORIAL, flags=re.M).split())
REGION = re.search(r"^> +(chr22_part\t.*)$", TUTORIAL, re.M)[1]


def says(text):
    """Whether the tutorial has this text, wherever its lines end."""
    assert text in WORDS, f"the tutorial does not say: {text}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tutorial")


@pytest.fixture(scope="module")
def run_any(folder):
    """Run a script, which must end well, in the folder."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        run_script = script_runner(folder, monkeypatch)

        def run(script, *options):
            done = run_script(script, *options)
            assert done.returncode == 0, done.stderr

        yield run


@pytest.fixture(scope="module")
def run(run_any, folder):
    """Run a script with the demonstration model; returns the rows of its table."""

    def run(script, *options):
        run_any(script, "--model", DEMO, *options, "--output", folder / "out.tsv")
        return read_table(folder / "out.tsv")

    return run


def of_pairs(run, name, ending, *options):
    paths = [TEST_DATA / f"{name}_{role}.{ending}" for role in ("wild_type", "mutant")]
    return run("score_pairs.py", "--wild-type", paths[0], "--mutant", paths[1], *options)


@pytest.fixture(scope="module")
def groups(run):
    """The rows of the two groups, by the names that the reader gives them."""
    return {"substitutions": of_pairs(run, "snv", "fasta"), "indels": of_pairs(run, "indel", "fasta.gz")}


@pytest.fixture(scope="module")
def variants(run):
    reference = "--reference", TEST_DATA / "dbsnp_reference.fasta"
    chosen = "--strand", "mean", "--background", 20, "--sort", "impact"
    return run("score_variants.py", "--variants", TEST_DATA / "dbsnp.vcf", *reference, *chosen)


def numbers(rows, column):
    return [float(row[column]) for row in rows]


def test_the_pasted_sequences_are_those_of_the_test_files():
    pasted = re.findall(r"^> +```\n((?:> +[>ACGT].*\n)+)> +```", TUTORIAL, re.M)
    texts = ["".join(line.lstrip("> ") + "\n" for line in block.splitlines()) for block in pasted if "ATT_to" in block]
    names = ("cftr_wild_type", "cftr_mutant")
    records = [(TEST_DATA / f"{name}.fasta").read_text().replace(">", "") for name in names]
    assert texts == records


def test_two_mutations_of_cftr(run):
    rows = of_pairs(run, "cftr", "fasta")
    for row in rows:
        shown = row | {"l2": f"{float(row['l2']):.2f}"}
        assert f"| {' | '.join(shown.values())} |" in TUTORIAL
    assert f"| {' | '.join(rows[0])} |" in TUTORIAL
    padded = of_pairs(run, "cftr", "fasta", "--tutorial")
    says(f"{float(padded[1]['l2']):.3f} instead of {float(rows[1]['l2']):.3f}")


def test_padding_changes_scores(run, groups):
    padded = numbers(of_pairs(run, "snv", "fasta", "--tutorial"), "l2")
    changes = [b / a - 1 for a, b in zip(numbers(groups["substitutions"], "l2"), padded, strict=True)]
    n_changed = sum(abs(change) > 0.01 for change in changes)
    says(f"Of the {len(changes)} substitutions of the next part, padding changes {n_changed} scores by more than 1 %")
    says(f"one of them by {100 * max(changes):.0f} %")


def auc_of(higher, lower):
    """How often a random number of one list exceeds one of the other, counted pair by pair."""
    return statistics.mean((a > b) + (a == b) / 2 for a, b in itertools.product(higher, lower))


def test_two_groups(groups):
    says(f"{len(groups['substitutions'])} substitutions and {len(groups['indels'])} indels")
    scores = {name: numbers(rows, "l2") for name, rows in groups.items()}
    medians = " | ".join(f"{statistics.median(values):.2f}" for values in scores.values())
    assert f"| median L2 | {medians} |" in TUTORIAL
    quartiles = [statistics.quantiles(values, method="inclusive") for values in scores.values()]
    assert f"| quartiles | {' | '.join(f'{low:.2f} to {high:.2f}' for low, _, high in quartiles)} |" in TUTORIAL
    auc = auc_of(scores["indels"], scores["substitutions"])
    p = mannwhitneyu(scores["indels"], scores["substitutions"]).pvalue
    says(f"exceeds a random one of the substitutions {100 * auc:.0f} % of the time (AUC {auc:.3f}, 95 % interval")
    says(f"Mann–Whitney U p = {p:.2g}.")
    tokens = [numbers(groups[name], "changed_tokens") for name in ("indels", "substitutions")]
    says(f"Here the groups do not differ in it (AUC {auc_of(*tokens):.3f}, 95 % interval")
    correlations = [spearmanr(scores[name], numbers(rows, "changed_tokens")).statistic for name, rows in groups.items()]
    says("is {:.2f} in the substitutions and {:.2f} in the indels".format(*correlations))


def test_the_reports_sentence(groups, run_any, folder):
    """The intervals, which the report has; `test_groups.py` compares them with other programs."""
    for column, text in (("l2", "62 % of the time ({})"), ("changed_tokens", "do not differ in it ({})")):
        options = []
        for name, rows in groups.items():
            lines = [["id", "status", column], *([row["id"], row["status"], row[column]] for row in rows)]
            (folder / f"{name}.tsv").write_text("".join("\t".join(line) + "\n" for line in lines))
            options += ["--group", f"{name}={folder / name}.tsv"]
        outputs = (
            "--output",
            folder / "tests.tsv",
            "--summary",
            folder / "summary.tsv",
            "--report",
            folder / "report.md",
        )
        run_any("compare_groups.py", *options, "--column", column, *outputs)
        first = (folder / "report.md").read_text().split("\n\n")[1]
        [interval] = re.findall(r"\((AUC .*? to .*?)\)", first)
        says(text.format(interval))
        if column == "l2":
            says(f"indels score higher than substitutions, {interval.replace(', 95 % interval ', ' (')})")


def test_tokens_of_a_substitution(groups):
    rows = groups["substitutions"]
    assert set(numbers(rows, "n_differences")) == {1}
    changed = numbers(rows, "changed_tokens")
    says(f"From {min(changed):.0f} to {max(changed):.0f}: `changed_tokens`")
    n_other = sum(row["wt_tokens"] != row["mut_tokens"] for row in rows)
    says(f"In {n_other} of the {len(rows)} pairs even the number of tokens changes")


def test_the_variants_at_the_top(variants):
    of_kinds = [[row for row in variants if (row["kind"] == "substitution") == is_of] for is_of in (True, False)]
    says(
        f"All {len(variants)} variants have a score: {len(of_kinds[0])} substitutions and {len(of_kinds[1])} insertions"
    )
    columns = re.search(r"^\| (id \| pos .*) \|$", TUTORIAL, re.M)[1].split(" | ")
    for row in of_kinds[0][:3]:
        cells = [f"{float(row[name]):.2f}" if name == "l2" else row[name] for name in columns]
        assert f"| {' | '.join(cells)} |" in TUTORIAL
    n_top = [sum(row["l2_percentile"] == "100" for row in rows) for rows in of_kinds]
    assert n_top == [2, 2] and {row["kind"] for row in of_kinds[1][:2]} == {"deletion"}
    says("Two substitutions have a percentile of 100")
    says("four rows are left, two substitutions and two deletions")
    # Each of 20 random mutations and the variant is equally likely to be the largest of the 21.
    assert {row["n_background"] for row in of_kinds[0]} == {"20"}
    says(f"about four of {len(of_kinds[0])}")
    assert round(len(of_kinds[0]) / 21) == 4
    header = list(variants[0])
    says(f"c{header.index('status') + 1}=='ok' and c{header.index('l2_percentile') + 1}==100")
    by_id = {row["id"]: row for row in variants}
    larger, other = by_id["rs5754388"], by_id["rs5749549"]
    says(f"`rs5754388` has a larger score ({float(larger['l2']):.2f}) than `rs5749549` ({float(other['l2']):.2f})")
    says(f"Percentiles come first: {larger['l2_percentile']} and {other['l2_percentile']}.")


def test_the_bases_of_a_region(run, folder, variants):
    (folder / "region.bed").write_text(REGION + "\n")
    given = "--intervals", folder / "region.bed", "--reference", TEST_DATA / "dbsnp_reference.fasta", "--flank", 100
    rows = run("mutagenesis.py", *given, "--strand", "mean")
    means = {}
    for row in rows:
        means.setdefault(row["pos"], []).append(float(row["l2"]))
    says(f"The table has {len(rows)} rows, three for each base.")
    highest = max(means, key=lambda pos: statistics.mean(means[pos]))
    of_highest = {row["alt"]: row for row in rows if row["pos"] == highest}
    strongest = max(of_highest.values(), key=lambda row: float(row["l2"]))
    says(f"the {strongest['ref']} at position {highest}, where the variant is")
    says(f"the mean of its substitutions is {statistics.mean(means[highest]):.2f}, and the strongest is ")
    says(f"{strongest['ref']} to {strongest['alt']}, {float(strongest['l2']):.2f}.")
    variant = next(row for row in variants if row["pos"] == highest)
    same = of_highest[variant["alt"]]
    says(f"at position {highest} has the score {float(same['l2']):.2f}. In the VCF it was {float(variant['l2']):.2f}.")
    says(f"{same['wt_length']} bases here, {variant['wt_length']} there")
    says(f"`position_on_strand` ({same['position_on_strand']}) and `change_on_strand` (`{same['change_on_strand']}`)")


def test_scores_and_measurements():
    """A rank correlation by hand: a smaller measured number means a larger effect, as does a smaller ratio."""
    scores = {row["id"]: row for row in read_table(TEST_DATA / "evaluate_brca1_scores.tsv")}
    measured = []
    for row in read_table(TEST_DATA / "evaluate_brca1.tsv"):
        name = f"chr{row['chromosome']}:{row['position (hg19)']}:{row['reference']}>{row['alt']}"
        measured.append((scores[name], -float(row["function.score.mean"])))
    says(f"scores of {len(scores)} mutations")
    effects = rankdata([effect for _, effect in measured])
    ratio, distance = (
        statistics.correlation(rankdata([sign * float(row[column]) for row, _ in measured]), effects)
        for column, sign in (("llr", -1), ("l2", 1))
    )
    says(
        f"(Spearman correlation {ratio:.3f}, 95 % interval 0.349 to 0.589); the correlation of `l2` is {distance:.3f}."
    )


def test_the_forms_preselect_what_the_tutorial_leaves_unchanged():
    """The options above that the tutorial does not mention are the defaults of the forms."""
    for tool, n_settings in (("score_pairs", 0), ("score_variants", 1), ("mutagenesis", 1)):
        wrapper = ElementTree.parse(ROOT / "tools" / f"dna_lm_{tool}.xml")
        macros = [found.get("macro") for found in wrapper.iter("expand")]
        assert macros.count("settings") == n_settings and "strand" not in macros
    form = ElementTree.parse(ROOT / "tools" / "macros.xml")
    [settings] = [param for param in form.iter("param") if param.get("argument") == "--settings"]
    assert [option.get("value") for option in settings if option.get("selected")] == ["recommended"]
    best = recommended.of(load(TEST_DATA / "models" / "demo-mixtral"))
    assert (best.window, best.flank, best.strand, best.scores) == (201, 100, "mean", ("l2",))
    wrapper = ElementTree.parse(ROOT / "tools" / "dna_lm_mutagenesis.xml")
    [flank] = [param for param in wrapper.iter("param") if param.get("argument") == "--flank"]
    assert flank.get("value") is None


def test_every_picture_is_there_and_is_shown():
    shown = set(re.findall(r"\(images/([a-z_]+\.png)", TUTORIAL))
    assert shown == {path.name for path in (ROOT / "docs" / "images").iterdir()} - {"demo.png"}
