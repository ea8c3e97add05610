"""Evo 1 and Evo 2: their numbers in float64, what scores are made of, and installing them as they are published."""

import io
import json
import random
import re
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import model_sources
from conftest import ROOT
from dna_lm.engine.encoder import Embedding
from dna_lm.engine.loading import load_checkpoint
from dna_lm.errors import UserError
from dna_lm.families import long_filter, striped
from dna_lm.inputs.fasta import Record
from dna_lm.model import evo2, pickles
from dna_lm.model.checkpoint import load_unchecked
from naive_evo import NaiveEvo
from scored import assert_same_bits, embed, random_pairs, score_pairs

ORACLES = ROOT / "tests" / "oracles"
FOLDERS = [ORACLES / name for name in ("evo1", "evo1_131k", "evo2", "evo2_base")]
of_folders = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


def dna(n, seed=0):
    return "".join(random.Random(seed).choices("ACGT", k=n))


@of_folders
@torch.inference_mode()
def test_in_float64_the_numbers_are_those_of_sums_token_by_token(folder, monkeypatch):
    """With more tokens than the medium filters have, and than are computed at once."""
    monkeypatch.setattr(striped, "BLOCK", 64)
    monkeypatch.setattr(long_filter, "GROUP_NUMBERS", 2**13)
    _, model = load_unchecked(folder, "float32")
    naive = NaiveEvo(folder)
    model.double()
    for n_tokens in (1, 2, 150):
        ids = [ord(base) for base in dna(n_tokens)]
        found = model(torch.tensor([ids])).logits[0].numpy()
        expected = naive.logits(ids)
        assert abs(found - expected).max() <= 1e-9 * abs(expected).max()


@of_folders
def test_the_ratio_is_the_sum_over_all_bases(folder):
    """Of Evo 1 the first base too, after token 0, as its authors score; of Evo 2 without it."""
    loaded, naive = load_checkpoint(folder), NaiveEvo(folder)
    start = [0] if folder.name.startswith("evo1") else []

    def log_likelihood(sequence):
        ids = [*start, *map(ord, sequence)]
        logits = naive.logits(ids)
        logs = logits - np.log(np.exp(logits - logits.max(-1, keepdims=True)).sum(-1, keepdims=True))
        logs -= logits.max(-1, keepdims=True)
        return np.array([logs[at, token] for at, token in enumerate(ids[1:])])

    wild_type, mutant = dna(60), dna(30) + "T" + dna(60)[31:]
    mutant = mutant if mutant != wild_type else dna(30) + "A" + dna(60)[31:]
    both = "llr", "llr_mean"
    for changed in (mutant, mutant[:40]):
        [row] = score_pairs(loaded, [(Record("x", wild_type, "ok"), Record("x", changed, "ok"))], both)
        a, b = log_likelihood(wild_type), log_likelihood(changed)
        assert row.scores["llr"] == pytest.approx(b.sum() - a.sum(), rel=1e-4, abs=1e-4)
        assert row.scores["llr_mean"] == pytest.approx(b.mean() - a.mean(), rel=1e-4, abs=1e-5)
        assert row.counts.wt_tokens == 60 + len(start)


def test_the_mean_over_tokens_is_refused_where_masks_are_filled():
    model = load_checkpoint(ROOT / "test-data" / "models" / "tiny-esm")
    with pytest.raises(
        UserError, match="'llr_mean' is a mean over the tokens that a causal model predicts.*choose 'llr'"
    ):
        score_pairs(model, [(Record("x", "ACGT", "ok"), Record("x", "ACGA", "ok"))], ("llr_mean",))


@pytest.mark.cpu
@of_folders
def test_a_score_has_the_same_bits_in_every_batch(folder):
    loaded = load_checkpoint(folder)
    assert_same_bits(loaded, list(random_pairs(12, 3, lengths=(1, 200))))


@of_folders
def test_blocks_and_groups_change_nothing_but_rounding(folder, monkeypatch):
    loaded = load_checkpoint(folder)
    records = [Record("x", dna(400), "ok")]
    [whole] = embed(loaded, records, Embedding("hidden", pooling="mean"))
    monkeypatch.setattr(striped, "BLOCK", 48)
    monkeypatch.setattr(long_filter, "GROUP_NUMBERS", 2**12)
    monkeypatch.setattr(striped, "_PART", 7)
    [cut] = embed(load_checkpoint(folder), records, Embedding("hidden", pooling="mean"))
    np.testing.assert_allclose(cut.embedding, whole.embedding, rtol=1e-4, atol=1e-4 * abs(whole.embedding).max())


