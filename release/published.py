"""Workflows as they are published: their steps name the Tool Shed's tools, their tests the published data.

In the sources, steps have the short ids of the wrappers, so that a Galaxy that serves this checkout runs them. Tests
read test-data/, which each workflow's folder has a link to.
"""

import json
import re
import shutil
from pathlib import Path

import archives
import numbering

TOOL_SHED = "toolshed.g2.bx.psu.edu"
OWNER = "dna-lm"
REPOSITORY = "dna_lm"
# A file of a workflow's test, as the tests name it.
LOCAL_FILE = re.compile(r"^(?P<indent> *)path: test-data/(?P<name>\S+)$", re.MULTILINE)


def write_workflows(root: Path, target: Path, tool_shed: str = TOOL_SHED, revision: str = "", url: str = "") -> None:
    """Write all workflows into the new folder `target`, each in a folder.

    revision: the installed revision of the repository, once it is known; a Galaxy offers to install that one.
    url: where the files of the data bundle are; without it, the workflows' folders get copies of those they need.
    """
    for source in sorted({path.parent for path in numbering.workflows(root)}):
        folder = target / source.name
        shutil.copytree(source, folder, ignore=shutil.ignore_patterns("test-data"))
        for path in folder.glob("*.ga"):
            content = json.loads(path.read_text())
            for step in content["steps"].values():
                name_tool(step, tool_shed, revision)
            numbering.write_workflow(path, content)
        for tests in folder.glob("*-tests.yml"):
            publish_test_data(source / "test-data", folder, tests, url)


def identifier(tool: str, version: str, tool_shed: str = TOOL_SHED) -> str:
    """A tool of the suite as a Galaxy names it that has installed it from the Tool Shed."""
    return f"{tool_shed}/repos/{OWNER}/{REPOSITORY}/{tool}/{version}"


def name_tool(step: dict, tool_shed: str, revision: str) -> None:
    """Let a workflow's step name a tool of the suite as the Tool Shed does; other steps stay as they are."""
    tool = step["tool_id"] or ""
    if not tool.startswith("dna_lm_"):
        return
    step["tool_id"] = step["content_id"] = identifier(tool, step["tool_version"], tool_shed)
    if revision:
        place = {"name": REPOSITORY, "owner": OWNER, "tool_shed": tool_shed, "changeset_revision": revision}
        step["tool_shed_repository"] = place


def publish_test_data(source: Path, folder: Path, tests: Path, url: str) -> None:
    """Let a workflow's tests name the files of `source` by URL and checksum; without a URL, copy them to `folder`."""

    def named(found: re.Match) -> str:
        path, indent = source / found["name"], found["indent"]
        if not url:
            copy = folder / "test-data" / found["name"]
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
            return found[0]
        return (
            f"{indent}location: {url}/{path.name}\n"
            f"{indent}hashes:\n"
            f"{indent}- hash_function: SHA-1\n"
            f"{indent}  hash_value: {archives.digest(path, 'sha1')}"
        )

    tests.write_text(LOCAL_FILE.sub(named, tests.read_text()))
