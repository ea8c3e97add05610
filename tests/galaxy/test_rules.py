"""The sample configuration in docs/admin/ is valid, formatted, and sends each tool where its README says.

Total Perspective Vortex (TPV) runs inside this process, because it takes seconds to import.
"""

from pathlib import Path

import pytest
import yaml
from galaxy_server import ROOT
from tpv.commands.dryrunner import TPVDryRunner
from tpv.commands.shell import create_parser

RULES = ROOT / "docs" / "admin" / "tpv.yml"
JOB_CONF = ROOT / "docs" / "admin" / "job_conf.yml"
SHED = "toolshed.g2.bx.psu.edu/repos/someone/dna_lm/"


def tpv(command: str) -> int:
    """Run a command of Total Perspective Vortex on the sample rules; returns its exit status."""
    arguments = create_parser().parse_args([command, str(RULES)])
    return arguments.func(arguments)


def destinations(tool: str, input_gib: float = 0, rules: Path = RULES, tries: int = 1) -> list[tuple[str, int | None]]:
    """Where a job goes, and with how many MiB, in each of its tries, of which all but the last run out of memory."""
    found, params = [], None
    for _ in range(tries):
        runner = TPVDryRunner.from_params(str(JOB_CONF), tool_id=tool, tpv_confs=[str(rules)], input_size=input_gib)
        if params:
            runner.job.destination_params = params
        destination = runner.run()[0]
        params = destination.params
        memory = params.get("job_--mem")
        found.append((destination.id, memory and int(memory)))
    return found


def test_valid() -> None:
    """TPV finds no fault in the rules."""
    assert tpv("lint") == 0


def test_formatted(capsys: pytest.CaptureFixture) -> None:
    """The rules are written as TPV formats them."""
    tpv("format")
    assert capsys.readouterr().out == RULES.read_text()


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


def test_without_gpu(tmp_path: Path) -> None:
    """Where a site has removed the destination with a GPU, the models run on CPUs."""
    rules = yaml.safe_load(RULES.read_text())
    del rules["destinations"]["slurm_gpu"]
    path = tmp_path / "tpv.yml"
    path.write_text(yaml.safe_dump(rules))
    assert destinations("dna_lm_score_pairs", rules=path) == [("slurm_cpu", 4096)]