@of_folders
def test_in_sixteen_bits_filters_and_frequencies_keep_theirs(folder):
    _, model = load_unchecked(folder, "bfloat16")
    types = {name.rpartition(".")[2]: parameter.dtype for name, parameter in model.named_parameters()}
    kept = {"poles", "log_poles", "residues", "inv_freq"} & types.keys()
    assert kept and {types[name] for name in kept} == {torch.float32}
    assert {types[name] for name in types.keys() - kept} == {torch.bfloat16}
    rough = score_pairs(load_checkpoint(folder, "bfloat16"), list(random_pairs(20, 1)), ("l2",))
    exact = score_pairs(load_checkpoint(folder), list(random_pairs(20, 1)), ("l2",))
    a, b = ([row.scores["l2"] for row in rows] for rows in (rough, exact))
    assert np.corrcoef(a, b)[0, 1] > 0.9


# --- as they are published -------------------------------------------------------------------------------------------


def published(folder, name="evo2_7b_base", source="evo2_base", **changed):
    """A folder with an Evo 2 as its authors publish it: a pickle with more than weights, a config.json of a name."""
    folder.mkdir()
    weights = load_file(ORACLES / source / "model.safetensors") | changed
    weights["unembed.weight"] = torch.full_like(weights["embedding_layer.weight"], 7.0)
    weights["blocks.2.mixer.mixer.filter.t"] = torch.arange(512.0)[None, None]
    weights["blocks.0.projections._extra_state"] = io.BytesIO(b"scales")
    torch.save(weights, folder / f"{name}.pt")
    (folder / "config.json").write_text(
        json.dumps({"name": "Evo 2", "architecture": ["StripedHyena2"], "_name_or_path": f"{name}.pt"})
    )
    return folder


def converted(folder, target):
    pickles.copy_model(folder, target)
    return load_unchecked(target, "float32")


@pytest.mark.parametrize(
    ("name", "factor", "longest"),
    [("evo2_7b", 128, 1_048_576), ("evo2_7b_262k", 32, 262_144), ("evo2_7b_base", 1, 32_768)],
)
def test_a_name_says_what_the_weights_do_not(tmp_path, name, factor, longest):
    checkpoint, model = converted(published(tmp_path / "from", name), tmp_path / "to")
    assert (model.config.rotary_factor, checkpoint.max_tokens) == (factor, longest)
    stored = load_file(tmp_path / "to" / "model.safetensors")
    original = load_file(ORACLES / "evo2_base" / "model.safetensors")
    assert stored.keys() == original.keys()
    assert all(torch.equal(stored[key], original[key]) and stored[key].dtype == original[key].dtype for key in stored)
    # The pickle stays behind, and its head is not read.
    assert not list((tmp_path / "to").glob("*.pt"))
    assert model.lm_head.weight is model.backbone.embedding_layer.weight


def test_settings_next_to_the_weights_are_read_for_other_names(tmp_path):
    folder = published(tmp_path / "from", "evo2_mine")
    with pytest.raises(UserError, match="'evo2_mine.pt' is no published Evo 2, .* put its settings, 'evo2_mine.yml'"):
        pickles.copy_model(folder, tmp_path / "to")
    settings = (
        "max_seqlen: 2048\nuse_interpolated_rotary_pos_emb: {}\nrotary_emb_scaling_factor: 16\nhcl_layer_idxs:\n- 2\n"
    )
    for number, (written, factor) in enumerate((("true", 16), ("false", 1))):
        (folder / "evo2_mine.yml").write_text(settings.format(written))
        checkpoint, model = converted(folder, tmp_path / f"to_{number}")
        assert (model.config.rotary_factor, checkpoint.max_tokens) == (factor, 2048)
    (folder / "evo2_mine.yml").write_text("max_seqlen: many\n")
    with pytest.raises(UserError, match="evo2_mine.yml does not say max_seqlen"):
        pickles.copy_model(folder, tmp_path / "again")


def test_parts_are_put_together_in_their_order(tmp_path):
    folder = published(tmp_path / "from")
    whole = (folder / "evo2_7b_base.pt").read_bytes()
    (folder / "evo2_7b_base.pt").unlink()
    cuts = [0, 1000, 5000, *range(100_000, len(whole), 60_000), len(whole)]
    assert len(cuts) > 12  # so that part 10 comes after part 9
    for number, (start, end) in enumerate(zip(cuts, cuts[1:], strict=False)):
        (folder / f"evo2_7b_base.pt.part{number}").write_bytes(whole[start:end])
    converted(folder, tmp_path / "to")
    assert not list((tmp_path / "to").glob("*part*"))
    (folder / "evo2_7b_base.pt.part3").unlink()
    with pytest.raises(UserError, match="evo2_7b_base.pt comes in parts: part 3 is missing"):
        pickles.copy_model(folder, tmp_path / "again")


