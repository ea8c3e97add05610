"""How a script begins and ends, and how its outputs appear."""

import argparse
import contextlib
import json
import os
import re
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
        # What runs in the background of a shell inherits that Ctrl-C is ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
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


def given(*arguments):
    parser = argparse.ArgumentParser()
    for option, metavar in (
        ("--input", "VCF"),
        ("--output", "TSV"),
        ("--column", "NAME"),
        ("--report", "MD"),
        ("--list", "JSON"),
        ("--model", "DIR"),
    ):
        parser.add_argument(option, metavar=metavar)
    parser.add_argument("--table", metavar="[LABEL=]TSV", action="append")
    return cli.parse_arguments(parser, list(map(str, arguments)))


def test_an_output_that_is_an_input_is_refused(tmp_path, monkeypatch):
    """By the same name, another path, a link, a hard link; also in a list, and behind a label."""
    monkeypatch.chdir(tmp_path)
    Path("in.vcf").write_text("x")
    Path("soft").symlink_to("in.vcf")
    os.link("in.vcf", "hard")
    for output in ("in.vcf", tmp_path / "in.vcf", "./in.vcf", "soft", "hard"):
        for inputs in (("--input", "in.vcf"), ("--table", "none", "--table", "label=in.vcf")):
            given(*inputs, "--output", output)
            message = "is the input 'in.vcf', which would be lost"
            with pytest.raises(UserError, match=message), cli.atomic_outputs(str(output), None):
                pytest.fail("the work was begun")
    assert Path("in.vcf").read_text() == "x"
    # What is there from an earlier run is replaced, and a column may be called like a file.
    Path("out").write_text("earlier")
    given("--input", "in.vcf", "--output", "out", "--column", "out", "--report", "new")
    with cli.atomic_outputs("out", "new") as outputs:
        for output in outputs:
            Path(output).write_text("later")
    assert Path("out").read_text() == Path("new").read_text() == "later"


def test_an_output_that_is_read_without_being_named_is_refused(tmp_path, monkeypatch):
    """The file of options, a file in a list, an index next to an input, a file of the model."""
    monkeypatch.chdir(tmp_path)
    Path("model").mkdir()
    for name in ("a", "b", "in.fa", "in.fa.fai", "model/config.json"):
        Path(name).write_text("x")
    Path("list.json").write_text('[{"name": "out", "path": "a"}, {"name": "c", "table": "b"}]')
    Path("options.json").write_text('{"input": "in.fa"}')
    for output in ("options.json", "list.json", "a", "b", "in.fa", "in.fa.fai", "./model/config.json"):
        given("--options", "options.json", "--list", "list.json", "--model", "model", "--output", output)
        with pytest.raises(UserError, match="which would be lost: give it another name"), cli.atomic_outputs(output):
            pytest.fail("the work was begun")
    # A name in a list is no path, and a new file in the model's folder replaces nothing. A list may be damaged.
    for output in ("out", "model/new"):
        given("--list", "list.json", "--model", "model", "--output", output)
        with cli.atomic_outputs(output) as [partial]:
            Path(partial).write_text("new")
    for damaged in ("{", "[1]", "7", '{"path": 1}', '[{"path": 1}]'):
        Path("list.json").write_text(damaged)
        given("--list", "list.json", "--output", "out")


PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]); from dna_lm import cli\n"
    "def main(argv):\n"
    "    print('first', flush=True)\n"
    "    with cli.atomic_outputs(argv[1]) as [output]:\n"
    "        open(output, 'w').write('table\\n')\n"
    "        if argv[2:]: raise ValueError\n"
    "cli.run(main)"
)


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "link"])
def test_streams_are_written_to_and_not_replaced(tmp_path, name):
    (tmp_path / "link").symlink_to("/dev/stdout")
    command = [sys.executable, "-c", PROGRAM, ROOT / "tools" / "scripts", name]
    for mode, before in (("w", ""), ("a", "before\n")):
        (tmp_path / "out").write_text("before\n")
        with open(tmp_path / "out", mode) as out:
            subprocess.run(command, stdout=out, cwd=tmp_path, timeout=30, check=True, stderr=subprocess.DEVNULL)
        assert (tmp_path / "out").read_text() == before + "first\ntable\n"
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=30, check=True)
    assert done.stdout == "first\ntable\n"
    # Nothing of a job that fails.
    done = subprocess.run([*command, "fail"], capture_output=True, text=True, cwd=tmp_path, timeout=30)
    assert done.returncode and done.stdout == "first\n"
    assert sorted(os.listdir(tmp_path)) == ["link", "out"]


