"""Model folders: where they are found, and that none that is unsafe or incomplete is loaded."""

import json
import math
import os
import resource
import shutil
import tracemalloc
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import AutoModel

from conftest import TEST_DATA
from dna_lm.engine import products, self_check
from dna_lm.engine.loading import load_checkpoint
from dna_lm.errors import UserError
from dna_lm.model import checkpoint, files, internals, lengths
from dna_lm.model.folder import find_folder

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
    demo, headless, esm = (load_checkpoint(path) for path in (DEMO, HEADLESS, ESM))
    assert demo.is_causal and demo.head is not None
    assert headless.is_causal and headless.head is None and headless.missing_head == ("lm_head.weight",)
    assert not esm.is_causal and esm.head is not None
    with pytest.raises(UserError, match="needs the model's language-model head.*lacks lm_head.weight"):
        headless.require_head("the score 'llr'")


def test_half_precision_weights_compute_in_float32_unless_asked():
    assert {parameter.dtype for parameter in load_checkpoint(DEMO).trunk.parameters()} == {torch.float32}
    assert {p.dtype for p in load_checkpoint(DEMO, "bfloat16").trunk.parameters()} == {torch.bfloat16}


def test_loading_asks_no_host(monkeypatch, folder):
    """No socket is connected and no name is looked up, whether or not a failure to do so would be noticed."""
    import socket

    asked = []

    def refuse(*arguments, **_options):
        asked.append(arguments)
        raise OSError("there is no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    load_checkpoint(folder)
    assert not asked


def test_files_of_a_history_are_enough(folder):
    (folder / "tokenizer_config.json").unlink()
    (folder / "generation_config.json").unlink()
    assert load_checkpoint(folder).pad_token_id == 3


@pytest.mark.parametrize("name", ["tokenizer.json", "config.json", "model.safetensors"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(UserError, match=name):
        load_checkpoint(find_folder(folder))


@pytest.mark.parametrize("name", ["tokenizer.json", "config.json", "model.safetensors"])
@pytest.mark.parametrize("content", [b"", b"not what it should be", b'{"model": 1}', b"\xff" * 64])
def test_a_damaged_file_is_one_line_that_names_it(folder, name, content):
    (folder / name).write_bytes(content)
    with pytest.raises(UserError, match=name) as caught:
        load_checkpoint(folder)
    assert "\n" not in str(caught.value)


def test_pickles_are_never_read(folder):
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    with pytest.raises(UserError, match="pytorch_model.bin.*pickles can run code.*convert_weights.py"):
        load_checkpoint(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_code_of_the_checkpoint_is_refused(folder, name):
    edit_json(folder / name, auto_map={"AutoModel": "modeling.Evil", "AutoTokenizer": ["tokenization.Evil", None]})
    (folder / "modeling.py").write_text("raise SystemExit('the code was run')")
    with pytest.raises(UserError, match=f"{name} names its own code"):
        load_checkpoint(folder)


def test_an_unknown_architecture_is_named(folder):
    edit_json(folder / "config.json", model_type="nonesuch")
    with pytest.raises(UserError, match="'nonesuch'"):
        load_checkpoint(folder)


def test_missing_weights_are_never_made_up(folder):
    edit_weights(folder, lambda weights: weights.pop("model.norm.weight"))
    with pytest.raises(UserError, match="lacks weights.*model.norm.weight"):
        load_checkpoint(folder)


def test_weights_of_another_shape_are_refused(folder):
    edit_weights(folder, lambda weights: weights.update({"model.norm.weight": torch.ones(7)}))
    with pytest.raises(UserError, match="weights of another shape than config.json says: 'model.norm.weight'"):
        load_checkpoint(folder)


def test_weights_that_are_not_finite_are_refused(folder):
    edit_weights(folder, lambda weights: weights["model.norm.weight"].fill_(torch.nan))
    with pytest.raises(UserError, match="NaN or infinite values in float32: .model.norm.weight"):
        load_checkpoint(folder)


def test_an_index_cannot_lead_out_of_the_folder(folder):
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../../secret.safetensors"}}))
    with pytest.raises(UserError, match="outside the model's folder"):
        load_checkpoint(folder)


def test_a_tokenizer_of_another_model_is_refused(folder):
    def keep_100_tokens(weights):
        for name in ("model.embed_tokens.weight", "lm_head.weight"):
            weights[name] = weights[name][:100].clone()

    edit_json(folder / "config.json", vocab_size=100)
    edit_weights(folder, keep_100_tokens)
    with pytest.raises(UserError, match="its tokenizer has token number 299, but the model knows only 100 tokens"):
        load_checkpoint(folder)


def test_a_tokenizer_that_knows_no_dna_is_refused(folder):
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    specials = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    tokenizer["model"] |= {"vocab": specials | {"x": 5}, "merges": []}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(UserError, match="unknown token: this is not a DNA model"):
        load_checkpoint(folder)


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
    find = find_folder
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
        find_folder(root, model_id, revision)


def test_a_folder_that_is_no_model_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(UserError, match="no config.json|no such folder"):
            find_folder(path)


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
    before = load_checkpoint(folder).tokenise(["ACGTTGCA" * 9, "AC"])
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert load_checkpoint(folder).tokenise(["ACGTTGCA" * 9, "AC"]) == before


def test_layers_of_the_weights_are_not_left_out(folder):
    edit_json(folder / "config.json", num_hidden_layers=1)
    with pytest.raises(UserError, match="more layers than config.json says"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architectures": 7}, "in config.json, architectures is not a list but '7'"),
        ({"model_type": ["mixtral"]}, "config.json names no architecture .model_type is .*mixtral"),
        ({"hidden_size": "wide"}, "transformers cannot use config.json: .*'hidden_size'"),
        ({"hidden_act": "nope"}, "transformers cannot build the model that config.json describes: KeyError: .*nope"),
        ({"num_experts_per_tok": 99}, "transformers cannot run the model: RuntimeError: .*out of range"),
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, "quantised"),
        ({"num_hidden_layers": -1}, "more layers than config.json says"),
        ({"sliding_window": 2**70}, "transformers cannot run the model: OverflowError"),
    ],
)
def test_a_config_that_breaks_the_libraries_is_one_line(folder, changes, message):
    edit_json(folder / "config.json", **changes)
    with pytest.raises(UserError, match=f"^model: .*{message}") as caught:
        load_checkpoint(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "place",
    [
        (lengths, "max_tokens"),
        pytest.param((products, "use_onednn"), marks=pytest.mark.cpu),
        (self_check, "is_head"),
    ],
)
@pytest.mark.parametrize("error", [TypeError, ValueError, KeyError, RuntimeError])
def test_a_mistake_of_ours_is_not_blamed_on_the_files(folder, monkeypatch, place, error):
    def mistaken(*_arguments):
        raise error("a mistake in the library")

    monkeypatch.setattr(*place, mistaken)
    with pytest.raises(error, match="a mistake in the library"):
        load_checkpoint(folder)


def test_a_tokenizer_without_a_sensible_limit_is_refused(folder):
    for limit in ("many", 0, -5, [512], True, math.nan, math.inf):
        edit_json(folder / "tokenizer_config.json", model_max_length=limit)
        with pytest.raises(UserError, match="model_max_length is .*, not a number of tokens"):
            load_checkpoint(folder)


def test_a_limit_with_a_decimal_point_is_a_number_of_tokens(folder):
    edit_json(folder / "tokenizer_config.json", model_max_length=20.0)
    assert load_checkpoint(folder).max_tokens == 20


def test_what_was_wanted_as_output_elsewhere_is_not_asked_for(folder):
    before = load_checkpoint(folder).tokenise(["ACGT"])
    edit_json(folder / "config.json", return_dict=False, output_hidden_states=True, output_attentions=True)
    assert load_checkpoint(folder).tokenise(["ACGT"]) == before


@pytest.mark.parametrize(
    ("name", "file", "changes", "message"),
    [
        ("tiny-gpt-neox", "config.json", {"is_causal": 10**12}, "transformers cannot run the model"),
        (
            "tiny-llama",
            "config.json",
            {"max_position_embeddings": -(10**12)},
            "it reads at most -1000000000000 tokens",
        ),
        ("tiny-modernbert", "tokenizer_config.json", {"model_max_length": 1.5}, "it reads at most 1 token"),
        ("tiny-llama", "tokenizer.json", {"model": {"type": "WordLevel", "vocab": {"A": 1}, "unk_token": "x"}}, ""),
    ],
)
def test_odd_values_that_are_noticed_late_are_one_line(tmp_path, name, file, changes, message):
    folder = Path(shutil.copytree(TEST_DATA / "models" / name, tmp_path / "model"))
    edit_json(folder / file, **changes)
    with pytest.raises(UserError, match=f"^model: .*{message}") as caught:
        load_checkpoint(folder)
    assert "\n" not in str(caught.value)


ODD_VALUES = [None, -1, 0, 1, 10**6, 2**70, 0.5, "", "x", "gelu", [], ["a"], [1, 2], {}, {"a": 1}, True, False]


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_value_that_makes_no_sense_is_refused_or_read(tmp_path_factory, data):
    """With any value of one setting of model or tokenizer, the model loads or a one-line message says why not."""
    name = data.draw(st.sampled_from(["tiny-llama", "tiny-bert", "tiny-mamba", "tiny-modernbert", "demo-mixtral"]))
    source, folder = TEST_DATA / "models" / name, tmp_path_factory.mktemp("model")
    for file in source.iterdir():
        (folder / file.name).symlink_to(file)
    file = folder / data.draw(st.sampled_from(["config.json", "tokenizer_config.json", "tokenizer.json"]))
    content = json.loads(file.read_text())
    place, key = content, data.draw(st.sampled_from(sorted(content)))
    while isinstance(place[key], dict) and place[key] and data.draw(st.booleans()):
        place = place[key]
        key = data.draw(st.sampled_from(sorted(place)))
    place[key] = data.draw(st.sampled_from(ODD_VALUES))
    file.unlink()
    file.write_text(json.dumps(content))
    try:
        load_checkpoint(folder)
    except UserError as error:
        assert str(error).startswith("model: ") and "\n" not in str(error)


@pytest.mark.parametrize("name", ["cuda", "gpu", "GPU", "cuda:999"])
def test_a_gpu_that_is_not_there_is_said(folder, monkeypatch, name):
    if not name.endswith("999"):
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setenv("DNA_LM_DEVICE", name)
    with pytest.raises(UserError, match=f"DNA_LM_DEVICE is '{name}', but there is no GPU"):
        load_checkpoint(folder)


@pytest.mark.parametrize("name", ["mps", "1", "cuda:", "cuda:x", "cuda:-1", "cpu\nx", "cpu:0", "xpu", "cuda,cpu"])
def test_a_device_of_another_name_is_refused(folder, monkeypatch, name):
    monkeypatch.setenv("DNA_LM_DEVICE", name)
    with pytest.raises(UserError, match="DNA_LM_DEVICE is .*: give cpu, cuda, or cuda:0") as refused:
        load_checkpoint(folder)
    assert "\n" not in str(refused.value)


def test_a_device_may_have_capitals(folder, monkeypatch):
    monkeypatch.setenv("DNA_LM_DEVICE", "CPU ")
    assert load_checkpoint(folder).device == torch.device("cpu")


# Folders that were made to mislead.


def header_of(folder):
    content = (folder / "model.safetensors").read_bytes()
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def write_weights(folder, header, weights):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + weights)


NORM = "model.norm.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data_offsets": [0, 2**50]}, "invalid offset for tensor"),
        ({"shape": [2**40, 2**20]}, "overflow computing buffer size"),
        ({"shape": [33]}, "invalid shape, data type, or offset"),
        ({"shape": [-32]}, "invalid value: integer `-32`"),
        ({"shape": [10**9, "a"]}, "invalid type: string"),
        ({"shape": [True] * 32}, "invalid type: boolean"),
        ({"shape": 32}, "invalid type: integer `32`"),
        ({"dtype": "Q99"}, "unknown variant `Q99`"),
        ({"dtype": ["F32"]}, "invalid type: sequence"),
        ({"data_offsets": [0]}, "invalid length 1"),
        ({"data_offsets": [0, 128]}, "invalid offset for tensor"),
        ({"data_offsets": ["0", "128"]}, "invalid type: string"),
    ],
)
def test_a_header_that_lies_is_refused(folder, change, message):
    header, weights = header_of(folder)
    header[NORM] |= change
    write_weights(folder, header, weights)
    with pytest.raises(UserError, match=f"safetensors file model.safetensors is damaged: .*{message}"):
        load_checkpoint(folder)


