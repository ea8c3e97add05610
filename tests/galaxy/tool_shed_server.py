"""A Tool Shed on this machine, all in one folder, with one account that publishes."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import requests
from galaxy_server import ROOT, free_port, spawn, stop, wait_for_port, write_json

SHED_BIN = ROOT / ".venv" / "toolshed" / "bin"
ADMIN = "admin@example.org"
START_SECONDS = 300


class ToolShed(NamedTuple):
    """A running Tool Shed: its URL and the key of the account that publishes."""

    url: str
    key: str

    @property
    def host(self) -> str:
        """Host and port, as in the identifiers of installed tools."""
        return self.url.removeprefix("http://")


def write_configuration(folder: Path, url: str, key: str) -> str:
    """Write the Tool Shed's configuration; returns its path."""
    (folder / "tables.xml").write_text("<tables/>")
    settings = {
        "database_connection": f"sqlite:///{folder}/community.sqlite?isolation_level=IMMEDIATE",
        "file_path": str(folder / "repositories"),
        "new_file_path": str(folder / "tmp"),
        "hgweb_config_dir": str(folder / "hgweb"),
        "hgweb_repo_prefix": "repos/",
        # The Tool Shed itself serves what Galaxy clones.
        "config_hg_for_dev": True,
        "whoosh_index_dir": str(folder / "index"),
        "shed_tool_data_table_config": str(folder / "tables.xml"),
        "tool_shed_url": url,
        "id_secret": secrets.token_hex(16),
        "admin_users": ADMIN,
        "bootstrap_admin_api_key": key,
    }
    for name in ("file_path", "new_file_path", "hgweb_config_dir", "whoosh_index_dir"):
        os.makedirs(settings[name])
    return write_json(folder / "tool_shed.yml", {"tool_shed": settings})


def open_account(url: str, admin_key: str, owner: str, categories: list[str]) -> str:
    """Make the categories and the account `owner`; returns its key."""
    account = {"email": f"{owner}@example.org", "username": owner, "password": secrets.token_hex(8)}
    wanted = [("/api/users", account)]
    wanted += [("/api/categories", {"name": name, "description": name}) for name in categories]
    for path, content in wanted:
        requests.post(url + path, headers={"x-api-key": admin_key}, json=content, timeout=60).raise_for_status()
    credentials = (account["email"], account["password"])
    answer = requests.get(f"{url}/api/authenticate/baseauth", auth=credentials, timeout=60)
    answer.raise_for_status()
    return answer.json()["api_key"]


@contextlib.contextmanager
def running_tool_shed(folder: Path, owner: str, categories: list[str]) -> Iterator[ToolShed]:
    """Start a Tool Shed in the new `folder`, in which the account `owner` publishes."""
    folder.mkdir(parents=True)
    port, admin_key = free_port(), secrets.token_hex(16)
    url, log = f"http://127.0.0.1:{port}", folder / "tool_shed.log"
    configuration = write_configuration(folder, url, admin_key)
    environment = os.environ | {"PATH": f"{SHED_BIN}:{os.environ['PATH']}", "TOOL_SHED_CONFIG_FILE": configuration}
    serve = [SHED_BIN / "uvicorn", "--factory", "tool_shed.webapp.fast_factory:factory"]
    process = spawn([*serve, "--host", "127.0.0.1", "--port", str(port)], folder, log, environment)
    try:
        wait_for_port(process, port, "the Tool Shed", log, START_SECONDS)
        yield ToolShed(url, open_account(url, admin_key, owner, categories))
    finally:
        stop([process])
