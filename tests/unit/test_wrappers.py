"""What all wrappers must have, and versions that stand in several files, each of which some program reads."""

import re
from xml.etree import ElementTree

from conftest import ROOT
from dna_lm import __version__
from dna_lm.cli import OUT_OF_MEMORY_EXIT_CODE

MACROS = ROOT / "tools" / "macros.xml"
DATA_MANAGER = ROOT / "data_managers/data_manager_dna_lm/data_manager/data_manager_dna_lm.xml"
WRAPPERS = [DATA_MANAGER, *(ROOT / "tools").glob("dna_lm_*.xml")]
CONDA_NAMES = {"torch": "pytorch"}


def requirements_of(path):
    return {(found.text, found.get("version")) for found in ElementTree.parse(path).iter("requirement")}


def test_wrappers_require_what_pip_installs():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines if "==" in line)
    installed = {(CONDA_NAMES.get(name, name), version) for name, version in pinned.items()}
    required = set().union(*map(requirements_of, [MACROS, *WRAPPERS]))
    # A wrapper whose script needs no package asks for a Python of any kind.
    assert {pair for pair in required if pair[0] != "python"} == installed


def test_the_suite_has_one_version():
    tokens = {found.get("name"): found.text for found in ElementTree.parse(MACROS).iter("token")}
    wrapper = f"{tokens['@TOOL_VERSION@']}+galaxy{tokens['@VERSION_SUFFIX@']}"
    assert tokens["@TOOL_VERSION@"] == __version__
    assert ElementTree.parse(DATA_MANAGER).getroot().get("version") == wrapper
    assert re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), re.M)[1] == __version__
    assert f"\n## {__version__} " in (ROOT / "CHANGELOG.md").read_text()


def test_galaxy_is_told_how_a_script_says_that_memory_ran_out():
    """Else a destination cannot send the job again with more."""
    for wrapper in WRAPPERS:
        command = ElementTree.parse(wrapper).find("command")
        assert command.attrib == {"detect_errors": "exit_code", "oom_exit_code": str(OUT_OF_MEMORY_EXIT_CODE)}, wrapper


def test_every_option_is_explained_in_its_form():
    """Where there is no help Galaxy shows the bare command-line option."""
    for wrapper in [MACROS, *WRAPPERS]:
        for param in ElementTree.parse(wrapper).iter("param"):
            assert param.get("help") or not param.get("argument"), f"{wrapper}: {param.get('argument')}"
