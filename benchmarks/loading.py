"""Memory and time of loading a large model and scoring two pairs, with random weights of published sizes.

    python benchmarks/loading.py
    python benchmarks/loading.py --models causal-1.1B --stored bfloat16 --precisions float32 --shards 5
    python benchmarks/loading.py --limit

Each load is a separate process. Every 10 ms its anonymous memory (RssAnon) and its mapped files (RssFile) are read from
/proc. Anonymous memory is what the job must be given; mapped files are pages that the kernel can drop and read again.
`--limit` runs each load in a memory cgroup whose limit is the bound, 1.1 times the weights in the wanted precision and
0.5 GB, page cache included. It needs root and version 1 of the memory controller.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import report
import workload

ROOT = Path(__file__).parents[1]
BOUND_FACTOR, BOUND_BYTES = 1.1, 5 * 10**8
SAMPLING_SECONDS = 0.01
CGROUPS = Path("/sys/fs/cgroup/memory")
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
LOADED = ["masked-0.5B", "masked-1.1B", "causal-0.5B", "causal-1.1B", "experts-0.4B"]


def parse_arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=workload.LARGE, default=LOADED)
    parser.add_argument("--stored", nargs="+", choices=BYTES, default=["float32", "bfloat16"])
    parser.add_argument("--precisions", nargs="+", choices=("float32", "bfloat16"), default=["float32", "bfloat16"])
    parser.add_argument("--shards", nargs="+", type=int, default=[1, 5], help="files that the weights are in")
    parser.add_argument("--limit", action="store_true", help="load in a memory cgroup with the bound as its limit")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def make_model(name, stored, n_shards, folder):
    """Write a model folder with random weights; returns how many numbers they are."""
    model = workload.large_model(name, stored)
    n_numbers = sum(parameter.numel() for parameter in model.parameters())
    n_bytes = n_numbers * BYTES[stored]
    model.save_pretrained(folder, max_shard_size=n_bytes if n_shards == 1 else int(1.02 * n_bytes / n_shards))
    workload.single_base_tokenizer().save_pretrained(folder)
    return n_numbers


def child(job):
    """Load a model, score two pairs, and print a line of JSON after each step."""
    sys.path.insert(0, str(ROOT / "tools" / "scripts"))
    started = time.perf_counter()

    def say(step):
        nonlocal started
        print(json.dumps({"step": step, "seconds": time.perf_counter() - started}), flush=True)
        started = time.perf_counter()

    from dna_lm.engine import encoder, loading
    from dna_lm.engine.encoder import Budget, Embedding

    say("libraries")
    load = loading.load_unchecked

    def timed_load(*given):
        loaded = load(*given)
        say("load")
        return loaded

    loading.load_unchecked = timed_load
    checkpoint = loading.load_checkpoint(job["model"], job["precision"])
    say("checks")
    pairs = workload.make_pairs(workload.Size(2, 201))
    tokens = checkpoint.tokenise([sequence for pair in pairs for sequence in pair])
    vectors, _ = encoder.encode(checkpoint, tokens, Embedding(), False, Budget.fitting(checkpoint))
    say("score")
    print(json.dumps({"step": "result", "sum": float(vectors.astype("float64").sum())}), flush=True)


@contextlib.contextmanager
def cgroup(limit):
    """A memory cgroup with a limit, below the one that this process is in. Yields its folder."""
    with open("/proc/self/cgroup") as handle:
        inside = next(line.strip().split(":", 2)[2] for line in handle if ":memory:" in line)
    folder = CGROUPS / inside.lstrip("/") / f"dna_lm_{os.getpid()}"
    folder.mkdir()
    try:
        (folder / "memory.limit_in_bytes").write_text(str(limit))
        yield folder
    finally:
        folder.rmdir()


def forget_cache(folder):
    """Have the kernel drop what it keeps of a model's files in memory."""
    for path in Path(folder).glob("*.safetensors"):
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def sizes(process_id):
    """RssAnon and RssFile of a process, in bytes."""
    with open(f"/proc/{process_id}/status") as handle:
        lines = [line.split() for line in handle if line.startswith(("RssAnon", "RssFile"))]
    return [int(line[1]) * 1024 for line in lines] or [0, 0]


