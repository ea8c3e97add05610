"""Groups of records, principal components of their embeddings, and the picture of them."""

import re

import numpy as np
import pytest

from conftest import TEST_DATA, assert_refused, read_table
from dna_lm.embedding import groups, pca, scatter
from dna_lm.errors import UserError
from dna_lm.scoring.rows import EmbeddedRecord

DEMO = TEST_DATA / "models" / "demo-mixtral"
SEQUENCES, CFTR = TEST_DATA / "sequences.fasta", TEST_DATA / "cftr_wild_type.fasta"


def vectors(n, width, seed=0):
    """Correlated float32 numbers with a few strong directions."""
    rng = np.random.default_rng(seed)
    strong = rng.normal(size=(n, 6)) @ (rng.normal(size=(6, width)) * [[9], [7], [5], [4], [3], [2]])
    return (strong + 0.3 * rng.normal(size=(n, width)) + 5).astype(np.float32)


def by_svd(numbers):
    """(coordinates, variances, shares) by numpy; the largest loading of a component is positive."""
    centred = numbers.astype(np.float64) - numbers.astype(np.float64).mean(axis=0)
    _, sizes, axes = np.linalg.svd(centred, full_matrices=False)
    axes *= np.sign(axes[np.arange(len(axes)), abs(axes).argmax(axis=1)])[:, None]
    variances = sizes**2 / (len(numbers) - 1)
    return centred @ axes.T, variances, variances / variances.sum()


def collected(numbers, names=None, unread=()):
    collector = pca.Collector()
    for at, vector in enumerate(numbers):
        group = {} if names is None else {"group": names[at]}
        status = "too_long" if at in unread else "ok"
        collector.add(EmbeddedRecord(f"r{at}", status, 9, 3, "whole", vector, **group))
    return collector


# --- components ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 5), (12, 128), (200, 16), (4, 2), (30, 1), (900, 700), (600, 2000)])
def test_components_are_those_of_numpys_singular_values(shape):
    """Both ways of computing them: all of few or narrow vectors, the first of many."""
    numbers = vectors(*shape)
    found = pca.principal_components(numbers)
    coordinates, variances, shares = by_svd(numbers)
    k = min(50, shape[0] - 1, shape[1])
    assert found.coordinates.shape == (shape[0], k) and found.axes.shape == (k, shape[1])
    np.testing.assert_allclose(found.variances, variances[:k], rtol=1e-6, atol=1e-6 * variances[0])
    np.testing.assert_allclose(found.shares, shares[:k], rtol=1e-6, atol=1e-9)
    # The six strong directions: the others are nearly equal, so which is which is chance.
    strong = min(6, k)
    scale = abs(coordinates).max()
    np.testing.assert_allclose(found.coordinates[:, :strong], coordinates[:, :strong], atol=1e-5 * scale)
    np.testing.assert_allclose(
        found.coordinates, (numbers - numbers.mean(axis=0, dtype=np.float64)) @ found.axes.T, atol=1e-4 * scale
    )
    assert pca.principal_components(numbers).coordinates.tobytes() == found.coordinates.tobytes()


def test_of_many_vectors_a_sample_gives_the_axes(monkeypatch):
    numbers = vectors(3000, 20)
    monkeypatch.setattr(pca, "MOST_NUMBERS", 20 * 500)
    monkeypatch.setattr(pca, "_ROWS_AT_ONCE", 1)
    found = pca.principal_components(numbers)
    assert found.n_sampled == 500 and found.coordinates.shape == (3000, 20)
    projected = (numbers - numbers[0]).astype(np.float64) @ found.axes.T
    np.testing.assert_allclose(found.coordinates - found.coordinates[0], projected, atol=1e-4 * abs(projected).max())
    coordinates, *_ = by_svd(numbers)
    for at in range(2):
        assert abs(np.corrcoef(found.coordinates[:, at], coordinates[:, at])[0, 1]) > 0.99
    collector = collected(numbers)
    assert collector.components() is not None
    assert collector.summary().endswith("axes computed from a random sample of 500")


