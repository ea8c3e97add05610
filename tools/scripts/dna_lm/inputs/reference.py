"""Parts of a reference genome: an indexed FASTA file, of which only what is asked for is read.

Knows nothing of variants or models.
"""

import contextlib
import logging
import os
import re
import sys
import tempfile
from collections.abc import Iterator

import pysam

from dna_lm import pipes
from dna_lm.errors import UserError, quoted
from dna_lm.inputs import compression, fasta_index
from dna_lm.inputs.fasta import INVALID_BASE, NOT_ACGT, OK, Record, normalised

log = logging.getLogger(__name__)

# What htslib says of lines of several lengths.
_RAGGED = re.compile(r"[Dd]ifferent line length|unexpected \\?\"[A-Za-z*-]\\?\" at line (?!1\b)")


class Reference:
    """An open reference; `name` is the file's name, `lengths` maps sequence names to lengths in bases."""

    def __init__(self, fasta: pysam.FastaFile, name: str) -> None:
        self._fasta = fasta
        self.name = name
        self.lengths = dict(zip(fasta.references, fasta.lengths, strict=True))

    def fetch(self, contig: str, start: int, end: int) -> str:
        """Bases `start` to `end` (from 0, end excluded) of a sequence, which must have them: in upper case, U as T."""
        if start == end:
            return ""
        try:
            bases = normalised(self._fasta.fetch(contig, start, end))
        except (ValueError, OSError) as error:
            raise UserError(f"reference: cannot read {quoted(contig)}: the file is damaged") from error
        if len(bases) != end - start:
            raise UserError(
                f"reference: {quoted(contig)} ends before base {end}: the file is damaged, or is not the one "
                "that its index was made for"
            )
        return bases

    def record(self, name: str, contig: str, start: int, end: int) -> Record:
        """The same bases as a `Record` called `name`."""
        bases = self.fetch(contig, start, end)
        return Record(name, bases, INVALID_BASE if NOT_ACGT.search(bases) else OK)


@contextlib.contextmanager
def open_reference(path: str | os.PathLike) -> Iterator[Reference]:
    """A `Reference` from a FASTA file, plain or bgzip; a pipe is copied first.

    An index next to the file (`.fai`, and `.gzi` for bgzip) is used if it fits the file, whatever its date. Otherwise
    one is made in a temporary folder, because nothing may be written next to a file of Galaxy. Raises `UserError` for a
    file that cannot be indexed.
    """
    given_path, path = os.fspath(path), pipes.regular(path)
    if not os.path.isfile(path):
        raise UserError(f"reference: {quoted(given_path)} is not a file")
    with tempfile.TemporaryDirectory() as folder:
        try:
            packed = compression.compression(path, "reference")
            if packed == compression.GZIP:
                raise UserError(
                    "reference: it is compressed with gzip, which cannot be indexed: decompress it, "
                    "or compress it with bgzip"
                )
            is_bgzip = packed == compression.BGZIP
            if is_bgzip and not compression.has_end(path):
                if compression.seems_cut(path):
                    raise UserError("reference: the bgzip file is cut short: upload it again")
                log.warning("reference: the bgzip file has no end block: if it was cut short, upload it again")
        except OSError as error:
            raise UserError(f"reference: cannot read {quoted(path)}: {error.strerror}") from error
        indices = [f"{path}.fai"] + [f"{path}.gzi"] * is_bgzip
        if not all(map(os.path.isfile, indices)):
            indices = _index(path, folder, is_bgzip)
        elif not fasta_index.fits(path, *indices):
            log.warning(
                "reference: its index %s is that of another file, so another one was made for this job: make it again "
                "with samtools faidx", quoted(os.path.basename(indices[0])),
            )  # fmt: skip
            indices = _index(path, folder, is_bgzip)
        try:
            with _htslib_messages([]):
                fasta = pysam.FastaFile(path, *indices[:1], filepath_index_compressed=indices[1] if is_bgzip else None)
        except UnicodeDecodeError as error:
            raise UserError("reference: the name of a sequence is not text in UTF-8: rename it") from error
        except (ValueError, OSError) as error:
            raise UserError("reference: its index cannot be read: make it again with samtools faidx") from error
        with fasta:
            yield Reference(fasta, os.path.basename(given_path))


def _index(path, folder, is_bgzip):
    indices = [os.path.join(folder, f"reference.{suffix}") for suffix in ("fai", "gzi")]
    messages = []
    try:
        with _htslib_messages(messages):
            pysam.faidx("--fai-idx", indices[0], "--gzi-idx", indices[1], path)
    except pysam.SamtoolsError as error:
        from_htslib = re.search(r"\[E::\w+\] (.*)", messages[0])
        reason = quoted(from_htslib[1], 80) if from_htslib else "it cannot be read"
        # After a line that is shorter than those before it, only a header may follow.
        if _RAGGED.search(reason):
            raise UserError(
                "reference: the lines of a sequence have different lengths: wrap them again, for example with "
                f"'seqkit seq -w 60' or Galaxy's tool 'FASTA Width formatter': {reason}"
            ) from error
        raise UserError(
            f"reference: not a FASTA file that can be indexed: {reason}: give text whose sequences begin with a line "
            "'>name', without a byte order mark, and with line ends of Linux or Windows"
        ) from error
    if twice := re.search(r'duplicate sequence "(.*)" at', messages[0]):
        raise UserError(f"reference: the sequence {quoted(twice[1])} appears twice: remove one")
    indices = indices if is_bgzip else indices[:1]
    # htslib counts no blanks, and looks for a base where it would be without them.
    if not fasta_index.fits(path, *indices):
        raise UserError(
            "reference: a sequence has blanks or other characters that are no bases within its lines, or the file is "
            "no FASTA: remove them, for example with 'seqkit seq -g -w 60'"
        )
    return indices


@contextlib.contextmanager
def _htslib_messages(messages):
    """Append to `messages` what htslib writes to the process's stderr, which it does past Python."""
    with tempfile.TemporaryFile("w+", errors="replace") as collected:
        sys.stderr.flush()
        stderr = os.dup(2)
        os.dup2(collected.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            collected.seek(0)
            messages.append(collected.read())
