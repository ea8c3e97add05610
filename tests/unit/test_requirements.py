"""Each script needs only the packages that its wrapper requires, by its source and by running it with no others."""

import ast
import json
import os
import re
import subprocess
import sys
from functools import cache
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from conftest import TEST_DATA
from test_wrappers import CONDA_NAMES, DATA_MANAGER, WRAPPERS, requirements_of

PIP_NAMES = {conda: pip for pip, conda in CONDA_NAMES.items()}
DEMO = TEST_DATA / "models" / "demo-mixtral"
MODEL_TOOLS = {"embed", "mutagenesis", "score_pairs", "score_variants"}


def script_of(wrapper):
    """The script that a wrapper starts."""
    if wrapper == DATA_MANAGER:
        return wrapper.with_suffix(".py")
    return wrapper.parent / "scripts" / f"{wrapper.stem.removeprefix('dna_lm_')}.py"


WRAPPER_OF = {script_of(wrapper).stem: wrapper for wrapper in WRAPPERS}


def required(wrapper):
    """The Python packages that a wrapper names, under their names on PyPI."""
    return {PIP_NAMES.get(name, name) for name, _ in requirements_of(wrapper) if name != "python"}


@cache
def imported(script):
    """Top-level packages outside the standard library that a script, or a module of the suite that it uses, imports.

    Imports inside functions count: they run when the function is called.
    """
    to_read, read, packages = [script], set(), set()
    while to_read:
        path = to_read.pop()
        read.add(path)
        names = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{path}: a relative import"
                names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
            elif isinstance(node, ast.Call) and path == script and getattr(node.func, "attr", "") == "start":
                # Imported when it is started.
                names.add(f"dna_lm.commands.{node.args[0].value}")
        for name in names:
            top = name.partition(".")[0]
            # Python looks into the script's own folder first.
            if (script.parent / top).is_dir() or (script.parent / f"{top}.py").exists():
                place = script.parent / name.replace(".", "/")
                files = place.parent / "__init__.py", place.with_suffix(".py"), place / "__init__.py"
                to_read += [file for file in files if file.exists() and file not in read]
            elif top not in sys.stdlib_module_names:
                packages.add(top)
    return packages


def installed_with(packages):
    """The installed distributions that `pip install` of these packages brings: canonical name -> distribution."""
    found = {}
    to_visit = [Requirement(package) for package in packages]
    seen = set()
    while to_visit:
        wanted = to_visit.pop()
        name = canonicalize_name(wanted.name)
        if (name, *sorted(wanted.extras)) in seen:
            continue
        seen.add((name, *sorted(wanted.extras)))
        found[name] = metadata.distribution(name)
        for line in found[name].requires or ():
            needed = Requirement(line)
            if not needed.marker or any(needed.marker.evaluate({"extra": extra}) for extra in {"", *wanted.extras}):
                to_visit.append(needed)
    return found


def missing_from(packages, script):
    """What `script` imports that none of `packages`, nor what they need, provides."""
    available = installed_with(packages)
    owners = metadata.packages_distributions()
    return {name for name in imported(script) if available.keys().isdisjoint(map(canonicalize_name, owners[name]))}


@pytest.mark.parametrize("name", WRAPPER_OF)
def test_a_script_imports_what_its_wrapper_requires(name):
    assert missing_from(required(WRAPPER_OF[name]), script_of(WRAPPER_OF[name])) == set()


def test_a_package_that_no_requirement_brings_is_missed():
    packages = required(WRAPPER_OF["score_variants"])
    script = script_of(WRAPPER_OF["score_variants"])
    assert missing_from(packages - {"pysam", "torch"}, script) == {"pysam", "torch"}
    # No requirement names it: it comes with transformers.
    assert "tokenizers" in imported(script)


def test_a_script_imports_no_more_than_its_work_needs():
    """Importing these takes time at the start of every job."""
    imports = {name: imported(script_of(wrapper)) for name, wrapper in WRAPPER_OF.items()}
    assert {name for name in imports if "torch" in imports[name]} == {*MODEL_TOOLS, "data_manager_dna_lm"}
    assert {name for name in imports if "scipy" in imports[name]} == {"compare_groups", "evaluate"}
    assert {name for name in imports if "sklearn" in imports[name]} == {"embed", "evaluate"}
    drawing = {"compare_groups", "embed", "evaluate", "mutagenesis", "score_variants"}
    assert {name for name in imports if "matplotlib" in imports[name]} == drawing
    assert imports["collapse"] == set()


# --- really started ------------------------------------------------------------------------------------------------