def test_weights_and_header_must_cover_each_other(folder):
    header, weights = header_of(folder)
    for more_or_less in (weights + b"\0" * 8, weights[:-8], b""):
        write_weights(folder, header, more_or_less)
        with pytest.raises(UserError, match="is damaged: .*incomplete metadata, file not fully covered"):
            load_checkpoint(folder)
    twice = json.dumps(header)[:-1] + "," + json.dumps({NORM: header[NORM]})[1:]
    write_weights(folder, twice.encode(), weights)
    with pytest.raises(UserError, match="a name appears twice"):
        load_checkpoint(folder)


@pytest.mark.parametrize("text", [b"[" * 100_000, b"[]", b'{"a": NaN', b"\xff" * 9])
def test_a_header_that_is_no_json_is_refused(folder, text):
    write_weights(folder, text, b"")
    with pytest.raises(UserError, match="safetensors file model.safetensors is damaged"):
        load_checkpoint(folder)


@pytest.mark.parametrize("length", [2**63, 2**40, 2**26])
def test_a_huge_header_takes_no_memory(folder, length):
    with open(folder / "model.safetensors", "wb") as file:
        file.write(length.to_bytes(8, "little"))
        if length < 2**30:
            file.truncate(8 + length)
    tracemalloc.start()
    with pytest.raises(UserError, match="its header has|header too large"):
        load_checkpoint(folder)
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


