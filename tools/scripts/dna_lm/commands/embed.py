"""Embed sequences: one vector per sequence, as a table or an AnnData file, and a picture of all of them."""

import argparse
from collections.abc import Iterator
from functools import partial

from dna_lm import cli, names
from dna_lm.commands import options
from dna_lm.embedding import groups, pca, scatter, sinks
from dna_lm.embedding.source import SequenceSource
from dna_lm.errors import UserError
from dna_lm.inputs import fasta, tables
from dna_lm.outputs import figures
from dna_lm.scoring import recommended
from dna_lm.scoring.job import Facts, Output


def parse_arguments(argv: list[str]) -> argparse.Namespace:
    """The options of the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    source = parser.add_argument_group("sequences")
    source.add_argument(
        "--input",
        action="append",
        metavar="[LABEL=]FASTA",
        help="sequences (may be gzipped); repeat, and each file is a group (default label: the file's name)",
    )
    source.add_argument(
        "--inputs", metavar="JSON", help='the same as a list: [{"name": "exons.fasta", "table": "a.fasta"}, …]'
    )
    source.add_argument(
        "--groups",
        metavar="TSV",
        help="groups of the records: a table with the identifiers in the column id, or in the only one that has them",
    )
    source.add_argument("--group-column", metavar="NAME", help="the column of --groups that says the group")
    source.add_argument("--group-column-number", type=int, metavar="N", help="the same by number, from 1")
    parser.add_argument("--output", required=True, metavar="FILE", help="embeddings, one row per sequence")
    parser.add_argument("--format", choices=("table", "h5ad"), default="table", help="of the output (default: table)")
    parser.add_argument(
        "--log-likelihood",
        action="store_true",
        help="also give each sequence's log-likelihood, in nats, and bits per base; a masked model then reads a "
        "sequence once for each of its tokens",
    )
    drawing = parser.add_argument_group("principal components of the embeddings (AnnData gets them too)")
    drawing.add_argument("--picture", metavar="FILE", help="the first two, a point for each record, coloured by group")
    drawing.add_argument("--picture-format", choices=figures.FORMATS, help="(default: png)")
    drawing.add_argument("--coordinates", metavar="TSV", help=f"the first {pca.COLUMNS}, one row per sequence")
    options.add_model_options(parser, with_tutorial=True)
    arguments = cli.parse_arguments(parser, argv)
    cli.refuse_unless_given(arguments, "picture", picture_format="png")
    cli.refuse_unless_given(arguments, "groups", group_column=None, group_column_number=None)
    return arguments


def read_source(arguments: argparse.Namespace) -> SequenceSource:
    """The records and their groups. Raises `UserError` for options that do not fit, and for a faulty table."""
    labelled = tables.read_table_list(arguments.inputs) if arguments.inputs else []
    labelled += [tables.split_table(argument) for argument in arguments.input or ()]
    if not labelled:
        raise UserError("give the sequences: --input FASTA")
    of_records = None
    if arguments.groups:
        column = arguments.group_column if arguments.group_column is not None else arguments.group_column_number
        if column is None:
            raise UserError("--groups needs --group-column: the column that says which group a record belongs to")
        of_records = groups.read_groups(arguments.groups, column, identifiers(labelled))
    files = groups.labelled_files(labelled)
    shown = [label for label, _ in files] if of_records is None else of_records.values()
    return SequenceSource(files, of_records, names.without("group", shown))


def identifiers(labelled: list[tuple[str, str]]) -> Iterator[str]:
    """Those of all records of (label, path) pairs."""
    return (record.id for _, path in labelled for record in fasta.read_fasta(path))


def main(argv: list[str]) -> None:
    """Run the command."""
    arguments = parse_arguments(argv)
    options.choose_settings(
        arguments, options.DEFAULTS, options.advice_for_embeddings, lambda _best: recommended.EMBEDDINGS
    )
    source = read_source(arguments)
    columns = partial(sinks.cells, with_log_likelihood=arguments.log_likelihood, with_group=source.is_grouped)
    collector = None
    if arguments.picture or arguments.coordinates:
        collector = source.watcher = pca.Collector(columns, source.no_group)

    def outputs(facts: Facts) -> list[Output]:
        if arguments.format == "h5ad":
            embeddings = partial(
                sinks.h5ad,
                settings=facts.provenance,
                columns=columns,
                components=collector and collector.components,
            )
        else:
            embeddings = partial(sinks.embedding_table, columns=columns, chunk=facts.chunk)
        return [
            (arguments.output, embeddings),
            (arguments.picture, partial(scatter.picture, collector=collector, file_format=arguments.picture_format)),
            (arguments.coordinates, partial(pca.coordinates_table, collector=collector)),
        ]

    options.run(arguments, source, outputs)
