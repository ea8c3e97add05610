"""Pickled weights (`pytorch_model.bin`), converted to safetensors once, when a model is installed.

A pickle can run code, so no tool reads one. Here each file is read by a separate process, `unpickling`, with torch's
restricted loader, limits of memory and processor time, no network and no environment variables with secrets. What it
writes is then checked like the weights of any model.
"""

import contextlib
import hashlib
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path

from dna_lm import __version__
from dna_lm.errors import UserError, counted, quoted
from dna_lm.model import evo2, files

WEIGHTS = "pytorch_model.bin"
INDEX = "pytorch_model.bin.index.json"
_SHARDS = "pytorch_model-*.bin"
# What was converted, for people: no tool reads it.
RECORD = "converted.json"

# Processor time for the smallest file, without importing torch; `unpickling` adds some for each byte.
SECONDS = 60
# The limit of elapsed time, in seconds and bytes a second: a shared disk can be slow.
_WAIT_SECONDS = 600
_WAIT_BYTES_PER_SECOND = 2**20
_MAX_REPORT_BYTES = 2**26
# What Python and torch's libraries need to start.
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "PYTHONHOME", "LANG", "LC_ALL")

log = logging.getLogger(__name__)


def is_pickle(name: str) -> bool:
    """Whether a file of this name has pickled weights, or is their index."""
    return name in (WEIGHTS, INDEX) or fnmatch(name, _SHARDS) or evo2.is_file(name)


def choose_files(names: Iterable[str]) -> list[str]:
    """Of the names of a model's files, those to install: pickled weights only where there are no safetensors."""
    names = sorted(name for name in names if "/" not in name)
    read = [name for name in names if any(fnmatch(name, pattern) for pattern in files.READ)]
    if files.WEIGHTS in read:
        read = [name for name in read if name == files.WEIGHTS or "safetensors" not in name]
    if any(name.endswith(".safetensors") for name in read):
        return [*read, RECORD] if RECORD in names else read
    pickled = [WEIGHTS] if WEIGHTS in names else evo2.choose(names) or list(filter(is_pickle, names))
    # Without the index of safetensors that are not there.
    return [name for name in read if name != files.INDEX] + pickled


def copy_model(folder: Path, target: Path, transfer: Callable[[Path, Path], object] = shutil.copyfile) -> None:
    """Put the files to install into the new folder `target`, pickled weights converted. Raises `UserError`.

    transfer: copies or moves a file. Copying follows links: a Hugging Face cache has its files elsewhere.
    """
    names = choose_files(path.name for path in folder.iterdir())
    target.mkdir(parents=True)
    for name in names:
        if not is_pickle(name):
            if not (folder / name).is_file():
                raise UserError(f"model: {quoted(name)} is not a regular file")
            transfer(folder / name, target / name)
    if any(map(is_pickle, names)):
        convert(folder, target)


@contextlib.contextmanager
def removed_on_failure(folder: Path) -> Iterator[None]:
    """Remove a folder and all that is in it when the block raises."""
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def check(folder: Path, described: Path | None = None) -> dict[str, set[str] | None]:
    """The files with a folder's pickled weights, each with the names of the tensors that the index says it has.

    Without an index there is one file, with `None`. described: the folder with config.json, by default the same. Raises
    `UserError` when there are none, or one is missing or is a link that leads elsewhere.
    """
    expected = {}
    if os.path.lexists(folder / WEIGHTS):
        expected[WEIGHTS] = None
    elif (folder / INDEX).exists():
        for tensor, name in files.read_weight_map(folder, INDEX).items():
            expected.setdefault(name, set()).add(tensor)
    if not expected and any(evo2.is_file(path.name) for path in folder.iterdir()):
        name, parts = evo2.parts(folder, described)
        evo2.refuse_eight_bits(name)
        expected = dict.fromkeys(parts)
    if not expected:
        raise UserError(f"model: the folder has neither {WEIGHTS} nor weights named in {INDEX}: nothing to convert")
    for name in expected:
        if not is_pickle(name) or name == INDEX:
            raise UserError(f"model: {INDEX} names {quoted(name)}: expected files called {_SHARDS}")
        if not files.is_inside(folder, name):
            raise UserError(f"model: {name} is a link that leads out of the model's folder: put the file itself there")
        # A pipe or a device would be read for ever.
        if not (folder / name).is_file():
            raise UserError(f"model: {name} is not a regular file")
        files.refuse_pointer(folder / name)
    return expected


