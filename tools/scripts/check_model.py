"""Compare a model with what its published weights gave for 32 pieces of DNA."""

from dna_lm import cli

if __name__ == "__main__":
    cli.start("check_model")
