"""Checkpoints in the form in which they are published, where a tidier one would hide a fault."""

import json
import shutil

import pytest
from safetensors.torch import load_file, save_file

from conftest import TEST_DATA
from dna_lm.engine.encoder import Embedding
from dna_lm.engine.loading import load_checkpoint
from dna_lm.errors import UserError
from dna_lm.model import files, pickles
from dna_lm.model.tokens import tokenizer
from scored import random_pairs, score_pairs

ESM = TEST_DATA / "models" / "tiny-esm"


def with_rows(folder, n_rows):
    """Tiny ESM whose weights have `n_rows` of the 4,107 tokens that its tokenizer lists."""
    shutil.copytree(ESM, folder)
    weights = load_file(folder / "model.safetensors")
    for name, tensor in weights.items():
        if len(tensor) == 4107:
            weights[name] = tensor[:n_rows].clone()
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": n_rows}))
    return folder


@pytest.mark.parametrize("n_rows", [4105, 4106], ids=["two rows fewer", "one row fewer"])
def test_tokens_without_a_row_that_no_sequence_has_do_no_harm(tmp_path, n_rows):
    """The last two are `<eos>` and `<bos>`, which the tokenizer never puts anywhere. States are those of all rows."""
    pairs = list(random_pairs(12, 1))
    cut, whole = (load_checkpoint(folder) for folder in (with_rows(tmp_path / "cut", n_rows), ESM))
    rows = [score_pairs(model, pairs, ("l2", "llr"), strand="mean") for model in (cut, whole)]
    assert [row.status for row in rows[0]] == [row.status for row in rows[1]]
    assert cut.vocabulary_size == n_rows
    assert sum(row.status == "ok" for row in rows[0]) > 8
    mean = Embedding("hidden", pooling="mean")
    hidden = [score_pairs(model, pairs, embedding=mean) for model in (cut, whole)]
    for a, b in zip(*hidden, strict=True):
        assert a.scores["l2"] == pytest.approx(b.scores["l2"], rel=1e-5)


def test_a_token_of_dna_without_a_row_is_refused(tmp_path):
    with pytest.raises(UserError, match="token number 4104, but the model knows only 4104 tokens"):
        load_checkpoint(with_rows(tmp_path / "cut", 4104))


def test_an_empty_auto_map_names_no_code(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(ESM, folder)
    for name in ("config.json", "tokenizer_config.json"):
        settings = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(settings | {"auto_map": None}))
    pairs = list(random_pairs(3, 1))
    assert score_pairs(load_checkpoint(folder), pairs) == score_pairs(load_checkpoint(ESM), pairs)


def shards(folder, names):
    """Tiny ESM with its weights divided among files of these names, without an index."""
    shutil.copytree(ESM, folder)
    weights = list(load_file(folder / "model.safetensors").items())
    (folder / "model.safetensors").unlink()
    for number, name in enumerate(names):
        save_file(dict(weights[number :: len(names)]), folder / name, {"format": "pt"})
    return folder


@pytest.mark.parametrize(
    "names",
    [
        ["pytorch_model.safetensors"],
        ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"],
        [f"pytorch_model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)],
    ],
)
def test_weights_are_found_under_other_names_and_without_an_index(tmp_path, names):
    folder = shards(tmp_path / "from", names)
    pickles.copy_model(folder, tmp_path / "to")
    pairs = list(random_pairs(3, 1))
    assert score_pairs(load_checkpoint(tmp_path / "to"), pairs) == score_pairs(load_checkpoint(ESM), pairs)
    if len(names) > 1:
        (folder / names[1]).unlink()
        with pytest.raises(UserError, match=f"the weights come in {len(names)} files, of which number 2 is missing"):
            load_checkpoint(folder)


def test_code_of_a_tokenizer_is_allowed_where_the_suite_has_its_rules():
    assert tokenizer.OWN_CLASSES.keys() == files.OWN_TOKENIZERS
