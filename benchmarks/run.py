"""Compare the suite with the tutorial's code and with its rivals, side by side; see README.md beside this file.

All of it writes its tables into README.md, after each model and size; parts, chosen with options, only print them.
"""

import argparse
import contextlib
import json
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import time
from collections import deque
from pathlib import Path

import host
import report
import workload
from contenders import CONTENDERS
from work import Shape
from workload import ROOT, Size

HERE = Path(__file__).parent
SIZES = ["100x201", "1000x201", "10000x201", "200x1000"]
QUICK_SIZES = ["20x201"]
WARM_UP_PAIRS = 100
MANY_PAIRS = 5000
PRECISIONS = {"cpu": ["float32"], "cuda": ["float32", "bfloat16"]}


def parse_arguments(argv):
    parser = argparse.ArgumentParser(prog='make bench ARGS="..."', description=__doc__)
    parser.add_argument("--models", nargs="+", choices=workload.MODELS, default=list(workload.MODELS))
    parser.add_argument("--sizes", nargs="+", metavar="PAIRSxBASES", default=None, help=f"default: {' '.join(SIZES)}")
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--repeats", type=int, help="default: 3, or 2 of many pairs")
    parser.add_argument("--quick", action="store_true", help=f"see that it runs: {QUICK_SIZES[0]}, 2 repeats")
    parser.add_argument("--device", choices=PRECISIONS, help="default: cuda when torch finds a GPU")
    parser.add_argument("--host", action="store_true", help="what everything but the model costs, by stage")
    arguments = parser.parse_args(argv)
    # With fewer repeats it is still all of it.
    arguments.is_all = vars(arguments) == vars(parser.parse_args([])) | {"repeats": arguments.repeats}
    arguments.sizes = [Size.parse(text) for text in arguments.sizes or (QUICK_SIZES if arguments.quick else SIZES)]
    return arguments


def threads():
    """How many threads every contender computes with."""
    for name in ("GALAXY_SLOTS", "OMP_NUM_THREADS"):
        if os.environ.get(name, "").isdecimal():
            return int(os.environ[name])
    return len(os.sched_getaffinity(0))


