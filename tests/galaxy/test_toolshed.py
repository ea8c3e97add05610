"""Both repositories are published to a real Tool Shed, installed into a clean Galaxy, used, tested and updated there.

Each test needs what those before it left. As root: Galaxy and its jobs find empty folders where this checkout has its
tools, its data manager and its test data, so whatever works there works from the installed copies alone.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import ci_commands
import pytest
import scoring
import yaml
from galaxy.tool_util.parser import get_tool_source
from galaxy.tool_util.verify import script as tool_test
from galaxy.tool_util.verify.interactor import GalaxyInteractorApi
from galaxy_server import (
    ADMIN,
    DATA_MANAGER,
    N_PARALLEL,
    ROOT,
    Server,
    new_folder,
    running_galaxy,
    wrappers,
    write_xml,
)
from galaxy_user import User, new_user, table_rows, wait_until
from planemo_runs import INTERPRETER, PLANEMO, TEST_SECONDS, is_tools_python, problems_of
from tool_shed_server import ToolShed, running_tool_shed

sys.path.insert(0, str(ROOT / "release"))

import published

WORK_DIR = ROOT / ".galaxy" / "toolshed"
GALAXY_DIR = WORK_DIR / "galaxy"
TOOL_DATA = GALAXY_DIR / "tool-data"
SHED_TOOLS = PLANEMO.with_name("shed-tools")
HIDDEN = (ROOT / "tools", ROOT / "data_managers", ROOT / "test-data")
SUITE, MANAGER = "dna_lm", "data_manager_dna_lm"
SOURCES = {SUITE: ROOT, MANAGER: DATA_MANAGER}
# What a repository may hold; `*` matches across folders.
PUBLISHED = {
    SUITE: ["LICENSE", "tools/*.xml", "tools/*.py", "tools/*.xml.sample", "tools/*.loc.sample", "test-data/*"],
    MANAGER: ["LICENSE", "README.md", "*.xml", "*.py", "*.xml.sample", "*.loc.sample", "test-data/*"],
}
MODEL_ID = "somebody/demo-mixtral"
# What the newer version's tools have at the end of their versions.
NEWER = ".1"


def run(*command: str | Path) -> None:
    """Run a program, which must succeed; otherwise the end of its output is the message."""
    done = subprocess.run(command, cwd=WORK_DIR, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, "\n".join(done.stdout.splitlines()[-5:])


def repository_of(wrapper: Path) -> str:
    """The repository that a wrapper is published in."""
    return MANAGER if wrapper.is_relative_to(DATA_MANAGER) else SUITE


@dataclass
class Installation:
    """A Tool Shed, a Galaxy that installs from it, its administrator, and one of its users with pairs and a table."""

    shed: ToolShed
    server: Server
    owner: str
    administrator: User
    user: User
    pairs: dict = field(default_factory=dict)
    table: bytes = b""
    # The value that the installed model has in the table.
    model: str = ""
    # A workflow that was made with the older version, as Galaxy knows it.
    workflow: str = ""

    def planemo(self, command: str, folder: Path) -> None:
        """Run a command of planemo with the Tool Shed."""
        run(PLANEMO, command, "--shed_target", self.shed.url, "--shed_key", self.shed.key, folder)

    def shed_tools(self, command: str, name: str, *options: str) -> None:
        """Run a command of ephemeris' shed-tools with a repository."""
        repository = ["--name", name, "--owner", self.owner, "--toolshed", self.shed.url, *options]
        galaxy = ["-g", self.server.url, "-a", self.server.key]
        run(SHED_TOOLS, command, *galaxy, *repository, "--skip-install-resolver-dependencies")

    def revisions(self, name: str) -> list[str]:
        """The installed revisions of a repository, oldest first."""
        installed = [row for row in self.server.admin.toolshed.get_repositories() if row["name"] == name]
        for row in installed:
            assert row["status"] == "Installed", row["error_message"]
        return [row["installed_changeset_revision"] for row in sorted(installed, key=lambda row: int(row["ctx_rev"]))]

    def folder(self, name: str, revision: str) -> Path:
        """Where Galaxy has put a revision of a repository."""
        host = self.shed.host.split(":")[0]
        return GALAXY_DIR / "shed_tools" / host / "repos" / self.owner / name / revision / name

    def tools(self, suffix: str = "") -> dict[str, str]:
        """The installed tools' identifiers by those in the wrappers; `suffix` ends their versions."""
        versions = {tool: get_tool_source(str(path)).parse_version() for tool, path in wrappers().items()}
        repositories = {tool: repository_of(path) for tool, path in wrappers().items()}
        prefix = f"{self.shed.host}/repos/{self.owner}"
        return {tool: f"{prefix}/{repositories[tool]}/{tool}/{version}{suffix}" for tool, version in versions.items()}

    def score(self, tool: str, revision: str) -> bytes:
        """A user scores the tutorial's pairs with the installed model and this revision's script."""
        started = self.user.start(tool, {**self.pairs, "model|installed": self.model, "scores": ["l2", "llr"]})
        ended = self.user.succeeded(started["jobs"][0]["id"])
        command = self.server.admin.jobs.show_job(ended["id"], full_details=True)["command_line"]
        script = self.folder(SUITE, revision) / "tools" / "scripts" / "score_pairs.py"
        assert f"python '{script}'" in command
        interpreter = INTERPRETER.search(ended["stderr"])
        assert interpreter and is_tools_python(interpreter[1]), ended["stderr"]
        return self.user.content(started["outputs"][0]["id"])


