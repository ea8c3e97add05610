"""Find a model's files on the Hugging Face hub, or in a folder or an archive on this server, and copy them.

Copies only files that the tools read: configuration, tokenizer and safetensors weights. Where the weights are only
pickled, they are converted (`dna_lm.model.pickles`), and the pickles are not kept. Knows nothing of Galaxy.
"""

import bz2
import gzip
import hashlib
import logging
import lzma
import os
import re
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath, PurePosixPath
from typing import IO

# Imported before dna_lm, which switches the hub's client to offline mode for later imports.
from huggingface_hub import HfApi, constants
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.utils import disable_progress_bars

from dna_lm.errors import UserError, quoted
from dna_lm.model import evo2, files, pickles
from dna_lm.model.folder import find_folder

# A model has about a dozen files; a large one has several hundred parts.
_MAX_MEMBERS = 10_000
# Of all headers of a tar archive: its reader keeps them, and reads each as a whole. Most members have 1.5 kB.
_MAX_HEADER_BYTES = 2**24
_BLOCK_BYTES = 2**20
_COMMIT = re.compile("[0-9a-f]{40}")
# The wrapper's tests name a model without a path, because they do not know where the data manager is installed.
TEST_MODELS = Path(__file__).resolve().parents[1] / "test-data"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """A model that can be fetched.

    version: 40 hexadecimal digits, a commit of the hub or a digest of the files, so that the same version of a model
        means the same weights on every server.
    fetch: makes the folder that it is given and puts the model's files there; raises `UserError`.
    """

    version: str
    fetch: Callable[[Path], None]


def check_model_id(model_id: str) -> None:
    """Raise `UserError` unless the id has the hub's form: it becomes the name of a folder, with `--` for `/`."""
    is_valid = re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", model_id, re.ASCII)
    if not is_valid or ".." in model_id or "--" in model_id:
        raise UserError(
            f"the model's id is {quoted(model_id)}: give owner/name, of letters, digits, '-', '_' and '.', "
            "without '--' and '..'"
        )


# Their main branch has some projections in a wrong order, and nothing else shows it.
_EVO1 = {"togethercomputer/evo-1-8k-base", "togethercomputer/evo-1-131k-base"}
_EVO1_REVISION = "1.1_fix"


def check_revision(model_id: str, revision: str) -> None:
    """Raise `UserError` for a revision of Evo 1 whose weights its authors have replaced."""
    if model_id in _EVO1 and revision != _EVO1_REVISION:
        raise UserError(
            f"model: {model_id} must be of the revision {_EVO1_REVISION}: at others, say its authors, some projections "
            f'are in a wrong order. Type {_EVO1_REVISION} into "Revision" (--revision)'
        )


