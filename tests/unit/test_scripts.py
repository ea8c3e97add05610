"""The scripts as Galaxy runs them: what comes out, what bad input gets, and the contract across whole runs."""

import gzip
import itertools
import random
import subprocess
import sys

import pytest

from conftest import ROOT, TEST_DATA, assert_refused, read_table
from naive import Naive

SCRIPTS = ROOT / "tools" / "scripts"
MODELS = TEST_DATA / "models"
DEMO, HEADLESS, ESM = MODELS / "demo-mixtral", MODELS / "headless-mixtral", MODELS / "tiny-esm"
CFTR = TEST_DATA / "cftr_wild_type.fasta", TEST_DATA / "cftr_mutant.fasta"
INDELS = TEST_DATA / "indel_wild_type.fasta.gz", TEST_DATA / "indel_mutant.fasta.gz"
SNVS = TEST_DATA / "snv_wild_type.fasta", TEST_DATA / "snv_mutant.fasta"
ALL_SCORES = ("--scores", "l2", "l1", "cosine_distance", "inner_product", "llr")


@pytest.fixture
def score(run_script, tmp_path):
    """Run score_pairs.py and give its rows (dicts of text) and its messages."""
    counter = itertools.count()

    def run(wild_type, mutant, *options, model=DEMO):
        output = tmp_path / f"scores{next(counter)}.tsv"
        done = run_script(
            "score_pairs.py",
            "--model",
            model,
            "--wild-type",
            wild_type,
            "--mutant",
            mutant,
            "--output",
            output,
            *options,
        )
        assert done.returncode == 0, done.stderr
        return read_table(output), done.stderr

    return run


def read_fasta(path):
    with gzip.open(path, "rt") if path.suffix == ".gz" else open(path) as handle:
        return [tuple(record.split("\n", 1)) for record in handle.read()[1:].replace("\r", "").split("\n>")]


def test_the_tutorials_trio(score):
    """The distances of the CFTR trio equal the model's own output on each sequence, with no padding anywhere."""
    rows, messages = score(*CFTR)
    naive = Naive(DEMO)
    assert [row["id"] for row in rows] == ["ATT_to_ATA", "TCT_deletion"]
    assert [(row["wt_length"], row["mut_length"], row["n_differences"]) for row in rows] == [
        ("33", "33", "1"),
        ("33", "30", "3"),
    ]
    for row, (_, wild_type), (_, mutant) in zip(rows, read_fasta(CFTR[0]), read_fasta(CFTR[1]), strict=True):
        assert float(row["l2"]) == pytest.approx(naive.l2(wild_type.strip(), mutant.strip()), rel=1e-5)
    assert "2 records: ok 2" in messages


def test_tutorial_mode_equals_the_tutorials_code(score, run_script, tmp_path):
    """The notebook's functions, on whole files as one batch, beside ours in many small batches."""
    naive = Naive(DEMO)
    for wild_types, mutants in (SNVS, INDELS, CFTR):
        rows, _ = score(wild_types, mutants, "--tutorial", "--batch-tokens", 700)
        sequences = [[sequence.replace("\n", "") for _, sequence in read_fasta(path)] for path in (wild_types, mutants)]
        expected = naive.tutorial_effect(*sequences).tolist()
        # Where a distance is small beside the embeddings, the rounding of the embeddings is what is seen.
        size = naive.tutorial_embedding(sequences[0][:1]).norm().item()
        assert [float(row["l2"]) for row in rows] == pytest.approx(expected, rel=1e-5, abs=1e-6 * size)
    corrected, _ = score(*INDELS)
    padded, _ = score(*INDELS, "--tutorial")
    assert any(abs(float(a["l2"]) - float(b["l2"])) > 0.01 for a, b in zip(corrected, padded, strict=True))

    # The trio in one list, as the tutorial has it.
    wild_type, mutant, deletion = (
        "ATTAAAGAAAATATCATCTTTGGTGTTTCCTAT",
        "ATAAAAGAAAATATCATCTTTGGTGTTTCCTAT",
        "ATTAAAGAAAATATCATTGGTGTTTCCTAT",
    )
    (tmp_path / "trio.fasta").write_text(f">wt\n{wild_type}\n>mut\n{mutant}\n>del\n{deletion}\n")
    run_script("embed.py", "--model", DEMO, "--input", "trio.fasta", "--output", "trio.tsv", "--tutorial")
    rows = read_table(tmp_path / "trio.tsv")
    expected = naive.tutorial_embedding([wild_type, mutant, deletion]).tolist()
    for row, vector in zip(rows, expected, strict=True):
        assert [float(row[f"dim_{n + 1}"]) for n in range(len(vector))] == pytest.approx(vector, rel=1e-5, abs=1e-5)