def galaxy_settings(url: str) -> dict[str, str]:
    """Options of galaxy.yml: the one Tool Shed, and files that Galaxy writes when it installs from there."""
    sheds = ElementTree.Element("tool_sheds")
    ElementTree.SubElement(sheds, "tool_shed", name="Tool Shed of the test", url=url)
    return {
        "tool_sheds_config_file": write_xml(WORK_DIR / "tool_sheds.xml", sheds),
        "tool_data_path": str(TOOL_DATA),
    }


@pytest.fixture(scope="module")
def place() -> Iterator[Installation]:
    """A new Tool Shed and a Galaxy without the suite."""
    home = new_folder(WORK_DIR) / "home"
    home.mkdir()
    repositories = [yaml.safe_load((source / ".shed.yml").read_text()) for source in SOURCES.values()]
    owner = repositories[0]["owner"]
    categories = sorted({name for repository in repositories for name in repository["categories"]})
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("HOME", str(home))
        with running_tool_shed(WORK_DIR / "shed", owner, categories) as shed:
            settings = galaxy_settings(shed.url)
            with running_galaxy(GALAXY_DIR, with_suite=False, hidden=HIDDEN, settings=settings) as server:
                yield Installation(shed, server, owner, new_user(server, ADMIN), new_user(server))


def test_publishing(place: Installation) -> None:
    """The commands of continuous integration publish both repositories, here to one Tool Shed."""
    step = ci_commands.steps()["planemo/publish/Publish"]
    second = 'publish "$SHED" "$SHED_KEY"\n'
    assert step.commands.endswith(second)
    first = {"FIRST_SHED": place.shed.url, "FIRST_KEY": place.shed.key, "SHED": "", "SHED_KEY": ""}
    done = step.run(ROOT, first, step.commands.removesuffix(second))
    assert done.returncode == 0, "\n".join((done.stdout + done.stderr).splitlines()[-5:])


@pytest.mark.parametrize("name", SOURCES)
def test_installing(place: Installation, name: str) -> None:
    """Galaxy installs a repository. Its copy is what was to be published, and leads nowhere else."""
    place.shed_tools("install", name, "--section-label", "DNA language models")
    [revision] = place.revisions(name)
    folder = place.folder(name, revision)
    paths = [path for path in folder.rglob("*") if ".hg" not in path.parts and (path.is_symlink() or path.is_file())]
    problems = [f"{path}: {problem}" for path in paths if (problem := problem_of_copy(path, folder, name))]
    assert paths and not problems, "\n".join(problems)