def find_on_hub(model_id: str, revision: str) -> Source:
    """The model at a commit, tag or branch of the hub; its version is the commit.

    The environment variable `HF_ENDPOINT` names another hub, `HF_TOKEN` has an access token. Raises `UserError` when
    the hub cannot be reached, does not have the model or the revision, or has no weights of it that can be used.
    """
    disable_progress_bars()
    for library in ("httpx", "huggingface_hub"):
        logging.getLogger(library).setLevel(logging.CRITICAL)
    # False: without a token in the job's environment none is sent, not even one that is stored on this machine.
    hub = HfApi(token=os.environ.get("HF_TOKEN") or False)
    try:
        info = hub.model_info(model_id, revision=revision)
    except Exception as error:
        raise _not_fetched(model_id, error) from error
    if not _COMMIT.fullmatch(str(info.sha)):
        raise UserError(f"the hub names no commit for {model_id}: it answers {quoted(info.sha)}")
    file_names = [file.rfilename for file in info.siblings]
    wanted = pickles.choose_files(file_names)
    weights = [name for name in wanted if name.endswith(".safetensors") or pickles.is_pickle(name)]
    for name in weights:
        # Before gigabytes are fetched.
        evo2.refuse_eight_bits(name)
    if not weights and files.ADAPTER in file_names:
        raise UserError(
            f"model: {model_id} is an adapter (PEFT, LoRA) to another model, which its {files.ADAPTER} names: merge "
            "the two first, and install the result"
        )
    if not weights:
        refused = [name for name in file_names if name.endswith((".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack"))]
        others = f" (it has {', '.join(map(quoted, refused[:3]))}, which are never read)" if refused else ""
        raise UserError(f"model: {model_id} has no safetensors and no {pickles.WEIGHTS} at this revision{others}")

    def fetch(folder: Path) -> None:
        without_weights = [name for name in wanted if name not in weights]
        for names in (without_weights, wanted):
            try:
                hub.snapshot_download(model_id, revision=info.sha, allow_patterns=names, local_dir=folder)
            except Exception as error:
                raise _not_fetched(model_id, error) from error
            # A model that needs code is refused here, before its weights are downloaded.
            files.read_config(folder)
        # The hub client's own records.
        shutil.rmtree(folder / ".cache", ignore_errors=True)
        # The model is loaded without network access.
        constants.HF_HUB_OFFLINE = True
        log.info("fetched %s", ", ".join(wanted))
        if any(map(pickles.is_pickle, weights)):
            pickles.convert(folder, folder)
            for name in weights:
                (folder / name).unlink()

    return Source(info.sha, fetch)


def _not_fetched(model_id: str, error: Exception) -> UserError:
    if isinstance(error, GatedRepoError):  # a subclass of RepositoryNotFoundError
        return UserError(
            f"the hub gives {model_id} only to accounts with access: ask for access on its page, then use your token"
        )
    if isinstance(error, RepositoryNotFoundError):
        return UserError(f"the hub has no model {model_id}, or shows it only to those with a token")
    if isinstance(error, RevisionNotFoundError):
        return UserError(f"the hub's model {model_id} has no such revision")
    reason = f"{type(error).__name__}: {files.first_line(error)}"
    return UserError(f"{model_id} could not be fetched from the hub: {reason}: try again")


def find_on_server(path: str | Path, model_id: str, revision: str) -> Source:
    """The model in a folder, in a Hugging Face cache, or in an archive (tar or zip) of either.

    Its version is the commit when the files come from a cache's snapshot, otherwise a digest of the files. An archive
    is unpacked into a temporary folder of the working directory. A path that is not absolute can only be the name of a
    model in the data manager's own test data. Raises `UserError` when there is no such model or it cannot be used.
    """
    path = Path(path)
    if not path.is_absolute():
        if len(path.parts) != 1 or not (TEST_MODELS / path).exists():
            raise UserError(f"the path {quoted(path)} is not absolute")
        path = TEST_MODELS / path
    if path.is_dir():
        folder = find_folder(path, model_id, revision)
        version = _version(folder, folder)
        return Source(version, lambda target: _copy_version(folder, version, target))
    if not path.is_file():
        raise UserError(f"{quoted(path)}: there is no such folder or file")
    temporary = tempfile.TemporaryDirectory(dir=".", prefix="unpacked-")
    unpacked = Path(temporary.name)
    folder_in_archive = unpack_model(path, unpacked)

    def move(target: Path) -> None:
        pickles.copy_model(unpacked, target, shutil.move)
        temporary.cleanup()

    return Source(_version(unpacked, folder_in_archive), move)


def _version(folder: Path, original_folder: PurePath) -> str:
    """The commit of a snapshot in a Hugging Face cache; for other folders a digest of the files to install.

    Of pickled weights, it is the pickle's: the same source has the same version, whatever has converted it.
    `original_folder` is where the files come from: `folder` itself, or a folder in an archive.
    """
    if _is_snapshot(original_folder):
        return original_folder.name
    if any(map(pickles.is_pickle, pickles.choose_files(file.name for file in folder.iterdir()))):
        pickles.check(folder)
    else:
        files.check_weights(folder)
    return _digest(folder, {})


