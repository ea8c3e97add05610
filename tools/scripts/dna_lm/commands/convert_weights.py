"""Convert a model's pickled weights (pytorch_model.bin) to safetensors, and check that the tools can use the result."""

import argparse
import logging
import os
from pathlib import Path

from dna_lm import cli
from dna_lm.engine.loading import load_checkpoint
from dna_lm.errors import UserError, quoted
from dna_lm.model import pickles
from dna_lm.model.folder import find_folder

log = logging.getLogger(__name__)


def parse_arguments(argv: list[str]) -> argparse.Namespace:
    """The options of the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--model", required=True, metavar="DIR", help="a folder with config.json, a tokenizer and pytorch_model.bin"
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="the new folder, without the pickled weights"
    )
    return cli.parse_arguments(parser, argv)


def main(argv: list[str]) -> None:
    """Run the command."""
    arguments = parse_arguments(argv)
    folder = find_folder(arguments.model)
    if not any(map(pickles.is_pickle, pickles.choose_files(os.listdir(folder)))):
        raise UserError("model: it has safetensors, or no pytorch_model.bin: there is nothing to convert")
    if os.path.lexists(arguments.output):
        raise UserError(f"--output {quoted(arguments.output)} exists: give the name of a new folder")
    with pickles.removed_on_failure(arguments.output):
        pickles.copy_model(folder, arguments.output)
        load_checkpoint(arguments.output)
    log.info("the tools can read the model in %s", arguments.output)
