"""What every script shares: how it starts, how it reports, how it ends, how its outputs appear.

Knows nothing of sequences, models or statistics.
"""

import contextlib
import logging
import os
import platform
import sys
import tempfile

from dna_lm import __version__
from dna_lm.errors import UserError

log = logging.getLogger(__name__)

# What a process killed for memory exits with (128 + SIGKILL): a Galaxy destination can resubmit on it.
OUT_OF_MEMORY_EXIT_CODE = 137


def run(main):
    """Run a script's `main(argv)` and exit: 0, 1 for a `UserError`, 137 when memory ran out.

    A `UserError` and an out-of-memory end in one line on stderr. Anything else is a bug and shows its traceback.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s", force=True)
    try:
        main(sys.argv[1:])
        # Last, so that an error is the one line that a user sees.
        log.info("dna_lm %s, Python %s at %s", __version__, platform.python_version(), sys.executable)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        print("error: the machine ran out of memory: give the job more, or lower --batch-tokens", file=sys.stderr)
        sys.exit(OUT_OF_MEMORY_EXIT_CODE)


def _is_out_of_memory(error):
    # torch raises a subclass of RuntimeError on CUDA and a plain RuntimeError from its CPU allocator.
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in str(error)
    )


@contextlib.contextmanager
def atomic_outputs(*paths):
    """Temporary paths, one for each of `paths`, moved into place together when the block ends well.

    When the block raises, the temporary files are removed and no output appears. A `None` stays `None`, so that
    optional outputs need no special case. A temporary file has the suffix of its path: matplotlib goes by it.
    """
    temporary = []
    try:
        for path in paths:
            if path is None:
                temporary.append(None)
                continue
            folder, name = os.path.split(os.path.abspath(path))
            try:
                handle, name = tempfile.mkstemp(dir=folder, prefix=".partial-", suffix=os.path.splitext(name)[1])
            except OSError as error:
                raise UserError(f"cannot write {path}: {error.strerror}") from error
            os.close(handle)
            temporary.append(name)
        yield temporary
        mask = os.umask(0)
        os.umask(mask)
        for name, path in zip(temporary, paths, strict=True):
            if name is not None:
                # mkstemp makes files only their owner can read; an output has the permissions of any new file.
                os.chmod(name, 0o666 & ~mask)
                os.replace(name, path)
    finally:
        for name in temporary:
            if name is not None and os.path.exists(name):
                os.remove(name)
