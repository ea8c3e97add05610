"""Score the variants of a VCF: the same VCF with scores in INFO, and a score table."""

import argparse
import contextlib
import re

from dna_lm import cli, labels, scores, tables
from dna_lm.errors import UserError
from dna_lm.inputs import alleles, regions, vcf
from dna_lm.inputs.reference import open_reference
from dna_lm.scoring import options, pipeline, provenance, variant_scores
from dna_lm.scoring.background import Background


def parse_arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variants", required=True, metavar="VCF", help="variants (may be bgzipped or gzipped)")
    parser.add_argument("--reference", required=True, metavar="FASTA", help="their reference (may be bgzipped)")
    parser.add_argument("--output", required=True, metavar="TSV", help="score table, one row per alternate allele")
    parser.add_argument("--output-vcf", metavar="VCF", help="the same variants with scores in INFO, uncompressed")
    parser.add_argument("--wild-type-windows", metavar="FASTA", help="the wild-type window of each allele that has one")
    parser.add_argument("--mutant-windows", metavar="FASTA", help="the mutant windows, in the same order")
    parser.add_argument(
        "--window", type=_at_least(1), default=201, metavar="N", help="bases around a substitution (default: 201)"
    )
    parser.add_argument(
        "--scores", nargs="+", choices=scores.SCORES, default=["l2"], help="columns to compute (default: l2)"
    )
    parser.add_argument(
        "--info-prefix",
        type=_prefix,
        metavar="NAME",
        help=f"the new INFO fields are called NAME_L2 and so on (default: {variant_scores.PREFIX})",
    )
    parser.add_argument(
        "--allow-ref-mismatches",
        action="store_true",
        help="go on when more than one in ten REF alleles, and at least ten, differ from the reference",
    )
    background = parser.add_argument_group("background: a percentile for each score")
    background.add_argument(
        "--background",
        type=_at_least(0),
        default=0,
        metavar="N",
        help="substitutions drawn for each variant from the middle of its window; each is scored too (default: 0)",
    )
    background.add_argument(
        "--background-width",
        type=_at_least(1),
        metavar="BASES",
        help="width of the region around the variant that they are drawn from (default: 51, 25 on either side)",
    )
    background.add_argument(
        "--same-change",
        action="store_true",
        default=None,
        help="draw only substitutions with the same change and the same two neighbouring bases as the variant",
    )
    background.add_argument("--seed", type=int, help="random seed of the draws (default: 1)")
    named = parser.add_argument_group("regions: a column with the names of those a variant lies in")
    named.add_argument("--regions", metavar="FILE", help="BED or GFF (may be gzipped)")
    named.add_argument("--regions-format", choices=regions.FORMATS, help="(default: bed)")
    named.add_argument("--region-names", metavar="A,B", help="use only regions of these names (default: all)")
    options.add_model_options(parser)
    arguments = cli.parse_arguments(parser, argv)
    cli.refuse_unless_given(arguments, "output_vcf", info_prefix=variant_scores.PREFIX)
    cli.refuse_unless_given(arguments, "background", background_width=51, same_change=False, seed=1)
    cli.refuse_unless_given(arguments, "regions", regions_format="bed", region_names="")
    return arguments


def _at_least(smallest):
    def number(text):
        value = int(text)
        if value < smallest:
            raise argparse.ArgumentTypeError(f"{value} is less than {smallest}")
        return value

    return number


def _prefix(text):
    if not re.fullmatch("[A-Za-z][0-9A-Za-z_]{0,30}", text):
        raise argparse.ArgumentTypeError("a letter, then letters, digits or underscores")
    return text


def read_regions(arguments, reference):
    if not arguments.regions:
        return None
    found = regions.Regions(
        regions.read(arguments.regions, arguments.regions_format), labels.split_labels(arguments.region_names)
    )
    if not set(found.contigs) & set(reference.lengths):
        alleles.refuse_unknown(found.contigs, list(reference.lengths), "regions")
    return found


def main(argv):
    arguments = parse_arguments(argv)
    annotation = variant_scores.Annotation(arguments.info_prefix, tuple(arguments.scores), arguments.background > 0)
    background = None
    if arguments.background:
        if arguments.tutorial:
            raise UserError("a background has no longest window to pad to: leave it out, or leave out tutorial mode")
        background = Background(arguments.background, arguments.background_width, arguments.same_change, arguments.seed)
    with contextlib.ExitStack() as stack:
        reference = stack.enter_context(open_reference(arguments.reference))
        header = alleles.check(
            arguments.variants,
            reference,
            annotation.ids if arguments.output_vcf else (),
            arguments.allow_ref_mismatches,
        )
        named = read_regions(arguments, reference)

        def read_alleles():
            return alleles.read(arguments.variants, reference, arguments.window)

        checkpoint = options.load_checkpoint(arguments)
        settings = options.settings_from(arguments, checkpoint)
        settings.check(checkpoint, arguments.scores)
        pad_to = (0, 0)
        if settings.tutorial:
            pad_to = pipeline.longest_pair(checkpoint, (allele.pair() for allele in read_alleles()))
        tally = pipeline.Tally(checkpoint, settings.budget, vcf.is_chunk(header))
        tally.meanings |= alleles.MEANINGS
        paths = arguments.output, arguments.output_vcf, arguments.wild_type_windows, arguments.mutant_windows
        output, annotated, wild_types, mutants = stack.enter_context(cli.atomic_outputs(*paths))
        scored = variant_scores.score_alleles(
            checkpoint,
            variant_scores.write_windows(wild_types, mutants, read_alleles()),
            settings,
            arguments.scores,
            background,
            named,
            pad_to,
        )
        if annotated:
            said = provenance.described(arguments, settings) | {"window": arguments.window} | described(background)
            handle = stack.enter_context(vcf.open_for_writing(annotated))
            rows = annotation.write(handle, header, vcf.read(arguments.variants), said, scored)
        else:
            rows = (row for _, row in scored)
        tables.write_table(output, tally.watch(rows))
        tally.report(arguments.fail_on_unscored)


def described(background):
    """What decides the percentiles, as text for the VCF's header."""
    if background is None:
        return {}
    return {
        "background": background.n,
        "background_width": background.width,
        "same_change": background.same_change,
        "seed": background.seed,
    }


if __name__ == "__main__":
    cli.run(main)
