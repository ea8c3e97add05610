"""Score the variants of a VCF: the same VCF with scores in INFO, and a score table."""

import argparse
import logging
import re
from contextlib import AbstractContextManager
from functools import partial

from dna_lm import cli, galaxy, names
from dna_lm.commands import options
from dna_lm.errors import UserError
from dna_lm.inputs import alleles, genes, regions
from dna_lm.inputs.reference import Reference, open_reference
from dna_lm.marks import Mark
from dna_lm.outputs import markdown, tables
from dna_lm.scoring.job import Facts, Output
from dna_lm.scoring.recommended import Recommended
from dna_lm.variants import ranking, sinks
from dna_lm.variants import report as variant_report
from dna_lm.variants.background import MOST_DRAWN, Background
from dna_lm.variants.source import VariantSource

log = logging.getLogger(__name__)

# Of the options that `--settings` chooses.
DEFAULTS = options.DEFAULTS | {
    "scores": ["l2"],
    "strand": "mean",
    "window": 201,
    "window_before": None,
    "indel_window": alleles.SAME_FLANKS,
}


def parse_arguments(argv: list[str]) -> argparse.Namespace:
    """The options of the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variants", required=True, metavar="VCF", help="variants (may be bgzipped or gzipped)")
    parser.add_argument("--reference", required=True, metavar="FASTA", help="their reference (may be bgzipped)")
    parser.add_argument("--output", required=True, metavar="TSV", help="score table, one row per alternate allele")
    parser.add_argument("--output-vcf", metavar="VCF", help="the same variants with scores in INFO, uncompressed")
    parser.add_argument(
        "--sort",
        choices=("vcf", "impact"),
        default="vcf",
        help="order of the table: as in the VCF, or by the first score (its percentile if there is one), the largest "
        "impact first, substitutions before all other alleles; a chunk keeps its order (default: vcf)",
    )
    parser.add_argument("--wild-type-windows", metavar="FASTA", help="the wild-type window of each allele that has one")
    parser.add_argument("--mutant-windows", metavar="FASTA", help="the mutant windows, in the same order")
    parser.add_argument(
        "--window",
        type=cli.at_least(1),
        metavar="N",
        help="bases around a substitution (default: 201)",
    )
    parser.add_argument(
        "--window-before",
        type=cli.at_least(0),
        metavar="N",
        help="bases of the window before a substitution (default: half of the window)",
    )
    parser.add_argument(
        "--indel-window",
        choices=alleles.INDEL_WINDOWS,
        help="windows of an insertion or deletion: the same bases before and after the two alleles, so one window is "
        "longer; or both N bases, so that one ends further to the right in the reference (default: same-flanks)",
    )
    options.add_score_option(parser)
    parser.add_argument("--report", metavar="MD", help="the result in words, in Markdown")
    options.add_report_option(parser)
    parser.add_argument("--plot", metavar="PNG", help="picture of the distribution of the first score")
    parser.add_argument(
        "--track",
        metavar="BIGWIG",
        help="the first score along the genome; of several alleles at a base, the first one by impact",
    )
    parser.add_argument(
        "--info-prefix",
        type=_prefix,
        metavar="NAME",
        help=f"the new INFO fields are called NAME_L2 and so on (default: {sinks.PREFIX})",
    )
    parser.add_argument(
        "--allow-ref-mismatches",
        action="store_true",
        help="go on when more than one in ten REF alleles, and at least ten, differ from the reference",
    )
    background = parser.add_argument_group("background: a percentile for each score")
    background.add_argument(
        "--background",
        type=cli.at_least(0, MOST_DRAWN),
        default=0,
        metavar="N",
        help="mutations drawn for each variant in the middle of its window; each is scored too (default: 0): for an "
        "insertion or deletion others of the same length and kind, otherwise substitutions of one base",
    )
    background.add_argument(
        "--background-width",
        type=cli.at_least(1),
        metavar="BASES",
        help="width of the region around the variant that they are drawn from (default: 51, 25 on either side)",
    )
    background.add_argument(
        "--same-change",
        action="store_true",
        default=None,
        help="draw only substitutions with the same change and the same two neighbouring bases as the variant",
    )
    background.add_argument("--seed", type=cli.at_least(0), help="random seed of the draws (default: 1)")
    named = parser.add_argument_group(
        "regions: a column with what a variant lies in, the names of BED regions or one word for the genes of a GFF or "
        "GTF file, and a column with the gene"
    )
    named.add_argument("--regions", metavar="FILE", help="BED or GFF (may be gzipped)")
    named.add_argument("--regions-format", choices=regions.FORMATS, help="(default: bed)")
    named.add_argument("--region-names", metavar="A,B", help="use only regions of these names (default: all)")
    named.add_argument(
        "--feature-types",
        action="store_true",
        default=None,
        help="all feature types of a GFF or GTF file, as in exon+gene",
    )
    options.add_model_options(parser, strand="mean")
    arguments = cli.parse_arguments(parser, argv)
    cli.refuse_unless_given(arguments, "output_vcf", info_prefix=sinks.PREFIX)
    cli.refuse_unless_given(arguments, "background", background_width=51, same_change=False, seed=1)
    cli.refuse_unless_given(arguments, "report", report_for="files")
    cli.refuse_unless_given(arguments, "regions", regions_format="bed", region_names="", feature_types=False)
    return arguments


def advice(best: Recommended) -> dict[str, object]:
    """What is recommended for a model."""
    return options.advice_for_scores(best) | {
        "window": best.window,
        "window_before": best.before,
        "indel_window": best.indel_window,
    }


def _prefix(text):
    if not re.fullmatch("[A-Za-z][0-9A-Za-z_]{0,30}", text):
        raise argparse.ArgumentTypeError("a letter, then letters, digits or underscores")
    return text


def open_regions(arguments: argparse.Namespace, reference: Reference) -> regions.Regions | None:
    """The named regions, if there are any. Raises `UserError` when none is on a sequence of the reference."""
    if not arguments.regions:
        return None
    named = genes.read_named(
        arguments.regions,
        arguments.regions_format,
        names.split_labels(arguments.region_names),
        reference.lengths,
        arguments.feature_types,
    )
    if not named.contigs:
        alleles.judge_unknown("regions", "region", named.n_of_contig, 0, reference)
    return named


def main(argv: list[str]) -> None:
    """Run the command."""
    arguments = parse_arguments(argv)
    options.choose_settings(arguments, DEFAULTS, advice)
    if arguments.window_before is not None and arguments.window_before >= arguments.window:
        raise UserError(
            f"--window-before {arguments.window_before}: a window of {arguments.window} bases has the substitution in "
            "it, so give a smaller number"
        )
    scores = tuple(arguments.scores)
    annotation = sinks.Annotation(arguments.info_prefix, scores, arguments.background > 0)
    background = None
    if arguments.background:
        background = Background(arguments.background, arguments.background_width, arguments.same_change, arguments.seed)
    with open_reference(arguments.reference) as reference:
        source = VariantSource(
            path=arguments.variants,
            reference=reference,
            window=arguments.window,
            background=background,
            regions=open_regions(arguments, reference),
            refused_ids=annotation.ids if arguments.output_vcf else frozenset(),
            allow_ref_mismatches=arguments.allow_ref_mismatches,
            indel_window=arguments.indel_window,
            before=arguments.window_before,
            sort_by_impact=arguments.sort == "impact",
        )

        def outputs(facts: Facts) -> list[Output]:
            page = galaxy.PAGES[arguments.report_for]
            plot = markdown.plot_block(arguments.plot, "png", "Distribution of the score", page=page)
            return [
                (arguments.output, partial(score_table, source=source, score=scores[0], chunk=facts.chunk)),
                (
                    arguments.output_vcf,
                    lambda path: annotation.annotated_vcf(path, source.header, facts.provenance),
                ),
                (
                    arguments.report,
                    partial(variant_report.report, score=scores[0], facts=facts, plot=plot, page=page),
                ),
                (arguments.plot, partial(variant_report.picture, score=scores[0])),
                (arguments.track, partial(sinks.track, score=scores[0], reference=reference)),
                (arguments.wild_type_windows, sinks.wild_type_windows),
                (arguments.mutant_windows, sinks.mutant_windows),
            ]

        options.run(arguments, source, outputs)


def score_table(
    path: str, source: VariantSource, score: str, chunk: Mark | str | None
) -> AbstractContextManager[sinks.Sink]:
    """The table of the alleles, ranked by a score if the source's rows are."""
    if source.is_ranked:
        return ranking.ranked_table(path, score, sinks.cells)
    if source.sort_by_impact:
        log.warning("this VCF is a chunk, so its table keeps the order: sort when the chunks are put together")
    return tables.table(path, sinks.cells, chunk)
