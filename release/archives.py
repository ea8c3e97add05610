"""Archives that are the same, byte for byte, whenever and wherever they are made."""

import gzip
import hashlib
import io
import stat
import tarfile
from collections.abc import Iterable
from pathlib import Path


def write_archive(path: Path, folder: Path, names: Iterable[str], top: str, seconds: int) -> None:
    """Write files and links below `folder` into a compressed archive, below the folder `top`.

    The archive has no name, owner or time of the machine: every file has the time `seconds` (since 1970). Two machines
    with different versions of zlib may compress differently; the archives' contents are the same then.
    """
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in sorted(names):
            _add(archive, folder / name, f"{top}/{name}" if top else name, seconds)
    with open(path, "wb") as file, gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as packed:
        packed.write(raw.getvalue())


def _add(archive: tarfile.TarFile, path: Path, name: str, seconds: int) -> None:
    """Add a file or a link to an archive."""
    member = tarfile.TarInfo(name)
    member.mtime = seconds
    if path.is_symlink():
        member.type, member.linkname, member.mode = tarfile.SYMTYPE, str(path.readlink()), 0o777
        archive.addfile(member)
        return
    content = path.read_bytes()
    member.size = len(content)
    member.mode = 0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644
    archive.addfile(member, io.BytesIO(content))


def files_below(folder: Path) -> list[str]:
    """The names of all files and links below a folder, relative to it."""
    paths = (path for path in folder.rglob("*") if path.is_symlink() or path.is_file())
    return sorted(str(path.relative_to(folder)) for path in paths)


def digest(path: Path, function: str = "sha256") -> str:
    """A checksum of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, function).hexdigest()


def write_checksums(folder: Path) -> None:
    """Write the file SHA256SUMS of all files below a folder, as `sha256sum --check` reads it."""
    listed = folder / "SHA256SUMS"
    listed.unlink(missing_ok=True)
    lines = [f"{digest(folder / name)}  {name}\n" for name in files_below(folder)]
    listed.write_text("".join(lines))
