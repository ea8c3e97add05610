"""The library's packages import only from those below them, and no modules import each other."""

import ast
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
    "pairs": {"dna_lm", "inputs", "outputs", "model", "engine", "scoring"},
    "variants": {"dna_lm", "inputs", "outputs", "model", "engine", "scoring"},
    "mutagenesis": {"dna_lm", "inputs", "outputs", "model", "engine", "scoring"},
    "embedding": {"dna_lm", "inputs", "outputs", "model", "engine", "scoring"},
}
# Libraries that only the packages around the model may import.
AROUND_THE_MODEL = {"families", "model", "engine", "scoring"}
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
    parts = name.split(".")
    return parts[1] if (LIBRARY / parts[1]).is_dir() else "dna_lm"


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
