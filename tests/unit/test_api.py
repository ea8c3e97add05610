"""The way in from Python, and what is installed with pip: the same numbers as the scripts."""

import doctest
import os
import shutil
import socket
import subprocess
import sys

import pytest

from conftest import ROOT, TEST_DATA, read_table
from dna_lm import api
from dna_lm.errors import UserError
from dna_lm.inputs import fasta
from dna_lm.mutagenesis import sinks as of_mutants
from dna_lm.outputs.tables import cell
from dna_lm.scoring.rows import pair_cells
from dna_lm.variants import sinks as of_variants

DEMO = TEST_DATA / "models" / "demo-mixtral"
PAIR = TEST_DATA / "cftr_wild_type.fasta", TEST_DATA / "cftr_mutant.fasta"
VARIANTS, REFERENCE = TEST_DATA / "variants.vcf", TEST_DATA / "reference.fasta"


@pytest.fixture(scope="module")
def model():
    return api.load(DEMO)


def as_text(rows, cells):
    return [{name: cell(value) for name, value in cells(row).items()} for row in rows]


def test_the_examples_of_the_documentation_hold(monkeypatch):
    monkeypatch.chdir(ROOT)
    found = doctest.testmod(api)
    assert found.attempted > 10 and not found.failed


def test_pairs_are_those_of_the_script(model, run_script, tmp_path):
    files = "--wild-type", PAIR[0], "--mutant", PAIR[1]
    run_script("score_pairs.py", "--model", DEMO, *files, "--scores", "l2", "llr", "--output", "out.tsv")
    rows = api.score_pairs(model, fasta.pairs_by_order(*PAIR), ["l2", "llr"])
    assert as_text(rows, pair_cells) == read_table(tmp_path / "out.tsv")
    pairs = [(wild_type.sequence, mutant.sequence) for wild_type, mutant in fasta.pairs_by_order(*PAIR)]
    texts = list(api.score_pairs(model, pairs, ["l2", "llr"]))
    assert [row.id for row in texts] == [f"record_{number}" for number in range(1, len(pairs) + 1)]
    assert [cell(row.scores["llr"]) for row in texts] == [row["llr"] for row in read_table(tmp_path / "out.tsv")]


def test_tutorial_mode_is_that_of_the_script(model, run_script, tmp_path):
    files = "--wild-type", PAIR[0], "--mutant", PAIR[1]
    run_script("score_pairs.py", "--model", DEMO, *files, "--tutorial", "--output", "out.tsv")
    rows = api.score_pairs(model, fasta.pairs_by_order(*PAIR), tutorial=True)
    assert as_text(rows, pair_cells) == read_table(tmp_path / "out.tsv")


def test_tutorial_mode_pads_embeddings_as_the_script_does(model, run_script, tmp_path):
    """From a generator too, which is read twice."""
    sequences = ["ACGTTGCATTAGCCA", "ACGT", "GGATTACAGGATTACA"]
    (tmp_path / "x.fasta").write_text("".join(f">record_{n}\n{text}\n" for n, text in enumerate(sequences, 1)))
    for options in ([], ["--tutorial"]):
        run_script("embed.py", "--model", DEMO, "--input", "x.fasta", "--output", "e.tsv", *options)
        rows = list(api.embed(model, iter(sequences), tutorial=bool(options)))
        table = read_table(tmp_path / "e.tsv")
        found = [[cell(value) for value in row.embedding] for row in rows]
        assert found == [[row[f"dim_{n + 1}"] for n in range(len(found[0]))] for row in table]
    plain = list(api.embed(model, sequences))
    assert any((a.embedding != b.embedding).any() for a, b in zip(rows, plain, strict=True))


def test_variants_are_those_of_the_script(model, run_script, tmp_path):
    run_script("score_variants.py", "--model", DEMO, "--variants", VARIANTS, "--reference", REFERENCE, "--output", "v")
    rows = list(api.score_variants(model, VARIANTS, REFERENCE))
    assert as_text(rows, of_variants.cells) == read_table(tmp_path / "v")
    assert {row.status for row in rows} > {"ok", "ref_mismatch"}


