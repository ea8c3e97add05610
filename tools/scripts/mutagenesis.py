"""Score every substitution, and if wanted every deletion of one base, of sequences or of intervals of a reference."""

import argparse
import contextlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import partial

from dna_lm import cli
from dna_lm.errors import UserError
from dna_lm.inputs import fasta, regions, stretches
from dna_lm.inputs.reference import open_reference
from dna_lm.inputs.stretches import BASES
from dna_lm.mutagenesis import dependency_sinks
from dna_lm.mutagenesis import report as mutation_report
from dna_lm.mutagenesis.sinks import heat_map, track
from dna_lm.mutagenesis.source import MutationSource
from dna_lm.outputs import figures, markdown, tables
from dna_lm.scores import SCORES
from dna_lm.scoring import job, options, provenance
from dna_lm.scoring.warnings import Warnings

# A base's effect depends on its neighbours, and a short sequence has few.
FLANK = 100


def parse_arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    source = parser.add_argument_group("what to mutate: sequences, or intervals of a reference")
    source.add_argument("--sequences", metavar="FASTA", help="every base of every sequence (may be gzipped)")
    source.add_argument("--intervals", metavar="FILE", help="BED or GFF: every base of every interval (may be gzipped)")
    source.add_argument("--intervals-format", choices=regions.FORMATS, help="(default: bed)")
    source.add_argument("--reference", metavar="FASTA", help="genome of the intervals (may be bgzipped)")
    source.add_argument(
        "--flank",
        type=cli.at_least(0),
        metavar="N",
        help=f"bases read on either side of an interval (default: {FLANK})",
    )
    parser.add_argument("--deletions", action="store_true", help="delete each base too")
    options.add_score_option(parser)
    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("--output", required=True, metavar="TSV", help="score table, one row per mutant")
    outputs.add_argument(
        "--draw", choices=tuple(SCORES), metavar="SCORE", help="score in pictures, tracks and report (default: first)"
    )
    outputs.add_argument("--heatmap", metavar="FILE", help="picture of the scores")
    outputs.add_argument("--heatmap-format", choices=figures.FORMATS, help="(default: png)")
    outputs.add_argument("--track", metavar="BIGWIG", help="mean score of each base's substitutions, for intervals")
    outputs.add_argument(
        "--base-tracks", nargs=4, metavar=tuple("ACGT"), help="bigWig files: the score of each base put there"
    )
    outputs.add_argument("--report", metavar="FILE", help="the result in words, as Markdown")
    outputs.add_argument("--report-for", choices=("files", "galaxy"), help="where it is read (default: files)")
    dependency_sinks.add_options(parser)
    options.add_model_options(parser, strand="mean")
    return cli.parse_arguments(parser, argv)


def score_to_draw(arguments: argparse.Namespace) -> str:
    """The score in pictures, tracks and report. Raises `UserError` for options that contradict each other."""
    if bool(arguments.sequences) == bool(arguments.intervals):
        raise UserError("give either --sequences FASTA, or --intervals FILE with --reference FASTA")
    if arguments.intervals and not arguments.reference:
        raise UserError("--intervals needs --reference: the FASTA file that they are intervals of")
    tracks = arguments.track or arguments.base_tracks
    if tracks and not arguments.intervals:
        name = "track" if arguments.track else "base-tracks"
        raise UserError(f"--{name} needs --intervals: sequences have no coordinates")
    cli.refuse_unless_given(arguments, "intervals", intervals_format="bed", flank=FLANK, reference=None)
    cli.refuse_unless_given(arguments, "heatmap", heatmap_format="png")
    dependency_sinks.check_options(arguments)
    cli.refuse_unless_given(arguments, "report", report_for="files")
    if arguments.draw and not (arguments.heatmap or tracks or arguments.report):
        raise UserError(
            "--draw has no effect without --heatmap, --track, --base-tracks or --report: give one of them, or leave "
            "--draw out"
        )
    drawn = arguments.draw or arguments.scores[0]
    if drawn not in arguments.scores:
        raise UserError(f"--draw {drawn}: it is not among the scores to compute ({', '.join(arguments.scores)})")
    return drawn


def main(argv: list[str]) -> None:
    arguments = parse_arguments(argv)
    drawn = score_to_draw(arguments)
    base_tracks = arguments.base_tracks or [None] * len(BASES)
    warnings = Warnings("mutations")
    with contextlib.ExitStack() as stack:
        if arguments.intervals:
            reference = stack.enter_context(open_reference(arguments.reference))
            given = arguments.intervals, arguments.intervals_format, reference, arguments.flank
            read = partial(stretches.from_intervals, *given)
        else:
            reference = None
            read = partial(read_sequences, arguments.sequences)
        read = partial(dependency_sinks.limited, read, arguments)
        picture = partial(heat_map, score=drawn, deletions=arguments.deletions, file_format=arguments.heatmap_format)
        outputs = [
            (arguments.output, tables.score_table),
            (arguments.heatmap, picture),
            (arguments.report, partial(report, arguments, drawn, warnings)),
            (arguments.track, partial(track, score=drawn, reference=reference)),
            *(
                (path, partial(track, score=drawn, reference=reference, base=base))
                for path, base in zip(base_tracks, BASES, strict=True)
            ),
            *dependency_sinks.outputs(arguments),
        ]
        job.run(arguments, MutationSource(read, arguments.deletions, arguments.influence), outputs, warnings)


def report(
    arguments: argparse.Namespace, score: str, warnings: Warnings, path: str
) -> AbstractContextManager[job.Sink]:
    """The sink of the report on one score."""
    in_galaxy = arguments.report_for == "galaxy"
    texts = provenance.model_and_settings(arguments, options.settings_from(arguments))
    if arguments.intervals:
        texts["bases on either side"] = str(arguments.flank)
    picture = markdown.plot_block(
        arguments.heatmap and os.path.basename(arguments.heatmap),
        arguments.heatmap_format,
        "Heat map of the scores",
        galaxy=in_galaxy,
        output="heatmap",
    )
    chosen = mutation_report.Settings(score, texts, warnings, picture, in_galaxy)
    return mutation_report.report(path, chosen)


def read_sequences(path: str) -> Iterator[stretches.Stretch]:
    """Each record of a FASTA file, all of it."""
    return stretches.from_records(fasta.read_fasta(path))


if __name__ == "__main__":
    cli.run(main)
