"""What everything but the model costs: processor time for each token given, by stage; the model is left out.

    make bench ARGS="--host"

The trunk returns one number a token without computing it, and the head hands it on, so that what remains is what a GPU
waits for: reading, tokenising, the tree of prefixes, indices and masks of attention, pooling (its calls, hardly any
arithmetic) and the rows of the table. A stage's time is without the stages that it calls. It is processor time of one
thread, which depends less on what else the machine does. On a GPU, reading, the tokeniser, and the statuses and ends
run in another thread while the GPU computes, so the rest is what it may wait for: the critical path.
"""

import os
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from functools import wraps
from itertools import chain, islice
from pathlib import Path
from statistics import median
from types import SimpleNamespace

import report
import workload
from workload import ROOT, Size

REPEATS = 5
TOKENS_AT_ONCE = 65536
ITEMS_AT_ONCE = 512
# Stages that run in another thread where a GPU computes.
AHEAD = ("reading", "tokeniser", "statuses and ends")


class Clock:
    """Seconds by stage: a stage's clock stops while another one, which it calls, runs."""

    def __init__(self):
        self.seconds, self.stages, self.since = Counter(), ["rest"], time.process_time()

    def switch(self):
        now = time.process_time()
        self.seconds[self.stages[-1]] += now - self.since
        self.since = now

    def timed(self, stage, function):
        @wraps(function)
        def run(*arguments, **options):
            self.switch()
            self.stages.append(stage)
            try:
                return function(*arguments, **options)
            finally:
                self.switch()
                self.stages.pop()

        return run

    def timed_items(self, stage, items):
        """The items, taken many at a time: reading the clock takes time."""
        items = iter(items)
        following = self.timed(stage, lambda: list(islice(items, ITEMS_AT_ONCE)))
        return chain.from_iterable(iter(following, []))


def run(n_pairs=3000, n_bases=201, repeats=REPEATS):
    """Print the table."""
    os.environ |= {"RAYON_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "DNA_LM_DEVICE": "cpu"}
    sys.path.insert(0, str(ROOT / "tools" / "scripts"))
    from dna_lm.engine import encoder, forward, pooling
    from dna_lm.engine.loading import load_checkpoint
    from dna_lm.inputs import fasta
    from dna_lm.model.checkpoint import Checkpoint
    from dna_lm.outputs import tables
    from dna_lm.scoring import pipeline
    from dna_lm.scoring.rows import pair_cells
    from dna_lm.scoring.settings import Settings

    with tempfile.TemporaryDirectory(prefix="dna_lm_host_") as scratch:
        loaded = load_checkpoint(workload.make_model("17M", Path(scratch) / "17M"))
        folder = workload.write_pairs(Path(scratch) / "pairs", workload.make_pairs(Size(n_pairs, n_bases)))

        def nothing(ids, **_):
            return SimpleNamespace(last_hidden_state=ids[..., None].float())

        nothing.config = loaded.trunk.config
        loaded = replace(loaded, trunk=nothing, head=lambda states: states, vocabulary_size=1)
        stages = [
            ("tokeniser", Checkpoint, "tokenise"),
            ("statuses and ends", pipeline, "_tokenise"),
            ("tree", encoder, "PrefixTree"),
            ("attention", forward, "TreeAttention"),
            ("pooling", pooling, "pool_sequences"),
            ("batches and results", encoder, "encode_and_predict"),
        ]
        originals = [(owner, name, getattr(owner, name)) for _, owner, name in stages]
        # Pooled in the calls and in the slices that a GPU gets.
        of_gpu = {"_Pools": pooling._PoolsAtOnce, "_SLICES": dict.fromkeys(pooling._SLICES, pooling._SLICES["cuda"])}
        of_cpu = {name: getattr(pooling, name) for name in of_gpu}
        vars(pooling).update(of_gpu)
        runs = []
        try:
            for _ in range(repeats + 1):
                clock = Clock()
                for (stage, *_), (owner, name, original) in zip(stages, originals, strict=True):
                    setattr(owner, name, clock.timed(stage, original))
                budget = encoder.Budget(TOKENS_AT_ONCE)
                pairs = clock.timed_items(
                    "reading", fasta.pairs_by_order(folder / "wild_type.fasta", folder / "mutant.fasta")
                )
                items = (pipeline.Item(None, *pair) for pair in pairs)
                with tables.table(Path(scratch) / "scores.tsv", pair_cells) as write:
                    for _, row in pipeline.score(loaded, items, Settings(), budget):
                        write(row)
                clock.switch()
                runs.append({stage: seconds / budget.given for stage, seconds in clock.seconds.items()})
        finally:
            vars(pooling).update(of_cpu)
            for owner, name, original in originals:
                setattr(owner, name, original)
    # The first run warms up.
    runs = runs[1:]
    rows = [["rows and table" if s == "rest" else s, *_figures([r[s] for r in runs])] for s in runs[0]]
    rows.append(["total", *_figures([sum(r.values()) for r in runs])])
    rows.append(["critical path", *_figures([sum(r.values()) - sum(r[s] for s in AHEAD) for r in runs])])
    print(f"{n_pairs:,} pairs of {n_bases} bases, {budget.given:,} tokens given, {TOKENS_AT_ONCE:,} at once\n")
    print(report.table(["stage", "µs a token given: median", "least", "most"], rows))


def _figures(values):
    return [f"{1e6 * value:.3f}" for value in (median(values), min(values), max(values))]