def test_limits_of_files_hold_to_the_byte(tmp_path):
    """A text of 128 MiB and a header of 32 MiB are read; one byte more is not."""
    text, weights = tmp_path / "config.json", tmp_path / "model.safetensors"
    for n_bytes, is_read in ((2**27, True), (2**27 + 1, False)):
        with open(text, "wb") as file:
            file.truncate(n_bytes)
        if is_read:
            assert len(files.read_text(text)) == n_bytes
        else:
            with pytest.raises(UserError, match=f"config.json has {n_bytes} bytes, more than any model needs"):
                files.read_text(text)
    tensor = json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    for n_bytes, is_read in ((2**25, True), (2**25 + 1, False)):
        weights.write_bytes(n_bytes.to_bytes(8, "little") + tensor.ljust(n_bytes) + b"\0" * 8)
        if is_read:
            assert files.read_header(weights)[1] == {"a": [2]}
        else:
            with pytest.raises(UserError, match=f"its header has {n_bytes} bytes, more than any model needs"):
                files.read_header(weights)[1]


@pytest.mark.parametrize("shape", [[0, 2**63], [0, 2**64], [2**32, 2**32]])
def test_shapes_whose_product_overflows_are_refused(tmp_path, shape):
    header = json.dumps({"a": {"dtype": "F32", "shape": shape, "data_offsets": [0, 4]}}).encode()
    file = tmp_path / "model.safetensors"
    file.write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 4)
    with pytest.raises(UserError, match="is damaged: SafetensorError"):
        files.read_header(file)[1]


