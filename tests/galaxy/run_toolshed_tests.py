"""Publish both repositories to a real Tool Shed, install them into a clean Galaxy, use, test and update them there.

Ends with a line `N passed, N failed`. As root: Galaxy and its jobs find nothing where this checkout has its tools, its
data manager and its test data, so whatever works there works from the installed copies alone.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from fnmatch import fnmatch
from pathlib import Path
from xml.etree import ElementTree

import yaml
from galaxy.tool_util.parser import get_tool_source
from galaxy.tool_util.verify import script as tool_test
from galaxy.tool_util.verify.interactor import GalaxyInteractorApi
from galaxy_client import Client, NotInTimeError
from galaxy_server import (
    ADMIN,
    DATA_MANAGER,
    LOCAL_JOBS,
    ROOT,
    TOOLS_VENV,
    GalaxyError,
    api,
    running_galaxy,
    wrappers,
    write_xml,
)
from run_tool_tests import INTERPRETER, PLANEMO, TEST_SECONDS, find_problems
from tool_shed_server import running_tool_shed

WORK_DIR = ROOT / ".galaxy" / "toolshed"
GALAXY_DIR = WORK_DIR / "galaxy"
TOOL_DATA = GALAXY_DIR / "tool-data"
SHED_TOOLS = PLANEMO.with_name("shed-tools")
HIDDEN = (ROOT / "tools", ROOT / "data_managers", ROOT / "test-data")
SUITE, MANAGER = "dna_lm", "data_manager_dna_lm"
SOURCES = {SUITE: ROOT, MANAGER: DATA_MANAGER}
# What a repository may hold; `*` crosses folders.
PUBLISHED = {
    SUITE: ["LICENSE", "tools/*.xml", "tools/*.py", "tools/*.xml.sample", "tools/*.loc.sample", "test-data/*"],
    MANAGER: ["LICENSE", "README.md", "*.xml", "*.py", "*.xml.sample", "*.loc.sample", "test-data/*"],
}
SCORING = "dna_lm_score_pairs"
WORKFLOW = ROOT / "workflows" / "score-mutations-in-chunks" / "score-mutations-in-chunks.ga"
MODEL = "somebody/demo-mixtral"
# What the newer version's tools have at the end of their versions.
NEWER = ".1"
JOB_SECONDS = 300


def run(*command):
    """Run a program to its end; what it printed last is the message when it fails."""
    done = subprocess.run(command, cwd=WORK_DIR, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        said = "\n    ".join(done.stdout.splitlines()[-5:])
        raise GalaxyError(f"{Path(command[0]).name} {command[1]} ended with {done.returncode}:\n    {said}")


def repository_of(wrapper):
    return MANAGER if wrapper.is_relative_to(DATA_MANAGER) else SUITE


class Installation:
    """A Tool Shed, a Galaxy that installs from it, the Galaxy's administrator and one of its users."""

    def __init__(self, shed, server, owner):
        self.shed, self.server, self.owner = shed, server, owner
        self.host = shed["url"].removeprefix("http://")
        self.administrator, self.user = Client(server, "administrator", ADMIN), Client(server, "user")
        self.pairs = self.table = None

    def planemo(self, command, folder):
        run(PLANEMO, command, "--shed_target", self.shed["url"], "--shed_key", self.shed["key"], folder)

    def shed_tools(self, command, name, *options):
        shed = ["--name", name, "--owner", self.owner, "--toolshed", self.shed["url"], *options]
        galaxy = ["-g", self.server["url"], "-a", self.server["key"]]
        run(SHED_TOOLS, command, *galaxy, *shed, "--skip-install-resolver-dependencies")

    def revisions(self, name):
        """The installed revisions of a repository, oldest first."""
        found = [one for one in api(self.server, "/api/tool_shed_repositories") if one["name"] == name]
        for one in found:
            if one["status"] != "Installed":
                raise GalaxyError(f"the repository {name} is {one['status']!r} in Galaxy: {one['error_message']}")
        return [one["installed_changeset_revision"] for one in sorted(found, key=lambda one: int(one["ctx_rev"]))]

    def folder(self, name, revision):
        """Where Galaxy has put a revision of a repository."""
        shed = self.host.split(":")[0]
        return GALAXY_DIR / "shed_tools" / shed / "repos" / self.owner / name / revision / name

    def tools(self, suffix=""):
        """The installed tools' identifiers, by their identifiers in the wrappers; `suffix` ends their versions."""
        found = {}
        for tool, wrapper in wrappers().items():
            version = get_tool_source(str(wrapper)).parse_version()
            found[tool] = f"{self.host}/repos/{self.owner}/{repository_of(wrapper)}/{tool}/{version}{suffix}"
        return found

    def missing(self, tools):
        """Which of the tools Galaxy does not have, one text each."""
        loaded = {tool["id"] for tool in api(self.server, "/api/tools?in_panel=false")}
        return [f"Galaxy has no {tool}" for tool in tools if tool not in loaded]

    def models(self):
        """The rows of the table of models."""
        table = api(self.server, "/api/tool_data/huggingface")
        return [dict(zip(table["columns"], fields, strict=True)) for fields in table["fields"]]

    def score(self, tool, revision):
        """A user scores the tutorial's pairs with the installed model and this revision's script; returns the table."""
        self.pairs = self.pairs or {
            name: self.user.upload(ROOT / "test-data" / f"cftr_{name}.fasta", "fasta")
            for name in ("wild_type", "mutant")
        }
        started = self.user.run(tool, {**self.pairs, "model|installed": MODEL, "scores": ["l2", "llr"]})
        ended = self.user.wait_for_job(started["jobs"][0]["id"], JOB_SECONDS)
        command = api(self.server, f"/api/jobs/{ended['id']}?full=true")["command_line"]
        script = self.folder(SUITE, revision) / "tools" / "scripts" / "score_pairs.py"
        if f"python '{script}'" not in command:
            raise GalaxyError(f"{tool} did not run {script}: {command}")
        interpreter = INTERPRETER.search(ended["stderr"])
        if ended["state"] != "ok" or not interpreter or Path(interpreter[1]).parent != TOOLS_VENV / "bin":
            raise GalaxyError(f"{tool} ended as {ended['state']}: {ended['stderr']}")
        print(f"    {script}")
        return started["outputs"][0]["id"]