def _digest(folder: Path, known: Mapping[str, str]) -> str:
    """The version of a folder's files by their names and contents; `known`: SHA-256 of those that were read already."""
    digest = hashlib.sha256()
    for name in pickles.choose_files(file.name for file in folder.iterdir()):
        if (folder / name).is_file() and name != pickles.RECORD:
            sha256 = known.get(name)
            if sha256 is None:
                with open(folder / name, "rb") as handle:
                    sha256 = hashlib.file_digest(handle, "sha256").hexdigest()
            digest.update(f"{name}\n{sha256}\n".encode())
    return digest.hexdigest()[:40]


def _copy_version(folder: Path, version: str, target: Path) -> None:
    """Copy a folder's files. Raises `UserError` when what was copied is not the version: a file was replaced since."""
    copied = {}

    def copy(source: Path, destination: Path) -> None:
        digest = hashlib.sha256()
        with open(source, "rb") as reading, open(destination, "wb") as writing:
            while block := reading.read(_BLOCK_BYTES):
                digest.update(block)
                writing.write(block)
        copied[source.name] = digest.hexdigest()

    pickles.copy_model(folder, target, copy)
    if pickles.RECORD not in copied and (target / pickles.RECORD).exists():
        converted = files.read_json(target / pickles.RECORD)["files"]
        copied |= {file["name"]: file["sha256"] for file in converted}
    # The version of a snapshot is its commit.
    if not _is_snapshot(folder) and _digest(folder, copied) != version:
        raise UserError(
            f"model: files in {quoted(folder)} changed while they were copied: start again when nothing writes there"
        )


def _is_snapshot(folder: PurePath) -> bool:
    """Whether a folder is that of a commit in a Hugging Face cache."""
    return folder.parent.name == "snapshots" and _COMMIT.fullmatch(folder.name) is not None


def unpack_model(archive: Path, folder: Path) -> PurePosixPath:
    """Put the files of the only model in a tar or zip archive into a folder; return their folder in the archive.

    Raises `UserError` for what is not such an archive, has no model or several, has more bytes than the disk has free,
    or has a member that could reach outside the archive: absolute names, `..`, links that leave it, devices.
    """
    try:
        # First: a tar archive that ends with a pytorch_model.bin, which is a zip file, looks like a zip archive.
        for decompress in (open, gzip.open, bz2.open, lzma.open):
            with decompress(archive, "rb") as file:
                if (opened := _opened_tar(file)) is not None:
                    return _unpack_members(opened, _tar_member, partial(_open_tar_member, opened), folder)
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as opened:
                return _unpack_members(opened.infolist(), _zip_member, opened.open, folder)
        raise UserError(f"{quoted(archive.name)} is not a tar or zip archive")
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        EOFError,
        NotImplementedError,
        RuntimeError,
        ValueError,
        lzma.LZMAError,
        zlib.error,
    ) as error:
        raise _refused(files.first_line(error)) from error
    except OSError as error:
        raise _refused(error.strerror or files.first_line(error)) from error


