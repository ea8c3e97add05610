"""Score mutations given as pairs of wild-type and mutant sequences."""

from dna_lm import cli

if __name__ == "__main__":
    cli.start("score_pairs")
