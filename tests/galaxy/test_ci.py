"""The workflows of GitHub Actions do what they should: their commands run here, as their files have them.

What needs the hosting service, conda's channels or Galaxy's sources is named in NOT_RUN.
"""

import json
import shlex
import subprocess
from pathlib import Path

import ci_commands
import pytest
from clones import git
from galaxy_server import ROOT, wrappers
from planemo_runs import PLANEMO

STEPS = ci_commands.steps()
MANAGER = "data_managers/data_manager_dna_lm"
BOTH = [".", MANAGER]
NOT_RUN = {
    "planemo/lint/Install planemo": "planemo is installed here, from its lock",
    "planemo/test/Install planemo": "the same",
    "planemo/publish/Install planemo": "the same",
    "planemo/test/Test them": "needs Galaxy's sources, conda's packages and Docker; its options are checked",
    "test/test/.ci/run": "runs all tests, this one too",
}
# Of each step: the test that runs it.
RUN = {
    "planemo/changes/Name the repositories",
    "planemo/file_sizes/Look for large files",
    "planemo/lint/Lint",
    "planemo/test/Choose tools",
    "planemo/passed/Look at the results",
    "planemo/publish/Compare tag and version",
    # By test_toolshed.py, to a Tool Shed on this machine.
    "planemo/publish/Publish",
}


def commit(folder: Path, path: str) -> str:
    """Commit a changed line at the end of a file; returns the commit before."""
    before = git(folder, "rev-parse", "HEAD")
    with open(folder / path, "a") as file:
        file.write("\n")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "Change a file")
    return before


def named(folder: Path, event: str, before: str = "") -> list[str]:
    """The repositories that the workflow names for an event."""
    output = folder.parent / "output"
    output.unlink(missing_ok=True)
    given = {"GITHUB_EVENT_NAME": event, "BEFORE": before, "GITHUB_OUTPUT": str(output)}
    done = STEPS["planemo/changes/Name the repositories"].run(folder, given)
    assert done.returncode == 0, done.stderr
    name, _, value = output.read_text().strip().partition("=")
    assert name == "repositories"
    return json.loads(value)


def test_every_step_is_run_or_named() -> None:
    """No step is forgotten."""
    assert set(STEPS) == RUN | NOT_RUN.keys() and not RUN & NOT_RUN.keys()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("README.md", []),
        ("tests/galaxy/README.md", []),
        ("tools/dna_lm_embed.xml", ["."]),
        ("tools/scripts/embed.py", ["."]),
        ("test-data/sequences.fasta", ["."]),
        (".shed.yml", ["."]),
        ("tools/macros.xml", BOTH),
        ("tools/scripts/versions.py", BOTH),
        ("tools/scripts/dna_lm/model/tokens/tokenizer.py", BOTH),
        (f"{MANAGER}/README.md", [MANAGER]),
        (f"{MANAGER}/data_manager/model_sources.py", [MANAGER]),
    ],
)
def test_changed_repositories(clone: Path, path: str, expected: list[str]) -> None:
    """A push or a pull request names the repositories whose archives it changes."""
    before = commit(clone, path)
    assert named(clone, "push", before) == expected
    # GitHub checks a pull request out merged into its target.
    git(clone, "checkout", "--quiet", "-b", "merged", before)
    git(clone, "merge", "--quiet", "--no-ff", "--no-edit", "HEAD@{1}")
    assert named(clone, "pull_request") == expected


def test_all_repositories(clone: Path) -> None:
    """Without a commit to compare with, both repositories are named."""
    for event, before in (("schedule", ""), ("workflow_dispatch", ""), ("push", "0" * 40), ("push", "1234" * 10)):
        assert named(clone, event, before) == BOTH


def test_several_commits(clone: Path) -> None:
    """All commits of a push count, also a file that was moved away."""
    before = git(clone, "rev-parse", "HEAD")
    git(clone, "mv", "tools/dna_lm_embed.xml", "docs/dna_lm_embed.xml")
    commit(clone, "README.md")
    commit(clone, f"{MANAGER}/README.md")
    assert named(clone, "push", before) == BOTH


def test_file_sizes(clone: Path) -> None:
    """No tracked file is too large, and a larger one is found."""
    step = STEPS["planemo/file_sizes/Look for large files"]
    done = step.run(clone, {})
    assert done.returncode == 0, done.stdout
    (clone / "test-data" / "large file.bin").write_bytes(bytes(1_100_000))
    git(clone, "add", "--all")
    done = step.run(clone, {})
    assert done.returncode == 1 and "test-data/large file.bin" in done.stdout


