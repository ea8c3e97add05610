"""The files of a model folder: that they are there, and are what they say, before anything large is read.

Knows file formats, nothing of architectures. What is read is `config.json`, the tokenizer's files and safetensors;
nothing in a folder can name a file outside of it, and no file can make its reader reserve more than it holds.
"""

import contextlib
import json
import math
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError

from dna_lm.errors import UserError, is_out_of_memory, quoted
from dna_lm.model.internals import is_panic

CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
# Nucleotide Transformer v1 and ESM-2 come with a list of tokens, one a line, instead of a tokenizer.json.
VOCABULARY = "vocab.txt"
# Every file that is ever read, as patterns for names.
READ = (
    CONFIG,
    TOKENIZER,
    TOKENIZER_CONFIG,
    "special_tokens_map.json",
    VOCABULARY,
    WEIGHTS,
    INDEX,
    "model-*.safetensors",
)

# The largest vocabularies make a tokenizer.json of some 40 MB; a config.json has a few kB.
_MAX_TEXT_BYTES = 2**27
# A header has some 150 bytes for each tensor. The format allows 100 MB, for which a parser would want a gigabyte.
_MAX_HEADER_BYTES = 2**25
_HEADER_LENGTH_BYTES = 8
_MAX_DIMENSIONS = 8
_BYTES = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 8),
    **dict.fromkeys(("F32", "I32", "U32"), 4),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 2),
    **dict.fromkeys(("I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2"), 1),
}


@dataclass(frozen=True)
class Weights:
    """What the weights' files hold: how many tensors, and how many numbers in all of them."""

    n_tensors: int
    n_numbers: int


def read_text(path):
    """The text in a file of moderate size. Raises `UserError` when there is none."""
    try:
        # A pipe or a device would be read for ever.
        if path.exists() and not path.is_file():
            raise UserError(f"model: {path.name} is no regular file")
        if path.stat().st_size > _MAX_TEXT_BYTES:
            raise UserError(f"model: {path.name} has {path.stat().st_size} bytes, more than any model needs")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"model: cannot read {path.name}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"model: {path.name} is not a text in UTF-8") from error


def read_json(path):
    """The JSON object in a file. Raises `UserError` when there is none."""
    try:
        content = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise UserError(f"model: {path.name} is not valid JSON ({error})") from error
    if not isinstance(content, dict):
        raise UserError(f"model: {path.name} does not hold a JSON object")
    return content


def read_config(folder):
    """The settings in config.json. Raises `UserError` for one that asks for what is never done here."""
    settings = read_json(folder / CONFIG)
    for name in (CONFIG, TOKENIZER_CONFIG):
        if (folder / name).exists() and "auto_map" in read_json(folder / name):
            raise UserError(
                f"model: {name} names code of its own (auto_map), which is never run here: "
                "choose a model of an architecture that transformers implements"
            )
    if settings.keys() & {"quantization_config", "compression_config"}:
        raise UserError("model: its weights are quantised: choose the checkpoint in float32, bfloat16 or float16")
    if "transformers_weights" in settings:
        raise UserError(
            f"model: {CONFIG} names a weights file of its own (transformers_weights): only {WEIGHTS} is read"
        )
    if (folder / "adapter_config.json").exists():
        raise UserError(
            "model: the folder holds an adapter to another model (adapter_config.json): merge the two first"
        )
    return settings


def check_weights(folder):
    """`Weights` of a folder. Raises `UserError` for pickles, missing files, and files that are not what they say."""
    index = folder / INDEX
    names = _shards(folder, index) if index.exists() else set()
    # Like transformers, which reads the single file where both are.
    if (folder / WEIGHTS).exists():
        names = {WEIGHTS}
    if not names:
        pickles = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth", "*.ckpt") for path in folder.glob(pattern))
        found = (
            f" (found {', '.join(map(quoted, pickles))}: pickles can run code and are never read)" if pickles else ""
        )
        raise UserError(f"model: the folder has no {WEIGHTS}{found}: give the weights as safetensors")
    shapes = [shape for name in sorted(names) for shape in read_header(folder / name).values()]
    return Weights(len(shapes), sum(map(math.prod, shapes)))


