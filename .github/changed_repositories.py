"""Print, as JSON, the folders of the Tool Shed repositories that a range of commits changes.

planemo's own search (`ci_find_repos --changed_in_commit_range`) looks upwards from each changed file for a `.shed.yml`,
but never in the top folder, where that of the suite is. Without a range, both repositories are printed.
"""

import argparse
import json
import subprocess
from pathlib import Path

# The data manager's folder has links into tools/, for which planemo puts the files into its archive. So a change of the
# library, of macros.xml or of versions.py changes that repository too.
MANAGER = Path("data_managers", "data_manager_dna_lm")
SUITE = (".shed.yml", "LICENSE", "tools", "test-data")


def contents() -> dict[str, list[Path]]:
    """The files and folders that each repository is made of, by the folder of its `.shed.yml`."""
    links = [path.resolve().relative_to(Path.cwd()) for path in sorted(MANAGER.rglob("*")) if path.is_symlink()]
    return {".": [Path(name) for name in SUITE], str(MANAGER): [MANAGER, *links]}


def changed_files(commits: str) -> list[Path]:
    """The files that differ at the two ends of a range such as `main...HEAD`; a renamed file counts twice."""
    command = ["git", "diff", "--name-only", "--no-renames", "-z", commits, "--"]
    names = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [Path(name) for name in names.split("\0") if name]


def main() -> None:
    """Print the list."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("commits", nargs="?", default="", help="the range; empty: all repositories")
    commits = parser.parse_args().commits
    changed = changed_files(commits) if commits else None
    repositories = [
        folder
        for folder, parts in contents().items()
        if changed is None or any(file.is_relative_to(part) for file in changed for part in parts)
    ]
    print(json.dumps(repositories))


if __name__ == "__main__":
    main()
