"""Compare the scores of groups of mutations: tests, effect sizes, a plot and a report."""

import argparse
import logging

from dna_lm import cli, environment, estimates, galaxy, names, scores
from dna_lm.compare import plots, report, score_tables, statistics
from dna_lm.compare.hypothesis_tests import DEFAULT_PAIRED_TESTS, DEFAULT_TESTS, TESTS, TITLES
from dna_lm.errors import UserError
from dna_lm.inputs import tables
from dna_lm.outputs import figures, markdown

log = logging.getLogger(__name__)


def parse_arguments(argv: list[str]) -> argparse.Namespace:
    """The options of the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    source = parser.add_argument_group("scores", "several tables, or one table with a column that says the group")
    source.add_argument("--group", action="append", metavar="LABEL=TSV", help="a group's score table; repeat")
    source.add_argument(
        "--groups",
        metavar="JSON",
        help='the same as a list: [{"label": "exon", "table": "a.tsv"}, …]; with "name" instead of "label": the name '
        "of a dataset, from which a short label is made",
    )
    source.add_argument("--table", metavar="TSV", help="one score table of all groups")
    source.add_argument("--group-column", metavar="NAME", help="the column of --table that says the group")
    source.add_argument("--group-column-number", type=int, metavar="N", help="the same by number, from 1")
    source.add_argument("--only", default="", metavar="A,B", help="compare only these groups of --table (default: all)")
    parser.add_argument("--column", default="l2", help="the score column's name (default: l2)")
    tests = parser.add_argument_group("tests")
    tests.add_argument(
        "--tests",
        nargs="+",
        choices=TESTS,
        metavar="NAME",
        help=f"tests of each pair of groups, from: {', '.join(TESTS)} (default: "
        f"{' '.join(DEFAULT_TESTS)}, or with --paired {' '.join(DEFAULT_PAIRED_TESTS)}); with "
        "three or more independent groups, Kruskal-Wallis and one-way ANOVA are added",
    )
    tests.add_argument(
        "--paired",
        action="store_true",
        help="rows i of all groups belong together, or in another order those with the same place or id",
    )
    tests.add_argument("--correction", choices=estimates.CORRECTIONS, default="holm", help="(default: holm)")
    tests.add_argument(
        "--tutorial", action="store_true", help="the tutorial's two tests instead, to reproduce its numbers"
    )
    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("--output", required=True, metavar="TSV", help="one row a test")
    outputs.add_argument("--summary", required=True, metavar="TSV", help="one row a group")
    outputs.add_argument("--plot", metavar="FILE")
    outputs.add_argument("--plot-kind", choices=plots.KINDS, default="box", help="(default: box)")
    outputs.add_argument("--plot-format", choices=figures.FORMATS, default="png", help="(default: png)")
    outputs.add_argument("--log-scale", action="store_true", help="logarithmic score axis: all scores must be above 0")
    outputs.add_argument("--report", metavar="FILE", help="Markdown")
    outputs.add_argument("--report-for", choices=tuple(galaxy.PAGES), default="files", help="where the report is read")
    outputs.add_argument("--title", help="the heading of plot and report")
    return cli.parse_arguments(parser, argv)


def read_groups(arguments: argparse.Namespace) -> list[statistics.Group]:
    """The groups to compare. Raises `UserError` for options that contradict each other and for unreadable tables."""
    is_one_table = arguments.table is not None
    if is_one_table == bool(arguments.group or arguments.groups):
        raise UserError("give the groups either as --group LABEL=TSV (or --groups JSON) or as --table TSV")
    if is_one_table:
        column = arguments.group_column if arguments.group_column is not None else arguments.group_column_number
        if column is None:
            raise UserError("--table needs --group-column: the column that says which group a row belongs to")
        only = names.split_labels(arguments.only)
        return score_tables.read_grouped_table(arguments.table, arguments.column, column, arguments.paired, only)
    if arguments.only:
        raise UserError("--only needs --table: leave out the tables of the other groups instead")
    labelled = tables.read_table_list(arguments.groups, numbered=True) if arguments.groups else []
    labelled += [score_tables.split_group(argument) for argument in arguments.group or ()]
    return score_tables.read_groups(labelled, arguments.column, paired=arguments.paired)


def main(argv: list[str]) -> None:
    """Run the command."""
    arguments = parse_arguments(argv)
    groups, left_out = read_groups(arguments), ""
    if not arguments.paired:
        groups, left_out = statistics.without_small(groups)
        if left_out:
            log.warning("left out, as they have fewer than two scored rows: %s", left_out)
    results = statistics.compare(groups, arguments.tests, arguments.paired, arguments.correction, arguments.tutorial)
    summaries = [statistics.summarise(group.scores) for group in groups]
    score = scores.score_name(arguments.column)
    title = names.clean_label(arguments.title or "")
    page = galaxy.PAGES[arguments.report_for]
    with cli.atomic_outputs(arguments.output, arguments.summary, arguments.plot, arguments.report) as paths:
        output, summary, plot, report_path = paths
        score_tables.write_results(output, results)
        score_tables.write_summaries(summary, groups, summaries)
        note = None
        if plot:
            scored = [(group.label, group.scored) for group in groups]
            note = plots.draw_groups(
                plot, scored, score, arguments.plot_kind, arguments.plot_format, arguments.log_scale, title
            )
        if report_path:
            text = report.write_report(
                groups,
                results,
                summaries,
                score,
                title=title,
                paired=arguments.paired,
                correction=arguments.correction,
                tutorial=arguments.tutorial,
                plot=markdown.plot_block(arguments.plot, arguments.plot_format, "Scores of the groups", note, page),
                settings=settings_in_words(arguments, groups, results, left_out),
                page=page,
            )
            with open(report_path, "w", encoding="utf-8") as handle:
                handle.write(text)


def settings_in_words(
    arguments: argparse.Namespace, groups: list[statistics.Group], results: list[statistics.Result], left_out: str
) -> dict[str, str]:
    """What was run, for the report: name to value, in words."""
    axis = "log" if arguments.log_scale else "linear"
    shown = {"Left out (fewer than two scored rows)": left_out} if left_out else {}
    return shown | {
        "Score column": arguments.column,
        "Tests": ", ".join(dict.fromkeys(TITLES[result.test] for result in results)),
        "Rows": pairing(groups) if arguments.paired else "independent",
        "Correction": estimates.CORRECTIONS[arguments.correction],
        "Plot": f"{arguments.plot_kind}, {axis} axis" if arguments.plot else "none",
        "Versions": environment.versions("numpy", "scipy", "matplotlib"),
    }


def pairing(groups: list[statistics.Group]) -> str:
    """How rows were paired, in words."""
    return next((group.pairing for group in groups if group.pairing), "paired by their order")
