"""Evaluate scores against known labels: AUROC, average precision or correlation, baselines, curves and a report."""

from dna_lm import cli

if __name__ == "__main__":
    cli.start("evaluate")
