"""The one error a user can fix, and how text from outside is shown in a message."""

import re


class UserError(Exception):
    """Something the user can fix: its message says what was found, where, and what to do.

    `cli.run` prints it as one line on stderr and ends with a non-zero exit code.
    """


def is_out_of_memory(error):
    """Whether an exception says that memory ran out: Python's, torch's on a GPU, or torch's on the CPU."""
    # torch raises a subclass of RuntimeError on CUDA and a plain RuntimeError from its CPU allocator; oneDNN cannot
    # "create a primitive" or "a memory object" without memory.
    return bool(
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and re.search("can't allocate memory|could not create a", str(error)))
    )


def quoted(text, limit=60):
    """Text from a file as it may stand in a one-line message: printable ASCII, in quotes, cut at `limit`."""
    text = str(text)
    return ascii(text if len(text) <= limit else text[:limit] + "...")


def counted(number, singular, plural=None):
    """A count with its noun: `1 record`, `2 records`."""
    return f"{number} {singular if number == 1 else plural or singular + 's'}"
