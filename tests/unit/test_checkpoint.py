"""Model folders: where they are found, and that none that is unsafe or incomplete is loaded."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from conftest import TEST_DATA
from dna_lm import checkpoint
from dna_lm.errors import UserError

DEMO, HEADLESS, ESM = (TEST_DATA / "models" / name for name in ("demo-mixtral", "headless-mixtral", "tiny-esm"))


@pytest.fixture
def folder(random_mixtral, tmp_path):
    """A copy of a sound model, for the tests to damage."""
    return Path(shutil.copytree(random_mixtral, tmp_path / "model"))


def edit_json(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_weights(folder, change):
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def test_what_the_fixtures_can_do():
    demo, headless, esm = (checkpoint.load(path) for path in (DEMO, HEADLESS, ESM))
    assert demo.is_causal and demo.head is not None
    assert headless.is_causal and headless.head is None and headless.missing_head == ("lm_head.weight",)
    assert not esm.is_causal and esm.head is not None
    with pytest.raises(UserError, match="needs the model's language-model head.*lacks lm_head.weight"):
        headless.require_head("the score 'llr'")


def test_half_precision_weights_compute_in_float32_unless_asked():
    assert {parameter.dtype for parameter in checkpoint.load(DEMO).trunk.parameters()} == {torch.float32}
    assert {p.dtype for p in checkpoint.load(DEMO, "bfloat16").trunk.parameters()} == {torch.bfloat16}


def test_threads_and_network_settings_do_not_leak_a_download(monkeypatch, folder):
    """Loading asks no host: a socket that is opened fails the test."""
    import socket

    def refuse(*_arguments, **_options):
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    checkpoint.load(folder)


def test_files_of_a_history_are_enough(folder):
    (folder / "tokenizer_config.json").unlink()
    (folder / "generation_config.json").unlink()
    assert checkpoint.load(folder).pad_token_id == 3


@pytest.mark.parametrize("name", ["tokenizer.json", "config.json", "model.safetensors"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(UserError, match=name):
        checkpoint.load(checkpoint.find_folder(folder))


@pytest.mark.parametrize("name", ["tokenizer.json", "config.json", "model.safetensors"])
@pytest.mark.parametrize("content", [b"", b"not what it should be", b'{"model": 1}', b"\xff" * 64])
def test_a_damaged_file_is_one_line(folder, name, content):
    (folder / name).write_bytes(content)
    with pytest.raises(UserError) as caught:
        checkpoint.load(folder)
    assert "\n" not in str(caught.value)


def test_pickles_are_never_read(folder):
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    with pytest.raises(UserError, match="pytorch_model.bin.*pickles can run code"):
        checkpoint.load(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_code_of_the_checkpoint_is_refused(folder, name):
    edit_json(folder / name, auto_map={"AutoModel": "modeling.Evil", "AutoTokenizer": ["tokenization.Evil", None]})
    (folder / "modeling.py").write_text("raise SystemExit('the code was run')")
    with pytest.raises(UserError, match=f"{name} names code of its own"):
        checkpoint.load(folder)


def test_an_unknown_architecture_is_named(folder):
    edit_json(folder / "config.json", model_type="nonesuch")
    with pytest.raises(UserError, match="'nonesuch'"):
        checkpoint.load(folder)


def test_missing_weights_are_never_made_up(folder):
    edit_weights(folder, lambda weights: weights.pop("model.norm.weight"))
    with pytest.raises(UserError, match="lacks weights.*model.norm.weight"):
        checkpoint.load(folder)


def test_weights_of_another_shape_are_refused(folder):
    edit_weights(folder, lambda weights: weights.update({"model.norm.weight": torch.ones(7)}))
    with pytest.raises(UserError, match="shape|size|cannot be loaded"):
        checkpoint.load(folder)


def test_weights_that_are_not_finite_are_refused(folder):
    edit_weights(folder, lambda weights: weights["model.norm.weight"].fill_(torch.nan))
    with pytest.raises(UserError, match="NaN or infinite values in float32: .model.norm.weight"):
        checkpoint.load(folder)


def test_an_index_cannot_lead_out_of_the_folder(folder):
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../../secret.safetensors"}}))
    with pytest.raises(UserError, match="outside the model's folder"):
        checkpoint.load(folder)


def test_a_tokenizer_of_another_model_is_refused(folder):
    edit_json(folder / "config.json", vocab_size=100)
    with pytest.raises(UserError, match="do not belong together|shape|cannot be loaded"):
        checkpoint.load(folder)


def test_a_tokenizer_that_knows_no_dna_is_refused(folder):
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    specials = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    tokenizer["model"] |= {"vocab": specials | {"x": 5}, "merges": []}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(UserError, match="unknown token: this is not a DNA model"):
        checkpoint.load(folder)


def as_cache(folder, root, name="models--owner--name", **revisions):
    """Lay a model out as the hub's cache does: snapshots by commit, references by name."""
    commits = set(revisions.values()) or {"a" * 40}
    for commit in commits:
        shutil.copytree(folder, root / name / "snapshots" / commit)
    (root / name / "refs").mkdir()
    for reference, commit in revisions.items():
        (root / name / "refs" / reference).write_text(commit)
    return root / name


