"""How a script begins and ends, and how its outputs appear."""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from conftest import ROOT
from dna_lm import cli
from dna_lm.errors import UserError, is_out_of_memory


def test_text_in_a_file_reaches_the_script_as_it_was_typed(tmp_path):
    texts = {"title": "--x; rm -rf 'a' \"$HOME\" `id`\n%s", "label": "-1", "note": "", "values": ["-1", "a b", ""]}
    (tmp_path / "options.json").write_text(json.dumps(texts))
    parser = argparse.ArgumentParser()
    for option in ("--title", "--label", "--note"):
        parser.add_argument(option)
    parser.add_argument("--scores", nargs="+")
    parser.add_argument("--values", nargs="+", action="extend")
    given = ["--scores", "l2", "l1", "--options", str(tmp_path / "options.json")]
    arguments = cli.parse_arguments(parser, given)
    assert (arguments.title, arguments.label, arguments.note) == (texts["title"], texts["label"], None)
    assert arguments.scores == ["l2", "l1"] and arguments.values == ["-1", "a b"]


@pytest.mark.parametrize("content", [None, "{", "[1]", "\x00"])
def test_a_file_of_options_that_is_none_is_one_line(tmp_path, content):
    path = tmp_path / "options.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match="--options: .* is not a JSON object of texts"):
        cli.parse_arguments(argparse.ArgumentParser(), ["--options", str(path)])


def test_outputs_appear_together_or_not_at_all(tmp_path):
    a, b = tmp_path / "a.tsv", tmp_path / "b.png"
    with pytest.raises(ValueError), cli.atomic_outputs(a, None, b) as (first, nothing, second):
        assert nothing is None and second.endswith(".png")
        Path(first).write_text("x")
        raise ValueError
    assert not list(tmp_path.iterdir())
    with cli.atomic_outputs(a, b) as outputs:
        for output in outputs:
            Path(output).write_text("x")
        assert not a.exists()
    assert sorted(tmp_path.iterdir()) == [a, b] and a.read_text() == "x"


def test_outputs_that_cannot_be_are_refused_before_the_work(tmp_path):
    a, folder = tmp_path / "a.tsv", tmp_path / "folder"
    folder.mkdir()
    for outputs, message in (
        ((a, a), "two outputs have the same name"),
        ((a, folder), "it is a folder"),
        ((tmp_path / "none" / "a.tsv",), "cannot write .*No such file"),
    ):
        with pytest.raises(UserError, match=message), cli.atomic_outputs(*outputs):
            pytest.fail("the work was begun")
    assert list(tmp_path.iterdir()) == [folder]


def test_a_full_disk_is_one_line():
    with pytest.raises(UserError, match="cannot write"), cli.atomic_outputs("/dev/full") as [output]:
        Path(output).write_text("x" * 10**6)


def test_links_are_followed(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with cli.atomic_outputs(tmp_path / "link") as [output]:
        Path(output).write_text("x")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "target").read_text() == "x"


@pytest.mark.parametrize(
    ("number", "message"),
    [(signal.SIGTERM, ""), (signal.SIGINT, "error: interrupted: no output is written\n")],
)
def test_a_stopped_job_leaves_nothing(tmp_path, number, message):
    program = (
        "import os, signal, sys; sys.path.insert(0, sys.argv[1]); from dna_lm import cli\n"
        "def main(argv):\n"
        "    with cli.atomic_outputs('out.tsv'):\n"
        "        os.kill(os.getpid(), int(argv[1]))\n"
        "        signal.pause()\n"
        "cli.run(main)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, ROOT / "tools" / "scripts", str(int(number))],
        cwd=tmp_path,
        timeout=30,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (128 + number, message)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "error", [None, UserError("x"), MemoryError(), KeyboardInterrupt(), SystemExit(2), ValueError()]
)
def test_a_process_that_calls_a_script_keeps_its_handlers(error, monkeypatch):
    def main(_argv):
        assert signal.getsignal(signal.SIGTERM) != before[0]
        if error:
            raise error

    monkeypatch.setattr(sys, "argv", ["script"])
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with contextlib.suppress(SystemExit, ValueError):
        cli.run(main)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be reported later"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("could not create a primitive"), True),
        (RuntimeError("could not create a memory object"), True),
        (RuntimeError("could not create a primitive descriptor for the matmul primitive. Run workload with"), False),
        (RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`"), False),
        (RuntimeError("CUDA error: device-side assert triggered"), False),
        (ValueError("can't allocate memory"), False),
    ],
)
def test_only_errors_about_memory_are_taken_for_such(error, is_memory):
    assert is_out_of_memory(error) == is_memory


def test_what_the_libraries_raise_is_told_apart():
    """The CPU allocator's own error, and oneDNN's own for a product of the wrong shape."""
    with pytest.raises(RuntimeError) as no_memory:
        torch.empty(1 << 60)
    assert is_out_of_memory(no_memory.value)
    with pytest.raises(RuntimeError, match="could not create a primitive descriptor") as wrong_shape:
        torch.ops.mkldnn._linear_pointwise(torch.ones(32, 8), torch.ones(16, 4), None, "none", [], "")
    assert not is_out_of_memory(wrong_shape.value)
