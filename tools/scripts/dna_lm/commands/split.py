"""Split a large pair of FASTA files, or a large VCF, into chunks for separate jobs."""

import argparse
import logging
from collections.abc import Iterable
from pathlib import Path

from dna_lm import cli
from dna_lm.contigs import key as contig_key
from dna_lm.errors import UserError, quoted
from dna_lm.inputs import chunks, fasta, vcf

log = logging.getLogger(__name__)

# The tables of its chunks would have the marks of the first splitting, and could not be put together.
_IS_CHUNK = "the input is a chunk already: split the whole input again, with a smaller size"


def parse_arguments(argv: list[str]) -> argparse.Namespace:
    """The options of the command."""
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
    """Run the command."""
    arguments = parse_arguments(argv)
    if arguments.variants:
        split_variants(arguments)
    else:
        split_pairs(arguments)


def split_pairs(arguments: argparse.Namespace) -> None:
    """Write the chunks of a pair of FASTA files."""
    paths = arguments.wild_type, arguments.mutant
    if any(map(chunks.mark_of_fasta, paths)):
        raise UserError(_IS_CHUNK)
    # Read to the end first: a file with a fault leaves no chunk.
    whole = chunks.Whole(arguments.size)
    counts = fasta.check_pairs(*paths, arguments.pair_by, lambda pairs: whole.watched(pairs, chunks.content_of_pair))
    if not arguments.allow_identical:
        fasta.refuse_identical(counts.n_pairs, counts.n_identical, *paths)
    chunks.refuse_too_many(counts.n_pairs, arguments.size)
    pairs = fasta.PAIRINGS[counts.pair_by](*paths)
    with cli.atomic_folder(arguments.output) as output:
        n_chunks = chunks.write_pairs(pairs, whole, *new_folders(output, "wild_type", "mutant"))
    log.info("%s", chunks.chunk_counts(counts.n_pairs, n_chunks, "pair"))


def split_variants(arguments: argparse.Namespace) -> None:
    """Write the chunks of a VCF."""
    whole = chunks.Whole(arguments.size)
    contigs, header = set(), []
    for line in whole.watched(vcf.read_lines(arguments.variants, header), chunks.content_of_line):
        contigs.add(line.chrom)
    if vcf.is_chunk(header):
        raise UserError(_IS_CHUNK)
    if not whole.n_records:
        raise UserError("VCF: it has a header and no variant: nothing to split")
    chunks.refuse_too_many(whole.n_records, arguments.size)
    refuse_two_styles(contigs)
    header = []
    lines = (line.text for line in vcf.read_lines(arguments.variants, header))
    with cli.atomic_folder(arguments.output) as output:
        n_chunks = chunks.write_variants(lines, whole, header, *new_folders(output, "variants"))
    log.info("%s", chunks.chunk_counts(whole.n_records, n_chunks, "line"))


def refuse_two_styles(contigs: Iterable[str]) -> None:
    """Raise `UserError` for a sequence with two names, such as 1 and chr1: a chunk has only one of them."""
    of_key = {}
    for name in sorted(contigs):
        other = of_key.setdefault(contig_key(name), name)
        if other != name:
            raise UserError(
                f"VCF: {quoted(other)} and {quoted(name)} may be one sequence, which no chunk would show: give each "
                "sequence one name"
            )


def new_folders(parent: str, *names: str) -> list[Path]:
    """Make folders in another."""
    folders = [Path(parent, name) for name in names]
    for folder in folders:
        folder.mkdir()
    return folders
