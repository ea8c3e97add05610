"""Pickled weights become safetensors with the same numbers, or are refused in one line, and run nothing."""

import collections
import io
import json
import os
import pickle
import re
import shutil
import struct
import subprocess
import sys
import tarfile
import zipfile

import pytest
import torch
from safetensors.torch import load_file

from conftest import ROOT, TEST_DATA
from dna_lm.errors import UserError
from dna_lm.model import files, pickles, unpickling
from dna_lm.model.checkpoint import load_unchecked

BERT = TEST_DATA / "models" / "tiny-bert"
ORACLE = ROOT / "tests" / "oracles" / "nucleotide_transformer_v2_3mer"


@pytest.fixture
def folder(tmp_path):
    """The folder of a model, without its weights."""
    (tmp_path / "model").mkdir()
    for file in BERT.iterdir():
        if file.name != files.WEIGHTS:
            shutil.copyfile(file, tmp_path / "model" / file.name)
    return tmp_path / "model"


@pytest.fixture
def convert(folder, tmp_path):
    """Save an object as pytorch_model.bin, convert it and give the tensors and the record."""

    def run(weights, **options):
        torch.save(weights, folder / pickles.WEIGHTS, **options)
        target = tmp_path / "target"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        pickles.convert(folder, target)
        assert {file.name for file in target.iterdir()} == {files.WEIGHTS, pickles.RECORD}
        return load_file(target / files.WEIGHTS), json.loads((target / pickles.RECORD).read_text())

    return run


def assert_equal_bits(tensors, expected):
    assert tensors.keys() == expected.keys()
    for name, tensor in tensors.items():
        assert (tensor.dtype, tensor.shape) == (expected[name].dtype, expected[name].shape), name
        assert tensor.numpy(force=True).tobytes() == expected[name].contiguous().numpy(force=True).tobytes(), name


def bert_weights():
    return load_file(BERT / files.WEIGHTS)


# What is converted.


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])
def test_every_form_of_a_tensor_keeps_its_bits(convert, is_zip):
    numbers = torch.randn(6, 8)
    types = (torch.float64, torch.float16, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)
    weights = {str(dtype): (10 * numbers).to(dtype) for dtype in types}
    weights |= {
        "column-major": numbers.T,
        "parameter": torch.nn.Parameter(numbers),
        "tied": numbers,
        "part": numbers[1:3, ::2],
        "scalar": torch.tensor(3.0),
        "empty": torch.zeros(0, 4),
        "special": torch.tensor([torch.nan, -torch.inf, -0.0]),
    }
    # Named by torch, not from the numbers of this test.
    weights["last"] = torch.zeros(300)
    tensors, record = convert(weights, _use_new_zipfile_serialization=is_zip)
    assert_equal_bits(tensors, weights)
    assert record["files"][0]["dropped"] == []


def test_bfloat16_keeps_its_bits(convert):
    tensors, _ = convert({"w": torch.randn(5).bfloat16()})
    assert tensors["w"].dtype == torch.bfloat16


def test_a_published_checkpoint_keeps_its_bits(tmp_path):
    """The numbers of a model with column-major tensors, in both formats of torch."""
    expected = load_file(ORACLE / files.WEIGHTS)
    results = set()
    for is_zip in (True, False):
        source, target = tmp_path / f"source{is_zip}", tmp_path / f"target{is_zip}"
        source.mkdir()
        shutil.copyfile(ORACLE / files.CONFIG, source / files.CONFIG)
        weights = collections.OrderedDict(
            (name, tensor.mT.contiguous().mT if tensor.dim() > 1 else tensor) for name, tensor in expected.items()
        )
        torch.save(weights, source / pickles.WEIGHTS, _use_new_zipfile_serialization=is_zip)
        pickles.copy_model(source, target)
        assert_equal_bits(load_file(target / files.WEIGHTS), expected)
        results.add((target / files.WEIGHTS).read_bytes())
    assert len(results) == 1


def test_what_is_no_tensor_is_dropped_and_named(convert):
    weights = {"epoch": 3, "state_dict": collections.OrderedDict(w=torch.ones(400), step=1), "optimizer": [{}]}
    tensors, record = convert(weights)
    assert_equal_bits(tensors, {"w": torch.ones(400)})
    [file] = record["files"]
    assert sorted(file["dropped"]) == ["'epoch'", "'optimizer'", "'step'"]


