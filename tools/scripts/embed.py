"""Embed sequences: one vector per sequence, as a table or an AnnData file, and a picture of all of them."""

from dna_lm import cli

if __name__ == "__main__":
    cli.start("embed")
