"""Models that give something for each base at the end only: Nucleotide Transformer v3 and PhyloGPN."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from conftest import ROOT
from dna_lm.engine import encoder, likelihood
from dna_lm.engine.batches import Budget
from dna_lm.engine.encoder import Embedding
from dna_lm.engine.loading import load_checkpoint
from dna_lm.errors import UserError
from dna_lm.inputs.fasta import Record
from dna_lm.model import pickles
from dna_lm.model.checkpoint import load_unchecked
from scored import assert_same_bits, embed, random_pairs, score_pairs

ORACLES = ROOT / "tests" / "oracles"
NTV3, PHYLOGPN = ORACLES / "ntv3", ORACLES / "phylogpn"
SEQUENCE = "ACGTTGCATTAGCCGATACCAGTTTGACTA"


def edit(source, folder, change=None, **settings):
    shutil.copytree(source, folder)
    config = json.loads((folder / "config.json").read_text()) | settings
    (folder / "config.json").write_text(json.dumps(config))
    if change:
        save_file(change(load_file(folder / "model.safetensors")), folder / "model.safetensors", {"format": "pt"})
    return folder


@torch.inference_mode()
def logits_of(folder, ids):
    model = load_unchecked(folder, "float32")[1]
    return model(torch.tensor([ids], device=model.device)).logits[0].double().cpu().numpy()


def log_softmax(logits):
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


@pytest.mark.parametrize("source", [NTV3, PHYLOGPN], ids=lambda path: path.name)
def test_a_score_belongs_to_its_pair(source, one_thread):
    assert_same_bits(load_checkpoint(source), list(random_pairs(14, 3, (1, 60))))


@pytest.mark.parametrize("source", [NTV3, PHYLOGPN], ids=lambda path: path.name)
def test_only_the_last_layer_can_be_read(source):
    loaded = load_checkpoint(source)
    assert loaded.blocks == () and not loaded.has_mask and loaded.mirror is None
    Embedding("hidden", -1).check(loaded)
    with pytest.raises(UserError, match=r"only the last layer \(-1\) of this model can be read"):
        Embedding("hidden", 1).check(loaded)


@pytest.mark.parametrize("source", [NTV3, PHYLOGPN], ids=lambda path: path.name)
def test_a_copy_has_all_that_is_read(tmp_path, source):
    pickles.copy_model(source, tmp_path / "copied")
    pairs = list(random_pairs(4, 1, (1, 60)))
    expected = score_pairs(load_checkpoint(source), pairs, ("l2", "llr"), strand="mean")
    assert score_pairs(load_checkpoint(tmp_path / "copied"), pairs, ("l2", "llr"), strand="mean") == expected
    assert any(row.status == "ok" for row in expected)


# --- Nucleotide Transformer v3 ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_bases", [1, 7, 8, 9, 29])
def test_a_sequence_is_filled_up_with_n_on_the_right(n_bases):
    """Three halvings: to a multiple of 8. Nothing is given for what is filled in."""
    loaded = load_checkpoint(NTV3)
    [ids] = loaded.tokenise([SEQUENCE[:n_bases]])
    filled = SEQUENCE[:n_bases] + "N" * (-n_bases % 8)
    [ids_of_filled] = loaded.tokenise([filled])
    assert len(ids) == n_bases and len(ids_of_filled) % 8 == 0
    found = logits_of(NTV3, ids)
    assert len(found) == n_bases
    np.testing.assert_allclose(found, logits_of(NTV3, ids_of_filled)[:n_bases], rtol=1e-5, atol=1e-6)
    record = embed(loaded, [Record("a", SEQUENCE[:n_bases], "ok")], Embedding("logits", pooling="max"))[0]
    np.testing.assert_allclose(record.embedding, found.max(0), rtol=1e-5)


def test_the_ratio_of_a_substitution_is_that_of_the_masked_base():
    mutant = f"{SEQUENCE[:9]}G{SEQUENCE[10:]}"
    loaded = load_checkpoint(NTV3)
    [row] = score_pairs(loaded, [(Record("1", SEQUENCE, "ok"), Record("1", mutant, "ok"))], ("llr",))
    [ids] = loaded.tokenise([SEQUENCE])
    ids[9] = 2
    logits = logits_of(NTV3, ids)[9]
    assert row.scores["llr"] == pytest.approx(logits[9] - logits[7], abs=1e-5)


def test_frequencies_that_a_run_left_in_the_file_and_other_places_of_the_code_do_no_harm(tmp_path):
    def used(weights):
        layer = "core.transformer_blocks.0.sa_layer.rotary_embedding"
        return weights | {f"{layer}.cos_cached": torch.ones(4, 4), f"{layer}.sin_cached": torch.ones(4, 4)}

    auto_map = json.loads((NTV3 / "config.json").read_text())["auto_map"]
    auto_map = {name: f"InstaDeepAI/ntv3_base_model--{reference}" for name, reference in auto_map.items()}
    folder = edit(NTV3, tmp_path / "model", used, auto_map=auto_map)
    ids = load_checkpoint(folder).tokenise([SEQUENCE])[0]
    np.testing.assert_array_equal(logits_of(folder, ids), logits_of(NTV3, ids))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alphabet_size": 35}, "alphabet_size is '35': of Nucleotide Transformer v3, only models with '11'"),
        ({"num_hidden_layers_head": 1}, "num_hidden_layers_head is '1'"),
        ({"use_skip_connection": False}, "use_skip_connection is 'False'"),
        ({"deconv_upsample_type": "conv_transpose"}, "deconv_upsample_type is 'conv_transpose'"),
        ({"num_downsamples": 0}, "num_downsamples is '0'"),
        ({"num_downsamples": 2}, "another shape|another one"),
        ({"num_downsamples": 10**9}, "larger model|lacks weights|another shape"),
        ({"num_layers": 1}, "more layers|another one"),
        ({"num_layers": 3}, "lacks weights"),
        ({"num_layers": 10**9}, "larger model"),
        ({"embed_dim": 24}, "another shape"),
        ({"embed_dim": 10**9}, "cannot build the model that config.json describes"),
        ({"key_size": 7}, "another shape"),
        ({"ffn_embed_dim": 16}, "another shape"),
        # Post-trained: a species changes every normalisation.
        ({"auto_map": {"AutoModel": "modeling_ntv3_posttrained.NTv3PostTrained"}}, "names its own code"),
    ],
)
def test_another_u_net_is_refused_in_one_line(tmp_path, settings, message):
    with pytest.raises(UserError, match=message) as caught:
        load_checkpoint(edit(NTV3, tmp_path / "model", **settings))
    assert "\n" not in str(caught.value)


def test_a_list_of_tokens_that_is_none_is_refused(tmp_path):
    for number, vocabulary in enumerate(
        ({"A": 0, "C": 2, "<unk>": 1, "G": 7}, {"<unk>": [], "A": 1}, {"A": 0, "T": 1})
    ):
        folder = edit(NTV3, tmp_path / f"model{number}")
        (folder / "vocab.json").write_text(json.dumps(vocabulary))
        with pytest.raises(UserError, match=r"does not number its tokens|token '<\w+>' is not in the tokenizer's"):
            load_checkpoint(folder)
    (folder / "vocab.json").unlink()
    with pytest.raises(UserError, match=r"cannot read vocab.json"):
        load_checkpoint(folder)


# --- PhyloGPN --------------------------------------------------------------------------------------------------------


def test_the_ratio_of_a_substitution_is_read_from_the_unmasked_wild_type():
    mutant = f"{SEQUENCE[:9]}G{SEQUENCE[10:]}"
    loaded = load_checkpoint(PHYLOGPN)
    assert loaded.mask_token_id is None and loaded.vocabulary_size == 4
    pair = (Record("1", SEQUENCE, "ok"), Record("1", mutant, "ok"))
    logits = logits_of(PHYLOGPN, loaded.tokenise([SEQUENCE])[0])
    other = logits_of(PHYLOGPN, loaded.tokenise([SEQUENCE], reverse=True)[0])
    # From T to G, and on the other strand from A to C, at the 21st base of 30.
    expected = {"forward": logits[9, 2] - logits[9, 3], "reverse": other[20, 1] - other[20, 0]}
    expected["mean"] = (expected["forward"] + expected["reverse"]) / 2
    assert abs(expected["forward"] - expected["reverse"]) > 1e-3
    for strand, ratio in expected.items():
        [row] = score_pairs(loaded, [pair], ("llr",), strand=strand)
        assert row.scores["llr"] == pytest.approx(ratio, abs=1e-5)


def test_a_log_likelihood_is_a_sum_over_bases_of_one_pass():
    loaded = load_checkpoint(PHYLOGPN)
    sequences = [SEQUENCE, f"{SEQUENCE[:12]}AC{SEQUENCE[12:]}"]
    token_lists = loaded.tokenise(sequences)
    expected = [log_softmax(logits_of(PHYLOGPN, ids))[range(len(ids)), ids].sum() for ids in token_lists]
    found = likelihood.log_likelihoods(loaded, token_lists, Budget(1000))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    pair = tuple(Record("1", sequence, "ok") for sequence in sequences)
    [row] = score_pairs(loaded, [pair], ("llr",))
    assert row.scores["llr"] == pytest.approx(expected[1] - expected[0], abs=1e-4)
    embedded, _ = encoder.encode(loaded, token_lists, Embedding("logits", pooling="max"), False, Budget(1000))
    assert embedded.shape == (2, 4)


def test_weights_that_are_stored_without_the_names_of_what_makes_them_symmetric_are_read(tmp_path):
    def plain(weights):
        return {name.replace("parametrizations.", "").removesuffix(".original"): weights[name] for name in weights}

    ids = load_checkpoint(PHYLOGPN).tokenise([SEQUENCE])[0]
    folder = edit(PHYLOGPN, tmp_path / "model", plain)
    np.testing.assert_array_equal(logits_of(folder, ids), logits_of(PHYLOGPN, ids))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kernel_size": 4}, "over an even number of tokens"),
        ({"kernel_size": 3}, "another shape"),
        ({"num_stacks": 1}, "more layers|another one"),
        ({"num_stacks": 3}, "lacks weights"),
        ({"num_stacks": 10**9}, "larger model"),
        ({"outer_dim": 8}, "another shape"),
        ({"inner_dim": 10**9}, "cannot build the model that config.json describes"),
        ({"auto_map": {"AutoModel": "phylogpn.OtherModel"}}, "names its own code"),
    ],
)
def test_another_phylogpn_is_refused_in_one_line(tmp_path, settings, message):
    with pytest.raises(UserError, match=message) as caught:
        load_checkpoint(edit(PHYLOGPN, tmp_path / "model", **settings))
    assert "\n" not in str(caught.value)