def test_mutants_are_those_of_the_script(model, run_script, tmp_path):
    (tmp_path / "x.fasta").write_text(">record_1\nACGTTGCATTAGCCA\n>record_2\nACGN\n")
    options = "--sequences", "x.fasta", "--deletions", "--output", "m.tsv"
    run_script("mutagenesis.py", "--model", DEMO, *options)
    rows = api.mutate(model, ["ACGTTGCATTAGCCA", "acgn"], deletions=True)
    assert as_text(rows, of_mutants.cells) == read_table(tmp_path / "m.tsv")


def test_embeddings_are_those_of_the_script(model, run_script, tmp_path):
    (tmp_path / "x.fasta").write_text(">record_1\nACGTTGCATTAGCCA\n>record_2\nACGN\n")
    options = "--representation", "hidden", "--pooling", "mean", "--input", "x.fasta", "--output", "e.tsv"
    run_script("embed.py", "--model", DEMO, *options)
    table = read_table(tmp_path / "e.tsv")
    rows = list(api.embed(model, ["ACGTTGCATTAGCCA", "ACGN"], api.Embedding("hidden", pooling="mean")))
    assert [row.status for row in rows] == [row["status"] for row in table] == ["ok", "invalid_base"]
    assert [cell(value) for value in rows[0].embedding] == [
        table[0][f"dim_{n}"] for n in range(1, model.hidden_size + 1)
    ]


def test_rows_come_before_the_input_has_ended(model):
    """So that an input without an end can be scored."""

    def endless():
        while True:
            yield "ACGTTGCA", "ACGATGCA"

    rows = api.score_pairs(model, endless())
    assert [next(rows).status for _ in range(3)] == ["ok"] * 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scores": ["l3"]}, "there is no score 'l3': choose from l2, "),
        ({"strand": "both"}, "there is no strand 'both': choose from forward, reverse, mean"),
        ({"embedding": api.Embedding("vectors")}, "there is no representation 'vectors'"),
        ({"embedding": api.Embedding(pooling="median")}, "there is no pooling 'median'"),
    ],
)
def test_an_unknown_name_is_an_error_that_lists_the_known_ones(model, settings, message):
    with pytest.raises(UserError, match=message):
        api.score_pairs(model, [("A", "C")], **settings)


def test_every_function_refuses_its_settings_at_once(model):
    """Not when the first row is asked for."""
    for call in (
        lambda: api.score_pairs(model, [], strand="both"),
        lambda: api.score_variants(model, VARIANTS, REFERENCE, strand="both"),
        lambda: api.mutate(model, [], strand="both"),
        lambda: api.embed(model, [], strand="both"),
    ):
        with pytest.raises(UserError, match="there is no strand 'both'"):
            call()


def test_nothing_is_asked_of_the_network(monkeypatch):
    """Nor of the hub's client, which a program may have configured otherwise."""

    def refuse(*_):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    for name in ("demo-mixtral", "tiny-esm"):
        assert next(api.score_pairs(api.load(TEST_DATA / "models" / name), [("ACGTACGT", "ACGAACGT")])).status == "ok"


def test_pip_installs_the_library_and_its_command(tmp_path):
    """From a copy, because a build writes next to its sources."""
    clone, target = tmp_path / "clone", tmp_path / "installed"
    scripts = "tools/scripts"
    shutil.copytree(ROOT / scripts, clone / scripts, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "requirements.txt"):
        shutil.copy(ROOT / name, clone)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", target, clone], check=True, stderr=subprocess.PIPE)
    environment = {**os.environ, "PYTHONPATH": str(target)}

    def run(*command):
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

    program = f"""import dna_lm.api
model = dna_lm.api.load({str(DEMO)!r})
row = next(iter(dna_lm.api.score_pairs(model, [("ACGTTGCA", "ACGATGCA")])))
print(dna_lm.api.__file__, row.status, row.scores["l2"] > 0)"""
    done = run(sys.executable, "-c", program)
    assert done.stdout.split() == [str(target / "dna_lm" / "api.py"), "ok", "True"], done.stderr
    command = str(target / "bin" / "dna_lm")
    assert "score_variants" in run(command).stdout and run(command, "guess").returncode == 2
    files = "--wild-type", PAIR[0], "--mutant", PAIR[1]
    done = run(command, "score-pairs", "--model", DEMO, *files, "--output", "out.tsv")
    assert done.returncode == 0 and len(read_table(tmp_path / "out.tsv")) == 2, done.stderr
