"""Split a large pair of FASTA files, or a large VCF, into chunks for separate jobs."""

from dna_lm import cli

if __name__ == "__main__":
    cli.start("split")
