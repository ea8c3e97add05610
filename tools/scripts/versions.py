"""Print the versions of the suite and of the packages that it computes with."""

import platform
from importlib.metadata import version

from dna_lm import __version__

# Those that can change a number. Nothing is imported: Galaxy asks before every job.
PACKAGES = ("torch", "transformers", "tokenizers", "numpy", "scipy", "matplotlib", "biopython", "pysam", "anndata")

if __name__ == "__main__":
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    print(f"dna_lm {__version__}, Python {platform.python_version()}, {packages}")
