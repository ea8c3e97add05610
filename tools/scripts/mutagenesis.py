"""Score every substitution, and if wanted every deletion of one base, of sequences or of intervals of a reference."""

from dna_lm import cli

if __name__ == "__main__":
    cli.start("mutagenesis")
