"""Where the fixtures are, and a way to run a script as Galaxy does."""

import contextlib
import csv
import io
import os
import random
import re
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import settings

from dna_lm import environment

# Property tests have the same examples on every machine; tests/fuzz.py, which takes the other profile, draws new ones.
settings.register_profile("same", derandomize=True, database=None, deadline=None)
settings.register_profile("new", derandomize=False, database=None, deadline=None, print_blob=True)
settings.load_profile("same")

ROOT = Path(__file__).parents[2]
TEST_DATA = ROOT / "test-data"


def pytest_configure(config):
    """Declare the marker, and begin as a script does: before any module uses torch."""
    environment.keep_bits()
    environment.stay_offline()
    environment.share_processors()
    config.addinivalue_line("markers", "cpu: states what only the CPU promises, such as the same bits in every batch")


def pytest_collection_modifyitems(config, items):
    """Leave out, and count as deselected, what only the CPU promises when `DNA_LM_DEVICE` names a GPU."""
    if not os.environ.get("DNA_LM_DEVICE", "cpu").startswith("cuda"):
        return
    of_cpu = [
        item for item in items if item.get_closest_marker("cpu") or {"one_thread", "threads"} & {*item.fixturenames}
    ]
    config.hook.pytest_deselected(items=of_cpu)
    items[:] = [item for item in items if item not in of_cpu]


def read_table(path):
    """The rows of a tab-separated table: dicts of text."""
    with open(path, newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t", quoting=csv.QUOTE_NONE))


def assert_refused(done, message, folder):
    """One line that says `message`, no traceback, exit code 1, and no output in the folder."""
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and re.search(message, errors[0]), done.stderr
    assert done.stderr.splitlines()[0] == errors[0] and done.returncode == 1
    assert not list(folder.glob("out.*")) and not list(folder.glob(".partial-*"))


def script_runner(folder, monkeypatch):
    """A function that runs `tools/scripts/NAME ARGUMENTS` in `folder` and captures how it ends and what it says.

    The script runs as `__main__` in the tests' own process: importing torch anew for each run takes seconds.
    """

    def run(name, *arguments):
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        code = 0
        with contextlib.redirect_stdout(io.StringIO()) as stdout, contextlib.redirect_stderr(io.StringIO()) as stderr:
            try:
                runpy.run_path(str(ROOT / "tools" / "scripts" / name), run_name="__main__")
            except SystemExit as end:
                code = end.code or 0
        return SimpleNamespace(returncode=code, stdout=stdout.getvalue(), stderr=stderr.getvalue())

    return run


@pytest.fixture
def run_script(tmp_path, monkeypatch):
    """Run a script in an empty folder: see `script_runner`."""
    return script_runner(tmp_path, monkeypatch)


@pytest.fixture
def one_thread():
    """torch computes on one thread: then most scores are the same to the last bit in every batch."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def random_mixtral(tmp_path_factory):
    """A folder with a Mixtral of random weights, wide enough to route to every expert, and a BPE tokenizer."""
    return save_random_mixtral(tmp_path_factory.mktemp("mixtral"))


def save_random_mixtral(folder, seed=0, **config):
    import torch
    from tokenizers import processors
    from transformers import MixtralConfig, MixtralForCausalLM, PreTrainedTokenizerFast

    from bpe import train_bpe

    specials = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    letters = random.Random(seed)
    tokenizer = train_bpe(("".join(letters.choices("ACGT", k=300)) for _ in range(50)), 300, specials)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    names = dict(zip(("unk_token", "cls_token", "sep_token", "pad_token", "mask_token"), specials, strict=True))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    torch.manual_seed(seed)
    settings = {
        "vocab_size": 300,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
        "max_position_embeddings": 256,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 3,
        "initializer_range": 0.3,
    }
    MixtralForCausalLM(MixtralConfig(**settings | config)).save_pretrained(folder)
    return folder
