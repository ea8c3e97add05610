"""A score belongs to its pair with any instructions of the processor that the libraries may use."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import random_models
from conftest import ROOT
from dna_lm.engine import products
from dna_lm.model import internals

# What an older processor would offer: the limits for oneDNN, torch and Intel's library.
LEVELS = {
    "SSE4.1": ("SSE41", "default", "SSE4_2"),
    "AVX": ("AVX", "default", "AVX"),
    "AVX2": ("AVX2", "avx2", "AVX2"),
}
VARIABLES = ("ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY", "MKL_ENABLE_INSTRUCTIONS")
ORACLES = ROOT / "tests" / "oracles"
PROGRAM = Path(__file__).with_name("same_bits.py")


def levels():
    """`None`, that is all that this machine offers, and lower levels."""
    if platform.machine() != "x86_64":
        return [None]
    has_more = "avx512f" in Path("/proc/cpuinfo").read_text().split()
    return [None, *(name for name in LEVELS if has_more or name != "AVX2")]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Models of both kinds, narrow and so wide that sums have parts, with attention, convolutions, scans, experts."""
    random = {
        family: random_models.save_family(tmp_path_factory.mktemp(family), family, **settings)
        for family, settings in {
            "bert": {"hidden_size": 512, "intermediate_size": 512, "num_hidden_layers": 1},
            "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2},
        }.items()
    }
    return [*random.values(), ORACLES / "caduceus_ps", ORACLES / "hyenadna", ORACLES / "gpn"]


@pytest.mark.cpu
@pytest.mark.parametrize("level", levels())
def test_a_sequence_alone_has_the_bits_that_it_has_with_others(folders, level):
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    environment |= dict(zip(VARIABLES, LEVELS[level], strict=True)) if level else {}
    environment["DNA_LM_DEVICE"] = "cpu"
    done = subprocess.run([sys.executable, PROGRAM, *folders], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.cpu
@pytest.mark.parametrize(("width", "outputs"), [(40, 24), (2, 44), (512, 512), (1024, 32)])
@pytest.mark.parametrize("is_arranged", [False, True])
def test_a_row_of_a_product_has_the_same_bits_whatever_the_number_of_rows(width, outputs, is_arranged):
    generator = torch.Generator().manual_seed(1)
    rows, weight = (torch.randn(n, width, generator=generator) for n in (3072, outputs))
    weight = internals.arranged_for_onednn(weight) if is_arranged else weight
    expected = products.product(rows, weight)
    for n_rows in (1, 2, 31, 32, 33, 64, 100, 320, 500, 700, 1023, 1024, 1025, 2000):
        torch.testing.assert_close(products.product(rows[-n_rows:], weight), expected[-n_rows:], rtol=0, atol=0)
