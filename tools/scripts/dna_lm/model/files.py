"""The files of a model folder: check that they exist and are sound before anything large is read.

Knows file formats, nothing of architectures. It reads `config.json`, the tokenizer's files and safetensors. Nothing in
a folder can name a file outside of it, and a small file cannot make its reader reserve much memory.
"""

import contextlib
import json
import math
import re
import resource
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError, safe_open

from dna_lm.errors import UserError, is_out_of_memory, quoted
from dna_lm.families import registry
from dna_lm.model.internals import is_panic

CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
SPECIAL_TOKENS = "special_tokens_map.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
# Nucleotide Transformer, GENERator, DNABERT and ESM-2 come with a list of tokens, one per line, instead of a
# tokenizer.json.
VOCABULARY = "vocab.txt"
# Of Nucleotide Transformer v3: each token with its number.
NUMBERED = "vocab.json"
# Carbon's has which k-mers it reads, and their numbers; its tokenizer.json is for other text.
DNA_CONFIG = "dna_config.json"
# Classes of tokenizers, in a checkpoint's own code, whose rules `tokenizer` knows.
OWN_TOKENIZERS = frozenset(
    {
        "DNAKmerTokenizer",
        "HybridDNATokenizer",
        "HyenaDNATokenizer",
        "CaduceusTokenizer",
        "ByteTokenizer",
        "CharLevelTokenizer",
        "NTv3Tokenizer",
        "PhyloGPNTokenizer",
    }
)
# Every file that is ever read, as patterns for names.
READ = (
    CONFIG,
    TOKENIZER,
    TOKENIZER_CONFIG,
    SPECIAL_TOKENS,
    VOCABULARY,
    NUMBERED,
    DNA_CONFIG,
    WEIGHTS,
    INDEX,
    "model-*.safetensors",
    # What some programs call converted weights.
    "pytorch_model*.safetensors",
)
_SHARD = re.compile(r"(?:pytorch_)?model-(\d{5})-of-(\d{5})\.safetensors")

# The largest vocabularies need a tokenizer.json of about 40 MB; a config.json has a few kB.
_MAX_TEXT_BYTES = 2**27
# A header has about 150 bytes for each tensor. The format allows 100 MB, which a parser needs a gigabyte for.
_MAX_HEADER_BYTES = 2**25
_HEADER_LENGTH_BYTES = 8

# Types of numbers that weights have. Others, such as FP8, are quantised: without their scales they mean nothing.
_FLOATS = frozenset({"F64", "F32", "F16", "BF16"})
_INTEGERS = frozenset({"I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL"})
# Tables of integers that architectures have, or had, among their weights: numbers of positions, masks, maps of tokens.
_OF_INTEGERS = re.compile(
    r"(^|\.)(position_ids|token_type_ids|complement_map|tid2eid|num_batches_tracked|causal_mask"
    r"|(attn|attention|self)\.(masked_)?bias)$"
)
# What git has in place of a large file that it has not fetched.
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
ADAPTER = "adapter_config.json"

# What an architecture may take before any weight is read: its configuration, and its modules without their numbers.
_BUILDING_BYTES = 2**31


@dataclass(frozen=True)
class Weights:
    """The weights' files, the shape of each tensor in them by its name, and how many numbers they have together."""

    paths: list[Path]
    shapes: dict[str, list[int]]
    n_numbers: int


def read_text(path: Path) -> str:
    """The text in a file of moderate size. Raises `UserError` when there is none."""
    try:
        # A pipe or a device would be read for ever.
        if path.exists() and not path.is_file():
            raise UserError(f"model: {path.name} is not a regular file")
        if path.stat().st_size > _MAX_TEXT_BYTES:
            raise UserError(f"model: {path.name} has {path.stat().st_size} bytes, more than any model needs")
        refuse_pointer(path)
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"model: cannot read {path.name}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"model: {path.name} is not a text in UTF-8") from error


def refuse_pointer(path: Path) -> None:
    """Raise `UserError` for a Git LFS pointer in place of a file."""
    with open(path, "rb") as file:
        if file.read(len(_LFS_POINTER)) == _LFS_POINTER:
            raise UserError(
                f"model: {path.name} is not the file but a Git LFS pointer to it: type 'git lfs pull' in the clone, or "
                "download the file itself"
            )


def refuse_adapter(folder: Path) -> None:
    """Raise `UserError` for a folder with an adapter (PEFT, LoRA) to another model, and name that model."""
    if (folder / ADAPTER).exists():
        base = quoted(read_json(folder / ADAPTER).get("base_model_name_or_path"))
        raise UserError(
            f"model: the folder holds an adapter (PEFT, LoRA) to the model {base}: merge the two first, with "
            "merge_and_unload of the library peft, and give the merged model"
        )


