"""Writes bigWig files: numbers along a genome, for genome browsers. Knows nothing of scores.

A bigWig file has the name and length of every sequence and a number for each of some intervals. Bases that no interval
covers have no number. Numbers are float32.
"""

import os
import struct
from collections.abc import Collection, Iterable, Mapping
from itertools import islice

import pyBigWig

from dna_lm.errors import UserError, quoted

Run = tuple[str, int, int, float]  # sequence, start, end (half-open, from 0), number

_RUNS_PER_WRITE = 4_096
# libBigWig's time grows with the square of the number of sequences in the header: 0.1 s here, 30 s at 100,000.
_MOST_WITHOUT_NUMBERS = 5_000
# Positions are unsigned 32-bit numbers.
_LONGEST = 2**32 - 1

# Offsets and magic numbers of the format (Kent et al. 2010, doi 10.1093/bioinformatics/btq351, supplementary tables).
_MAGIC = struct.pack("<I", 0x888FFC26)  # the first and the last four bytes
_INDEX_OFFSET, _SUMMARY_OFFSET = 24, 44
_INDEX_MAGIC = 0x2468ACE0


def write_bigwig(
    path: str | os.PathLike, lengths: Mapping[str, int], runs: Iterable[Run], with_numbers: Collection[str]
) -> None:
    """Write `runs` into `path`, a regular file, which is overwritten.

    lengths: sequence -> bases, in the order of the reference; sequences without bases are left out, because no reader
    takes them. runs: sequences in the order of `lengths`, those of a sequence sorted, without overlap, with finite
    numbers. Neighbours are not joined. with_numbers: the sequences of the runs; of more than 5,000 sequences, the file
    names only these. Raises `UserError` for a reference or a place that a bigWig cannot be made of
    and when writing fails, `OSError` for a path that cannot be written, `ValueError` for other runs.
    """
    lengths = {name: length for name, length in lengths.items() if length}
    if not lengths:
        raise UserError("the reference has no bases, and a bigWig track needs sequences: choose another reference")
    if len(lengths) > _MOST_WITHOUT_NUMBERS:
        # A file without numbers must have a sequence, too.
        lengths = {name: lengths[name] for name in lengths if name in with_numbers} or dict(islice(lengths.items(), 1))
    for name, length in lengths.items():
        if length > _LONGEST:
            raise UserError(
                f"reference: {quoted(name)} has {length} bases, and a bigWig track cannot have a sequence of more "
                f"than {_LONGEST}: leave the track out"
            )
    # pyBigWig crashes when it cannot open a file, or cannot read what it wrote.
    if os.path.exists(path) and not os.path.isfile(path):
        raise UserError(f"cannot write a bigWig track to {quoted(path)}: it is not a file")
    with open(path, "wb"):
        pass
    try:
        with pyBigWig.open(os.fspath(path), "w") as file:
            file.addHeader(list(lengths.items()))
            n_runs = _write_runs(file, lengths, runs)
    except RuntimeError as error:
        raise UserError(f"cannot write the bigWig track {quoted(path)}: {error}") from error
    with open(path, "r+b") as file:
        # A disk that is full makes pyBigWig print a warning and go on.
        file.seek(-len(_MAGIC), os.SEEK_END)
        if file.read() != _MAGIC:
            raise UserError(f"cannot write the bigWig track {quoted(path)}: is the disk full?")
        if not n_runs:
            _add_empty_index(file)


def _write_runs(file, lengths, runs):
    """Write the runs in blocks of one sequence each and return their number."""
    order = {name: number for number, name in enumerate(lengths)}
    n_runs, last, block = 0, (-1, 0), []

    def flush() -> None:
        if block:
            names, starts, ends, values = map(list, zip(*block, strict=True))
            file.addEntries(names, starts, ends=ends, values=values)
            block.clear()

    for name, start, end, value in runs:
        value = float(value)
        number = order[name]
        first = last[1] if number == last[0] else 0
        # pyBigWig crashes on NaN. The last comparison is also false for it.
        if number < last[0] or not first <= start < end <= lengths[name] or not abs(value) < 2.0**128:
            raise ValueError(f"run {(name, start, end, value)} after sequence {last[0]}, base {last[1]}")
        if len(block) == _RUNS_PER_WRITE or number != last[0]:
            flush()
        block.append((name, start, end, value))
        last = number, end
        n_runs += 1
    flush()
    return n_runs


def _add_empty_index(file):
    """Give a file without runs, to which pyBigWig writes no index, an index without entries and a summary of zeros.

    Other readers need both.
    """
    index = struct.pack("<IIQIIIIQII", _INDEX_MAGIC, 256, 0, 0, 0, 0, 0, 0, 1, 0) + struct.pack("<BBH", 1, 0, 0)
    at = file.seek(-len(_MAGIC), os.SEEK_END)
    file.write(index + _MAGIC)
    file.seek(_INDEX_OFFSET)
    file.write(struct.pack("<Q", at))
    file.seek(_SUMMARY_OFFSET)
    (summary,) = struct.unpack("<Q", file.read(8))
    file.seek(summary)
    file.write(bytes(40))
