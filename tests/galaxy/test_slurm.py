"""Jobs of a real Galaxy on a real Slurm, sent by the sample rules of docs/admin/; some are killed.

As root, with Debian's packages slurm-wlm and munge.
"""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import scoring
import yaml
from galaxy_server import ROOT, Server, new_folder, running_galaxy
from galaxy_user import User, new_user, wait_until
from slurm_cluster import Slurm, running_slurm, slurm

WORK_DIR = ROOT / ".galaxy" / "slurm"
ADMIN = ROOT / "docs" / "admin"
WAIT_SECONDS = 300
N_CHUNKS = 4
# These rules come after the sample's. This machine has fewer processors than the sample's jobs ask for. A Celery worker
# with Galaxy's metadata code loaded saves each job the minute to import it; then a job's metadata and its end are two
# tasks, which one worker of the runner does in this order, while two workers would race.
RULES = {
    "tools": {f"(.*/)?{scoring.TOOL}(/.*)?": {"cores": 1}},
    "destinations": {"slurm": {"abstract": True, "params": {"embed_metadata_in_job": False}}},
}
N_WORKERS = 1


def job_configuration(folder: Path) -> dict:
    """The sample job configuration and rules, and the test's rules after them."""
    configuration = yaml.safe_load((ADMIN / "job_conf.yml").read_text())
    configuration["runners"]["slurm"]["workers"] = N_WORKERS
    rules = folder / "tpv.yml"
    rules.write_text(yaml.safe_dump(RULES))
    dispatcher = configuration["execution"]["environments"]["tpv_dispatcher"]
    dispatcher["tpv_config_files"] = [str(ADMIN / "tpv_site.yml"), str(ADMIN / "tpv.yml"), str(rules)]
    return configuration


class Cluster(NamedTuple):
    """A Galaxy with one user, the Slurm behind it, and the score table of the user's pairs."""

    server: Server
    slurm: Slurm
    user: User
    pairs: dict
    expected: bytes

    def start_scoring(self) -> tuple[str, str]:
        """Start to score all pairs in one job; returns Galaxy's identifiers of job and output."""
        started = self.user.start(scoring.TOOL, {**self.pairs, **scoring.WITH_MODEL})
        return started["jobs"][0]["id"], started["outputs"][0]["id"]

    def slurm_id(self, job: str) -> str | None:
        """Slurm's identifier of a Galaxy job, which only the administrator sees."""
        return self.server.admin.jobs.show_job(job, full_details=True)["external_id"]

    def scoring_process(self, job: str) -> tuple[str, int]:
        """Wait until the scoring script of a Galaxy job runs; returns the Slurm job and the script's process."""

        def process() -> tuple[str, int] | None:
            slurm_id = self.slurm_id(job)
            for pid in self.slurm.processes_of(slurm_id) if slurm_id else ():
                arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                if b"python" in arguments[0] and any(part.endswith(b"score_pairs.py") for part in arguments):
                    return slurm_id, pid
            return None

        return wait_until(process, WAIT_SECONDS, f"the start of job {job}")

    def record(self, slurm_id: str) -> dict[str, str]:
        """What Slurm recorded of a job, once it has ended."""
        return wait_until(lambda: self.slurm.completed_jobs().get(slurm_id), 60, f"the end of Slurm job {slurm_id}")

    def assert_failed_and_empty(self, job: str, output: str) -> None:
        """A job has failed, with a message, and left no half output."""
        ended = self.user.ended(job)
        dataset = self.user.gi.datasets.show_dataset(output)
        assert (ended["state"], dataset["state"], dataset["file_size"]) == ("error", "error", 0)
        assert dataset["misc_info"] or ended["stderr"]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A Galaxy whose jobs go to Slurm."""
    folder = new_folder(WORK_DIR)
    with running_slurm(folder) as running, running_galaxy(folder, job_conf=job_configuration(folder)) as server:
        user = new_user(server)
        pairs = user.upload_pairs("snv")
        yield Cluster(server, running, user, pairs, scoring.in_one_job(user, pairs))


def jobs_of(user: User, invocation: str, tool: str) -> list[dict[str, Any]]:
    """The jobs that a tool has in a workflow's invocation."""
    return user.gi.jobs.get_jobs(invocation_id=invocation, tool_id=tool)


def test_workflow(cluster: Cluster) -> None:
    """Chunks are scored in the partition with the GPU, the rest runs in the other; the table is that of one job."""
    user = cluster.user
    invocation = scoring.start_in_chunks(user, cluster.pairs, size=scoring.N_PAIRS // N_CHUNKS)
    table = user.workflow_output(invocation, "Scores")
    partitions = {
        tool: [cluster.record(cluster.slurm_id(job["id"]))["Partition"] for job in jobs_of(user, invocation, tool)]
        for tool in ("dna_lm_split", scoring.TOOL, "dna_lm_collapse")
    }
    assert partitions == {"dna_lm_split": ["cpu"], scoring.TOOL: ["gpu"] * N_CHUNKS, "dna_lm_collapse": ["cpu"]}
    assert table == cluster.expected


def test_killed_for_memory(cluster: Cluster) -> None:
    """A script that is killed, as Linux does when memory runs out, runs again elsewhere, with twice the memory."""
    job, output = cluster.start_scoring()
    first, pid = cluster.scoring_process(job)
    os.kill(pid, signal.SIGKILL)
    cluster.user.succeeded(job)
    second = cluster.slurm_id(job)
    assert second != first
    records = [cluster.record(slurm_id) for slurm_id in (first, second)]
    assert [record["Partition"] for record in records] == ["gpu", "cpu"]
    assert "mem=4G" in records[0]["Tres"] and "mem=8G" in records[1]["Tres"]
    assert cluster.user.content(output) == cluster.expected


def test_cancelled_chunk(cluster: Cluster) -> None:
    """A chunk whose job is cancelled in Slurm fails; run again in its place, the workflow ends with the same table."""
    user = cluster.user
    invocation = scoring.start_in_chunks(user, cluster.pairs, size=scoring.N_PAIRS // N_CHUNKS)

    def all_chunks() -> list[dict[str, Any]] | None:
        jobs = jobs_of(user, invocation, scoring.TOOL)
        return jobs if len(jobs) == N_CHUNKS else None

    cancelled = wait_until(all_chunks, WAIT_SECONDS, "the start of all chunks")[0]["id"]
    slurm_id, _pid = cluster.scoring_process(cancelled)
    slurm("scancel", slurm_id)
    cluster.assert_failed_and_empty(cancelled, user.gi.jobs.show_job(cancelled)["outputs"]["output"]["id"])
    user.gi.jobs.rerun_job(cancelled, remap=True)
    assert user.workflow_output(invocation, "Scores") == cluster.expected


def test_lost_node(cluster: Cluster) -> None:
    """A job whose node is lost fails; once the node is back, the same job gives the same table."""
    job, output = cluster.start_scoring()
    cluster.scoring_process(job)
    node = f"NodeName={cluster.slurm.node}"
    slurm("scontrol", "update", node, "State=DOWN", "Reason=test")
    try:
        cluster.assert_failed_and_empty(job, output)
    finally:
        slurm("scontrol", "update", node, "State=RESUME")
    assert scoring.in_one_job(cluster.user, cluster.pairs) == cluster.expected
