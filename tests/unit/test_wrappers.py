"""What all wrappers must have, and versions that stand in several files, each of which some program reads."""

import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from conftest import ROOT
from dna_lm import __version__, scores
from dna_lm.cli import OUT_OF_MEMORY_EXIT_CODE

MACROS = ROOT / "tools" / "macros.xml"
VARIANTS_MACROS = ROOT / "tools" / "macros_variants.xml"
ALL_MACROS = sorted((ROOT / "tools").glob("macros*.xml"))
DATA_MANAGER = ROOT / "data_managers/data_manager_dna_lm/data_manager/data_manager_dna_lm.xml"
TOOLS = sorted((ROOT / "tools").glob("dna_lm_*.xml"))
WRAPPERS = [DATA_MANAGER, *TOOLS]
CONDA_NAMES = {"torch": "pytorch"}
# The supported versions of Python; conda installs the one that macros.xml names.
PYTHONS = {"3.11", "3.12", "3.13"}


def requirements_of(wrapper):
    """(name, version) of each package that a wrapper requires, itself or by macros of the suite."""
    macros = {macro.get("name"): macro for macro in ElementTree.parse(MACROS).iter("xml")}

    def listed(element):
        own = {(found.text, found.get("version")) for found in element.iter("requirement")}
        used = {expand.get("macro") for expand in element.iter("expand")} & macros.keys()
        return own.union(*(listed(macros[name]) for name in used))

    return listed(ElementTree.parse(wrapper).getroot())