def test_a_pipe_of_the_shell_is_written_to(tmp_path):
    arguments = f'{sys.executable} -c "$0" {ROOT / "tools" / "scripts"} >(cat > out; touch done)'
    subprocess.run(
        ["bash", "-c", arguments + "; until [ -e done ]; do sleep 0.05; done", PROGRAM], cwd=tmp_path, timeout=30
    )
    assert (tmp_path / "out").read_text() == "table\n"


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    with pytest.raises(ZeroDivisionError), cli.atomic_folder(tmp_path / "a" / "b") as folder:
        Path(folder, "x").write_text("x")
        raise ZeroDivisionError
    assert not list((tmp_path / "a").iterdir())
    with cli.atomic_folder(tmp_path / "a" / "b") as folder:
        Path(folder, "x").write_text("x")
        assert not (tmp_path / "a" / "b").exists()
    assert (tmp_path / "a" / "b" / "x").read_text() == "x" and len(list((tmp_path / "a").iterdir())) == 1
    with pytest.raises(UserError, match="cannot make the folder"), cli.atomic_folder(tmp_path / "a" / "b"):
        pytest.fail("the work was begun")


@pytest.mark.parametrize(
    ("script", "options", "message"),
    [
        ("evaluate.py", ["--output", "o", "--seed", "-1"], "argument --seed: -1 is less than 0"),
        ("evaluate.py", ["--output", "o", "--seed", "x\ny"], r"argument --seed: invalid whole_number value: 'x\\ny'"),
        ("score_variants.py", ["--background", "1000000000"], "argument --background: 1000000000 is more than 100000"),
        ("score_variants.py", ["--seed", "-1"], "argument --seed: -1 is less than 0"),
        ("split.py", ["--sizes\n\x1b"], "the following arguments are required: .*"),
    ],
)
def test_an_option_that_cannot_be_is_one_line(run_script, script, options, message):
    done = run_script(script, *options)
    [line] = done.stderr.splitlines()
    assert re.fullmatch(rf"error: {message} \(--help lists the options\)", line) and done.returncode == 2


# --- the order of messages -------------------------------------------------------------------------------------------

_SAYS = (
    "import logging, sys; sys.path.insert(0, sys.argv[1]); from dna_lm import cli, errors\n"
    "log = logging.getLogger('x')\n"
    "def main(argv):\n"
    "    log.info('detail'); log.info('3 minutes left', extra={'is_live': True}); log.warning('careful')\n"
    "    log.warning('careful'); cli.note('versions'); cli.result('2 of 2 read')\n"
    "    if argv[1:]: raise errors.UserError('wrong file')\n"
    "cli.run(main)"
)


@pytest.mark.parametrize("in_galaxy", [False, True])
def test_results_come_first_then_warnings_then_the_rest(tmp_path, in_galaxy):
    command = [sys.executable, "-c", _SAYS, str(ROOT / "tools" / "scripts")]
    environment = {name: value for name, value in os.environ.items() if name != "GALAXY_SLOTS"}
    environment |= {"GALAXY_SLOTS": "1"} if in_galaxy else {}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    first, second = ["2 of 2 read", "careful"], ["detail"]
    said = [line for line in done.stderr.splitlines() if not line.startswith("dna_lm 0")]
    if in_galaxy:
        assert done.stdout.splitlines() == first and said == ["3 minutes left", *second, "versions"]
    else:
        assert not done.stdout and said == ["3 minutes left", *first, *second, "versions"]


@pytest.mark.parametrize("in_galaxy", [False, True])
def test_an_error_comes_before_what_was_held_back(in_galaxy):
    command = [sys.executable, "-c", _SAYS.replace("3 minutes left", "detail"), str(ROOT / "tools" / "scripts"), "fail"]
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | ({"GALAXY_SLOTS": "1"} if in_galaxy else {})
    )
    assert done.returncode == 1 and not done.stdout
    assert done.stderr.splitlines() == ["error: wrong file", "careful", "detail"]


def test_messages_appear_at_once_on_a_terminal():
    controller, terminal = os.openpty()
    command = [sys.executable, "-c", _SAYS, str(ROOT / "tools" / "scripts"), "fail"]
    subprocess.run(command, stderr=terminal)
    os.close(terminal)
    said = os.read(controller, 10_000).decode().split("\r\n")
    assert said[:4] == ["detail", "3 minutes left", "careful", "error: wrong file"]


@pytest.mark.parametrize("given", [False, True])
def test_the_list_of_fonts_outlasts_a_job(tmp_path, given):
    """Each job of Galaxy has another home. A folder that the administrator chose stays the one."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); from dna_lm import environment; environment.keep_fonts()\n"
        "import matplotlib.font_manager; print(matplotlib.get_cachedir())"
    )
    variables = {name: value for name, value in os.environ.items() if name not in ("MPLCONFIGDIR", "XDG_CACHE_HOME")}
    variables |= {"HOME": str(tmp_path / "home")} | ({"MPLCONFIGDIR": str(tmp_path / "chosen")} if given else {})
    (tmp_path / "home").mkdir()
    command = [sys.executable, "-c", program, str(ROOT / "tools" / "scripts")]
    done = subprocess.run(command, capture_output=True, text=True, env=variables, check=True)
    folder = Path(done.stdout.strip())
    assert folder.is_relative_to(tmp_path / "chosen" if given else sys.prefix) and list(folder.glob("fontlist*.json"))
    assert not list((tmp_path / "home").iterdir())
