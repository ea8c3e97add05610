"""Command-line options that the model tools share, and the job that they ask for."""

import argparse
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dna_lm import cli, galaxy
from dna_lm.engine import loading, pooling
from dna_lm.engine.encoder import REPRESENTATIONS, Embedding
from dna_lm.errors import UserError
from dna_lm.model.checkpoint import PRECISIONS, Checkpoint
from dna_lm.scores import SCORES
from dna_lm.scoring import job, recommended
from dna_lm.scoring.recommended import Recommended
from dna_lm.scoring.settings import STRANDS, Settings

log = logging.getLogger(__name__)

OWN, RECOMMENDED = "own", "recommended"
# What is chosen by `choose_settings` in every command that has it, and its defaults.
DEFAULTS = {"representation": "logits", "layer": -1, "pooling": "max", "strand": "forward"}

# Options that need dependencies.
_OF_DEPENDENCIES = ("dependencies", "dependency_map", "influence")


def add_report_option(parser: Any) -> None:
    """The option that says where a report is read."""
    parser.add_argument("--report-for", choices=tuple(galaxy.PAGES), help="where it is read (default: files)")


def add_score_option(parser: argparse.ArgumentParser) -> None:
    """The option that chooses the scores."""
    parser.add_argument("--scores", nargs="+", choices=tuple(SCORES), help="columns to compute (default: l2)")


def add_model_options(parser: argparse.ArgumentParser, with_tutorial: bool = False, strand: str = "forward") -> None:
    """The options that choose the model and how sequences are turned into numbers. `strand`: the default."""
    model = parser.add_argument_group("model")
    model.add_argument("--model", required=True, metavar="DIR", help="model folder, or a Hugging Face cache")
    model.add_argument("--model-id", metavar="OWNER/NAME", help="which model of a Hugging Face cache")
    model.add_argument("--revision", help="which revision in a Hugging Face cache (default: main, or the only one)")
    group = parser.add_argument_group("embedding")
    group.add_argument(
        "--settings",
        choices=(OWN, RECOMMENDED),
        default=OWN,
        help="recommended: those that the model's authors or a benchmark use, instead of options for scores, windows "
        "and embeddings (default: own, the options and their defaults)",
    )
    group.add_argument(
        "--representation",
        choices=REPRESENTATIONS,
        help="what is pooled: the output over the vocabulary (the tutorial's), or hidden states (default: logits)",
    )
    group.add_argument(
        "--layer",
        type=int,
        help="hidden states of which layer: 0 the input of block 1, k the output of block k, -1 the last (default)",
    )
    group.add_argument("--pooling", choices=pooling.POOLINGS, help="over tokens (default: max)")
    group.add_argument(
        "--strand",
        choices=STRANDS,
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


def choose_settings(
    arguments: argparse.Namespace,
    defaults: Mapping[str, Any],
    advice: Callable[[Recommended], Mapping[str, Any]],
    words: Callable[[Recommended], str] = lambda best: best.as_text,
) -> None:
    """Set the options that decide numbers and were not given: to their defaults, or to what is recommended.

    defaults: option -> value. advice: the same of what is recommended for the model, which is then loaded. words: what
    that is, for headers. `arguments.best` is the recommendation, if one is wanted. Raises `UserError` for an option
    that is given although the recommended settings are wanted.
    """
    arguments.loaded = arguments.best = None
    arguments.chosen_by = ""
    if arguments.settings == RECOMMENDED:
        if getattr(arguments, "tutorial", False):
            raise UserError(f"--tutorial has its own settings: leave out --settings {RECOMMENDED}")
        for name in defaults:
            if getattr(arguments, name) is not None:
                option = f"--{name.replace('_', '-')}"
                raise UserError(f"--settings {RECOMMENDED} chooses {option}: leave one of the two out")
        arguments.loaded = _load(arguments)
        best = arguments.best = recommended.of(arguments.loaded)
        arguments.chosen_by = words(best)
        defaults = advice(best)
        listed = ", ".join(
            f"{name.replace('_', ' ')} {' '.join(value) if isinstance(value, list) else value}"
            for name, value in defaults.items()
            if value is not None
        )
        log.info("settings %s: %s", arguments.chosen_by, listed)
    for name, value in defaults.items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, value)


def advice_for_scores(best: Recommended) -> dict[str, Any]:
    """What is recommended for the options of `DEFAULTS`, and the scores."""
    return {"scores": list(best.scores), "strand": best.strand, **_of_embedding(best.embedding)}


def advice_for_embeddings(_best: Recommended) -> dict[str, Any]:
    """What is recommended for the options of `DEFAULTS` where sequences are embedded."""
    return {"strand": "forward", **_of_embedding(recommended.MEAN_STATES)}


def _of_embedding(embedding: Embedding) -> dict[str, Any]:
    layer = embedding.layer if embedding.representation == "hidden" else None
    return {"representation": embedding.representation, "layer": layer, "pooling": embedding.pooling}


def settings_from(arguments: argparse.Namespace) -> Settings:
    """The settings that a script was given; without scores for a script that has none."""
    return Settings(
        embedding=Embedding(
            arguments.representation, -1 if arguments.layer is None else arguments.layer, arguments.pooling
        ),
        strand=arguments.strand,
        scores=tuple(getattr(arguments, "scores", ())),
        tutorial=getattr(arguments, "tutorial", False),
        truncate=getattr(arguments, "truncate", False),
        dependencies=any(getattr(arguments, name, None) for name in _OF_DEPENDENCIES),
        log_likelihood=getattr(arguments, "log_likelihood", False),
        chosen_by=arguments.chosen_by,
    )


def run(
    arguments: argparse.Namespace, source: job.Source, outputs: Callable[[job.Facts], Sequence[job.Output]]
) -> None:
    """Run the job that the options of `add_model_options` ask for, after `choose_settings`."""
    job.run(
        lambda: arguments.loaded or _load(arguments),
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
