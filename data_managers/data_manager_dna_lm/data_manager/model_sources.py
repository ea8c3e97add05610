"""Where a model's files come from: the Hugging Face hub, or a folder or an archive on this server.

Only files that the tools read are taken: configuration, tokenizer and safetensors. What the tools would refuse unseen,
such as pickled weights, is refused before anything large is fetched.
"""

import hashlib
import logging
import os
import re
import shutil
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

# In front of dna_lm, which turns the network off for what is imported after it.
from huggingface_hub import HfApi, constants
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.utils import disable_progress_bars

from dna_lm.errors import UserError, quoted
from dna_lm.model import files
from dna_lm.model.folder import find_folder

# A model has some dozen files, and a large one some hundred parts.
_MAX_MEMBERS = 10_000
_BLOCK = 2**20
# The wrapper's tests cannot know where they are installed.
TEST_MODELS = Path(__file__).resolve().parents[1] / "test-data"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """A model that can be fetched: `version` is a commit of the hub, or tells of the files' content.

    `fetch(folder)` makes the folder and puts the model's files there.
    """

    version: str
    fetch: Callable


def check_id(model_id):
    """Raise `UserError` for what is no id of the hub's form: it becomes the name of a folder."""
    if not re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", model_id, re.ASCII) or ".." in model_id:
        raise UserError(f"the model's id is {quoted(model_id)}: give owner/name, of letters, digits, '-', '_' and '.'")


def _is_read(name):
    """Whether the tools read a file of this name. Names with a folder in them are never of a model's own."""
    return "/" not in name and any(fnmatch(name, pattern) for pattern in files.READ)


def on_hub(model_id, revision):
    """A revision of a model on the hub, or on what `HF_ENDPOINT` names in its stead; a token comes from `HF_TOKEN`."""
    disable_progress_bars()
    for library in ("httpx", "huggingface_hub"):
        logging.getLogger(library).setLevel(logging.CRITICAL)
    # Without a token of the job's own none is sent: not one that somebody left on the machine.
    token = os.environ.get("HF_TOKEN") or False
    hub = HfApi(token=token)
    try:
        found = hub.model_info(model_id, revision=revision)
    except Exception as error:
        raise _not_fetched(model_id, error) from error
    offered = [file.rfilename for file in found.siblings]
    names = sorted(filter(_is_read, offered))
    if files.WEIGHTS in names:
        names = [name for name in names if name == files.WEIGHTS or "safetensors" not in name]
    if not any(name.endswith(".safetensors") for name in names):
        others = [name for name in offered if name.endswith((".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack"))]
        also = f" (it has {', '.join(map(quoted, others[:3]))}, which are never read)" if others else ""
        raise UserError(f"model: {model_id} has no weights as safetensors at this revision{also}")

    def fetch(folder):
        small = [name for name in names if not name.endswith(".safetensors")]
        for patterns in (small, names):
            try:
                hub.snapshot_download(model_id, revision=found.sha, allow_patterns=patterns, local_dir=folder)
            except Exception as error:
                raise _not_fetched(model_id, error) from error
            # Before the weights come.
            files.read_config(folder)
        # What the hub's client noted for itself.
        shutil.rmtree(folder / ".cache", ignore_errors=True)
        # Whatever comes now needs no network.
        constants.HF_HUB_OFFLINE = True
        log.info("fetched %s", ", ".join(names))

    return Source(found.sha, fetch)


def _not_fetched(model_id, error):
    if isinstance(error, GatedRepoError):  # a kind of the next
        return UserError(f"the hub gives {model_id} only to those it was granted to: ask there, then use your token")
    if isinstance(error, RepositoryNotFoundError):
        return UserError(f"the hub has no model {model_id}, or shows it only to those with a token")
    if isinstance(error, RevisionNotFoundError):
        return UserError(f"the hub's model {model_id} has no such revision")
    said = files.first_line(error)
    return UserError(f"{model_id} could not be fetched from the hub: {type(error).__name__}: {said}: try again")


def on_server(path, model_id, revision):
    """A folder, a Hugging Face cache, or an archive (tar or zip) of either.

    A path that is not absolute can only be that of a model of the data manager's own tests.
    """
    path = Path(path)
    if not path.is_absolute():
        if len(path.parts) != 1 or not (TEST_MODELS / path).exists():
            raise UserError(f"the path {quoted(path)} is not absolute")
        path = TEST_MODELS / path
    if path.is_dir():
        folder = find_folder(path, model_id, revision)
        return Source(_version(folder), lambda target: _copy(folder, target))
    if not path.is_file():
        raise UserError(f"{quoted(path)}: there is no such folder or file")
    unpacked = tempfile.TemporaryDirectory(dir=".", prefix="unpacked-")
    folder = Path(unpacked.name)
    unpack(path, folder)

    def move(target):
        target.mkdir(parents=True)
        for file in folder.iterdir():
            shutil.move(file, target)
        unpacked.cleanup()

    return Source(_version(folder), move)


