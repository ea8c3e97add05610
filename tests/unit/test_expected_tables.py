"""The files of test-data/expected/, with which Galaxy compares numbers, accept what they should and nothing else."""

import random
import re
from xml.etree import ElementTree

import pytest

import make_expected_tables as expected
from conftest import ROOT, TEST_DATA

NUMBER = re.compile(r"\(\?#([^)]+)\)(\(\?:(?:[^()]|\([^()]*\))*\))")


def ends(draw):
    """Two ends of an interval: of both signs, around 0, tiny and large."""
    value = draw.choice([-1, 1]) * 10 ** draw.uniform(-9, 6)
    margin = min(400, abs(value) * 10 ** draw.uniform(-4, 1))
    return value - margin, value + margin


def test_an_interval_has_its_numbers_and_no_other():
    draw = random.Random(1)
    inside_seen = outside_seen = 0
    for _ in range(2000):
        low, high = ends(draw)
        pattern = re.compile(expected.interval(low, high))
        # The ends of the interval are rounded outwards, by at most a tenth of its width.
        slack = (high - low) / 10
        probes = [draw.uniform(low - (high - low), high + (high - low)) for _ in range(20)]
        # Numbers with few digits, as the tools write whole and round ones.
        probes += [float(f"{probe:.{draw.randint(1, 3)}g}") for probe in probes] + [0.0, (low + high) / 2]
        for probe in probes:
            text = draw.choice([f"{probe:.9g}", repr(probe)])
            if low <= float(text) <= high:
                inside_seen += 1
                assert pattern.fullmatch(text), (low, high, text)
            elif not low - slack <= float(text) <= high + slack and abs(probe) > 1e-12:
                outside_seen += 1
                assert not pattern.fullmatch(text), (low, high, text)
    assert min(inside_seen, outside_seen) > 10_000


def test_an_interval_of_known_numbers():
    """By hand: a number, its neighbours at the tolerance, and other ways to write it."""
    pattern = re.compile(expected.Number(16.0689).pattern())
    whole = re.compile(expected.Number(37).pattern())
    assert all(whole.fullmatch(text) for text in ("37", "37.0", "37.01")) and not whole.fullmatch("37.1")
    accepted = {"16.0689", "16.08", "16.0849", "16.0529", "16.07"}
    refused = {"16.086", "16.051", "16", "16.1", "-16.0689", "160.689", "1.60689", "16.0689e-05", "", "nan"}
    assert {text for text in accepted | refused if pattern.fullmatch(text)} == accepted
    with pytest.raises(ValueError, match="too large"):
        expected.interval(1e8, 2e9)


@pytest.fixture(scope="module")
def tables():
    """Models are loaded once for all tables, and the rows of a table are computed when they are asked for."""
    return dict(expected.tables())


# One short table of every kind: all tables take half a minute.
@pytest.mark.parametrize("name", ["score_pairs_cftr", "score_pairs_esm", "score_variants", "mutagenesis_esm", "embed"])
def test_the_files_are_of_this_tolerance_and_these_numbers(tables, name):
    rows = list(tables[name])
    lines = (TEST_DATA / "expected" / f"{name}.re").read_text().splitlines()
    assert len(lines) == len(rows)
    for line, row in zip(lines, rows, strict=True):
        numbers = [cell for cell in row if isinstance(cell, expected.Number)]
        for (said, pattern), number in zip(NUMBER.findall(line), numbers, strict=True):
            assert float(said) == pytest.approx(number.value, rel=1e-5, abs=number.margin / 10)
            for shift, accepted in ((-0.9, True), (0, True), (0.9, True), (-1.3, False), (1.3, False)):
                text = f"{number.value + shift * number.margin:.9g}"
                assert bool(re.fullmatch(pattern, text)) == accepted, (line, text)


@pytest.mark.parametrize(("tutorial", "fewest"), [("embed_tutorial", 10), ("score_pairs_tutorial", 50)])
def test_the_tutorials_numbers_are_told_from_the_corrected_ones(tutorial, fewest):
    """Otherwise a wrapper's test of tutorial mode could not notice missing padding."""
    demo = expected.Oracle("demo-mixtral")
    if tutorial == "embed_tutorial":
        corrected = expected.embed(demo, expected.records("sequences.fasta"), 128)
    else:
        corrected = expected.score_pairs(demo, expected.pairs("indel_wild_type.fasta.gz", "indel_mutant.fasta.gz"))
    patterns = (TEST_DATA / "expected" / f"{tutorial}.re").read_text().splitlines()
    n_told = 0
    for pattern, row in zip(patterns, corrected, strict=True):
        cells = ["0" if cell is None else getattr(cell, "value", cell) for cell in row]
        n_told += not re.match(pattern, "\t".join(map(str, cells)))
    assert n_told >= fewest


def readable(table):
    """The lines of an expected table with its numbers in place of their intervals, and with any number for others."""
    text = (TEST_DATA / "expected" / f"{table}.re").read_text()
    text = NUMBER.sub(r"\1", text)
    text = re.sub(r"\(\?:\\t-\?\[\\d\.\]\+\(\?:e-\\d\+\)\?\)\{(\d+)\}", lambda found: "\t1.0" * int(found[1]), text)
    text = text.replace(r"-?[\d.]+(?:e-\d+)?", "1.0")
    return [re.sub(r"\\(\W)", r"\1", line.removesuffix("$")) for line in text.splitlines()]


def compared_tables():
    """(wrapper, table, the lines that its test asserts as well) for each expected table of each test."""
    for wrapper in sorted((ROOT / "tools").glob("dna_lm_*.xml")):
        for compared in ElementTree.parse(wrapper).iter("expand"):
            if compared.get("macro") == "expected":
                lines = [found.get("expression") for found in compared.findall("assert_contents/has_line_matching")]
                yield pytest.param(compared.get("file"), lines, id=f"{wrapper.stem}-{compared.get('file')}")


@pytest.mark.parametrize(("table", "asserted"), list(compared_tables()))
def test_a_table_of_intervals_has_readable_cells_next_to_it(table, asserted):
    """A wrapper says in plain cells what comes out, and the cells are those of the table."""
    lines = readable(table)
    cells = [line for line in asserted if not line.startswith("##")]
    assert cells
    for expression in cells:
        assert any(re.fullmatch(expression, line) for line in lines), expression


def test_every_expected_table_is_compared():
    used = {parameter.values[0] for parameter in compared_tables()}
    assert used == {path.stem for path in (TEST_DATA / "expected").glob("*.re")}
