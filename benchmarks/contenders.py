"""The programs that are compared. Run as a program, this file is one of them: it answers orders on stdin, line by line.

    python contenders.py ours '{"model": "...", "scratch": "...", ...}'

It says what it holds and which versions it runs once its model is loaded, and then answers {"run": folder} with the
seconds that the pairs of that folder took, from their files to their scores, and its memory. Every answer is a line of
JSON, also what goes wrong. The functions below start a contender: they load what it needs and return its run.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import work

SCRIPTS = Path(__file__).parents[1] / "tools" / "scripts"
TUTORIAL_BATCH = 100
# As many as ours has at once.
BATCHED_TOKENS = {"cpu": 3072, "cuda": 65536}
# Of the memory that is free, what a run may be expected to take.
USABLE = 0.9
# Rows and columns of the two matrices whose product is the ceiling.
CEILING_WIDTH = {"cpu": 4096, "cuda": 16384}
CEILING_SECONDS = 0.5


class Refused(Exception):
    """Why a contender does not do a run."""


@dataclass(frozen=True)
class Contender:
    """`environment`: the virtual environment it runs in. `reads`: what it computes, a function of `work`."""

    title: str
    start: Callable
    models: tuple[str, ...]
    reads: Callable
    environment: str = "tools"
    on_gpu: bool = True
    most_pairs: int = 10**9


def ours(job, score="l2", strand="forward"):
    sys.path.insert(0, str(SCRIPTS))
    from dna_lm.engine.loading import load_checkpoint
    from dna_lm.model.checkpoint import Checkpoint
    from dna_lm.outputs import tables
    from dna_lm.pairs.source import PairSource
    from dna_lm.scoring import job as scoring_job
    from dna_lm.scoring.rows import pair_cells
    from dna_lm.scoring.settings import Settings

    loaded = load_checkpoint(job["model"], job["precision"])
    settings = Settings(strand=strand, scores=(score,))

    def run(folder):
        source = PairSource(folder / "wild_type.fasta", folder / "mutant.fasta")
        output = Path(job["scratch"]) / "scores.tsv"
        tally = scoring_job.run(
            lambda: loaded, settings, source, lambda _facts: [(output, lambda path: tables.table(path, pair_cells))]
        )
        return {"computed": tally.budget.computed}

    run.where_time_goes = lambda folder: _where_time_goes(Checkpoint, run, folder)
    return run


def ours_llr(job):
    return ours(job, "llr")


def ours_llr_both(job):
    return ours(job, "llr", "mean")


def _where_time_goes(checkpoint_class, run, folder):
    """Seconds of a run: in all, in the tokeniser, and in the GPU's kernels (`None` without one)."""
    import torch

    tokenise, spent = checkpoint_class.tokenise, []

    def timed(self, *arguments):
        started = time.perf_counter()
        tokens = tokenise(self, *arguments)
        spent.append(time.perf_counter() - started)
        return tokens

    checkpoint_class.tokenise = timed
    try:
        if not torch.cuda.is_available():
            started = time.perf_counter()
            run(folder)
            return {"total": time.perf_counter() - started, "tokeniser": sum(spent), "kernels": None}
        activities = [torch.profiler.ProfilerActivity.CUDA]
        # The first profile of a process takes seconds to start.
        with torch.profiler.profile(activities=activities):
            torch.cuda.synchronize()
        with torch.profiler.profile(activities=activities) as profile:
            started = time.perf_counter()
            run(folder)
            torch.cuda.synchronize()
            total = time.perf_counter() - started
        kernels = sum(event.self_device_time_total for event in profile.key_averages()) / 1e6
        return {"total": total, "tokeniser": sum(spent), "kernels": kernels}
    finally:
        checkpoint_class.tokenise = tokenise


def tutorial(job, batch=TUTORIAL_BATCH):
    import torch
    import transformers
    from Bio import SeqIO

    tokenizer = transformers.AutoTokenizer.from_pretrained(job["model"], use_fast=True)
    # The notebook's version of transformers loads float32 unless told otherwise, newer ones do not.
    model = transformers.AutoModelForCausalLM.from_pretrained(job["model"], dtype=getattr(torch, job["precision"]))
    model.config.pad_token_id = tokenizer.pad_token_id
    # On the CPU, where the notebook's model is, this and the `to` below do nothing.
    model.to(job["device"])

    # The notebook's two functions, as it writes them: gradients are not turned off.
    def computeEmbedding(seqs):
        tokenized_dna = tokenizer(
            seqs,
            return_tensors="pt",
            padding=True,
        )
        inputs_seqs = tokenized_dna["input_ids"].to(model.device)
        hidden_states = model(inputs_seqs)[0].detach().cpu()
        return torch.max(hidden_states, dim=1)[0]

    def computeMutationEffect(wt_seqs, mut_seqs):
        wt_embedding = computeEmbedding(wt_seqs)
        mut_embedding = computeEmbedding(mut_seqs)
        return torch.norm(mut_embedding - wt_embedding, dim=1)

    def read(path):
        with open(path) as handle:
            return [str(record.seq) for record in SeqIO.parse(handle, "fasta")]

    def run(folder):
        wild_types, mutants = read(folder / "wild_type.fasta"), read(folder / "mutant.fasta")
        step = batch or len(wild_types)
        for start in range(0, len(wild_types), step):
            computeMutationEffect(wild_types[start : start + step], mutants[start : start + step])
        return {}

    return run