def problem_of_copy(path: Path, folder: Path, name: str) -> str | None:
    """What is wrong with a file that Galaxy installed below `folder`, if anything."""
    relative = str(path.relative_to(folder))
    if path.is_symlink():
        return "is a link"
    if not any(fnmatch(relative, pattern) for pattern in PUBLISHED[name]):
        return "no tool needs it"
    if path.read_bytes() != (SOURCES[name] / relative).read_bytes():
        return "differs from the checkout's"
    return "names the checkout" if str(ROOT).encode() in path.read_bytes() else None


def test_installed_tools(place: Installation) -> None:
    """Galaxy has all tools, and its configuration names no file of the checkout."""
    assert set(place.tools().values()) <= place.server.tool_ids()
    files = [path for path in (GALAXY_DIR / "config").rglob("*") if path.is_file()]
    naming = [path for path in files if any(str(folder) in path.read_text() for folder in HIDDEN)]
    assert files and not naming


def test_empty_table(place: Installation) -> None:
    """The table of models is as the repository's .loc.sample has it, without a row."""
    [revision] = place.revisions(SUITE)
    sample = place.folder(SUITE, revision) / "tools" / "tool-data" / "huggingface.loc.sample"
    assert place.server.data_table("huggingface") == []
    assert (TOOL_DATA / "shed" / "huggingface.loc").read_bytes() == sample.read_bytes()


def test_installing_a_model(place: Installation) -> None:
    """The administrator installs the demonstration model with the installed data manager, from a folder."""
    [revision] = place.revisions(SUITE)
    source = place.folder(SUITE, revision) / "test-data" / "models" / "demo-mixtral"
    inputs = {"model_id": MODEL_ID, "source|kind": "server", "source|path": str(source)}
    place.administrator.run(place.tools()[MANAGER], inputs)
    # Rows are added after the job.
    [row] = wait_until(lambda: place.server.data_table("huggingface"), 30, "the model's row")
    folder = Path(row["path"])
    place.model = row["value"]
    assert place.model == f"{MODEL_ID}_{row['version']}" and folder.is_relative_to(GALAXY_DIR / "data" / "models")
    assert (folder / "config.json").is_file()


def test_scoring(place: Installation) -> None:
    """A user scores with the installed tool and the installed model."""
    [revision] = place.revisions(SUITE)
    place.pairs = place.user.upload_pairs("cftr")
    place.table = place.score(place.tools()[scoring.TOOL], revision)
    assert [row["status"] for row in table_rows(place.table)] == ["ok", "ok"]


def test_workflow(place: Installation) -> None:
    """A user imports a workflow of the suite, whose steps name the tools without their Tool Shed, and runs it."""
    rows = table_rows(scoring.in_chunks(place.user, place.pairs, size=1, model=place.model))
    # The workflow computes one of the scores that were computed before.
    assert rows == [{name: row[name] for name in rows[0]} for row in table_rows(place.table)]


def test_published_workflow(place: Installation) -> None:
    """A user imports a workflow of a release, whose steps name the Tool Shed's tools, and runs it with these."""
    [revision] = place.revisions(SUITE)
    published.write_workflows(ROOT, WORK_DIR / "workflows", place.shed.host, revision)
    place.workflow = place.user.import_workflow(
        WORK_DIR / "workflows" / scoring.WORKFLOW.parent.name / scoring.WORKFLOW.name
    )
    assert run_published(place, place.tools()) == scoring.in_chunks(place.user, place.pairs, size=1, model=place.model)


def run_published(place: Installation, tools: dict[str, str]) -> bytes:
    """Run the imported workflow, which must use these versions of the tools; returns its table."""
    user = place.user
    inputs = scoring.chunk_inputs(place.pairs, 1, place.model)
    invocation = user.invoke(place.workflow, inputs, exact_versions=True)
    table = user.workflow_output(invocation, "Scores")
    jobs = user.gi.jobs.get_jobs(invocation_id=invocation)
    used = {job["tool_id"] for job in jobs}
    assert used == {tools[name] for name in ("dna_lm_split", scoring.TOOL, "dna_lm_collapse")}
    return table


