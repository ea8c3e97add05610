"""Score mutations given as pairs of wild-type and mutant sequences."""

import argparse

from dna_lm import cli, scores, tables
from dna_lm.inputs import chunks, fasta
from dna_lm.scoring import options, pipeline


def parse_arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wild-type", required=True, metavar="FASTA", help="wild-type sequences (may be gzipped)")
    parser.add_argument("--mutant", required=True, metavar="FASTA", help="mutant sequences (may be gzipped)")
    parser.add_argument("--output", required=True, metavar="TSV", help="score table, one row per pair")
    parser.add_argument(
        "--pair-by", choices=fasta.PAIRINGS, default="order", help="n-th with n-th record, or equal identifiers"
    )
    parser.add_argument(
        "--scores", nargs="+", choices=scores.SCORES, default=["l2"], help="columns to compute (default: l2)"
    )
    parser.add_argument(
        "--truncate", action="store_true", help="cut pairs too long for the model to the bases around the change"
    )
    parser.add_argument(
        "--allow-identical", action="store_true", help="go on when all mutants are identical to their wild types"
    )
    options.add_model_options(parser)
    return cli.parse_arguments(parser, argv)


def main(argv):
    arguments = parse_arguments(argv)

    def pairs():
        return fasta.PAIRINGS[arguments.pair_by](arguments.wild_type, arguments.mutant)

    paths = arguments.wild_type, arguments.mutant
    n_pairs, n_identical = fasta.check(pairs())
    is_chunk = chunks.are_fasta_chunks(*paths)
    if not arguments.allow_identical and not is_chunk:
        fasta.refuse_identical(n_pairs, n_identical, *paths)
    checkpoint = options.load_checkpoint(arguments)
    settings = options.settings_from(arguments, checkpoint)
    settings.check(checkpoint, arguments.scores)
    pad_to = pipeline.longest_pair(checkpoint, pairs()) if settings.tutorial else (0, 0)
    tally = pipeline.Tally(checkpoint, settings.budget, is_chunk)
    with cli.atomic_outputs(arguments.output) as [output]:
        rows = pipeline.score_pairs(checkpoint, pairs(), settings, arguments.scores, pad_to)
        tables.write_table(output, tally.watch(rows))
        tally.report(arguments.fail_on_unscored)


if __name__ == "__main__":
    cli.run(main)
