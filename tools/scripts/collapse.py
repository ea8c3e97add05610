"""Put the tables of many jobs together, chunks in their order: one header, then every row unchanged."""

from dna_lm import cli

if __name__ == "__main__":
    cli.start("collapse")
