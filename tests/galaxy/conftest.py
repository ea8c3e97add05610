"""What the tests in a real Galaxy share: the Galaxy, a user, the results of planemo."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clones import make_clone
from galaxy_server import ROOT, SERVE_DIR, GalaxyError, Server, new_folder, running_galaxy, wrappers
from galaxy_user import User, new_user
from planemo_runs import run_planemo

import hub_server

WORK_DIR = ROOT / ".galaxy" / "test"
REPORTS = ROOT / ".galaxy" / "reports"
# The model of the stand-in hub.
HUB_MODEL_ID = "somebody/tiny-llama"
HUB_MODEL = ROOT / "test-data" / "models" / "tiny-llama"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of these tests to pytest's."""
    parser.addoption("--running", action="store_true", help="use the Galaxy of `make serve` instead of a fresh one")
    parser.addoption("--docs-images", action="store_true", help="remake the tutorial's pictures in docs/images/")


def pytest_exception_interact(call: pytest.CallInfo) -> None:
    """End the run when a server does not start: all further tests would fail for the same reason."""
    if isinstance(call.excinfo.value, GalaxyError):
        pytest.exit(f"error: {call.excinfo.value}", returncode=1)


@pytest.fixture(scope="session")
def galaxy(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A Galaxy with the suite's tools and a stand-in for the Hugging Face hub."""
    if request.config.getoption("running"):
        yield running_server()
        return
    with hub_server.running(HUB_MODEL, HUB_MODEL_ID) as hub, pytest.MonkeyPatch.context() as environment:
        environment.setenv("HF_ENDPOINT", hub.url)
        with running_galaxy(new_folder(WORK_DIR)) as server:
            yield server


def running_server() -> Server:
    """The Galaxy of `make serve`, after it has read the wrappers again."""
    state = SERVE_DIR / "server.json"
    if not state.exists():
        raise GalaxyError("no Galaxy is up: start one with `make serve` in another terminal")
    server = Server(**json.loads(state.read_text()))
    for tool in wrappers():
        server.admin.tools.reload(tool)
    return server


@pytest.fixture(scope="session")
def user(galaxy: Server) -> User:
    """A user with an empty history."""
    return new_user(galaxy)


@pytest.fixture(scope="session")
def planemo_results(request: pytest.FixtureRequest, galaxy: Server) -> dict[str, dict[str, Any]]:
    """planemo's results of the chosen tests, all those with a parameter `planemo_test`; they run at the same time."""
    items = [item for item in request.session.items if "planemo_results" in item.fixturenames]
    reports = SERVE_DIR / "reports" if request.config.getoption("running") else REPORTS
    plugins = request.config.pluginmanager
    with plugins.getplugin("capturemanager").global_and_fixture_disabled():
        message = f"planemo runs {len(items)} tests; its logs and reports: {reports.relative_to(ROOT)}/"
        plugins.getplugin("terminalreporter").write_line(message)
    return run_planemo(galaxy, [item.callspec.params["planemo_test"] for item in items], reports)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone of this checkout, which a test may change."""
    return make_clone(tmp_path)
