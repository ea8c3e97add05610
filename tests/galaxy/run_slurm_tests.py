"""Send jobs from a real Galaxy to a real Slurm, by the sample rules of docs/admin/, and kill some of them.

Ends with a line `N passed, N failed`. As root, with Debian's packages slurm-wlm and munge.
"""

import contextlib
import os
import shutil
import signal
from pathlib import Path

import checks
import yaml
from galaxy_client import ENDED, Client
from galaxy_server import ROOT, api, running_galaxy
from run_workflow_tests import MODEL, score_in_one_job, start_in_chunks, upload_pairs
from slurm_cluster import completed_jobs, processes_of, running_slurm, slurm

WORK_DIR = ROOT / ".galaxy" / "slurm"
ADMIN = ROOT / "docs" / "admin"
JOB_SECONDS = 300
SCORING = "dna_lm_score_pairs"
N_CHUNKS = 4
# Over the sample's rules: this machine's processors are fewer than its jobs would have, and a Celery worker that has
# Galaxy's metadata code loaded saves each job the minute to import it. A job's metadata and its end then are two things
# to do, which one worker of the runner does one after the other; two workers would race.
RULES = {
    "tools": {f"(.*/)?{SCORING}(/.*)?": {"cores": 1}},
    "destinations": {"slurm": {"params": {"embed_metadata_in_job": False}}},
}
N_WORKERS = 1


def job_configuration(folder):
    """The sample configuration with its rules, and the test's own over them."""
    configuration = yaml.safe_load((ADMIN / "job_conf.yml").read_text())
    configuration["runners"]["slurm"]["workers"] = N_WORKERS
    own_rules = folder / "tpv.yml"
    own_rules.write_text(yaml.safe_dump(RULES))
    dispatcher = configuration["execution"]["environments"]["tpv_dispatcher"]
    dispatcher["tpv_config_files"] = [str(ADMIN / "tpv.yml"), str(own_rules)]
    return configuration


class Cluster:
    """A Galaxy with one user, the Slurm behind it, and a table to compare with."""

    def __init__(self, server, folder, node):
        self.server, self.folder, self.node = server, folder, node
        self.client = Client(server)
        self.pairs = upload_pairs(self.client)
        self.expected = score_in_one_job(self.client, self.pairs)

    def start_scoring(self):
        """Start a scoring job of all pairs; returns Galaxy's identifiers of job and output."""
        started = self.client.run(SCORING, {**self.pairs, "model|installed": MODEL})
        return started["jobs"][0]["id"], started["outputs"][0]["id"]

    def job(self, job):
        """What Galaxy tells its administrator of a job."""
        return api(self.server, f"/api/jobs/{job}?full=true")

    def scoring_process(self, job):
        """Wait until the scoring script of a Galaxy job runs; returns the Slurm job and the script's process."""

        def found():
            slurm_id = self.job(job)["external_id"]
            for pid in processes_of(slurm_id) if slurm_id else ():
                arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                if b"python" in arguments[0] and any(part.endswith(b"score_pairs.py") for part in arguments):
                    return slurm_id, pid
            return None

        return self.client.wait(found, JOB_SECONDS, f"the start of job {job}")

    def ended(self, slurm_id):
        """What Slurm wrote down of a job that has ended."""
        return self.client.wait(
            lambda: completed_jobs(self.folder).get(slurm_id), 60, f"the end of Slurm job {slurm_id}"
        )

    def is_red_and_empty(self, job, output):
        """Whether a job failed, with a message, and left no half output."""
        ended = self.client.wait_for_job(job, JOB_SECONDS)
        dataset = self.client.get(f"/api/datasets/{output}")
        message = dataset["misc_info"] or ended["stderr"]
        print(f"    Galaxy says: {ended['state']}, {message!r}, {dataset['file_size']} bytes")
        return ended["state"] == "error" and dataset["state"] == "error" and bool(message) and not dataset["file_size"]


