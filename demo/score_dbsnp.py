"""Score every dbSNP variant of the human sequence in Debian's package hisat2, and list the largest scores.

The .snp file becomes a VCF, with REF from the sequence, and that and its scores go to demo-output/.
"""

import argparse
import csv
import os
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "fixtures"))

from human_dna import REFERENCE, VARIANTS, read_reference  # noqa: E402
from make_sequences import read_variants, vcf  # noqa: E402

OUT = "demo-output"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reference", type=Path, default=REFERENCE, help="FASTA of Debian's package hisat2")
    parser.add_argument("--variants", type=Path, default=VARIANTS, help="the .snp file of the same package")
    arguments, options = parser.parse_known_args()
    reference = read_reference(arguments.reference)
    with open(arguments.reference) as handle:
        contig = handle.readline()[1:].split()[0]
    (ROOT / OUT).mkdir(exist_ok=True)
    (ROOT / OUT / "dbsnp.vcf").write_text(vcf(contig, reference, read_variants(arguments.variants)))

    command = [os.path.relpath(sys.executable, ROOT), "scripts/score_variants.py"]
    command += ["--model", "test-data/models/demo-mixtral"]
    command += ["--variants", f"{OUT}/dbsnp.vcf", "--reference", str(arguments.reference)]
    command += ["--output", f"{OUT}/dbsnp_scores.tsv", "--output-vcf", f"{OUT}/dbsnp_scored.vcf", *options]
    print("$", shlex.join(command), flush=True)
    if code := subprocess.run(command, cwd=ROOT).returncode:
        sys.exit(code)
    # Other options may have put other scores elsewhere.
    if not options:
        show_largest()


def show_largest(n: int = 10) -> None:
    with open(ROOT / OUT / "dbsnp_scores.tsv", newline="") as table:
        rows = [row for row in csv.DictReader(table, delimiter="\t") if row.get("l2")]
    rows.sort(key=lambda row: -float(row["l2"]))
    print(f"\nThe {n} largest L2 distances of {len(rows):,} ({OUT}/dbsnp_scores.tsv has all):")
    for row in rows[:n]:
        change = f"{row['ref']}>{row['alt']}"
        tokens = f"{row['changed_tokens']} tokens changed"
        print(f"  {row['id']:<12} position {row['pos']:>7}  {change:<14.14} {tokens:<18} L2 {float(row['l2']):.2f}")


if __name__ == "__main__":
    main()
