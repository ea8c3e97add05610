"""Click through Galaxy's own page as a new user does, in a headless Chromium: about five minutes.

Starts a Galaxy, runs browser_steps.py in .venv/browser, stops the Galaxy. Screenshots: .galaxy/browser/screenshots/.
"""

import argparse
import shutil
import subprocess
import sys

from galaxy_server import ROOT, GalaxyError, running_galaxy

WORK_DIR = ROOT / ".galaxy" / "browser"
STEPS = [ROOT / ".venv/browser/bin/python", ROOT / "tests/galaxy/browser_steps.py"]
RUN_SECONDS = 1800


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--docs-images", action="store_true", help="remake the tutorial's pictures in docs/images/")
    options = ["--docs-images", ROOT / "docs" / "images"] if parser.parse_args().docs_images else []
    shutil.rmtree(WORK_DIR, ignore_errors=True)
    try:
        with running_galaxy(WORK_DIR) as server:
            command = [*STEPS, server["url"], WORK_DIR / "screenshots", *options]
            sys.exit(subprocess.run(command, timeout=RUN_SECONDS).returncode)
    except GalaxyError as error:
        sys.exit(f"error: {error}")
    except subprocess.TimeoutExpired:
        sys.exit(f"FAILED: the browser has not ended after {RUN_SECONDS} s")
    except KeyboardInterrupt:
        sys.exit("interrupted")


if __name__ == "__main__":
    main()