def convert(folder: Path, target: Path, seconds: int = SECONDS) -> None:
    """Write the pickled weights of a folder as safetensors, with a record of where they come from, into `target`.

    The same files give the same bytes. `target` may be the folder itself; nothing appears in it unless all has been
    converted. seconds: the processor time for the smallest file. Raises `UserError` for a file that is not read.
    """
    if not sys.platform.startswith("linux"):
        raise UserError(f"pickled weights can be converted only on Linux, not on {sys.platform}")
    converted, weight_map = [], {}
    with tempfile.TemporaryDirectory(dir=target, prefix=".converted-") as temporary:
        # The other files of the model are in `target` already.
        pickled = check(folder, target)
        if any(map(evo2.is_file, pickled)):
            name = evo2.joined_in(folder, Path(temporary), target)
            converted.append(_convert_file(name, Path(temporary, files.WEIGHTS), seconds))
            shapes = files.read_header(Path(temporary, files.WEIGHTS))[1]
            evo2.write_settings(target, Path(temporary), name.name, shapes)
            pickled = {}
        for name, expected in sorted(pickled.items()):
            new_name = f"{name.removeprefix('pytorch_').removesuffix('.bin')}.safetensors"
            new_file = Path(temporary, new_name)
            converted.append(_convert_file(folder / name, new_file, seconds))
            tensors = files.read_header(new_file)[1].keys()
            if expected is not None and (tensors != expected or tensors & weight_map.keys()):
                raise UserError(f"model: {INDEX} is out of date: {name} has other weights than it says")
            weight_map |= dict.fromkeys(tensors, new_name)
        if weight_map and files.WEIGHTS not in weight_map.values():
            _write_json(Path(temporary, files.INDEX), {"metadata": {}, "weight_map": weight_map})
        versions = {"dna_lm": __version__, "torch": metadata.version("torch")}
        _write_json(Path(temporary, RECORD), versions | {"files": converted})
        for path in sorted(Path(temporary).iterdir()):
            if not is_pickle(path.name):
                path.replace(target / path.name)
    for file in converted:
        dropped = f", without {counted(len(file['dropped']), 'entry', 'entries')} that hold no tensor"
        about = f"{file['bytes']} bytes, SHA-256 {file['sha256']}"
        log.info("converted %s (%s) to safetensors%s", file["name"], about, dropped * bool(file["dropped"]))


def _write_json(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")


def _convert_file(source: Path, target: Path, seconds: int) -> dict:
    """Convert one file; return what the record says of it. Raises `UserError`."""
    command = [sys.executable, "-P", "-m", f"{__package__}.unpickling", str(seconds)]
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    # Without a GPU and threads: both take memory that the limit, which goes by the weights, does not count with.
    environment |= {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    with open(source, "rb") as pickled, open(target, "wb") as weights, tempfile.TemporaryFile() as messages:
        before = os.fstat(pickled.fileno())
        n_bytes = before.st_size
        sha256 = hashlib.file_digest(pickled, "sha256").hexdigest()
        pickled.seek(0)
        wait = _WAIT_SECONDS + n_bytes // _WAIT_BYTES_PER_SECOND
        try:
            process = subprocess.run(
                command, stdin=pickled, stdout=weights, stderr=messages, env=environment, timeout=wait
            )
        except subprocess.TimeoutExpired as error:
            raise _refused(source, f"reading it takes more than {wait} seconds") from error
        after = os.fstat(pickled.fileno())
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise _refused(source, "it was written to while it was read: start again when nothing writes there")
        messages.seek(0)
        report = _report(messages.read(_MAX_REPORT_BYTES))
    if "refused" in report:
        raise _refused(source, report["refused"])
    if process.returncode == -signal.SIGKILL:
        # By Linux, because the machine or the job has no more: its own limit gives an error.
        raise MemoryError
    if process.returncode == -signal.SIGXCPU:
        raise _refused(source, "reading it takes more processor time than weights in a file of its size need")
    if process.returncode or "dropped" not in report:
        raise _refused(source, f"the process that read it ended early (exit status {process.returncode})")
    return {"name": source.name, "bytes": n_bytes, "sha256": sha256, "dropped": report["dropped"]}


def _report(messages: bytes) -> dict:
    """The report in the last line of the messages of `unpickling`; empty when there is none."""
    try:
        report = json.loads(messages.splitlines()[-1])
        # Shown as they are.
        texts = [*report.get("dropped", ()), report.get("refused", "")]
        return report if all(text.isascii() and text.isprintable() for text in texts) else {}
    except (ValueError, LookupError, AttributeError, TypeError):
        return {}


def _refused(source: Path, reason: str) -> UserError:
    return UserError(f"model: {source.name} is not converted: {reason}")
