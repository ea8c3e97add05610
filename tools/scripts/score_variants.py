"""Score the variants of a VCF: the same VCF with scores in INFO, and a score table."""

from dna_lm import cli

if __name__ == "__main__":
    cli.start("score_variants")
