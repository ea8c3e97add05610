"""Make a release: one version in all files, and everything that is published of it in a folder.

README.md in this folder says what the files are for. Runs on .venv/planemo's Python.
"""

import argparse
import calendar
import datetime
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import archives
import bundle
import numbering
import published
import training
from numbering import ReleaseError

ROOT = Path(__file__).resolve().parents[1]
PLANEMO = Path(sys.executable).with_name("planemo")
REPOSITORIES = {"dna_lm": ".", "data_manager_dna_lm": "data_managers/data_manager_dna_lm"}
CONTAINERFILE = "docs/admin/Containerfile"


def git(*arguments: str) -> str:
    """The output of git about this checkout."""
    done = subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True)
    if done.returncode:
        raise ReleaseError(f"git {arguments[0]}: {done.stderr.strip()}")
    return done.stdout


def release_date() -> str:
    """The date of the sources' version, from the first section of CHANGELOG.md."""
    version = re.escape(numbering.current(ROOT))
    found = re.search(rf"^## {version} - (\d{{4}}-\d\d-\d\d)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    if not found:
        raise ReleaseError("CHANGELOG.md has no date for this version: name the version, --version X.Y.Z")
    return found[1]


def build_for_tool_shed(stage: Path, folder: str, target: Path, seconds: int) -> None:
    """Write the archive that planemo uploads for a repository, with fixed times."""
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run([PLANEMO, "shed_build", stage / folder], cwd=scratch, capture_output=True, text=True)
        created = re.search(r"^Created: (.+)$", done.stdout, re.MULTILINE)
        if done.returncode or not created:
            raise ReleaseError(f"planemo shed_build {folder}: {(done.stdout + done.stderr).strip()}")
        built, content = Path(scratch, created[1]), Path(scratch, "content")
        shutil.unpack_archive(built, content)
        built.unlink()
        archives.write_archive(target, content, archives.files_below(content), "", seconds)


def image_files(tracked: list[str]) -> list[str]:
    """The files that an image is built from: those that its Containerfile copies."""
    copied = re.findall(r"^COPY (?!--)(.+) \S+$", (ROOT / CONTAINERFILE).read_text(), re.MULTILINE)
    wanted = [Path(name) for line in copied for name in line.split()] + [Path(CONTAINERFILE), Path("LICENSE")]
    return [name for name in tracked if any(Path(name).is_relative_to(source) for source in wanted)]


def build(output: Path, url: str) -> None:
    """Write all archives of the sources, as git tracks them, into the new folder `output`."""
    version, date = numbering.current(ROOT), release_date()
    seconds = calendar.timegm(datetime.date.fromisoformat(date).timetuple())
    tracked = git("ls-files", "-z").split("\0")[:-1]
    output.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch:
        stage = Path(scratch, "dna_lm")
        for name in tracked:
            (stage / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, stage / name, follow_symlinks=False)
        archives.write_archive(output / f"dna_lm-{version}.tar.gz", stage, tracked, f"dna_lm-{version}", seconds)
        for name, folder in REPOSITORIES.items():
            build_for_tool_shed(stage, folder, output / f"toolshed-{name}-{version}.tar.gz", seconds)
        image = f"image-{version}"
        archives.write_archive(output / f"{image}.tar.gz", stage, image_files(tracked), image, seconds)
        for name, write in (
            ("workflows", lambda folder: published.write_workflows(ROOT, folder, url=url)),
            (
                "training",
                lambda folder: training.write_training(ROOT, folder.with_name("workflows"), folder, version, url),
            ),
            ("data", lambda folder: bundle.write_bundle(ROOT, folder, version, date)),
        ):
            folder = Path(scratch, name)
            write(folder)
            title = f"dna_lm-{name}-{version}"
            archives.write_archive(output / f"{title}.tar.gz", folder, archives.files_below(folder), title, seconds)
    archives.write_checksums(output)


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    parser.add_argument(
        "--version", help="the version to release, such as 1.2.3; default: that of the sources, built again"
    )
    parser.add_argument("--date", type=datetime.date.fromisoformat, default=today, help="its date (default: today)")
    parser.add_argument("--output", type=Path, help="a new folder (default: dist/VERSION)")
    parser.add_argument(
        "--data-url", default="", help="where the files of the data bundle are published, for the workflows' tests"
    )
    return parser.parse_args()


def main() -> None:
    """Set the version, then build."""
    arguments = parse_arguments()
    if git("status", "--porcelain"):
        raise ReleaseError("the checkout has changes that are not committed")
    if arguments.version:
        numbering.set_version(ROOT, arguments.version, str(arguments.date))
    version = numbering.current(ROOT)
    output = arguments.output or ROOT / "dist" / version
    if output.exists():
        raise ReleaseError(f"{output} exists: remove it, or choose another folder with --output")
    try:
        build(output, arguments.data_url.rstrip("/"))
    except BaseException:
        shutil.rmtree(output, ignore_errors=True)
        raise
    for path in sorted(output.iterdir()):
        print(path)
    if arguments.version:
        print(f"Now: git commit --all --message 'Release {version}' && git tag v{version}")


if __name__ == "__main__":
    try:
        main()
    except ReleaseError as error:
        sys.exit(f"error: {error}")