def test_equal_and_few_vectors_have_none():
    assert pca.principal_components(np.ones((5, 3), np.float32)) is None
    for numbers, reason in ((np.ones((5, 3)), "all embeddings are equal"), (vectors(2, 3), "at least 3 are needed")):
        collector = collected(numbers)
        assert collector.components() is None and reason in collector.summary()


def test_vectors_are_kept_on_disk():
    import tracemalloc

    tracemalloc.start()
    collector = pca.Collector()
    for at in range(2000):
        collector.add(EmbeddedRecord(str(at), "ok", 9, 3, "whole", np.full(4096, at, np.float32)))
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 2_000_000  # the vectors are 33 MB


def test_the_table_of_coordinates_has_every_record(tmp_path):
    numbers = vectors(20, 15)
    collector = collected(numbers, unread={3, 19})
    with pca.coordinates_table(tmp_path / "x.tsv", collector):
        pass
    rows = read_table(tmp_path / "x.tsv")
    assert [row["id"] for row in rows] == [f"r{at}" for at in range(20)]
    assert list(rows[0]) == ["id", "status", "length", "tokens", "ends", *(f"pc_{n}" for n in range(1, 11))]
    assert [at for at, row in enumerate(rows) if row["pc_1"] == ""] == [3, 19]
    expected, *_ = by_svd(np.delete(numbers, [3, 19], axis=0))
    found = [[float(row[f"pc_{n}"]) for n in (1, 2)] for row in rows if row["pc_1"]]
    np.testing.assert_allclose(found, expected[:, :2], atol=1e-4)


# --- groups ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "column", "expected"),
    [
        ("id\tgroup\na\tx\nb\ty\n", "group", {"a": "x", "b": "y"}),
        ("#name\tclass\na\tx\n\nb\t\n", 2, {"a": "x", "b": ""}),
        ("class\tID\nx\ta\nx\ta\n", "class", {"a": "x"}),
    ],
)
def test_groups_of_a_table(tmp_path, text, column, expected):
    (tmp_path / "g.tsv").write_text(text)
    assert groups.read_groups(tmp_path / "g.tsv", column, ["a", "z"]) == expected


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("id\tgroup\na\tx\na\ty\n", "group", "line 3: 'a' is in group 'y', and on an earlier line in group 'x'"),
        ("id\tgroup\na\tx\n\ty\n", "group", "line 3: no identifier in column 'id'"),
        ("id\tgroup\na\n", "group", "line 2: 1 field where the header has 2"),
        ("id\tgroup\na\tx\n", "class", "table of groups has no column 'class' .group.; its columns: 'id', 'group'"),
        ("id\tgroup\na\tx\n", 3, "table of groups has no column 3 .group.: it has 2 columns"),
        ("id\tgroup\na\tx\n", 1, "column 'id' has the identifiers of the records: choose"),
        ("id\tgroup\n", "group", "has a header and no rows"),
        ("", "group", "is empty"),
        # R and pandas write the numbers of rows without a name.
        ("\tname\tgroup\n1\ta\tx\n2\tb\ty\n", "group", "a column without a name has identifiers of records"),
        ("n\tchrom\tgroup\n1\t2\tx\n", "group", "several columns have identifiers of records .rows: 'n' 1, 'chrom' 1."),
        ("name\tgroup\na\tx\n", "group", "no record has an identifier of the table of groups, for example '[12]' in"),
        ("name\tgroup\n1\tx\n", 1, "column 'name' has the identifiers|no record has an identifier"),
    ],
)
def test_a_faulty_table_of_groups_is_refused(tmp_path, text, column, message):
    (tmp_path / "g.tsv").write_text(text)
    with pytest.raises(UserError, match=message):
        groups.read_groups(tmp_path / "g.tsv", column, ["1", "2"])