@pytest.mark.parametrize("wrapper", WRAPPERS, ids=lambda wrapper: wrapper.stem)
def test_wrappers_require_what_pip_installs(wrapper):
    """Every wrapper requires all packages, so one container image, named by Galaxy after them, serves the suite."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines if "==" in line)
    installed = {CONDA_NAMES.get(name, name): version for name, version in pinned.items()}
    listed = requirements_of(wrapper)
    required = dict(listed)
    assert len(listed) == len(required)
    python = required.pop("python")
    assert python in PYTHONS
    assert required == installed


def test_a_package_is_found_in_a_virtual_environment(tmp_path):
    """The script in docs/admin/ writes an entry for every package that the wrappers require."""
    script = ROOT / "docs" / "admin" / "packages_from_venv.sh"
    subprocess.run([script, sys.prefix, tmp_path], check=True)
    found = {path.relative_to(tmp_path).parts[:2] for path in tmp_path.glob("*/*/env.sh")}
    assert all(requirements_of(wrapper) <= found for wrapper in WRAPPERS)


def test_a_gpu_is_asked_for_where_a_model_runs():
    tree = {wrapper: ElementTree.tostring(ElementTree.parse(wrapper).getroot(), "unicode") for wrapper in WRAPPERS}
    with_model = {wrapper.stem for wrapper in WRAPPERS if 'macro="requirements_model"' in tree[wrapper]}
    assert with_model == {"dna_lm_embed", "dna_lm_mutagenesis", "dna_lm_score_pairs", "dna_lm_score_variants"}
    assert not any("cuda_device_count" in text for text in tree.values())


def test_the_suite_has_one_version():
    tokens = {found.get("name"): found.text for found in ElementTree.parse(MACROS).iter("token")}
    version = "@TOOL_VERSION@+galaxy@VERSION_SUFFIX@"
    assert tokens["@TOOL_VERSION@"] == __version__
    assert {ElementTree.parse(path).getroot().get("version") for path in WRAPPERS} == {version}
    assert re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), re.M)[1] == __version__
    assert f"\n## {__version__} " in (ROOT / "CHANGELOG.md").read_text()


def test_galaxy_is_told_how_a_script_says_that_memory_ran_out():
    """Else a destination cannot send the job again with more."""
    for wrapper in WRAPPERS:
        command = ElementTree.parse(wrapper).find("command")
        assert command.attrib == {"detect_errors": "exit_code", "oom_exit_code": str(OUT_OF_MEMORY_EXIT_CODE)}, wrapper


@pytest.mark.parametrize("wrapper", TOOLS, ids=lambda wrapper: wrapper.stem)
def test_a_job_records_its_versions_and_a_tool_its_license(wrapper):
    tool = ElementTree.parse(wrapper).getroot()
    assert tool.find("expand[@macro='version_command']") is not None
    assert tool.get("license") == "MIT" and (ROOT / "LICENSE").read_text().startswith("MIT License")
    (command,) = ElementTree.parse(MACROS).iter("version_command")
    assert command.text == "python '$__tool_directory__/scripts/versions.py'"
    assert (ROOT / "tools" / "scripts" / "versions.py").exists()


def test_the_forms_offer_every_score():
    """In one list, by its label, which the choices of scores to compute and of a score to draw share."""
    (options,) = (found for found in ElementTree.parse(MACROS).iter("xml") if found.get("name") == "score_options")
    offered = {option.get("value"): option.text for option in options}
    assert offered == {score.name: score.label for score in scores.SCORES.values()}
    assert list(offered) == list(scores.SCORES)


def test_text_that_a_user_types_reaches_no_shell():
    """It goes into a file: whatever is in it, a command never has it."""
    wrapper = ElementTree.parse(ROOT / "tools" / "dna_lm_score_variants.xml")
    params = [param for tree in (wrapper, ElementTree.parse(VARIANTS_MACROS)) for param in tree.iter("param")]
    typed = [param.get("argument")[2:] for param in params if param.get("type") == "text"]
    assert sorted(typed) == ["info-prefix", "region-names"]
    (options,) = (file.text for file in wrapper.iter("configfile") if file.get("name") == "options")
    for name in typed:
        assert name in options
        assert name.replace("-", "_") not in wrapper.find("command").text


def test_every_macro_is_used():
    paths = [*ALL_MACROS, *TOOLS]
    trees = [ElementTree.parse(path) for path in paths]
    defined = [found.get("name") for tree in trees for found in tree.iter("xml")]
    used = {found.get("macro") for tree in trees for found in tree.iter("expand")}
    # A wrapper may define one for itself that another wrapper has too.
    assert set(defined) == used
    shared = [found.get("name") for path in ALL_MACROS for found in ElementTree.parse(path).getroot().findall("xml")]
    assert len(set(shared)) == len(shared)


@pytest.mark.parametrize("path", [*ALL_MACROS, *WRAPPERS], ids=lambda path: path.stem)
def test_tests_are_written_out_in_the_wrapper(path):
    """A macro has parameters or assertions: who reads a wrapper finds all its tests there, in their order."""
    tree = ElementTree.parse(path).getroot()
    assert not [test for macro in tree.iter("xml") for test in macro.iter("test")]
    tests = tree.find("tests")
    assert (tests is None) == (path in ALL_MACROS)
    assert tests is None or {child.tag for child in tests} == {"test"}


def test_every_option_is_explained_in_its_form():
    """Where there is no help Galaxy shows the bare command-line option."""
    for wrapper in [*ALL_MACROS, *WRAPPERS]:
        for param in ElementTree.parse(wrapper).iter("param"):
            assert param.get("help") or not param.get("argument"), f"{wrapper}: {param.get('argument')}"


def expanded_help(wrapper):
    """The help of a wrapper with the texts of all tokens, without the targets of links."""
    trees = [ElementTree.parse(path) for path in (*sorted(wrapper.parent.glob("macros*.xml")), wrapper)]
    tokens = {token.get("name"): token.text or "" for tree in trees for token in tree.iter("token")}
    text = trees[-1].find("help").text
    while found := next((name for name in tokens if name in text), None):
        text = text.replace(found, tokens[found])
    return re.sub(r" <[^>]*>`__", "`__", text)


@pytest.mark.parametrize("wrapper", WRAPPERS, ids=lambda wrapper: wrapper.stem)
def test_the_help_is_short(wrapper):
    """The rest is in the documentation, to which it links."""
    words = [word for word in expanded_help(wrapper).split() if re.search(r"\w", word)]
    assert 100 < len(words) <= 450
