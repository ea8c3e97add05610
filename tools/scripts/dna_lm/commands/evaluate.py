"""Evaluate scores against known labels: AUROC, average precision or correlation, baselines, curves and a report."""

import argparse

from dna_lm import cli, environment, galaxy, names
from dna_lm.errors import UserError
from dna_lm.evaluate import directions, evaluation, joining, plots, report, result_tables
from dna_lm.evaluate import labels as known
from dna_lm.evaluate.evaluation import Evaluation
from dna_lm.inputs import tables
from dna_lm.outputs import figures, markdown

CLNSIG = "CLNSIG"


def parse_arguments(argv: list[str]) -> argparse.Namespace:
    """The options of the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    several = {"nargs": "+", "action": "extend", "default": []}
    source = parser.add_argument_group("scores")
    source.add_argument("--table", action="append", default=[], metavar="[LABEL=]TSV", help="a score table; repeat")
    source.add_argument(
        "--tables",
        metavar="JSON",
        help='the same as a list: [{"label": "v2", "table": "a.tsv"}, …]; see compare_groups.py',
    )
    source.add_argument(
        "--scores", **several, metavar="SCORE", help="score columns (default: all scores of the suite in the tables)"
    )
    source.add_argument(
        "--direction",
        **several,
        metavar="SCORE=up",
        help="up: a larger number points to the positive label; down: a smaller one does (default: by the score's "
        "meaning; needed for other columns)",
    )
    of_labels = parser.add_argument_group("labels", "positive and negative values, ClinVar's, or measured numbers")
    of_labels.add_argument(
        "--labels", metavar="FILE", help="table or VCF with the labels (default: the first score table)"
    )
    of_labels.add_argument("--label-column", metavar="NAME", help="column, or INFO field of the VCF, with the labels")
    of_labels.add_argument("--positive", **several, metavar="VALUE", help="labels that are positive")
    of_labels.add_argument("--negative", **several, metavar="VALUE", help="labels that are negative")
    of_labels.add_argument(
        "--clinvar", action="store_true", help=f"labels as ClinVar writes them (default column: {CLNSIG})"
    )
    of_labels.add_argument("--measured-column", metavar="NAME", help="column, or INFO field, with a measured number")
    of_labels.add_argument(
        "--measured-direction",
        choices=(directions.UP, directions.DOWN),
        help="up: a larger number is a larger effect (default); down: a smaller one is",
    )
    how = parser.add_argument_group("evaluation")
    how.add_argument("--stratum-column", metavar="NAME", help="metrics for each value of this column too")
    how.add_argument("--cluster-column", metavar="NAME", help="rows with the same value are resampled together")
    how.add_argument("--ensemble", **several, metavar="SCORE", help="scores whose ranks are averaged (default: all)")
    how.add_argument("--no-ensemble", action="store_true", help="do not average ranks")
    how.add_argument(
        "--seed", type=cli.at_least(0), default=1, help="of the bootstrap and the random score (default: 1)"
    )
    written = parser.add_argument_group("outputs")
    written.add_argument("--output", required=True, metavar="TSV", help="metrics: one row a score and stratum")
    written.add_argument("--comparisons", metavar="TSV", help="one row a comparison of two scores")
    written.add_argument("--rows", metavar="TSV", help="one row a mutation: its label, scores and ranks")
    written.add_argument("--plot", metavar="FILE")
    written.add_argument("--plot-format", choices=figures.FORMATS, default="png", help="(default: png)")
    written.add_argument("--report", metavar="FILE", help="Markdown")
    written.add_argument("--report-for", choices=tuple(galaxy.PAGES), default="files", help="where the report is read")
    written.add_argument("--title", help="the heading of plot and report")
    arguments = cli.parse_arguments(parser, argv)
    _check(arguments)
    return arguments


def _check(arguments: argparse.Namespace) -> None:
    """Fill in defaults that depend on other options. Raises `UserError` for options that contradict each other."""
    if not arguments.table and not arguments.tables:
        raise UserError("give one or more score tables: --table [LABEL=]TSV")
    if arguments.clinvar and arguments.label_column is None:
        arguments.label_column = CLNSIG
    if (arguments.label_column is None) == (arguments.measured_column is None):
        raise UserError("say where the labels are: either --label-column (or --clinvar) or --measured-column")
    if arguments.measured_column is not None and (arguments.positive or arguments.negative):
        raise UserError("--positive and --negative are values of --label-column: leave them out with --measured-column")
    if arguments.label_column is not None and not arguments.clinvar and not (arguments.positive and arguments.negative):
        raise UserError(
            "say which labels are positive and which negative: --positive VALUE … --negative VALUE …, or --clinvar for "
            "ClinVar's classifications"
        )
    if arguments.ensemble and arguments.no_ensemble:
        raise UserError("--ensemble and --no-ensemble contradict each other: leave one out")
    cli.refuse_unless_given(arguments, "measured_column", measured_direction=directions.UP)


def read(arguments: argparse.Namespace) -> tuple[joining.Rows, known.Labels, dict[str, list[str]]]:
    """The joined rows, their labels, and the columns of strata and clusters. Raises `UserError`."""
    labelled = tables.read_table_list(arguments.tables, numbered=True) if arguments.tables else []
    labelled += [tables.split_table(argument) for argument in arguments.table]
    column = arguments.label_column if arguments.measured_column is None else arguments.measured_column
    wanted = [name for name in (arguments.stratum_column, arguments.cluster_column) if name is not None]
    in_file = set(known.columns_of(arguments.labels)) if arguments.labels else set()
    from_file = [name for name in wanted if name in in_file]
    from_table = [name for name in wanted if name not in in_file] + ([] if arguments.labels else [column])
    rows = joining.read_tables(labelled, arguments.scores, list(dict.fromkeys(from_table)))
    if arguments.measured_column is not None:
        reading = known.measured
    else:
        reading = (known.of_clinvar if arguments.clinvar else known.binary)(arguments.positive, arguments.negative)
    others = {}
    if arguments.labels:
        found, others = known.from_file(arguments.labels, rows, column, reading, from_file)
    else:
        found = known.own_column(rows, column, reading)
    known.refuse_useless(found, column, is_measured=arguments.measured_column is not None)
    if arguments.measured_direction == directions.DOWN:
        found = known.turned(found)
    return rows, found, rows.texts | others


def main(argv: list[str]) -> None:
    """Run the command."""
    arguments = parse_arguments(argv)
    given_directions = directions.parse(arguments.direction)
    rows, found_labels, texts = read(arguments)
    found = evaluation.evaluate(
        rows,
        found_labels,
        given_directions,
        is_measured=arguments.measured_column is not None,
        strata=texts.get(arguments.stratum_column),
        clusters=texts.get(arguments.cluster_column),
        ensemble=[] if arguments.no_ensemble else arguments.ensemble or None,
        seed=arguments.seed,
    )
    title = names.clean_label(arguments.title or "")
    page = galaxy.PAGES[arguments.report_for]
    wanted = (arguments.output, arguments.comparisons, arguments.rows, arguments.plot, arguments.report)
    with cli.atomic_outputs(*wanted) as (output, comparisons, per_row, plot, report_path):
        result_tables.write_metrics(output, found)
        if comparisons:
            result_tables.write_comparisons(comparisons, found)
        if per_row:
            result_tables.write_rows(per_row, found)
        note = plots.draw(plot, found, arguments.plot_format, title) if plot else None
        if report_path:
            text = report.write_report(
                found,
                title=title,
                plot=markdown.plot_block(arguments.plot, arguments.plot_format, "Curves of the scores", note, page),
                settings=settings_in_words(arguments, rows, found_labels, found),
                page=page,
            )
            with open(report_path, "w", encoding="utf-8") as handle:
                handle.write(text)


def settings_in_words(
    arguments: argparse.Namespace, rows: joining.Rows, found_labels: known.Labels, found: Evaluation
) -> dict[str, str]:
    """What was run, for the report: name to value, in words."""
    shown = {
        "Labels": arguments.label_column
        or f"{arguments.measured_column} (larger effect: {arguments.measured_direction})"
    }
    if arguments.clinvar:
        shown["Labels"] += ", as ClinVar writes them"
    if arguments.positive or arguments.negative:
        shown["Positive"] = ", ".join(arguments.positive) or "as usual"
        shown["Negative"] = ", ".join(arguments.negative) or "as usual"
    shown["Labels found by"] = found_labels.found_by
    if rows.joined_by:
        shown["Tables joined by"] = "; ".join(rows.joined_by)
    shown["Intervals"] = "95 %; " + _method(found)
    n_bootstrap = {line.n_bootstrap for line in found.lines if line.n_bootstrap}
    if n_bootstrap:
        shown["Resamples"] = (
            f"{min(n_bootstrap):,} to {max(n_bootstrap):,}" if len(n_bootstrap) > 1 else f"{n_bootstrap.pop():,}"
        )
    shown["Seed"] = str(arguments.seed)
    shown["Versions"] = environment.versions("numpy", "scipy", "scikit-learn", "matplotlib")
    return shown


def _method(found: Evaluation) -> str:
    if found.n_clusters:
        return f"bootstrap of {found.n_clusters:,} clusters"
    if found.is_measured:
        return "Fisher's z with the variance of Bonett and Wright; differences: bootstrap of rows"
    return "AUROC: DeLong, logit scale; average precision: stratified bootstrap, logit scale"
