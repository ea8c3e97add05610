"""What the workflows' files must have: reports, no column by number, one version, tests within their folder."""

import json
import re
from pathlib import Path

import pytest
import yaml

import make_workflows
from conftest import ROOT
from dna_lm import __version__

WORKFLOWS = sorted(ROOT.glob("workflows/*/*.ga"))


def read(path):
    """A workflow, and its tool steps with their states."""
    workflow = json.loads(path.read_text())
    steps = [step for step in workflow["steps"].values() if step["type"] == "tool"]
    return workflow, [(step, json.loads(step["tool_state"])) for step in steps]


def output_labels(workflow):
    return {output["label"] for step in workflow["steps"].values() for output in step["workflow_outputs"]}


def test_the_twins_differ_in_their_genome_only():
    """If this fails, run tests/fixtures/make_workflows.py."""
    for path, text in make_workflows.texts().items():
        assert path.read_text() == text


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_report_shows_outputs_of_the_workflow(path):
    workflow, _ = read(path)
    markdown = workflow["report"]["markdown"]
    shown = re.findall(r'history_dataset_as_\w+\(output="([^"]+)"', markdown)
    assert "history_dataset_as_table" in markdown and set(shown) <= output_labels(workflow)
    assert "history_dataset_as_image" in markdown or "Plot" not in output_labels(workflow)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_no_column_is_named_by_its_number(path):
    for step, state in read(path)[1]:
        columns = re.findall(r'"(\w*column\w*)": ("[^"]*"|\d+)', json.dumps(state))
        assert not [value for _, value in columns if value.strip('"').isdigit()], step["label"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_the_version_is_that_of_the_suite(path):
    workflow, steps = read(path)
    assert workflow["release"] == __version__
    assert {step["tool_version"] for step, _ in steps} == {f"{__version__}+galaxy0"}
    assert f"[{__version__}]" in path.with_name("CHANGELOG.md").read_text()


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_step_has_the_parameters_of_its_wrapper(path):
    """A parameter that a wrapper has lost would be dropped without a word."""
    for step, state in read(path)[1]:
        known = {name for file in ROOT.glob("tools/*.xml") for name in parameter_names(file)}
        assert names_in(state) <= known, step["label"]


def parameter_names(path: Path) -> set[str]:
    """The names of parameters, sections, conditionals and repeats of a wrapper or of macros."""
    text = re.sub(r"<tests>.*?</tests>", "", path.read_text(), flags=re.DOTALL)
    named = re.findall(r'<(?:param|section|conditional|repeat)\b[^>]*?\bname="(\w+)"', text)
    by_argument = re.findall(r'<param\b[^>]*?argument="--([\w-]+)"', text)
    return {*named, *(name.replace("-", "_") for name in by_argument)}


def names_in(state):
    """All names of a saved state, without Galaxy's own."""
    if isinstance(state, list):
        return {name for element in state for name in names_in(element)}
    if not isinstance(state, dict):
        return set()
    deeper = {name for value in state.values() for name in names_in(value)}
    return {name for name in state if not name.startswith("__")} | deeper


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_the_tests_stay_in_their_folder_and_check_every_output(path):
    tests = yaml.safe_load(path.with_name(f"{path.stem}-tests.yml").read_text())
    labels = output_labels(read(path)[0])
    for test in tests:
        files = [value["path"] for value in test["job"].values() if isinstance(value, dict)]
        assert files and all(re.fullmatch(r"test-data/[\w.]+", name) for name in files)
        assert test["outputs"].keys() == labels


def test_every_folder_has_what_iwc_asks_for():
    for folder in {path.parent for path in WORKFLOWS}:
        assert {"README.md", "CHANGELOG.md", ".dockstore.yml"} <= {path.name for path in folder.iterdir()}
        registered = yaml.safe_load((folder / ".dockstore.yml").read_text())["workflows"]
        paths = {entry["primaryDescriptorPath"] for entry in registered}
        assert paths == {f"/{path.name}" for path in WORKFLOWS if path.parent == folder}
        assert len({entry["name"] for entry in registered}) == len(registered)
