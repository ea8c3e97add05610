"""A release, made in a clone: one version everywhere, archives that are complete and the same when built again."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from clones import git, make_clone
from galaxy_server import ROOT, wrappers
from planemo_runs import PLANEMO

sys.path.insert(0, str(ROOT / "release"))

import bundle

VERSION, DATE = "7.8.9", "2031-02-03"
URL = "https://zenodo.org/records/1/files"
PYTHON = PLANEMO.with_name("python")


def release(clone: Path, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess:
    """Run the release script of a clone."""
    command = [PYTHON, clone / "release" / "release.py", *arguments]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """A clone of this checkout with a new version, and the folder of its release."""
    clone = make_clone(tmp_path_factory.mktemp("release"))
    done = release(clone, "--version", VERSION, "--date", DATE, "--data-url", URL + "/")
    assert done.returncode == 0, done.stderr
    yield clone, clone / "dist" / VERSION


def unpacked(folder: Path, archive: Path) -> dict[str, bytes]:
    """The files of an archive, which is unpacked below `folder`; every member has the date of the release."""
    with tarfile.open(archive) as opened:
        members = opened.getmembers()
        assert {(member.mtime, member.uid, member.uname) for member in members} == {(1927843200, 0, "")}
        assert [member.name for member in members] == sorted(member.name for member in members)
    shutil.unpack_archive(archive, folder)
    return {member.name: (folder / member.name).read_bytes() for member in members if member.isfile()}


def test_one_version(released: tuple[Path, Path]) -> None:
    """Every file that names the version names the new one, and git sees no other change."""
    clone, _ = released
    changed = set(git(clone, "diff", "--name-only").split())
    workflows = {str(path.relative_to(clone)) for path in clone.glob("workflows/*/*.ga")}
    changelogs = {str(Path(name).with_name("CHANGELOG.md")) for name in workflows}
    single = {"CHANGELOG.md", "CITATION.cff", "tools/macros.xml", "tools/scripts/dna_lm/__init__.py"}
    assert changed == single | workflows | changelogs
    for name in changed:
        content = (clone / name).read_text()
        assert VERSION in content, name
    assert f"\n## {VERSION} - {DATE}\n" in (clone / "CHANGELOG.md").read_text()
    assert yaml.safe_load((clone / "CITATION.cff").read_text())["version"] == VERSION


def test_built_twice(released: tuple[Path, Path], tmp_path: Path) -> None:
    """The same commit gives the same bytes, in another folder, at another time, for another user's settings."""
    clone, first = released
    again = tmp_path / "again"
    subprocess.run(["cp", "-r", clone, again], check=True)
    subprocess.run(["find", again, "-exec", "touch", "-h", "-d", "2001-01-01", "{}", "+"], check=True)
    git(again, "commit", "--quiet", "--all", "--message", "Release")
    settings = {"TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONHASHSEED": "5", "SOURCE_DATE_EPOCH": "1"}
    done = release(again, "--output", tmp_path / "second", "--data-url", URL, **settings)
    assert done.returncode == 0, done.stderr
    contents = [{path.name: path.read_bytes() for path in folder.iterdir()} for folder in (first, tmp_path / "second")]
    assert contents[0] == contents[1]


def test_checksums(released: tuple[Path, Path]) -> None:
    """sha256sum accepts the folder, which has an archive of each kind."""
    _, folder = released
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=folder, check=True, capture_output=True)
    kinds = ("dna_lm-{}", "toolshed-dna_lm-{}", "toolshed-data_manager_dna_lm-{}", "image-{}")
    kinds += ("dna_lm-workflows-{}", "dna_lm-data-{}", "dna_lm-training-{}")
    expected = {f"{kind.format(VERSION)}.tar.gz" for kind in kinds} | {"SHA256SUMS"}
    assert {path.name for path in folder.iterdir()} == expected