def test_the_column_that_has_the_identifiers_is_found_and_said(tmp_path, caplog):
    (tmp_path / "g.tsv").write_text("\tchrom\tgroup\n0\t1\tx\n1\t2\ty\n2\t3\t\n")
    found = groups.read_groups(tmp_path / "g.tsv", "group", ["1", "2", "3"])
    assert found == {"1": "x", "2": "y", "3": ""}
    assert caplog.messages == [
        "table of groups has no column 'id': the identifiers of the records are in column 'chrom' (3 rows)"
    ]


def test_a_group_called_none_is_not_that_of_records_without_a_group(run_script, tmp_path):
    table = "id\tgroup\nchr22_1\tnone\nchr22_2\tno group\nchr22_3\t\n"
    (tmp_path / "g.tsv").write_text(table)
    done = embed(run_script, "--input", SEQUENCES, "--groups", "g.tsv", "--group-column", "group")
    assert done.returncode == 0, done.stderr
    of_id = {row["id"]: row["group"] for row in read_table(tmp_path / "out.tsv")}
    assert [of_id[f"chr22_{n}"] for n in range(1, 5)] == ["none", "no group", "no group (2)", "no group (2)"]


def embed(run_script, *options):
    return run_script("embed.py", "--model", DEMO, "--output", "out.tsv", *options)


def test_files_are_groups(run_script, tmp_path):
    done = embed(run_script, "--input", SEQUENCES, "--input", f"CFTR exon={CFTR}", "--coordinates", "out.c")
    assert done.returncode == 0, done.stderr
    rows = read_table(tmp_path / "out.tsv")
    assert [row["group"] for row in rows] == ["sequences"] * 12 + ["CFTR exon"] * 2
    # The vectors are those of each file alone.
    embed(run_script, "--input", CFTR)
    alone = read_table(tmp_path / "out.tsv")
    assert "group" not in alone[0]
    assert [{name: row[name] for name in alone[0]} for row in rows[12:]] == alone


def test_a_column_says_the_group_of_records_of_all_files(run_script, tmp_path):
    anndata = pytest.importorskip("anndata")
    table = "--groups", TEST_DATA / "embed_groups.tsv", "--group-column", "species"
    done = embed(run_script, "--input", SEQUENCES, "--input", CFTR, *table, "--format", "h5ad", "--picture", "out.png")
    assert "3 of 14 records are not in the table of groups" in done.stderr
    data = anndata.read_h5ad(tmp_path / "out.tsv")
    assert list(data.obs["group"]) == [*"aabbaac", "c", "c", "c", "c", "none", "none", "none"]
    coordinates, variances, shares = by_svd(data.X)
    assert data.obsm["X_pca"].shape == (14, 13) and data.varm["PCs"].shape == (128, 13)
    np.testing.assert_allclose(data.obsm["X_pca"][:, :4], coordinates[:, :4], atol=1e-4 * abs(coordinates).max())
    np.testing.assert_allclose(data.uns["pca"]["variance_ratio"], shares[:13], atol=1e-6)
    np.testing.assert_allclose(data.uns["pca"]["variance"], variances[:13], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "give the sequences: --input FASTA"),
        (["--input", SEQUENCES, "--groups", TEST_DATA / "embed_groups.tsv"], "--groups needs --group-column"),
        (["--input", SEQUENCES, "--group-column", "x"], "--group-column has no effect without --groups"),
        (["--input", SEQUENCES, "--group-column-number", 2], "--group-column-number has no effect without --groups"),
        (["--input", SEQUENCES, "--picture-format", "svg"], "--picture-format has no effect without --picture"),
        (["--input", SEQUENCES, "--input", f"sequences={CFTR}"], "two files are called 'sequences'"),
        (["--input", SEQUENCES, "--input", f"={CFTR}"], "has an empty label"),
        (
            ["--input", CFTR, "--groups", TEST_DATA / "embed_groups.tsv", "--group-column", "class"],
            "no record has an identifier of the table of groups, for example 'chr22_1' in the table and 'ATT_to_ATA'",
        ),
        (["--input", SEQUENCES, "--input", TEST_DATA / "bad_protein.fasta"], "FASTA 'bad_protein', record"),
    ],
)
def test_options_that_do_not_fit_are_refused(run_script, tmp_path, options, message):
    assert_refused(embed(run_script, *options), message, tmp_path)


