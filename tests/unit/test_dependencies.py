"""Dependencies against a double loop that reads one sequence at a time; their outputs, and what is refused."""

import math
import random
import xml.etree.ElementTree as ET
from functools import cache

import numpy as np
import pytest
import torch
from Bio.Seq import reverse_complement
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

from conftest import ROOT, TEST_DATA, assert_refused, read_table
from dna_lm.engine import predictions
from dna_lm.engine.encoder import Budget, Embedding
from dna_lm.engine.loading import load_checkpoint
from dna_lm.inputs.fasta import Record
from dna_lm.inputs.stretches import Stretch, mutants
from dna_lm.model.tokens import base_tokens
from dna_lm.mutagenesis import dependency_map, dependency_sinks
from dna_lm.mutagenesis.source import Mutation, MutationRow
from dna_lm.scoring import pipeline
from dna_lm.scoring.pipeline import Item
from dna_lm.scoring.rows import Counts
from dna_lm.scoring.settings import Settings
from naive import assert_rounded_alike

MODELS, ORACLES = TEST_DATA / "models", ROOT / "tests" / "oracles"
REFERENCE = TEST_DATA / "reference.fasta"
EPSILON = 1e-10

# How each tokenizer cuts: special tokens in front, k, whether k-mers overlap, whether bases are cut on the left.
MASKED = {
    MODELS / "tiny-modernbert": (1, 1, False, False),
    MODELS / "tiny-esm": (1, 6, False, False),
    MODELS / "tiny-bert": (1, 3, True, False),
    ORACLES / "dnabert1_k3": (1, 3, True, False),
}
CAUSAL = {
    MODELS / "tiny-llama": (0, 1, False, False),
    MODELS / "tiny-mamba": (0, 1, False, False),
    MODELS / "tiny-gpt-neox": (1, 3, False, False),
    ORACLES / "generator_v2": (1, 6, False, True),
    ORACLES / "carbon": (1, 6, False, False),
}
# Families of the suite, which transformers cannot load.
OWN = {
    ORACLES / "gpn": (0, 1, False, False),
    ORACLES / "hyenadna": (0, 1, False, False),
    ORACLES / "nucleotide_transformer_v2_3mer": (1, 3, False, False),
}
# 20 bases: their number is not a multiple of 3 or 6.
SEQUENCE = "ACGTTGCATTAGCCGATACC"


@cache
def loaded(folder):
    return load_checkpoint(folder)


@cache
def words_of(folder):
    """Token id -> its bases, or None; the tokens of tiny-bert are characters that stand for 3-mers."""
    vocabulary = loaded(folder).tokenizer.get_vocab()
    kmers = [a + b + c for a in "ACGT" for b in "ACGT" for c in "ACGT"]
    words = {chr(0xE000 + number): kmer for number, kmer in enumerate(kmers)}
    named = {number: words.get(token, token.upper()) for token, number in vocabulary.items()}
    return {number: word if set(word) <= set("ACGT") else None for number, word in named.items()}


@cache
def whole_model(folder, dtype):
    if folder in OWN:
        return None
    model_class = AutoModelForMaskedLM if folder in MASKED else AutoModelForCausalLM
    return model_class.from_pretrained(folder, dtype=dtype).eval()


