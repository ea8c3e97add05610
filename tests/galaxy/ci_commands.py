"""The commands of the workflows of GitHub Actions, taken out of their files, to be run here."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from galaxy_server import ROOT
from planemo_runs import PLANEMO

FOLDER = ROOT / ".github" / "workflows"


@dataclass(frozen=True)
class Step:
    """A step that runs commands: its names, its commands, and the environment that the workflow gives it."""

    workflow: str
    job: str
    name: str
    commands: str
    environment: dict[str, str]

    @property
    def id(self) -> str:
        """The step's place: workflow, job and name."""
        return f"{self.workflow}/{self.job}/{self.name}"

    def run(self, folder: Path, given: dict[str, str], commands: str = "") -> subprocess.CompletedProcess:
        """Run the commands in `folder` as GitHub does, which replaces expressions: `given` has their values by names.

        `commands` replaces those of the step.
        """
        open_names = {name for name, value in self.environment.items() if "${{" in value}
        assert open_names <= given.keys() | {"PIP_EXTRA_INDEX_URL"}, f"{self.id} needs values for {open_names}"
        script = commands or self.commands
        assert "${{" not in script, f"{self.id}: pass values in the environment, or text of users becomes commands"
        environment = os.environ | self.environment | given
        environment["PATH"] = f"{PLANEMO.parent}:{os.environ['PATH']}"
        command = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", script]
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def workflow(name: str) -> dict[str, Any]:
    """The content of a workflow's file."""
    return yaml.safe_load((FOLDER / f"{name}.yaml").read_text())


def steps() -> dict[str, Step]:
    """Every step of every workflow that runs commands, by its id."""
    found = []
    for path in sorted(FOLDER.glob("*.yaml")):
        content = workflow(path.stem)
        for job, description in content["jobs"].items():
            for step in description["steps"]:
                if "run" not in step:
                    continue
                settings = content.get("env", {}) | description.get("env", {}) | step.get("env", {})
                environment = {name: str(value) for name, value in settings.items()}
                name = step.get("name") or step["run"].splitlines()[0]
                found.append(Step(path.stem, job, name, step["run"], environment))
    ids = [step.id for step in found]
    assert len(ids) == len(set(ids)), ids
    return {step.id: step for step in found}
