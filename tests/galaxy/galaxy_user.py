"""A user of a running Galaxy who uploads files, runs tools and workflows, and reads the outputs, by way of bioblend."""

import csv
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from bioblend import NotReady, wait_on
from bioblend.galaxy import GalaxyInstance
from galaxy_server import ROOT, Server

TEST_DATA = ROOT / "test-data"
POLL_SECONDS = 0.5
JOB_SECONDS = 600

T = TypeVar("T")


def wait_until(condition: Callable[[], T], seconds: float, what: str) -> T:
    """Call `condition` until its answer is true, and return that; `what` names it if it does not happen in time."""

    def check() -> T:
        if answer := condition():
            return answer
        raise NotReady(f"{what} has not happened")

    return wait_on(check, maxwait=seconds, interval=POLL_SECONDS)


def table_rows(content: bytes) -> list[dict[str, str]]:
    """The rows of a tabular dataset, each by the names in its header."""
    return [*csv.DictReader(content.decode().splitlines(), delimiter="\t")]


@dataclass(frozen=True)
class User:
    """An account of a Galaxy and the history it works in."""

    gi: GalaxyInstance
    history: str

    def upload(self, path: Path, extension: str) -> dict[str, str]:
        """Upload a file into the history and wait until it is there; returns it as an input, {src, id}."""
        started = self.gi.tools.upload_file(str(path), self.history, file_type=extension, to_posix_lines=False)
        dataset = started["outputs"][0]["id"]
        self.gi.datasets.wait_for_dataset(dataset, JOB_SECONDS, POLL_SECONDS)
        return {"src": "hda", "id": dataset}

    def upload_pairs(self, group: str) -> dict[str, dict[str, str]]:
        """Upload the wild types and mutants of a group of test-data/, as inputs of the scoring tool."""
        roles = ("wild_type", "mutant")
        return {role: self.upload(TEST_DATA / f"{group}_{role}.fasta", "fasta") for role in roles}

    def start(self, tool: str, inputs: dict) -> dict[str, Any]:
        """Start a tool; returns Galaxy's answer, with `outputs`, `jobs` and `implicit_collections`."""
        return self.gi.tools.run_tool(self.history, tool, inputs)

    def run(self, tool: str, inputs: dict) -> dict[str, bytes]:
        """Run a tool, which must succeed; returns the contents of its datasets by the names of its outputs."""
        started = self.start(tool, inputs)
        self.succeeded(started["jobs"][0]["id"])
        return {output["output_name"]: self.content(output["id"]) for output in started["outputs"]}

    def ended(self, job: str) -> dict[str, Any]:
        """Wait until a job has ended, in whatever state; returns its full description."""
        self.gi.jobs.wait_for_job(job, JOB_SECONDS, POLL_SECONDS, check=False)
        return self.gi.jobs.show_job(job, full_details=True)

    def succeeded(self, job: str) -> dict[str, Any]:
        """Wait for the end of a job, which must succeed; returns its full description."""
        ended = self.ended(job)
        assert ended["state"] == "ok", f"{ended['tool_id']} ended as {ended['state']}: {ended['stderr']}"
        return ended

    def content(self, dataset: str) -> bytes:
        """The bytes of a dataset, once the job that writes it has succeeded."""
        self.gi.datasets.wait_for_dataset(dataset, JOB_SECONDS, POLL_SECONDS)
        return self.gi.datasets.download_dataset(dataset)

    def import_workflow(self, workflow: Path) -> str:
        """Import a workflow; returns its id in Galaxy."""
        return self.gi.workflows.import_workflow_from_local_path(str(workflow))["id"]

    def invoke(self, workflow: Path | str, inputs: dict, exact_versions: bool = False) -> str:
        """Start a workflow, a file or one that was imported, with inputs by their labels; returns the invocation's id.

        exact_versions: refuse it if a tool's version is not the one that the workflow names.
        """
        invocation = self.gi.workflows.invoke_workflow(
            self.import_workflow(workflow) if isinstance(workflow, Path) else workflow,
            inputs,
            inputs_by="name",
            history_id=self.history,
            require_exact_tool_versions=exact_versions,
            # A parameter that a tool has got since the workflow was saved takes its default, as with planemo.
            allow_tool_state_corrections=True,
        )
        return invocation["id"]

    def workflow_output(self, invocation: str, label: str) -> bytes:
        """Wait for a workflow's output, a dataset, and return its content."""

        def output() -> dict[str, str] | None:
            return self.gi.invocations.show_invocation(invocation)["outputs"].get(label)

        return self.content(wait_until(output, JOB_SECONDS, f"the output {label!r}")["id"])


def new_user(server: Server, email: str | None = None) -> User:
    """Create an account with a history."""
    name = f"user-{secrets.token_hex(4)}"
    users = server.admin.users
    account = users.create_local_user(name, email or f"{name}@example.org", secrets.token_hex(8))
    gi = GalaxyInstance(server.url, users.create_user_apikey(account["id"]))
    return User(gi, gi.histories.create_history(name)["id"])
