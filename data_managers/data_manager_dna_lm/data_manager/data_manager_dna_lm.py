"""Install a DNA language model: fetch its files, load it once and describe it as a row of a Galaxy data table."""

import argparse
import json
import logging
from pathlib import Path

import model_sources
from dna_lm import cli
from dna_lm.engine.loading import load_checkpoint
from dna_lm.model import pickles, summary
from dna_lm.model.checkpoint import Checkpoint
from dna_lm.names import clean_label

TABLE = "huggingface"

log = logging.getLogger(__name__)


def parse_arguments(argv: list[str]) -> argparse.Namespace:
    """The script's options; those that an administrator typed come from the file `--options`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--model-id", required=True, metavar="OWNER/NAME", help="the model's id, on the hub or one of your choice"
    )
    parser.add_argument("--revision", default="main", help="commit, tag or branch (default: main)")
    parser.add_argument("--path", help="a folder, a Hugging Face cache or an archive on this server (default: the hub)")
    parser.add_argument("--name", help="name in the tools' forms (default: id, size, kind, longest input, version)")
    parser.add_argument("--free-tag", default="dna", help="text for the column free_tag (default: dna)")
    parser.add_argument(
        "--installed-model",
        type=Path,
        metavar="DIR",
        help="folder of any installed model: a version that has a folder next to it is not installed again",
    )
    parser.add_argument("--target", type=Path, required=True, metavar="DIR", help="folder for the model's folder")
    parser.add_argument("--output", required=True, metavar="JSON", help="the new row, for Galaxy")
    return cli.parse_arguments(parser, argv)


def main(argv: list[str]) -> None:
    """Run the command."""
    arguments = parse_arguments(argv)
    model_sources.check_model_id(arguments.model_id)
    model_sources.check_revision(arguments.model_id, arguments.revision)
    if arguments.path:
        source = model_sources.find_on_server(arguments.path, arguments.model_id, arguments.revision)
    else:
        source = model_sources.find_on_hub(arguments.model_id, arguments.revision)
    value = f"{arguments.model_id}_{source.version}"
    folder_name = value.replace("/", "--")
    installed_folder = arguments.installed_model and arguments.installed_model.parent / folder_name
    rows = []
    if installed_folder and installed_folder.exists():
        log.info("%s is installed already: nothing to do", value)
        log.info("If the table does not list it, remove the folder %s and start again", installed_folder)
    else:
        folder = arguments.target / folder_name
        with pickles.removed_on_failure(folder):
            source.fetch(folder)
            model = load_checkpoint(folder)
        rows.append(
            {
                "value": value,
                "name": clean_label(arguments.name or "") or default_name(arguments.model_id, source.version, model),
                "pipeline_tag": pipeline_tag(model),
                "domain": "sequence",
                "free_tag": clean_label(arguments.free_tag),
                "version": source.version,
                # Galaxy moves this folder and writes its new path into the table.
                "path": folder_name,
            }
        )
        log.info("%s: %s", value, description(model))
    with cli.atomic_outputs(arguments.output) as [output]:
        Path(output).write_text(json.dumps({"data_tables": {TABLE: rows}}))


def default_name(model_id: str, version: str, model: Checkpoint) -> str:
    """What users see when the administrator typed no name. The version tells two rows of one model apart."""
    return f"{model_id} · {summary.words(model)} ({version[:8]})"


def pipeline_tag(model: Checkpoint) -> str:
    """The Hugging Face name of the model's task, by which the tools choose which rows they offer."""
    if model.head is None:
        return "feature-extraction"
    return "text-generation" if model.is_causal else "fill-mask"


def description(model: Checkpoint) -> str:
    """The model's kind, size and limits on one line, for the job's log."""
    kind = "causal" if model.is_causal else "masked"
    head = "with" if model.head else "without"
    size = f"{model.n_layers} layers of {model.hidden_size}, {model.vocabulary_size} tokens in its vocabulary"
    return f"{kind}, {head} its language-model head, {size}, reads up to {model.max_tokens} tokens"


if __name__ == "__main__":
    cli.run(main)
