"""The one version of a release, in every file that names it."""

import json
import re
from pathlib import Path

VERSION = re.compile(r"\d+\.\d+\.\d+")
# Files with one place for a version: a pattern around it.
PLACES = {
    "tools/scripts/dna_lm/__init__.py": r'(?<=^__version__ = ")[^"]+(?=")',
    "tools/macros.xml": r'(?<=<token name="@TOOL_VERSION@">)[^<]+(?=</token>)',
    "CITATION.cff": r"(?<=^version: )\S+(?=$)",
}
# Wrappers of one version are released once, so their suffix stays 0.
SUFFIX = ("tools/macros.xml", r'(?<=<token name="@VERSION_SUFFIX@">)[^<]+(?=</token>)')
# The first section of a changelog, whose version is not released.
UNRELEASED = r"(?<=^## )\S+ - unreleased(?=$)"


class ReleaseError(Exception):
    """What keeps a release from being made, in one line."""


def current(root: Path) -> str:
    """The version of the sources."""
    found = {name: re.findall(pattern, (root / name).read_text(), re.MULTILINE) for name, pattern in PLACES.items()}
    versions = {version for names in found.values() for version in names}
    if len(versions) != 1 or any(len(names) != 1 for names in found.values()):
        raise ReleaseError(f"the files do not name one version: {found}")
    return versions.pop()


def workflows(root: Path) -> list[Path]:
    """The files of the workflows."""
    return sorted(root.glob("workflows/*/*.ga"))


def set_version(root: Path, version: str, date: str) -> None:
    """Name a version, released on `date` (YYYY-MM-DD), in all files below `root`."""
    if not VERSION.fullmatch(version):
        raise ReleaseError(f"{version!r} is not a version such as 1.2.3")
    old, new = (tuple(map(int, each.split("."))) for each in (current(root), version))
    if new < old:
        raise ReleaseError(f"{version} is older than the version of the sources, {current(root)}")
    for name, pattern in PLACES.items():
        _replace(root / name, pattern, version)
    _replace(root / SUFFIX[0], SUFFIX[1], "0")
    citation = root / "CITATION.cff"
    text = re.sub(r"^date-released:.*\n", "", citation.read_text(), flags=re.MULTILINE)
    citation.write_text(text.replace(f"version: {version}\n", f"version: {version}\ndate-released: {date}\n"))
    _replace(root / "CHANGELOG.md", UNRELEASED, f"{version} - {date}")
    for changelog in {path.with_name("CHANGELOG.md") for path in workflows(root)}:
        _replace(changelog, UNRELEASED, f"[{version}] - {date}")
    for path in workflows(root):
        content = json.loads(path.read_text())
        content["release"] = version
        for step in content["steps"].values():
            if (step["tool_id"] or "").startswith("dna_lm_"):
                step["tool_version"] = f"{version}+galaxy0"
        write_workflow(path, content)


def write_workflow(path: Path, content: dict) -> None:
    """Write a workflow as Galaxy exports it."""
    path.write_text(json.dumps(content, indent=4, ensure_ascii=False) + "\n")


def _replace(path: Path, pattern: str, text: str) -> None:
    """Replace the one match of a pattern in a file."""
    content, n_found = re.subn(pattern, lambda _: text, path.read_text(), flags=re.MULTILINE)
    if n_found != 1:
        raise ReleaseError(f"{path}: {n_found} places instead of one match {pattern!r}")
    path.write_text(content)