def test_a_weight_of_too_many_dimensions_is_refused(folder):
    """The format allows any number, torch has no tensor of more than 64."""
    header, weights = header_of(folder)
    header[NORM]["shape"] = [1] * 99 + [32]
    write_weights(folder, header, weights)
    with pytest.raises(UserError, match="cannot load the model|weights of another shape"):
        load_checkpoint(folder)


def test_names_and_nesting_that_the_library_ignores_are_one_line(tmp_path):
    """What is neither shape, type nor position of a tensor may be anything in a header."""
    file = tmp_path / "model.safetensors"
    for ignored in ("[" * 10**5 + "]" * 10**5, "1" * 10**4):
        tensor = '"dtype": "F32", "shape": [1], "data_offsets": [0, 4], "x": ' + ignored
        header = f'{{"a": {{{tensor}}}}}'.encode()
        file.write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 4)
        with pytest.raises(UserError, match="model.safetensors is damaged") as caught:
            files.read_header(file)[1]
        assert "\n" not in str(caught.value)


def test_a_model_twice_as_large_as_its_weights_is_refused_to_the_number(folder, monkeypatch):
    """Twice the numbers of the weights are allowed, and some for tables that a model makes for itself."""
    n_trunk = sum(p.numel() for p in AutoModel.from_pretrained(folder).parameters())
    weights = files.check_weights(folder)
    n_buffers = sum(b.numel() for b in AutoModel.from_pretrained(folder).buffers())
    room = n_trunk + n_buffers - 2 * weights.n_numbers
    monkeypatch.setattr(checkpoint, "_SPARE_NUMBERS", room)
    load_checkpoint(folder)
    monkeypatch.setattr(checkpoint, "_SPARE_NUMBERS", room - 1)
    with pytest.raises(UserError, match="describes a larger model than the weights are for"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"hidden_size": 2**22},
        {"vocab_size": 2**34},
        {"num_hidden_layers": 2**30},
        {"intermediate_size": 2**40},
        {"num_local_experts": 2**30},
    ],
)
def test_a_config_that_asks_for_more_than_the_weights_are_for_takes_no_memory(folder, changes):
    edit_json(folder / "config.json", **changes)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match="larger model than the weights are for"):
        load_checkpoint(folder)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**19