def _copy(folder, target):
    target.mkdir(parents=True)
    for file in sorted(folder.iterdir()):
        if _is_read(file.name):
            if not file.is_file():
                raise UserError(f"model: {quoted(file.name)} is not a regular file")
            # Links, as in a Hugging Face cache, become what they lead to.
            shutil.copyfile(file, target / file.name)


def _version(folder):
    """The commit whose snapshot a folder is in a Hugging Face cache, or else a digest of the files that are read."""
    if folder.parent.name == "snapshots":
        return folder.name
    files.check_weights(folder)
    digest = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        if _is_read(file.name) and file.is_file():
            with open(file, "rb") as handle:
                digest.update(f"{file.name}\n{hashlib.file_digest(handle, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()[:40]


def unpack(archive, folder):
    """Put the files of the one model in a tar or zip archive into a folder, wherever in the archive they are.

    Raises `UserError` for an archive that holds what could reach beyond it: absolute names, `..`, links that leave it,
    devices; more than the disk has room for; no model or several.
    """
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as opened:
                _unpack(opened.infolist(), _zip_member, opened.open, folder)
        elif tarfile.is_tarfile(archive):
            with tarfile.open(archive) as opened:
                _unpack(opened, _tar_member, opened.extractfile, folder)
        else:
            raise UserError(f"{quoted(archive.name)} is no tar or zip archive")
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise _refused(files.first_line(error)) from error
    except OSError as error:
        raise _refused(error.strerror or files.first_line(error)) from error


@dataclass(frozen=True)
class _Member:
    """What an archive says of a file: `kind` is file, link (to a `target`), folder or other."""

    name: str
    kind: str
    size: int
    target: str = ""


def _zip_member(info):
    kind = stat.S_IFMT(info.external_attr >> 16)
    if info.is_dir():
        return _Member(info.filename, "folder", 0)
    return _Member(info.filename, "file" if kind in (0, stat.S_IFREG) else "other", info.file_size)


def _tar_member(info):
    if info.issym():
        return _Member(info.name, "link", 0, str(PurePosixPath(info.name).parent / info.linkname))
    if info.islnk():
        return _Member(info.name, "link", 0, info.linkname)
    return _Member(info.name, "file" if info.isreg() else "folder" if info.isdir() else "other", info.size)


def _unpack(infos, describe, opened, folder):
    """Take the model's files out. Nothing is extracted by the archive's own names, so that none can lead elsewhere."""
    members, n_bytes, free = {}, 0, shutil.disk_usage(folder).free
    for info in infos:
        member = describe(info)
        name = _inside(member.name)
        if member.kind == "other":
            raise _refused(f"{quoted(member.name)} is no file, folder or link")
        n_bytes += member.size
        if len(members) == _MAX_MEMBERS or n_bytes > free:
            raise _refused(f"it holds more than {_MAX_MEMBERS} files, or more bytes than the disk has free ({free})")
        if member.kind == "link" and _inside(member.target) == name:
            raise _refused(f"{quoted(member.name)} is a link to itself")
        members[name] = (member, info)
    roots = {name.parent for name in members if name.name == files.CONFIG}
    if len(roots) != 1:
        raise _refused(f"it holds {len(roots)} models (folders with a {files.CONFIG}): give it exactly one")
    [root] = roots
    wanted = [name for name in sorted(members) if name.parent == root and _is_read(name.name)]
    for name, info in [(name, _followed(members, name)) for name in wanted]:
        with opened(info) as source, open(folder / name.name, "wb") as target:
            shutil.copyfileobj(source, target, _BLOCK)


def _inside(name):
    """The normal form of a path in an archive."""
    if name.startswith(("/", "\\")) or re.match("[A-Za-z]:", name):
        raise _refused(f"{quoted(name)} is an absolute path")
    path = PurePosixPath(os.path.normpath(name))
    if ".." in path.parts or "\0" in name:
        raise _refused(f"{quoted(name)} leads out of the archive")
    return path


def _followed(members, name):
    """The member that a name stands for, links followed."""
    for _ in range(len(members)):
        member, info = members.get(name) or (None, None)
        if member is None or member.kind == "folder":
            raise _refused(f"{quoted(name)} is a link to no file")
        if member.kind == "file":
            return info
        name = _inside(member.target)
    raise _refused(f"{quoted(name)} is a link in a circle")


def _refused(why):
    return UserError(f"the archive is refused: {why}")
