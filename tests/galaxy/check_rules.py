"""Check the sample configuration in docs/admin/: valid, formatted, and sending each tool where its README says.

Runs on .venv/galaxy's Python: Total Perspective Vortex is asked in one process, since it takes seconds to import.
"""

import logging
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from galaxy_server import GALAXY_BIN, ROOT
from tpv.commands.dryrunner import TPVDryRunner

RULES = ROOT / "docs" / "admin" / "tpv.yml"
JOB_CONF = ROOT / "docs" / "admin" / "job_conf.yml"
SHED = "toolshed.g2.bx.psu.edu/repos/someone/dna_lm/"

# Tool, size of its inputs in GiB, and where it should run with how many MiB (Slurm's destinations).
EXPECTED = (
    ("dna_lm_embed", 0, "slurm_gpu", 4096),
    ("dna_lm_score_pairs", 0, "slurm_gpu", 4096),
    ("dna_lm_score_pairs", 20, "slurm_gpu", 4096),
    (f"{SHED}dna_lm_score_variants/0.1.0", 0, "slurm_gpu", 4096),
    (f"{SHED}dna_lm_mutagenesis/0.1.0", 0, "slurm_gpu", 4096),
    ("dna_lm_compare_groups", 0, "slurm_cpu", 2048),
    ("dna_lm_compare_groups", 10, "slurm_large", 43008),
    ("dna_lm_split", 20, "slurm_cpu", 2048),
    ("dna_lm_collapse", 20, "slurm_cpu", 2048),
    ("data_manager_dna_lm", 0, "galaxy_host", None),
    (f"{SHED}data_manager_dna_lm/0.1.0", 0, "galaxy_host", None),
)

# Where a job goes that runs out of memory each time it is sent.
EXPECTED_AFTER_MEMORY = {
    "dna_lm_score_pairs": [("slurm_cpu", 8192), ("slurm_cpu", 16384), ("slurm_large", 32768)],
    "dna_lm_compare_groups": [("slurm_cpu", 4096), ("slurm_cpu", 8192), ("slurm_cpu", 16384)],
}


def ask(tool, input_size, rules, before=None):
    """The destination of a job, which has had the destination `before` when it is sent again."""
    runner = TPVDryRunner.from_params(str(JOB_CONF), tool_id=tool, tpv_confs=[str(rules)], input_size=input_size)
    if before:
        runner.job.destination_params = before.params
    return runner.run()[0]


def described(found):
    memory = found.params.get("job_--mem")
    return found.id, memory and int(memory)


def destination(tool, input_size, rules):
    return described(ask(tool, input_size, rules))


def destinations_after_memory(tool, times):
    found = ask(tool, 0, RULES)
    for _ in range(times):
        found = ask(tool, 0, RULES, found)
        yield described(found)


def without_gpu():
    """The rules of a site that has no GPU: the sample's, less that destination."""
    rules = yaml.safe_load(RULES.read_text())
    del rules["destinations"]["slurm_gpu"]
    with tempfile.NamedTemporaryFile("w", suffix=".yml", delete=False) as file:
        yaml.safe_dump(rules, file)
    return Path(file.name)


def main():
    logging.disable(logging.WARNING)
    problems = []
    subprocess.run([GALAXY_BIN / "tpv", "lint", RULES], check=True, capture_output=True)
    formatted = subprocess.run([GALAXY_BIN / "tpv", "format", RULES], check=True, capture_output=True, text=True)
    if formatted.stdout != RULES.read_text():
        problems.append(f"{RULES} is not as tpv format writes it")
    for tool, input_size, *expected in EXPECTED:
        found = destination(tool, input_size, RULES)
        if found != tuple(expected):
            problems.append(f"{tool} with {input_size} GiB goes to {found}, not to {tuple(expected)}")
    for tool, expected in EXPECTED_AFTER_MEMORY.items():
        found = list(destinations_after_memory(tool, len(expected)))
        if found != expected:
            problems.append(f"{tool}, out of memory each time, goes to {found}, not to {expected}")
    no_gpu = without_gpu()
    if destination("dna_lm_score_pairs", 0, no_gpu) != ("slurm_cpu", 4096):
        problems.append("without a GPU, dna_lm_score_pairs does not go to slurm_cpu")
    no_gpu.unlink()
    if problems:
        sys.exit("\n".join(problems))
    n_jobs = len(EXPECTED) + 1 + sum(map(len, EXPECTED_AFTER_MEMORY.values()))
    print(f"the sample rules are valid and send {n_jobs} jobs where they should")


if __name__ == "__main__":
    main()
