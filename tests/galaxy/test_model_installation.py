"""An administrator installs models, a user then scores mutations with them: as both do it in a browser.

The hub is a stand-in on this machine (tests/unit/hub_server.py), of which the data manager is told by HF_ENDPOINT.
"""

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from galaxy_server import ADMIN, ROOT, Server
from galaxy_user import User, new_user, table_rows, wait_until

import hub_server
from conftest import HUB_MODEL_ID

ORACLES = ROOT / "tests" / "oracles"


def installed_rows(galaxy: Server, model_id: str = HUB_MODEL_ID) -> list[dict[str, str]]:
    """The rows of the table of models that are about a model: the hub's, or another."""
    return [row for row in galaxy.data_table("huggingface") if row["value"].startswith(f"{model_id}_")]


@pytest.fixture(scope="module")
def administrator(galaxy: Server) -> User:
    """The Galaxy's administrator."""
    return new_user(galaxy, ADMIN)


@pytest.fixture(scope="module")
def installed(galaxy: Server, administrator: User) -> list[dict[str, str]]:
    """The rows of the model, after it has been installed twice."""
    inputs = {"model_id": HUB_MODEL_ID, "source|kind": "hub", "source|revision": "main"}
    administrator.run("data_manager_dna_lm", inputs)
    # Rows are added after the job.
    wait_until(lambda: installed_rows(galaxy), 30, "the new row of the data table")
    second = administrator.start("data_manager_dna_lm", inputs)["jobs"][0]["id"]
    assert "is installed already" in administrator.succeeded(second)["stderr"]
    return installed_rows(galaxy)


def test_one_row_at_the_commit(installed: list[dict[str, str]]) -> None:
    """A model that is installed twice has one row, which names the commit of the branch."""
    assert [row["value"] for row in installed] == [f"{HUB_MODEL_ID}_{hub_server.COMMIT}"]
    assert [row["version"] for row in installed] == [hub_server.COMMIT]


def test_installed_model_scores_alike(installed: list[dict[str, str]], user: User) -> None:
    """The installed model gives the scores of the one that it is a copy of."""
    inputs = user.upload_pairs("cftr") | {"model|source": "server", "scores": ["l2", "llr"]}
    tables = [
        user.run("dna_lm_score_pairs", inputs | {"model|installed": model})
        for model in (installed[0]["value"], "dna-lm/tiny-llama")
    ]
    assert tables[0] == tables[1]


@pytest.mark.parametrize("family", ["caduceus_ps", "dnabert1_k3", "gpn", "hyenadna", "nucleotide_transformer_v2_3mer"])
@pytest.mark.parametrize("is_archive", [False, True], ids=["folder", "archive"])
def test_families_of_the_suite_give_the_numbers_of_their_authors(
    galaxy: Server, administrator: User, user: User, tmp_path: Path, family: str, is_archive: bool
) -> None:
    """A model in the published format, from a folder or an archive: its mean logits are those of the authors' code."""
    folder, path = ORACLES / family, ORACLES / family
    if is_archive:
        path = tmp_path / "model.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            archive.add(folder, "model")
    model_id = f"authors/{family}-{path.suffix.removeprefix('.') or 'folder'}"
    source = {"source|kind": "server", "source|path": str(path)}
    administrator.run("data_manager_dna_lm", {"model_id": model_id} | source)
    [row] = wait_until(lambda: installed_rows(galaxy, model_id), 30, "the new row of the data table")
    expected, sequences = np.load(folder / "expected.npz"), {}
    for number, sequence in enumerate(json.loads((folder / "expected.json").read_text())["sequences"]):
        # The suite gives a model no other letters, and all in upper case.
        if set(sequence) <= set("ACGT"):
            sequences[f"seq{number}"] = sequence
    assert sequences
    fasta = tmp_path / "sequences.fasta"
    fasta.write_text("".join(f">{name}\n{sequence}\n" for name, sequence in sequences.items()))
    method = "embedding|method|"
    inputs = {"input": user.upload(fasta, "fasta"), "model|source": "server", "model|installed": row["value"]}
    inputs |= {f"{method}mode": "corrected", f"{method}strand": "forward", f"{method}pooling": "mean"}
    inputs |= {f"{method}representation|kind": "logits"}
    rows = table_rows(user.run("dna_lm_embed", inputs)["output"])
    assert {row["id"]: row["status"] for row in rows} == dict.fromkeys(sequences, "ok")
    for row in rows:
        # The last columns of the logits are kept.
        logits = expected[f"{row['id']}/logits"].mean(axis=0)
        found = np.array([value for name, value in row.items() if name.startswith("dim_")], float)[-len(logits) :]
        rounding = 3e-4 if family == "hyenadna" else 1e-5
        assert abs(found - logits).max() <= rounding * abs(expected[f"{row['id']}/logits"]).max()