def check_workflow(cluster):
    """Four chunks are four jobs in the partition with the GPU, the rest in the other; the table is that of one job."""
    client = cluster.client
    invocation = start_in_chunks(client, cluster.pairs, size=200 // N_CHUNKS)
    table = client.wait_for_output(invocation, "Scores", JOB_SECONDS)
    partitions = {}
    for job in client.get("/api/jobs", invocation_id=invocation):
        slurm_id = cluster.job(job["id"])["external_id"]
        partitions.setdefault(job["tool_id"], []).append(cluster.ended(slurm_id)["Partition"])
    print(f"    {partitions}")
    wanted = {"dna_lm_split": ["cpu"], SCORING: ["gpu"] * N_CHUNKS, "dna_lm_collapse": ["cpu"]}
    return partitions == wanted and client.content(table["id"]) == cluster.expected


def check_cancelled_chunk(cluster):
    """A chunk whose job is cancelled in Slurm is red; run again in its place, the workflow ends with the same table."""
    client = cluster.client
    invocation = start_in_chunks(client, cluster.pairs, size=200 // N_CHUNKS)

    def scoring_jobs():
        return [job["id"] for job in client.get("/api/jobs", invocation_id=invocation) if job["tool_id"] == SCORING]

    client.wait(lambda: len(scoring_jobs()) == N_CHUNKS, JOB_SECONDS, "the mapped jobs")
    killed = scoring_jobs()[0]
    slurm_id, _pid = cluster.scoring_process(killed)
    slurm("scancel", slurm_id)
    was_red = cluster.is_red_and_empty(killed, client.get(f"/api/jobs/{killed}")["outputs"]["output"]["id"])
    inputs = {
        name: {"src": "hda", "id": value["id"]} for name, value in client.get(f"/api/jobs/{killed}")["inputs"].items()
    }
    client.run(SCORING, {**inputs, "model|installed": MODEL, "rerun_remap_job_id": killed})
    table = client.wait_for_output(invocation, "Scores", JOB_SECONDS, but_not="paused")
    return was_red and client.content(table["id"]) == cluster.expected


def check_killed_for_memory(cluster):
    """A script that is killed, as Linux does when memory runs out, is sent again: elsewhere, with twice the memory."""
    job, output = cluster.start_scoring()
    first, pid = cluster.scoring_process(job)
    os.kill(pid, signal.SIGKILL)

    def is_sent_again_or_lost():
        now = cluster.job(job)
        return now["external_id"] not in (None, first) or now["state"] in ENDED

    cluster.client.wait(is_sent_again_or_lost, JOB_SECONDS, "the second try")
    ended = cluster.client.wait_for_job(job, JOB_SECONDS)
    tries = [cluster.ended(slurm_id) for slurm_id in (first, cluster.job(job)["external_id"])]
    asked = [(jobs["Partition"], jobs["Tres"]) for jobs in tries]
    print(f"    {asked}")
    partitions, memories = zip(*asked, strict=True)
    is_larger = partitions == ("gpu", "cpu") and "mem=4G" in memories[0] and "mem=8G" in memories[1]
    return is_larger and ended["state"] == "ok" and cluster.client.content(output) == cluster.expected


def check_lost_node(cluster):
    """A job whose node is lost is red; once the node is back, the same job gives the same table."""
    job, output = cluster.start_scoring()
    cluster.scoring_process(job)
    slurm("scontrol", "update", f"NodeName={cluster.node}", "State=DOWN", "Reason=test")
    try:
        was_red = cluster.is_red_and_empty(job, output)
    finally:
        slurm("scontrol", "update", f"NodeName={cluster.node}", "State=RESUME")
    print("    the node is", slurm("sinfo", "--noheader", f"--nodes={cluster.node}", "--format=%t").split()[0])
    return was_red and score_in_one_job(cluster.client, cluster.pairs) == cluster.expected


CHECKS = {
    "workflow 3 on Slurm: two partitions, the table of one job": check_workflow,
    "a job that ran out of memory is sent again with more": check_killed_for_memory,
    "a cancelled job of the workflow is red and can be run again": check_cancelled_chunk,
    "a job whose node is lost is red and can be run again": check_lost_node,
}


@contextlib.contextmanager
def running_cluster():
    shutil.rmtree(WORK_DIR, ignore_errors=True)
    WORK_DIR.mkdir(parents=True)
    with running_slurm(WORK_DIR) as node, running_galaxy(WORK_DIR, job_conf=job_configuration(WORK_DIR)) as server:
        yield Cluster(server, WORK_DIR, node)


if __name__ == "__main__":
    checks.main(__doc__, CHECKS, running_cluster)
