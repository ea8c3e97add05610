"""Read pickled weights in a process that can open nothing else, and write them as safetensors.

`pickles` starts it as `python -m dna_lm.model.unpickling SECONDS`. Standard input is the pickle, standard output the
safetensors file, and the last line on standard error a report as JSON. torch's restricted loader runs no code of a
pickle. The limits of the process are for a pickle that gets around the loader, or only wastes time or memory.
"""

import codecs
import io
import json
import mmap
import os
import pickle
import re
import resource
import sys
import tarfile
import warnings
import zipfile
from typing import IO

import torch

from dna_lm.errors import UserError, is_out_of_memory, quoted

_ZIP = b"PK\x03\x04"
# The types of numbers that weights and buffers have, and their names in safetensors.
_TYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
# Where training programs put the weights among other things.
_NESTED = ("state_dict", "model_state_dict", "model")
# The largest published models have some thousand tensors.
_MAX_ENTRIES = 100_000
# safetensors keeps the name `__metadata__` for itself.
_NAME = re.compile(r"(?!__metadata__$)[\w.:-]{1,256}", re.ASCII)
_SPARE_BYTES = 2**28
# Besides the pages of a file that is mapped: its names, and a tensor on its way out.
_MAPPED_BYTES = 2**31
# Of Evo 2: a head that its authors' code replaces by the table of tokens, and numbers from 0 on.
_NO_WEIGHTS_OF_EVO2 = re.compile(r"unembed\.weight|blocks\.\d+\.mixer\.mixer\.filter\.t", re.ASCII)
_BYTES_PER_SECOND = 20_000_000