def test_source_archive(released: tuple[Path, Path], tmp_path: Path) -> None:
    """The source archive is the commit: its library says the version, and it has git's files and no others."""
    clone, folder = released
    files = unpacked(tmp_path, folder / f"dna_lm-{VERSION}.tar.gz")
    top = tmp_path / f"dna_lm-{VERSION}"
    tracked = git(clone, "ls-files").split("\n")
    links = {str(path.relative_to(top)) for path in top.rglob("*") if path.is_symlink()}
    assert {name.removeprefix(f"{top.name}/") for name in files} | links == set(tracked)
    assert os.access(top / "tests" / "galaxy" / "lint.sh", os.X_OK)
    program = "import dna_lm; print(dna_lm.__version__)"
    done = subprocess.run([sys.executable, "-c", program], cwd=top / "scripts", capture_output=True, text=True)
    assert done.stdout.strip() == VERSION


def test_tool_shed_archives(released: tuple[Path, Path], tmp_path: Path) -> None:
    """The archives hold files and no links, the library in both, and nothing of the tests."""
    clone, folder = released
    library = "scripts/dna_lm/model/checkpoint.py"
    files = unpacked(tmp_path / "suite", folder / f"toolshed-dna_lm-{VERSION}.tar.gz")
    manager = unpacked(tmp_path / "manager", folder / f"toolshed-data_manager_dna_lm-{VERSION}.tar.gz")
    assert not [path for path in tmp_path.rglob("*") if path.is_symlink()]
    assert files[f"tools/{library}"] == manager["data_manager/dna_lm/model/checkpoint.py"]
    assert VERSION.encode() in files["tools/macros.xml"] == manager["data_manager/macros.xml"]
    wrappers = {path.name for path in (clone / "tools").glob("*.xml")}
    assert {name.removeprefix("tools/") for name in files if re.fullmatch(r"tools/[^/]+\.xml", name)} == wrappers
    assert not [name for name in [*files, *manager] if name.startswith(("tests/", "release/", ".git"))]


def test_workflows(released: tuple[Path, Path], tmp_path: Path) -> None:
    """Each published workflow names the Tool Shed's tools; its test names data of the bundle by URL and checksum."""
    clone, folder = released
    files = unpacked(tmp_path, folder / f"dna_lm-workflows-{VERSION}.tar.gz")
    flows = {name: json.loads(content) for name, content in files.items() if name.endswith(".ga")}
    assert len(flows) == len([*clone.glob("workflows/*/*.ga")])
    prefix = "toolshed.g2.bx.psu.edu/repos/dna-lm/dna_lm/dna_lm_"
    for flow in flows.values():
        tools = [step["tool_id"] for step in flow["steps"].values() if step["tool_id"]]
        assert tools and all(tool.startswith(prefix) and tool.endswith(f"/{VERSION}+galaxy0") for tool in tools)
        assert flow["release"] == VERSION
    tests = [content.decode() for name, content in files.items() if name.endswith("-tests.yml")]
    assert len(tests) == len(flows) and not any("path:" in text for text in tests)
    named = re.findall(
        rf"location: {URL}/(\S+)\n +hashes:\n +- hash_function: SHA-1\n +hash_value: (\S+)", "".join(tests)
    )
    assert len(named) == "".join(tests).count("class: File") > 0
    for name, checksum in named:
        assert hashlib.sha1((clone / bundle.FILES[name]).read_bytes()).hexdigest() == checksum


def test_data_bundle(released: tuple[Path, Path], tmp_path: Path) -> None:
    """The bundle is flat, checked, licensed and described, and has every file that a workflow's test reads."""
    clone, folder = released
    unpacked(tmp_path, folder / f"dna_lm-data-{VERSION}.tar.gz")
    data = tmp_path / f"dna_lm-data-{VERSION}"
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=data, check=True, capture_output=True)
    names = {path.name for path in data.iterdir() if path.is_file()}
    assert names == {*bundle.FILES, "README.md", "zenodo.json", "SHA256SUMS"} == {path.name for path in data.rglob("*")}
    metadata = json.loads((data / "zenodo.json").read_text())["metadata"]
    assert (metadata["version"], metadata["publication_date"], metadata["license"]) == (VERSION, DATE, "mit")
    described = (data / "README.md").read_text()
    assert all(f"`{name}`" in described for name in names - {"README.md", "zenodo.json", "SHA256SUMS"})
    read = re.findall(r"path: test-data/(\S+)", "".join(path.read_text() for path in clone.glob("workflows/*/*.yml")))
    assert read and set(read) <= names


