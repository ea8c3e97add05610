"""Tokenizers that the suite builds from a list of tokens, and what becomes of bases that fill no token."""

import itertools
import json
import random
import shutil
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import ROOT, TEST_DATA, read_table
from dna_lm.engine.encoder import Embedding
from dna_lm.engine.loading import load_checkpoint
from dna_lm.errors import UserError
from dna_lm.inputs.fasta import Record
from dna_lm.model.tokens import tokenizer
from dna_lm.model.tokens.kmers import ENDS, Reading
from scored import embed, score_pairs

ORACLES = ROOT / "tests" / "oracles"
GENERATOR, CARBON, DNABERT, NUCLEOTIDE_TRANSFORMER = (
    ORACLES / name for name in ("generator_v2", "carbon", "dnabert1_k3", "nucleotide_transformer_v2")
)
COMPLEMENT = str.maketrans("ACGT", "TGCA")
dna = st.text("ACGT", min_size=1, max_size=60)


@cache
def loaded(folder):
    return load_checkpoint(folder)


def tokens_of(checkpoint, sequence):
    """The tokens of one sequence, special tokens left out."""
    [ids] = checkpoint.tokenise([sequence])
    ids = [number for number in ids if number not in checkpoint.special_token_ids]
    return checkpoint.tokenizer.convert_ids_to_tokens(ids)


def edited(folder, target, **files):
    """A copy of a model folder with other files: name without ending -> function from text to text, or None."""
    shutil.copytree(folder, target)
    for name, edit in files.items():
        [path] = target.glob(f"{name}.*")
        if edit is None:
            path.unlink()
        else:
            path.write_text(edit(path.read_text()))
    return target


def json_edit(**changes):
    return lambda text: json.dumps({key: value for key, value in (json.loads(text) | changes).items() if value != ...})


# --- every sequence is read --------------------------------------------------------------------------------------


@given(dna)
def test_generator_reads_the_end_that_its_tokens_fill(sequence):
    assert "".join(tokens_of(loaded(GENERATOR), sequence)) == sequence[len(sequence) % 6 :]


@given(dna)
def test_carbon_fills_the_last_token(sequence):
    assert "".join(tokens_of(loaded(CARBON), sequence)) == sequence + "A" * (-len(sequence) % 6)


@given(dna)
def test_dnabert_reads_every_window(sequence):
    kmers = tokens_of(loaded(DNABERT), sequence)
    assert kmers == [sequence[at : at + 3] for at in range(len(sequence) - 2)]


