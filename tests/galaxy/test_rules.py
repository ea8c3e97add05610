"""The sample configuration in docs/admin/ is valid, formatted, and sends each tool where its README says.

Total Perspective Vortex (TPV) runs inside this process, because it takes seconds to import.
"""

from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import yaml
from galaxy.jobs import JobDestination
from galaxy_server import ROOT, wrappers
from tpv.commands.dryrunner import TPVDryRunner
from tpv.commands.shell import create_parser

ADMIN = ROOT / "docs" / "admin"
RULES = ADMIN / "tpv.yml"
SITE = ADMIN / "tpv_site.yml"
JOB_CONF = ADMIN / "job_conf.yml"
RESOLVERS = ADMIN / "container_resolvers.yml"
SHED = "toolshed.g2.bx.psu.edu/repos/someone/dna_lm/"


def tpv(command: str, rules: Path) -> int:
    """Run a command of Total Perspective Vortex on sample rules; returns its exit status."""
    arguments = create_parser().parse_args([command, str(rules)])
    return arguments.func(arguments)


def mapped(
    tool: str, input_gib: float = 0, rules: tuple[Path, ...] = (SITE, RULES), tries: int = 1
) -> list[JobDestination]:
    """Where a job goes in each of its tries, of which all but the last run out of memory."""
    found, params = [], None
    for _ in range(tries):
        paths = [str(path) for path in rules]
        runner = TPVDryRunner.from_params(str(JOB_CONF), tool_id=tool, tpv_confs=paths, input_size=input_gib)
        if params:
            runner.job.destination_params = params
        destination = runner.run()[0]
        params = destination.params
        found.append(destination)
    return found


def destinations(*arguments: Any, **options: Any) -> list[tuple[str, int | None]]:
    """The names of these destinations, and their jobs' memory in MiB."""
    found = [(destination.id, destination.params.get("job_--mem")) for destination in mapped(*arguments, **options)]
    return [(name, memory and int(memory)) for name, memory in found]


def site_rules(folder: Path, rules: dict) -> tuple[Path, ...]:
    """The sample's rules and, after them, a site's."""
    path = folder / "more.yml"
    path.write_text(yaml.safe_dump(rules))
    return SITE, RULES, path


@pytest.mark.parametrize("rules", [RULES, SITE], ids=lambda path: path.stem)
def test_valid(rules: Path) -> None:
    """TPV finds no fault in the rules."""
    assert tpv("lint", rules) == 0


@pytest.mark.parametrize("rules", [RULES, SITE], ids=lambda path: path.stem)
def test_formatted(capsys: pytest.CaptureFixture, rules: Path) -> None:
    """The rules are written as TPV formats them."""
    tpv("format", rules)
    assert capsys.readouterr().out == rules.read_text()


@pytest.mark.parametrize(
    ("tool", "input_gib", "destination", "memory"),
    [
        ("dna_lm_embed", 0, "slurm_gpu", 4096),
        ("dna_lm_score_pairs", 0, "slurm_gpu", 4096),
        ("dna_lm_score_pairs", 20, "slurm_gpu", 4096),
        (f"{SHED}dna_lm_score_variants/0.1.0", 0, "slurm_gpu", 4096),
        (f"{SHED}dna_lm_mutagenesis/0.1.0", 0, "slurm_gpu", 4096),
        ("dna_lm_compare_groups", 0, "slurm_cpu", 2048),
        ("dna_lm_compare_groups", 10, "slurm_large", 43008),
        ("dna_lm_evaluate", 0, "slurm_cpu", 2048),
        (f"{SHED}dna_lm_evaluate/0.1.0", 1, "slurm_cpu", 6144),
        ("dna_lm_split", 20, "slurm_cpu", 2048),
        ("dna_lm_collapse", 20, "slurm_cpu", 2048),
        ("data_manager_dna_lm", 0, "galaxy_host", None),
        (f"{SHED}data_manager_dna_lm/0.1.0", 0, "galaxy_host", None),
        ("another_tool", 0, "slurm_cpu", 2048),
    ],
)
def test_destination(tool: str, input_gib: float, destination: str, memory: int | None) -> None:
    """A job goes to the destination that fits its tool and the size of its inputs."""
    assert destinations(tool, input_gib) == [(destination, memory)]


@pytest.mark.parametrize(
    ("tool", "expected"),
    [
        ("dna_lm_score_pairs", [("slurm_cpu", 8192), ("slurm_cpu", 16384), ("slurm_large", 32768)]),
        ("dna_lm_compare_groups", [("slurm_cpu", 4096), ("slurm_cpu", 8192), ("slurm_cpu", 16384)]),
    ],
)
def test_destinations_after_memory(tool: str, expected: list[tuple[str, int]]) -> None:
    """A job that runs out of memory each time gets twice as much in its next try."""
    assert destinations(tool, tries=4)[1:] == expected


