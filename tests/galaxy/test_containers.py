"""Jobs of a real Galaxy in the image of `make image`: each tool once, compared with the same job outside.

As root, with podman in place of docker. The containers have no network, see the models read-only, and run as a user
that the image does not know.
"""

import contextlib
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import scoring
import yaml
from galaxy_server import ADMIN as ADMINISTRATOR
from galaxy_server import LOCAL_JOBS, ROOT, Server, new_folder, running_galaxy, wrappers
from galaxy_user import TEST_DATA, User, new_user, wait_until
from planemo_runs import INTERPRETER, is_tools_python

# Only this user may enter the outer folder; the containers get the inner one.
PRIVATE_DIR = ROOT / ".galaxy" / "containers"
WORK_DIR = PRIVATE_DIR / "galaxy"
ADMIN = ROOT / "docs" / "admin"
RESOLVERS = ADMIN / "container_resolvers.yml"
MODELS = TEST_DATA / "models"
PYTHON_OF_THE_IMAGE = "/opt/dna_lm/bin/python"
# Debian's crun does not work with every kernel's control groups, and there may be no systemd to manage them.
PODMAN = ["podman", "--cgroup-manager=cgroupfs", "--runtime", "runc"]
# A virtual machine may not permit podman to raise these limits.
LIMITS = "--ulimit nofile=1024:1024 --ulimit nproc=1000:1000"
# Neither Galaxy's user nor the image's: on a server it is Galaxy's, whom the image does not know.
USER_ID = "12345:12345"
WAIT_SECONDS = 120
# Users whose jobs run outside the container, get a quarter of a GiB in their first try, or an image by another name.
OUTSIDE = "outside@example.org"
TIGHT = "tight@example.org"
NAMED = "named@example.org"
OTHER_NAME = "localhost/dna_lm_by_rule:test"


def podman(*arguments: str) -> str:
    """Run podman; returns what it prints."""
    return subprocess.run([*PODMAN, *arguments], check=True, capture_output=True, text=True).stdout


def image() -> str:
    """The image that the sample of container resolvers names."""
    return yaml.safe_load(RESOLVERS.read_text())[0]["mappings"][0]["identifier"]


def job_configuration(folder: Path) -> dict:
    """Jobs on this machine, in containers as the sample's destination for docker has them, by the sample's rules."""
    command = folder / "docker"
    command.write_text(f'#!/bin/sh\nexec {" ".join(PODMAN)} "$@"\n')
    command.chmod(0o755)
    params = yaml.safe_load((ADMIN / "tpv_site.yml").read_text())["destinations"]["slurm_docker"]["params"]
    params["docker_cmd"] = str(command)
    params["docker_set_user"] = USER_ID
    params["docker_volumes"] = params["docker_volumes"].replace("/data/models", str(TEST_DATA))
    params["docker_run_extra_arguments"] += f" {LIMITS}"
    in_container = {"id": "in_container", "if": f"user.email != '{OUTSIDE}'", "scheduling": {"require": ["docker"]}}
    more = "int((getattr(job, 'destination_params', None) or {}).get('more', 1))"
    tight = {"id": "tight", "if": f"user.email == '{TIGHT}'", "mem": f"0.25 * {more}"}
    override = {"docker_container_id_override": OTHER_NAME}
    named = {"id": "named", "if": f"user.email == '{NAMED}'", "params": override}
    rules = {
        "tools": {
            "(.*/)?dna_lm_.*": {"cores": 1, "gpus": 0, "rules": [in_container, tight, named]},
            "(.*/)?data_manager_dna_lm(/.*)?": {"rules": [in_container]},
        },
        "destinations": {
            "outside": {"runner": "local", "scheduling": {"accept": ["galaxy_host"]}},
            "docker": {"runner": "local", "params": params, "scheduling": {"require": ["docker"]}},
            # In the sources the data manager has links into tools/, in a Tool Shed's repository the files themselves.
            "docker_of_the_data_manager": {
                "runner": "local",
                "params": {**params, "docker_volumes": f"{params['docker_volumes']},{ROOT}/tools:ro"},
                "scheduling": {"require": ["docker", "galaxy_host"]},
            },
        },
    }
    path = folder / "tpv.yml"
    path.write_text(yaml.safe_dump(rules))
    configuration = yaml.safe_load((ADMIN / "job_conf.yml").read_text())
    configuration["runners"] = LOCAL_JOBS["runners"]
    dispatcher = configuration["execution"]["environments"]["tpv_dispatcher"]
    dispatcher["tpv_config_files"] = [str(ADMIN / "tpv.yml"), str(path)]
    return configuration


@contextlib.contextmanager
def files_for_all() -> Iterator[None]:
    """Inside, new files may be written by every user: the containers' user is not the user of this Galaxy, root."""
    before = os.umask(0)
    try:
        yield
    finally:
        os.umask(before)