@pytest.mark.cpu
def test_shuffling_splitting_and_batches_change_no_digit(score, tmp_path):
    pairs = list(zip(read_fasta(INDELS[0]), read_fasta(INDELS[1]), strict=True))[:40]

    def write(name, chosen):
        paths = [tmp_path / f"{name}_{side}.fasta" for side in ("wt", "mut")]
        for path, records in zip(paths, zip(*chosen, strict=True), strict=True):
            path.write_text("".join(f">{title}\n{sequence.strip()}\n" for title, sequence in records))
        return paths

    whole, _ = score(*write("whole", pairs), *ALL_SCORES)
    by_id = {row["id"]: row for row in whole}
    shuffled = random.Random(1).sample(pairs, len(pairs))
    runs = [score(*write("shuffled", shuffled), *ALL_SCORES, "--batch-tokens", 1)[0]]
    runs += [score(*write("shuffled", shuffled), *ALL_SCORES, "--batch-tokens", 10**6)[0]]
    runs += [list(itertools.chain(*(score(*write("part", pairs[k::3]), *ALL_SCORES)[0] for k in range(3))))]
    for rows in runs:
        assert {row["id"]: row for row in rows} == by_id
    paths = write("shuffled", shuffled)
    by_identifier, _ = score(write("whole", pairs)[0], paths[1], *ALL_SCORES, "--pair-by", "id")
    assert by_identifier == whole


def test_messy_records_keep_their_rows(score):
    """Lower case, U, CRLF and spaces are read; N and IUPAC codes get a status and an empty score."""
    rows, messages = score(TEST_DATA / "messy.fasta", TEST_DATA / "messy_mutant.fasta")
    assert [row["id"] for row in rows] == [title.split()[0] for title, _ in read_fasta(TEST_DATA / "messy.fasta")]
    statuses = {row["status"] for row in rows}
    assert statuses == {"ok", "invalid_base"}
    for row in rows:
        assert bool(row["l2"]) == (row["status"] == "ok")
    assert "invalid_base" in messages


def test_ids_are_data(score):
    rows, _ = score(TEST_DATA / "hostile_ids_wild_type.fasta", TEST_DATA / "hostile_ids_mutant.fasta")
    expected = [title.split()[0] for title, _ in read_fasta(TEST_DATA / "hostile_ids_wild_type.fasta")]
    assert [row["id"] for row in rows] == expected
    assert all(row["status"] == "ok" for row in rows)


def test_embedding_table_and_h5ad_hold_the_same_numbers(run_script, tmp_path):
    anndata = pytest.importorskip("anndata")
    sequences = tmp_path / "x.fasta"
    sequences.write_text((TEST_DATA / "sequences.fasta").read_text() + ">with_n\nACGNACG\n")
    for name in ("table", "h5ad"):
        done = run_script(
            *("embed.py", "--model", HEADLESS, "--representation", "hidden", "--pooling", "mean"),
            *("--input", sequences, "--output", f"x.{name}", "--format", name),
        )
        assert done.returncode == 0, done.stderr
    rows = read_table(tmp_path / "x.table")
    data = anndata.read_h5ad(tmp_path / "x.h5ad")
    good = [row for row in rows if row["status"] == "ok"]
    assert len(good) == len(rows) - 1 == data.n_obs
    assert [row["status"] for row in rows][-1] == "invalid_base" and rows[-1]["dim_1"] == ""
    assert list(data.obs["id"]) == [row["id"] for row in good]
    assert list(data.uns["not_embedded"]["id"]) == ["with_n"]
    assert data.uns["dna_lm"]["representation"] == "hidden"
    table = [[float(row[name]) for name in data.var_names] for row in good]
    assert data.X.tolist() == [pytest.approx(row, rel=1e-6) for row in table]


