"""DNA sequences in: FASTA parsing, the one policy on letters, and pairing wild-type with mutant records.

Knows nothing of models. Files are streamed: memory does not grow with the number of records.

Letters, whatever the tool: lower case becomes upper case, U becomes T, white space inside a sequence is removed.
A record with any other IUPAC nucleotide code (N, R, Y, ...) or an alignment gap (`-`, `.`) is kept and gets the status
`invalid_base`, since a model has no token for it. Any other letter means that the file is not DNA: it is refused.
"""

import gzip
import logging
import os
import re
import sqlite3
import string
import zlib
from array import array
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from Bio.SeqIO.FastaIO import SimpleFastaParser

from dna_lm import mutations
from dna_lm.errors import UserError, counted, quoted
from dna_lm.statuses import INVALID_BASE, OK

log = logging.getLogger(__name__)

_GZIP_MAGIC = b"\x1f\x8b"
_NORMALISE = {
    **str.maketrans(string.ascii_lowercase, string.ascii_uppercase),
    **str.maketrans("Uu", "TT"),
    **dict.fromkeys(map(ord, string.whitespace)),
}
NOT_ACGT = re.compile(r"[^ACGT]")
_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_NOT_A_NUCLEOTIDE_CODE = re.compile(r"[^ACGTRYSWKMBDHVN.-]")


@dataclass(frozen=True, slots=True)
class Record:
    """One FASTA record: `sequence` is normalised; `status` is `ok`, or says why no model can read it."""

    id: str
    sequence: str
    status: str


def normalised(text: str) -> str:
    """Letters as the models read them: upper case, U as T, no white space."""
    return text.translate(_NORMALISE)


def read_fasta(path: str | os.PathLike, role: str = "FASTA") -> Iterator[Record]:
    """Yield the `Record`s of a FASTA file, plain or gzip (told by its first bytes, not by its name).

    The identifier is the header's first word, `record_N` for a header without one. `role` names the file in messages.
    Raises `UserError` for a file that cannot be read to its end, holds no record, an empty record, or letters that
    are not nucleotide codes.
    """
    header_lines = deque()
    number = 0
    try:
        with _open_text(path) as handle:
            for number, (title, text) in enumerate(SimpleFastaParser(_lines(handle, header_lines, role)), 1):
                name = (title.split(None, 1) or [f"record_{number}"])[0]
                where = f"{role}, record {number} ({quoted(name)}), line {header_lines.popleft()}"
                yield _record(name, normalised(text), where)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(
            f"{role}: the gzip file is damaged or cut short after record {number}: upload it again"
        ) from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"{role}: not a plain text file in UTF-8 (seen after record {number}): save it as one"
        ) from error
    except OSError as error:
        raise UserError(f"{role}: cannot read {quoted(path)}: {error.strerror}") from error
    if not number:
        raise UserError(f"{role}: the file holds no record: give a FASTA file, whose headers start with '>'")


def _open_text(path):
    if os.path.exists(path) and not os.path.isfile(path):
        raise UserError(
            f"{quoted(path)} is not a file (a folder or a pipe): files are read twice, so give a regular one"
        )
    with open(path, "rb") as handle:
        is_gzip = handle.read(2) == _GZIP_MAGIC
    # utf-8-sig: some editors put a byte order mark in front.
    return (gzip.open if is_gzip else open)(path, "rt", encoding="utf-8-sig")


def _lines(handle, header_lines, role):
    """Pass lines on and note where the headers are; refuse what the parser would skip in front of the first one."""
    started = False
    for number, line in enumerate(handle, 1):
        if line.startswith(">"):
            started = True
            header_lines.append(number)
        elif not started and line.strip():
            raise UserError(
                f"{role}, line {number}: expected a FASTA header ('>name'), found {quoted(line.strip(), 30)}"
            )
        yield line