@torch.inference_mode()
def softmax_of(folder, sequence, dtype):
    """Probabilities of the vocabulary after each token: float64 (tokens, vocabulary)."""
    ids = torch.tensor(loaded(folder).tokenise([sequence]))
    if folder in OWN:
        logits = loaded(folder).logits(loaded(folder).trunk(ids.to(loaded(folder).device)).last_hidden_state)
    else:
        logits = whole_model(folder, dtype)(ids).logits
    logits = logits[0].double().cpu().numpy()
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def tokens_of(folder, at, length):
    """(token, offset, bases of the token) of all tokens that show a base."""
    n_before, k, overlap, cut = (MASKED | CAUSAL | OWN)[folder]
    if folder.name == "carbon":
        length += -length % k
    if overlap:
        return [(n_before + at - o, o, k) for o in range(k) if 0 <= at - o <= length - k]
    start = length % k if cut else 0
    if at < start:
        return []
    at -= start
    n_whole = (length - start) // k
    if at < n_whole * k:
        return [(n_before + at // k, at % k, k)]
    return [(n_before + n_whole + at - n_whole * k, 0, 1)]


def naive_log_odds(folder, sequence, dtype):
    """For each base a list of 4, or None; computed token by token and word by word."""
    softmax, words = softmax_of(folder, sequence, dtype), words_of(folder)
    odds = []
    for at in range(len(sequence)):
        places = tokens_of(folder, at, len(sequence))
        if loaded(folder).is_causal:
            places = [(token - 1, offset, size) for token, offset, size in places if token > 0]
        if not places:
            odds.append(None)
            continue
        of_base = dict.fromkeys("ACGT", 0.0)
        for token, offset, size in places:
            for number, word in words.items():
                if word and len(word) == size and number < softmax.shape[1]:
                    of_base[word[offset]] += softmax[token, number] / len(places)
        p = [of_base[base] + EPSILON for base in "ACGT"]
        p = [each / sum(p) for each in p]
        odds.append([math.log2(each / sum(p[:n] + p[n + 1 :])) for n, each in enumerate(p)])
    return odds


def naive_change(folder, sequence, mutant, at, target, strand, dtype):
    """e(i, j, alt) of the definition; None where a causal model does not define it."""
    if strand == "mean":
        both = [naive_change(folder, sequence, mutant, at, target, one, dtype) for one in ("forward", "reverse")]
        both = [each for each in both if each is not None]
        return sum(both) / len(both) if both else None
    if strand == "reverse":
        sequence, mutant = reverse_complement(sequence), reverse_complement(mutant)
        at, target = len(sequence) - 1 - at, len(sequence) - 1 - target
    a, b = (naive_cached(folder, each, dtype)[target] for each in (sequence, mutant))
    if a is None:
        return None
    of_mutated, of_target = (tokens_of(folder, each, len(sequence)) for each in (at, target))
    if loaded(folder).is_causal and of_target[0][0] <= of_mutated[0][0]:
        return None
    return max(abs(x - y) for x, y in zip(a, b, strict=True))


@cache
def naive_cached(folder, sequence, dtype):
    return naive_log_odds(folder, sequence, dtype)


def changes_of(checkpoint, stretch, scores=("l2",), batch_tokens=2048, order=None, **how):
    """(at, alt) -> the row of each mutant."""
    items = [
        Item((at, alt), stretch.record, Record("x", sequence, "ok")) for at, alt, _, sequence, _ in mutants(stretch)
    ]
    items = items if order is None else [items[number] for number in order]
    wanted = Settings(scores=scores, dependencies=True, **how)
    return dict(pipeline.score(checkpoint, items, wanted, Budget(batch_tokens)))


def stretch_of(sequence):
    return Stretch(Record("s", sequence, "ok"), 0, len(sequence))


# --- numbers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strand", ["forward", "reverse", "mean"])
@pytest.mark.parametrize("folder", MASKED | CAUSAL | OWN, ids=lambda folder: folder.name)
def test_dependencies_equal_a_double_loop(folder, strand):
    rows = changes_of(loaded(folder), stretch_of(SEQUENCE), strand=strand)
    found, float32, float64 = [], [], []
    for at, alt, _, mutant, _ in mutants(stretch_of(SEQUENCE)):
        row = rows[at, alt]
        if row.status != "ok":
            assert row.status == "change_not_read" and row.changes is None
            continue
        for target in range(len(SEQUENCE)):
            if target == at:
                continue
            expected = naive_change(folder, SEQUENCE, mutant, at, target, strand, torch.float32)
            value = row.changes[target]
            assert math.isnan(value) == (expected is None), (at, target)
            if expected is not None:
                found.append(value)
                float32.append(expected)
                float64.append(naive_change(folder, SEQUENCE, mutant, at, target, strand, torch.float64))
    assert len(found) > 300 and np.std(found) > 1e-3
    if folder in OWN:
        np.testing.assert_allclose(found, float32, atol=2e-5)
    else:
        assert_rounded_alike(found, float32, float64)


@pytest.mark.parametrize("strand", ["forward", "reverse", "mean"])
def test_a_causal_model_defines_what_follows_in_its_order(strand):
    n = len(SEQUENCE)
    for (at, _), row in changes_of(loaded(MODELS / "tiny-llama"), stretch_of(SEQUENCE), strand=strand).items():
        expected = {"forward": range(at + 1, n), "reverse": range(at), "mean": set(range(n)) - {at}}[strand]
        assert set(np.flatnonzero(~np.isnan(row.changes))) == set(expected)


@pytest.mark.parametrize("name", ["caduceus_ps", "caduceus_ph", "plantcaduceus"])
def test_strands_of_a_model_that_reads_both(name):
    """With the pooling `last` both orders of the tokens are read; the changes are those of one, up to rounding."""
    checkpoint = loaded(ORACLES / name)
    given = changes_of(checkpoint, stretch_of(SEQUENCE))
    if checkpoint.mirror is None:
        return
    for strand in ("reverse", "mean"):
        same = changes_of(checkpoint, stretch_of(SEQUENCE), strand=strand)
        read = changes_of(checkpoint, stretch_of(SEQUENCE), strand=strand, embedding=Embedding(pooling="last"))
        for key, row in given.items():
            np.testing.assert_array_equal(same[key].changes, row.changes)
            np.testing.assert_allclose(read[key].changes, row.changes, atol=1e-4)
            assert np.nanmax(row.changes) > 1e-3


@pytest.mark.cpu
@settings(max_examples=6)
@given(
    st.sampled_from([MODELS / name for name in ("tiny-modernbert", "tiny-esm", "tiny-bert", "tiny-gpt-neox")]),
    st.integers(1, 400),
    st.data(),
)
def test_a_dependency_belongs_to_its_pair(folder, batch_tokens, data):
    """The same to the last bit, whatever the batch, the order and the other mutants."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    stretch = stretch_of(SEQUENCE + SEQUENCE[:7])
    rows = changes_of(loaded(folder), stretch, strand="mean")
    order = data.draw(st.permutations(range(len(rows))))
    order = order[: data.draw(st.integers(1, len(order)))]
    found = changes_of(loaded(folder), stretch, batch_tokens=batch_tokens, order=order, strand="mean")
    torch.set_num_threads(threads)
    for key, row in found.items():
        np.testing.assert_array_equal(row.changes, rows[key].changes)


@pytest.mark.parametrize(
    ("name", "scores", "embedding"),
    [
        ("tiny-modernbert", ("l2",), Embedding()),
        ("tiny-modernbert", ("l2",), Embedding("hidden", 1, "mean")),
        ("tiny-gpt-neox", ("l2", "llr"), Embedding(pooling="last")),
        ("tiny-gpt-neox", ("llr",), Embedding()),
    ],
)
def test_dependencies_need_no_more_forward_passes_and_change_no_score(name, scores, embedding):
    checkpoint, stretch = loaded(MODELS / name), stretch_of(SEQUENCE)
    items = [
        Item((at, alt), stretch.record, Record("x", mutant, "ok")) for at, alt, _, mutant, _ in mutants(stretch, True)
    ]
    results, computed = [], []
    for dependencies in (False, True):
        budget = Budget()
        wanted = Settings(embedding, scores=scores, dependencies=dependencies)
        results.append([row for _, row in pipeline.score(checkpoint, items, wanted, budget)])
        computed.append(budget.computed)
    assert computed[0] == computed[1]
    for item, without, row in zip(items, *results, strict=True):
        assert (row.changes is None) == (item.payload[1] == "-")
        assert row == without


def test_a_masked_ratio_and_dependencies_come_together():
    checkpoint = loaded(MODELS / "tiny-esm")
    alone = changes_of(checkpoint, stretch_of(SEQUENCE), ("l2",))
    for key, row in changes_of(checkpoint, stretch_of(SEQUENCE), ("llr",)).items():
        np.testing.assert_array_equal(row.changes, alone[key].changes)
        assert row.scores["llr"] != 0


def test_odds_keep_the_digits_of_a_certain_prediction():
    p = np.array([[1 - 3e-9, 1e-9, 1e-9, 1e-9], [1, 0, 0, 0], [0.25] * 4])
    found = predictions.log2_odds(p)
    np.testing.assert_allclose(found[0, 0], math.log2(1 / 3.3e-9), rtol=1e-6)
    np.testing.assert_allclose(found[1], [math.log2(1 / 3e-10), *[math.log2(1e-10)] * 3], rtol=1e-6)
    np.testing.assert_allclose(found[2], [math.log2(1 / 3)] * 4)


def test_numbers_that_are_not_finite_are_a_status(monkeypatch):
    checkpoint = loaded(MODELS / "tiny-modernbert")
    infinite = [np.full((20, 4), np.nan)]
    monkeypatch.setattr(predictions.Predictions, "per_sequence", lambda self: infinite * len(self.tree.leaves))
    rows = changes_of(checkpoint, stretch_of(SEQUENCE)).values()
    assert {(row.status, row.scores["l2"], row.changes) for row in rows} == {("not_finite", None, None)}


@pytest.mark.parametrize(
    ("name", "k", "overlap", "n_letters"),
    [("tiny-modernbert", 1, False, 0), ("tiny-esm", 6, False, 4), ("tiny-bert", 3, True, 0)],
)
def test_what_tokens_show(name, k, overlap, n_letters):
    tokens = base_tokens.find(loaded(MODELS / name), "this")
    assert (tokens.k, tokens.is_overlapping, len(tokens.words), len(tokens.letters)) == (k, overlap, 4**k, n_letters)


# --- the script ------------------------------------------------------------------------------------------------------


@pytest.fixture
def run(run_script, tmp_path):
    def run_with(model, *options):
        options = options if "--strand" in options else [*options, "--strand", "forward"]
        done = run_script("mutagenesis.py", "--model", MODELS / model, "--output", tmp_path / "out.tsv", *options)
        assert done.returncode == 0, done.stderr
        return read_table(tmp_path / "out.tsv")

    return run_with


def test_the_table_has_the_largest_of_three_and_the_column_the_mean(run, tmp_path):
    (tmp_path / "x.fasta").write_text(f">n\nACGN\n>s\n{SEQUENCE}\n>one\nA\n")
    outputs = "--dependencies", tmp_path / "d.tsv", "--influence", "--deletions", "--scores", "l2", "llr"
    rows = run("tiny-modernbert", "--sequences", "x.fasta", *outputs, "--strand", "mean")
    assert list(rows[0])[4:9] == ["status", "l2", "llr", "influence", "wt_length"]
    expected = changes_of(loaded(MODELS / "tiny-modernbert"), stretch_of(SEQUENCE), strand="mean")
    for row in rows:
        key = row["position"] and (int(row["position"]) - 1, row["alt"])
        if row["id"] != "s" or row["alt"] == "-":
            assert row["influence"] == ""
            continue
        others = np.delete(expected[key].changes, key[0])
        assert float(row["influence"]) == pytest.approx(others.mean(), rel=1e-8)
    found = {(int(row["position"]) - 1, int(row["target"]) - 1): row for row in read_table(tmp_path / "d.tsv")}
    n = len(SEQUENCE)
    assert set(found) == {(at, target) for at in range(n) for target in range(n) if at != target}
    assert list(found) == sorted(found)
    for (at, target), row in found.items():
        assert list(row) == ["id", "position", "target", "dependency"] and row["id"] == "s"
        of_alts = [expected[at, alt].changes[target] for alt in "ACGT" if alt != SEQUENCE[at]]
        assert float(row["dependency"]) == pytest.approx(max(of_alts), rel=1e-8)


def test_intervals_have_places_and_the_influence_of_their_flanks(run, tmp_path):
    options = "--intervals", TEST_DATA / "intervals.bed", "--reference", REFERENCE, "--flank", 10
    rows = run("tiny-modernbert", *options, "--influence", "--dependencies", tmp_path / "d.tsv")
    lines = read_table(tmp_path / "d.tsv")
    assert list(lines[0]) == ["chrom", "pos", "target_pos", "id", "position", "target", "dependency"]
    places = {(row["id"], row["position"]): row["pos"] for row in rows}
    for line in lines:
        assert line["pos"] == places[line["id"], line["position"]]
        assert line["target_pos"] == places[line["id"], line["target"]]
    assert len(lines) == 12 * 11 + 5 * 4
    sequence = "".join(REFERENCE.read_text().split(">chr1")[1].split("\n", 1)[1].split(">")[0].split())
    start = int(rows[0]["pos"]) - 1
    stretch = stretch_of(sequence[start - 10 : start + 22].upper())
    expected = changes_of(loaded(MODELS / "tiny-modernbert"), stretch)
    others = np.delete(expected[10, rows[0]["alt"]].changes, 10)
    assert float(rows[0]["influence"]) == pytest.approx(others.mean(), rel=1e-5)


def test_a_causal_model_has_half_a_table_and_says_so(run, tmp_path):
    (tmp_path / "x.fasta").write_text(f">s\n{SEQUENCE}\n")
    outputs = "--dependencies", tmp_path / "d.tsv", "--dependency-map", tmp_path / "m", "--influence"
    rows = run("tiny-llama", "--sequences", "x.fasta", *outputs, "--dependency-map-format", "svg")
    assert all(int(row["target"]) > int(row["position"]) for row in read_table(tmp_path / "d.tsv"))
    assert [row["influence"] == "" for row in rows] == [False] * 57 + [True] * 3
    assert dependency_map.DIRECTIONS["forward"] in (tmp_path / "m").read_text()


@pytest.mark.parametrize("file_format", ["png", "svg", "pdf"])
def test_maps_are_the_same_every_time_and_their_text_is_inert(run, tmp_path, file_format):
    options = "--sequences", TEST_DATA / "hostile_ids_wild_type.fasta", "--dependency-map-format", file_format
    drawn = []
    for _ in range(2):
        run("tiny-esm", *options, "--dependency-map", tmp_path / "x")
        drawn.append((tmp_path / "x").read_bytes())
    assert drawn[0] == drawn[1]
    assert drawn[0].startswith({"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF-"}[file_format])
    if file_format == "svg":
        elements = list(ET.fromstring(drawn[0]).iter())
        assert {element.tag.split("}")[1] for element in elements}.isdisjoint({"script", "foreignObject", "a", "img"})
        texts = {element.text for element in elements}
        assert {"<img/src=x/onerror=alert(1)>", dependency_map.TITLE, "mutated base"} <= texts


def test_a_picture_has_so_many_maps_and_says_what_it_leaves_out(tmp_path, monkeypatch):
    drawn = []
    draw = dependency_map.draw
    monkeypatch.setattr(
        dependency_map, "draw", lambda path, panels, *rest: (drawn.extend(panels), draw(path, panels, *rest))
    )
    with dependency_sinks.picture(tmp_path / "x.svg", "forward", False, "svg", most_panels=2) as add:
        # The second a is the same DNA again.
        for name, flank in (("a", "A"), ("a", "A"), ("b", "C"), ("c", "G")):
            stretch = Stretch(Record(name, f"ACG{flank}", "ok"), 0, 3)
            for at, alt, *_ in mutants(stretch):
                changes = (
                    None if (name, at, alt) == ("a", 1, "G") else np.full(3, {"A": 1, "C": 3, "G": 2, "T": 0}[alt])
                )
                padded = None if changes is None else np.append(changes.astype(float), np.nan)
                add(MutationRow(name, "ok", {}, Counts(4, 4), padded, mutation=Mutation(stretch, at, alt)))
    assert [panel.stretch.record.id for panel in drawn] == ["a", "b"]
    assert drawn[1].dependencies.tolist() == [[3] * 3, [2] * 3, [3] * 3]
    assert np.isnan(drawn[0].dependencies[1]).all()
    assert "Not drawn, only in the tables: 1 more" in (tmp_path / "x.svg").read_text()
    draw(tmp_path / "none.png", [], "forward", False, "png", 2)


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("demo-mixtral", [], "a dependency map needs a model whose tokens are single bases or k-mers of one length"),
        ("headless-mixtral", ["--representation", "hidden"], "a dependency map needs the model's language-model head"),
        ("tiny-esm", ["--dependency-bases", 12], "'long' has 13 bases, more than 12: mutate a shorter part of it"),
        ("tiny-esm", ["--dependency-bases", 17], "up to 'more' there are 313 pairs of bases, more than the 289"),
        ("tiny-esm", ["--dependency-bases", 0], "0 is less than 1"),
    ],
)
def test_what_has_no_dependencies_is_one_line_and_no_output(run_script, tmp_path, model, options, message):
    (tmp_path / "x.fasta").write_text(">unread\n" + "N" * 40 + "\n>long\nACGTTGCATTAGC\n>more\nACGTTGCATTAG\n")
    done = run_script(
        *("mutagenesis.py", "--model", MODELS / model, "--sequences", "x.fasta", "--output", "out.tsv"),
        *("--dependencies", "out.dependencies", *options),
    )
    if options[-1:] == [0]:
        assert done.returncode != 0 and message in done.stderr
    else:
        assert_refused(done, message, tmp_path)


def test_influence_alone_has_no_limit(run, tmp_path):
    (tmp_path / "x.fasta").write_text(f">s\n{''.join(random.Random(1).choices('ACGT', k=60))}\n")
    assert all(row["influence"] for row in run("tiny-modernbert", "--sequences", "x.fasta", "--influence"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--dependency-map-format", "svg"], "--dependency-map-format has no effect without --dependency-map"),
        (["--influence", "--dependency-bases", 5], "--dependency-bases has no effect without --dependencies"),
    ],
)
def test_options_without_their_partner_are_refused(run_script, tmp_path, options, message):
    done = run_script("mutagenesis.py", "--model", "m", "--sequences", "s", "--output", "out.tsv", *options)
    assert_refused(done, f"^error: {message}", tmp_path)