def read_json(path: Path) -> dict:
    """The JSON object in a file. Raises `UserError` when there is none."""
    try:
        content = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise UserError(f"model: {path.name} is not valid JSON ({error})") from error
    if not isinstance(content, dict):
        raise UserError(f"model: {path.name} does not hold a JSON object")
    return content


def read_config(folder: Path) -> dict:
    """The settings in config.json. Raises `UserError` for settings that ask for what is never done here."""
    settings = read_json(folder / CONFIG)
    if settings.get("auto_map") and not registry.may_be_read(settings):
        raise own_code(CONFIG)
    if (folder / TOKENIZER_CONFIG).exists():
        names = read_json(folder / TOKENIZER_CONFIG)
        if names.get("auto_map") and tokenizer_class(names) not in OWN_TOKENIZERS:
            raise own_code(TOKENIZER_CONFIG)
    for name in ("quantization_config", "compression_config"):
        if settings.get(name):
            raise quantised(f"{CONFIG} has a {name}")
    if "transformers_weights" in settings:
        raise UserError(f"model: {CONFIG} names its own weights file (transformers_weights): only {WEIGHTS} is read")
    refuse_adapter(folder)
    return settings


def tokenizer_class(settings: Mapping[str, object]) -> object:
    """The class that tokenizer_config.json names, also only as code of the checkpoint; `None` without one."""
    if settings.get("tokenizer_class") is not None:
        return settings["tokenizer_class"]
    auto_map = settings.get("auto_map")
    reference = auto_map.get("AutoTokenizer") if isinstance(auto_map, dict) else None
    # A slow and a fast class.
    reference = reference[0] if isinstance(reference, list) and reference else reference
    return reference.rpartition(".")[2] if isinstance(reference, str) else None


def quantised(reason: str) -> UserError:
    """The error for weights that are not plain numbers."""
    return UserError(
        f"model: {reason}: quantised weights are not read: take the original checkpoint (float32, bfloat16 or float16)"
    )


def own_code(name: str) -> UserError:
    """The error for a file of a checkpoint that needs code of the checkpoint."""
    return UserError(
        f"model: {name} names its own code (auto_map), which is never run here: "
        "choose a model of an architecture that transformers or this suite implements"
    )


def check_weights(folder: Path) -> Weights:
    """`Weights` of a folder. Raises `UserError` for pickles, missing or damaged files, and quantised weights."""
    names = _weight_names(folder)
    if not names:
        pickles = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth", "*.ckpt") for path in folder.glob(pattern))
        if pickles:
            raise UserError(
                f"model: the folder has no {WEIGHTS} (found {', '.join(map(quoted, pickles))}: pickles can run code "
                "and no tool reads them): an administrator can convert pytorch_model.bin with the data manager or "
                "with convert_weights.py"
            )
        raise UserError(f"model: the folder has no {WEIGHTS}: give the weights as safetensors")
    paths = [folder / name for name in sorted(names)]
    shapes = {}
    for path in paths:
        types, shapes_in_file = read_header(path)
        for name, kind in types.items():
            if kind not in _FLOATS and not (kind in _INTEGERS and _OF_INTEGERS.search(name)):
                raise quantised(f"in {path.name}, the tensor {quoted(name)} has the type {quoted(kind)}")
        shapes |= shapes_in_file
    return Weights(paths, shapes, sum(map(math.prod, shapes.values())))


def _weight_names(folder: Path) -> set[str]:
    """The names of the weights' files. Raises `UserError` for shards of which one is missing."""
    indexed = set(read_weight_map(folder, INDEX).values()) if (folder / INDEX).exists() else set()
    # Like transformers, which reads the single file where there is an index too.
    if (folder / WEIGHTS).exists():
        return {WEIGHTS}
    if indexed:
        return indexed
    if (folder / "pytorch_model.safetensors").exists():
        return {"pytorch_model.safetensors"}
    shards = {path.name: _SHARD.fullmatch(path.name) for path in folder.glob("*model-*.safetensors")}
    numbers = {int(found[1]): name for name, found in shards.items() if found}
    total = max((int(found[2]) for found in shards.values() if found), default=0)
    if missing := set(range(1, total + 1)) - numbers.keys():
        raise UserError(f"model: the weights come in {total} files, of which number {min(missing)} is missing")
    return set(numbers.values())


def read_weight_map(folder: Path, index_name: str) -> dict[str, str]:
    """Tensor name -> the file that an index says has it. Raises `UserError` for files outside the folder or missing."""
    weight_map = read_json(folder / index_name).get("weight_map")
    if not isinstance(weight_map, dict):
        raise UserError(f"model: {index_name} has no weight_map")
    weight_map = {name: str(shard) for name, shard in weight_map.items()}
    for shard in sorted(set(weight_map.values())):
        if not is_inside(folder, shard):
            raise UserError(f"model: {index_name} names {quoted(shard)}, which is outside the model's folder")
        if not (folder / shard).exists():
            raise UserError(f"model: the weights file {quoted(shard)} named in {index_name} is missing")
    return weight_map


