"""Named checks of something that runs for real, one after the other, and how a test made of them ends."""

import argparse
import sys
import time

from galaxy_client import NotInTimeError
from galaxy_server import GalaxyError


def main(description, checks, running):
    """Run checks, name -> function, on what the context manager `running()` yields, and exit.

    A check returns whether all was right. The last line printed is `N passed, N failed`. With `--only TEXT` those run
    whose name has the text.
    """
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--only", default="", metavar="TEXT", help="only the checks whose name has this in it")
    only = parser.parse_args().only
    chosen = {name: check for name, check in checks.items() if only in name}
    passed = 0
    try:
        with running() as subject:
            for name, check in chosen.items():
                passed += _passes(name, check, subject)
    except GalaxyError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted")
    print(f"{passed} passed, {len(chosen) - passed} failed")
    sys.exit(passed < len(chosen))


def _passes(name, check, subject):
    print(name, flush=True)
    start = time.monotonic()
    try:
        is_right, problem = check(subject), ""
    except (GalaxyError, NotInTimeError) as error:
        is_right, problem = False, f": {error}"
    print(f"    {'ok' if is_right else 'FAILED'} after {time.monotonic() - start:.0f} s{problem}", flush=True)
    return is_right