def test_training(released: tuple[Path, Path], tmp_path: Path) -> None:
    """The tutorial has what the Training Network requires, and no link or picture leads nowhere."""
    clone, folder = released
    unpacked(tmp_path, folder / f"dna_lm-training-{VERSION}.tar.gz")
    tutorial = tmp_path / f"dna_lm-training-{VERSION}" / "topics/statistics/tutorials/dna-lm-mutation-impact"
    text = (tutorial / "tutorial.md").read_text()
    head = yaml.safe_load(text.split("---\n")[1])
    keys = {"layout", "title", "level", "subtopic", "zenodo_link", "questions", "objectives", "time_estimation"}
    assert keys | {"key_points", "contributions", "requirements", "tags"} <= head.keys()
    assert head["zenodo_link"] == URL.removesuffix("/files")
    # What the network's site replaces: buttons of tools, and links to its other tutorials.
    tags = re.findall(r"{% (\w+) (.*?) %}", text)
    assert {"tool", "link"} == {tag for tag, _ in tags}
    tool_ids = {re.fullmatch(r"\[[^]]+\]\((.+)\)", value)[1] for tag, value in tags if tag == "tool"}
    ours = {f"toolshed.g2.bx.psu.edu/repos/dna-lm/dna_lm/{tool}/{VERSION}+galaxy0" for tool in wrappers()}
    assert len(tool_ids & ours) > 4 and tool_ids - ours == {"Filter1", "Show beginning1"}
    assert "https://training.galaxyproject.org" not in text
    targets = [link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)", re.sub(r"{%.*?%}", "", text))]
    sources = "https://github.com/dna-lm/dna_lm/blob/main/"
    for link in filter(None, targets):
        if link.startswith(sources):
            assert (clone / link.removeprefix(sources)).exists(), link
        elif not link.startswith("https://"):
            assert (tutorial / link).is_file(), link
    assert {path.name for path in tutorial.glob("workflows/*.ga")} == {
        path.name for path in clone.glob("workflows/*/*.ga")
    }
    library = yaml.safe_load((tutorial / "data-library.yaml").read_text())
    files = library["items"][0]["items"][0]["items"][0]["items"]
    assert {Path(file["url"]).name for file in files} <= bundle.FILES.keys() and len(files) > 10
    assert all(re.fullmatch("[0-9a-f]{32}", file["md5sum"]) for file in files)
    assert [*tutorial.glob("tours/*.yml")] and "doi = {" in (tutorial / "tutorial.bib").read_text()


def test_image(released: tuple[Path, Path], tmp_path: Path) -> None:
    """What an image is built from has all that its Containerfile copies, and no test."""
    clone, folder = released
    files = unpacked(tmp_path, folder / f"image-{VERSION}.tar.gz")
    top = f"image-{VERSION}"
    for line in files[f"{top}/docs/admin/Containerfile"].decode().splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            assert all((tmp_path / top / source).exists() for source in line.split()[1:-1]), line
    assert VERSION.encode() in files[f"{top}/tools/scripts/dna_lm/__init__.py"]
    assert files[f"{top}/requirements.txt"] == (clone / "requirements.txt").read_bytes()
    assert not [name for name in files if "/tests/" in name and "/locks/" not in name]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--version", "1.0"], "'1.0' is not a version such as 1.2.3"),
        (["--version", "0.0.1"], "0.0.1 is older than the version of the sources, 0."),
        ([], "CHANGELOG.md has no date for this version"),
    ],
)
def test_refused(clone: Path, arguments: list[str], message: str) -> None:
    """A mistake ends in one line, before a file is changed."""
    done = release(clone, *arguments)
    assert done.returncode == 1 and done.stderr.startswith(f"error: {message}") and done.stderr.count("\n") == 1
    assert not git(clone, "status", "--porcelain") and not (clone / "dist").exists()


def test_uncommitted_changes(clone: Path) -> None:
    """A release is made of a commit."""
    (clone / "new_file").touch()
    done = release(clone, "--version", VERSION)
    assert done.stderr == "error: the checkout has changes that are not committed\n" and done.returncode == 1