def test_a_flat_folder_and_each_level_of_a_cache_are_found(folder, tmp_path):
    root = tmp_path / "home" / "hub"
    model = as_cache(folder, root, main="a" * 40, old="b" * 40)
    as_cache(folder, root, "models--owner--other")
    find = checkpoint.find_folder
    assert find(folder) == folder
    assert find(model).name == "a" * 40
    assert find(model, revision="old").name == "b" * 40
    assert find(model, revision="b" * 40).name == "b" * 40
    assert find(model, revision="1").name == "a" * 40
    assert find(root, "owner/name").name == find(tmp_path / "home", "owner/name").name == "a" * 40
    assert find(root, "owner/name_old", "old").name == "b" * 40
    assert find(root, "owner/other").parent.parent.name == "models--owner--other"


@pytest.mark.parametrize(
    ("model_id", "revision", "message"),
    [
        ("owner/none", None, "no model 'owner/none'"),
        (None, None, "no model '.unnamed.'"),
        ("owner/name", "c" * 40, f"no revision '{'c' * 40}'"),
    ],
)
def test_a_model_that_is_not_in_the_cache_is_named(folder, tmp_path, model_id, revision, message):
    root = tmp_path / "hub"
    as_cache(folder, root, main="a" * 40)
    as_cache(folder, root, "models--owner--other")
    with pytest.raises(UserError, match=message):
        checkpoint.find_folder(root, model_id, revision)


def test_a_folder_that_is_no_model_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(UserError, match="no config.json|no such folder"):
            checkpoint.find_folder(path)


def test_a_tokenizer_that_cuts_or_pads_is_told_not_to(folder):
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["truncation"] = {"max_length": 5, "stride": 0, "strategy": "LongestFirst", "direction": "Right"}
    tokenizer["padding"] = {
        "strategy": {"Fixed": 64},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 3,
        "pad_type_id": 0,
        "pad_token": "[PAD]",
    }
    before = checkpoint.load(folder).tokenise(["ACGTTGCA" * 9, "AC"])
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert checkpoint.load(folder).tokenise(["ACGTTGCA" * 9, "AC"]) == before


def test_layers_of_the_weights_are_not_left_out(folder):
    edit_json(folder / "config.json", num_hidden_layers=1)
    with pytest.raises(UserError, match="more layers than config.json says"):
        checkpoint.load(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"architectures": 7},
        {"model_type": ["mixtral"]},
        {"hidden_size": "wide"},
        {"hidden_act": "nope"},
        {"num_experts_per_tok": 99},
        {"quantization_config": {"quant_method": "gptq", "bits": 4}},
        {"num_hidden_layers": -1},
    ],
)
def test_a_config_that_breaks_the_libraries_is_one_line(folder, changes):
    edit_json(folder / "config.json", **changes)
    with pytest.raises(UserError, match="^model: ") as caught:
        checkpoint.load(folder)
    assert "\n" not in str(caught.value)


def test_a_gpu_that_is_not_there_is_said(folder, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("DNA_LM_DEVICE", "cuda")
    with pytest.raises(UserError, match="there is no GPU"):
        checkpoint.load(folder)