def test_installed_tests(place: Installation) -> None:
    """The tests of the installed tools pass, with the rows that they need added by hand, as docs/admin/ says."""
    [suite] = place.revisions(SUITE)
    test_data = place.folder(SUITE, suite) / "test-data"
    for table in ("huggingface", "fasta_indexes"):
        rows = (test_data / f"{table}.loc").read_text().replace("${__HERE__}", str(test_data))
        with open(TOOL_DATA / "shed" / f"{table}.loc", "a") as file:
            file.write(rows)
        place.server.admin.tool_data.reload_data_table(table)
    # Galaxy takes the database keys of outputs from the table as it was when the tool was loaded. The data manager
    # needs none, and Galaxy 26.1 forgets which data manager a tool belongs to when that tool is loaded again.
    for name, tool in place.tools().items():
        if name != MANAGER:
            place.server.admin.tools.reload(tool)
    problems = []
    for tool in place.tools().values():
        tests = place.server.admin.tools.get_tool_tests(tool)
        assert tests, f"{tool} has no test"
        results = run_tests(place, tool, len(tests))
        for test in tests:
            name = f"{tool}-{test['test_index']}"
            problems += [f"{name}: {problem}" for problem in problems_of(test, results.get(name))]
    assert not problems, "\n".join(problems)


def run_tests(place: Installation, tool: str, n_tests: int) -> dict[str, dict[str, Any]]:
    """Run an installed tool's tests as galaxy-tool-test does, by its own functions; returns test id -> result.

    The program itself asks Galaxy for a tool without its version, and so finds no installed data manager.
    """
    # Only an administrator may run the data manager.
    galaxy = GalaxyInteractorApi(
        galaxy_url=place.server.url, master_api_key=place.server.key, api_key=place.administrator.gi.key
    )
    results = tool_test.Results(tool, str(WORK_DIR / "tool_tests.json"), append=True)
    tests = [tool_test.TestReference(tool, None, index) for index in range(n_tests)]
    limits = {"maxseconds": TEST_SECONDS, "quiet": True}
    tool_test.test_tools(galaxy, tests, results, parallel_tests=N_PARALLEL, verify_kwds=limits)
    return {test["id"]: test["data"] for test in results.test_results}


def test_update(place: Installation) -> None:
    """A newer version is published and installed: both run, and rows and results of the older one stay."""
    [old] = place.revisions(SUITE)
    rows = place.server.data_table("huggingface")
    place.planemo("shed_update", write_newer_version())
    place.shed_tools("update", SUITE)
    older, newer = place.tools(), place.tools(NEWER)
    del newer[MANAGER]
    assert {*older.values(), *newer.values()} <= place.server.tool_ids()
    revisions = place.revisions(SUITE)
    assert len(revisions) == 2 and revisions[0] == old
    assert place.server.data_table("huggingface") == rows
    for tool, revision in ((newer[scoring.TOOL], revisions[1]), (older[scoring.TOOL], old)):
        assert place.score(tool, revision) == place.table


def test_upgraded_workflow(place: Installation) -> None:
    """The workflow that was made with the older version still uses it; upgraded, it gives the same with the newer."""
    older, newer = place.tools(), place.tools(NEWER)
    table = run_published(place, older)
    place.user.gi.workflows.refactor_workflow(place.workflow, [{"action_type": "upgrade_all_steps"}])
    assert run_published(place, newer) == table


def write_newer_version() -> Path:
    """A copy of what the suite publishes, with its tools' versions one step higher; returns its folder."""
    folder = WORK_DIR / "newer"
    for name in ("tools", "test-data"):
        shutil.copytree(ROOT / name, folder / name, symlinks=True)
    for name in (".shed.yml", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    macros = folder / "tools" / "macros.xml"
    suffix = re.compile(r'(<token name="@VERSION_SUFFIX@">.*)(</token>)')
    macros.write_text(suffix.sub(rf"\g<1>{NEWER}\g<2>", macros.read_text()))
    return folder