@pytest.fixture(scope="module")
def galaxy() -> Iterator[Server]:
    """A Galaxy whose jobs run in the image."""
    new_folder(PRIVATE_DIR).chmod(0o700)
    folder = new_folder(WORK_DIR)
    # Galaxy mounts the folder of installed models, which has to exist.
    (folder / "data" / "models").mkdir(parents=True)
    resolvers = {"container_resolvers_config_file": str(RESOLVERS)}
    with files_for_all(), running_galaxy(folder, job_conf=job_configuration(folder), settings=resolvers) as server:
        folder.chmod(0o711)
        yield server


class Users(NamedTuple):
    """A user with jobs in the image, and one with jobs outside, who have uploaded the same files."""

    inside: User
    outside: User


@pytest.fixture(scope="module")
def users(galaxy: Server) -> Users:
    """Both users."""
    return Users(new_user(galaxy), new_user(galaxy, OUTSIDE))


def text(user: User, name: str) -> dict[str, str]:
    """Upload a file of the test data; returns it as an input."""
    return user.upload(TEST_DATA / name, {".tsv": "tabular"}.get(Path(name).suffix, Path(name).suffix[1:]))


def chunks(user: User) -> dict[str, str]:
    """Upload two tables as a list; returns it as an input."""
    elements = [
        {"name": name, "id": text(user, f"groups_{name}.tsv")["id"], "src": "hda"} for name in ("exon", "intron")
    ]
    description = {"name": "chunks", "collection_type": "list", "element_identifiers": elements}
    return {"src": "hdca", "id": user.gi.histories.create_dataset_collection(user.history, description)["id"]}


def inputs(user: User, tool: str) -> dict[str, Any]:
    """The inputs of one job of a tool; everything else is as the form has it."""
    match tool.removeprefix("dna_lm_"):
        case "score_pairs":
            return {**user.upload_pairs("snv"), **scoring.WITH_MODEL}
        case "score_variants":
            reference = {"reference|source": "history", "reference|fasta": text(user, "reference.fasta")}
            return {"variants": text(user, "variants.vcf"), **reference, **scoring.WITH_MODEL}
        case "mutagenesis":
            return {"dna|sequences": text(user, "cftr_wild_type.fasta"), **scoring.WITH_MODEL}
        case "embed":
            return {"input": text(user, "sequences.fasta"), **scoring.WITH_MODEL}
        case "compare_groups":
            return {"source|tables": [text(user, f"groups_{name}.tsv") for name in ("exon", "intron")]}
        case "evaluate":
            labels = {"where|from": "vcf", "where|labels": text(user, "evaluate_clinvar.vcf")}
            return {"tables": [text(user, "evaluate_scores.tsv")], **labels}
        case "split":
            pairs = user.upload_pairs("snv")
            return {"what|kind": "pairs", **{f"what|{role}": data for role, data in pairs.items()}, "size": 90}
        case "collapse":
            return {"chunks": chunks(user)}
    raise ValueError(f"{tool} has no inputs here")


def job(user: User, tool: str, given: dict[str, Any]) -> tuple[str | None, dict[str, bytes]]:
    """Run a tool; returns the interpreter it names, and its outputs by name, without pictures and reports."""
    started = user.start(tool, given)
    ended = user.succeeded(started["jobs"][0]["id"])
    named = INTERPRETER.search(ended["stderr"])
    datasets = {output["output_name"]: output for output in started["outputs"]}
    for collection in started["output_collections"]:
        elements = user.gi.histories.show_dataset_collection(user.history, collection["id"])["elements"]
        datasets |= {f"{collection['name']}/{found['element_identifier']}": found["object"] for found in elements}
    contents = {name: user.content(dataset["id"]) for name, dataset in datasets.items()}
    # Galaxy packs a report into a ZIP archive, which has the time of the download.
    texts = {name: found for name, found in contents.items() if not found.startswith((b"\x89PNG", b"PK"))}
    return named and named[1], texts


SUITE = sorted(tool for tool in wrappers() if tool.startswith("dna_lm_"))


@pytest.mark.parametrize("tool", SUITE)
def test_tool(users: Users, tool: str) -> None:
    """A tool's job in the image writes the bytes of the same job outside."""
    (inside, tables), (outside, expected) = (job(user, tool, inputs(user, tool)) for user in users)
    assert inside == PYTHON_OF_THE_IMAGE
    assert outside and is_tools_python(outside)
    assert expected and tables == expected


