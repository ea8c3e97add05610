"""Jobs of a real Galaxy on a real Pulsar server that can see nothing of Galaxy's disk but its own folder.

As root: the server sees empty folders where the checkout has its tools and models, and where Galaxy has its files.
"""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import scoring
import yaml
from galaxy_server import ROOT, TOOLS_VENV, new_folder, running_galaxy
from galaxy_user import TEST_DATA, User, new_user, wait_until
from pulsar_server import running_pulsar

WORK_DIR = ROOT / ".galaxy" / "pulsar"
SERVER_DIR = ROOT / ".galaxy" / "pulsar_server"
HIDDEN = (ROOT / "tools", ROOT / "test-data", WORK_DIR)
ADMIN = ROOT / "docs" / "admin"
MODEL = TEST_DATA / "models" / "demo-mixtral"
WAIT_SECONDS = 300


def job_configuration(folder: Path, url: str, token: str, models: Path) -> dict:
    """The sample job configuration, with its rules changed so that every tool of the suite goes to this Pulsar."""
    configuration = yaml.safe_load((ADMIN / "job_conf.yml").read_text())
    rules = yaml.safe_load((ADMIN / "tpv_site.yml").read_text())
    # Everything that the sample says of Pulsar is kept, except the places, which are this machine's.
    params = rules["destinations"]["pulsar"]["params"]
    [mapping] = params["file_actions"]["paths"]
    mapping |= {
        "path": str(MODEL.parent),
        "source_directory": str(MODEL.parent),
        "destination_directory": str(models),
    }
    params |= {"url": url, "private_token": token}
    rules["destinations"]["pulsar"]["env"] = [{"name": "PATH", "value": f"{TOOLS_VENV}/bin:{os.environ['PATH']}"}]
    # This machine has fewer processors than the sample's jobs ask for, and no job of the sample requires Pulsar.
    rules["tools"]["(.*/)?dna_lm_.*"] = {"cores": 1, "scheduling": {"require": ["pulsar"]}}
    path = folder / "tpv.yml"
    path.write_text(yaml.safe_dump(rules))
    configuration["execution"]["environments"]["tpv_dispatcher"]["tpv_config_files"] = [
        str(ADMIN / "tpv.yml"),
        str(path),
    ]
    return configuration


def table_of_the_script() -> bytes:
    """The score table of the script, run here without Galaxy."""
    output = WORK_DIR / "expected.tsv"
    command = [TOOLS_VENV / "bin" / "python", ROOT / "tools" / "scripts" / "score_pairs.py"]
    command += ["--model", MODEL, "--output", output]
    command += ["--wild-type", TEST_DATA / "snv_wild_type.fasta", "--mutant", TEST_DATA / "snv_mutant.fasta"]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "GALAXY_SLOTS": "1"})
    return output.read_bytes()


def command_lines() -> Iterator[list[str]]:
    """The command lines of the scoring scripts that run now in Pulsar's folder, as lists of words."""
    for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = cmdline.read_text(errors="replace").split("\0")
            of_pulsar = any(word.startswith(str(SERVER_DIR)) for word in words)
            if of_pulsar and len(words) > 2 and words[1].endswith("/score_pairs.py"):
                yield words


class Scoring(NamedTuple):
    """A user of the Galaxy, their pairs, and the score table of these pairs."""

    user: User
    pairs: dict
    expected: bytes


@pytest.fixture(scope="module")
def pulsar() -> Iterator[Scoring]:
    """A Galaxy whose jobs go to Pulsar."""
    new_folder(WORK_DIR)
    models = new_folder(SERVER_DIR) / "models"
    shutil.copytree(MODEL, models / MODEL.name)
    with running_pulsar(SERVER_DIR, HIDDEN) as (url, token):
        job_conf = job_configuration(SERVER_DIR, url, token, models)
        with running_galaxy(WORK_DIR, job_conf=job_conf) as server:
            user = new_user(server)
            yield Scoring(user, user.upload_pairs("snv"), table_of_the_script())


def test_installed_model(pulsar: Scoring) -> None:
    """A model of the server's table is found in another folder of the worker, by the sample's rule."""
    started = pulsar.user.start(scoring.TOOL, {**pulsar.pairs, **scoring.WITH_MODEL})
    words = wait_until(lambda: next(command_lines(), None), WAIT_SECONDS, "the start of the job on the worker")
    assert words[1].startswith(f"{SERVER_DIR}/staging/")
    assert words[words.index("--model") + 1].startswith(f"{SERVER_DIR}/models/")
    pulsar.user.succeeded(started["jobs"][0]["id"])
    assert pulsar.user.content(started["outputs"][0]["id"]) == pulsar.expected


def test_model_of_the_history(pulsar: Scoring) -> None:
    """A model of the history is sent with the job."""
    parts = {"weights": "model.safetensors", "config": "config.json", "tokenizer": "tokenizer.json"}
    model = {
        f"model|{part}": pulsar.user.upload(MODEL / name, Path(name).suffix.removeprefix("."))
        for part, name in parts.items()
    }
    tables = pulsar.user.run(scoring.TOOL, {**pulsar.pairs, "model|source": "history", **model})
    assert tables["output"] == pulsar.expected


def test_workflow(pulsar: Scoring) -> None:
    """Chunks are sent to the worker, and their tables back."""
    assert scoring.in_chunks(pulsar.user, pulsar.pairs, size=scoring.N_PAIRS // 2) == pulsar.expected
