"""What the engine's choices rest on: ways to compute experts and matrix products, torch.compile, lower precision.

    python benchmarks/choices.py speed MODEL
    python benchmarks/choices.py precision MODEL WILD_TYPE.fasta MUTANT.fasta

`speed` times one packed forward pass of 2,048 tokens (201 bases a sequence, one substitution each); `precision`
compares the scores of pairs with those in float32.
"""

import argparse
import random
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr

sys.path.insert(0, str(Path(__file__).parents[1] / "tools" / "scripts"))

from dna_lm.engine import forward
from dna_lm.engine.encoder import Budget, Embedding
from dna_lm.engine.loading import load_checkpoint
from dna_lm.engine.prefix_tree import PrefixTree
from dna_lm.inputs import fasta
from dna_lm.model import checkpoint, internals, products
from dna_lm.scoring import pipeline
from dna_lm.scoring.pipeline import Item
from dna_lm.scoring.settings import Settings
from dna_lm.statuses import OK

REPEATS = 7


def a_batch(loaded, n_tokens):
    letters = random.Random(0)
    tokens = set()
    while sum(map(len, tokens)) < 1.35 * n_tokens:
        wild_type = letters.choices("ACGT", k=201)
        mutant = wild_type.copy()
        mutant[100] = {"A": "C", "C": "G", "G": "T", "T": "A"}[mutant[100]]
        tokens.update(map(tuple, loaded.tokenise(["".join(wild_type), "".join(mutant)])))
    return PrefixTree(sorted(tokens))


@torch.inference_mode()
def seconds(loaded, trees):
    """Median time of a forward pass per tree, all trees in turn."""
    times = {name: [] for name in trees}
    for _ in range(REPEATS):
        for name, (prepare, tree) in trees.items():
            prepare()
            start = time.perf_counter()
            forward.packed_states(loaded, tree)
            if loaded.device.type == "cuda":
                torch.cuda.synchronize()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values[1:]) for name, values in times.items()}


def speed(folder):
    loaded = load_checkpoint(folder)
    model = loaded.trunk
    tree = a_batch(loaded, 2048)
    print(f"{len(tree.ids)} packed tokens on {loaded.device}, {torch.get_num_threads()} threads; median of a pass, ms")
    ways = {}
    own = []
    if model.config.model_type == "mixtral":
        own += [products.NAME] if loaded.device.type == "cpu" else []
        for name in (*own, "eager", "batched_mm", "grouped_mm"):
            ways[f"experts {name}"] = (lambda name=name: model.set_experts_implementation(name), tree)
    for name, value in seconds(loaded, ways).items():
        print(f"{name:30} {1000 * value:8.1f}")
    if own:
        model.set_experts_implementation(products.NAME)
        switch = {"oneDNN's products": internals.onednn_linear, "torch's products": lambda *_: None}
        ways = {
            name: (lambda product=product: setattr(internals, "onednn_linear", product), tree)
            for name, product in switch.items()
        }
        for name, value in seconds(loaded, ways).items():
            print(f"{name:30} {1000 * value:8.1f}")
    internals.onednn_linear = lambda *_: None  # oneDNN's products cannot be compiled into a graph
    plain = seconds(loaded, {"torch's products": (lambda: None, tree)})
    model.compile(dynamic=True)
    start = time.perf_counter()
    with torch.inference_mode():
        for other in (tree, a_batch(loaded, 1500), a_batch(loaded, 1800)):
            forward.packed_states(loaded, other)
    warm_up = time.perf_counter() - start
    for name, value in (plain | seconds(loaded, {"the same, torch.compile": (lambda: None, tree)})).items():
        print(f"{name:30} {1000 * value:8.1f}")
    print(f"torch.compile warmed up in {warm_up:.0f} s")


def precision(folder, wild_type, mutant):
    pairs = list(fasta.pairs_by_order(wild_type, mutant))
    for embedding in (Embedding("hidden"), Embedding("hidden", pooling="mean"), Embedding()):
        scores = {}
        for name in checkpoint.PRECISIONS:
            loaded = load_checkpoint(folder, name)
            if embedding.representation == "logits" and loaded.head is None:
                break
            rows = pipeline.score(loaded, (Item(None, *pair) for pair in pairs), Settings(embedding), Budget())
            scores[name] = np.array([row["l2"] for _, row in rows if row["status"] == OK])
        exact = scores.pop("float32", None)
        for name, rough in scores.items():
            median, most, largest = np.quantile(abs(rough - exact) / exact.clip(min=1e-12), [0.5, 0.95, 1])
            print(
                f"{embedding.representation:7} {embedding.pooling:5} {name:9} {len(exact)} pairs, "
                f"rank correlation {spearmanr(exact, rough).statistic:.4f}, "
                f"relative error median {median:.2g}, 95 % {most:.2g}, largest {largest:.2g}"
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for command, names in ((speed, ["folder"]), (precision, ["folder", "wild_type", "mutant"])):
        subparser = commands.add_parser(command.__name__)
        subparser.set_defaults(command=command)
        for name in names:
            subparser.add_argument(name)
    arguments = vars(parser.parse_args())
    arguments.pop("command")(**arguments)


if __name__ == "__main__":
    main()
