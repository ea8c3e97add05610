"""Run the suite's main job on the demonstration model, as a user would in a terminal: `make demo`.

Every command is shown before it runs and can be copied. Results go to demo-output/.
"""

import csv
import os
import shlex
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OUT = "demo-output"
DATA = "test-data"
MODEL = f"{DATA}/models/demo-mixtral"


def run(script: str, *arguments: str) -> None:
    command = [os.path.relpath(sys.executable, ROOT), f"scripts/{script}", *arguments]
    print(f"\n$ {shlex.join(command)}", flush=True)
    if code := subprocess.run(command, cwd=ROOT).returncode:
        sys.exit(f"error: {script} ended with exit code {code}")


def score_pairs(name: str, wild_type: str, mutant: str) -> None:
    files = ["--wild-type", f"{DATA}/{wild_type}", "--mutant", f"{DATA}/{mutant}"]
    run("score_pairs.py", "--model", MODEL, *files, "--output", f"{OUT}/{name}.tsv")


def rows(name: str) -> list[dict[str, str]]:
    with open(ROOT / OUT / f"{name}.tsv", newline="") as table:
        return list(csv.DictReader(table, delimiter="\t"))


def show_results() -> None:
    print("\nCFTR: a silent substitution, and the deletion of three bases known as F508del")
    print("(in 33 bases: not to be compared with the 201 bases below, a change weighs more in a short sequence)")
    for row in rows("cftr"):
        print(f"  {row['id']:<20} differing bases {row['n_differences']}   L2 {float(row['l2']):.3f}")
    print("\ndbSNP variants of chr22, L2 distance wild-type to mutant")
    print(f"  {'group':<14} {'n':>5} {'median':>8} {'quartiles':>16}   status")
    for row in rows("summary"):
        quartiles = f"{float(row['q1']):.3f} to {float(row['q3']):.3f}"
        statuses = Counter(scored["status"] for scored in rows(row["group"]))
        shown = ", ".join(f"{status} {count}" for status, count in statuses.items())
        print(f"  {row['group']:<14} {row['n']:>5} {float(row['median']):>8.3f} {quartiles:>16}   {shown}")
    answer = (ROOT / OUT / "report.md").read_text().split("\n\n")[1].replace("**", "")
    print("\nThe report says:", *textwrap.wrap(answer, 110), sep="\n  ")


def main() -> None:
    (ROOT / OUT).mkdir(exist_ok=True)
    score_pairs("cftr", "cftr_wild_type.fasta", "cftr_mutant.fasta")
    score_pairs("substitutions", "snv_wild_type.fasta", "snv_mutant.fasta")
    score_pairs("indels", "indel_wild_type.fasta.gz", "indel_mutant.fasta.gz")
    groups = [a for name in ("substitutions", "indels") for a in ("--group", f"{name}={OUT}/{name}.tsv")]
    tables = ["--output", f"{OUT}/tests.tsv", "--summary", f"{OUT}/summary.tsv"]
    figures = ["--plot", f"{OUT}/plot.png", "--report", f"{OUT}/report.md"]
    run("compare_groups.py", *groups, "--column", "l2", *tables, *figures)
    run("embed.py", "--model", MODEL, "--input", f"{DATA}/sequences.fasta", "--output", f"{OUT}/embeddings.tsv")
    show_results()
    print("\nThe model is for demonstration, not for science: see", f"{MODEL}/README.md")
    print(f"Results: {ROOT / OUT} (score tables, tests.tsv, summary.tsv, plot.png, report.md, embeddings.tsv)")


if __name__ == "__main__":
    main()