def test_the_record_says_where_the_weights_come_from(convert, folder, caplog):
    caplog.set_level("INFO")
    _, record = convert(bert_weights())
    sum_of_file = subprocess.run(["sha256sum", folder / pickles.WEIGHTS], capture_output=True, text=True).stdout[:64]
    size = (folder / pickles.WEIGHTS).stat().st_size
    [file] = record["files"]
    assert (file["name"], file["sha256"], file["bytes"]) == (pickles.WEIGHTS, sum_of_file, size)
    # torch.__version__ names the build ("+cu130"), which the package's version does not always do.
    assert record["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
    assert caplog.messages == [f"converted pytorch_model.bin ({size} bytes, SHA-256 {sum_of_file}) to safetensors"]


def save_shards(folder, weights):
    """Save weights as two files with an index; returns the index."""
    names = sorted(weights)
    shards = {f"pytorch_model-0000{n}-of-00002.bin": names[n - 1 :: 2] for n in (1, 2)}
    for shard, inside in shards.items():
        torch.save({name: weights[name] for name in inside}, folder / shard)
    index = {"metadata": {}, "weight_map": {name: shard for shard in shards for name in shards[shard]}}
    (folder / pickles.INDEX).write_text(json.dumps(index))
    return index


def test_shards_become_shards(folder, tmp_path):
    save_shards(folder, bert_weights())
    results = []
    for target in (tmp_path / "target", tmp_path / "again"):
        pickles.copy_model(folder, target)
        results.append({file.name: file.read_bytes() for file in target.iterdir()})
    assert results[0] == results[1]
    assert sum(name.endswith(".safetensors") for name in results[0]) == 2
    assert not any(map(pickles.is_pickle, results[0]))
    _, model = load_unchecked(tmp_path / "target", "float32")
    _, expected = load_unchecked(BERT, "float32")
    assert_equal_bits(model.state_dict(), expected.state_dict())


def test_the_script_makes_a_folder_that_the_tools_read(folder, run_script, tmp_path):
    torch.save(bert_weights(), folder / pickles.WEIGHTS)
    done = run_script("convert_weights.py", "--model", folder, "--output", tmp_path / "out.model")
    assert done.returncode == 0, done.stderr
    names = {file.name for file in BERT.iterdir() if file.name != "README.md"} | {pickles.RECORD}
    assert {file.name for file in (tmp_path / "out.model").iterdir()} == names
    again = run_script("convert_weights.py", "--model", folder, "--output", tmp_path / "out.model")
    assert again.returncode == 1 and "exists: give the name of a new folder" in again.stderr
    nothing = run_script("convert_weights.py", "--model", BERT, "--output", tmp_path / "out.other")
    assert nothing.returncode == 1 and "there is nothing to convert" in nothing.stderr


def test_safetensors_come_before_pickles():
    both = ["config.json", "pytorch_model.bin", "onnx/model.safetensors", "converted.json"]
    assert pickles.choose_files([*both, "model.safetensors"]) == ["config.json", "model.safetensors", "converted.json"]
    shards = ["pytorch_model-00001-of-00002.bin", "pytorch_model.bin.index.json"]
    stale = "model.safetensors.index.json"
    assert pickles.choose_files([*both, *shards, stale]) == ["config.json", "pytorch_model.bin"]
    assert pickles.choose_files([*shards, stale]) == shards


# What is refused. The files are made by hand where torch.save would not write them.


def zipped(content, records=(), compression=zipfile.ZIP_STORED):
    """A file of torch's, with a pickle and the numbers of the storages 0, 1, ..."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/byteorder", "little")
        for number, record in enumerate(records):
            archive.writestr(f"archive/data/{number}", record)
        archive.writestr("archive/version", "3\n")
    return file.getvalue()


def legacy(content):
    """A file of torch's format before 1.6, without storages."""
    parts = [pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    return b"".join([*parts, content, pickle.dumps([], 2)])


class Storage:
    """What a pickle has in the place of a storage."""

    def __init__(self, n_numbers):
        self.key = ("storage", torch.FloatStorage, "0", "cpu", n_numbers)


class Rebuilt:
    """What a pickle has in the place of a tensor: any function of torch and its arguments."""

    def __init__(self, function, *arguments):
        self.parts = function, arguments

    def __reduce__(self):
        return self.parts


def tensor(n_stored, shape, stride):
    layout = (0, shape, stride, False, collections.OrderedDict())
    return Rebuilt(torch._utils._rebuild_tensor_v2, Storage(n_stored), *layout)


def pickled(weights):
    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            return value.key if isinstance(value, Storage) else None

    file = io.BytesIO()
    Pickler(file, 2).dump(weights)
    return file.getvalue()


def saved(weights, **options):
    file = io.BytesIO()
    torch.save(weights, file, **options)
    return file.getvalue()


MARKER = "the_code_was_run"
CALL = pickled({"w": Rebuilt(os.system, f"touch {MARKER}")})
EVAL = pickled({"w": Rebuilt(eval, f"open('{MARKER}', 'w')")})
ONE = tensor(4, (4,), (1,))
FOUR = struct.pack("4f", 1, 2, 3, 4)
# Opcodes: PROTO 2, EMPTY_DICT, EMPTY_TUPLE, then 1-tuples of it as the key of the dict.
DEEP = b"\x80\x02})" + b"\x85" * 10**6 + b"Ns."
LEGACY_STORAGE = ("storage", torch.FloatStorage, "0", "cpu", 10**12, None)


def legacy_with_a_huge_storage():
    huge = tensor(1, (1,), (1,))
    huge.parts[1][0].key = LEGACY_STORAGE
    return legacy(pickled({"w": huge}))


def tar():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name in ("storages", "tensors", "pickle"):
            archive.addfile(tarfile.TarInfo(name))
    return file.getvalue()


def program():
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), file)
    return file.getvalue()


