"""Put the tables of many jobs together, chunks in their order: one header, then every row unchanged."""

import argparse
import logging
import os

from dna_lm import cli, statuses
from dna_lm.errors import counted
from dna_lm.inputs import collapsing

log = logging.getLogger(__name__)


def parse_arguments(argv: list[str]) -> argparse.Namespace:
    """The options of the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--tables", nargs="+", metavar="FILE", help="tables, or VCF files; chunks are put in their order"
    )
    source.add_argument("--list", metavar="JSON", help='the same in a file: [{"name": ..., "path": ...}, ...]')
    parser.add_argument("--output", required=True, metavar="FILE", help="all rows under one header")
    parser.add_argument(
        "--allow-ref-mismatches",
        action="store_true",
        help="go on when more than one in ten REF alleles of all chunks, and at least ten, differ from the reference",
    )
    return cli.parse_arguments(parser, argv)


def main(argv: list[str]) -> None:
    """Run the command."""
    arguments = parse_arguments(argv)
    if arguments.list:
        tables = collapsing.read_list(arguments.list)
    else:
        tables = [(os.path.basename(path), path) for path in arguments.tables]
    with cli.atomic_outputs(arguments.output) as [output]:
        counts = collapsing.collapse(tables, output, arguments.allow_ref_mismatches)
    log.info("%s put together", counted(len(tables), "table"))
    if counts:
        log.info("%s: %s", counted(counts.total(), "record"), statuses.listed(counts))
