"""DNA sequences in: FASTA parsing, the one policy on letters, and pairing wild-type with mutant records.

Knows nothing of models. Files are streamed: memory does not grow with the number of records.

Letters, whatever the tool: lower case becomes upper case, U becomes T, white space inside a sequence is removed.
A record with any other IUPAC nucleotide code (N, R, Y, ...) or an alignment gap (`-`, `.`) is kept and gets the status
`invalid_base`, since a model has no token for it. So does one with any other letter, and an empty one gets `empty`. But
a file with many of these is not DNA: it is refused.
"""

import logging
import os
import re
import sqlite3
import string
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from Bio.SeqIO.FastaIO import SimpleFastaParser

from dna_lm import mutations
from dna_lm.databases import private_database
from dna_lm.errors import UserError, counted, quoted
from dna_lm.inputs import text
from dna_lm.marks import CHUNK
from dna_lm.statuses import EMPTY, INVALID_BASE, OK, BadRecords

log = logging.getLogger(__name__)

# A word in the description of a chunk's first record begins with this.
CHUNK_KEY = f"{CHUNK}="
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


Pair = tuple[Record, Record]  # wild type, mutant


def normalised(text: str) -> str:
    """Letters as the models read them: upper case, U as T, no white space."""
    return text.translate(_NORMALISE)


def record_of(name: str, sequence: str) -> Record:
    """The record of a normalised sequence, with its status."""
    if not sequence:
        return Record(name, "", EMPTY)
    return Record(name, sequence, INVALID_BASE if NOT_ACGT.search(sequence) else OK)


def read_fasta(path: str | os.PathLike, role: str = "FASTA") -> Iterator[Record]:
    r"""Yield the `Record`s of a FASTA file, plain or gzip (told by its first bytes, not by its name).

    The identifier is the header's first word, `record_N` for a header without one; bytes in it that are not UTF-8 are
    written as `\xe9`. `role` names the file in messages. Raises `UserError` for a file that cannot be read to its end,
    holds no record, or, unless it is a chunk, has many records that are empty or have letters that are not nucleotide
    codes.
    """
    header_lines = deque()
    number = 0
    bad = BadRecords()
    is_chunk = False
    for number, (title, bases) in enumerate(SimpleFastaParser(_lines(path, header_lines, role)), 1):
        words = title.split()
        if number == 1:
            is_chunk = bool(words) and words[-1].startswith(CHUNK_KEY)
        name = words[0] if words else f"record_{number}"
        record, fault = _record(
            name, normalised(bases), f"{role}, record {number} ({quoted(name)})", header_lines.popleft()
        )
        bad.add(fault)
        yield record
    if not number:
        raise UserError(f"{role}: the file holds no record: give a FASTA file, whose headers start with '>'")
    bad.judge(is_chunk)


def _lines(path, header_lines, role):
    """Pass lines on and note where the headers are; refuse what the parser would skip in front of the first one."""
    started = False
    for number, line in enumerate(text.lines(path, role), 1):
        if line.startswith(">"):
            started = True
            header_lines.append(number)
        elif not started and line.strip():
            raise UserError(
                f"{role}, line {number}: expected a FASTA header ('>name'), found {quoted(line.strip(), 30)}"
            )
        yield line


def _record(name, sequence, record, line):
    """The `Record`, and what is wrong with it, if anything is."""
    where = f"{record}, line {line}"
    if _CONTROL_CHARACTER.search(name):
        raise UserError(f"{where}: the identifier holds a control character: is this a plain text file in UTF-8?")
    found, fault = record_of(name, sequence), None
    if found.status == EMPTY:
        fault = f"{where}: the sequence is empty: complete the record or remove it"
    elif found.status != OK and (bad := _NOT_A_NUCLEOTIDE_CODE.search(sequence)):
        guess = " (is this a protein?)" if bad[0] in string.ascii_uppercase else ""
        fault = f"{where}, base {bad.start() + 1}: {quoted(bad[0])} is not a nucleotide code: give DNA sequences{guess}"
    return found, fault


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
    with private_database() as database:
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


def check_pairs(
    wild_type_path: str,
    mutant_path: str,
    pair_by: str = "order",
    watched: Callable[[Iterator[Pair]], Iterator[Pair]] = lambda pairs: pairs,
) -> PairCounts:
    """Read pairs to their end, so that a faulty file is refused before any work is done.

    When both files have the same identifiers in another order, records are paired by identifier instead, with a
    warning. Raises `UserError` when identifiers belong to other records in another way. Different identifiers are no
    fault when records are paired by order; their number is logged. Memory grows by 16 bytes for each such pair.
    watched: passes on the pairs as they were asked for.
    """
    counts, differing = _count(watched(PAIRINGS[pair_by](wild_type_path, mutant_path)), pair_by)
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
        'or "Continue when all mutants are identical to their wild types" (--allow-identical)'
    )


PAIRINGS = {"order": pairs_by_order, "id": pairs_by_id}