def check_publishing(place):
    """planemo makes both repositories."""
    for source in SOURCES.values():
        place.planemo("shed_create", source)
    return []


def check_installing(place):
    """Galaxy installs both. Its copies are what was to be published, and lead nowhere else."""
    problems = []
    for name in SOURCES:
        place.shed_tools("install", name, "--section-label", "DNA language models")
        [revision] = place.revisions(name)
        problems += problems_of_copy(place.folder(name, revision), name)
    for path in (GALAXY_DIR / "config").rglob("*"):
        if path.is_file() and any(str(folder) in path.read_text() for folder in HIDDEN):
            problems.append(f"the clean Galaxy's {path.name} names a file of the checkout")
    return problems + place.missing(place.tools().values())


def problems_of_copy(folder, name):
    files = [path for path in folder.rglob("*") if ".hg" not in path.parts and (path.is_symlink() or path.is_file())]
    print(f"    {name}: {len(files)} files, {sum(path.stat().st_size for path in files) / 1e6:.1f} MB in {folder}")
    if not files:
        yield f"there is no file in {folder}"
    for path in files:
        relative = str(path.relative_to(folder))
        if path.is_symlink():
            yield f"{name} has a link: {relative}"
        elif not any(fnmatch(relative, pattern) for pattern in PUBLISHED[name]):
            yield f"{name} has {relative}, which no tool needs"
        elif path.read_bytes() != (SOURCES[name] / relative).read_bytes():
            yield f"{name} has another {relative} than the checkout"
        elif str(ROOT).encode() in path.read_bytes():
            yield f"{name}: {relative} names the checkout"


def check_empty_table(place):
    """The table of models is there, as the repository's .loc.sample has it: without a row."""
    [revision] = place.revisions(SUITE)
    sample = place.folder(SUITE, revision) / "tools" / "tool-data" / "huggingface.loc.sample"
    problems = [f"the new table has a row: {row}" for row in place.models()]
    if (TOOL_DATA / "shed" / "huggingface.loc").read_bytes() != sample.read_bytes():
        problems.append("the table's file is not the installed sample")
    return problems


