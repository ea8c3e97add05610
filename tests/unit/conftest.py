"""Where the fixtures are, and a way to run a script as Galaxy does."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEST_DATA = ROOT / "test-data"


@pytest.fixture
def run_script(tmp_path):
    """Run `tools/scripts/NAME ARGUMENTS` in an empty folder with the tests' own interpreter, and capture its output."""

    def run(name, *arguments, **environment):
        return subprocess.run(
            [sys.executable, ROOT / "tools" / "scripts" / name, *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={"PATH": "", "HOME": str(tmp_path), **environment},
        )

    return run
