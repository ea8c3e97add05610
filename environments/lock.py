"""Write the lock of every virtual environment: all packages with their versions and the hashes of their files.

`make lock` runs this after a change of a requirements file, and keeps every version that still fits. With `--upgrade`
it takes the newest versions that the requirements allow. A lock serves Linux on x86-64 and ARM, and every Python that
make_venv.sh accepts. Packages are wheels, except those that a requirements file names with `--no-binary`: these are
built from their sources with the packages of the lock `build`.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ROOT / "environments" / "locks"
# For each lock, the files with its requirements.
SOURCES = {
    "uv": ["environments/uv.txt"],
    "build": ["environments/build.txt"],
    "tools": ["requirements.txt", "environments/tests.txt"],
    "bench": ["environments/bench.txt"],
    "galaxy": ["environments/galaxy.txt"],
    "galaxy-oldest": ["environments/galaxy-oldest.txt"],
    "toolshed": ["environments/toolshed.txt"],
    "planemo": ["environments/planemo.txt"],
    "pulsar": ["environments/pulsar.txt"],
}
# Locked without their requirements, into the lock of `make bench`.
RIVALS = "environments/rivals.txt"
# PyTorch with its CUDA packages (about 3 GB) has a separate lock. When pip finds a build for the CPU, make_venv.sh
# installs that instead, from the lock `torch-cpu`, which is written by hand.
TORCH = "torch-cuda"
TORCH_CPU = "torch-cpu"
TORCH_PACKAGE = re.compile(r"(cuda|nvidia)-|(torch|triton)\b")
# Root certificates belong to no release of Galaxy, so certifi stays free; bioblend is what the tests are written for.
GALAXY_PIN = re.compile(r"Requires-Dist: (?!certifi=|bioblend=)([\w.-]+==.+)")


def galaxy_constraints(version):
    """The versions that a Galaxy release was tested with: what the metapackage `galaxy` asks for."""
    with tempfile.TemporaryDirectory() as folder:
        download = [sys.executable, "-m", "pip", "download", "-qq", "--no-deps", "--dest", folder, f"galaxy=={version}"]
        subprocess.run(download, check=True)
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
            metadata = wheel.read(next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")))
    return "".join(f"{match[1]}\n" for line in metadata.decode().splitlines() if (match := GALAXY_PIN.match(line)))


def resolved(sources, previous="", constraints="", options=()):
    """The text of a lock for these files, with the versions of the previous text where they still fit."""
    with tempfile.TemporaryDirectory() as folder:
        output, constraints_file = Path(folder, "lock.txt"), Path(folder, "constraints.txt")
        output.write_text(previous)
        constraints_file.write_text(constraints)
        command = [Path(sys.executable).with_name("uv"), "pip", "compile", "--quiet", "--no-config", "--system-certs"]
        command += ["--universal", "--python-version", "3.11", "--fork-strategy", "fewest", "--generate-hashes"]
        command += ["--no-annotate", "--only-binary", ":all:", "--custom-compile-command", "make lock"]
        command += ["--constraints", constraints_file, "--output-file", output]
        subprocess.run([*command, *options, *sources], check=True, cwd=ROOT)
        return output.read_text()


def without_torch(lock):
    """A lock without PyTorch, and the lock of PyTorch with CUDA."""
    entries = re.split(r"(?m)^(?=\w)", lock)
    torch = [entry for entry in entries if TORCH_PACKAGE.match(entry)]
    return "".join(entry for entry in entries if entry not in torch), "".join([entries[0], *torch])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions that the requirements allow")
    options = ["--upgrade"] if parser.parse_args().upgrade else []
    torch = (LOCKS / f"{TORCH}.txt").read_text()
    for name, sources in SOURCES.items():
        path = LOCKS / f"{name}.txt"
        previous = path.read_text()
        constraints = ""
        if name == "tools":
            previous += torch
        if name == "bench":
            constraints = torch
        if name in ("galaxy", "galaxy-oldest", "toolshed"):
            requirements = (ROOT / sources[0]).read_text()
            constraints = galaxy_constraints(re.search(r"(?m)^galaxy-app==(\S+)", requirements)[1])
        lock = resolved(sources, previous, constraints, ["--emit-build-options", *options])
        if name == "tools":
            lock, torch = without_torch(lock)
            (LOCKS / f"{TORCH}.txt").write_text(torch)
        if name == "bench":
            lock, _ = without_torch(lock)
            lock += resolved([RIVALS], previous, options=["--no-deps", "--no-header", *options])
        path.write_text(lock)
        print(f"{path.relative_to(ROOT)}: {len(re.findall('(?m)^[a-z].*==', lock))} packages")


if __name__ == "__main__":
    main()