# --- the picture -----------------------------------------------------------------------------------------------------


def texts_of(path):
    return re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text())


def drawn(tmp_path, collector, file_format="svg"):
    path = tmp_path / f"x.{file_format}"
    with scatter.picture(path, collector, file_format):
        pass
    return path


def test_axes_and_legend_say_what_is_shown(tmp_path):
    names = ["<b>", "$x_1$", "_hidden", "none"] * 10
    numbers = vectors(40, 30)
    texts = texts_of(drawn(tmp_path, collected(numbers, names, unread={4})))
    *_, shares = by_svd(np.delete(numbers, 4, axis=0))
    for number in (1, 2):
        assert f"Principal component {number} ({shares[number - 1] * 100:.1f} % of the variance)" in texts
    for text in ("&lt;b&gt; (9)", "$x_1$ (10)", "_hidden (10)", "no group (10)", "Without an embedding, not drawn: 1."):
        assert text in texts


def test_twelve_groups_can_be_told_apart_and_more_are_said(tmp_path):
    numbers = vectors(260, 30)
    for n_groups in (12, 13, 40):
        names = [f"group {at % n_groups if at < 240 else 0}" for at in range(260)]
        texts = texts_of(drawn(tmp_path, collected(numbers, names)))
        shown = [text for text in texts if text.startswith("group ")]
        assert len(shown) == 12
        others = [text for text in texts if "other group" in text]
        said = f"Coloured: the 12 largest of {n_groups} groups." in texts
        assert bool(others) == said == (n_groups > 12)
    looks = {(colour, marker) for marker in scatter._MARKERS for colour in scatter._GROUP_COLOURS}
    assert len(looks) >= scatter.MOST_GROUPS
    assert not looks & {scatter._OTHER, scatter._NO_GROUP}


def test_long_names_that_would_look_alike_get_numbers(tmp_path):
    names = [f"{'a' * 40}{at % 2}{'b' * 40}" for at in range(20)]
    shown = [text for text in texts_of(drawn(tmp_path, collected(vectors(20, 5), names))) if "…" in text]
    assert len(shown) == len(set(shown)) == 2


def test_thousands_of_points_are_one_picture_in_a_vector_file(tmp_path, monkeypatch):
    monkeypatch.setattr(scatter, "_MOST_SHAPES", 50)
    monkeypatch.setattr(scatter, "MOST_POINTS", 80)
    path = drawn(tmp_path, collected(vectors(100, 6)))
    assert "<image" in path.read_text()
    assert "Drawn: a random sample of 80 of 100 records." in texts_of(path)


@pytest.mark.parametrize("file_format", ["png", "svg", "pdf"])
def test_the_same_records_give_the_same_file(tmp_path, file_format):
    files = [drawn(tmp_path, collected(vectors(50, 8), ["a", "b"] * 25), file_format).read_bytes() for _ in range(2)]
    assert files[0] == files[1]


@pytest.mark.parametrize("numbers", [vectors(2, 5), np.ones((9, 5)), vectors(9, 1)], ids=["few", "equal", "one wide"])
def test_a_picture_is_drawn_of_whatever_there_is(tmp_path, numbers):
    texts = " ".join(texts_of(drawn(tmp_path, collected(numbers))))
    assert "components of" in texts or "Principal component 2 (0.0 %" in texts
