"""Run the property tests with new random examples until the time is over, and print what reproduces a failure."""

import argparse
import secrets
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
# hypothesis gives every test with @given the mark `hypothesis`.
PROPERTY_TESTS = ["-m", "hypothesis", "--hypothesis-profile=new"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30, help="no new round begins after this time (default: 30)")
    parser.add_argument("--seed", type=int, help="run one round with this seed, as a failure printed it")
    parser.add_argument("tests", nargs="*", help="files or tests (default: all of tests/unit)")
    arguments = parser.parse_args()
    end, rounds = time.monotonic() + 60 * arguments.minutes, 0
    while rounds == 0 or (time.monotonic() < end and arguments.seed is None):
        seed = secrets.randbits(32) if arguments.seed is None else arguments.seed
        command = [sys.executable, "-m", "pytest", *PROPERTY_TESTS, f"--hypothesis-seed={seed}", *arguments.tests]
        failed = subprocess.run(command, cwd=ROOT).returncode
        rounds += 1
        if failed:
            tests = " ".join(arguments.tests)
            sys.exit(f"round {rounds} failed; the same again: make fuzz ARGS='--seed {seed} {tests}'".rstrip())
        print(f"round {rounds} with seed {seed}: no failure", flush=True)


if __name__ == "__main__":
    main()
