"""Score every substitution, and if wanted every deletion of one base, of sequences or of intervals of a reference."""

import argparse
import contextlib

from dna_lm import cli, scores, tables
from dna_lm.compare import plots
from dna_lm.errors import UserError
from dna_lm.inputs import alleles, fasta, regions
from dna_lm.inputs.reference import open_reference
from dna_lm.scoring import heatmap, mutagenesis, options, pipeline


def parse_arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__)
    source = parser.add_argument_group("what to mutate: sequences, or intervals of a reference")
    source.add_argument("--sequences", metavar="FASTA", help="every base of every sequence (may be gzipped)")
    source.add_argument("--intervals", metavar="FILE", help="BED or GFF: every base of every interval (may be gzipped)")
    source.add_argument("--intervals-format", choices=regions.FORMATS, help="(default: bed)")
    source.add_argument("--reference", metavar="FASTA", help="genome of the intervals (may be bgzipped)")
    source.add_argument(
        "--flank",
        type=_not_negative,
        metavar="N",
        help="bases read on either side of an interval (default: 0)",
    )
    parser.add_argument("--deletions", action="store_true", help="delete each base too")
    parser.add_argument(
        "--scores", nargs="+", choices=scores.SCORES, default=["l2"], help="columns to compute (default: l2)"
    )
    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("--output", required=True, metavar="TSV", help="score table, one row per mutant")
    outputs.add_argument(
        "--draw", choices=scores.SCORES, metavar="SCORE", help="score in the heat map and the track (default: first)"
    )
    outputs.add_argument("--heatmap", metavar="FILE", help="picture of the scores")
    outputs.add_argument("--heatmap-format", choices=plots.FORMATS, help="(default: png)")
    outputs.add_argument("--track", metavar="BEDGRAPH", help="mean score of each base's substitutions, for intervals")
    options.add_model_options(parser)
    return cli.parse_arguments(parser, argv)


def _not_negative(text):
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{number} is less than 0")
    return number


def check(arguments):
    """Raise `UserError` for options that contradict each other; returns the score to draw."""
    if bool(arguments.sequences) == bool(arguments.intervals):
        raise UserError("give either --sequences FASTA, or --intervals FILE with --reference FASTA")
    if arguments.intervals and not arguments.reference:
        raise UserError("--intervals needs --reference: the FASTA file that they are intervals of")
    if arguments.track and not arguments.intervals:
        raise UserError("--track needs --intervals: sequences have no coordinates")
    cli.refuse_unless_given(arguments, "intervals", intervals_format="bed", flank=0, reference=None)
    cli.refuse_unless_given(arguments, "heatmap", heatmap_format="png")
    if arguments.draw and not arguments.heatmap and not arguments.track:
        raise UserError("--draw has no effect without --heatmap or --track: give one of them, or leave --draw out")
    drawn = arguments.draw or arguments.scores[0]
    if drawn not in arguments.scores:
        raise UserError(f"--draw {drawn}: it is not among the scores to compute ({', '.join(arguments.scores)})")
    return drawn


def main(argv):
    arguments = parse_arguments(argv)
    drawn = check(arguments)
    with contextlib.ExitStack() as stack:
        reference = stack.enter_context(open_reference(arguments.reference)) if arguments.intervals else None

        def stretches():
            if reference is None:
                return mutagenesis.from_records(fasta.read_fasta(arguments.sequences))
            return mutagenesis.from_intervals(
                arguments.intervals, arguments.intervals_format, reference, arguments.flank
            )

        fasta.check(stretches())
        checkpoint = options.load_checkpoint(arguments)
        settings = options.settings_from(arguments, checkpoint)
        settings.check(checkpoint, arguments.scores)
        pad_to = (0, 0)
        if settings.tutorial:
            pad_to = mutagenesis.longest_pair(checkpoint, stretches(), settings, arguments.deletions)
        tally = pipeline.Tally(checkpoint, settings.budget)
        tally.meanings |= alleles.MEANINGS
        outputs = cli.atomic_outputs(arguments.output, arguments.heatmap, arguments.track)
        output, picture, track = stack.enter_context(outputs)
        scored = mutagenesis.score_stretches(
            checkpoint, stretches(), settings, arguments.scores, arguments.deletions, pad_to
        )
        landscapes = mutagenesis.Landscapes(drawn, arguments.deletions, heatmap.MAX_BASES)
        tables.write_table(output, tally.watch(landscapes.watch(scored)))
        tally.report(arguments.fail_on_unscored)
        if picture:
            heatmap.draw(picture, landscapes.drawn, drawn, arguments.heatmap_format, landscapes.n_not_drawn)
        if track:
            tables.write_bedgraph(track, landscapes.track())


if __name__ == "__main__":
    cli.run(main)
