"""The library's packages import only from those below them, and no modules import each other."""

import ast
import os
import subprocess
import sys
from graphlib import TopologicalSorter

import pytest

from conftest import ROOT

LIBRARY = ROOT / "tools" / "scripts" / "dna_lm"

# A package, or `dna_lm` for the modules at the top level, and what each may import besides itself.
BELOW = {
    "dna_lm": set(),
    "inputs": {"dna_lm"},
    "outputs": {"dna_lm"},
    "families": {"dna_lm"},
    "model": {"dna_lm", "families"},
    "engine": {"dna_lm", "model"},
    "compare": {"dna_lm", "inputs", "outputs"},
    "evaluate": {"dna_lm", "inputs", "outputs"},
    "scoring": {"dna_lm", "inputs", "outputs", "model", "engine"},
    "known": {"dna_lm", "model", "engine"},
    "pairs": {"dna_lm", "inputs", "outputs", "model", "engine", "scoring"},
    "variants": {"dna_lm", "inputs", "outputs", "model", "engine", "scoring"},
    "mutagenesis": {"dna_lm", "inputs", "outputs", "model", "engine", "scoring"},
    "embedding": {"dna_lm", "inputs", "outputs", "model", "engine", "scoring"},
}
# Libraries that only the packages around the model may import.
# What may import all packages: the ways in.
for way_in in ("api", "commands"):
    BELOW[way_in] = {*BELOW}
AROUND_THE_MODEL = {"families", "model", "engine", "scoring", "known"}
HEAVY = {"torch", "transformers", "tokenizers", "safetensors"}


def module_name(path):
    """Such as `dna_lm.engine.encoder`; a package has its own name."""
    return ".".join(("dna_lm", *path.relative_to(LIBRARY).with_suffix("").parts)).removesuffix(".__init__")


MODULES = {module_name(path): path for path in sorted(LIBRARY.rglob("*.py"))}


def imports_of(path):
    """Names of all modules that a module imports, also inside functions and for types only."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            submodules = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= submodules & MODULES.keys() or {node.module}
    return names


def package_of(name):
    """The package of a module of the library; those at the top level are `dna_lm`."""
    parts = [*name.split("."), "dna_lm"]
    return parts[1] if (LIBRARY / parts[1]).is_dir() or parts[1] == "api" else "dna_lm"


@pytest.mark.parametrize("name", [name for name in MODULES if name != "dna_lm"])
def test_a_module_imports_from_the_packages_below_its_own(name):
    package = package_of(name)
    assert package in BELOW, f"say in this test what the new package {package} may import"
    ours = {other for other in imports_of(MODULES[name]) if other.startswith("dna_lm.")}
    wrong = {other for other in ours if package_of(other) not in BELOW[package] | {package}}
    assert not wrong, f"{name} imports {wrong}"


@pytest.mark.parametrize("name", MODULES)
def test_only_the_packages_around_the_model_import_its_libraries(name):
    if name == "dna_lm" or package_of(name) not in AROUND_THE_MODEL:
        heavy = {other for other in imports_of(MODULES[name]) if other.partition(".")[0] in HEAVY}
        assert not heavy, f"{name} imports {heavy}"


def test_no_modules_import_each_other():
    """Raises `CycleError`, which names the modules, when some do."""
    TopologicalSorter(
        {name: imports_of(path) & MODULES.keys() - {"dna_lm"} for name, path in MODULES.items()}
    ).prepare()


def names_in(path):
    """Names and texts in the code of a module, without its docstrings."""
    tree = ast.parse(path.read_text())
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docstrings = {
        id(node.body[0].value) for node in ast.walk(tree) if isinstance(node, documented) and ast.get_docstring(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value
        yield from (
            getattr(node, name) for name in ("id", "arg", "name", "attr") if isinstance(getattr(node, name, None), str)
        )


@pytest.mark.parametrize("name", [name for name in MODULES if name != "dna_lm.galaxy"])
def test_one_module_knows_galaxy(name):
    """The others use its functions by their names; a message may mention Galaxy's tools in words."""
    found = {text for text in names_in(MODULES[name]) if "galaxy" in text or "GALAXY" in text}
    assert found <= {"galaxy", "dna_lm.galaxy"}, f"{name} knows Galaxy: {found}"


@pytest.mark.parametrize("name", [name for name in MODULES if package_of(name) not in ("commands", "dna_lm")])
def test_the_library_knows_no_command_line(name):
    assert "argparse" not in imports_of(MODULES[name])


def test_importing_the_library_changes_no_environment_variable():
    """Besides what the libraries set themselves, when torch and transformers are imported alone."""
    libraries = "import torch, torch._dynamo, transformers, transformers.modeling_utils, sklearn.decomposition"
    library = "import dna_lm.api, dna_lm.commands.evaluate"
    script = f"import os; {libraries}; before = {{**os.environ}}; {library}; assert {{**os.environ}} == before"
    own = ("HF_", "MKL_CBWR", "GOMP_", "OMP_", "KMP_", "TORCHINDUCTOR")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    environment["PYTHONPATH"] = str(LIBRARY.parent)
    subprocess.run([sys.executable, "-c", script], env=environment, check=True)
