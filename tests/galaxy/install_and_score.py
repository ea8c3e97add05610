"""An administrator installs a model of the hub, a user then scores mutations with it: as both do it in a browser.

The hub is a stand-in on this machine (tests/unit/hub_server.py), of which the data manager is told by HF_ENDPOINT.
"""

import contextlib
import os
import sys

from galaxy_client import Client
from galaxy_server import ADMIN, ROOT, api

sys.path.append(str(ROOT / "tests" / "unit"))
import hub_server  # noqa: E402

MODEL_ID = "somebody/tiny-llama"
MODEL = ROOT / "test-data" / "models" / "tiny-llama"
JOB_SECONDS = 300


@contextlib.contextmanager
def hub():
    """The hub, with a model that the tests' data table has under another name."""
    with hub_server.running(MODEL, MODEL_ID) as running:
        os.environ["HF_ENDPOINT"] = running.url
        try:
            yield running
        finally:
            del os.environ["HF_ENDPOINT"]


def problems(server):
    """What goes wrong: a list of texts."""
    administrator = Client(server, email=ADMIN)
    install = {"model_id": MODEL_ID, "source|kind": "hub", "source|revision": "main"}
    for attempt in ("first", "second"):
        job = administrator.run("data_manager_dna_lm", install)["jobs"][0]["id"]
        ended = administrator.wait_for_job(job, JOB_SECONDS)
        if ended["state"] != "ok":
            return [f"the {attempt} installation ended as {ended['state']}: {ended['stderr']}"]
    # Rows are added after the job.
    rows = administrator.wait(lambda: _rows(server), 30, "the new row of the data table")
    if len(rows) != 1 or rows[0]["version"] != hub_server.COMMIT:
        return [f"installed twice at {hub_server.COMMIT}, the table has {rows}"]
    user = Client(server)
    scores = [_scores(user, value) for value in (MODEL_ID, "dna-lm/tiny-llama")]
    return [] if scores[0] == scores[1] else ["the installed model scores otherwise than the one it is a copy of"]


def _rows(server):
    table = api(server, "/api/tool_data/huggingface")
    rows = [dict(zip(table["columns"], fields, strict=True)) for fields in table["fields"]]
    return [row for row in rows if row["value"].startswith(MODEL_ID)]


def _scores(user, model):
    files = {name: user.upload(ROOT / "test-data" / f"cftr_{name}.fasta", "fasta") for name in ("wild_type", "mutant")}
    inputs = files | {"model|source": "server", "model|installed": model, "scores": ["l2", "llr"]}
    started = user.run("dna_lm_score_pairs", inputs)
    ended = user.wait_for_job(started["jobs"][0]["id"], JOB_SECONDS)
    if ended["state"] != "ok":
        return f"{model}: {ended['stderr']}"
    return user.content(started["outputs"][0]["id"])
