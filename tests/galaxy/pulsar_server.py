"""A Pulsar server on this machine that sees empty folders where the checkout and Galaxy have their files."""

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path

import yaml
from galaxy_server import ROOT, free_port, hiding, spawn, stop, wait_for_port

PULSAR_BIN = ROOT / ".venv" / "pulsar" / "bin"
START_SECONDS = 60
N_JOBS = 2


@contextlib.contextmanager
def running_pulsar(folder: Path, hidden: tuple[Path, ...]) -> Iterator[tuple[str, str]]:
    """Start a Pulsar server in `folder` that finds the folders `hidden` empty; yields its URL and token."""
    (folder / "staging").mkdir(parents=True)
    token, port = secrets.token_hex(16), free_port()
    settings = {
        "staging_directory": str(folder / "staging"),
        "persistence_directory": str(folder / "persisted"),
        "private_token": token,
        "conda_auto_init": False,
        "managers": {"_default_": {"type": "queued_python", "num_concurrent_jobs": N_JOBS}},
    }
    (folder / "app.yml").write_text(yaml.safe_dump(settings))
    (folder / "server.ini").write_text("[app:main]\napp_config = %(here)s/app.yml\n")
    # Galaxy describes a job's outputs in the request line, which is long for collections.
    serve = [PULSAR_BIN / "gunicorn", "--threads", "8", "--limit-request-line", "0", "--bind", f"127.0.0.1:{port}"]
    serve += [f"pulsar.web.wsgi:init_webapp(ini_path='{folder}/server.ini')"]
    log = folder / "pulsar.log"
    process = spawn(hiding(hidden, serve), folder, log)
    try:
        wait_for_port(process, port, "Pulsar", log, START_SECONDS)
        yield f"http://127.0.0.1:{port}/", token
    finally:
        stop([process])
