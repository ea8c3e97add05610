"""Embed sequences: one vector per sequence, as a table or an AnnData file."""

import argparse

from dna_lm import cli, tables
from dna_lm.inputs import chunks, fasta
from dna_lm.scoring import options, pipeline


def parse_arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", required=True, metavar="FASTA", help="sequences (may be gzipped)")
    parser.add_argument("--output", required=True, metavar="FILE", help="embeddings, one row per sequence")
    parser.add_argument("--format", choices=("table", "h5ad"), default="table", help="of the output (default: table)")
    options.add_model_options(parser)
    return cli.parse_arguments(parser, argv)


def main(argv):
    arguments = parse_arguments(argv)

    def records():
        return fasta.read_fasta(arguments.input)

    fasta.check(records())
    checkpoint = options.load_checkpoint(arguments)
    settings = options.settings_from(arguments, checkpoint)
    settings.check(checkpoint)
    pad_to = pipeline.longest(checkpoint, records()) if settings.tutorial else 0
    tally = pipeline.Tally(checkpoint, settings.budget, chunks.is_fasta_chunk(arguments.input))
    rows = tally.watch(pipeline.embed(checkpoint, records(), settings, pad_to))
    width = settings.embedding.width(checkpoint)
    with cli.atomic_outputs(arguments.output) as [output]:
        if arguments.format == "h5ad":
            tables.write_h5ad(output, rows, width, settings.described())
        else:
            tables.write_embedding_table(output, rows, width)
        tally.report(arguments.fail_on_unscored)


if __name__ == "__main__":
    cli.run(main)
