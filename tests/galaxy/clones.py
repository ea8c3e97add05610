"""Clones of this checkout, for tests that change files and commit."""

import shutil
import subprocess
from pathlib import Path

from galaxy_server import ROOT


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder; returns its output."""
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", "-C", folder, *identity, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def make_clone(parent: Path) -> Path:
    """Clone this checkout's last commit into a new folder, with its uncommitted files in one more commit."""
    folder = parent / "clone"
    subprocess.run(["git", "clone", "--quiet", "--shared", ROOT, folder], check=True)
    changes = subprocess.run(["git", "-C", ROOT, "diff", "HEAD", "--binary"], check=True, capture_output=True).stdout
    if changes:
        subprocess.run(["git", "-C", folder, "apply"], input=changes, check=True)
    for name in filter(None, git(ROOT, "ls-files", "--others", "--exclude-standard", "-z").split("\0")):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target, follow_symlinks=False)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "Uncommitted changes")
    return folder