def split_into_shards(folder):
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    shards = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    index = {name: shards[number % 2] for number, name in enumerate(sorted(weights))}
    for shard in shards:
        save_file({name: weights[name] for name in index if index[name] == shard}, folder / shard)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    return shards


def test_shards_are_read_also_as_links_into_a_cache(folder, tmp_path):
    expected = load_checkpoint(folder).tokenise(["ACGT"])
    split_into_shards(folder)
    assert load_checkpoint(folder).head is not None
    snapshot = tmp_path / "models--a--b" / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (tmp_path / "models--a--b" / "blobs").mkdir()
    for number, file in enumerate(folder.iterdir()):
        shutil.move(file, tmp_path / "models--a--b" / "blobs" / str(number))
        (snapshot / file.name).symlink_to(f"../../blobs/{number}")
    assert load_checkpoint(find_folder(tmp_path / "models--a--b")).tokenise(["ACGT"]) == expected


def test_a_shard_that_is_a_link_out_of_the_folder_is_refused(folder, tmp_path):
    [shard, _] = split_into_shards(folder)
    shutil.move(folder / shard, tmp_path / "secret.safetensors")
    (folder / shard).symlink_to(tmp_path / "secret.safetensors")
    with pytest.raises(UserError, match="outside the model's folder"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ({}, "has no weight_map"),
        ({"weight_map": ["model.safetensors"]}, "has no weight_map"),
        ({"weight_map": {"a": 7}}, "'7' named in .* is missing"),
        ({"weight_map": {"a": "/etc/passwd"}}, "outside the model's folder"),
        ({"weight_map": {"a": ".."}}, "outside the model's folder"),
        ({"weight_map": {"a": "none.safetensors"}}, "'none.safetensors' named in .* is missing"),
    ],
)
def test_an_index_that_makes_no_sense_is_refused(folder, index, message):
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match=message):
        load_checkpoint(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_pipes_are_not_waited_for(folder, name):
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(UserError, match="not a regular file|no model.safetensors|has no"):
        load_checkpoint(folder)


def test_one_weight_of_many_that_is_not_finite_is_found(folder):
    """In a token that no short sequence has."""

    def spoil(weights):
        weights["model.embed_tokens.weight"][-1, -1] = torch.inf

    edit_weights(folder, spoil)
    with pytest.raises(UserError, match="NaN or infinite values in float32: 'model.embed_tokens.weight'"):
        load_checkpoint(folder)


def test_weights_too_large_for_a_precision_are_named_with_it(folder):
    edit_weights(folder, lambda weights: weights[NORM].fill_(1e6))
    with pytest.raises(UserError, match="infinite values in float16"):
        load_checkpoint(folder, "float16")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"transformers_weights": "../../other.safetensors"}, "its own weights file"),
        ({"compression_config": {"format": "int4"}}, "quantised"),
        ({"is_encoder_decoder": True}, "an encoder with a decoder"),
        ({"model_type": "vit"}, "not a causal or masked language model"),
        ({"pad_token_id": 10**6}, "transformers cannot build the model that config.json describes: .*Padding_idx"),
        ({"num_attention_heads": 2**30}, "cannot build the model that config.json describes: ZeroDivisionError"),
        ({"is_causal": False}, "depends on the tokens after it"),
    ],
)
def test_settings_that_are_not_for_these_tools_are_named(folder, changes, message):
    edit_json(folder / "config.json", **changes)
    (folder / "tokenizer_config.json").unlink()
    with pytest.raises(UserError, match=message) as caught:
        load_checkpoint(folder)
    assert "\n" not in str(caught.value)


