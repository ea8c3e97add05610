"""Inputs that can be read only once: a pipe is copied to a temporary file before anything is read of it.

Every input is read at least twice, and some are read at places, so each function that opens one asks here for its path.
"""

import os
import shutil
import tempfile

from dna_lm.errors import UserError, quoted

_copies = {}
_folder = None


def regular(path: str | os.PathLike) -> str:
    """The path of a file with the same bytes that can be read again: `path`, unless it is a pipe or a device.

    A pipe is read to its end the first time that it is asked for; its copy is there until `remove_copies`. Raises
    `UserError` when it cannot be read or copied. A path without a file is returned as it is.
    """
    global _folder
    path = os.fspath(path)
    if os.path.isfile(path) or os.path.isdir(path) or not os.path.exists(path):
        return path
    status = os.stat(path)
    key = path, status.st_dev, status.st_ino
    if key not in _copies:
        try:
            _folder = _folder or tempfile.TemporaryDirectory(prefix="dna_lm-")
            copy = os.path.join(_folder.name, str(len(_copies)))
            with open(path, "rb") as source, open(copy, "wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
        except OSError as error:
            raise UserError(f"cannot read {quoted(path)} or copy it to a temporary file: {error.strerror}") from error
        _copies[key] = copy
    return _copies[key]


def remove_copies() -> None:
    """Remove the temporary files."""
    global _folder
    if _folder:
        _folder.cleanup()
    _folder = None
    _copies.clear()
