"""Command-line options that the model tools share, and the job that they ask for."""

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from dna_lm import cli, galaxy
from dna_lm.engine import loading, pooling
from dna_lm.engine.encoder import REPRESENTATIONS, Embedding
from dna_lm.model.checkpoint import PRECISIONS, Checkpoint
from dna_lm.scores import SCORES
from dna_lm.scoring import job
from dna_lm.scoring.settings import STRANDS, Settings

# Options that need dependencies.
_OF_DEPENDENCIES = ("dependencies", "dependency_map", "influence")


def add_report_option(parser: Any) -> None:
    """The option that says where a report is read."""
    parser.add_argument("--report-for", choices=tuple(galaxy.PAGES), help="where it is read (default: files)")


def add_score_option(parser: argparse.ArgumentParser) -> None:
    """The option that chooses the scores."""
    parser.add_argument(
        "--scores", nargs="+", choices=tuple(SCORES), default=["l2"], help="columns to compute (default: l2)"
    )


def add_model_options(parser: argparse.ArgumentParser, with_tutorial: bool = False, strand: str = "forward") -> None:
    """The options that choose the model and how sequences are turned into numbers. `strand`: the default."""
    model = parser.add_argument_group("model")
    model.add_argument("--model", required=True, metavar="DIR", help="model folder, or a Hugging Face cache")
    model.add_argument("--model-id", metavar="OWNER/NAME", help="which model of a Hugging Face cache")
    model.add_argument("--revision", help="which revision in a Hugging Face cache (default: main, or the only one)")
    group = parser.add_argument_group("embedding")
    group.add_argument(
        "--representation",
        choices=REPRESENTATIONS,
        default="logits",
        help="what is pooled: the output over the vocabulary (the tutorial's), or hidden states (default: logits)",
    )
    group.add_argument(
        "--layer",
        type=int,
        default=-1,
        help="hidden states of which layer: 0 the input of block 1, k the output of block k, -1 the last (default)",
    )
    group.add_argument("--pooling", choices=pooling.POOLINGS, default="max", help="over tokens (default: max)")
    group.add_argument(
        "--strand",
        choices=STRANDS,
        default=strand,
        help=f"read the sequence, its reverse complement, or average what both give (default: {strand})",
    )
    group.add_argument(
        "--precision", choices=PRECISIONS, default="float32", help="of the forward pass (default: float32)"
    )
    group.add_argument(
        "--batch-tokens",
        type=cli.at_least(1),
        metavar="N",
        help="tokens in a forward pass: changes time and memory, never the result (default: by device and memory)",
    )
    if with_tutorial:
        group.add_argument(
            "--tutorial",
            action="store_true",
            help="give the public tutorial's numbers: pad to the file's longest sequence and pool over the padding",
        )
    parser.add_argument(
        "--fail-on-unscored", action="store_true", help="fail when any record has a status other than ok"
    )


def settings_from(arguments: argparse.Namespace) -> Settings:
    """The settings that a script was given; without scores for a script that has none."""
    return Settings(
        embedding=Embedding(arguments.representation, arguments.layer, arguments.pooling),
        strand=arguments.strand,
        scores=tuple(getattr(arguments, "scores", ())),
        tutorial=getattr(arguments, "tutorial", False),
        truncate=getattr(arguments, "truncate", False),
        dependencies=any(getattr(arguments, name, None) for name in _OF_DEPENDENCIES),
        log_likelihood=getattr(arguments, "log_likelihood", False),
    )


def run(
    arguments: argparse.Namespace, source: job.Source, outputs: Callable[[job.Facts], Sequence[job.Output]]
) -> None:
    """Run the job that the options of `add_model_options` ask for."""
    job.run(
        partial(_load, arguments),
        settings_from(arguments),
        source,
        outputs,
        arguments.batch_tokens,
        arguments.fail_on_unscored,
    )


def _load(arguments: argparse.Namespace) -> Checkpoint:
    """Load the chosen model, using as many threads as Galaxy gave the job, and note what computes with what."""
    if n_threads := galaxy.threads():
        loading.use_threads(n_threads)
    model = loading.load(arguments.model, arguments.precision, arguments.model_id, arguments.revision)
    cli.note(loading.computes_with(model))
    return model
