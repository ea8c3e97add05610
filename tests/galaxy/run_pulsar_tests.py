"""Send jobs from a real Galaxy to a real Pulsar server that can see nothing of Galaxy's disk but its own folder.

Prints where script and model were when a job ran, and ends with a line `N passed, N failed`. As root: the server gets a
view of the disk of its own, in which the checkout's tools and models, and Galaxy's files, are hidden.
"""

import contextlib
import os
import secrets
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import checks
import yaml
from galaxy_client import Client
from galaxy_server import (
    ROOT,
    TOOLS_VENV,
    free_port,
    hiding,
    running_galaxy,
    spawn,
    stop,
    wait_for_port,
)
from run_workflow_tests import MODEL, TEST_DATA, start_in_chunks, upload_pairs

WORK_DIR = ROOT / ".galaxy" / "pulsar"
SERVER_DIR = ROOT / ".galaxy" / "pulsar_server"
HIDDEN = (ROOT / "tools", ROOT / "test-data", WORK_DIR)
ADMIN = ROOT / "docs" / "admin"
PULSAR_BIN = ROOT / ".venv" / "pulsar" / "bin"
JOB_SECONDS = 300


@contextlib.contextmanager
def running_pulsar(folder, hidden):
    """A Pulsar server in `folder` that sees empty folders where `hidden` are; yields its URL and token."""
    (folder / "staging").mkdir(parents=True)
    token, port = secrets.token_hex(16), free_port()
    settings = {
        "staging_directory": str(folder / "staging"),
        "persistence_directory": str(folder / "persisted"),
        "private_token": token,
        "conda_auto_init": False,
        "managers": {"_default_": {"type": "queued_python", "num_concurrent_jobs": 2}},
    }
    (folder / "app.yml").write_text(yaml.safe_dump(settings))
    (folder / "server.ini").write_text("[app:main]\napp_config = %(here)s/app.yml\n")
    # Galaxy describes a job's outputs in the request line: long ones, for collections.
    serve = [PULSAR_BIN / "gunicorn", "--threads", "8", "--limit-request-line", "0", "--bind", f"127.0.0.1:{port}"]
    serve += [f"pulsar.web.wsgi:init_webapp(ini_path='{folder}/server.ini')"]
    log = folder / "pulsar.log"
    process = spawn(hiding(hidden, serve), folder, log)
    try:
        wait_for_port(process, port, "Pulsar", log, 60)
        yield f"http://127.0.0.1:{port}/", token
    finally:
        stop([process])


def job_configuration(folder, url, token, models):
    """The sample configuration with its rules, and the test's own over them: every tool of the suite goes to Pulsar."""
    configuration = yaml.safe_load((ADMIN / "job_conf.yml").read_text())
    rules = yaml.safe_load((ADMIN / "tpv.yml").read_text())
    # What the sample says of Pulsar is kept, but for the places, which are this machine's.
    params = rules["destinations"]["pulsar"]["params"]
    [mapping] = params["file_actions"]["paths"]
    mapping |= {
        "path": str(TEST_DATA / "models"),
        "source_directory": str(TEST_DATA / "models"),
        "destination_directory": str(models),
    }
    params |= {"url": url, "private_token": token}
    rules["destinations"]["pulsar"]["env"] = [{"name": "PATH", "value": f"{TOOLS_VENV}/bin:{os.environ['PATH']}"}]
    for name, rule in rules["tools"].items():
        if "dna_lm" in name:
            rule.pop("rules", None)
            rule |= {"cores": 1, "scheduling": {"require": ["pulsar"]}}
    for tool in ("split", "collapse"):
        rules["tools"][f"dna_lm_{tool}"] = {"scheduling": {"require": ["pulsar"]}}
    own_rules = folder / "tpv.yml"
    own_rules.write_text(yaml.safe_dump(rules))
    configuration["execution"]["environments"]["tpv_dispatcher"]["tpv_config_files"] = [str(own_rules)]
    return configuration


