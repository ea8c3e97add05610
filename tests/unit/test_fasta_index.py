"""An index is used if it describes its file, and made anew if it is that of another version, whatever the dates."""

import os
import random

import pysam
import pytest

from conftest import TEST_DATA
from dna_lm.inputs import fasta_index
from dna_lm.inputs.reference import open_reference


def wrapped(sequences, width=50, end="\n"):
    lines = []
    for title, bases in sequences:
        lines += [f">{title}", *(bases[at : at + width] for at in range(0, len(bases), width))]
    return "".join(line + end for line in lines)


@pytest.fixture
def sequences():
    letters = random.Random(2)
    lengths = {"a": 1000, "b description": 49, "c\tx": 50, "d": 51, "e": 300_007, "f": 1}
    return [(title, "".join(letters.choices("ACGT", k=length))) for title, length in lengths.items()]


def write(path, content):
    """A FASTA file, in bgzip if its name says so, and no index."""
    for suffix in ("fai", "gzi"):
        if os.path.exists(f"{path}.{suffix}"):
            os.remove(f"{path}.{suffix}")
    path.write_bytes(content.encode())
    if path.suffix == ".gz":
        pysam.tabix_compress(str(path), f"{path}.packed")
        os.replace(f"{path}.packed", path)


def indices(path):
    return [f"{path}.fai"] + [f"{path}.gzi"] * (path.suffix == ".gz")


@pytest.mark.parametrize("name", ["x.fa", "x.fa.gz"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_samtools_indices_fit_whatever_their_dates(tmp_path, caplog, sequences, name, end):
    path = tmp_path / name
    contents = [wrapped(sequences, end=end), wrapped(sequences, end=end).rstrip(), wrapped([("one", "ACGT")], end=end)]
    for content in [*contents, wrapped(sequences[4:5], 10**6), wrapped(sequences, end=end) + "\n\n"]:
        write(path, content)
        pysam.faidx(str(path))
        assert fasta_index.fits(path, *indices(path))
        for index in indices(path):
            os.utime(index, (1, 1))
        with open_reference(path) as reference:
            assert len(reference.lengths) == content.count(">")
        assert not caplog.text


@pytest.mark.parametrize("name", ["x.fa", "x.fa.gz"])
def test_odd_files_with_the_right_bases_are_read(tmp_path, caplog, name):
    """Blanks at line ends, sequences without bases, a blank before a name; their indices fit."""
    path = tmp_path / name
    for content, expected in (
        (">a \nACGT \nGG \n>b\t\nA\t\n", {"a": "ACGTGG", "b": "A"}),
        (">a\nAC\n>b\n>c\nA\n>d\n\n>e\nG\n", {"a": "AC", "c": "A", "e": "G"}),
        ("> a x\nAC\n\n\n>\nGT", {"a": "AC", "": "GT"}),
    ):
        write(path, content)
        for _ in range(2):
            with open_reference(path) as reference:
                assert {key: reference.fetch(key, 0, end) for key, end in reference.lengths.items()} == expected
            pysam.faidx(str(path))
    assert not caplog.text


@pytest.mark.parametrize("name", ["x.fa", "x.fa.gz"])
def test_an_index_of_another_version_is_not_used(tmp_path, caplog, sequences, name):
    """A base more or less anywhere, another name, order or width, a sequence more or less; the index is the newer."""
    path, other = tmp_path / name, tmp_path / f"other_{name}"
    write(path, wrapped(sequences))
    for change in (
        [(title, bases[1:]) if title == "e" else (title, bases) for title, bases in sequences],
        [(title, bases + "A") if title == "f" else (title, bases) for title, bases in sequences],
        [("z" if title == "d" else title, bases) for title, bases in sequences],
        [("aa" if title == "a" else title, bases) for title, bases in sequences],
        sequences[::-1],
        sequences[:-1],
        [*sequences, ("g", "ACGT")],
        [("a", sequences[0][1]), *sequences[2:]],
    ):
        write(other, wrapped(change))
        pysam.faidx(str(other))
        for index, of_other in zip(indices(path), indices(other), strict=True):
            os.replace(of_other, index)
        assert not fasta_index.fits(path, *indices(path))
        caplog.clear()
        with open_reference(path) as reference:
            assert reference.lengths == {title.split()[0]: len(bases) for title, bases in sequences}
            assert reference.fetch("e", 299_990, 300_007) == sequences[4][1][-17:]
        assert caplog.text.count(f"'{name}.fai' is that of another file") == 1
    write(other, wrapped(sequences, 60))
    pysam.faidx(str(other))
    for index, of_other in zip(indices(path), indices(other), strict=True):
        os.replace(of_other, index)
    assert not fasta_index.fits(path, *indices(path))


def test_what_is_not_an_index_does_not_fit(tmp_path):
    path = TEST_DATA / "reference.fasta"
    for content in (
        b"",
        b"x\n",
        b"chr1\t2000\t6\tx\t61\n",
        b"chr1\t2000\t6\t0\t0\n",
        b"\xff\x00\n",
        b"chr1\t9\t999\t60\t61\n",
    ):
        (tmp_path / "x.fai").write_bytes(content)
        assert not fasta_index.fits(path, tmp_path / "x.fai")
    (tmp_path / "x.gzi").write_bytes(b"\xff" * 8)
    pysam.faidx("--fai-idx", str(tmp_path / "x.fai"), "--gzi-idx", str(tmp_path / "y.gzi"), f"{path}.gz")
    assert fasta_index.fits(f"{path}.gz", tmp_path / "x.fai", tmp_path / "y.gzi")
    assert not fasta_index.fits(f"{path}.gz", tmp_path / "x.fai", tmp_path / "x.gzi")
