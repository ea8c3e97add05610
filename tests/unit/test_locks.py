"""The locks satisfy the requirements files, and the environment of these tests has the versions of its lock."""

import re
import sys
from importlib.metadata import PackageNotFoundError, version

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from conftest import ROOT

sys.path.insert(0, str(ROOT / "environments"))

import lock

# Pins of one release of Galaxy.
GALAXY_RELEASE = re.compile(r"galaxy-(?!sequence-utils)")
SHA256 = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def requirements(text):
    """The requirements of a file's text, without comments, options and hashes."""
    lines = (line.rstrip("\\ ") for line in text.splitlines() if re.match(r"\w", line))
    return [Requirement(line.split(" --hash")[0]) for line in lines]


def pins(text):
    """Each package's versions: a lock has two where Pythons need different ones."""
    versions = {}
    for requirement in requirements(text):
        (specifier,) = requirement.specifier
        assert specifier.operator == "==", requirement
        assert "*" not in specifier.version, requirement
        versions.setdefault(canonicalize_name(requirement.name), set()).add(specifier.version)
    return versions


def lock_text(name):
    return (lock.LOCKS / f"{name}.txt").read_text()


def test_every_lock_has_requirements_and_every_requirement_a_lock():
    assert {path.stem for path in lock.LOCKS.iterdir()} == {*lock.SOURCES, lock.TORCH, lock.TORCH_CPU}
    locked = {ROOT / source for sources in lock.SOURCES.values() for source in sources} | {ROOT / lock.RIVALS}
    folders = [ROOT, ROOT / "environments"]
    assert locked == {path for folder in folders for path in folder.glob("*.txt")}


@pytest.mark.parametrize("name", lock.SOURCES)
def test_a_lock_has_the_versions_that_its_requirements_name(name):
    """If this fails, run `make lock`: one of the files has changed since its last run."""
    sources = lock.SOURCES[name] + ([lock.RIVALS] if name == "bench" else [])
    locked = pins(lock_text(name))
    if name in ("tools", "bench"):
        locked |= pins(lock_text(lock.TORCH))
    for source in sources:
        for package, versions in pins((ROOT / source).read_text()).items():
            assert locked.get(package) == versions, f"{source}: {package}"


@pytest.mark.parametrize("name", [*lock.SOURCES, lock.TORCH, lock.TORCH_CPU])
def test_every_package_of_a_lock_has_hashes(name):
    options, *entries = re.split(r"(?m)^(?=\w)", lock_text(name))
    assert "--hash" not in options
    assert len(entries) == len(requirements(lock_text(name))) > 0
    for entry in entries:
        digests = SHA256.findall(entry)
        assert digests, entry
        # One hash a line, nothing else, and every line but the last goes on.
        assert entry.rstrip().count("\\\n") == len(digests) == len(entry.strip().splitlines()) - 1, entry


def test_pytorch_is_locked_with_cuda_and_without():
    """The two locks are of one version, and share no file."""
    with_cuda, without = lock_text(lock.TORCH), lock_text(lock.TORCH_CPU)
    (torch,) = pins(with_cuda)["torch"]
    assert {"triton", "nvidia-cublas"} < set(pins(with_cuda))
    assert pins(without) == {"torch": {f"{torch}+cpu"}}
    assert not set(SHA256.findall(with_cuda)) & set(SHA256.findall(without))
    for name in ("tools", "bench"):
        assert not [package for package in pins(lock_text(name)) if lock.TORCH_PACKAGE.match(package)]


def test_galaxy_and_the_tool_shed_are_one_release():
    galaxy, shed = pins(lock_text("galaxy")), pins(lock_text("toolshed"))
    assert {package: galaxy[package] for package in galaxy.keys() & shed.keys()} == {
        package: shed[package] for package in galaxy.keys() & shed.keys()
    }
    for locked in (galaxy, shed):
        (release,) = locked["galaxy-app"]
        parts = {package: versions for package, versions in locked.items() if GALAXY_RELEASE.match(package)}
        assert set(map(tuple, parts.values())) == {(release,)}


def test_these_tests_run_on_the_locked_versions():
    """So the tests ran with the versions that the lock installs. Other installed packages are not checked."""
    torch = [requirement for requirement in requirements(lock_text(lock.TORCH)) if requirement.name == "torch"]
    for requirement in requirements(lock_text("tools")) + torch:
        if requirement.marker is None or requirement.marker.evaluate():
            try:
                installed = Version(version(requirement.name)).public
            except PackageNotFoundError:
                pytest.fail(f"{requirement.name} is not installed")
            assert requirement.specifier.contains(installed, prereleases=True), requirement