def expected_table():
    """What the script makes of the same pairs when it is run by hand, here."""
    output = WORK_DIR / "expected.tsv"
    command = [TOOLS_VENV / "bin" / "python", ROOT / "tools" / "scripts" / "score_pairs.py"]
    command += ["--model", TEST_DATA / "models" / "demo-mixtral", "--output", output]
    command += ["--wild-type", TEST_DATA / "snv_wild_type.fasta", "--mutant", TEST_DATA / "snv_mutant.fasta"]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "GALAXY_SLOTS": "1"})
    return output.read_bytes()


def command_lines():
    """The command lines of the scoring scripts that run now with anything of Pulsar's, as lists of words."""
    for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = cmdline.read_text(errors="replace").split("\0")
            here = any(word.startswith(str(SERVER_DIR)) for word in words)
            if here and len(words) > 2 and words[1].endswith("/score_pairs.py"):
                yield words


class Scoring(NamedTuple):
    """A user of the Galaxy, their pairs, and the table that scoring them must give."""

    client: Client
    pairs: dict
    expected: bytes


def check_installed_model(scoring):
    """A model of the server's table: its folder is another one on the worker, by the rule of the sample."""
    client, pairs, expected = scoring
    started = client.run("dna_lm_score_pairs", {**pairs, "model|installed": MODEL})
    job = started["jobs"][0]["id"]
    words = client.wait(lambda: next(command_lines(), None), JOB_SECONDS, "the start of the job on the worker")
    script, model = words[1], words[words.index("--model") + 1]
    print(f"    script      {script}\n    model       {model}")
    ended = client.wait_for_job(job, JOB_SECONDS)
    print("    " + ended["stderr"].strip().replace("\n", "\n    "))
    where_it_should = script.startswith(f"{SERVER_DIR}/staging/") and model.startswith(f"{SERVER_DIR}/models/")
    return where_it_should and client.content(started["outputs"][0]["id"]) == expected


def check_model_of_the_history(scoring):
    """A model of the history travels with the job."""
    client, pairs, expected = scoring
    folder = TEST_DATA / "models" / "demo-mixtral"
    model = {
        "model|source": "history",
        "model|weights": client.upload(folder / "model.safetensors", "safetensors"),
        "model|config": client.upload(folder / "config.json", "json"),
        "model|tokenizer": client.upload(folder / "tokenizer.json", "json"),
    }
    started = client.run("dna_lm_score_pairs", {**pairs, **model})
    ended = client.wait_for_job(started["jobs"][0]["id"], JOB_SECONDS)
    print(f"    {ended['state']}: " + ended["stderr"].strip().replace("\n", "\n    "))
    return client.content(started["outputs"][0]["id"]) == expected


def check_workflow(scoring):
    """Chunks travel there, and tables back."""
    client, pairs, expected = scoring
    invocation = start_in_chunks(client, pairs, size=100)
    return client.content(client.wait_for_output(invocation, "Scores", JOB_SECONDS)["id"]) == expected


CHECKS = {
    "a model of the server's table": check_installed_model,
    "a model of the history": check_model_of_the_history,
    "the workflow in chunks": check_workflow,
}


@contextlib.contextmanager
def running_servers():
    for folder in (WORK_DIR, SERVER_DIR):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    models = SERVER_DIR / "models"
    shutil.copytree(TEST_DATA / "models" / "demo-mixtral", models / "demo-mixtral")
    with running_pulsar(SERVER_DIR, HIDDEN) as (url, token):
        configuration = job_configuration(SERVER_DIR, url, token, models)
        with running_galaxy(WORK_DIR, job_conf=configuration) as server:
            client = Client(server)
            yield Scoring(client, upload_pairs(client), expected_table())


if __name__ == "__main__":
    checks.main(__doc__, CHECKS, running_servers)
