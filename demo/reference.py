"""Where the demonstration's human DNA comes from, and which part of it no model ever trains on."""

from pathlib import Path

from Bio import SeqIO

# 1 Mb of GRCh38, chromosome 22, and the dbSNP variants on it: part of Debian's package `hisat2`.
EXAMPLES = Path("/usr/share/doc/hisat2/examples/reference")
REFERENCE = EXAMPLES / "22_20-21M.fa"
VARIANTS = EXAMPLES / "22_20-21M.snp"

# Half-open stretches of the reference, in bases from 0. The tokenizer and the model learn from TRAINING, their settings
# were chosen on VALIDATION, and the fixtures lie wholly in HELD_OUT.
TRAINING = (0, 770_000)
VALIDATION = (770_000, 800_000)
HELD_OUT = (800_000, 1_000_000)

# Bases in a window: a variant's base and 100 on either side, as in the tutorial's own data.
WINDOW = 201


def read_reference(path):
    """The one sequence of the FASTA file `path`, as an upper-case string."""
    if not Path(path).exists():
        raise SystemExit(f"{path} is not there: `apt-get install hisat2`, or name the file with --reference")
    return str(SeqIO.read(path, "fasta").seq).upper()


def windows(sequence, stretch):
    """The non-overlapping windows of a stretch of `sequence` that hold nothing but A, C, G and T, left to right."""
    starts = range(stretch[0], stretch[1] - WINDOW + 1, WINDOW)
    cuts = (sequence[start : start + WINDOW] for start in starts)
    return [window for window in cuts if set(window) <= set("ACGT")]
