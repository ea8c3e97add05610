"""Score mutations given as pairs of wild-type and mutant sequences."""

import argparse
from functools import partial

from dna_lm import cli
from dna_lm.commands import options
from dna_lm.inputs import fasta
from dna_lm.outputs import tables
from dna_lm.pairs.source import PairSource
from dna_lm.scoring.rows import pair_cells


def parse_arguments(argv: list[str]) -> argparse.Namespace:
    """The options of the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wild-type", required=True, metavar="FASTA", help="wild-type sequences (may be gzipped)")
    parser.add_argument("--mutant", required=True, metavar="FASTA", help="mutant sequences (may be gzipped)")
    parser.add_argument("--output", required=True, metavar="TSV", help="score table, one row per pair")
    parser.add_argument(
        "--pair-by", choices=fasta.PAIRINGS, default="order", help="n-th with n-th record, or equal identifiers"
    )
    options.add_score_option(parser)
    parser.add_argument(
        "--truncate", action="store_true", help="cut pairs too long for the model to the bases around the change"
    )
    parser.add_argument(
        "--allow-identical", action="store_true", help="go on when all mutants are identical to their wild types"
    )
    options.add_model_options(parser, with_tutorial=True)
    return cli.parse_arguments(parser, argv)


def main(argv: list[str]) -> None:
    """Run the command."""
    arguments = parse_arguments(argv)
    options.choose_settings(arguments, options.DEFAULTS | {"scores": ["l2"]}, options.advice_for_scores)
    source = PairSource(arguments.wild_type, arguments.mutant, arguments.pair_by, arguments.allow_identical)
    options.run(
        arguments,
        source,
        lambda facts: [(arguments.output, partial(tables.table, cells=pair_cells, chunk=facts.chunk))],
    )
