"""Score every substitution, and if wanted every deletion of one base, of sequences or of intervals of a reference."""

import argparse
import contextlib
from collections.abc import Iterator
from functools import partial

from dna_lm import cli, figures, tables
from dna_lm.errors import UserError
from dna_lm.inputs import fasta, regions, stretches
from dna_lm.inputs.reference import open_reference
from dna_lm.scores import SCORES
from dna_lm.scoring import dependency_outputs, job, mutagenesis, options
from dna_lm.scoring.mutagenesis import MutationSource


def parse_arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    source = parser.add_argument_group("what to mutate: sequences, or intervals of a reference")
    source.add_argument("--sequences", metavar="FASTA", help="every base of every sequence (may be gzipped)")
    source.add_argument("--intervals", metavar="FILE", help="BED or GFF: every base of every interval (may be gzipped)")
    source.add_argument("--intervals-format", choices=regions.FORMATS, help="(default: bed)")
    source.add_argument("--reference", metavar="FASTA", help="genome of the intervals (may be bgzipped)")
    source.add_argument(
        "--flank",
        type=options.at_least(0),
        metavar="N",
        help="bases read on either side of an interval (default: 0)",
    )
    parser.add_argument("--deletions", action="store_true", help="delete each base too")
    options.add_score_option(parser)
    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("--output", required=True, metavar="TSV", help="score table, one row per mutant")
    outputs.add_argument(
        "--draw", choices=tuple(SCORES), metavar="SCORE", help="score in the heat map and the track (default: first)"
    )
    outputs.add_argument("--heatmap", metavar="FILE", help="picture of the scores")
    outputs.add_argument("--heatmap-format", choices=figures.FORMATS, help="(default: png)")
    outputs.add_argument("--track", metavar="BEDGRAPH", help="mean score of each base's substitutions, for intervals")
    dependency_outputs.add_options(parser)
    options.add_model_options(parser)
    return cli.parse_arguments(parser, argv)


def score_to_draw(arguments: argparse.Namespace) -> str:
    """The score in the heat map and the track. Raises `UserError` for options that contradict each other."""
    if bool(arguments.sequences) == bool(arguments.intervals):
        raise UserError("give either --sequences FASTA, or --intervals FILE with --reference FASTA")
    if arguments.intervals and not arguments.reference:
        raise UserError("--intervals needs --reference: the FASTA file that they are intervals of")
    if arguments.track and not arguments.intervals:
        raise UserError("--track needs --intervals: sequences have no coordinates")
    cli.refuse_unless_given(arguments, "intervals", intervals_format="bed", flank=0, reference=None)
    cli.refuse_unless_given(arguments, "heatmap", heatmap_format="png")
    dependency_outputs.check_options(arguments)
    if arguments.draw and not arguments.heatmap and not arguments.track:
        raise UserError("--draw has no effect without --heatmap or --track: give one of them, or leave --draw out")
    drawn = arguments.draw or arguments.scores[0]
    if drawn not in arguments.scores:
        raise UserError(f"--draw {drawn}: it is not among the scores to compute ({', '.join(arguments.scores)})")
    return drawn


def main(argv: list[str]) -> None:
    arguments = parse_arguments(argv)
    drawn = score_to_draw(arguments)
    with contextlib.ExitStack() as stack:
        if arguments.intervals:
            reference = stack.enter_context(open_reference(arguments.reference))
            given = arguments.intervals, arguments.intervals_format, reference, arguments.flank
            read = partial(stretches.from_intervals, *given)
        else:
            read = partial(read_sequences, arguments.sequences)
        read = partial(dependency_outputs.limited, read, arguments)
        heat_map = partial(
            mutagenesis.heat_map, score=drawn, deletions=arguments.deletions, file_format=arguments.heatmap_format
        )
        outputs = [
            (arguments.output, tables.score_table),
            (arguments.heatmap, heat_map),
            (arguments.track, partial(mutagenesis.track, score=drawn)),
            *dependency_outputs.outputs(arguments),
        ]
        job.run(arguments, MutationSource(read, arguments.deletions, arguments.influence), outputs)


def read_sequences(path: str) -> Iterator[stretches.Stretch]:
    """Each record of a FASTA file, all of it."""
    return stretches.from_records(fasta.read_fasta(path))


if __name__ == "__main__":
    cli.run(main)
