"""Variants in the order of their impact: the sorted table and the largest scores, next to plain sorting."""

import random
from types import SimpleNamespace

import pytest

from conftest import TEST_DATA, read_table
from dna_lm.scoring.rows import Counts
from dna_lm.variants import ranking, sinks
from dna_lm.variants.source import VariantRow

DEMO = TEST_DATA / "models" / "demo-mixtral"
VARIANTS = "--variants", TEST_DATA / "variants.vcf", "--reference", TEST_DATA / "reference.fasta"
# A larger number means more change, or a smaller one.
GROWS = {"l2": True, "cosine_distance": True, "llr": False, "inner_product": False}


def kind_of(row):
    """From the spelling in the table: what is left without the bases that both alleles share."""
    ref, alt = row["ref"].upper(), row["alt"].upper()
    while ref and alt and ref[-1] == alt[-1]:
        ref, alt = ref[:-1], alt[:-1]
    while ref and alt and ref[0] == alt[0]:
        ref, alt = ref[1:], alt[1:]
    if len(ref) == len(alt):
        return "substitution"
    return "insertion" if not ref else "deletion" if not alt else "combination"


def sorted_by_hand(rows, score):
    """By one criterion after the other, the least important one first: Python's sort keeps the order of equal rows."""
    rows = list(rows)
    percentile = f"{score}_percentile"
    criteria = [score, percentile] if percentile in rows[0] else [score]
    for name in criteria:
        rows.sort(key=lambda row: float(row[name] or 0), reverse=GROWS[score])
    if len(criteria) == 2:
        rows.sort(key=lambda row: row[percentile] == "")
    rows.sort(key=lambda row: row["status"] == "ok" and kind_of(row) != "substitution")
    rows.sort(key=lambda row: row["status"] != "ok")
    return rows


@pytest.mark.parametrize(
    ("scores", "options"),
    [
        (["l2"], []),
        (["llr", "l2"], []),
        (["inner_product"], ["--regions", TEST_DATA / "regions.bed"]),
        (["l2", "llr"], ["--background", 12, "--background-width", 5]),
        (["llr"], ["--background", 12, "--same-change", "--background-width", 201]),
    ],
)
def test_a_sorted_table_has_the_largest_impact_first(run_script, tmp_path, scores, options):
    tables = []
    for order in ("vcf", "impact"):
        output = tmp_path / f"{order}.tsv"
        done = run_script(
            *("score_variants.py", "--model", DEMO, *VARIANTS, "--scores", *scores, *options),
            *("--sort", order, "--output", output, "--output-vcf", tmp_path / f"{order}.vcf"),
        )
        assert done.returncode == 0, done.stderr
        tables.append(read_table(output))
        assert output.read_text().endswith("\n")
    plain, ranked = tables
    assert ranked == sorted_by_hand(plain, scores[0]) != plain
    scored = [row for row in ranked if row["status"] == "ok"]
    assert ranked[: len(scored)] == scored and len(ranked) > len(scored) > 15
    # Copies and spellings of one variant have equal scores: they keep the order of the VCF.
    assert [row["id"] for row in scored if row["id"] in ("snv", "twice")] == ["snv", "twice"]
    for row in plain:
        assert row["kind"] == (kind_of(row) if row["window_start"] else "")
    assert {row["kind"] for row in scored} == {"substitution", "insertion", "deletion", "combination"}
    # The VCF keeps its order.
    assert (tmp_path / "vcf.vcf").read_bytes() == (tmp_path / "impact.vcf").read_bytes()


def test_the_table_of_a_chunk_keeps_its_order(run_script, tmp_path):
    """Otherwise tables put together would be sorted in parts."""
    done = run_script("split.py", *VARIANTS[:2], "--size", 100, "--output", tmp_path / "chunks")
    (chunk,) = (tmp_path / "chunks" / "variants").iterdir()
    command = "score_variants.py", "--model", DEMO, *VARIANTS[2:]
    done = run_script(*command, "--variants", chunk, "--sort", "impact", "--output", tmp_path / "chunk.tsv")
    assert done.returncode == 0 and "this VCF is a chunk, so its table keeps the order" in done.stderr
    run_script(*command, *VARIANTS[:2], "--output", tmp_path / "whole.tsv")
    # The last column of a chunk's table is its mark.
    lines = [line.rpartition("\t")[0] for line in (tmp_path / "chunk.tsv").read_text().splitlines()]
    assert lines == (tmp_path / "whole.tsv").read_text().splitlines()


def row(name, l2, percentile=None, kind="substitution", status="ok"):
    allele = SimpleNamespace(kind=kind)
    return VariantRow(name, status, {"l2": l2}, Counts(1, 1), allele=allele, percentiles={"l2": percentile})


def cells(row):
    return {"id": row.id, **sinks.scored_cells(row), "kind": row.allele.kind}


def test_the_largest_are_those_of_the_sorted_table(tmp_path):
    """Of many rows with many equal numbers, in any order; none is kept that is not among them."""
    letters = random.Random(1)
    rows = []
    for number in range(2000):
        percentile = letters.choice([None, 0.0, 50.0, 97.5, 100.0])
        l2 = float(letters.randrange(20))
        kind = letters.choice(["substitution", "insertion", "deletion", "combination"])
        status = letters.choice(["ok", "ok", "ok", "too_long"])
        rows.append(row(str(number), *((l2, percentile) if status == "ok" else (None, None)), kind, status))
    largest = {group: ranking.Largest(20, "l2") for group in (ranking.SUBSTITUTIONS, ranking.INDELS)}
    with ranking.ranked_table(tmp_path / "table.tsv", "l2", cells) as write:
        for each in rows:
            write(each)
            if each.status == "ok":
                largest[ranking.group_of(each)].add(each)
    written = read_table(tmp_path / "table.tsv")
    assert len(written) == len(rows)
    scored = [each for each in written if each["status"] == "ok"]
    for group, top in largest.items():
        same = [each["id"] for each in scored if (each["kind"] != "substitution") == (group == ranking.INDELS)]
        assert [each.id for each in top.rows()] == same[:20]
        assert len(top._heap) == 20
    assert [each["id"] for each in written[len(scored) :]] == [each.id for each in rows if each.status != "ok"]


def test_numbers_are_ordered_as_they_are_shown(tmp_path):
    """Two scores that differ in a digit that the table does not have are equal: they keep their order."""
    rows = [row("a", 1.0), row("b", 1.0 + 1e-12), row("c", 2.0), row("d", -0.0), row("e", 0.0)]
    with ranking.ranked_table(tmp_path / "table.tsv", "l2", cells) as write:
        for each in rows:
            write(each)
    assert [each["id"] for each in read_table(tmp_path / "table.tsv")] == ["c", "a", "b", "d", "e"]
