"""The sequence files of test-data/ are what the tests that use them take them for."""

import gzip
import re
from pathlib import Path

import pytest
from Bio import SeqIO

from conftest import TEST_DATA

CENTRE = 100


def read(name):
    """(identifier, sequence) of each record."""
    opener = gzip.open if name.endswith(".gz") else open
    with opener(TEST_DATA / name, "rt") as handle:
        return [(record.id, str(record.seq)) for record in SeqIO.parse(handle, "fasta")]


def read_pairs(wild_type, mutant):
    """(identifier, wild type, mutant) of each pair; the identifiers agree."""
    pairs = list(zip(read(wild_type), read(mutant), strict=True))
    assert all(first[0] == second[0] for first, second in pairs)
    return [(first[0], first[1], second[1]) for first, second in pairs]


def differences(first, second):
    return [place for place, (a, b) in enumerate(zip(first, second, strict=True)) if a != b]


def test_cftr_pairs_are_the_tutorials():
    (_, wild_type, substitution), (_, same, deletion) = read_pairs("cftr_wild_type.fasta", "cftr_mutant.fasta")
    assert wild_type == same == "ATTAAAGAAAATATCATCTTTGGTGTTTCCTAT"
    assert substitution == "ATA" + wild_type[3:]
    # The tutorial's alignment: ATTAAAGAAAATATCA---TTGGTGTTTCCTAT.
    assert wild_type[16:19] == "TCT"
    assert deletion == wild_type[:16] + wild_type[19:]


def test_substitutions_change_the_centre_alone():
    pairs = read_pairs("snv_wild_type.fasta", "snv_mutant.fasta")
    assert len(pairs) == 200
    for name, wild_type, mutant in pairs:
        assert len(wild_type) == 2 * CENTRE + 1, name
        assert differences(wild_type, mutant) == [CENTRE], name


def test_indels_cut_or_insert_at_the_centre():
    pairs = read_pairs("indel_wild_type.fasta.gz", "indel_mutant.fasta.gz")
    deletions = insertions = 0
    for name, wild_type, mutant in pairs:
        assert len(wild_type) == 2 * CENTRE + 1, name
        change = len(mutant) - len(wild_type)
        expected = list(wild_type)
        if change < 0:
            deletions += 1
            del expected[CENTRE : CENTRE - change]
        else:
            insertions += 1
            expected[CENTRE:CENTRE] = mutant[CENTRE : CENTRE + change]
        assert change != 0, name
        assert mutant == "".join(expected), name
    assert (deletions, insertions) == (70, 44)


@pytest.mark.parametrize("kind, suffix", [("snv", ""), ("indel", ".gz")])
def test_dbsnp_pairs_are_plain_dna_with_names_of_their_own(kind, suffix):
    pairs = read_pairs(f"{kind}_wild_type.fasta{suffix}", f"{kind}_mutant.fasta{suffix}")
    assert len({name for name, _, _ in pairs}) == len(pairs)
    for name, wild_type, mutant in pairs:
        assert re.fullmatch(r"rs\d+(_\d+)?", name)
        assert set(wild_type + mutant) <= set("ACGT"), name


def test_sequences_to_embed():
    records = dict(read("sequences.fasta"))
    assert len(records) == 12
    assert all(30 <= len(sequence) <= 120 for sequence in records.values())
    assert records["lower_case"].islower()
    assert set(records["rna"]) == set("ACGU")


def test_messy_pairs_are_messy_and_still_one_base_apart():
    for name in ("messy.fasta", "messy_mutant.fasta"):
        content = (TEST_DATA / name).read_bytes()
        assert content.count(b"\r\n") == content.count(b"\n")
        assert re.search(rb"[ACGT] [ACGT]", content)
    pairs = {name: rest for name, *rest in read_pairs("messy.fasta", "messy_mutant.fasta")}
    for wild_type, mutant in pairs.values():
        assert differences(wild_type, mutant) == [45]
    assert pairs["lower_case"][0].islower()
    assert "U" in pairs["rna"][0]
    assert "RYK" in pairs["iupac"][0]
    assert "N" in pairs["unknown_bases"][0]
    assert pairs["blanks"] == pairs["clean"]


def test_bad_files_are_bad_in_the_way_they_say():
    assert not set("EFILPQ").isdisjoint(read("bad_protein.fasta")[0][1])
    assert "" in dict(read("bad_empty_record.fasta")).values()
    assert len(read("bad_unequal.fasta")) == len(read("cftr_mutant.fasta")) - 1
    names = [name for name, _ in read("bad_duplicate_ids.fasta")]
    assert len(names) == len(read("cftr_wild_type.fasta"))
    assert len(set(names)) < len(names)
    assert b"\0" in (TEST_DATA / "bad_binary.bin").read_bytes()


def test_truncated_file_is_recognised_as_gzip_and_ends_too_early():
    path = TEST_DATA / "bad_truncated.fasta.gz"
    assert path.read_bytes().startswith(b"\x1f\x8b")
    with gzip.open(path) as handle, pytest.raises(EOFError):
        handle.read()


def test_hostile_names_arrive_as_written():
    names = [name for name, _, _ in read_pairs("hostile_ids_wild_type.fasta", "hostile_ids_mutant.fasta")]
    assert names == ["<img/src=x/onerror=alert(1)>", """$(touch${IFS}pwned);"'""", '=HYPERLINK("x")']


def test_every_file_is_below_galaxys_limit():
    assert all(path.stat().st_size < 1_000_000 for path in Path(TEST_DATA).rglob("*") if path.is_file())
