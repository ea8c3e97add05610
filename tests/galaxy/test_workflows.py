"""The workflows' tests, and what planemo does not check: a table from the chunks of many jobs is that of one job."""

import re
from pathlib import Path

import pytest
import scoring
from galaxy_server import ROOT
from galaxy_user import TEST_DATA, User, table_rows
from planemo_runs import PlanemoTest, listed_tests

WORKFLOWS = sorted((ROOT / "workflows").glob("*/*.ga"))
TESTS = [test for path in WORKFLOWS for test in listed_tests(path)]
ALL_SCORES = ["l2", "l1", "cosine_distance", "inner_product", "llr"]
CHUNK_SIZE = 70
# Pairs that no model reads and that do not differ, more than fill a chunk.
UNREADABLE = "".join(f">unreadable_{number}\nACGTNNNNACGT\n" for number in range(2 * CHUNK_SIZE))
# Lines of a VCF without an alternate allele, and of sequences that the genome does not have.
SAMPLES = "\t.\t.\t.\tGT\t0/0\t0/0\n"
UNSCORED = "".join(
    [
        *(f"chr1\t{position}\t.\tA\t.{SAMPLES}" for position in range(1500, 1520)),
        *(f"decoy_{number}\t5\t.\tA\tC{SAMPLES}" for number in range(20)),
    ]
)
VARIANT_SETTINGS = {
    "reference|genome": "made_up",
    **scoring.WITH_MODEL,
    "scores": ALL_SCORES,
    "strand": "mean",
    "background|draw": "yes",
    "background|n": 5,
}


@pytest.mark.parametrize("planemo_test", TESTS, ids=lambda test: test.name)
def test_workflow(planemo_test: PlanemoTest, planemo_results: dict) -> None:
    """A workflow's test succeeds."""
    result = planemo_results.get(planemo_test.result)
    assert result and result["status"] == "success", result


def test_every_workflow_has_a_test() -> None:
    """There are workflows, and each has a test."""
    assert WORKFLOWS and {test.path for test in TESTS} == set(WORKFLOWS)


def upload_with(user: User, name: str, addition: str, folder: Path) -> dict[str, str]:
    """Upload a file of test-data/ with more lines at its end."""
    path = folder / name
    path.write_text((TEST_DATA / name).read_text() + addition)
    return user.upload(path, path.suffix.removeprefix("."))


def test_pairs_in_chunks(user: User, tmp_path: Path) -> None:
    """The workflow in chunks gives the table of one job, also with chunks in which nothing can be read."""
    names = {role: f"snv_{role}.fasta" for role in ("wild_type", "mutant")}
    pairs = {role: upload_with(user, name, UNREADABLE, tmp_path) for role, name in names.items()}
    invocation = scoring.start_in_chunks(user, pairs, CHUNK_SIZE)
    expected = scoring.in_one_job(user, pairs)
    assert [row["status"] for row in table_rows(expected)].count("invalid_base") == 2 * CHUNK_SIZE
    assert user.workflow_output(invocation, "Scores") == expected


def test_variants_in_chunks(user: User, tmp_path: Path) -> None:
    """Chunks of a VCF with every kind of allele give table and VCF of one job, for every score.

    Some chunks have nothing to score.
    """
    variants = upload_with(user, "variants.vcf", UNSCORED, tmp_path)
    expected = user.run("dna_lm_score_variants", {"variants": variants, **VARIANT_SETTINGS})
    split = user.start("dna_lm_split", {"what|kind": "variants", "what|variants": variants, "size": 10})
    user.succeeded(split["jobs"][0]["id"])
    chunks = {"batch": True, "values": [{"src": "hdca", "id": split["output_collections"][0]["id"]}]}
    mapped = user.start("dna_lm_score_variants", {"variants": chunks, **VARIANT_SETTINGS})
    reports = [user.succeeded(job["id"])["stderr"] for job in mapped["jobs"]]
    without_score = [report for report in reports if not re.search(r"records?: .*\bok \d", report)]
    assert (len(reports), len(without_score)) == (7, 4)
    collapsed = {
        chunk["output_name"]: user.run("dna_lm_collapse", {"chunks": {"src": "hdca", "id": chunk["id"]}})["output"]
        for chunk in mapped["implicit_collections"]
        if chunk["output_name"] in ("output", "annotated")
    }
    assert collapsed == {name: expected[name] for name in ("output", "annotated")}