class _HeaderReader:
    """A tar archive's bytes for the library that reads its headers: not many of them, until `are_read` is true."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.n_left, self.are_read = file, _MAX_HEADER_BYTES, False
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        if not self.are_read:
            self.n_left -= size
            if self.n_left < 0:
                raise _refused(f"its headers have more than {_MAX_HEADER_BYTES} bytes")
        return self.file.read(size)


def _opened_tar(file: IO[bytes]) -> tarfile.TarFile | None:
    """A tar archive, or `None` for another file."""
    try:
        return tarfile.open(fileobj=_HeaderReader(file), mode="r:")
    except (tarfile.TarError, OSError, EOFError, lzma.LZMAError):
        return None


def _open_tar_member(opened: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    opened.fileobj.are_read = True
    return opened.extractfile(info)


_MemberInfo = tarfile.TarInfo | zipfile.ZipInfo


@dataclass(frozen=True)
class _Member:
    """A member as the archive lists it: `kind` is file, link (to `target`), folder or other; `size` is in bytes."""

    name: str
    kind: str
    size: int
    target: str = ""


def _zip_member(info: zipfile.ZipInfo) -> _Member:
    file_type = stat.S_IFMT(info.external_attr >> 16)
    if info.is_dir():
        return _Member(info.filename, "folder", 0)
    return _Member(info.filename, "file" if file_type in (0, stat.S_IFREG) else "other", info.file_size)


def _tar_member(info: tarfile.TarInfo) -> _Member:
    if info.issym():
        return _Member(info.name, "link", 0, str(PurePosixPath(info.name).parent / info.linkname))
    if info.islnk():
        return _Member(info.name, "link", 0, info.linkname)
    return _Member(info.name, "file" if info.isreg() else "folder" if info.isdir() else "other", info.size)


def _unpack_members(
    infos: Iterable[_MemberInfo],
    describe: Callable[[_MemberInfo], _Member],
    open_member: Callable[[_MemberInfo], IO[bytes]],
    folder: Path,
) -> PurePosixPath:
    """Write the model's files under bare names, never under a path from the archive; return their folder there."""
    members, n_bytes, n_free_bytes = {}, 0, shutil.disk_usage(folder).free
    for info in infos:
        member = describe(info)
        name = _path_inside(member.name)
        if member.kind == "other":
            raise _refused(f"{quoted(member.name)} is not a file, folder or link")
        n_bytes += member.size
        if len(members) == _MAX_MEMBERS or n_bytes > n_free_bytes:
            raise _refused(
                f"it has more than {_MAX_MEMBERS} files, or more bytes than are free on the disk ({n_free_bytes})"
            )
        if member.kind == "link" and _path_inside(member.target) == name:
            raise _refused(f"{quoted(member.name)} is a link to itself")
        members[name] = (member, info)
    roots = {name.parent for name in members if name.name == files.CONFIG}
    if not roots and any(name.name == files.ADAPTER for name in members):
        raise _refused(f"it has an adapter ({files.ADAPTER}) to another model, not a model: merge the two first")
    if len(roots) != 1:
        raise _refused(f"it has {len(roots)} models (folders with a {files.CONFIG}): it must have exactly one")
    [root] = roots
    wanted = pickles.choose_files(name.name for name in members if name.parent == root)
    for name, info in [(name, _follow_links(members, root / name)) for name in wanted]:
        with open_member(info) as source, open(folder / name, "wb") as target:
            shutil.copyfileobj(source, target, _BLOCK_BYTES)
    return root


def _path_inside(name: str) -> PurePosixPath:
    """The normal form of a member's path. Raises `UserError` for a path that leaves the archive."""
    if name.startswith(("/", "\\")) or re.match("[A-Za-z]:", name):
        raise _refused(f"{quoted(name)} is an absolute path")
    path = PurePosixPath(os.path.normpath(name))
    if ".." in path.parts or "\0" in name:
        raise _refused(f"{quoted(name)} leads out of the archive")
    return path


def _follow_links(members: dict[PurePosixPath, tuple[_Member, _MemberInfo]], name: PurePosixPath) -> _MemberInfo:
    """The file that a name or a chain of links leads to. Raises `UserError` when it leads to none."""
    for _ in range(len(members)):
        member, info = members.get(name) or (None, None)
        if member is None or member.kind == "folder":
            raise _refused(f"{quoted(name)} is a link that leads to no file")
        if member.kind == "file":
            return info
        name = _path_inside(member.target)
    raise _refused(f"{quoted(name)} is one of several links that lead to each other")


def _refused(reason: str) -> UserError:
    return UserError(f"the archive is refused: {reason}")
