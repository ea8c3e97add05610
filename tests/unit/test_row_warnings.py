"""The warnings in the log of a job, next to counts of the table that it wrote."""

import pytest

from conftest import TEST_DATA, read_table
from dna_lm.scoring.rows import Counts, ScoredPair
from dna_lm.scoring.warnings import Warnings, plain

MODELS = TEST_DATA / "models"
DEMONSTRATION = "The demonstration model was used."
STRAND = "One strand was read (forward)."


def records_of(path):
    return [f">{text}" for text in path.read_text().split(">")[1:]]


def pairs(tmp_path, *names):
    """The first ten pairs of each of the files with these names, as one pair of files."""
    for role in ("wild_type", "mutant"):
        records = [record for name in names for record in records_of(TEST_DATA / f"{name}_{role}.fasta")[:10]]
        (tmp_path / f"{role}.fasta").write_text("".join(records))
    return "--wild-type", tmp_path / "wild_type.fasta", "--mutant", tmp_path / "mutant.fasta"


@pytest.fixture
def run(run_script, tmp_path):
    """Run score_pairs.py; gives the rows with a score and the lines of the log before the counts."""

    def run(*options):
        done = run_script("score_pairs.py", *options, "--output", tmp_path / "out.tsv")
        assert done.returncode == 0, done.stderr
        rows = [row for row in read_table(tmp_path / "out.tsv") if row["status"] == "ok"]
        result, *log = done.stderr.split(" records: ")[0].splitlines()[:-1]
        assert result.startswith(f"{len(rows)} of ")
        return rows, log

    return run


def differing(rows, what):
    return sum(row[f"wt_{what}"] != row[f"mut_{what}"] for row in rows)


def test_pairs_of_two_kinds_and_lengths(run, tmp_path):
    rows, log = run("--model", MODELS / "demo-mixtral", *pairs(tmp_path, "cftr", "snv"), "--scores", "l2", "llr")
    n_tokens = differing(rows, "tokens")
    assert len(rows) == 12 and differing(rows, "length") == 1 and n_tokens > 1.2
    expected = (
        DEMONSTRATION,
        STRAND,
        "The table has 1 deletion among its substitutions.",
        f"The number of tokens changes in {n_tokens} of 12 pairs.",
        "Wild type and mutant differ in length in 1 of 12 pairs,",
        "The model read sequences of 33 to 201 bases.",
    )
    assert len(log) == len(expected)
    for line, beginning in zip(log, expected, strict=True):
        assert line.startswith(beginning)


def test_pairs_of_one_kind_and_length(run, tmp_path):
    """A model of single bases, both strands: there is nothing to warn of."""
    model = "--model", MODELS / "tiny-mamba", "--strand", "mean"
    rows, log = run(*model, *pairs(tmp_path, "snv"), "--scores", "l2", "llr")
    assert len(rows) == 10 and differing(rows, "tokens") == 0
    assert log == []


def test_wild_types_of_one_length_are_not_warned_of(run, tmp_path):
    """Mutants with long deletions are shorter, which is what a deletion is."""
    wild_type, mutant = TEST_DATA / "indel_wild_type.fasta.gz", TEST_DATA / "indel_mutant.fasta.gz"
    rows, log = run("--model", MODELS / "demo-mixtral", "--wild-type", wild_type, "--mutant", mutant)
    assert {row["wt_length"] for row in rows} == {"201"}
    assert min(int(row["mut_length"]) for row in rows) < 201 / 1.1
    assert [line.split(" in ")[0] for line in log[2:]] == ["The number of tokens changes"]


def test_a_faulty_input_has_its_message_first(run_script, tmp_path):
    """Galaxy shows the beginning of the messages."""
    (tmp_path / "bad.fasta").write_text(">a\nMLEQ\n")
    given = "--wild-type", tmp_path / "bad.fasta", "--mutant", tmp_path / "bad.fasta"
    done = run_script("score_pairs.py", "--model", MODELS / "demo-mixtral", *given, "--output", tmp_path / "out.tsv")
    assert done.returncode == 1
    assert done.stderr.startswith("error: wild-type FASTA, record 1 ('a'), line 1, base 2: 'L' is not")
    assert len(done.stderr.splitlines()) == 1


def test_embeddings_have_no_warnings_about_pairs(run_script, tmp_path):
    options = "--input", TEST_DATA / "cftr_wild_type.fasta", "--output", tmp_path / "out.tsv"
    done = run_script("embed.py", "--model", MODELS / "demo-mixtral", *options)
    assert done.returncode == 0, done.stderr
    result, first, second, third = done.stderr.splitlines()[:4]
    assert result == "2 of 2 records read"
    assert first.startswith(DEMONSTRATION) and second.startswith(STRAND) and third == "2 records: ok 2"


def test_zeros_of_changed_sequences_are_counted():
    """Of sequences without a change, and of ratios, a 0 says nothing wrong."""
    warnings = Warnings()
    for number in range(300):
        changed = number < 200
        scores = {"l2": 0.0 if number % 50 == 0 else 1.0, "cosine_distance": 1.0, "llr": 0.0}
        warnings.add(ScoredPair(str(number), "ok", scores, Counts(9, 9, int(changed), 9, 9, 1, "whole")))
    [text] = warnings.of_rows()
    assert text.startswith("**l2 is exactly 0 in 4 of 200 changed sequences.** With the pooling *max*")
    assert plain(text).startswith("l2 is exactly 0 in 4 of 200 changed sequences. With the pooling max, a change")
    warnings.n_changed = 400
    assert not warnings.of_rows()
