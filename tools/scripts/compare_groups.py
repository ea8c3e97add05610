"""Compare the scores of groups of mutations: tests, effect sizes, a plot and a report."""

from dna_lm import cli

if __name__ == "__main__":
    cli.start("compare_groups")