def batched(job):
    """The best loop over batches that transformers' documented interface allows, for the score that ours gives.

    Sorted by length, so that hardly anything is padded; as many tokens at once as ours; wild types and mutants
    together; no gradients, and padding is not pooled.
    """
    import numpy as np
    import torch
    import transformers
    from Bio import SeqIO

    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(job["model"])
    model_class = transformers.AutoModelForCausalLM if job["is_causal"] else transformers.AutoModelForMaskedLM
    model = model_class.from_pretrained(job["model"], dtype=getattr(torch, job["precision"])).to(job["device"])
    options = {"use_cache": False} if job["is_causal"] else {}

    @torch.inference_mode()
    def run(folder):
        texts = [
            str(record.seq)
            for name in ("wild_type.fasta", "mutant.fasta")
            for record in SeqIO.parse(folder / name, "fasta")
        ]
        numbered = [_Numbered(ids, number) for number, ids in enumerate(tokenizer(texts)["input_ids"])]
        vectors, computed = None, 0
        for batch in work.batches_by_length(numbered, BATCHED_TOKENS[job["device"]]):
            padded = tokenizer.pad({"input_ids": [list(ids) for ids in batch]}, return_tensors="pt").to(model.device)
            computed += padded["input_ids"].numel()
            logits = model(**padded, **options).logits
            logits.masked_fill_(padded["attention_mask"][..., None] == 0, -torch.inf)
            pooled = logits.amax(dim=1).float().cpu().numpy()
            vectors = np.empty((len(texts), pooled.shape[1]), np.float32) if vectors is None else vectors
            vectors[[ids.number for ids in batch]] = pooled
        wild_types, mutants = np.split(vectors.astype(np.float64), 2)
        np.savetxt(Path(job["scratch"]) / "scores.txt", np.linalg.norm(mutants - wild_types, axis=1))
        return {"computed": computed}

    return run


class _Numbered(list):
    """Token ids, and which sequence they are of."""

    def __init__(self, ids, number):
        super().__init__(ids)
        self.number = number


def tutorial_whole_file(job):
    run_all = tutorial(job, batch=None)
    memory = Memory(job["device"])
    at_start = memory.held()
    # Bytes that a run of so many pairs took: in another process with fewer pairs, or here in the warm-up.
    measured = job["measured"]

    def run(folder):
        nonlocal measured
        n_pairs = _count_records(folder / "wild_type.fasta")
        held = memory.held()
        if measured and job["device"] == "cpu":
            grown, of_pairs = measured
            needed = grown * n_pairs / of_pairs
            # What the warm-up left in this process is used again.
            free = _kilobytes("/proc/meminfo", "MemAvailable") + held - at_start
            if needed > USABLE * free:
                raise Refused(
                    f"would need about {needed / 1e9:.0f} GB for its one batch ({grown / 1e9:.2f} GB were measured for "
                    f"{of_pairs:,} pairs) where {free / 1e9:.0f} GB are free"
                )
        answered = run_all(folder)
        measured = measured or (memory.peak() - at_start, n_pairs)
        return answered

    return run


def _count_records(path):
    with open(path) as handle:
        return sum(line.startswith(">") for line in handle)


def dnallm(job):
    from dnallm.configuration.configs import TaskConfig
    from dnallm.inference.vep import evaluate_vcf
    from dnallm.models import load_model_and_tokenizer

    paradigm, task = ("clm", "generation") if job["is_causal"] else ("mlm", "mask")
    model, tokenizer = load_model_and_tokenizer(job["model"], TaskConfig(task_type=task), source="local")

    def run(folder):
        # The window is cut at the ends of a record, so this one is always the whole record.
        result = evaluate_vcf(
            model,
            tokenizer,
            folder / "variants.vcf",
            folder / "wild_type.fasta",
            paradigm=paradigm,
            context_window=job["bases"],
            output_dir=job["scratch"],
        )
        return {"scored": result.evaluated}

    return run


def gpn(job):
    import pandas
    from gpn.data import Genome, load_dataset_from_file_or_dir
    from gpn.ss.run_vep import MLMforVEPModel, run_vep
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(job["model"])
    model = MLMforVEPModel(job["model"])

    # What `python -m gpn.ss.run_vep` does with its arguments, which is no function.
    def run(folder):
        variants = load_dataset_from_file_or_dir(str(folder / "variants.vcf"), is_file=True)
        genome = Genome(str(folder / "wild_type.fasta"))
        scores = run_vep(variants, genome, job["bases"], tokenizer, model, n_prefix=1)
        pandas.DataFrame(scores, columns=["score"]).to_parquet(Path(job["scratch"]) / "scores.parquet", index=False)
        return {"scored": len(scores)}

    return run