def check_installing_a_model(place):
    """The administrator installs the demonstration model with the installed data manager, from a folder."""
    [revision] = place.revisions(SUITE)
    source = place.folder(SUITE, revision) / "test-data" / "models" / "demo-mixtral"
    inputs = {"model_id": MODEL, "source|kind": "server", "source|path": str(source)}
    started = place.administrator.run(place.tools()[MANAGER], inputs)
    ended = place.administrator.wait_for_job(started["jobs"][0]["id"], JOB_SECONDS)
    if ended["state"] != "ok":
        return [f"the data manager ended as {ended['state']}: {ended['stderr']}"]
    # Rows are added after the job.
    rows = place.administrator.wait(place.models, 30, "the model's row")
    folder = Path(rows[0]["path"])
    print(f"    {folder}")
    is_right = len(rows) == 1 and rows[0]["value"] == MODEL and folder.is_relative_to(GALAXY_DIR / "data" / "models")
    return [] if is_right and (folder / "config.json").is_file() else [f"the table has {rows}"]


def check_scoring(place):
    """A user scores with the installed tool and the installed model."""
    [revision] = place.revisions(SUITE)
    place.table = place.score(place.tools()[SCORING], revision)
    lines = place.user.content(place.table).decode().splitlines()
    print("    " + "\n    ".join(lines))
    return [] if [line.split("\t")[1] for line in lines[1:]] == ["ok", "ok"] else ["two records should be ok"]


def check_workflow(place):
    """A user imports one of the suite's workflows and runs it: its steps name the tools without their Tool Shed."""
    pairs = {"Wild-type sequences": place.pairs["wild_type"], "Mutant sequences": place.pairs["mutant"]}
    inputs = {**pairs, "Pairs in a chunk": 1, "DNA language model": MODEL}
    invocation = place.user.invoke(json.loads(WORKFLOW.read_text()), inputs)
    table = place.user.wait_for_output(invocation, "Scores", JOB_SECONDS)
    lines = place.user.content(table["id"]).decode().splitlines()
    print("    " + "\n    ".join(lines))
    # The workflow computes L2 alone, the first of the scores that were computed before.
    before = [line.split("\t")[:-1] for line in place.user.content(place.table).decode().splitlines()]
    return [] if [line.split("\t") for line in lines] == before else ["the workflow's table is another"]


def check_own_tests(place):
    """The installed tools' own tests pass, with the rows that they need added by hand, as docs/admin/ says."""
    [suite] = place.revisions(SUITE)
    test_data = place.folder(SUITE, suite) / "test-data"
    for table in ("huggingface", "fasta_indexes"):
        rows = (test_data / f"{table}.loc").read_text().replace("${__HERE__}", str(test_data))
        with open(TOOL_DATA / "shed" / f"{table}.loc", "a") as file:
            file.write(rows)
        api(place.server, f"/api/tool_data/{table}/reload")
    problems, listed = [], 0
    for name, tool in place.tools().items():
        tests = api(place.server, f"/api/tools/{tool}/test_data")
        if not tests:
            problems.append(f"the installed {name} has no test")
        results = run_tests(place, tool, len(tests))
        for test in tests:
            found = find_problems(test, results.get(f"{tool}-{test['test_index']}"))
            problems += [f"{name}, test {test['test_index'] + 1}: {text}" for text in found]
        listed += len(tests)
    print(f"    {listed} tests")
    return problems


def run_tests(place, tool, n_tests):
    """Run an installed tool's tests as galaxy-tool-test does, by its own functions; returns test id -> result.

    The program itself asks Galaxy for a tool without its version, and so finds no installed data manager.
    """
    # Only an administrator may run the data manager.
    key = place.administrator.session.headers["x-api-key"]
    galaxy = GalaxyInteractorApi(galaxy_url=place.server["url"], master_api_key=place.server["key"], api_key=key)
    results = tool_test.Results(tool, str(WORK_DIR / "tool_tests.json"), append=True)
    tests = [tool_test.TestReference(tool, None, index) for index in range(n_tests)]
    limits = {"maxseconds": TEST_SECONDS, "quiet": True}
    # As many at a time as the job configuration lets run.
    n_parallel = LOCAL_JOBS["runners"]["local"]["workers"]
    tool_test.test_tools(galaxy, tests, results, parallel_tests=n_parallel, verify_kwds=limits)
    return {test["id"]: test["data"] for test in results.test_results}


