"""Metrics of labelled scores against scikit-learn, scipy, a naive DeLong and simulated coverage; joining; labels."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sklearn_metrics

from conftest import TEST_DATA
from dna_lm import mutations
from dna_lm.errors import UserError
from dna_lm.evaluate import baselines, clinvar, directions, joining, labels, metrics, resampling
from dna_lm.scores import SCORES
from make_evaluation_tables import SPELLINGS
from naive_delong import naive_delong

# Few distinct values: ties, and sometimes a constant score.
VALUES = st.integers(-3, 3).map(float)


@st.composite
def labelled_scores(draw, n_scores=2):
    """(list of scores, labels) with at least five rows of either label."""
    labels = [True] * draw(st.integers(5, 12)) + [False] * draw(st.integers(5, 12))
    scores = [draw(st.lists(VALUES, min_size=len(labels), max_size=len(labels))) for _ in range(n_scores)]
    order = draw(st.permutations(range(len(labels))))
    return [np.array(score)[order] for score in scores], np.array(labels)[order]


@given(labelled_scores(3))
@settings(max_examples=60)
def test_auroc_precision_and_covariance_are_those_of_scikit_learn_and_a_naive_delong(data):
    scores, labels = data
    found = metrics.binary(scores, labels, None, 1, 3)
    areas, covariance = naive_delong(scores, labels)
    for at, score in enumerate(scores):
        fit = found.fits[at]
        assert fit.main.value == pytest.approx(sklearn_metrics.roc_auc_score(labels, score))
        assert fit.main.value == pytest.approx(areas[at])
        assert fit.average_precision.value == pytest.approx(sklearn_metrics.average_precision_score(labels, score))
        assert fit.is_constant == (len(set(score)) == 1)
        if not fit.is_constant:
            assert 0 <= fit.main.low <= fit.main.value <= fit.main.high <= 1 and fit.main.low < fit.main.high
    np.testing.assert_allclose(found.covariance, covariance, atol=1e-12)
    difference = found.difference(0, 1)
    error = math.sqrt(max(0, covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]))
    assert difference.main.value == pytest.approx(areas[0] - areas[1])
    if error > 1e-6:
        assert difference.p == pytest.approx(2 * stats.norm.sf(abs(areas[0] - areas[1]) / error))


@given(labelled_scores(1))
@settings(max_examples=40)
def test_sensitivity_is_the_largest_at_a_threshold_with_the_specificity(data):
    (score,), labels = data
    found = metrics.binary([score], labels, None, 1, 2).fits[0].sensitivities
    for specificity, value in zip(metrics.SPECIFICITIES, found, strict=True):
        allowed = [
            (score[labels] >= threshold).mean()
            for threshold in [*score, math.inf]
            if (score[~labels] < threshold).mean() >= specificity
        ]
        assert value == pytest.approx(max(allowed))


@given(labelled_scores(1), st.randoms(use_true_random=False))
@settings(max_examples=40)
def test_metrics_of_a_resample_are_those_of_its_repeated_rows(data, random):
    (score,), labels = data
    times = np.array([random.randint(0, 3) for _ in score])
    times[[np.flatnonzero(labels)[0], np.flatnonzero(~labels)[0]]] = 1
    codes = resampling.places(score)
    size = codes.max() + 1
    auroc, precision = resampling.auroc_and_precision(
        np.bincount(codes[labels], times[labels], size), np.bincount(codes[~labels], times[~labels], size)
    )
    rows = np.repeat(np.arange(len(score)), times)
    assert auroc == pytest.approx(sklearn_metrics.roc_auc_score(labels[rows], score[rows]))
    assert precision == pytest.approx(sklearn_metrics.average_precision_score(labels[rows], score[rows]))


def test_correlations_of_resamples_are_those_of_their_repeated_rows():
    rng = np.random.default_rng(3)
    x, y = rng.integers(0, 6, 60).astype(float), rng.integers(0, 9, 60) + 0.0
    found = resampling.rank_correlations([x, y], y, None, 7, 20)
    for (correlation, itself), times in zip(found, resampling.draws(60, 7, None, None, 20), strict=True):
        rows = np.repeat(np.arange(60), times)
        assert correlation == pytest.approx(stats.spearmanr(x[rows], y[rows]).statistic)
        assert itself == pytest.approx(1)


def test_resamples_keep_the_number_of_each_label_or_whole_clusters():
    labels = np.array([True] * 7 + [False] * 13)
    for times in resampling.draws(20, 1, labels, None, 30):
        assert (times[labels].sum(), times[~labels].sum()) == (7, 13)
    clusters = np.repeat(np.arange(5), 4)
    for times in resampling.draws(20, 1, labels, clusters, 30):
        assert times.sum() == 20 and all(len(set(part)) == 1 for part in times.reshape(5, 4))


def test_many_thresholds_are_put_together_and_the_metrics_stay(monkeypatch):
    rng = np.random.default_rng(4)
    labels = rng.random(5000) < 0.2
    score = rng.normal(size=5000) + labels
    fine = resampling.binary([score], labels, None, 1, 20)
    monkeypatch.setattr(resampling, "MAX_THRESHOLDS", 500)
    assert len(np.unique(resampling.places(score))) == 500
    np.testing.assert_allclose(resampling.binary([score], labels, None, 1, 20), fine, atol=5e-3)


def test_fewer_resamples_of_more_rows():
    assert resampling.n_resamples(1_000, 8) == resampling.RESAMPLES
    assert resampling.n_resamples(1_000_000, 12) == resampling.FEWEST_RESAMPLES
    assert resampling.n_resamples(100, 10, 200) == 250


# --- planted scores --------------------------------------------------------------------------------------------------

HALF = np.array([True] * 20 + [False] * 30)


def test_perfect_inverted_and_constant_scores():
    scores = [HALF + 0.0, -(HALF + 0.0), np.ones(50), np.random.default_rng(1).random(50)]
    found = metrics.binary(scores, HALF, None, 1, 200)
    perfect, inverted, constant, _ = found.fits
    assert (perfect.main.value, perfect.average_precision.value) == (1, 1) and perfect.sensitivities == (1, 1, 1)
    # As sure as 20 successes in 20 trials, not as sure as a proof.
    assert 0.8 < perfect.main.low < 0.9 and perfect.main.high == 1
    assert 0.8 < perfect.average_precision.low < 0.9 and perfect.average_precision.high == 1
    assert inverted.main.value == 0 and inverted.main.low == 0 and 0.1 < inverted.main.high < 0.2
    assert constant.main.value == 0.5 and constant.average_precision.value == 0.4 and constant.is_constant
    assert math.isnan(constant.main.low)
    # DeLong's error of both is 0: as unlikely as the rank-sum test says.
    untied = np.arange(50) * np.where(HALF, 1, -1)
    expected = stats.mannwhitneyu(untied[HALF], untied[~HALF], method="asymptotic", use_continuity=False).pvalue
    assert found.difference(0, 2).p == pytest.approx(expected)
    assert 0 < found.difference(0, 1).p < 1e-6
    assert found.difference(0, 0).p == 1
    assert found.difference(0, 3).p < 1e-6
    assert found.difference(0, 2).main.value == 0.5


@pytest.mark.parametrize(("n", "share"), [(100, 0.5), (400, 0.1)])
def test_a_random_label_has_intervals_that_hold_one_half(n, share):
    """500 seeds and five sizes gave 93.4 to 95.8 %; fewer here, with a wider margin."""
    held = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        random_labels = np.isin(np.arange(n), rng.choice(n, int(n * share), replace=False))
        interval = metrics.binary([rng.normal(size=n)], random_labels, None, seed, 2).fits[0].main
        held += interval.low <= 0.5 <= interval.high
    assert 0.91 <= held / 200 <= 0.985


def test_copies_in_a_cluster_add_no_certainty():
    rng = np.random.default_rng(5)
    labels = rng.random(60) < 0.5
    scores = [rng.normal(size=60) + labels, rng.normal(size=60)]
    alone = metrics.binary(scores, labels, None, 1, 1000)
    copied = metrics.binary(
        [np.repeat(score, 8) for score in scores], np.repeat(labels, 8), np.repeat(np.arange(60), 8), 1, 1000
    )
    for a, b in zip(alone.fits, copied.fits, strict=True):
        assert b.main.value == pytest.approx(a.main.value)
        assert b.main.high - b.main.low == pytest.approx(a.main.high - a.main.low, rel=0.2)
    assert math.log(copied.difference(0, 1).p) == pytest.approx(math.log(alone.difference(0, 1).p), rel=0.4)


def test_few_clusters_have_no_interval():
    rng = np.random.default_rng(6)
    found = metrics.binary([rng.normal(size=50), rng.normal(size=50)], HALF, np.arange(50) % 3, 1, 50)
    assert math.isnan(found.fits[0].main.low) and math.isnan(found.difference(0, 1).p)
    assert found.fits[0].main.value > 0


def test_correlations_and_their_intervals():
    rng = np.random.default_rng(8)
    numbers = rng.normal(size=80)
    scores = [numbers + rng.normal(size=80), numbers**3, -numbers, np.ones(80)]
    found = metrics.measured(scores, numbers, None, 1, 200)
    first, monotone, inverted, constant = found.fits
    rho = stats.spearmanr(scores[0], numbers).statistic
    assert first.main.value == pytest.approx(rho)
    assert first.pearson == pytest.approx(np.corrcoef(scores[0], numbers)[0, 1])
    # Bonett and Wright 2000, by hand.
    half_width = 1.959963985 * math.sqrt((1 + rho**2 / 2) / 77)
    assert first.main[1:] == pytest.approx(
        (math.tanh(math.atanh(rho) - half_width), math.tanh(math.atanh(rho) + half_width))
    )
    assert monotone.main.value == pytest.approx(1) and 0.99 < monotone.main.low < 1 == monotone.main.high
    assert inverted.main.value == pytest.approx(-1) and inverted.main.low == -1 < inverted.main.high < -0.99
    assert constant.is_constant and math.isnan(constant.main.value)
    assert found.difference(0, 2).p < 1e-10 and math.isnan(found.difference(0, 3).p)


def test_the_interval_of_a_correlation_holds_it():
    """Of normal variables with Pearson's correlation 0.5, Spearman's is 6 asin(0.25) / pi."""
    true = 6 * math.asin(0.25) / math.pi
    held = 0
    for seed in range(300):
        x, y = np.random.default_rng(seed).multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]], 60).T
        low, high = metrics.spearman_limits(stats.spearmanr(x, y).statistic, 60)
        held += low <= true <= high
    assert 0.91 <= held / 300 <= 0.98


# --- directions and baselines ----------------------------------------------------------------------------------------


def test_directions_come_from_the_registry():
    names = [(name, name) for name in [*SCORES, "l2_percentile", "llr_percentile"]]
    found = directions.of_scores(names, {})
    assert {name for name, direction in found.items() if direction == "down"} == {
        "inner_product",
        "llr",
        "llr_mean",
        "llr_percentile",
    }
    given_names = [("a:llr", "llr"), ("b:llr", "llr"), ("a:CADD", "CADD")]
    found = directions.of_scores(given_names, directions.parse(["b:llr=up", "CADD=up"]))
    assert found == {"a:llr": "down", "b:llr": "up", "a:CADD": "up"}
    with pytest.raises(UserError, match="'CADD' is not a score of this suite: say under .* \\(--direction NAME=up"):
        directions.of_scores(given_names, {})
    with pytest.raises(UserError, match="names 'phyloP', which is not one of"):
        directions.of_scores(given_names, directions.parse(["CADD=up", "phyloP=up"]))
    with pytest.raises(UserError, match="takes SCORE=up or SCORE=down, found 'llr'"):
        directions.parse(["llr"])


def test_baselines():
    alleles = [("A", "G"), ("c", "T"), ("A", "C"), ("G", "T"), ("A", "AC"), ("AC", "GT"), ("N", "A")]
    assert baselines.transversions(alleles).tolist() == [0, 0, 1, 1, 0.5, 0.5, 0.5]
    counts = {name: np.array([1.0, 2, 3]) for name in ("changed_tokens", "n_differences")}
    counts |= {"wt_length": np.array([201.0, 201, 204]), "mut_length": np.array([201.0, 204, 201])}
    other = counts | {"changed_tokens": np.array([1.0, 5, 5])}
    found = baselines.all_baselines(3, {"a": counts, "b": other}, None, 1)
    assert list(found) == ["a:changed_tokens", "b:changed_tokens", "n_differences", "length_change", "random"]
    assert found["length_change"].tolist() == [0, 3, 3]
    assert found["random"].tolist() == baselines.all_baselines(3, {}, None, 1)["random"].tolist()


# --- labels ----------------------------------------------------------------------------------------------------------


def expected_of(spelling):
    """What docs/evaluate.md says of a spelling: a label, or None."""
    return {
        "Pathogenic": 1,
        "Likely_pathogenic": 1,
        "Pathogenic/Likely_pathogenic": 1,
        "Benign": 0,
        "Likely_benign": 0,
        "Benign/Likely_benign": 0,
    }.get(spelling.partition("|")[0])


@pytest.mark.parametrize("spelling", [spelling for spelling in SPELLINGS if spelling])
def test_every_spelling_of_clinvar(spelling):
    label, reason = labels.of_clinvar([], [])(spelling)
    expected = expected_of(spelling)
    assert (None if math.isnan(label) else label) == expected
    assert (reason is None) == (expected is not None)
    assert labels.of_clinvar([], [])(spelling.replace("_", " "))[1] == reason
    for part, words in (("low_pen", "low penetrance"), ("risk_allele", "risk allele"), ("Conflicting", "conflicting")):
        if part in spelling:
            assert reason == words
    if spelling == "Uncertain_significance":
        assert reason == "uncertain"


def test_values_of_clinvar_can_be_chosen():
    read = labels.of_clinvar(["Pathogenic", "Pathogenic,_low_penetrance"], [])
    assert read("Pathogenic,_low_penetrance|other") == (1, None) and read("Benign") == (0, None)
    assert read("Likely_pathogenic")[1] == "another kind of classification"
    with pytest.raises(UserError, match="'x' is both positive and negative"):
        labels.binary(["x"], ["y", "x"])
    assert labels.binary(["-1"], ["1"])("-1") == (1, None)


def test_a_missing_classification_is_no_label():
    for text in ("", ".", " "):
        assert labels.of_clinvar([], [])(text)[1] == labels.NOT_FOUND == labels.binary(["a"], ["b"])(text)[1]
        assert labels.measured(text)[1] == labels.NOT_FOUND
    assert clinvar.reason("not_provided") == "not classified"


VCF = """##fileformat=VCFv4.2
##INFO=<ID=CLASS,Number=A,Type=String,Description="of each allele">
##INFO=<ID=CLNSIG,Number=.,Type=String,Description="of the line">
##INFO=<ID=DEPTHS,Number=R,Type=Integer,Description="of every allele">
#CHROM	POS	ID	REF	ALT	QUAL	FILTER	INFO
chr1	10	rs1	A	C,G	.	.	CLASS=good%2Cbetter,bad%3Bworse;CLNSIG=Pathogenic,_low_penetrance;DEPTHS=9,1,2
chr1	20	.	c	T	.	.	CLASS=bad%3Bworse;FLAG
"""


def rows_of(tmp_path, text, name="scores.tsv", **how):
    path = tmp_path / name
    path.write_text(text)
    return joining.read_tables([("a", str(path))], how.get("scores", ["l2"]), how.get("texts", []))


SCORED = (
    "chrom\tpos\tref\talt\tid\tl2\n1\t10\tA\tC\trs1\t1\n1\t10\tA\tG\trs1\t2\n1\t20\tC\tT\tx\t3\n1\t30\tC\tT\ty\t4\n"
)


@pytest.mark.parametrize("header_has_field", [True, False])
def test_info_of_a_vcf(tmp_path, header_has_field):
    path = tmp_path / "labels.vcf"
    path.write_text(VCF if header_has_field else VCF.replace("##INFO=<ID=CLNSIG", "##INFO=<ID=OTHER"))
    rows = rows_of(tmp_path, SCORED)
    raw = []
    found, others = labels.from_file(
        str(path), rows, "CLASS", lambda cell: (1.0, None) if not raw.append(cell) else None, ["CLNSIG", "DEPTHS"]
    )
    # One value for each allele, decoded; a field of the line is one text, with its comma.
    assert set(raw) == {"good,better", "bad;worse"}
    assert others["CLNSIG"] == ["Pathogenic,_low_penetrance", "Pathogenic,_low_penetrance", "", ""]
    assert others["DEPTHS"] == ["1", "2", "", ""]
    assert found.reasons == [None, None, None, labels.NOT_FOUND]
    assert found.found_by.startswith(
        "chrom, pos, ref and alt, with names of chromosomes in another style ('chr1' as '1'); 3 of the 3 records"
    )


@pytest.mark.parametrize(
    ("change", "column", "message"),
    [
        (("CLASS=good%2Cbetter,", "CLASS="), "CLASS", "line 6: INFO 'CLASS' has 1 values where its header"),
        (("", ""), "CLNSI", "no line of the VCF with labels has INFO 'CLNSI'; its INFO fields: 'CLASS', 'CLNSIG'"),
        (("chr1\t10\trs1\tA\tC,G", "chr1\t10\trs1\tA\tC,T"), "CLNSIG", None),
        (("\t10\t", "\t10\t\t"), "CLNSIG", "VCF, line 6: 9 columns where the header has 8"),
    ],
)
def test_info_that_cannot_be_read(tmp_path, change, column, message):
    path = tmp_path / "labels.vcf"
    path.write_text(VCF.replace(*change) if change[0] else VCF)
    arguments = str(path), rows_of(tmp_path, SCORED), column, labels.of_clinvar([], []), []
    if message is None:
        assert labels.from_file(*arguments)[0].reasons[1] == labels.NOT_FOUND
    else:
        with pytest.raises(UserError, match=message):
            labels.from_file(*arguments)


def test_two_different_labels_of_one_row_are_refused(tmp_path):
    rows = rows_of(tmp_path, "id\tl2\na\t1\nb\t2\n")
    (tmp_path / "labels.tsv").write_text("id\tclass\na\tx\nb\ty\na\tx\n")
    reading = labels.binary(["x"], ["y"])
    assert labels.from_file(str(tmp_path / "labels.tsv"), rows, "class", reading, [])[0].values.tolist() == [1, 0]
    (tmp_path / "labels.tsv").write_text("id\tclass\na\tx\nb\ty\na\ty\n")
    with pytest.raises(UserError, match="by id: lines 2 and 4 of the table with labels have different values for 'a'"):
        labels.from_file(str(tmp_path / "labels.tsv"), rows, "class", reading, [])


def test_labels_of_other_mutations_are_refused_with_an_example(tmp_path):
    rows = rows_of(tmp_path, "id\tl2\na\t1\nb\t2\n")
    (tmp_path / "labels.tsv").write_text("id\tclass\nq\tx\n")
    with pytest.raises(UserError, match="no record has the id of a row, for example 'a' in the score table and 'q'"):
        labels.from_file(str(tmp_path / "labels.tsv"), rows, "class", labels.binary(["x"], ["y"]), [])


# --- joining ---------------------------------------------------------------------------------------------------------


def joined(tmp_path, *texts, scores=("l2",)):
    paths = []
    for number, text in enumerate(texts):
        paths.append((chr(97 + number), str(tmp_path / f"{number}.tsv")))
        (tmp_path / f"{number}.tsv").write_text(text)
    return joining.read_tables(paths, list(scores), [])


def test_tables_are_joined_by_id_and_keep_every_row(tmp_path):
    rows = joined(tmp_path, "id\tl2\nx\t1\ny\t2\nz\t\n", "id\tstatus\tl2\nz\tok\t30\nx\ttoo_long\t\nq\tok\t9\n")
    assert rows.ids == ["x", "y", "z", "q"] and rows.joined_by == ["b with a: id"]
    assert [score.name for score in rows.scores] == ["a:l2", "b:l2"]
    np.testing.assert_array_equal(rows.scores[0].values, [1, 2, np.nan, np.nan])
    np.testing.assert_array_equal(rows.scores[1].values, [np.nan, np.nan, 30, 9])
    assert rows.reasons["a"] == [None, None, None, "no such row"]
    assert rows.reasons["b"] == ["too_long", "no such row", None, None]


def test_equal_ids_are_joined_by_allele_or_order_or_refused(tmp_path):
    places = "chrom\tpos\tref\talt\tid\tl2\n"
    first = places + "chr1\t5\tA\tC\trs1\t1\nchr1\t5\tA\tG\trs1\t2\n"
    rows = joined(tmp_path, first, places + "1\t5\ta\tG\trs1\t20\n1\t5\tA\tC\trs1\t10\n")
    assert rows.scores[1].values.tolist() == [10, 20]
    assert rows.joined_by == ["b with a: chrom, pos, ref and alt"]
    assert joined(tmp_path, first, first).joined_by == ["b with a: chrom, pos, ref and alt, in the same order"]
    assert joined(tmp_path, "id\tl2\nx\t1\n", "id\tl2\nx\t1\n").joined_by == ["b with a: id, in the same order"]
    with pytest.raises(
        UserError, match="cannot be joined by id: 'x' appears twice in table 'b', and not both have chrom, pos"
    ):
        joined(tmp_path, "id\tl2\nx\t1\ny\t1\n", "id\tl2\nx\t1\nx\t1\n")
    with pytest.raises(UserError, match="by id: 'x' appears twice in table 'a'"):
        joined(tmp_path, "id\tl2\nx\t1\nx\t1\n", "id\tl2\nx\t1\nx\t1\n")
    with pytest.raises(UserError, match="by id: no row in common, for example 'x' and 'y'"):
        joined(tmp_path, "id\tl2\nx\t1\n", "id\tl2\ny\t1\n")
    with pytest.raises(UserError, match="they share neither id nor chrom, pos, ref and alt"):
        joined(tmp_path, "id\tl2\nx\t1\n", "name\tl2\ny\t1\n")


def test_tables_of_every_mutation_are_joined_by_position_too(tmp_path):
    text = "id\tposition\tref\talt\tl2\nseq\t1\tA\tC\t1\nseq\t1\tA\tG\t2\n"
    rows = joined(tmp_path, text, text.replace("A\tC\t1\nseq\t1\tA\tG\t2", "A\tG\t2\nseq\t1\tA\tC\t1"))
    assert rows.scores[1].values.tolist() == [1, 2] and "id, position, ref and alt" in rows.joined_by[0]


def test_columns_of_findlay_2018_are_found():
    names = (TEST_DATA / "evaluate_brca1.tsv").read_text().split("\n")[0].split("\t")
    found = mutations.Columns(names)
    assert found.kinds == [mutations.PLACE] and found.place(mutations.PLACE) == [1, 2, 3, 4]


def test_a_score_that_no_table_has(tmp_path):
    with pytest.raises(UserError, match="has no column 'llr' .score.; its numeric columns: 'l2'"):
        joined(tmp_path, "id\tl2\nx\t1\n", scores=["l2", "llr"])
    with pytest.raises(UserError, match="has none of the scores 'CADD'; its columns: 'id', 'l2'"):
        joined(tmp_path, "id\tl2\nx\t1\n", scores=["CADD"])
    rows = joined(tmp_path, "id\tl2\nx\t1\n", "id\tllr\nx\t2\n", scores=["l2", "llr"])
    assert [score.name for score in rows.scores] == ["a:l2", "b:llr"]