def test_model_of_the_history(users: Users) -> None:
    """A model of the history gives the scores that the same model of the server gives."""
    user, pairs = users.inside, users.inside.upload_pairs("cftr")
    parts = {"weights": "model.safetensors", "config": "config.json", "tokenizer": "tokenizer.json"}
    model = {
        f"model|{part}": user.upload(MODELS / "demo-mixtral" / name, Path(name).suffix[1:])
        for part, name in parts.items()
    }
    tables = user.run(scoring.TOOL, {**pairs, "model|source": "history", **model})
    assert tables == user.run(scoring.TOOL, {**pairs, **scoring.WITH_MODEL})


def test_data_manager(galaxy: Server) -> None:
    """The data manager installs a model from a folder of the server."""
    administrator = new_user(galaxy, ADMINISTRATOR)
    source = {"source|kind": "server", "source|path": str(MODELS / "tiny-gpt2")}
    started = administrator.start("data_manager_dna_lm", {"model_id": "tests/gpt2", **source})
    named = INTERPRETER.search(administrator.succeeded(started["jobs"][0]["id"])["stderr"])
    assert named and named[1] == PYTHON_OF_THE_IMAGE

    def row() -> list[dict[str, str]]:
        return [row for row in galaxy.data_table("huggingface") if row["value"].startswith("tests/gpt2_")]

    [installed] = wait_until(row, 30, "the new row of the data table")
    assert (Path(installed["path"]) / "model.safetensors").exists()


def test_named_by_rule(galaxy: Server) -> None:
    """A rule names the image, instead of the container resolvers."""
    podman("tag", image(), OTHER_NAME)
    try:
        user = new_user(galaxy, NAMED)
        interpreter, _ = job(user, "dna_lm_split", inputs(user, "dna_lm_split"))
    finally:
        podman("untag", image(), OTHER_NAME)
    assert interpreter == PYTHON_OF_THE_IMAGE
    log = (WORK_DIR / "galaxy.log").read_text(errors="replace")
    assert re.search(rf"/docker run .* {OTHER_NAME} ", log)


def test_killed_for_memory(galaxy: Server, users: Users) -> None:
    """Linux kills a job for its container's limit; it runs again with twice the memory, until that is enough."""
    user = new_user(galaxy, TIGHT)
    started = user.start(scoring.TOOL, inputs(user, scoring.TOOL))
    user.succeeded(started["jobs"][0]["id"])
    log = (WORK_DIR / "galaxy.log").read_text(errors="replace")
    assert "--memory 256m" in log and "--memory 512m" in log
    assert user.content(started["outputs"][0]["id"]) == scoring.in_one_job(
        users.outside, users.outside.upload_pairs("snv")
    )


def test_cancelled(users: Users, tmp_path: Path) -> None:
    """A job runs without a network, with the models read-only; cancelled, it leaves no container and no output."""
    fasta = tmp_path / "long.fasta"
    fasta.write_text(">long\n" + "ACGTTGCAGGCTAATCCGAT" * 400 + "\n")
    user = users.inside
    given = {"dna|sequences": user.upload(fasta, "fasta"), **scoring.WITH_MODEL}
    started = user.start("dna_lm_mutagenesis", given)

    def computing() -> str | None:
        for container in podman("ps", "--quiet", "--filter", f"ancestor={image()}").split():
            if "mutagenesis.py" in podman("top", container, "args"):
                return container
        return None

    container = wait_until(computing, WAIT_SECONDS, "the start of the container")
    [described] = json.loads(podman("inspect", container))
    assert described["HostConfig"]["NetworkMode"] == "none"
    assert described["Config"]["User"] == USER_ID
    writable = {mount["Destination"]: mount["RW"] for mount in described["Mounts"]}
    assert writable[str(TEST_DATA)] is False and writable[str(ROOT / "tools")] is False
    user.gi.jobs.cancel_job(started["jobs"][0]["id"])
    wait_until(
        lambda: container not in podman("ps", "--all", "--quiet").split(), WAIT_SECONDS, "the end of the container"
    )
    assert user.gi.jobs.show_job(started["jobs"][0]["id"])["state"] in ("deleted", "deleting")
    assert not user.gi.datasets.show_dataset(started["outputs"][0]["id"])["file_size"]


def test_image() -> None:
    """The image says its versions and devices to any user, and has no compiler."""
    run = ["run", "--rm", "--network", "none", *LIMITS.split()]
    [versions, *devices] = podman(*run, image()).splitlines()
    assert versions.startswith("dna_lm ") and "torch 2." in versions
    assert devices[0].startswith("CPU: ") and devices[1].startswith("GPU")
    assert podman(*run, "--user", USER_ID, image(), "dna_lm").startswith("dna_lm ")
    assert podman(*run, image(), "id", "--user").strip() == "1000"
    compilers = "for name in cc gcc g++ clang ld make nvcc; do ! command -v $name || exit 1; done; echo none"
    assert podman(*run, image(), "sh", "-c", compilers) == "none\n"