REFUSED = {
    "empty.fasta": (b"", "holds no record"),
    "headless.txt": (b"ACGT\n", "line 1"),
    "no_letters.fasta": (b"\n\n", "holds no record"),
    "empty_record.fasta": (b">a\n>b\n", "is empty"),
    "protein.fasta": (TEST_DATA / "bad_protein.fasta", "is not a nucleotide code"),
    "unequal.fasta": (TEST_DATA / "bad_unequal.fasta", "mutant FASTA has 1 record, wild-type FASTA has 2"),
    "truncated.gz": (TEST_DATA / "bad_truncated.fasta.gz", "damaged or cut short"),
    "binary": (TEST_DATA / "bad_binary.bin", "FASTA"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_one_line_and_no_output(run_script, tmp_path, name):
    content, message = REFUSED[name]
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.read_bytes())
    done = run_script(
        "score_pairs.py", "--model", DEMO, "--wild-type", CFTR[0], "--mutant", name, "--output", "out.tsv"
    )
    assert_refused(done, message, tmp_path)


@pytest.mark.parametrize(
    ("script", "options", "message"),
    [
        ("score_pairs.py", ["--model", HEADLESS], "the representation 'logits' needs.*lacks lm_head.weight"),
        (
            "score_pairs.py",
            ["--model", HEADLESS, "--representation", "hidden", "--scores", "l2", "llr"],
            "the score 'llr' needs.*lacks lm_head.weight",
        ),
        ("score_pairs.py", ["--model", DEMO, "--tutorial", "--strand", "mean"], "tutorial mode is the representation"),
        ("score_pairs.py", ["--model", DEMO, "--tutorial", "--truncate"], "tutorial mode reads whole sequences"),
        (
            "score_pairs.py",
            ["--model", DEMO, "--representation", "hidden", "--layer", "99"],
            "\\(--layer 99\\): the model has",
        ),
        ("score_pairs.py", ["--model", DEMO, "--layer", "1"], "\\(--layer 1\\) is for hidden states"),
        ("score_pairs.py", ["--model", TEST_DATA], "no config.json"),
        ("embed.py", ["--model", HEADLESS], "the representation 'logits' needs.*lacks lm_head.weight"),
    ],
)
def test_what_the_model_cannot_do_is_one_line_and_no_output(run_script, tmp_path, script, options, message):
    inputs = ["--input", CFTR[0]] if script == "embed.py" else ["--wild-type", CFTR[0], "--mutant", CFTR[1]]
    assert_refused(run_script(script, *inputs, *options, "--output", "out.tsv"), message, tmp_path)


def test_a_file_without_a_mutation_is_refused_unless_asked_for(run_script, score, tmp_path):
    """One file chosen for both roles, a link to it, a copy; before the model is loaded."""
    path = TEST_DATA / "cftr_mutant.fasta"
    link, copy = tmp_path / "link.fasta", tmp_path / "copy.fasta"
    link.symlink_to(path)
    copy.write_text(path.read_text().lower())
    command = "score_pairs.py", "--output", "out.tsv", "--wild-type", path, "--mutant"
    for mutant, message in (
        (path, "wild-type FASTA and mutant FASTA are the same file, so there is no mutation to score"),
        (link, "are the same file"),
        (copy, "the mutant is identical to its wild type in each of 2 pairs"),
    ):
        assert_refused(run_script(*command, mutant, "--model", "nowhere"), message, tmp_path)
        rows, _ = score(path, mutant, "--allow-identical")
        assert [float(row["l2"]) for row in rows] == [0, 0]
    # One pair that differs is enough, even if it cannot be read.
    copy.write_text(path.read_text().replace("ATAAAAG", "ATNAAAG", 1))
    rows, _ = score(path, copy)
    assert [row["status"] for row in rows] == ["invalid_base", "ok"]


def test_duplicate_identifiers_are_refused_when_pairing_by_id(run_script, tmp_path):
    path = TEST_DATA / "bad_duplicate_ids.fasta"
    done = run_script(
        *("score_pairs.py", "--model", DEMO, "--wild-type", path, "--mutant", path),
        *("--output", "out.tsv", "--pair-by", "id"),
    )
    assert_refused(done, "appears twice", tmp_path)


def test_nothing_readable_is_one_line_in_both_formats(run_script, tmp_path):
    (tmp_path / "all.fasta").write_text(">a\nACGN\n>b\n" + "ACGT" * 2000 + "\n")
    for name in ("table", "h5ad"):
        done = run_script("embed.py", "--model", DEMO, "--output", "out.tsv", "--input", "all.fasta", "--format", name)
        assert_refused(done, "2 of 2 records: .*too_long 1 .*too_long: more than the 512 tokens", tmp_path)


def test_unscored_rows_fail_the_job_only_when_all_or_asked(run_script, tmp_path):
    (tmp_path / "all.fasta").write_text(">a\nACGN\n>b\nNNN\n")
    (tmp_path / "some.fasta").write_text(">a\nACGN\n>b\nACGT\n")
    command = ["embed.py", "--model", DEMO, "--output", "out.tsv", "--input"]
    assert_refused(run_script(*command, "all.fasta"), "could not read 2 of 2 records: invalid_base 2", tmp_path)
    assert_refused(run_script(*command, "some.fasta", "--fail-on-unscored"), "could not read 1 of 2 records", tmp_path)
    assert run_script(*command, "some.fasta").returncode == 0


def test_running_out_of_memory_has_its_own_exit_code(tmp_path):
    """137, which a Galaxy destination can resubmit on. The limit is the process's own."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); from dna_lm import cli; import torch\n"
        "cli.run(lambda argv: torch.empty(1 << 60))"
    )
    done = subprocess.run([sys.executable, "-c", program, SCRIPTS], capture_output=True, text=True)
    assert done.returncode == 137
    assert done.stderr.startswith("error: the job ran out of memory")


def test_a_script_needs_nothing_but_its_interpreter(tmp_path):
    """In a new process, without PATH or a home folder of the user, from another folder, on one thread."""
    output = tmp_path / "scores.tsv"
    done = subprocess.run(
        [sys.executable, SCRIPTS / "score_pairs.py", "--model", DEMO, "--wild-type", CFTR[0], "--mutant", CFTR[1]]
        + ["--output", output],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "GALAXY_SLOTS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert sys.executable in done.stderr and done.stderr.endswith("1 thread\n")
    assert len(read_table(output)) == 2
