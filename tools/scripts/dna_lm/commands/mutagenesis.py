"""Score every substitution, and if wanted every deletion of one base, of sequences or of intervals of a reference."""

import argparse
import contextlib
from collections.abc import Iterator
from functools import partial

from dna_lm import cli, galaxy
from dna_lm.commands import options
from dna_lm.errors import UserError
from dna_lm.inputs import fasta, regions, stretches
from dna_lm.inputs.reference import open_reference
from dna_lm.inputs.stretches import BASES
from dna_lm.mutagenesis import dependency_sinks, sinks
from dna_lm.mutagenesis import report as mutation_report
from dna_lm.mutagenesis.source import FLANK, MutationSource
from dna_lm.outputs import figures, markdown, tables
from dna_lm.scores import SCORES
from dna_lm.scoring.job import Facts, Output

# Of the options that `--settings` chooses.
DEFAULTS = options.DEFAULTS | {"scores": ["l2"], "strand": "mean"}


def parse_arguments(argv: list[str]) -> argparse.Namespace:
    """The options of the command."""
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
        help=f"bases read on either side of an interval (default: {FLANK}; with --settings recommended, half a window)",
    )
    parser.add_argument("--deletions", action="store_true", help="delete each base too")
    options.add_score_option(parser)
    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("--output", required=True, metavar="TSV", help="score table, one row per mutant")
    outputs.add_argument(
        "--draw",
        choices=tuple(SCORES),
        metavar="SCORE",
        help="score in pictures, tracks and report; computed too if it is not among the others (default: first)",
    )
    outputs.add_argument("--heatmap", metavar="FILE", help="picture of the scores")
    outputs.add_argument("--heatmap-format", choices=figures.FORMATS, help="(default: png)")
    outputs.add_argument("--track", metavar="BIGWIG", help="mean score of each base's substitutions, for intervals")
    outputs.add_argument(
        "--base-tracks", nargs=4, metavar=tuple("ACGT"), help="bigWig files: the score of each base put there"
    )
    outputs.add_argument("--report", metavar="FILE", help="the result in words, as Markdown")
    options.add_report_option(outputs)
    _add_dependency_options(parser)
    options.add_model_options(parser, strand="mean")
    return cli.parse_arguments(parser, argv)


def _add_dependency_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("dependencies: how much a mutation changes the prediction for each other base")
    group.add_argument("--dependencies", metavar="TSV", help="table of all pairs of a mutated and another base")
    group.add_argument("--dependency-map", metavar="FILE", help="picture of them")
    group.add_argument("--dependency-map-format", choices=figures.FORMATS, help="(default: png)")
    group.add_argument(
        "--dependency-bases",
        type=cli.at_least(1),
        metavar="N",
        help="refuse a longer sequence or interval, and several with more pairs of bases than one "
        f"(default: {dependency_sinks.MOST_BASES})",
    )
    group.add_argument("--influence", action="store_true", help="column of each substitution's mean dependency")


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
    flank = arguments.best.flank if arguments.best else FLANK
    cli.refuse_unless_given(arguments, "intervals", intervals_format="bed", flank=flank, reference=None)
    cli.refuse_unless_given(arguments, "heatmap", heatmap_format="png")
    cli.refuse_unless_given(arguments, "dependency_map", dependency_map_format="png")
    if not arguments.dependency_map:
        cli.refuse_unless_given(arguments, "dependencies", dependency_bases=None)
    cli.refuse_unless_given(arguments, "report", report_for="files")
    if arguments.draw and not (arguments.heatmap or tracks or arguments.report):
        raise UserError(
            "--draw has no effect without --heatmap, --track, --base-tracks or --report: give one of them, or leave "
            "--draw out"
        )
    if arguments.draw and arguments.draw not in arguments.scores:
        arguments.scores.append(arguments.draw)
    return arguments.draw or arguments.scores[0]


def main(argv: list[str]) -> None:
    """Run the command."""
    arguments = parse_arguments(argv)
    options.choose_settings(arguments, DEFAULTS, options.advice_for_scores)
    drawn = score_to_draw(arguments)
    with contextlib.ExitStack() as stack:
        reference = stack.enter_context(open_reference(arguments.reference)) if arguments.intervals else None
        if arguments.intervals:
            given = arguments.intervals, arguments.intervals_format, reference, arguments.flank
            read = partial(stretches.from_intervals, *given)
        else:
            read = partial(read_sequences, arguments.sequences)
        if arguments.dependencies or arguments.dependency_map:
            most_bases = arguments.dependency_bases or dependency_sinks.MOST_BASES
            read = partial(dependency_sinks.limited, read, most_bases)
        flank = arguments.flank if arguments.intervals else None
        around = arguments.best.flank if arguments.best else FLANK
        source = MutationSource(read, arguments.deletions, flank, around)

        def outputs(facts: Facts) -> list[Output]:
            page = galaxy.PAGES[arguments.report_for]
            picture = markdown.plot_block(
                arguments.heatmap,
                arguments.heatmap_format,
                "Heat map of the scores",
                page=page,
                output="heatmap",
            )
            cells = partial(sinks.cells, with_influence=arguments.influence)
            of_bases = zip(arguments.base_tracks or [None] * len(BASES), BASES, strict=True)
            return [
                (arguments.output, partial(tables.table, cells=cells, chunk=facts.chunk)),
                (
                    arguments.heatmap,
                    partial(
                        sinks.heat_map,
                        score=drawn,
                        deletions=arguments.deletions,
                        file_format=arguments.heatmap_format,
                    ),
                ),
                (
                    arguments.report,
                    partial(mutation_report.report, score=drawn, facts=facts, picture=picture, page=page),
                ),
                (arguments.track, partial(sinks.track, score=drawn, reference=reference)),
                *((path, partial(sinks.track, score=drawn, reference=reference, base=base)) for path, base in of_bases),
                (arguments.dependencies, dependency_sinks.table),
                (
                    arguments.dependency_map,
                    partial(
                        dependency_sinks.picture,
                        strand=arguments.strand,
                        is_causal=facts.is_causal,
                        file_format=arguments.dependency_map_format,
                    ),
                ),
            ]

        options.run(arguments, source, outputs)


def read_sequences(path: str) -> Iterator[stretches.Stretch]:
    """Each record of a FASTA file, all of it."""
    return stretches.from_records(fasta.read_fasta(path))
