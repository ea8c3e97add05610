"""Run the wrappers' <tests> in a real Galaxy and end with a line `N passed, N failed`.

planemo alone can be green too early: it drops a test whose definition Galaxy could not use; it takes a request that
Galaxy refused for the failure a test expects, whatever the test says the tool should print; and it cannot know whether
the tools ran on their own Python or on Galaxy's. So every test that Galaxy lists must have succeeded here, a test of
what a job prints must have had a job, and every job that ends well must name the interpreter of .venv/tools.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import install_and_score
from galaxy_server import ROOT, SERVE_DIR, TOOLS_VENV, GalaxyError, api, running_galaxy, wrappers

PLANEMO = ROOT / ".venv" / "planemo" / "bin" / "planemo"
TEST_DIR = ROOT / ".galaxy" / "test"
INTERPRETER = re.compile(r"^dna_lm [\d.]+, Python [\d.]+ at (.+)$", re.MULTILINE)
# planemo's own limit is a day: a job whose input Galaxy cannot read waits as long.
TEST_SECONDS = 300


def run_planemo(server, paths, report, name):
    """Run the tests of wrappers or workflows on the `server`; returns planemo's results, test id -> result."""
    report.mkdir(parents=True, exist_ok=True)
    results = report / f"{name}.json"
    results.unlink(missing_ok=True)
    command = [PLANEMO, "test", "--engine", "external_galaxy", "--galaxy_url", server["url"]]
    command += ["--galaxy_admin_key", server["key"], "--no_paste_test_data_paths"]
    command += ["--test_timeout", str(TEST_SECONDS)]
    command += ["--test_output", report / f"{name}.html", "--test_output_json", results, *paths]
    subprocess.run(command, cwd=report)
    if not results.exists():
        raise GalaxyError("planemo ended without results")
    return {test["id"]: test["data"] for test in json.loads(results.read_text())["tests"]}


def find_problems(test, result):
    """What is wrong with a test, given Galaxy's description of it and planemo's result: a list of texts."""
    if result is None:
        return ["it never ran: Galaxy could not use its definition"]
    job, refusal = result.get("job"), result.get("execution_problem")
    if result["status"] != "success":
        problems = [result["status"], refusal, *(result.get("output_problems") or [])]
        return [*filter(None, problems), "stderr: " + (job["stderr"] if job else "no job")]
    if job:
        # Every script that ends well says so.
        interpreter = INTERPRETER.search(job["stderr"])
        if not job["exit_code"] and (not interpreter or Path(interpreter[1]).parent != TOOLS_VENV / "bin"):
            return [f"it ran on {interpreter[1] if interpreter else 'an unknown Python'}, not on that of {TOOLS_VENV}"]
        return []
    # The one request that a test may want refused is for a choice that the form must not offer.
    if "invalid option" in str(refusal) and not (test["stdout"] or test["stderr"] or test["command_line"]):
        return []
    return ["Galaxy refused to start a job:", str(refusal)]


def check(server, tools, report):
    """Test the `tools` and say what is wrong; returns the numbers of tests that passed and failed."""
    results = run_planemo(server, tools.values(), report, "tool_tests")
    listed = [test for tool in tools for test in api(server, f"/api/tools/{tool}/test_data")]
    failed = 0
    for test in listed:
        name = f"{test['tool_id']}-{test['test_index']}"
        problems = find_problems(test, results.get(name))
        if problems:
            failed += 1
            print(f"FAILED {name} (planemo's Test #{test['test_index'] + 1})", *problems, sep="\n    ")
    return len(listed) - failed, failed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tools", nargs="*", metavar="TOOL", help="a tool's id (default: every tool of the suite)")
    parser.add_argument("--running", action="store_true", help="use the Galaxy of `make serve` instead of a fresh one")
    arguments = parser.parse_args()
    known = wrappers()
    unknown = set(arguments.tools) - set(known)
    if unknown or not known:
        parser.error(f"no tool {', '.join(unknown)}: there are {', '.join(known)}")
    tools = {tool: known[tool] for tool in arguments.tools or known}
    try:
        if arguments.running:
            state = SERVE_DIR / "server.json"
            if not state.exists():
                raise GalaxyError("no Galaxy is up: start one with `make serve` in another terminal")
            server = json.loads(state.read_text())
            for tool in tools:
                api(server, f"/api/tools/{tool}/reload")
            passed, failed = check(server, tools, SERVE_DIR / "reports")
        else:
            shutil.rmtree(TEST_DIR, ignore_errors=True)
            with install_and_score.hub(), running_galaxy(TEST_DIR) as server:
                passed, failed = check(server, tools, ROOT / ".galaxy" / "reports")
                if "data_manager_dna_lm" in tools:
                    problems = install_and_score.problems(server)
                    if problems:
                        print("FAILED to install a model of the hub and score with it", *problems, sep="\n    ")
                    passed, failed = passed + (not problems), failed + bool(problems)
    except GalaxyError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted")
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
