"""Links within the repository: the file is there, and so is the heading that a link names."""

import re
from functools import cache
from pathlib import Path
from subprocess import run

import pytest

from conftest import ROOT

# How a wrapper, a workflow and a tour name a page of this repository.
PAGES = re.compile(
    r"(?:@DOCS@|https://github\.com/dna-lm/dna_lm/blob/(?:main|v[\d.]+))/([\w./-]+?)(#[\w-]+)?(?=[>\s)\"'`\]\\]|$)"
)
FENCED = re.compile(r"^( *)```.*?^\1```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)|<img src=\"([^\"]+)\"")


def tracked(*patterns):
    listed = run(["git", "ls-files", "-z", "--", *patterns], cwd=ROOT, check=True, capture_output=True, text=True)
    return [ROOT / name for name in listed.stdout.split("\0") if name and not (ROOT / name).is_symlink()]


@cache
def anchors(path):
    """The anchors that GitHub gives to the headings of a page."""
    found: dict[str, int] = {}
    named = []
    for heading in re.findall(r"^#{1,6} +(.+?)\s*$", FENCED.sub("", path.read_text()), re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", text.replace("`", "")).replace(" ", "-")
        named.append(f"{anchor}-{found[anchor]}" if anchor in found else anchor)
        found[anchor] = found.get(anchor, 0) + 1
    return {*named, *re.findall(r'<a (?:id|name)="([^"]+)"', path.read_text())}


def broken(page, anchor):
    """What is wrong with a link to a page and a heading of it, or None."""
    if not page.exists():
        return "no such file"
    if anchor and page.suffix == ".md" and anchor not in anchors(page):
        return "no such heading"
    return None


@pytest.mark.parametrize("path", tracked("*.md"), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_of_a_page_lead_somewhere(path):
    problems = []
    for target in map("".join, LINK.findall(FENCED.sub("", path.read_text()))):
        if re.match(r"[a-z+]+:|\{%", target):
            continue
        name, _, anchor = target.partition("#")
        page = (path.parent / name).resolve() if name else path
        if found := broken(page, anchor):
            problems.append(f"{target}: {found}")
    assert not problems


def test_links_of_wrappers_workflows_and_tours_lead_somewhere():
    problems, n = [], 0
    for path in tracked("*.xml", "*.ga", "*.yml", "*.yaml", "*.py", "*.md"):
        for name, anchor in PAGES.findall(path.read_text()):
            n += 1
            if found := broken(ROOT / name, anchor[1:]):
                problems.append(f"{path.relative_to(ROOT)}: {name}{anchor}: {found}")
    assert not problems
    assert n > 10


def test_paths_of_pages_in_code_and_text_exist():
    """As in a comment or an error: a path below docs/."""
    for path in tracked("*.py", "*.xml", "*.sh", "*.yml", "Makefile"):
        for name in re.findall(r"(?<![\w/.-])docs/[\w/-]+\.md\b", path.read_text()):
            assert (ROOT / name).exists(), f"{path.relative_to(ROOT)}: {name}"


def test_headings_have_githubs_anchors(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A `llr`, and *more*\n## Twice\n## Twice\n```\n# no heading\n```\n### Hi-C & [x](y.md)\n")
    assert anchors(page) == {"a-llr-and-more", "twice", "twice-1", "hi-c--x"}
    assert broken(Path(page), "no") == "no such heading" and broken(tmp_path / "other.md", "") == "no such file"