@given(dna)
def test_the_nucleotide_transformer_reads_single_bases_at_the_end(sequence):
    tokens = tokens_of(loaded(NUCLEOTIDE_TRANSFORMER), sequence)
    assert "".join(tokens) == sequence
    assert [len(token) for token in tokens] == [6] * (len(sequence) // 6) + [1] * (len(sequence) % 6)


@given(dna)
def test_special_tokens_come_where_the_authors_put_them(sequence):
    for folder, start, end in (
        (GENERATOR, ["<s>"], []),
        (CARBON, ["<dna>"], []),
        (DNABERT, ["[CLS]"], ["[SEP]"]),
        (NUCLEOTIDE_TRANSFORMER, ["<cls>"], []),
    ):
        checkpoint = loaded(folder)
        [ids] = checkpoint.tokenise([sequence])
        assert checkpoint.tokenizer.convert_ids_to_tokens(ids) == [*start, *tokens_of(checkpoint, sequence), *end]


@given(st.lists(dna, min_size=1), st.sampled_from(ENDS), st.integers(1, 8))
def test_ends_are_named_by_the_sequences_lengths(sequences, ends, k):
    reading = Reading(k, ends)
    is_whole = all(reading.text(sequence) == sequence for sequence in sequences)
    assert reading.ends_of(sequences) == ("whole" if is_whole else ends)


def test_long_sequences_take_time_in_proportion():
    """Each token once: a pattern that goes back over the sequence would take minutes for a million bases."""
    sequence = "".join(random.Random(1).choices("ACGT", k=10**6))
    for folder, n_tokens in (
        (GENERATOR, 166_667),
        (CARBON, 166_668),
        (DNABERT, 10**6),
        (NUCLEOTIDE_TRANSFORMER, 166_671),
    ):
        [ids] = loaded(folder).tokenise([sequence])
        assert len(ids) == n_tokens


# --- rows say what was read --------------------------------------------------------------------------------------


def row_of(folder, wild_type, mutant, strand="forward"):
    [row] = score_pairs(
        loaded(folder), [(Record("p", wild_type, "ok"), Record("p", mutant, "ok"))], ("l2", "llr"), strand=strand
    )
    return row


def substituted(sequence, at):
    return sequence[:at] + sequence[at].translate(COMPLEMENT) + sequence[at + 1 :]


SEQUENCE = "ACGTTGCATTAGCCGATACCAGTTTGACTAC"  # 31 bases: five 6-mers and one base


@pytest.mark.parametrize(
    ("folder", "strand", "unread", "ends"),
    [
        (GENERATOR, "forward", {0}, "cut"),
        (GENERATOR, "reverse", {30}, "cut"),
        (GENERATOR, "mean", {0, 30}, "cut"),
        (CARBON, "forward", set(), "filled"),
        (DNABERT, "mean", set(), "whole"),
        (NUCLEOTIDE_TRANSFORMER, "mean", set(), "whole"),
    ],
)
def test_a_change_that_is_not_read_has_no_score(folder, strand, unread, ends):
    for at in range(len(SEQUENCE)):
        row = row_of(folder, SEQUENCE, substituted(SEQUENCE, at), strand)
        assert row.status == ("change_not_read" if at in unread else "ok")
        assert (row.scores["l2"] is None) == (row.scores["llr"] is None) == (at in unread)
        assert at in unread or row.scores["l2"] > 0
        assert row.counts.ends == ends


def test_a_pair_without_a_change_has_the_distance_0():
    row = row_of(GENERATOR, SEQUENCE, SEQUENCE)
    assert (row.status, row.scores["l2"], row.counts.ends) == ("ok", 0, "cut")


def test_bases_that_equal_what_is_filled_in_are_not_read():
    row = row_of(CARBON, SEQUENCE, SEQUENCE + "A")
    assert (row.status, row.scores["l2"], row.counts.ends) == ("change_not_read", None, "filled")
    assert row_of(CARBON, SEQUENCE, SEQUENCE + "C").status == "ok"


def test_the_row_names_the_ends_of_either_sequence():
    """A deletion of one base from 31 leaves 30, which are read whole."""
    assert row_of(GENERATOR, SEQUENCE[1:], SEQUENCE[1:]).counts.ends == "whole"
    assert row_of(GENERATOR, SEQUENCE, SEQUENCE[:10] + SEQUENCE[11:]).counts.ends == "cut"
    assert row_of(GENERATOR, SEQUENCE[1:], SEQUENCE).counts.ends == "cut"


def test_a_sequence_shorter_than_a_token_is_not_read():
    rows = embed(loaded(GENERATOR), [Record("r", "ACGTA", "ok"), Record("r", "ACGTAC", "ok")], Embedding())
    assert [(row.status, row.tokens, row.ends) for row in rows] == [
        ("too_short", None, None),
        ("ok", 2, "whole"),
    ]
    row = row_of(GENERATOR, "ACGTAC", "ACGTA")
    assert (row.status, row.counts.wt_length, row.counts.wt_tokens, row.counts.ends) == ("too_short", 6, None, None)
    assert row_of(DNABERT, "AC", "AG").status == "too_short"
    assert row_of(CARBON, "AC", "AG").status == "ok"


def test_every_mutation_of_a_base_that_is_cut_is_reported(run_script, tmp_path):
    (tmp_path / "in.fasta").write_text(f">long\n{SEQUENCE[:14]}\n>short\nACGTA\n>a_token\nACGTAC\n")
    done = run_script(
        *("mutagenesis.py", "--model", GENERATOR, "--sequences", "in.fasta", "--deletions", "--output", "out.tsv"),
        *("--strand", "forward"),
    )
    assert done.returncode == 0, done.stderr
    rows = read_table("out.tsv")
    of_long = {(int(row["position"]), row["alt"]): row["status"] for row in rows if row["id"] == "long"}
    # 14 bases: two are cut. A deletion leaves 13, of which the last 12 are those of the wild type if it is of the cut.
    assert of_long == {
        (at, alt): "change_not_read" if at <= 2 else "ok"
        for at in range(1, 15)
        for alt in "ACGT-".replace(SEQUENCE[at - 1], "")
    }
    of_short = [(row["position"], row["status"]) for row in rows if row["id"] == "short"]
    assert of_short == [("", "too_short")]
    assert {row["status"] for row in rows if row["id"] == "a_token" and row["alt"] == "-"} == {"too_short"}
    assert "change_not_read: " in done.stderr and "too_short: " in done.stderr


def test_a_pair_that_is_cut_to_its_change_says_so(run_script, tmp_path):
    long = "ACGTTGCA" * 1000
    (tmp_path / "a.fasta").write_text(f">a\n{long}\n>b\n{long[:40]}\n")
    (tmp_path / "b.fasta").write_text(f">a\n{substituted(long, 4000)}\n>b\n{substituted(long, 4)[:40]}\n")
    done = run_script(
        *("score_pairs.py", "--model", TEST_DATA / "models" / "demo-mixtral", "--truncate", "--output", "out.tsv"),
        *("--wild-type", "a.fasta", "--mutant", "b.fasta"),
    )
    assert done.returncode == 0, done.stderr
    assert [row["ends"] for row in read_table("out.tsv")] == ["cut", "whole"]


# --- folders -----------------------------------------------------------------------------------------------------


def numbered(separator):
    return lambda text: "".join(f"{token}{separator}{n}\n" for n, token in enumerate(text.split()))


def test_a_list_may_say_the_number_of_each_token(tmp_path):
    for name, separator in (("tab", "\t"), ("blank", " "), ("comma", ",")):
        folder = edited(GENERATOR, tmp_path / name, vocab=numbered(separator))
        found, reading = tokenizer.load_tokenizer(folder)
        assert found.get_vocab() == loaded(GENERATOR).tokenizer.get_vocab()
        assert reading == Reading(6, "cut")


def test_carbon_needs_no_text_tokenizer(tmp_path):
    """As in the published models, its numbers begin after those of a large vocabulary of text."""
    edit = json_edit(dna_start_id=151_669)
    settings = json_edit(added_tokens_decoder={"151643": {"content": "<|endoftext|>", "special": True}})
    folder = edited(CARBON, tmp_path / "large", dna_config=edit, tokenizer_config=settings)
    found, reading = tokenizer.load_tokenizer(folder)
    kmers = ["".join(letters) for letters in itertools.product("ATCG", repeat=6)]
    assert found.convert_tokens_to_ids(["<dna>", "</dna>", "<oov>"]) == [151_669, 151_670, 151_671]
    assert found.convert_tokens_to_ids(kmers) == list(range(151_672, 151_672 + 4096))
    assert found.pad_token_id == 151_643 and reading == Reading(6, "filled")
    assert tokenizer.special_token_ids(found) == {151_643, 151_669, 151_670, 151_671}


def test_dnabert_may_name_its_class_or_none(tmp_path):
    for number, name in enumerate((None, "BertTokenizer", "DNATokenizer", ...)):
        edit = json_edit(tokenizer_class=name)
        folder = edited(DNABERT, tmp_path / str(number), tokenizer_config=edit)
        found, reading = tokenizer.load_tokenizer(folder)
        assert reading == Reading(3, is_overlapping=True) and found.model_max_length == 512
    folder = edited(DNABERT, tmp_path / "bare", tokenizer_config=None, special_tokens_map=None)
    assert tokenizer.load_tokenizer(folder)[0].get_vocab() == found.get_vocab()


def test_dnabert_reads_as_many_kmers_as_it_has_positions():
    fitting, longer = ("A" * (510 + 2), "A" * (511 + 2))
    rows = embed(loaded(DNABERT), [Record("r", fitting, "ok"), Record("r", longer, "ok")], Embedding())
    assert [row.status for row in rows] == ["ok", "too_long"]


def without(token):
    return lambda text: "".join(f"{line}\n" for line in text.split() if line != token)


@pytest.mark.parametrize(
    ("folder", "files", "message"),
    [
        (GENERATOR, {"vocab": without("ACGTAC")}, "vocab.txt does not list all k-mers of one length"),
        (
            GENERATOR,
            {"vocab": lambda text: f"{text.rstrip()}\nACG"},
            "vocab.txt does not list all k-mers of one length",
        ),
        (GENERATOR, {"vocab": lambda text: "A" * 10**6}, "vocab.txt does not list all k-mers of one length"),
        (GENERATOR, {"vocab": lambda text: "a token of words\n" + text}, "line 1 of vocab.txt is not a token"),
        (GENERATOR, {"vocab": without("<oov>")}, "the unk token '<oov>' is not in the tokenizer's vocabulary"),
        (GENERATOR, {"vocab": None}, "cannot read vocab.txt: No such file"),
        (
            GENERATOR,
            # Before a k-mer, which then has the last number. A token that no sequence has may be without a row.
            {"vocab": lambda text: "\n<more>\n".join(text.rstrip().rpartition("\n")[::2])},
            "has token number 4128, but the model knows only 4128",
        ),
        (
            DNABERT,
            {"vocab": lambda text: f"{text.rstrip()}\nprotein"},
            "vocab.txt lists other tokens than k-mers of DNA",
        ),
        (DNABERT, {"vocab": lambda text: "[UNK]\n[CLS]\n[SEP]\nthe\na\n"}, "does not list all k-mers of one length"),
        (
            DNABERT,
            {"tokenizer_config": json_edit(tokenizer_class="OtherTokenizer")},
            "is for the class 'OtherTokenizer'",
        ),
        (DNABERT, {"tokenizer_config": json_edit(tokenizer_class=["x"])}, "which this suite does not know"),
        (CARBON, {"dna_config": None}, "cannot read dna_config.json: No such file"),
        (CARBON, {"dna_config": json_edit(k="6")}, "dna_config.json does not say which k-mers it has"),
        (CARBON, {"dna_config": json_edit(k=30)}, "dna_config.json does not say which k-mers it has"),
        (CARBON, {"dna_config": json_edit(dna_start_id=2**40)}, "dna_config.json does not say which k-mers it has"),
        (CARBON, {"dna_config": json_edit(dna_special_tokens=["<dna>"])}, "dna_config.json lacks the tokens <dna>"),
        (
            CARBON,
            {"dna_config": json_edit(dna_start_id=10_000)},
            "has token number 14098, but the model knows only 4480",
        ),
    ],
)
def test_folders_that_do_not_say_their_tokens_are_refused(tmp_path, folder, files, message):
    with pytest.raises(UserError, match=message):
        load_checkpoint(edited(folder, tmp_path / "model", **files))


@pytest.mark.parametrize("k", range(1, 8))
def test_any_k_is_checked_with_sequences_that_are_read(tmp_path, k):
    """A check with bases that are left out would refuse a sound model."""
    kmers = map("".join, itertools.product("ATCG", repeat=k))
    special = ["<oov>", "<s>", "</s>", "<pad>"]
    (tmp_path / "vocab.txt").write_text("\n".join([*special, *kmers]))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "DNAKmerTokenizer"}))
    found, reading = tokenizer.load_tokenizer(tmp_path)
    ids = tokenizer.special_token_ids(found)
    assert ids == {0, 1, 2, 3}
    assert tokenizer.check_reads_dna(found, reading, ids) == 4 + 4**k - 1


def test_letters_of_hyenadna_may_be_listed(tmp_path):
    names = {"tokenizer_class": "HyenaDNATokenizer", "model_max_length": 100, "characters": ["T", "G", "C", "A"]}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(names))
    found, _ = tokenizer.load_tokenizer(tmp_path)
    assert found("TGCAN")["input_ids"] == [7, 8, 9, 10, 6, 1] and found.model_max_length == 100
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(names | {"characters": ["AC", 5]}))
    with pytest.raises(UserError, match="characters is not a list of letters"):
        tokenizer.load_tokenizer(tmp_path)
