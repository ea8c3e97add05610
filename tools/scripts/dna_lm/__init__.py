"""The library behind the tools: read -> tokenise -> forward -> pool -> score -> write.

Each module is one step and knows nothing of the steps after it, nor of Galaxy.
"""

import os

__version__ = "0.1.0"

# Read by libraries when they are first used, so it is set before any module imports them.
# Nothing is ever fetched.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
# Intel's matrix library then gives the same bits whatever the alignment of the memory and the number of threads: with
# it a score does not depend on its place in a batch. No measurable cost.
os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")