def test_what_the_saving_machine_computed_with_is_not_asked_for(folder):
    edit_json(folder / "config.json", _attn_implementation="flash_attention_2", attn_implementation="owner/kernel")
    assert load_checkpoint(folder).head is not None


@pytest.mark.parametrize("is_merged", [False, True])
def test_an_adapter_is_no_model(folder, is_merged):
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "owner/base"}))
    if not is_merged:
        (folder / "config.json").unlink()
        (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    with pytest.raises(UserError, match="an adapter .* to the model 'owner/base': merge"):
        load_checkpoint(find_folder(folder))


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"])
def test_a_git_lfs_pointer_is_called_that(folder, name):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 134217728\n"
    (folder / name).write_text(pointer)
    with pytest.raises(UserError, match=rf"{name} is not the file but a Git LFS pointer.*git lfs pull") as refused:
        load_checkpoint(folder)
    assert "\n" not in str(refused.value)


def first_matrix(weights):
    return next(name for name in sorted(weights) if weights[name].ndim == 2)


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int32, torch.bool, torch.float8_e4m3fn])
def test_weights_that_are_not_floating_point_numbers_are_refused(folder, dtype):
    def quantise(weights):
        weights[first_matrix(weights)] = weights[first_matrix(weights)].to(dtype)

    edit_weights(folder, quantise)
    with pytest.raises(UserError, match="the tensor '.*weight' has the type '.*': quantised weights are not read"):
        load_checkpoint(folder)


@pytest.mark.parametrize("name", ["qweight", "qzeros", "g_idx", "weight_packed", "weight.quant_map", "SCB"])
def test_tensors_of_quantisers_are_recognised_without_a_word_in_the_config(folder, name):
    """As GPTQ, compressed-tensors and bitsandbytes name them: the weight itself is missing or packed."""

    def pack(weights):
        matrix = first_matrix(weights)
        weights[f"{matrix.removesuffix('weight')}{name}"] = weights.pop(matrix).to(torch.int32)

    edit_weights(folder, pack)
    with pytest.raises(UserError, match=f"the tensor '.*{name}' has the type 'I32': quantised"):
        load_checkpoint(folder)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_floating_point_numbers_are_read(folder, dtype):
    edit_weights(folder, lambda weights: weights.update({name: value.to(dtype) for name, value in weights.items()}))
    assert load_checkpoint(folder).head is not None


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("model.embeddings.position_ids", torch.arange(8)[None]),
        ("model.layers.0.attn.bias", torch.ones(1, 1, 8, 8, dtype=torch.uint8)),
        ("model.layers.0.attention.bias", torch.ones(1, 1, 8, 8, dtype=torch.bool)),
    ],
)
def test_tables_of_integers_that_architectures_have_are_no_weights(folder, name, tensor):
    edit_weights(folder, lambda weights: weights.update({name: tensor}))
    assert load_checkpoint(folder).head is not None


@pytest.mark.parametrize("name", ["tiny-bert", "tiny-esm"])
def test_a_masked_class_with_causal_attention_is_refused(tmp_path, name):
    folder = Path(shutil.copytree(TEST_DATA / "models" / name, tmp_path / "model"))
    edit_json(folder / "config.json", is_decoder=True)
    with pytest.raises(UserError, match="is_decoder makes its attention causal"):
        load_checkpoint(folder)
    edit_json(folder / "config.json", is_decoder=False)
    assert not load_checkpoint(folder).is_causal