def _shards(folder, index):
    """Names of the files in an index."""
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict):
        raise UserError(f"model: {index.name} has no weight_map")
    shards = set(map(str, weight_map.values()))
    inside = [folder.resolve()]
    if folder.resolve().parent.name == "snapshots":
        # In a Hugging Face cache the files of a snapshot are links to the blobs beside it.
        inside.append(folder.resolve().parents[1] / "blobs")
    for shard in sorted(shards):
        path = folder / shard
        if Path(shard).name != shard or not any(path.resolve().is_relative_to(place) for place in inside):
            raise UserError(f"model: {index.name} names {quoted(shard)}, which is outside the model's folder")
        if not path.exists():
            raise UserError(f"model: the weights file {quoted(shard)} named in {index.name} is missing")
    return shards


def read_header(path):
    """Tensor name -> shape, of a safetensors file whose header and size agree. Raises `UserError` otherwise.

    The format: 8 bytes with the header's length, little-endian; the header, a JSON object from a tensor's name to its
    dtype, shape and the bytes it begins and ends at; then the tensors, one after the other, without gaps
    (https://github.com/huggingface/safetensors#format).
    """
    try:
        if not path.is_file():
            raise _damaged(path, "it is no regular file")
        size = path.stat().st_size
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(_HEADER_LENGTH_BYTES), "little")
            n_bytes = size - _HEADER_LENGTH_BYTES - length
            if n_bytes < 0:
                raise _damaged(path, f"its header should have {length} bytes, the whole file has {size}")
            if length > _MAX_HEADER_BYTES:
                raise _damaged(path, f"its header has {length} bytes, more than any model needs")
            header = json.loads(file.read(length), object_pairs_hook=lambda pairs: _unique(path, pairs))
    except OSError as error:
        raise UserError(f"model: cannot read {path.name}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise _damaged(path, "its header is not valid JSON") from error
    if not isinstance(header, dict):
        raise _damaged(path, "its header is no JSON object")
    header.pop("__metadata__", None)
    end = 0
    spans = {name: _span(path, name, tensor) for name, tensor in header.items()}
    for name, (start, stop, _) in sorted(spans.items(), key=lambda item: item[1][:2]):
        if start != end:
            raise _damaged(path, f"{quoted(name)} begins at byte {start}, where {end} is expected")
        end = stop
    if end != n_bytes:
        raise _damaged(path, f"its header tells of {end} bytes of weights, there are {n_bytes}")
    return {name: shape for name, (_, _, shape) in spans.items()}


def _unique(path, pairs):
    if len(dict(pairs)) != len(pairs):
        raise _damaged(path, "a name stands twice in its header")
    return dict(pairs)


def _span(path, name, tensor):
    """First byte, end and shape of a tensor."""
    try:
        shape, (start, stop), n_bytes = tensor["shape"], tensor["data_offsets"], _BYTES[tensor["dtype"]]
        numbers = [*shape, start, stop]
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, f"its header describes {quoted(name)} wrongly") from error
    # Before they are multiplied: a product of a number and a text is a long text.
    if len(numbers) > _MAX_DIMENSIONS + 2 or not all(type(number) is int and 0 <= number < 2**63 for number in numbers):
        raise _damaged(path, f"its header describes {quoted(name)} wrongly")
    if stop - start != n_bytes * math.prod(shape):
        raise _damaged(path, f"the shape and the bytes of {quoted(name)} contradict each other")
    return start, stop, shape


def _damaged(path, why):
    return UserError(f"model: the safetensors file {path.name} is damaged: {why}")


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
def refusing(failed):
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
        raise UserError(f"model: {failed}: {type(error).__name__}: {first_line(error)}") from error


def first_line(error):
    """The first line of a library's error, as it may appear in a message."""
    return quoted(str(error).strip().split("\n")[0], 200)