def test_of_several_pickles_config_json_names_one(tmp_path):
    folder = published(tmp_path / "from")
    shutil.copy(folder / "evo2_7b_base.pt", folder / "evo2_7b.pt")
    converted(folder, tmp_path / "to")
    (folder / "config.json").write_text("{}")
    with pytest.raises(UserError, match="several pickles of Evo 2, 'evo2_7b.pt', 'evo2_7b_base.pt': keep one"):
        pickles.copy_model(folder, tmp_path / "again")


@pytest.mark.parametrize("name", ["evo2_1b_base", "evo2_20b", "evo2_40b", "evo2_40b_base"])
def test_models_of_eight_bits_are_refused_with_the_reason(tmp_path, name):
    with pytest.raises(UserError, match=f"{name}.pt was trained with products of 8 bits .FP8.*Take a 7B"):
        pickles.copy_model(published(tmp_path / "from", name), tmp_path / "to")


def test_their_widths_are_refused_under_any_name():
    with pytest.raises(UserError, match="8 bits"):
        evo2.refuse_eight_bits("evo2_mine.pt", {"embedding_layer.weight": [512, 8192]})


@pytest.mark.parametrize("form", ["folder", "archive"])
def test_the_data_manager_installs_what_is_published(tmp_path, form, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = published(tmp_path / "from")
    path = folder if form == "folder" else shutil.make_archive(str(tmp_path / "packed"), "tar", folder)
    source = model_sources.find_on_server(path, "arcinstitute/evo2_7b_base", "main")
    source.fetch(tmp_path / "installed")
    loaded = load_checkpoint(tmp_path / "installed")
    pairs = list(random_pairs(5, 2))
    same = json.loads((tmp_path / "installed" / "config.json").read_text()) | {"max_seqlen": 512}
    (tmp_path / "installed" / "config.json").write_text(json.dumps(same))
    assert score_pairs(loaded, pairs) == score_pairs(load_checkpoint(ORACLES / "evo2_base"), pairs)


@pytest.mark.parametrize("model_id", ["togethercomputer/evo-1-8k-base", "togethercomputer/evo-1-131k-base"])
def test_evo_1_is_taken_at_the_revision_that_its_authors_have_mended(model_id):
    model_sources.check_revision(model_id, "1.1_fix")
    model_sources.check_revision("evo-design/evo-1.5-8k-base", "main")
    with pytest.raises(UserError, match=re.escape('Type 1.1_fix into "Revision" (--revision)')):
        model_sources.check_revision(model_id, "main")


def test_many_objects_of_bytes_are_refused_and_not_all_made(tmp_path):
    """A few bytes of a pickle can make a large object again and again."""
    folder = published(tmp_path / "from")
    block = b"x" * 2**20
    torch.save(
        {"embedding_layer.weight": torch.ones(2, 2), "x": [_Bytes(block) for _ in range(3000)]},
        folder / "evo2_7b_base.pt",
    )
    with pytest.raises(UserError, match="evo2_7b_base.pt is not converted: it needs more memory than weights"):
        pickles.copy_model(folder, tmp_path / "to")


class _Bytes:
    """Pickled as `io.BytesIO` with a content that all of them share in the file."""

    def __init__(self, content):
        self.content = content

    def __reduce__(self):
        return io.BytesIO, (), (self.content, 0, None)


def test_a_layer_of_no_kind_is_named(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(ORACLES / "evo2_base", folder)
    weights = load_file(folder / "model.safetensors")
    save_file(
        {name: t for name, t in weights.items() if not name.startswith("blocks.1.filter.h")},
        folder / "model.safetensors",
    )
    with pytest.raises(UserError, match="do not say of which kind layer 1 is"):
        load_unchecked(folder, "float32")


def test_an_unconverted_config_says_how_to_install_it(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(ORACLES / "evo2_base", folder)
    (folder / "config.json").write_text(json.dumps({"_name_or_path": "evo2_7b.pt", "architecture": ["StripedHyena2"]}))
    with pytest.raises(UserError, match="install the model with the data manager, or with convert_weights.py"):
        load_unchecked(folder, "float32")
