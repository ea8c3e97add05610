#!/usr/bin/env python3
"""Compare the scores of groups of mutations: tests, effect sizes, a plot and a report."""

import argparse
import os
import platform
from importlib.metadata import version

from dna_lm import cli, labels
from dna_lm.compare import plots, report, score_tables, statistics
from dna_lm.errors import UserError


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    source = parser.add_argument_group("scores", "several tables, or one table with a column that says the group")
    source.add_argument("--group", action="append", metavar="LABEL=TSV", help="a group's score table; repeat")
    source.add_argument(
        "--groups",
        metavar="JSON",
        help='the same as a list: [{"label": "exon", "table": "a.tsv"}, …]; with "name" instead of "label", the name '
        "of a dataset, a short label is made of it",
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
        choices=statistics.TESTS,
        metavar="NAME",
        help=f"tests of each pair of groups, from: {', '.join(statistics.TESTS)} (default: "
        f"{' '.join(statistics.DEFAULT_TESTS)}, or with --paired {' '.join(statistics.DEFAULT_PAIRED_TESTS)}); with "
        "three or more independent groups, Kruskal-Wallis and one-way ANOVA are added",
    )
    tests.add_argument("--paired", action="store_true", help="rows i of all groups belong together")
    tests.add_argument("--correction", choices=statistics.CORRECTIONS, default="holm", help="(default: holm)")
    tests.add_argument(
        "--tutorial", action="store_true", help="the tutorial's two tests instead, to reproduce its numbers"
    )
    outputs = parser.add_argument_group("outputs")
    outputs.add_argument("--output", required=True, metavar="TSV", help="one row a test")
    outputs.add_argument("--summary", required=True, metavar="TSV", help="one row a group")
    outputs.add_argument("--plot", metavar="FILE")
    outputs.add_argument("--plot-kind", choices=plots.KINDS, default="box", help="(default: box)")
    outputs.add_argument("--plot-format", choices=plots.FORMATS, default="png", help="(default: png)")
    outputs.add_argument("--log-scale", action="store_true", help="logarithmic score axis: all scores must be above 0")
    outputs.add_argument("--report", metavar="FILE", help="Markdown")
    outputs.add_argument("--report-for", choices=("files", "galaxy"), default="files", help="where the report is read")
    outputs.add_argument("--title", help="the heading of plot and report")
    return cli.parse_arguments(parser, argv)


def read_groups(args: argparse.Namespace) -> list[statistics.Group]:
    is_one_table = args.table is not None
    if is_one_table == bool(args.group or args.groups):
        raise UserError("give the groups either as --group LABEL=TSV (or --groups JSON) or as --table TSV")
    if is_one_table:
        column = args.group_column if args.group_column is not None else args.group_column_number
        if column is None:
            raise UserError("--table needs --group-column: the column that says which group a row belongs to")
        only = labels.split_labels(args.only)
        return score_tables.read_grouped_table(args.table, args.column, column, args.paired, only)
    if args.only:
        raise UserError("--only needs --table: leave out the tables of the other groups instead")
    labelled = score_tables.read_group_list(args.groups) if args.groups else []
    labelled += [score_tables.split_group(argument) for argument in args.group or ()]
    return score_tables.read_groups(labelled, args.column, with_ids=args.paired)


def main(argv: list[str]) -> None:
    args = parse(argv)
    groups = read_groups(args)
    results = statistics.compare(groups, args.tests, args.paired, args.correction, args.tutorial)
    summaries = [statistics.summarise(group.scores) for group in groups]
    score = labels.score_name(args.column)
    title = labels.clean_label(args.title or "")
    in_galaxy = args.report_for == "galaxy"
    with cli.atomic_outputs(args.output, args.summary, args.plot, args.report) as paths:
        output, summary, plot, report_path = paths
        score_tables.write_results(output, results)
        score_tables.write_summaries(summary, groups, summaries)
        note = None
        if plot:
            scored = [(group.label, group.scored) for group in groups]
            note = plots.draw_groups(plot, scored, score, args.plot_kind, args.plot_format, args.log_scale, title)
        if report_path:
            plot_name = args.plot and os.path.basename(args.plot)
            text = report.write_report(
                groups,
                results,
                summaries,
                score,
                title=title,
                paired=args.paired,
                correction=args.correction,
                tutorial=args.tutorial,
                plot=report.plot_block(plot_name, args.plot_format, note, in_galaxy),
                settings=settings(args, results),
                galaxy=in_galaxy,
            )
            with open(report_path, "w", encoding="utf-8") as handle:
                handle.write(text)


def settings(args: argparse.Namespace, results: list[statistics.Result]) -> dict[str, str]:
    """What was run, for the report: name to value, in words."""
    return {
        "Score column": args.column,
        "Tests": ", ".join(dict.fromkeys(statistics.TITLES[result.test] for result in results)),
        "Rows": "paired by their order" if args.paired else "independent",
        "Correction": statistics.CORRECTIONS[args.correction],
        "Plot": f"{args.plot_kind}, {'log' if args.log_scale else 'linear'} axis" if args.plot else "none",
        "Versions": ", ".join(
            [f"Python {platform.python_version()}"]
            + [f"{name} {version(name)}" for name in ("numpy", "scipy", "matplotlib")]
        ),
    }


if __name__ == "__main__":
    cli.run(main)