def check_update(place):
    """A newer version is published and installed: both run, and rows and results of the older one stay."""
    [old] = place.revisions(SUITE)
    rows, table = place.models(), place.user.content(place.table)
    place.planemo("shed_update", write_newer_version())
    place.shed_tools("update", SUITE)
    older, newer = place.tools(), place.tools(NEWER)
    problems = place.missing([*older.values(), *(newer[tool] for tool in newer if tool != MANAGER)])
    [*before, new] = place.revisions(SUITE)
    if before != [old]:
        problems.append(f"revision {old} was there, now there are {[*before, new]}")
    if place.models() != rows:
        problems.append("the rows of the table of models are others")
    for tool, revision in ((newer[SCORING], new), (older[SCORING], old)):
        if place.user.content(place.score(tool, revision)) != table:
            problems.append(f"{tool} scores otherwise")
    if place.user.content(place.table) != table:
        problems.append("the older result is another one")
    return problems


def write_newer_version():
    """A copy of what the suite publishes, the tools' versions one step higher; returns its folder."""
    folder = WORK_DIR / "newer"
    for name in ("tools", "test-data"):
        shutil.copytree(ROOT / name, folder / name, symlinks=True)
    for name in (".shed.yml", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    macros = folder / "tools" / "macros.xml"
    suffix = re.compile(r'(<token name="@VERSION_SUFFIX@">.*)(</token>)')
    macros.write_text(suffix.sub(rf"\g<1>{NEWER}\g<2>", macros.read_text()))
    return folder


CHECKS = {
    "both repositories are published": check_publishing,
    "both are installed, complete in themselves": check_installing,
    "the table of models comes with them, empty": check_empty_table,
    "the installed data manager installs the demonstration model": check_installing_a_model,
    "the installed tool scores with it": check_scoring,
    "a workflow of the suite runs with the installed tools": check_workflow,
    "the installed tools' own tests pass": check_own_tests,
    "a newer version is installed beside the older one": check_update,
}


def run_checks(place):
    """Run the checks; each rests on those before it, so the first that fails is the last. Returns how many passed."""
    for passed, (name, check) in enumerate(CHECKS.items()):
        print(name, flush=True)
        start = time.monotonic()
        try:
            problems = check(place)
        except (GalaxyError, NotInTimeError, OSError) as error:
            problems = [str(error)]
        seconds = f"after {time.monotonic() - start:.0f} s"
        if problems:
            print(f"    FAILED {seconds}", *problems, sep="\n    ", flush=True)
            return passed
        print(f"    ok {seconds}", flush=True)
    return len(CHECKS)


def galaxy_settings(url):
    """Options of galaxy.yml: the one Tool Shed, and files that Galaxy writes when it installs from there."""
    sheds = ElementTree.Element("tool_sheds")
    ElementTree.SubElement(sheds, "tool_shed", name="Tool Shed of the test", url=url)
    return {
        "tool_sheds_config_file": write_xml(WORK_DIR / "tool_sheds.xml", sheds),
        "tool_data_path": str(TOOL_DATA),
    }


def main():
    shutil.rmtree(WORK_DIR, ignore_errors=True)
    (WORK_DIR / "home").mkdir(parents=True)
    os.environ["HOME"] = str(WORK_DIR / "home")
    repositories = [yaml.safe_load((source / ".shed.yml").read_text()) for source in SOURCES.values()]
    owner = repositories[0]["owner"]
    categories = sorted({name for repository in repositories for name in repository["categories"]})
    try:
        with running_tool_shed(WORK_DIR / "shed", owner, categories) as shed:
            settings = galaxy_settings(shed["url"])
            with running_galaxy(GALAXY_DIR, with_suite=False, hidden=HIDDEN, settings=settings) as server:
                passed = run_checks(Installation(shed, server, owner))
    except GalaxyError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted")
    failed = passed < len(CHECKS)
    print(f"{passed} passed, {int(failed)} failed" + f", {len(CHECKS) - passed - 1} not run" * failed)
    sys.exit(failed)


if __name__ == "__main__":
    main()