def measure(folder, precision, limit):
    """What a child says after each step, with the highest anonymous memory and resident memory during it."""
    with contextlib.ExitStack() as stack:
        group = stack.enter_context(cgroup(limit)) if limit else None
        join = f"echo $$ > {group}/cgroup.procs && " if group else ""
        # The page cache of a file counts for the cgroup that read it first.
        forget_cache(folder) if group else None
        job = json.dumps({"model": str(folder), "precision": precision})
        process = subprocess.Popen(
            ["/bin/sh", "-c", join + 'exec "$@"', "sh", sys.executable, __file__, "--child", job],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "DNA_LM_DEVICE": "cpu", "HF_HUB_OFFLINE": "1"},
        )
        peak, done = [0, 0], threading.Event()

        def sample():
            while not done.wait(SAMPLING_SECONDS):
                with contextlib.suppress(OSError, ValueError):
                    anonymous, mapped = sizes(process.pid)
                    peak[:] = max(peak[0], anonymous), max(peak[1], anonymous + mapped)

        sampler = threading.Thread(target=sample)
        sampler.start()
        steps = {}
        for line in process.stdout:
            answer = json.loads(line)
            steps[answer.pop("step")] = answer | {"anonymous": peak[0], "resident": peak[1]}
            peak[:] = [0, 0]
        code = process.wait()
        done.set()
        sampler.join()
        if group:
            steps["cache"] = {"failures": int((group / "memory.failcnt").read_text())}
    return steps, code


HEADER = ("model", "files", "stored as", "computed in", "weights, GB", "anonymous, GB", "÷ bound")
HEADER += ("resident, GB", "load, s", "checks, s", "two pairs, s")


def row(name, n_shards, stored, precision, n_numbers, steps, code):
    weights = n_numbers * BYTES[precision]
    start = [name, str(n_shards), stored, precision, f"{weights / 1e9:.2f}"]
    if code:
        return [*start, f"exit code {code}", *[""] * (len(HEADER) - len(start) - 1)]
    steps = {name: step for name, step in steps.items() if "anonymous" in step}
    anonymous, resident = (max(step[kind] for step in steps.values()) for kind in ("anonymous", "resident"))
    seconds = [f"{steps[step]['seconds']:.1f}" for step in ("load", "checks", "score")]
    print(name, n_shards, stored, precision, json.dumps(steps), file=sys.stderr)
    return [*start, f"{anonymous / 1e9:.2f}", f"{anonymous / bound(weights):.2f}", f"{resident / 1e9:.2f}", *seconds]


def bound(weights):
    """The most anonymous memory that a job with so many bytes of weights may take."""
    return BOUND_FACTOR * weights + BOUND_BYTES


def main(argv):
    arguments = parse_arguments(argv)
    if arguments.child:
        child(json.loads(arguments.child))
        return
    rows = []
    for name in arguments.models:
        for stored in arguments.stored:
            for n_shards in arguments.shards:
                with tempfile.TemporaryDirectory(prefix="dna_lm_loading_") as scratch:
                    n_numbers = make_model_apart(name, stored, n_shards, scratch)
                    for precision in arguments.precisions:
                        limit = int(bound(n_numbers * BYTES[precision])) if arguments.limit else None
                        steps, code = measure(scratch, precision, limit)
                        rows.append(row(name, n_shards, stored, precision, n_numbers, steps, code))
    print(report.table(HEADER, rows))


def make_model_apart(*given):
    """`make_model` in another process, whose memory is given back when it ends."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(make_model, *given).result()


if __name__ == "__main__":
    main(sys.argv[1:])
