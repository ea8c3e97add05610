"""What holds on a GPU: the CPU's scores within rounding, memory that runs out, two jobs on one card.

Run by `make test-gpu`, with tests/unit in PYTHONPATH. `DNA_LM_TEST_DEVICE=cpu` compares the CPU with itself, which
tests these tests.
"""

import os
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from conftest import ROOT, TEST_DATA, read_table
from dna_lm.engine import encoder
from dna_lm.engine.encoder import Budget, Embedding
from dna_lm.engine.loading import load_checkpoint
from dna_lm.inputs import fasta
from dna_lm.statuses import OK
from scored import score_pairs

DEVICE = os.environ.get("DNA_LM_TEST_DEVICE", "cuda")
SCRIPT = ROOT / "tools" / "scripts" / "score_pairs.py"
PAIRS = (TEST_DATA / "snv_wild_type.fasta", TEST_DATA / "snv_mutant.fasta")
CAUSAL = ("demo-mixtral", "tiny-gpt2", "tiny-llama", "tiny-mamba", "tiny-mistral", "tiny-gpt-neox")
MASKED = ("tiny-bert", "tiny-esm", "tiny-modernbert")
# Of the largest score. Products of float32 numbers round in another order: some 1e-6 of a hidden state, and a distance
# is the difference of two.
FLOAT32_TOLERANCE = 1e-4
# Of bfloat16 with float32 on one device. On a CPU it is 0.90 for the demonstration model, which is small and sends some
# tokens to other experts.
BFLOAT16_RANK_CORRELATION = 0.85

needs_cuda = pytest.mark.skipif(DEVICE != "cuda", reason="the CPU takes the GPU's place")


@cache
def loaded(name, device, precision="float32"):
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DNA_LM_DEVICE", device)
        return load_checkpoint(TEST_DATA / "models" / name, precision)


@cache
def scores_on(name, device, precision="float32", pooling="max", wanted=("l2", "llr")):
    """Scores of the pairs that the model reads, and all statuses."""
    pairs = list(fasta.pairs_by_order(*PAIRS))
    # The smallest models read few tokens.
    chosen = {"embedding": Embedding(pooling=pooling), "truncate": True}
    rows = score_pairs(loaded(name, device, precision), pairs, wanted, **chosen)
    read = [row for row in rows if row.status == OK]
    assert len(read) > 20
    return {score: np.array([row.scores[score] for row in read]) for score in wanted}, [row.status for row in rows]


def test_the_model_is_on_the_gpu():
    assert loaded("demo-mixtral", DEVICE).device.type == DEVICE


@pytest.mark.parametrize("pooling", ["max", "mean", "last"])
@pytest.mark.parametrize("name", CAUSAL + MASKED)
def test_scores_are_those_of_the_cpu(name, pooling):
    (expected, of_cpu), (found, of_gpu) = (scores_on(name, device, pooling=pooling) for device in ("cpu", DEVICE))
    assert of_gpu == of_cpu
    for score in expected:
        tolerance = FLOAT32_TOLERANCE * abs(expected[score]).max()
        np.testing.assert_allclose(found[score], expected[score], rtol=0, atol=tolerance, err_msg=score)


def test_float32_is_not_shortened():
    """TF32 has 10 bits instead of 23."""
    assert not torch.backends.cuda.matmul.allow_tf32
    assert loaded("demo-mixtral", DEVICE) and (DEVICE == "cpu" or not torch.backends.cudnn.allow_tf32)


@needs_cuda
def test_attention_needs_no_program_for_each_shape():
    assert loaded("demo-mixtral", DEVICE) and not torch.backends.cuda.cudnn_sdp_enabled()


def test_bfloat16_ranks_pairs_as_float32_does():
    precise, rough = (scores_on("demo-mixtral", DEVICE, name)[0]["l2"] for name in ("float32", "bfloat16"))
    assert spearmanr(precise, rough).statistic > BFLOAT16_RANK_CORRELATION


def score_table(folder, name, *options, before=""):
    """A process that scores the pairs with the demo model, and its table; `before`: what it runs first."""
    table = folder / name
    program = f"{before}\nimport runpy, sys\nsys.argv[0] = {str(SCRIPT)!r}\n"
    program += "runpy.run_path(sys.argv[0], None, '__main__')"
    command = [sys.executable, "-c", program, "--wild-type", PAIRS[0], "--mutant", PAIRS[1], "--output", table]
    command += ["--model", TEST_DATA / "models" / "demo-mixtral", *options]
    environment = os.environ | {"DNA_LM_DEVICE": DEVICE, "PYTHONPATH": str(SCRIPT.parent)}
    return subprocess.Popen(list(map(str, command)), env=environment, stderr=subprocess.PIPE, text=True), table


def test_two_jobs_share_a_gpu(tmp_path):
    jobs = [score_table(tmp_path, f"{number}.tsv") for number in range(2)]
    for process, _ in jobs:
        _, errors = process.communicate(timeout=600)
        assert process.returncode == 0, errors
        assert f"float32 on {DEVICE}" in errors
    first, second = ([float(row["l2"]) for row in read_table(table)] for _, table in jobs)
    np.testing.assert_allclose(first, second, rtol=FLOAT32_TOLERANCE)


@needs_cuda
def test_when_memory_runs_out_smaller_batches_give_the_same_scores():
    checkpoint = loaded("demo-mixtral", DEVICE)
    sequences = [record.sequence for pair in fasta.pairs_by_order(*PAIRS) for record in pair]
    tokens = checkpoint.tokenise([10 * sequence for sequence in sequences])
    tokens = [ids[: checkpoint.max_tokens] for ids in tokens]
    expected, _ = encoder.encode(checkpoint, tokens, Embedding(), False, Budget(3000))
    torch.cuda.empty_cache()
    budget = Budget(10**6)
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_allocated() + 2**28) / total)
    try:
        found, _ = encoder.encode(checkpoint, tokens, Embedding(), False, budget)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert budget.tokens < 10**6
    np.testing.assert_allclose(found, expected, rtol=0, atol=FLOAT32_TOLERANCE * abs(expected).max())


@needs_cuda
def test_a_job_without_memory_exits_with_137(tmp_path):
    too_little = "import torch; torch.cuda.set_per_process_memory_fraction(1e-6)"
    process, table = score_table(tmp_path, "out.tsv", before=too_little)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 137 and "ran out of memory" in errors and not table.exists(), errors
