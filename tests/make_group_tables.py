"""Write the score tables that the tests of compare_groups read (test-data/groups_*.tsv): made-up scores, seeded.

python tests/make_group_tables.py [FOLDER]
"""

import sys
from pathlib import Path

import numpy as np

SCORES = ["l2", "l1", "cosine_distance", "inner_product", "llr"]
COUNTS = ["wt_length", "mut_length", "n_differences", "wt_tokens", "mut_tokens", "changed_tokens"]
HEADER = ["id", "status", *SCORES, *COUNTS]


def scored_row(rng, name, shift):
    l2 = rng.lognormal(1 + shift, 0.6)
    counts = [201, 201, 1, 44, 44 + int(rng.integers(-1, 2)), int(rng.integers(1, 6))]
    scores = [f"{value:.6g}" for value in (l2, 3 * l2, l2 / 50, 400 - l2, rng.normal(-1 - shift, 1))]
    return [name, "ok", *scores, *counts]


def unscored_row(name):
    return [name, "invalid_base", *[""] * len(SCORES), 201, 201, 1, *[""] * 3]


def write(path, rows, header=HEADER):
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in (header, *rows)), encoding="utf-8")


def table(rng, prefix, n, shift, unscored=()):
    names = [f"{prefix}_{i}" for i in range(1, n + 1)]
    return [unscored_row(name) if i in unscored else scored_row(rng, name, shift) for i, name in enumerate(names)]


def main(folder):
    rng = np.random.default_rng(20)
    exon = table(rng, "exon", 60, 0.6, unscored=(7, 31))
    intron = table(rng, "intron", 60, 0, unscored=(12,))
    utr = table(rng, "utr", 45, 0.3)
    write(folder / "groups_exon.tsv", exon)
    write(folder / "groups_intron.tsv", intron)
    write(folder / "groups_utr.tsv", utr)
    one = [[*row, region] for region, rows in (("exon", exon), ("intron", intron), ("utr", utr)) for row in rows]
    write(folder / "groups_one_table.tsv", [one[i] for i in rng.permutation(len(one))], [*HEADER, "region"])

    # The same variants scored twice: row i of one table belongs to row i of the other.
    write(folder / "groups_model_a.tsv", table(rng, "variant", 40, 0.4, unscored=(3,)))
    write(folder / "groups_model_b.tsv", table(rng, "variant", 40, 0, unscored=(3, 20)))

    broken = [row.copy() for row in intron[:5]]
    broken[3][HEADER.index("l2")] = "high"
    write(folder / "groups_not_a_number.tsv", broken)
    write(folder / "groups_one_scored.tsv", [scored_row(rng, "a", 0), unscored_row("b"), unscored_row("c")])


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1] / "test-data"))