def main() -> None:
    """Convert standard input to standard output."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    n_bytes = os.fstat(sys.stdin.fileno()).st_size
    _import_everything()
    # Before the limits, as a mapping needs a file to be opened. Its pages are the file's, and count as no memory.
    is_zip = os.pread(sys.stdin.fileno(), len(_ZIP), 0) == _ZIP
    mapped = mmap.mmap(sys.stdin.fileno(), n_bytes, access=mmap.ACCESS_READ) if is_zip else None
    set_limits(n_bytes, int(sys.argv[1]), mapped is not None)
    try:
        tensors, dropped = read_weights(sys.stdin.buffer, n_bytes, mapped)
        write_safetensors(tensors, sys.stdout.buffer)
        report = {"dropped": dropped}
    except Exception as error:
        report = {"refused": reason(error)}
    print(json.dumps(report), file=sys.stderr)


def _import_everything() -> None:
    """Read small pickles, so that torch imports what it needs for a pickle while it can still open files."""
    # Of names in zip files that torch has not written, and of bytes in a pickle.
    for encoding in ("cp437", "latin1"):
        codecs.lookup(encoding)
    for is_zip in (True, False):
        file = io.BytesIO()
        # Column-major, like some published weights: torch reads /proc/cpuinfo before it first turns one around.
        torch.save({"x": torch.ones(2, 3).T}, file, _use_new_zipfile_serialization=is_zip)
        # Kept until the process ends, as tensors do not keep it.
        mapped = mmap.mmap(-1, file.tell())
        mapped.write(file.getvalue())
        tensors, _ = read_weights(file, file.tell(), mapped if is_zip else None)
        write_safetensors(tensors, io.BytesIO())
    try:
        read_weights(io.BytesIO(b"not a pickle"), 12)
    except Exception as error:
        reason(error)


def set_limits(n_bytes: int, seconds: int, is_mapped: bool = False) -> None:
    """Limit the process to what the weights in a pickle of this size need; `seconds` are for the smallest pickle.

    is_mapped: whether the pickle's pages are part of the process already.
    """
    with open("/proc/self/statm") as file:
        mapped = int(file.read().split()[0]) * resource.getpagesize()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    seconds += int(usage.ru_utime + usage.ru_stime) + n_bytes // _BYTES_PER_SECOND
    limits = {
        # The storages, and a tensor on its way out.
        resource.RLIMIT_AS: mapped + min(2 * n_bytes, _MAPPED_BYTES if is_mapped else 2 * n_bytes) + _SPARE_BYTES,
        resource.RLIMIT_CPU: seconds,
        resource.RLIMIT_FSIZE: 2 * n_bytes + _SPARE_BYTES,
        resource.RLIMIT_CORE: 0,
        # The three standard streams are open, so no file, pipe or network connection can be opened.
        resource.RLIMIT_NOFILE: 3,
    }
    for kind, limit in limits.items():
        # At the soft limit of time the process gets SIGXCPU, at the hard one SIGKILL.
        hard = limit + 1 if kind == resource.RLIMIT_CPU else limit
        _, earlier = resource.getrlimit(kind)
        if earlier != resource.RLIM_INFINITY:
            # Only a privileged process could raise it.
            limit, hard = min(limit, earlier), min(hard, earlier)
        resource.setrlimit(kind, (limit, hard))


def read_weights(
    file: IO[bytes], n_bytes: int, mapped: mmap.mmap | None = None
) -> tuple[dict[str, torch.Tensor], list[str]]:
    """The tensors in a pickle of this size by their names, and the names of the other entries.

    mapped: the file's bytes, in which the tensors' numbers then stay.

    Raises `UserError` for content that is not a model's weights, and whatever torch raises.
    """
    file.seek(0)
    if file.read(len(_ZIP)) == _ZIP:
        _check_records(file, n_bytes)
    elif _is_tar(file):
        raise UserError("it has torch's oldest format (tar): save it again with a later torch")
    file.seek(0)
    # A class that only holds bytes: transformer-engine keeps scales in it.
    with torch.serialization.safe_globals([io.BytesIO]):
        if mapped is None:
            loaded = torch.load(file, map_location="cpu", weights_only=True)
        else:
            loaded = _load_mapped(file, mapped)
    entries, dropped = _state_dict(loaded)
    is_evo2 = any(name == "embedding_layer.weight" for name, _ in entries)
    tensors, n_bytes_out, storages = {}, 0, {}
    for name, value in entries:
        if not isinstance(value, torch.Tensor) or (is_evo2 and _NO_WEIGHTS_OF_EVO2.fullmatch(name)):
            dropped.append(quoted(name))
            continue
        if not _NAME.fullmatch(name):
            raise UserError(f"the name of a tensor is {quoted(name)}: expected letters, digits, '.', '_', '-' and ':'")
        tensors[name] = _plain(name, value)
        storage = tensors[name].untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        n_bytes_out += tensors[name].nbytes
    if not tensors:
        raise UserError("it holds no tensors")
    # A weight that two names share is written twice.
    if n_bytes_out > 2 * n_bytes or sum(storages.values()) > n_bytes:
        raise UserError(f"its tensors have more bytes ({n_bytes_out}) than a file of {n_bytes} bytes can hold")
    return tensors, dropped


def _load_mapped(file: IO[bytes], mapped: mmap.mmap) -> object:
    """What torch.load gives, with numbers that stay in the mapped file.

    torch maps a file only by its name, and this process can open none. So these are names that torch does not document.
    """
    storage = torch.frombuffer(mapped, dtype=torch.uint8).untyped_storage()
    with torch.serialization._open_zipfile_reader(file) as reader:
        return torch.serialization._load(
            reader, "cpu", torch._weights_only_unpickler, overall_storage=storage, encoding="utf-8"
        )


def _check_records(file: IO[bytes], n_bytes: int) -> None:
    with zipfile.ZipFile(file) as archive:
        records = archive.infolist()
    if any(record.filename.endswith("constants.pkl") for record in records):
        raise UserError("it holds a TorchScript program, not only weights")
    if any(record.compress_type != zipfile.ZIP_STORED for record in records):
        raise UserError("its records are compressed, which torch never does")
    if sum(record.file_size for record in records) > n_bytes:
        raise UserError("its records have more bytes than the file")


def _is_tar(file: IO[bytes]) -> bool:
    file.seek(0)
    try:
        tarfile.open(fileobj=file, mode="r:").close()
    except tarfile.TarError:
        return False
    return True


def _state_dict(loaded: object) -> tuple[list[tuple[str, object]], list[str]]:
    """The entries of the dict with the weights, and the names of what is next to it."""
    outer = _entries(loaded)
    nested = [name for name, value in outer if name in _NESTED and isinstance(value, dict)]
    if not nested:
        return outer, []
    if len(nested) > 1:
        raise UserError(f"it holds several dicts of weights ({', '.join(nested)}): keep one")
    [inner] = [value for name, value in outer if name == nested[0]]
    return _entries(inner), [quoted(name) for name, _ in outer if name != nested[0]]


def _entries(loaded: object) -> list[tuple[str, object]]:
    if not isinstance(loaded, dict):
        raise UserError(f"it holds an object of type {type(loaded).__name__}, not a dict of tensors")
    # Not loaded.items(): a pickle can give an OrderedDict attributes.
    entries = list(dict.items(loaded))
    if len(entries) > _MAX_ENTRIES:
        raise UserError(f"it has {len(entries)} entries, more than any model needs")
    if not all(type(name) is str for name, _ in entries):
        raise UserError("not all names of its entries are text")
    return entries


def _plain(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """A tensor, or a Parameter, as a tensor without attributes. Raises `UserError` unless it has real numbers."""
    problem = None
    if type(tensor) not in (torch.Tensor, torch.nn.Parameter):
        problem = f"is a {type(tensor).__name__}"
    elif tensor.layout is not torch.strided or tensor.is_quantized or tensor.dtype not in _TYPES:
        problem = f"is {tensor.dtype}, {tensor.layout}"
    elif tensor.device.type != "cpu" or tensor.is_neg():
        problem = "does not store its numbers"
    elif tensor.nbytes > tensor.untyped_storage().nbytes():
        problem = "repeats its numbers (an expanded view)"
    if problem:
        raise UserError(f"the tensor {quoted(name)} {problem}: expected a dense tensor of real numbers")
    return torch.Tensor.detach(tensor)


def write_safetensors(tensors: dict[str, torch.Tensor], file: IO[bytes]) -> None:
    """Write tensors, one by one, so that no second copy of all is made; the same tensors give the same bytes.

    The format: the length of the header in 8 bytes, the header as JSON, the numbers of all tensors in its order.
    """
    # Wide types first, so that every tensor begins at a multiple of its type's size.
    names = sorted(tensors, key=lambda name: (-tensors[name].itemsize, name))
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for name in names:
        start, end = end, end + tensors[name].nbytes
        header[name] = {
            "dtype": _TYPES[tensors[name].dtype],
            "shape": list(tensors[name].shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little") + text)
    for name in names:
        file.write(tensors[name].contiguous().reshape(-1).view(torch.uint8).numpy())
    file.flush()


def reason(error: Exception) -> str:
    """Why a pickle is refused, in a part of one line."""
    if isinstance(error, UserError):
        return str(error)
    if is_out_of_memory(error):
        return "it needs more memory than weights in a file of its size"
    if isinstance(error, pickle.UnpicklingError) and (named := re.search(r"GLOBAL (\S+)", str(error))):
        return f"it names {quoted(named[1])}, which weights do not need and which is never called"
    # torch's advice, to switch the restricted loader off, is left out.
    text = str(error).split("WeightsUnpickler error:")[-1].split("In PyTorch 2.6")[0].strip().split("\n")[0]
    return f"torch cannot read it ({type(error).__name__}: {quoted(text, 200)})"


if __name__ == "__main__":
    main()
