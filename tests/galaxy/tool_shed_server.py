"""A Tool Shed on this machine, in a folder of its own, with one account that publishes."""

import contextlib
import json
import os
import secrets

import requests
from galaxy_server import ROOT, free_port, spawn, stop, wait_for_port

SHED_BIN = ROOT / ".venv" / "toolshed" / "bin"
ADMIN = "admin@example.org"
START_SECONDS = 300


def write_configuration(folder, url, key):
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
    path = folder / "tool_shed.yml"
    # JSON is YAML.
    path.write_text(json.dumps({"tool_shed": settings}, indent=1))
    return path


def open_account(url, admin_key, owner, categories):
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
def running_tool_shed(folder, owner, categories):
    """A Tool Shed in the new `folder`: yields its `url` and the `key` of the account `owner`."""
    folder.mkdir(parents=True)
    port, admin_key = free_port(), secrets.token_hex(16)
    url, log = f"http://127.0.0.1:{port}", folder / "tool_shed.log"
    configuration = write_configuration(folder, url, admin_key)
    environment = os.environ | {"PATH": f"{SHED_BIN}:{os.environ['PATH']}", "TOOL_SHED_CONFIG_FILE": str(configuration)}
    serve = [SHED_BIN / "uvicorn", "--factory", "tool_shed.webapp.fast_factory:factory"]
    process = spawn([*serve, "--host", "127.0.0.1", "--port", str(port)], folder, log, environment)
    try:
        wait_for_port(process, port, "the Tool Shed", log, START_SECONDS)
        yield {"url": url, "key": open_account(url, admin_key, owner, categories)}
    finally:
        stop([process])