def _record(name, sequence, where):
    if _CONTROL_CHARACTER.search(name):
        raise UserError(f"{where}: the identifier holds a control character: is this a plain text file in UTF-8?")
    if not sequence:
        raise UserError(f"{where}: the sequence is empty: complete the record or remove it")
    if not NOT_ACGT.search(sequence):
        return Record(name, sequence, OK)
    if bad := _NOT_A_NUCLEOTIDE_CODE.search(sequence):
        guess = " (is this a protein?)" if bad[0] in string.ascii_uppercase else ""
        raise UserError(
            f"{where}, base {bad.start() + 1}: {quoted(bad[0])} is not a nucleotide code: give DNA sequences{guess}"
        )
    return Record(name, sequence, INVALID_BASE)


def pairs_by_order(wild_type_path: str, mutant_path: str) -> Iterator[tuple[Record, Record]]:
    """Yield (wild-type, mutant) `Record`s of two FASTA files, the n-th record with the n-th.

    Raises `UserError` when the files hold different numbers of records.
    """
    wild_types, mutants = read_fasta(wild_type_path, "wild-type FASTA"), read_fasta(mutant_path, "mutant FASTA")
    n_pairs = 0
    for wild_type in wild_types:
        mutant = next(mutants, None)
        if mutant is None:
            _refuse_unequal(n_pairs + 1 + sum(1 for _ in wild_types), n_pairs)
        n_pairs += 1
        yield wild_type, mutant
    if surplus := sum(1 for _ in mutants):
        _refuse_unequal(n_pairs, n_pairs + surplus)


def _refuse_unequal(n_wild_types, n_mutants):
    raise UserError(
        f"mutant FASTA has {counted(n_mutants, 'record')}, wild-type FASTA has {n_wild_types}: "
        "every wild type needs its mutant"
    )


def pairs_by_id(wild_type_path: str, mutant_path: str) -> Iterator[tuple[Record, Record]]:
    """Yield (wild-type, mutant) `Record`s of two FASTA files with equal identifiers, in the wild types' order.

    The mutants wait in a temporary database on disk, so memory stays bounded. Raises `UserError` for an identifier that
    appears twice in a file, or in one file only, and for different numbers of records.
    """
    # An empty name makes SQLite keep a private file in the temporary folder and remove it when it is closed.
    with closing(sqlite3.connect("")) as database:
        n_mutants = _store(database, "mutant", mutant_path)
        n_wild_types = _store(database, "wild_type", wild_type_path)
        if n_wild_types != n_mutants:
            _refuse_unequal(n_wild_types, n_mutants)
        lookup = (
            "SELECT w.id, w.sequence, w.status, m.sequence, m.status "
            "FROM wild_type w LEFT JOIN mutant m ON m.id = w.id ORDER BY w.number"
        )
        for number, row in enumerate(database.execute(lookup), 1):
            name, wild_type, wild_type_status, mutant, mutant_status = row
            if mutant is None:
                raise UserError(
                    f"wild-type FASTA, record {number}: {quoted(name)} is not an identifier of the mutant FASTA: "
                    "give both files the same identifiers, or pair by order"
                )
            yield Record(name, wild_type, wild_type_status), Record(name, mutant, mutant_status)


def _store(database, table, path):
    role = f"{table.replace('_', '-')} FASTA"
    database.execute(f"CREATE TABLE {table} (number INTEGER, id TEXT PRIMARY KEY, sequence TEXT, status TEXT)")
    number = 0
    for number, record in enumerate(read_fasta(path, role), 1):
        try:
            database.execute(
                f"INSERT INTO {table} VALUES (?, ?, ?, ?)", (number, record.id, record.sequence, record.status)
            )
        except sqlite3.IntegrityError as error:
            raise UserError(
                f"{role}, record {number}: the identifier {quoted(record.id)} appears twice: "
                "make the identifiers unique, or pair by order, with both files in the same order"
            ) from error
    return number