def test_a_bert_that_was_saved_as_a_decoder_is_causal(tmp_path):
    folder = Path(shutil.copytree(TEST_DATA / "models" / "tiny-bert", tmp_path / "model"))
    edit_json(folder / "config.json", is_decoder=True, architectures=["BertLMHeadModel"])
    assert load_checkpoint(folder).is_causal


@pytest.mark.parametrize("number", [10**9, 10**7, -5, "many"])
def test_labels_of_another_task_do_not_matter(folder, number):
    edit_json(folder / "config.json", num_labels=number)
    assert load_checkpoint(folder).head is not None


@pytest.mark.parametrize("name", ["num_hidden_layers", "n_layer", "num_layers", "encoder_layers"])
def test_layers_are_counted_before_anything_is_listed_for_each(folder, name):
    """A Gemma 3 has a list with an entry for each layer in its configuration."""
    edit_json(folder / "config.json", model_type="gemma3_text", architectures=[], **{name: 10**9})
    with pytest.raises(UserError, match="describes a larger model than the weights are for"):
        load_checkpoint(folder)


def test_a_configuration_that_takes_much_memory_is_one_line():
    before = resource.getrlimit(resource.RLIMIT_AS)
    with pytest.raises(UserError, match="a number in config.json is too large"), files.building():
        # Never touched, so that only addresses are taken.
        bytearray(2 * files._BUILDING_BYTES)
    assert resource.getrlimit(resource.RLIMIT_AS) == before
    with files.building():
        bytearray(files._BUILDING_BYTES // 2)
    assert resource.getrlimit(resource.RLIMIT_AS) == before


def edit_tokenizer(folder, change):
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    change(tokenizer)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))


def test_tokens_left_out_at_random_are_not(folder):
    before = load_checkpoint(folder).tokenise(["ACGTTGCAAC" * 9])
    edit_tokenizer(folder, lambda tokenizer: tokenizer["model"].update(dropout=0.9))
    assert load_checkpoint(folder).tokenise(["ACGTTGCAAC" * 9]) == before


def test_a_template_with_tokens_beyond_the_vocabulary_is_refused(folder):
    def change(tokenizer):
        tokenizer["post_processor"]["special_tokens"]["[CLS]"]["ids"] = [10**6]

    edit_tokenizer(folder, change)
    with pytest.raises(UserError, match="token number 1000000"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    ("normalizer", "message"),
    [
        ({"type": "Replace", "pattern": {"Regex": "[ACGT]"}, "content": ""}, "does not tell the bases apart"),
        ({"type": "Replace", "pattern": {"String": "T"}, "content": "A"}, "does not tell the bases apart"),
        ({"type": "Lowercase"}, "unknown token|does not tell"),
    ],
)
def test_a_tokenizer_that_loses_bases_is_refused(folder, normalizer, message):
    edit_tokenizer(folder, lambda tokenizer: tokenizer.update(normalizer=normalizer))
    with pytest.raises(UserError, match=message):
        load_checkpoint(folder)


BOMB = {"Regex": "(([ACGT]+)+)+X"}


def replacing(pattern, content):
    return {"type": "Replace", "pattern": pattern, "content": content}


@pytest.mark.parametrize(
    "changes",
    [
        {"pre_tokenizer": {"type": "Split", "pattern": BOMB, "behavior": "Isolated", "invert": False}},
        {"normalizer": replacing(BOMB, "A")},
    ],
)
def test_a_regular_expression_that_never_ends_is_one_line(folder, changes, capfd):
    edit_tokenizer(folder, lambda tokenizer: tokenizer.update(changes))
    with pytest.raises(UserError, match="Onig: Regex search error") as refused:
        load_checkpoint(folder)
    assert "\n" not in str(refused.value) and capfd.readouterr().err == ""


def test_what_others_write_while_a_panic_would_be_silent_is_kept(capfd):
    with internals.quiet_panics():
        os.write(2, b"a warning\n")
    assert capfd.readouterr().err == "a warning\n"