CFTR = TEST_DATA / "cftr_wild_type.fasta"
MUTANTS = TEST_DATA / "cftr_mutant.fasta"
GROUPS = [f"{name}={TEST_DATA / f'groups_{name}.tsv'}" for name in ("exon", "intron")]
VARIANTS = TEST_DATA / "variants_sorted.vcf.gz"
REGIONS = TEST_DATA / "regions.bed"
REFERENCE = TEST_DATA / "reference.fasta"
# A short run of each script that reaches its late imports, and the names of its outputs.
RUNS = {
    "collapse": (["--list", "chunks.json", "--output", "all.tsv"], ["all.tsv"]),
    "compare_groups": (
        ["--group", GROUPS[0], "--group", GROUPS[1], "--output", "tests.tsv", "--summary", "groups.tsv"]
        + ["--plot", "plot.png", "--report", "report.md"],
        ["tests.tsv", "groups.tsv", "plot.png", "report.md"],
    ),
    "data_manager_dna_lm": (
        ["--model-id", "tests/demo", "--path", DEMO, "--target", "models", "--output", "rows.json"],
        ["models", "rows.json"],
    ),
    "embed": (
        ["--model", DEMO, "--input", TEST_DATA / "sequences.fasta", "--format", "h5ad", "--output", "x.h5ad"]
        + ["--log-likelihood", "--picture", "x.png", "--coordinates", "x.tsv"],
        ["x.h5ad", "x.png", "x.tsv"],
    ),
    "evaluate": (
        ["--table", TEST_DATA / "evaluate_scores.tsv", "--labels", TEST_DATA / "evaluate_clinvar.vcf", "--clinvar"]
        + ["--output", "metrics.tsv", "--rows", "rows.tsv", "--plot", "plot.png", "--report", "report.md"],
        ["metrics.tsv", "rows.tsv", "plot.png", "report.md"],
    ),
    "mutagenesis": (
        ["--model", DEMO, "--intervals", TEST_DATA / "one_exon.gff3", "--intervals-format", "gff"]
        + ["--reference", REFERENCE, "--output", "all.tsv", "--heatmap", "map.png", "--track", "track.bw"]
        + ["--report", "report.md"],
        ["all.tsv", "map.png", "track.bw", "report.md"],
    ),
    "score_pairs": (
        ["--model", DEMO, "--wild-type", CFTR, "--mutant", MUTANTS, "--scores", "l2", "llr", "--output", "scores.tsv"],
        ["scores.tsv"],
    ),
    "score_variants": (
        ["--model", DEMO, "--variants", VARIANTS, "--reference", REFERENCE, "--regions", REGIONS]
        + ["--background", 3, "--output", "scores.tsv", "--output-vcf", "scores.vcf"],
        ["scores.tsv", "scores.vcf"],
    ),
    "split": (
        ["--wild-type", CFTR, "--mutant", MUTANTS, "--size", 1, "--output", "chunks"],
        ["chunks"],
    ),
}


def start(script, options, packages, folder):
    """Run a script where only the standard library and `packages` with their dependencies can be imported."""
    site = folder / "site"
    site.mkdir()
    for distribution in installed_with(packages).values():
        for top in {file.parts[0] for file in distribution.files if file.parts[0] not in ("..", "__pycache__")}:
            (site / top).unlink(missing_ok=True)
            (site / top).symlink_to(distribution.locate_file(top))
    (folder / "chunks.json").write_text(json.dumps([{"name": "one", "path": str(TEST_DATA / "groups_exon.tsv")}]))
    # -S leaves the environment's own packages out; importtime lists on stderr what is imported.
    command = [sys.executable, "-S", "-X", "importtime", script, *map(str, options)]
    environment = os.environ | {"PYTHONPATH": str(site), "MPLCONFIGDIR": str(folder)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("name", WRAPPER_OF)
def test_a_script_runs_with_what_its_wrapper_requires(tmp_path, name):
    options, outputs = RUNS[name]
    done = start(script_of(WRAPPER_OF[name]), options, required(WRAPPER_OF[name]), tmp_path)
    said = "\n".join(line for line in done.stderr.splitlines() if not line.startswith("import time:"))
    assert done.returncode == 0, said
    assert all((tmp_path / output).exists() for output in outputs)
    modules = set(re.findall(r"^import time:.*\| +(\S+)$", done.stderr, re.M))
    # Only where a model runs: it takes more than a second.
    assert ("torch" in modules) == (name in MODEL_TOOLS | {"data_manager_dna_lm"})


def test_a_script_does_not_run_without_what_it_imports(tmp_path):
    """A package that is installed here and not required stays out of reach."""
    options, _ = RUNS["compare_groups"]
    packages = required(WRAPPER_OF["compare_groups"]) - {"matplotlib"}
    done = start(script_of(WRAPPER_OF["compare_groups"]), options, packages, tmp_path)
    assert done.returncode == 1
    assert "ModuleNotFoundError: No module named 'matplotlib'" in done.stderr
