"""The <tests> of every wrapper, as `planemo test` runs them, and what planemo does not check."""

from typing import Any

import pytest
from galaxy_server import Server, wrappers
from planemo_runs import PlanemoTest, listed_tests, problems_of

TESTS = {tool: listed_tests(path) for tool, path in wrappers().items()}


@pytest.fixture(scope="session")
def descriptions(galaxy: Server) -> dict[str, list[dict[str, Any]]]:
    """Galaxy's descriptions of the tests of each tool."""
    return {tool: galaxy.admin.tools.get_tool_tests(tool) for tool in TESTS}


@pytest.mark.parametrize("tool", TESTS)
def test_galaxy_lists_all(tool: str, descriptions: dict) -> None:
    """Galaxy has as many tests of a tool as its wrapper, and at least one."""
    assert TESTS[tool] and len(descriptions[tool]) == len(TESTS[tool])


@pytest.mark.parametrize(
    ("tool", "index", "planemo_test"),
    [
        pytest.param(tool, index, test, id=test.name)
        for tool, tests in TESTS.items()
        for index, test in enumerate(tests)
    ],
)
def test_wrapper(tool: str, index: int, planemo_test: PlanemoTest, planemo_results: dict, descriptions: dict) -> None:
    """A test succeeds, with a job where it needs one, on the Python of .venv/tools."""
    problems = problems_of(descriptions[tool][index], planemo_results.get(planemo_test.result))
    assert not problems, "\n".join(problems)