def ceiling(job):
    """The floating-point operations a second of one large product, by torch and by the oneDNN that torch carries."""
    import torch

    width, device = CEILING_WIDTH[job["device"]], job["device"]
    first, second = (torch.randn(width, width, device=device, dtype=getattr(torch, job["precision"])) for _ in "ab")
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None

    def rate(product):
        count, started = 0, time.perf_counter()
        while not count or time.perf_counter() - started < CEILING_SECONDS:
            product()
            wait()
            count += 1
        return count * 2 * width**3 / (time.perf_counter() - started)

    def run(_):
        with torch.inference_mode():
            rates = {"torch": rate(lambda: torch.mm(first, second))}
            if device == "cpu" and torch.backends.mkldnn.is_available():
                product = torch.ops.mkldnn._linear_pointwise
                rates["onednn"] = rate(lambda: product(first, second, None, "none", [], ""))
        return {"rates": rates}

    return run


CAUSAL, MASKED = ("17M", "demo"), ("masked",)
CAUSAL_LARGE = ("causal-138M", "causal-1.1B")
LARGE = ("masked-100M", *CAUSAL_LARGE, "masked-0.5B")
TUTORIAL_READS = partial(work.padded, batch=TUTORIAL_BATCH)
RIVALS = {"environment": "bench", "on_gpu": False, "most_pairs": 1000}
BOTH_STRANDS = partial(work.masked, strands=2)
CONTENDERS = {
    "ceiling": Contender("ceiling", ceiling, (*CAUSAL, *MASKED, *LARGE), work.nothing),
    "ours": Contender("ours", ours, (*CAUSAL, *LARGE), work.prefix_once_or_whole),
    "batched": Contender(
        "transformers, best batches",
        batched,
        (*CAUSAL, *LARGE),
        partial(work.by_length, tokens=BATCHED_TOKENS["cpu"]),
        most_pairs=1000,
    ),
    "ours-llr": Contender("ours, llr", ours_llr, (*CAUSAL, *MASKED), work.shared_or_masked),
    "ours-llr-both": Contender(
        "ours, llr, both strands", ours_llr_both, MASKED, partial(BOTH_STRANDS, whole_head=False)
    ),
    "tutorial-100": Contender(
        "tutorial, 100 a batch",
        tutorial,
        (*CAUSAL, "causal-138M", "causal-1.1B"),
        partial(work.padded, batch=TUTORIAL_BATCH),
    ),
    "tutorial-whole": Contender("tutorial, whole file", tutorial_whole_file, CAUSAL, work.padded),
    "dnallm": Contender("dnallm", dnallm, (*CAUSAL, *MASKED), work.one_token_changes, **RIVALS),
    "gpn": Contender("gpn", gpn, MASKED, BOTH_STRANDS, **RIVALS),
}


def _kilobytes(file, name):
    """Bytes of an entry of a file in /proc that counts kilobytes."""
    with open(file) as handle:
        return next(int(line.split()[1]) * 1024 for line in handle if line.startswith(f"{name}:"))


class Memory:
    """Bytes that this process holds: resident ones, or those of the GPU that torch has given it."""

    def __init__(self, device):
        self.gpu = None
        if device == "cuda":
            import torch

            self.gpu = torch.cuda

    def held(self):
        """What is held now, from which the peak counts anew."""
        if self.gpu:
            self.gpu.synchronize()
            self.gpu.reset_peak_memory_stats()
            return self.gpu.memory_allocated()
        # Documented in proc(5): 5 resets the peak.
        Path("/proc/self/clear_refs").write_text("5")
        return _kilobytes("/proc/self/status", "VmRSS")

    def peak(self):
        if self.gpu:
            self.gpu.synchronize()
            return self.gpu.max_memory_allocated()
        return _kilobytes("/proc/self/status", "VmHWM")


def answer(run, order, memory):
    """What is said to an order: {"run": folder} or {"profile": folder}."""
    if folder := order.get("profile"):
        return run.where_time_goes(Path(folder))
    memory.held()
    started = time.perf_counter()
    try:
        answered = run(Path(order["run"]))
    except Refused as reason:
        return {"refused": str(reason)}
    # `peak` waits for the GPU, so the clock is read after it.
    peak, seconds = memory.peak(), time.perf_counter() - started
    # The contenders share the GPU: what torch keeps for the next batch is not free for the others.
    if memory.gpu:
        memory.gpu.empty_cache()
    return answered | {"seconds": seconds, "peak": peak}


def main(name, job):
    # Whatever the libraries print goes to stderr: stdout carries the answers alone.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(message):
        print(json.dumps(message), file=answers, flush=True)

    try:
        run = CONTENDERS[name].start(job)
        memory = Memory(job["device"])
        versions = {
            package: metadata.version(package) for package in ("torch", "transformers", name) if find_spec(package)
        }
        say({"held": memory.held(), "versions": versions})
        for line in sys.stdin:
            say(answer(run, json.loads(line), memory))
    except Exception as error:  # a rival may fail in any way, and how it does is its result
        say({"failed": f"{type(error).__name__}: {error}".strip().splitlines()[0]})
        raise


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