def count_bases(records: Iterable[Record]) -> tuple[int, int]:
    """Read records to their end, so that a faulty file is refused before any work is done.

    Returns the number of records and of their bases.
    """
    n_records = n_bases = 0
    for record in records:
        n_records += 1
        n_bases += len(record.sequence)
    return n_records, n_bases


@dataclass(frozen=True)
class PairCounts:
    """How records are paired (a key of `PAIRINGS`), the number of pairs, of identical ones, and of the bases of all."""

    pair_by: str
    n_pairs: int
    n_identical: int
    n_bases: int


def check_pairs(wild_type_path: str, mutant_path: str, pair_by: str = "order") -> PairCounts:
    """Read pairs to their end, so that a faulty file is refused before any work is done.

    When both files have the same identifiers in another order, records are paired by identifier instead, with a
    warning. Raises `UserError` when identifiers belong to other records in another way. Different identifiers are no
    fault when records are paired by order; their number is logged. Memory grows by 16 bytes for each such pair.
    """
    counts, differing = _count(PAIRINGS[pair_by](wild_type_path, mutant_path), pair_by)
    numbers, *names = differing
    # Most often the identifiers of wild types and mutants have nothing in common, which takes little memory to see.
    moved = mutations.belonging(*names) if len(np.intersect1d(*names)) else None
    if isinstance(moved, list):
        log.warning(
            "%d of %d pairs had different identifiers, and both files have the same ones in another order: "
            "paired by identifier instead",
            len(numbers),
            counts.n_pairs,
        )
        return _count(pairs_by_id(wild_type_path, mutant_path), "id")[0]
    if moved is not None:
        _refuse_moved(wild_type_path, mutant_path, numbers[moved])
    if numbers:
        log.info("%d of %d pairs have different identifiers: they were paired by order", len(numbers), counts.n_pairs)
    return counts


def _count(pairs, pair_by):
    """`PairCounts`; and of pairs with different identifiers the numbers, and a hash of each identifier."""
    n_pairs = n_identical = n_bases = 0
    numbers, wild_types, mutants = array("q"), array("q"), array("q")
    for n_pairs, (wild_type, mutant) in enumerate(pairs, 1):
        n_bases += len(wild_type.sequence) + len(mutant.sequence)
        n_identical += wild_type.sequence == mutant.sequence
        if wild_type.id != mutant.id:
            numbers.append(n_pairs)
            # Never 0, which `belonging` would take for no identifier.
            wild_types.append(hash(wild_type.id) or 1)
            mutants.append(hash(mutant.id) or 1)
    return PairCounts(pair_by, n_pairs, n_identical, n_bases), (numbers, wild_types, mutants)


def _refuse_moved(wild_type_path, mutant_path, number):
    pairs = enumerate(pairs_by_order(wild_type_path, mutant_path), 1)
    wild_type, mutant = next(pair for at, pair in pairs if at == number)
    raise UserError(
        f"record {number} is {quoted(wild_type.id, 30)} in the wild-type FASTA and {quoted(mutant.id, 30)} in the "
        "mutant FASTA, where the first is another record: give both files the same records in one order, or the same "
        "unique identifiers"
    )


def refuse_identical(n_pairs: int, n_identical: int, wild_type_path: str, mutant_path: str) -> None:
    """Raise `UserError` when all pairs are identical, as when one file is chosen for both roles.

    Galaxy preselects the newest file for both roles. The counts are those of `check_pairs`.
    """
    if n_identical < n_pairs:
        return
    if os.path.samefile(wild_type_path, mutant_path):
        reason = "wild-type FASTA and mutant FASTA are the same file"
    else:
        reason = f"the mutant is identical to its wild type in each of {counted(n_pairs, 'pair')}"
    raise UserError(
        f"{reason}, so there is no mutation to score: choose the file with the mutants, "
        "or allow identical pairs (--allow-identical)"
    )


PAIRINGS = {"order": pairs_by_order, "id": pairs_by_id}
