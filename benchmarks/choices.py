"""What the engine's choices rest on: ways to compute experts, products and Mamba's scan, torch.compile, precision.

    python benchmarks/choices.py speed MODEL
    python benchmarks/choices.py precision MODEL WILD_TYPE.fasta MUTANT.fasta
    python benchmarks/choices.py scan

`speed` times one packed forward pass of 2,048 tokens (201 bases a sequence, one substitution each); `precision`
compares the scores of pairs with those in float32; `scan` times ways to compute a selective scan, and a layer of Mamba.
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
from torch.nn.functional import softplus
from transformers import MambaConfig, MambaModel

sys.path.insert(0, str(Path(__file__).parents[1] / "tools" / "scripts"))

from dna_lm import api
from dna_lm.engine import forward, products
from dna_lm.engine.encoder import Embedding
from dna_lm.engine.loading import load_checkpoint
from dna_lm.engine.prefix_tree import PrefixTree
from dna_lm.families import caduceus, selective_scan
from dna_lm.inputs import fasta
from dna_lm.model import checkpoint, internals
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


def show(times: dict[str, float]) -> None:
    for name, value in times.items():
        print(f"{name:36} {1000 * value:8.1f}")


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
    show(seconds(loaded, ways))
    if own:
        model.set_experts_implementation(products.NAME)
    if loaded.device.type == "cpu":
        show(seconds(loaded, {"oneDNN's products, weights arranged": (lambda: None, tree)}))
        for module in model.modules():
            module.arranged = None
        switch = {"oneDNN's products": internals.onednn_linear, "torch's products": lambda *_: None}
        ways = {
            name: (lambda product=product: setattr(internals, "onednn_linear", product), tree)
            for name, product in switch.items()
        }
        show(seconds(loaded, ways))
    internals.onednn_linear = lambda *_: None  # oneDNN's products cannot be compiled into a graph
    plain = seconds(loaded, {"torch's products": (lambda: None, tree)})
    model.compile(dynamic=True)
    start = time.perf_counter()
    with torch.inference_mode():
        for other in (tree, a_batch(loaded, 1500), a_batch(loaded, 1800)):
            forward.packed_states(loaded, other)
    warm_up = time.perf_counter() - start
    show(plain | seconds(loaded, {"the same, torch.compile": (lambda: None, tree)}))
    print(f"torch.compile warmed up in {warm_up:.0f} s")


def precision(folder, wild_type, mutant):
    pairs = list(fasta.pairs_by_order(wild_type, mutant))
    for embedding in (Embedding("hidden"), Embedding("hidden", pooling="mean"), Embedding()):
        scores = {}
        for name in checkpoint.PRECISIONS:
            loaded = load_checkpoint(folder, name)
            if embedding.representation == "logits" and loaded.head is None:
                break
            rows = api.score_pairs(loaded, pairs, embedding=embedding)
            scores[name] = np.array([row.scores["l2"] for row in rows if row.status == OK])
        exact = scores.pop("float32", None)
        for name, rough in scores.items():
            median, most, largest = np.quantile(abs(rough - exact) / exact.clip(min=1e-12), [0.5, 0.95, 1])
            print(
                f"{embedding.representation:7} {embedding.pooling:5} {name:9} {len(exact)} pairs, "
                f"rank correlation {spearmanr(exact, rough).statistic:.4f}, "
                f"relative error median {median:.2g}, 95 % {most:.2g}, largest {largest:.2g}"
            )


def by_token(inputs, steps, drives, readouts, rates):
    """The recurrence, token after token, with all coefficients of a token at once."""
    state, outputs = 0, []
    for u, delta, b, c in zip(*(x.unbind(2) for x in (inputs, steps, drives, readouts)), strict=True):
        decay = torch.exp(delta[..., None] * rates[:, None])
        state = decay * state + (delta * u)[..., None] * b[..., None, :]
        outputs.append((state * c[..., None, :]).sum(-1))
    return torch.stack(outputs, dim=2)


def by_doubling(inputs, steps, drives, readouts, rates, n_tokens=16):
    """Blocks in which runs of tokens are joined to runs of twice the length (Hillis & Steele 1986)."""
    state, outputs = 0, []
    for u, delta, b, c in zip(*(x.split(n_tokens, 2) for x in (inputs, steps, drives, readouts)), strict=True):
        decay = torch.exp(delta[..., None] * rates[:, None, None])
        states = (delta * u)[..., None] * b[..., None, :]
        states[:, :, 0] += decay[:, :, 0] * state
        length = 1
        while length < states.shape[2]:
            states[:, :, length:] += decay[:, :, length:] * states[:, :, :-length].clone()
            decay[:, :, length:] *= decay[:, :, :-length].clone()
            length *= 2
        state = states[:, :, -1]
        outputs.append((states @ c[..., None])[..., 0])
    return torch.cat(outputs, dim=2)


@torch.inference_mode()
def scan():
    print(f"{torch.get_num_threads()} threads; ns of CPU time for a token, channel and state")
    n = 16
    for shape in ((2, 2, 512, 512), (2, 12, 512, 512), (2, 2, 512, 2048)):
        inputs, steps = torch.randn(shape), softplus(torch.randn(shape) - 3)
        drives, readouts = torch.randn(2, *shape[:-1], n)
        rates = -torch.arange(1.0, n + 1).expand(2, shape[-1], n)
        for name, way in {
            "one token after the other": by_token,
            "runs of twice the length": by_doubling,
            "ours": lambda *given: selective_scan.selective_scan(*given)[0],
        }.items():
            spent = least_time(way, inputs, steps, drives, readouts, rates)
            print(f"{shape!s:20} {name:30} {1e9 * spent / inputs.numel() / n:8.2f}")
    width = 256
    theirs = MambaModel(MambaConfig(vocab_size=16, hidden_size=width, num_hidden_layers=1, state_size=n)).eval()
    # A layer of Mamba in one direction, which is what transformers has.
    settings = {"d_model": width, "num_hidden_layers": 1, "bidirectional": False}
    ours = caduceus.ForMaskedLM(caduceus.Config(**settings)).eval().caduceus
    products.use_onednn(ours)
    for n_sequences, n_tokens in ((6, 512), (1, 8192)):
        ids = torch.randint(0, 16, (n_sequences, n_tokens))
        for name, layer in (("transformers", theirs), ("ours", ours)):
            spent = 1000 * least_time(lambda layer=layer: layer(ids, use_cache=False))  # noqa: B023
            print(f"a layer, {n_sequences} x {n_tokens} tokens: {name:15} {spent:8.1f} ms")


def least_time(work, *given):
    times = []
    for _ in range(3):
        start = time.process_time()
        work(*given)
        times.append(time.process_time() - start)
    return min(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for command, names in ((speed, ["folder"]), (precision, ["folder", "wild_type", "mutant"]), (scan, [])):
        subparser = commands.add_parser(command.__name__)
        subparser.set_defaults(command=command)
        for name in names:
            subparser.add_argument(name)
    arguments = vars(parser.parse_args())
    arguments.pop("command")(**arguments)


if __name__ == "__main__":
    main()
