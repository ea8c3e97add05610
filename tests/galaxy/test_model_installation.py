"""An administrator installs a model of the hub, a user then scores mutations with it: as both do it in a browser.

The hub is a stand-in on this machine (tests/unit/hub_server.py), of which the data manager is told by HF_ENDPOINT.
"""

import pytest
from galaxy_server import ADMIN, Server
from galaxy_user import User, new_user, wait_until

import hub_server
from conftest import HUB_MODEL_ID


def installed_rows(galaxy: Server) -> list[dict[str, str]]:
    """The rows of the table of models that are about the hub's model."""
    return [row for row in galaxy.data_table("huggingface") if row["value"].startswith(HUB_MODEL_ID)]


@pytest.fixture(scope="module")
def installed(galaxy: Server) -> list[dict[str, str]]:
    """The rows of the model, after it has been installed twice."""
    administrator = new_user(galaxy, ADMIN)
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
