"""Run the workflows' tests in a real Galaxy, check that splitting changes nothing, and end with `N passed, N failed`.

The checks that planemo does not make: a table put together from the chunks of many jobs is, byte for byte, that of one
job with everything.
"""

import json
import re
import shutil
import sys

from galaxy_client import Client
from galaxy_server import ROOT, GalaxyError, running_galaxy
from run_tool_tests import run_planemo

WORK_DIR = ROOT / ".galaxy" / "workflows"
TEST_DATA = ROOT / "test-data"
WORKFLOWS = sorted((ROOT / "workflows").glob("*/*.ga"))
IN_CHUNKS = ROOT / "workflows/score-mutations-in-chunks/score-mutations-in-chunks.ga"
MODEL = "dna-lm/demo-mixtral"
ALL_SCORES = ["l2", "l1", "cosine_distance", "inner_product", "llr"]
JOB_SECONDS = 600


# Pairs that no model reads, as many as fill a chunk of the checks.
CHUNK_SIZE = 70
UNREADABLE = "".join(f">unreadable_{number}\nACGTNNNNACGT\n" for number in range(2 * CHUNK_SIZE))


def upload_pairs(client):
    names = {"wild_type": "snv_wild_type.fasta", "mutant": "snv_mutant.fasta"}
    return {role: client.upload(TEST_DATA / name, "fasta") for role, name in names.items()}


def upload_pairs_with_unreadable_chunk(client):
    """The same pairs; after them more than a chunk in which nothing can be read and nothing differs."""
    uploaded = {}
    for role, name in {"wild_type": "snv_wild_type.fasta", "mutant": "snv_mutant.fasta"}.items():
        path = WORK_DIR / f"with_unreadable_{name}"
        path.write_text((TEST_DATA / name).read_text() + UNREADABLE)
        uploaded[role] = client.upload(path, "fasta")
    return uploaded


def upload_variants_with_unscored_chunks(client):
    """Every kind of allele; after them a run of lines without an alternate allele, and decoy sequences at the end."""
    text = (TEST_DATA / "variants.vcf").read_text()
    rest = "\t.\t.\t.\tGT\t0/0\t0/0\n"
    text += "".join(f"chr1\t{pos}\t.\tA\t.{rest}" for pos in range(1500, 1520))
    text += "".join(f"decoy_{number}\t5\t.\tA\tC{rest}" for number in range(20))
    path = WORK_DIR / "with_decoys.vcf"
    path.write_text(text)
    return client.upload(path, "vcf")


def start_in_chunks(client, pairs, size):
    """Start the workflow that scores in chunks; returns its invocation."""
    inputs = {
        "Wild-type sequences": pairs["wild_type"],
        "Mutant sequences": pairs["mutant"],
        "Pairs in a chunk": size,
        "DNA language model": MODEL,
    }
    return client.invoke(json.loads(IN_CHUNKS.read_text()), inputs)


def score_in_one_job(client, pairs):
    """The score table of one job with all pairs, as bytes."""
    return output_of(client, "dna_lm_score_pairs", {**pairs, "model|installed": MODEL})["output"]


def output_of(client, tool, inputs):
    """Run a tool to its end; returns its datasets, name -> bytes."""
    started = client.run(tool, inputs)
    job = client.wait_for_job(started["jobs"][0]["id"], JOB_SECONDS)
    if job["state"] != "ok":
        raise GalaxyError(f"{tool} ended as {job['state']}: {job['stderr']}")
    return {output["output_name"]: client.content(output["id"]) for output in started["outputs"]}


def check_workflow(client):
    """The workflow's table equals that of one job, also with chunks in which nothing can be read."""
    pairs = upload_pairs_with_unreadable_chunk(client)
    invocation = start_in_chunks(client, pairs, CHUNK_SIZE)
    expected = score_in_one_job(client, pairs)
    table = client.wait_for_output(invocation, "Scores", JOB_SECONDS)
    rows = [row.split(b"\t") for row in expected.splitlines()]
    n_unreadable = sum(row[1] == b"invalid_base" for row in rows)
    return n_unreadable == 2 * CHUNK_SIZE and client.content(table["id"]) == expected


def check_variants(client):
    """Chunks of a VCF with every kind of allele: table and annotated VCF equal those of one job, for every score.

    Some chunks have nothing to score.
    """
    variants = upload_variants_with_unscored_chunks(client)
    settings = {
        "reference|genome": "made_up",
        "model|installed": MODEL,
        "scores": ALL_SCORES,
        "method|strand": "mean",
        "background|draw": "yes",
        "background|n": 5,
    }
    expected = output_of(client, "dna_lm_score_variants", {"variants": variants, **settings})
    split = client.run("dna_lm_split", {"what|kind": "variants", "what|variants": variants, "size": 10})
    client.wait_for_job(split["jobs"][0]["id"], JOB_SECONDS)
    chunks = {"src": "hdca", "id": split["output_collections"][0]["id"]}
    mapped = client.run("dna_lm_score_variants", {"variants": {"batch": True, "values": [chunks]}, **settings})
    ended = [client.wait_for_job(job["id"], JOB_SECONDS) for job in mapped["jobs"]]
    n_without_score = sum(not re.search(r"records?: .*\bok \d", job["stderr"]) for job in ended)
    together = {
        collection["output_name"]: output_of(
            client, "dna_lm_collapse", {"chunks": {"src": "hdca", "id": collection["id"]}}
        )["output"]
        for collection in mapped["implicit_collections"]
    }
    return len(ended) == 7 and n_without_score == 4 and together == expected


CHECKS = {"the workflow in chunks equals one job": check_workflow, "a VCF in chunks equals one job": check_variants}


def main():
    shutil.rmtree(WORK_DIR, ignore_errors=True)
    passed = failed = 0
    try:
        with running_galaxy(WORK_DIR) as server:
            results = run_planemo(server, WORKFLOWS, ROOT / ".galaxy" / "reports", "workflow_tests")
            for workflow in WORKFLOWS:
                tests = {name: result["status"] for name, result in results.items() if name.startswith(workflow.name)}
                n_passed = list(tests.values()).count("success")
                passed += n_passed
                failed += max(len(tests), 1) - n_passed
                print(workflow.name, tests or "never ran")
            client = Client(server)
            for name, check in CHECKS.items():
                is_right = check(client)
                passed, failed = passed + is_right, failed + (not is_right)
                print("ok    " if is_right else "FAILED", name, flush=True)
    except GalaxyError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted")
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