def rules_in_the_documentation(after: str) -> dict:
    """The rules that docs/admin/README.md shows after a line that ends with this text."""
    text = (ADMIN / "README.md").read_text().split(f"{after}\n\n")[1]
    return yaml.safe_load("\n".join(takewhile(lambda line: line.startswith("    "), text.splitlines())))


def test_without_gpu(tmp_path: Path) -> None:
    """A site without GPUs sends the models to CPUs with one line."""
    rules = site_rules(tmp_path, rules_in_the_documentation("A site without a GPU:"))
    assert destinations("dna_lm_score_pairs", rules=rules) == [("slurm_cpu", 4096)]


def test_memory_for_large_models(tmp_path: Path) -> None:
    """Another number of GiB for the tools with a model is doubled like the first one, and goes to no other tool."""
    rules = site_rules(tmp_path, rules_in_the_documentation("the expression doubles this when a job is sent again:"))
    first, again = destinations("dna_lm_score_pairs", rules=rules, tries=2)
    assert (first, again) == (("slurm_gpu", 16384), ("slurm_large", 32768))
    assert destinations("dna_lm_split", rules=rules) == [("slurm_cpu", 2048)]


def test_together_with_the_rules_of_a_site(tmp_path: Path) -> None:
    """The tools' rules change no other tool's, and a site's `default` applies to these tools too."""
    default = {"mem": "cores * 3.8", "env": {"OF_THE_SITE": "1"}, "scheduling": {"reject": ["offline"]}}
    path = tmp_path / "shared.yml"
    shared = yaml.safe_load(SITE.read_text())
    shared["tools"] = {"default": {"cores": 2, **default}}
    path.write_text(yaml.safe_dump(shared))
    [other] = mapped("another_tool", rules=(path, RULES))
    [ours] = mapped("dna_lm_score_pairs", rules=(path, RULES))
    assert other.params["job_--mem"] == str(int(2 * 3.8 * 1024)) and not other.resubmit and "more" not in other.params
    assert (ours.id, ours.params["job_--mem"]) == ("slurm_gpu", "4096") and ours.resubmit
    assert {"name": "OF_THE_SITE", "value": "1"} in other.env and {"name": "OF_THE_SITE", "value": "1"} in ours.env


def test_docker(tmp_path: Path) -> None:
    """In docker a model gets the job's GPU, and no other, and the other tools get none; there is no network."""
    rules = site_rules(tmp_path, rules_in_the_documentation("in docker, with or without GPUs:"))
    model, again = mapped("dna_lm_score_pairs", rules=rules, tries=2)
    assert (model.id, model.params["job_--gres"]) == ("slurm_docker_gpu", "gpu:1")
    assert model.params["docker_run_extra_arguments"] == "--memory 4096m --gpus device=$SLURM_JOB_GPUS"
    assert (again.id, again.params["docker_run_extra_arguments"]) == ("slurm_docker_cpu", "--memory 8192m")
    [split] = mapped("dna_lm_split", rules=rules)
    assert (split.id, split.params["docker_run_extra_arguments"]) == ("slurm_docker_cpu", "--memory 2048m")
    for destination in (model, again, split):
        assert destination.params["docker_net"] == "none"
        assert destination.params["docker_volumes"] == "$defaults,/data/models:ro"


def test_singularity(tmp_path: Path) -> None:
    """In singularity a model gets the job's GPU."""
    rules = site_rules(tmp_path, {"tools": {"(.*/)?dna_lm_.*": {"scheduling": {"require": ["singularity"]}}}})
    [model] = mapped("dna_lm_score_pairs", rules=rules)
    assert model.id == "slurm_singularity_gpu"
    wanted = "--nv --env CUDA_VISIBLE_DEVICES=$CUDA_VISIBLE_DEVICES"
    assert model.params["singularity_run_extra_arguments"] == wanted
    [split] = mapped("dna_lm_split", rules=rules)
    assert split.id == "slurm_singularity_cpu" and "singularity_run_extra_arguments" not in split.params


def test_every_tool_has_an_image() -> None:
    """The sample of container resolvers names every tool of the suite."""
    [resolver] = yaml.safe_load(RESOLVERS.read_text())
    assert {mapping["tool_id"] for mapping in resolver["mappings"]} == wrappers().keys()
    assert len({mapping["identifier"] for mapping in resolver["mappings"]}) == 1


def test_one_set_of_packages_has_one_name() -> None:
    """Galaxy computes the same name of an image for every tool, and the documentation has it."""
    from galaxy.tool_util.deps.mulled.util import build_target, v2_image_name
    from galaxy.tool_util.parser import get_tool_source

    names = set()
    for path in wrappers().values():
        requirements = get_tool_source(str(path)).parse_requirements()[0]
        names.add(v2_image_name([build_target(found.name, version=found.version) for found in requirements]))
    [name] = names
    assert f"`{name}`" in (ADMIN / "README.md").read_text()