def is_inside(folder: Path, name: str) -> bool:
    """Whether a name is that of a file in a folder, and leads to no other place if it is a link."""
    inside = [folder.resolve()]
    if folder.resolve().parent.name == "snapshots":
        # In a Hugging Face cache the files of a snapshot are links to blobs in another folder.
        inside.append(folder.resolve().parents[1] / "blobs")
    return Path(name).name == name and any((folder / name).resolve().is_relative_to(place) for place in inside)


def read_header(path: Path) -> tuple[dict[str, str], dict[str, list[int]]]:
    """Tensor name -> type, such as F32, and tensor name -> shape, of a safetensors file.

    Raises `UserError` when header and weights contradict each other. The safetensors library checks the header, and
    reads the weights later by the same rules: sizes and positions of all tensors must fit together and cover the file.
    The checks here are those that it does not make.
    """
    damaged = f"the safetensors file {path.name} is damaged"
    # A pipe or a device would be read for ever.
    if path.exists() and not path.is_file():
        raise UserError(f"model: {damaged}: it is not a regular file")
    if path.exists():
        refuse_pointer(path)
    with refusing(damaged), open(path, "rb") as file:
        header_length = int.from_bytes(file.read(_HEADER_LENGTH_BYTES), "little")
        # A shorter file, or a header that the format does not allow, is refused by the library.
        if _MAX_HEADER_BYTES < header_length <= path.stat().st_size:
            raise UserError(f"model: {damaged}: its header has {header_length} bytes, more than any model needs")
        with safe_open(path, framework="numpy") as weights:
            slices = {name: weights.get_slice(name) for name in weights.keys()}  # noqa: SIM118
            shapes = {name: tensor.get_shape() for name, tensor in slices.items()}
            types = {name: tensor.get_dtype() for name, tensor in slices.items()}
        # The library takes the last of several tensors of one name, which the format forbids.
        header = file.read(header_length)
        json.loads(header, object_pairs_hook=partial(_without_repeated_names, damaged))
    return types, shapes


def _without_repeated_names(damaged: str, pairs: list[tuple[str, object]]) -> dict[str, object]:
    names = dict(pairs)
    if len(names) != len(pairs):
        raise UserError(f"model: {damaged}: a name appears twice in its header")
    return names


# What libraries raise for a file with unexpected content. A missing key, a wrong type and a wrong shape are treated
# alike: all mean that the file is not valid.
_FOREIGN_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    OSError,
    RuntimeError,  # also NotImplementedError and RecursionError
    SafetensorError,
    StrictDataclassError,
    TypeError,
    ValueError,
)


@contextlib.contextmanager
def refusing(failed: str) -> Iterator[None]:
    """Turn an error of a library about the files of a model folder into a `UserError` that begins with `failed`.

    Put only calls of libraries inside: a mistake in the suite's code must show its traceback.
    """
    try:
        yield
    except BaseException as error:
        # The tokenizers library, which is written in Rust, raises plain `Exception`, or a panic that is not even one.
        is_foreign = isinstance(error, _FOREIGN_ERRORS) or type(error) is Exception
        is_foreign = is_foreign or is_panic(error)
        if is_out_of_memory(error) or not is_foreign:
            raise
        name = type(error).__name__
        raise UserError(f"model: {failed}: {name}: {first_line(error, 200 - len(failed) - len(name))}") from error


def first_line(error: BaseException, limit: int = 200) -> str:
    """The first line of a library's error, as it may appear in a message."""
    return quoted(str(error).strip().split("\n")[0], limit)


@contextlib.contextmanager
def building() -> Iterator[None]:
    """A context for what config.json describes, without its weights: raises `UserError` when that takes much memory.

    One number can ask for thousands of millions of labels or layers. The limit holds for the whole process.
    """
    if not sys.platform.startswith("linux"):
        yield
        return
    with open("/proc/self/statm") as file:
        mapped = int(file.read().split()[0]) * resource.getpagesize()
    earlier, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = mapped + _BUILDING_BYTES
    if earlier != resource.RLIM_INFINITY and earlier < limit:
        # Memory that runs out earlier is not the fault of config.json alone.
        yield
        return
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise UserError(
            f"model: a number in {CONFIG} is too large: without its weights, the model that it describes takes more "
            f"than {_BUILDING_BYTES // 2**30} GB of memory"
        ) from error
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (earlier, hard))
