"""What libraries read from the environment when they are first used, and which versions there are.

Importing this changes nothing.
"""

import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path


def keep_bits() -> None:
    """Let a score have the same bits whatever is in its batch. To be called before the first product of matrices."""
    # Intel's matrix library then gives the same bits whatever the alignment of the memory and the number of threads. No
    # measurable cost.
    os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")


def stay_offline() -> None:
    """Let Hugging Face's libraries fetch and report nothing. To be called before they are imported."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"


def share_processors() -> None:
    """Let threads that wait give their processor to others soon. To be called before torch is imported."""
    # A thread that waits for the others keeps its processor busy, by default for 300,000 turns. On a shared node it
    # takes the time of those that work. On a quiet node a fifteenth of the turns had no cost that could be measured,
    # and to sleep at once (OMP_WAIT_POLICY=passive) doubled the time of small models.
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")


def keep_fonts() -> None:
    """Let matplotlib keep its list of fonts for the next job. To be called before it is imported."""
    # Galaxy gives each job its own home, where the list, which takes seconds, would be made again. The folder of
    # the Python environment lasts, if it can be written.
    if "MPLCONFIGDIR" not in os.environ and os.access(sys.prefix, os.W_OK):
        os.environ["MPLCONFIGDIR"] = str(Path(sys.prefix, "var", "dna_lm-matplotlib"))


def versions(*packages: str) -> str:
    """Those of Python and of installed packages, none of which is imported: `Python 3.12.1, numpy 2.4.6`."""
    return ", ".join([f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in packages)])
