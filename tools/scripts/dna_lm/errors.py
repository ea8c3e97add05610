"""The one error a user can fix, and how text from outside is shown in a message."""

import re


class UserError(Exception):
    """Something the user can fix: its message says what was found, where, and what to do.

    `cli.run` prints it as one line on stderr and ends with a non-zero exit code.
    """


# Messages that the libraries have when memory runs out, and only then. torch raises a RuntimeError with most of them.
# oneDNN's message for a primitive without memory begins like its message for products of the wrong shape.
_OUT_OF_MEMORY = re.compile(
    r"can't allocate memory"
    r"|CUDA error: out of memory"
    r"|CU(BLAS|DNN|SOLVER|SPARSE)_STATUS_ALLOC_FAILED|CUFFT_ALLOC_FAILED"
    r"|could not create a (primitive|memory|memory object)$"
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out: Python's, torch's on a GPU, or torch's on the CPU."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and _OUT_OF_MEMORY.search(str(error)) is not None


def quoted(text: object, limit: int = 60) -> str:
    """Text from a file as it may appear in a one-line message: printable ASCII, in quotes, cut at `limit`."""
    text = str(text)
    return ascii(text if len(text) <= limit else text[:limit] + "...")


def counted(number: int, singular: str, plural: str | None = None) -> str:
    """A count with its noun: `1 record`, `2 records`."""
    return f"{number} {singular if number == 1 else plural or singular + 's'}"