@pytest.mark.parametrize(
    "steps",
    [
        [replacing({"String": "A"}, "AA")] * 40,
        [{"type": "Sequence", "normalizers": [replacing({"Regex": "[ACGT]"}, "AC")] * 7}] * 5,
        [replacing({"Regex": ""}, "A")] * 40,
        [replacing({"String": "A"}, "A" * 10**6)],
        [replacing({"String": "G" * 50}, "A" * 10**6)],
        [{"type": "Prepend", "prepend": "A" * 10**6}],
    ],
    ids=range(6),
)
def test_a_normalizer_that_makes_texts_huge_is_refused(folder, steps):
    sequence = {"type": "Sequence", "normalizers": steps}
    edit_tokenizer(folder, lambda tokenizer: tokenizer.update(normalizer=sequence))
    with pytest.raises(UserError, match="makes a text more than 64 times as long"):
        load_checkpoint(folder)


def test_a_normalizer_that_makes_texts_a_little_longer_is_read(folder):
    """As T5's and Llama's do."""
    steps = [{"type": "Prepend", "prepend": "A"}, replacing({"String": "N"}, "A"), replacing({"String": "C"}, "CC")]
    edit_tokenizer(folder, lambda tokenizer: tokenizer.update(normalizer={"type": "Sequence", "normalizers": steps}))
    assert load_checkpoint(folder).head is not None


def test_a_tokenizer_that_gives_up_on_long_words_is_refused(tmp_path):
    """WordPiece takes a word of more than 100 letters for unknown, and a sequence is one word."""
    folder = Path(shutil.copytree(TEST_DATA / "models" / "tiny-modernbert", tmp_path / "model"))

    def change(tokenizer):
        vocabulary = tokenizer["model"]["vocab"]
        more = {f"##{base}": len(vocabulary) + number for number, base in enumerate("ACGT")}
        tokenizer["pre_tokenizer"] = None
        tokenizer["model"] = {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": vocabulary | more,
        }

    edit_tokenizer(folder, change)
    with pytest.raises(UserError, match="maps a long sequence to the unknown token|do not belong together"):
        load_checkpoint(folder)


def test_a_model_that_reads_its_padding_is_refused(folder, monkeypatch):
    """Its answer for a sequence depends on how long another one of the batch is."""
    from transformers.models.mixtral.modeling_mixtral import MixtralModel

    forward = MixtralModel.forward

    def reads_padding(self, input_ids, **options):
        output = forward(self, input_ids, **options)
        output.last_hidden_state = output.last_hidden_state + (input_ids == 3).sum()
        return output

    monkeypatch.setattr(MixtralModel, "forward", reads_padding)
    with pytest.raises(UserError, match="scored alone and in a padded batch gives different answers"):
        load_checkpoint(folder)


def test_heads_and_parts_that_are_not_needed_are_ignored(folder, tmp_path):
    edit_weights(folder, lambda weights: weights.update({"score.weight": torch.ones(2, 32)}))
    assert load_checkpoint(folder).head is not None
    esm = Path(shutil.copytree(ESM, tmp_path / "esm"))
    edit_weights(esm, lambda weights: [weights.pop(name) for name in list(weights) if "contact_head" in name])
    assert load_checkpoint(esm).head is not None


def test_a_masked_model_without_a_mask_has_no_ratio(tmp_path):
    from dna_lm.engine import likelihood
    from dna_lm.engine.encoder import Budget

    esm = Path(shutil.copytree(ESM, tmp_path / "esm"))
    edit_tokenizer(esm, lambda tokenizer: tokenizer["model"]["vocab"].update({"<masked>": 2}))
    edit_tokenizer(esm, lambda tokenizer: tokenizer["model"]["vocab"].pop("<mask>"))
    edit_tokenizer(esm, lambda tokenizer: tokenizer["added_tokens"].pop(2))
    (esm / "tokenizer_config.json").unlink()
    loaded = load_checkpoint(esm)
    with pytest.raises(UserError, match="needs its mask token"):
        likelihood.masked_log_likelihood_ratios(loaded, [((3, 4), (3, 5))], [True], Budget())