@pytest.mark.parametrize("repository", BOTH)
def test_lint(clone: Path, repository: str) -> None:
    """planemo finds no fault in a repository, and finds one that is put there. URLs need the network."""
    step = STEPS["planemo/lint/Lint"]
    assert " --urls " in step.commands
    offline = step.commands.replace(" --urls ", " ")
    done = step.run(clone, {"REPOSITORY": repository}, offline)
    assert done.returncode == 0, done.stdout
    settings = clone / repository / ".shed.yml"
    settings.write_text(settings.read_text().replace("owner: dna-lm", "owner: not an owner"))
    assert step.run(clone, {"REPOSITORY": repository}, offline).returncode


def test_every_tool_is_tested_once(clone: Path) -> None:
    """The jobs share out all tools of both repositories, and leave out those of an unchanged one."""
    step = STEPS["planemo/test/Choose tools"]
    for repositories in (BOTH, [MANAGER]):
        chosen = []
        for chunk in chunks():
            done = step.run(clone, {"REPOSITORIES": json.dumps(repositories), "CHUNK": str(chunk)})
            assert done.returncode == 0, done.stderr
            chosen += (clone / "tools.txt").read_text().split()
        paths = [path.relative_to(ROOT) for path in wrappers().values()]
        managers = [path for path in paths if path.is_relative_to(MANAGER)]
        expected = {".": [path for path in paths if path not in managers], MANAGER: managers}
        assert sorted(chosen) == sorted(str(path) for name in repositories for path in expected[name])


def chunks() -> list[int]:
    """The numbers of the jobs that test; they must be as many as the tools are shared out to."""
    workflow = ci_commands.workflow("planemo")
    numbers = workflow["jobs"]["test"]["strategy"]["matrix"]["chunk"]
    assert numbers == [*range(workflow["env"]["CHUNKS"])]
    return numbers


def test_options_of_planemo() -> None:
    """planemo has every option of the commands that are not run, and the time of a test is limited."""
    step = STEPS["planemo/test/Test them"]
    arguments = shlex.split(step.commands.replace("\\\n", " "))
    options = {argument for argument in arguments if argument.startswith("--")}
    known = subprocess.run([PLANEMO, "test", "--help"], check=True, capture_output=True, text=True).stdout
    assert "--test_timeout" in options and all(f"{option} " in known for option in options)
    assert int(step.environment["TEST_TIMEOUT"]) < 86400


@pytest.mark.parametrize(
    ("results", "passes"),
    [
        ("success success success success", True),
        ("success success skipped skipped", True),
        ("success failure success success", False),
        ("success success skipped cancelled", False),
    ],
)
def test_passed(tmp_path: Path, results: str, passes: bool) -> None:
    """A pull request passes if no job failed."""
    done = STEPS["planemo/passed/Look at the results"].run(tmp_path, {"RESULTS": results})
    assert (done.returncode == 0) == passes


@pytest.mark.parametrize(("tag", "passes"), [("v{}", True), ("v{}.1", False), ("v9.9.9", False), ("{}", True)])
def test_tag(clone: Path, tag: str, passes: bool) -> None:
    """Only a tag that names the version of the sources publishes."""
    version = (ROOT / "CITATION.cff").read_text().split("\nversion: ")[1].split()[0]
    done = STEPS["planemo/publish/Compare tag and version"].run(clone, {"GITHUB_REF_NAME": tag.format(version)})
    assert (done.returncode == 0) == passes


def test_test_workflow() -> None:
    """The other workflow runs the README's test command."""
    assert STEPS["test/test/.ci/run"].commands == ".ci/run"
    assert (ROOT / ".ci" / "run").read_text().endswith("exec make test\n")


def test_publishing_is_limited() -> None:
    """Only a tag publishes, after all else has passed, and first to the Test Tool Shed."""
    job = ci_commands.workflow("planemo")["jobs"]["publish"]
    assert "startsWith(github.ref, 'refs/tags/v')" in job["if"] and job["needs"] == "passed"
    step = STEPS["planemo/publish/Publish"]
    assert (step.environment["FIRST_SHED"], step.environment["SHED"]) == ("testtoolshed", "toolshed")
    assert step.commands.index("$FIRST_SHED") < step.commands.index("$SHED")
