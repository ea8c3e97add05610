"""Runs planemo's tests of wrappers and workflows in a Galaxy, several at a time, and says what is wrong with a test."""

import json
import re
import secrets
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from galaxy.tool_util.parser import get_tool_source
from galaxy_server import N_PARALLEL, ROOT, TOOLS_VENV, GalaxyError, Server, spawn, stop

PLANEMO = ROOT / ".venv" / "planemo" / "bin" / "planemo"
# The account that planemo's tests run as. It is an administrator, because only these may run the data manager.
PLANEMO_USER = "planemo@galaxyproject.org"
INTERPRETER = re.compile(r"^dna_lm [\d.]+, Python [\d.]+ at (.+)$", re.MULTILINE)
# planemo's own limit is a day: a job whose input Galaxy cannot read waits as long.
TEST_SECONDS = 300


class PlanemoTest(NamedTuple):
    """A test of a wrapper or workflow; `name` ends with its number, which counts from 1 as in planemo's report."""

    path: Path
    name: str
    # planemo's name of the result.
    result: str


def listed_tests(path: Path) -> list[PlanemoTest]:
    """The tests of a wrapper or workflow, as its file has them."""
    if path.suffix == ".ga":
        n_tests = len(yaml.safe_load(path.with_name(f"{path.stem}-tests.yml").read_text()))
        return [PlanemoTest(path, f"{path.stem}-{index + 1}", f"{path.name}_{index}") for index in range(n_tests)]
    wrapper = get_tool_source(str(path))
    tool, n_tests = wrapper.parse_id(), len(wrapper.parse_tests_to_dict()["tests"])
    return [PlanemoTest(path, f"{tool}-{index + 1}", f"{tool}-{index}") for index in range(n_tests)]


def run_planemo(server: Server, tests: list[PlanemoTest], reports: Path) -> dict[str, dict[str, Any]]:
    """Run tests, in several planemos at the same time; returns their results by `PlanemoTest.result`.

    Each planemo leaves a report and a log in the folder `reports`.
    """
    reports.mkdir(parents=True, exist_ok=True)
    workflows = [test for test in tests if test.path.suffix == ".ga"]
    wrappers = [test for test in tests if test not in workflows]
    batches = filter(None, [workflows, *(wrappers[first::N_PARALLEL] for first in range(N_PARALLEL))])
    key = planemo_key(server)
    planemos = {}
    try:
        for number, batch in enumerate(batches, start=1):
            report = reports / f"planemo-{number}"
            planemos[report] = start_planemo(server, key, batch, report)
        return {result["id"]: result["data"] for report in planemos for result in results_of(planemos[report], report)}
    finally:
        stop([*planemos.values()])


def planemo_key(server: Server) -> str:
    """The key of planemo's account. A planemo without one would make a new key, which ends the others'."""
    users = server.admin.users
    accounts = {account["email"]: account["id"] for account in users.get_users()}
    if PLANEMO_USER not in accounts:
        accounts[PLANEMO_USER] = users.create_local_user("planemo", PLANEMO_USER, secrets.token_hex(8))["id"]
    return users.get_or_create_user_apikey(accounts[PLANEMO_USER])


def start_planemo(server: Server, key: str, tests: list[PlanemoTest], report: Path) -> subprocess.Popen:
    """Start one planemo, which runs these tests one after the other and writes `report`.html, .json and .log."""
    report.with_suffix(".json").unlink(missing_ok=True)
    paths = dict.fromkeys(test.path for test in tests)
    command = [PLANEMO, "test", "--engine", "external_galaxy", "--galaxy_url", server.url]
    command += ["--galaxy_admin_key", server.key, "--galaxy_user_key", key]
    command += ["--no_paste_test_data_paths", "--test_timeout", str(TEST_SECONDS)]
    command += ["--test_output", report.with_suffix(".html"), "--test_output_json", report.with_suffix(".json")]
    # planemo numbers the tests of all files through.
    for number, test in enumerate((test for path in paths for test in listed_tests(path)), start=1):
        command += ["--test_index", str(number)] if test in tests else []
    return spawn([*command, *paths], report.parent, report.with_suffix(".log"))


def results_of(planemo: subprocess.Popen, report: Path) -> list[dict[str, Any]]:
    """Wait for a planemo to end; returns the results of its tests."""
    planemo.wait()
    results = report.with_suffix(".json")
    if not results.exists():
        raise GalaxyError(f"planemo ended without results; its log: {report}.log")
    return json.loads(results.read_text())["tests"]


def is_tools_python(interpreter: str) -> bool:
    """Whether a job's interpreter is that of .venv/tools, whichever way its path leads there."""
    return Path(interpreter).parent.resolve() == (TOOLS_VENV / "bin").resolve()


def problems_of(test: dict[str, Any], result: dict[str, Any] | None) -> list[str]:
    """What is wrong with a wrapper's test, given Galaxy's description of it and planemo's result.

    planemo alone can be green too early: it drops a test whose definition Galaxy could not use; it takes a request that
    Galaxy refused for the failure that a test expects of the tool; and it cannot know whether the tool ran on its own
    Python or on Galaxy's.
    """
    if result is None:
        return ["it never ran: Galaxy could not use its definition"]
    job, refusal = result.get("job"), result.get("execution_problem")
    if result["status"] != "success":
        problems = [result["status"], refusal, *(result.get("output_problems") or [])]
        return [*filter(None, problems), "stderr: " + (job["stderr"] if job else "no job")]
    if job:
        # Every script that ends well names its interpreter.
        interpreter = INTERPRETER.search(job["stderr"])
        if not job["exit_code"] and not (interpreter and is_tools_python(interpreter[1])):
            return [f"it ran on {interpreter[1] if interpreter else 'an unknown Python'}, not on that of {TOOLS_VENV}"]
        return []
    # A test may expect a refused request only for a choice that the form must not offer.
    if "invalid option" in str(refusal) and not (test["stdout"] or test["stderr"] or test["command_line"]):
        return []
    return ["Galaxy refused to start a job:", str(refusal)]
