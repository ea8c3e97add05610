"""Command-line options that the model tools share, and what is made of them."""

import argparse
import os

import torch
import transformers

from dna_lm import cli
from dna_lm.engine import encoder, loading, pooling
from dna_lm.errors import counted
from dna_lm.model.checkpoint import PRECISIONS
from dna_lm.model.folder import find_folder
from dna_lm.scoring import pipeline


def add_model_options(parser):
    """The options that choose the model and how sequences are turned into numbers."""
    model = parser.add_argument_group("model")
    model.add_argument("--model", required=True, metavar="DIR", help="model folder, or a Hugging Face cache")
    model.add_argument("--model-id", metavar="OWNER/NAME", help="which model of a Hugging Face cache")
    model.add_argument("--revision", help="which revision in a Hugging Face cache (default: main, or the only one)")
    group = parser.add_argument_group("embedding")
    group.add_argument(
        "--representation",
        choices=encoder.REPRESENTATIONS,
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
        choices=pipeline.STRANDS,
        default="forward",
        help="read the sequence, its reverse complement, or average what both give (default: forward)",
    )
    group.add_argument(
        "--precision", choices=PRECISIONS, default="float32", help="of the forward pass (default: float32)"
    )
    group.add_argument(
        "--batch-tokens",
        type=_positive,
        metavar="N",
        help="tokens in a forward pass: changes time and memory, never the result (default: by device and memory)",
    )
    group.add_argument(
        "--tutorial",
        action="store_true",
        help="give the public tutorial's numbers: pad to the longest sequence of the file and pool over the padding",
    )
    parser.add_argument(
        "--fail-on-unscored", action="store_true", help="fail when any record has a status other than ok"
    )


def _positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not a positive number")
    return number


def settings_from(arguments, loaded):
    """The settings for a loaded checkpoint."""
    tokens = arguments.batch_tokens
    return pipeline.Settings(
        embedding=encoder.Embedding(arguments.representation, arguments.layer, arguments.pooling),
        strand=arguments.strand,
        budget=encoder.Budget(tokens) if tokens else encoder.Budget.fitting(loaded),
        tutorial=arguments.tutorial,
        truncate=getattr(arguments, "truncate", False),
    )


def load_checkpoint(arguments):
    """Load the chosen model, using as many threads as Galaxy gave the job, and note what computes with what."""
    slots = os.environ.get("GALAXY_SLOTS", "")
    if slots.isdecimal() and int(slots):
        torch.set_num_threads(int(slots))
    folder = find_folder(arguments.model, arguments.model_id, arguments.revision)
    loaded = loading.load_checkpoint(folder, arguments.precision)
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
    threads = counted(torch.get_num_threads(), "thread")
    cli.note(f"{versions}, {arguments.precision} on {loaded.device}, {threads}")
    return loaded