def shared_lists():
    nested = []
    for _ in range(60):
        nested = [nested, nested]
    return nested


def refused(name, folder, run_script, tmp_path):
    """The error that convert_weights.py ends with; nothing is left behind, and nothing was run."""
    before = sorted(folder.iterdir())
    done = run_script("convert_weights.py", "--model", folder, "--output", tmp_path / "out.model")
    errors = [line for line in done.stderr.splitlines() if not line.startswith("converted ")]
    assert done.returncode == 1 and len(errors) == 1, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["model"] and sorted(folder.iterdir()) == before
    return errors[0]


NOT_FINITE = {"cls.predictions.bias": torch.full((bert_weights()["cls.predictions.bias"].shape), torch.nan)}
HOSTILE = {
    "a call": (lambda: zipped(CALL), r"it names 'posix\.system', which weights do not need and which is never called"),
    "a call, legacy": (lambda: legacy(CALL), r"it names 'posix\.system'"),
    "eval": (lambda: zipped(EVAL), r"it names '(builtins\.)?eval'"),
    "a module": (lambda: saved(torch.nn.Linear(2, 2)), r"it names 'torch\.nn\.modules\.linear\.Linear'"),
    "nested deeply": (lambda: zipped(DEEP), "the process that read it ended early|RecursionError"),
    "much memory": (lambda: zipped(pickled({"w": Rebuilt(bytearray, 10**12)})), "it needs more memory than weights"),
    "a huge storage": (legacy_with_a_huge_storage, "it needs more memory than weights in a file of its size"),
    "stride 0": (lambda: zipped(pickled({"w": tensor(4, (10**9, 4), (0, 1))}), [FOUR]), "repeats its numbers"),
    "compressed": (lambda: zipped(pickled({"w": ONE}), [bytes(10**7)], zipfile.ZIP_DEFLATED), "are compressed"),
    "cut short": (lambda: saved(bert_weights())[:20_000], "torch cannot read it .BadZipFile"),
    "a long name": (lambda: saved({"w" * 10**7: torch.ones(9)}), "the name of a tensor is 'w{60}...'"),
    "not finite": (lambda: saved(bert_weights() | NOT_FINITE), "NaN or infinite values"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_ends_in_one_line_and_leaves_nothing(folder, run_script, tmp_path, name):
    make, message = HOSTILE[name]
    (folder / pickles.WEIGHTS).write_bytes(make())
    error = refused(name, folder, run_script, tmp_path)
    assert error.startswith("error: model: ") and re.search(message, error), error


def test_a_pickle_that_takes_time_is_stopped(folder):
    """A tuple of twice the same tuple, sixty deep: to be a key, it is asked for its hash, which takes for ever."""
    # Opcodes: PROTO 2, EMPTY_DICT, EMPTY_TUPLE, sixty times BINPUT, BINGET and TUPLE2, then None as its value.
    bomb = b"\x80\x02})" + b"q\x00h\x00\x86" * 60 + b"Ns."
    (folder / pickles.WEIGHTS).write_bytes(zipped(bomb))
    before = sorted(folder.iterdir())
    with pytest.raises(UserError, match="takes more processor time than weights in a file of its size"):
        pickles.convert(folder, folder, seconds=1)
    assert sorted(folder.iterdir()) == before


def test_a_process_that_does_not_end_is_stopped(folder, monkeypatch):
    (folder / pickles.WEIGHTS).write_bytes(saved(bert_weights()))
    monkeypatch.setattr(pickles, "_WAIT_SECONDS", 0)
    with pytest.raises(UserError, match="reading it takes more than 0 seconds"):
        pickles.convert(folder, folder)
    assert not list(folder.glob(".converted-*"))


# Read in this process, which takes no time to start.
REFUSED = {
    "lists of lists": (lambda: zipped(pickled({"w": shared_lists()})), "holds no tensors"),
    "too many numbers": (lambda: zipped(pickled({"w": tensor(10**9, (4,), (1,))}), [FOUR]), "record size .16 bytes."),
    "out of bounds": (lambda: zipped(pickled({"w": tensor(4, (400,), (1,))}), [FOUR]), "torch cannot read it"),
    "without its numbers": (lambda: zipped(pickled({"w": Rebuilt(torch.Tensor, 10**6)})), "more bytes"),
    "cut short": (lambda: saved(bert_weights(), _use_new_zipfile_serialization=False)[:20_000], "unexpected EOF|read"),
    "no pickle in it": (lambda: zipped(b"").replace(b"data.pkl", b"data.txt"), "locating file data.pkl"),
    "empty": (lambda: b"", "torch cannot read it .EOFError"),
    "text": (lambda: b"version https://git-lfs.github.com/spec/v1\n", "torch cannot read it"),
    "tar": (tar, "torch's oldest format .tar."),
    "a number": (lambda: saved(3), "an object of type int, not a dict of tensors"),
    "a list": (lambda: saved([torch.ones(3)]), "an object of type list"),
    "two models": (lambda: saved({"model": {}, "state_dict": {}}), "several dicts of weights .model, state_dict"),
    "a path as name": (lambda: saved({"../../w": torch.ones(9)}), r"the name of a tensor is '\.\./\.\./w'"),
    "two lines as name": (lambda: saved({"w\nerror: x": torch.ones(9)}), r"the name of a tensor is 'w\\nerror: x'"),
    "the format's name": (lambda: saved({"__metadata__": torch.ones(9)}), "the name of a tensor is '__metadata__'"),
    "a program": (program, "it holds a TorchScript program"),
    "a number as name": (lambda: saved({3: torch.ones(9)}), "not all names of its entries are text"),
    "many names": (lambda: saved(dict.fromkeys(map(str, range(100_001)), torch.ones(2))), "has 100001 entries"),
    "many copies": (lambda: saved(dict.fromkeys("abc", torch.ones(10_000))), "more bytes .120000."),
    "sparse": (lambda: saved({"w": torch.eye(9).to_sparse()}), "torch.sparse_coo"),
    "quantised": (lambda: saved({"w": torch.quantize_per_tensor(torch.ones(9), 1, 0, torch.qint8)}), "torch.qint8"),
    "complex": (lambda: saved({"w": torch.ones(9, dtype=torch.complex64)}), "torch.complex64"),
    "without numbers": (lambda: saved({"w": torch.ones(9, device="meta")}), "does not store its numbers"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.filterwarnings("ignore")
def test_what_is_no_models_weights_is_refused_by_what_it_is(name):
    make, message = REFUSED[name]
    content = make()
    with pytest.raises(Exception) as caught:
        unpickling.read_weights(io.BytesIO(content), len(content))
    reason = unpickling.reason(caught.value)
    assert re.search(message, reason) and reason.isprintable(), reason


def test_attributes_that_a_pickle_gives_its_objects_are_not_used():
    """Attributes that hide the methods of a dict, and of a tensor."""
    hidden = {"items": 3, "get": 3, "numel": 3, "detach": 3, "contiguous": 3}
    numbers = struct.pack("400f", *range(400))
    parameter = tensor(400, (400,), (1,)), True, collections.OrderedDict(), hidden
    parameter = Rebuilt(torch._utils._rebuild_parameter_with_state, *parameter)
    weights = Rebuilt(collections.OrderedDict)
    weights.parts += hidden, None, iter([("w", parameter)])
    content = zipped(pickled(weights), [numbers])
    tensors, _ = unpickling.read_weights(io.BytesIO(content), len(content))
    assert_equal_bits(tensors, {"w": torch.arange(400).float()})
    assert not vars(tensors["w"])


def test_a_link_that_leads_out_and_a_pipe_are_refused(folder, run_script, tmp_path):
    outside = tmp_path / "model" / "elsewhere"
    outside.mkdir()
    torch.save(bert_weights(), outside / "weights")
    (folder / pickles.WEIGHTS).symlink_to("/etc/hostname")
    assert "is a link that leads out of the model's folder" in refused("link", folder, run_script, tmp_path)
    (folder / pickles.WEIGHTS).unlink()
    os.mkfifo(folder / pickles.WEIGHTS)
    assert "pytorch_model.bin is not a regular file" in refused("pipe", folder, run_script, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weight_map: weight_map.update(new="pytorch_model-00002-of-00002.bin"), "is out of date: pytorch_model"),
        (lambda weight_map: weight_map.pop(next(iter(weight_map))), "is out of date: pytorch_model"),
        (lambda weight_map: weight_map.update(new="pytorch_model-00003-of-00003.bin"), "named in .* is missing"),
        (lambda weight_map: weight_map.update(new="../weights.bin"), "is outside the model's folder"),
        (lambda weight_map: weight_map.update(new="config.json"), "names 'config.json': expected files called"),
        (lambda weight_map: weight_map.clear(), "nothing to convert"),
    ],
)
def test_an_index_that_does_not_fit_is_refused(folder, tmp_path, change, message):
    index = save_shards(folder, dict.fromkeys("abc", torch.ones(200)))
    change(index["weight_map"])
    (folder / pickles.INDEX).write_text(json.dumps(index))
    (tmp_path / "target").mkdir()
    with pytest.raises(UserError, match=message):
        pickles.convert(folder, tmp_path / "target")
    assert not list((tmp_path / "target").iterdir())


# The process that reads a pickle.

ATTEMPTS = """
import os, socket, subprocess, sys
from dna_lm.model import unpickling
unpickling.set_limits(1000, 60)
for attempt in (
    socket.socket,
    lambda: open("/etc/hostname"),
    lambda: open("made", "w"),
    os.pipe,
    lambda: subprocess.run(["touch", "made"]),
    lambda: os.system("touch made") and sys.exit("failed as it should"),
    lambda: bytearray(2**30),
    lambda: os.ftruncate(1, 2**30),
):
    try:
        print(attempt(), file=sys.stderr)
    except (OSError, MemoryError, SystemExit) as error:
        print(type(error).__name__, error, file=sys.stderr)
"""


def test_the_process_can_open_nothing_and_has_limits(tmp_path):
    """What code in a pickle could do if it got around torch's restricted loader."""
    with open(tmp_path / "output", "wb") as output:
        done = subprocess.run(
            [sys.executable, "-c", ATTEMPTS],
            cwd=tmp_path,
            env={"PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.environ["PATH"]},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert [path.name for path in tmp_path.iterdir()] == ["output"], done.stderr
    results = [line for line in done.stderr.splitlines() if line and not line.startswith("sh: ")]
    assert [result.split(":")[0] for result in results] == [
        *["OSError [Errno 24] Too many open files"] * 5,
        "SystemExit failed as it should",
        "MemoryError ",
        "OSError [Errno 27] File too large",
    ]


def test_the_process_gets_no_secrets(folder, tmp_path, monkeypatch):
    """A program in the place of Python says which environment it gets."""
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\nenv > {tmp_path}/environment\n")
    program.chmod(0o755)
    (folder / pickles.WEIGHTS).write_bytes(b"")
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with pytest.raises(UserError, match="the process that read it ended early"):
        pickles.convert(folder, folder)
    environment = (tmp_path / "environment").read_text()
    assert "PYTHONPATH=" in environment and "secret" not in environment


def test_a_process_that_linux_kills_for_memory_is_no_fault_of_the_model(folder, tmp_path, monkeypatch):
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nkill -9 $$\n")
    program.chmod(0o755)
    (folder / pickles.WEIGHTS).write_bytes(b"")
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(MemoryError):
        pickles.convert(folder, folder)
