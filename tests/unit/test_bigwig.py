"""bigWig files, read back with pyBigWig (libBigWig, in C) and with pybigtools (in Rust)."""

import math
import os
import random
import resource
import signal
import subprocess
import sys

import numpy as np
import pybigtools
import pyBigWig
import pytest

from conftest import ROOT
from dna_lm.errors import UserError
from dna_lm.outputs.bigwig import write_bigwig

LENGTHS = {"chr10": 1000, "chr2": 50, "no bases": 0, "chr é": 7, "x" * 300: 9}


def read_both(path):
    """Sequence -> length and sequence -> runs, after checking that both programs read the same."""
    with pyBigWig.open(str(path)) as file:
        lengths = file.chroms()
        runs = {name: list(file.intervals(name) or ()) for name in lengths}
    other = pybigtools.open(str(path))
    assert other.chroms() == lengths
    assert {name: list(other.records(name)) for name in lengths} == runs
    return lengths, {name: values for name, values in runs.items() if values}


def float32(runs):
    """What a bigWig keeps of runs, by sequence."""
    kept = {}
    for name, start, end, value in runs:
        kept.setdefault(name, []).append((start, end, float(np.float32(value))))
    return kept


RUNS = [
    ("chr10", 0, 1, 1 / 3),
    ("chr10", 1, 2, 1 / 3),
    ("chr10", 5, 9, -1e-30),
    ("chr10", 999, 1000, 3e38),
    ("chr2", 0, 50, 0.0),
    ("chr é", 6, 7, np.float32(0.1)),
    ("x" * 300, 0, 1, 2),
]


@pytest.mark.parametrize("runs", [RUNS, RUNS[4:], RUNS[:1], []], ids=len)
def test_every_run_is_read_back_and_nothing_else(tmp_path, runs):
    write_bigwig(tmp_path / "t.bw", LENGTHS, iter(runs), {name for name, *_ in runs})
    lengths, read = read_both(tmp_path / "t.bw")
    assert lengths == {name: length for name, length in LENGTHS.items() if length}
    assert read == float32(runs)


def test_many_runs_and_many_sequences(tmp_path):
    draw = random.Random(1)
    lengths = {f"contig_{number}": 40_000 for number in range(1_000)}
    runs = []
    for name in draw.sample(sorted(lengths, key=lambda name: int(name[7:])), 200):
        runs += [(name, start, start + draw.randint(1, 3), draw.gauss(0, 1)) for start in range(0, 300, 3)]
    runs += [("contig_999", start, start + 1, draw.random()) for start in range(300, 40_000)]
    runs.sort(key=lambda run: (int(run[0][7:]), run[1]))
    write_bigwig(tmp_path / "t.bw", lengths, runs, {name for name, *_ in runs})
    assert read_both(tmp_path / "t.bw") == (lengths, float32(runs))
    # What a browser shows when zoomed out.
    with pyBigWig.open(str(tmp_path / "t.bw")) as file:
        [shown] = file.stats("contig_999", 300, 40_000, type="mean", nBins=1, exact=False)
    values = [value for name, start, _, value in runs if name == "contig_999" and start >= 300]
    assert math.isclose(shown, sum(values) / len(values), rel_tol=0.01)


@pytest.mark.parametrize("runs", [[("c77777", 3, 4, 1.5), ("c99999", 0, 2, 2.5)], []], ids=len)
def test_of_a_hundred_thousand_sequences_the_file_names_those_with_numbers(tmp_path, runs):
    """libBigWig takes minutes for a header of all of them."""
    lengths = {f"c{number}": 10 for number in range(100_000)}
    write_bigwig(tmp_path / "t.bw", lengths, iter(runs), {name for name, *_ in runs})
    named, read = read_both(tmp_path / "t.bw")
    assert read == float32(runs)
    assert named == ({"c77777": 10, "c99999": 10} if runs else {"c0": 10})


@pytest.mark.parametrize(
    "runs",
    [
        [("chr2", 0, 1, 1), ("chr10", 0, 1, 1)],
        [("chr2", 5, 6, 1), ("chr2", 4, 5, 1)],
        [("chr2", 4, 6, 1), ("chr2", 5, 7, 1)],
        [("chr2", 4, 4, 1)],
        [("chr2", -1, 1, 1)],
        [("chr2", 49, 51, 1)],
        [("chr2", 0, 1, math.nan)],
        [("chr2", 0, 1, math.inf)],
        [("chr2", 0, 1, 1e39)],
    ],
)
def test_runs_that_no_browser_could_show_are_an_error(tmp_path, runs):
    with pytest.raises(ValueError, match="chr"):
        write_bigwig(tmp_path / "t.bw", LENGTHS, runs, LENGTHS)


@pytest.mark.parametrize(
    ("lengths", "message"),
    [({}, "no bases"), ({"a": 0}, "no bases"), ({"a": 2**32}, "'a' has 4294967296 bases, .* more than 4294967295")],
)
def test_a_reference_that_no_bigwig_can_have_is_refused(tmp_path, lengths, message):
    with pytest.raises(UserError, match=message):
        write_bigwig(tmp_path / "t.bw", lengths, [], ())


def test_the_longest_sequence(tmp_path):
    runs = [("a", 2**32 - 3, 2**32 - 1, 1.5)]
    write_bigwig(tmp_path / "t.bw", {"a": 2**32 - 1}, runs, {"a"})
    # pyBigWig shows positions above 2^31 as negative numbers.
    file = pybigtools.open(str(tmp_path / "t.bw"))
    assert file.chroms() == {"a": 2**32 - 1}
    assert list(file.records("a")) == float32(runs)["a"]


def test_a_place_that_cannot_be_written_is_refused():
    with pytest.raises(UserError, match="cannot write"):
        write_bigwig(os.devnull, LENGTHS, RUNS, LENGTHS)
    with pytest.raises(FileNotFoundError):
        write_bigwig("no such folder/t.bw", LENGTHS, RUNS, LENGTHS)


@pytest.mark.parametrize("limit", [100, 1_000, 20_000, 25_000])
def test_a_full_disk_never_leaves_a_file_that_seems_whole(tmp_path, limit):
    """pyBigWig goes on when it cannot write, or crashes: the job must end with an error in both cases."""
    program = (
        "from dna_lm.outputs.bigwig import write_bigwig\n"
        "write_bigwig('t.bw', {'a': 10**6}, (('a', k * 2, k * 2 + 1, k % 97 / 7) for k in range(20_000)), {'a'})"
    )

    def small_disk():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT / "tools" / "scripts")},
        preexec_fn=small_disk,
    )
    assert ended.returncode
