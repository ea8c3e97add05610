"""Embed sequences: one vector per sequence, as a table or an AnnData file."""

import argparse
from functools import partial

from dna_lm import cli, tables
from dna_lm.scoring import job, options
from dna_lm.scoring.pairs import SequenceSource


def parse_arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", required=True, metavar="FASTA", help="sequences (may be gzipped)")
    parser.add_argument("--output", required=True, metavar="FILE", help="embeddings, one row per sequence")
    parser.add_argument("--format", choices=("table", "h5ad"), default="table", help="of the output (default: table)")
    parser.add_argument(
        "--log-likelihood",
        action="store_true",
        help="also give each sequence's log-likelihood, in nats, and bits per base; a masked model then reads a "
        "sequence once for each of its tokens",
    )
    options.add_model_options(parser, with_tutorial=True)
    return cli.parse_arguments(parser, argv)


def main(argv: list[str]) -> None:
    arguments = parse_arguments(argv)
    sink = tables.embedding_table
    if arguments.format == "h5ad":
        sink = partial(tables.h5ad, settings=options.settings_from(arguments).as_text())
    job.run(arguments, SequenceSource(arguments.input), [(arguments.output, sink)])


if __name__ == "__main__":
    cli.run(main)
