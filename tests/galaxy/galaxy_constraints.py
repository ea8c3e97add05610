"""Print the versions that a Galaxy release was tested with, as constraints for its installation.

The metapackage `galaxy` names them, but it also asks for Galaxy's own test suites, and for a certifi that some indexes
do not have. Root certificates belong to no release, so certifi stays free; the rest is taken as it stands.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PIN = re.compile(r"Requires-Dist: (?!certifi=)([\w.-]+==.+)")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("version", help="Galaxy's release, for example 26.1.2")
    version = parser.parse_args().version
    with tempfile.TemporaryDirectory() as folder:
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", f"galaxy=={version}"]
        subprocess.run([*download, "--dest", folder], check=True)
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
            metadata = wheel.read(next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")))
    print("\n".join(match[1] for line in metadata.decode().splitlines() if (match := PIN.match(line))))


if __name__ == "__main__":
    main()
