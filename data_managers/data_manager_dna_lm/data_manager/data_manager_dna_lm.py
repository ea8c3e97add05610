"""Put a DNA language model into Galaxy's `huggingface` data table, from the Hugging Face hub or from this server."""

import argparse
import json
import logging
from pathlib import Path

import model_sources
from dna_lm import checkpoint, cli

TABLE = "huggingface"

log = logging.getLogger(__name__)


def parse_arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--model-id", required=True, metavar="OWNER/NAME", help="the model's id, on the hub or your own"
    )
    parser.add_argument("--revision", default="main", help="commit, tag or branch (default: main)")
    parser.add_argument("--path", help="a folder, a Hugging Face cache or an archive on this server (default: the hub)")
    parser.add_argument("--name", help="what users read in the tools' forms (default: the id)")
    parser.add_argument("--free-tag", default="dna", help="the table's column for filters of your own (default: dna)")
    parser.add_argument("--installed", type=Path, metavar="JSON", help="the table's rows")
    parser.add_argument("--target", type=Path, required=True, metavar="DIR", help="where the files go")
    parser.add_argument("--output", required=True, metavar="JSON", help="the new row, for Galaxy")
    return parser.parse_args(argv)


def main(argv):
    arguments = parse_arguments(argv)
    model_sources.check_model_id(arguments.model_id)
    if arguments.path:
        source = model_sources.find_on_server(arguments.path, arguments.model_id, arguments.revision)
    else:
        source = model_sources.find_on_hub(arguments.model_id, arguments.revision)
    rows = json.loads(arguments.installed.read_text()) if arguments.installed else []
    same = [row for row in rows if _is_of(row, arguments.model_id) and row["version"] == source.version]
    new = []
    if same:
        log.info("%s of version %s is installed already: nothing to do", arguments.model_id, source.version)
    else:
        source.fetch(arguments.target / "model")
        loaded = checkpoint.load(arguments.target / "model")
        new = [_row(arguments, source.version, loaded, [row["value"] for row in rows])]
        log.info("%s of version %s: %s", arguments.model_id, source.version, _described(loaded))
    with cli.atomic_outputs(arguments.output) as [output]:
        Path(output).write_text(json.dumps({"data_tables": {TABLE: new}}))


def _is_of(row, model_id):
    return row["value"] in (model_id, f"{model_id}_{row['version']}")


def _described(loaded):
    kind = "causal" if loaded.is_causal else "masked"
    head = "with" if loaded.head else "without"
    size = f"{loaded.n_layers} layers of {loaded.hidden_size}, {loaded.vocabulary_size} tokens in its vocabulary"
    return f"{kind}, {head} its language-model head, {size}, reads up to {loaded.max_tokens} tokens"


def _row(arguments, version, loaded, values):
    """The new row; Galaxy moves the folder `path` and writes down where to."""
    another = arguments.model_id in values
    name = arguments.name or arguments.model_id
    if loaded.head is None:
        pipeline_tag = "feature-extraction"
    else:
        pipeline_tag = "text-generation" if loaded.is_causal else "fill-mask"
    return {
        # Values are unique: a second version of a model has its version behind it.
        "value": f"{arguments.model_id}_{version}" if another else arguments.model_id,
        "name": f"{name} ({version[:12]})" if another else name,
        "pipeline_tag": pipeline_tag,
        "domain": "sequence",
        "free_tag": arguments.free_tag,
        "version": version,
        "path": "model",
    }


if __name__ == "__main__":
    cli.run(main)
