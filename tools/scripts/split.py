"""Split a large pair of FASTA files, or a large VCF, into chunks for separate jobs."""

import argparse
import logging
from pathlib import Path

from dna_lm import cli
from dna_lm.errors import UserError
from dna_lm.inputs import chunks, fasta, vcf

log = logging.getLogger(__name__)


def parse_arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--wild-type", metavar="FASTA", help="wild-type sequences (may be gzipped), with --mutant")
    source.add_argument("--variants", metavar="VCF", help="variants (may be gzipped)")
    parser.add_argument("--mutant", metavar="FASTA", help="mutant sequences (may be gzipped)")
    parser.add_argument(
        "--pair-by", choices=fasta.PAIRINGS, help="n-th with n-th record (default), or equal identifiers"
    )
    parser.add_argument(
        "--size", required=True, type=int, metavar="N", help="pairs, or lines of the VCF, in a chunk; the last has less"
    )
    parser.add_argument(
        "--output", required=True, metavar="DIR", help="new folder: wild_type/ and mutant/, or variants/, are put there"
    )
    parser.add_argument(
        "--allow-identical",
        action="store_true",
        default=None,
        help="go on when all mutants are identical to their wild types",
    )
    arguments = cli.parse_arguments(parser, argv)
    if bool(arguments.wild_type) != bool(arguments.mutant):
        parser.error("--wild-type and --mutant belong together")
    if arguments.size < 1:
        parser.error(f"--size {arguments.size}: a chunk holds at least one record")
    cli.refuse_unless_given(arguments, "wild_type", pair_by="order", allow_identical=False)
    return arguments


def main(argv: list[str]) -> None:
    arguments = parse_arguments(argv)
    if arguments.variants:
        split_variants(arguments)
    else:
        split_pairs(arguments)


def new_folder(*parts: str) -> Path:
    """Make a folder. Raises `UserError` when there is one already, or none can be made."""
    folder = Path(*parts)
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {str(folder)!r}: {error.strerror}") from error
    return folder


def split_pairs(arguments: argparse.Namespace) -> None:
    """Write the chunks of a pair of FASTA files."""
    paths = arguments.wild_type, arguments.mutant
    # Read to the end first: a file with a fault leaves no chunk.
    counts = fasta.check_pairs(*paths, arguments.pair_by)
    if not arguments.allow_identical:
        fasta.refuse_identical(counts.n_pairs, counts.n_identical, *paths)
    chunks.refuse_too_many(counts.n_pairs, arguments.size)
    folders = (new_folder(arguments.output, name) for name in ("wild_type", "mutant"))
    n_chunks = chunks.write_pairs(fasta.PAIRINGS[counts.pair_by](*paths), arguments.size, *folders)
    log.info("%s", chunks.chunk_counts(counts.n_pairs, n_chunks, "pair"))


def split_variants(arguments: argparse.Namespace) -> None:
    """Write the chunks of a VCF."""
    n_lines = sum(1 for _ in vcf.read_lines(arguments.variants))
    if not n_lines:
        raise UserError("VCF: it has a header and no variant: nothing to split")
    chunks.refuse_too_many(n_lines, arguments.size)
    header = []
    lines = (line.text for line in vcf.read_lines(arguments.variants, header))
    folder = new_folder(arguments.output, "variants")
    n_chunks = chunks.write_variants(lines, arguments.size, header, folder)
    log.info("%s", chunks.chunk_counts(n_lines, n_chunks, "line"))


if __name__ == "__main__":
    cli.run(main)