class Process:
    """A contender in a separate process."""

    def __init__(self, name, job, scratch):
        self.log = scratch / "log.txt"
        number = str(threads())
        environment = {
            **os.environ,
            **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS", "GALAXY_SLOTS"), number),
            "DNA_LM_DEVICE": job["device"],
            "HF_HUB_OFFLINE": "1",
            "TMPDIR": str(scratch),
            "TORCHINDUCTOR_CACHE_DIR": str(scratch / "compiled"),
        }
        environment.pop("GALAXY_MEMORY_MB", None)
        if job["device"] == "cpu":
            environment["CUDA_VISIBLE_DEVICES"] = ""
        python = ROOT / ".venv" / CONTENDERS[name].environment / "bin" / "python"
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [python, HERE / "contenders.py", name, json.dumps(job)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment,
                # dnallm leaves a log where it runs.
                cwd=scratch,
            )

    def hear(self):
        """Its next answer, a dict."""
        if line := self.process.stdout.readline():
            answer = json.loads(line)
        else:
            code = self.process.wait()
            answer = {"failed": f"ended by signal {-code}, as when memory is out" if code < 0 else f"exit code {code}"}
        if "failed" in answer:
            with open(self.log) as log:
                print(*deque(log, maxlen=20), sep="", file=sys.stderr)
        return answer

    def ask(self, **order):
        with contextlib.suppress(BrokenPipeError):  # it has ended: what is heard next says so
            self.process.stdin.write(json.dumps(order) + "\n")
            self.process.stdin.flush()
        return self.hear()

    def close(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


class Bench:
    """Inputs in a scratch folder, and the measuring."""

    def __init__(self, arguments, device, scratch):
        self.arguments = arguments
        self.device = device
        self.scratch = scratch
        self.versions = {}
        self.where_time_goes = []
        # Of the whole file as one batch, by model, bases and precision: bytes, and the most pairs that took them.
        self.whole_file = {}

    def cells(self):
        """Measure and yield one `report.Cell` after the other."""
        for model in self.arguments.models:
            if not any(size.fits(model, self.device) for size in self.arguments.sizes):
                continue
            folder = workload.make_model(model, self.scratch / model)
            for size in self.arguments.sizes:
                names = [name for name in self.arguments.contenders if self.can(name, model)]
                for precision in PRECISIONS[self.device] if size.fits(model, self.device) and names else ():
                    yield self.cell(model, folder, size, precision, names)

    def can(self, name, model):
        contender = CONTENDERS[name]
        return model in contender.models and (self.device == "cpu" or contender.on_gpu)

    def cell(self, model, folder, size, precision, names):
        say(f"{model}, {size}, {precision}")
        pairs = workload.make_pairs(size)
        inputs = workload.write_pairs(self.scratch / f"{size.pairs}x{size.bases}", pairs)
        # On a GPU the first batches of full size take longer: torch asks for memory and loads kernels.
        n_warm_up = WARM_UP_PAIRS if self.device == "cpu" else size.pairs
        warm_up = workload.write_pairs(self.scratch / f"warm_up_{n_warm_up}x{size.bases}", pairs[:n_warm_up])
        shape = Shape.of(workload.read_config(folder))
        tokens = workload.tokenise_pairs(folder, pairs)
        cell = report.Cell(model, size, precision, shape, {})
        processes = {}
        try:
            for name in names:
                contender = CONTENDERS[name]
                if name != "ceiling":
                    cell.outcomes[name] = report.Outcome(contender.title, contender.reads(tokens, shape.is_causal))
                if size.pairs > contender.most_pairs:
                    cell.outcomes[name].reason = f"not run: its rate is that of {contender.most_pairs:,} pairs"
                    continue
                scratch = self.scratch / name
                scratch.mkdir(exist_ok=True)
                job = {
                    "model": str(folder),
                    "scratch": str(scratch),
                    "device": self.device,
                    "precision": precision,
                    "bases": size.bases,
                    "is_causal": shape.is_causal,
                    "measured": self.whole_file.get((model, size.bases, precision)),
                }
                processes[name] = Process(name, job, scratch)
                if self.note(cell, name, processes, processes[name].hear()):
                    self.note(cell, name, processes, processes[name].ask(run=str(warm_up)), warm_up=True)
            for _ in range(self.repeats(size)):
                for name in list(processes):
                    answer = processes[name].ask(run=str(inputs))
                    if self.note(cell, name, processes, answer):
                        say(f"  {name}: {answer.get('seconds', 0):.2f} s")
            if "ours" in processes:
                spent = processes["ours"].ask(profile=str(inputs))
                if self.note(cell, "ours", processes, spent, warm_up=True):
                    self.where_time_goes.append((cell, spent))
        finally:
            for process in processes.values():
                process.close()
        if cell.ran("tutorial-whole"):
            whole = cell.outcomes["tutorial-whole"]
            self.whole_file[model, size.bases, precision] = max(whole.peaks) - whole.held, size.pairs
        return cell

    def repeats(self, size):
        if self.arguments.repeats:
            return self.arguments.repeats
        return 2 if self.arguments.quick or size.pairs > MANY_PAIRS else 3

    def note(self, cell, name, processes, answer, warm_up=False):
        """Keep what an answer says. False when the contender cannot go on: then its process is closed."""
        outcome = cell.outcomes.get(name)
        if outcome and not warm_up and answer.get("scored", outcome.reading.scored) != outcome.reading.scored:
            answer = {"failed": f"it scored {answer['scored']} pairs where {outcome.reading.scored} were expected"}
        if reason := answer.get("refused") or answer.get("failed"):
            say(f"  {name}: {reason}")
            if outcome:
                outcome.reason = f"not run: {reason}" if "refused" in answer else reason
            processes.pop(name).close()
            return False
        if "versions" in answer:
            self.versions |= answer["versions"]
            if outcome:
                outcome.held = answer["held"]
        elif "rates" in answer and not warm_up:
            for product, rate in answer["rates"].items():
                cell.ceilings.setdefault(product, []).append(rate)
        elif outcome and not warm_up:
            outcome.seconds.append(answer["seconds"])
            outcome.peaks.append(answer["peak"])
            outcome.computed = answer.get("computed")
        return True


def say(text):
    print(text, file=sys.stderr, flush=True)


def machine(device):
    """One line about the hardware."""
    with open("/proc/cpuinfo") as handle:
        cpu = next(line.split(":", 1)[1].strip() for line in handle if line.startswith("model name"))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    gpu = ""
    if device == "cuda":
        import torch

        gpu = f"{torch.cuda.get_device_name()}, "
    return f"{gpu}{cpu}, {threads()} of {os.cpu_count()} cores used, {memory:.0f} GB of memory"


def written(cells, bench, command):
    """All tables in Markdown."""
    versions = ", ".join(f"{name} {version}" for name, version in bench.versions.items())
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    parts = [
        f"- machine: {machine(bench.device)}\n"
        f"- versions: Python {platform.python_version()}, {versions}; suite at {commit.stdout.strip() or 'no commit'}\n"
        f"- date: {time.strftime('%Y-%m-%d')}, command: `{command}`",
        "### Ours against the others",
        report.ratios(cells),
    ]
    for model in dict.fromkeys(cell.model for cell in cells):
        parts += [
            f"### {model}: {workload.MODELS[model]}",
            report.results([cell for cell in cells if cell.model == model]),
        ]
    parts += ["### The ceilings, in GFLOP/s", report.ceilings(cells)]
    if bench.where_time_goes:
        parts += ["### Where ours spends its time", where_time_goes(bench.where_time_goes)]
    return "\n\n".join(parts)


def where_time_goes(profiles):
    rows = []
    for cell, spent in profiles:
        kernels = "" if spent["kernels"] is None else f"{spent['kernels'] / spent['total']:.0%}"
        share = f"{spent['tokeniser'] / spent['total']:.1%}"
        rows.append([cell.model, str(cell.size), cell.precision, f"{spent['total']:.2f}", share, kernels])
    header = ["model", "pairs × bases", "precision", "seconds", "in the tokeniser", "in the GPU's kernels"]
    return report.table(header, rows)


def main(argv):
    arguments = parse_arguments(argv)
    if arguments.host:
        host.run()
        return
    device = arguments.device
    if device is None:
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
    command = "make bench" + (f' ARGS="{shlex.join(argv)}"' if argv else "")
    with tempfile.TemporaryDirectory(prefix="dna_lm_bench_") as scratch:
        bench = Bench(arguments, device, Path(scratch))
        cells = []
        for cell in bench.cells():
            cells.append(cell)
            text = written(cells, bench, command)
            if arguments.is_all:
                readme = HERE / "README.md"
                readme.write_text(report.replace_between_markers(readme.read_text(), f"results on {device}", text))
            else:
                # At once: the rest may be stopped.
                say(report.results([cell]))
    print(text)


if __name__ == "__main__":
    main(sys.argv[1:])
