"""The data manager: models on the hub, in folders and in archives become rows, or are refused."""

import bz2
import gzip
import io
import json
import lzma
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tracemalloc
import zipfile
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

import hub_server
import model_sources
from conftest import ROOT, TEST_DATA
from dna_lm.engine.loading import load_checkpoint
from dna_lm.errors import UserError
from dna_lm.model import summary
from dna_lm.model.folder import find_folder

REPOSITORY = ROOT / "data_managers" / "data_manager_dna_lm"
BERT, LLAMA = (TEST_DATA / "models" / name for name in ("tiny-bert", "tiny-llama"))
MODEL_ID = "owner/name"


@pytest.fixture
def install(tmp_path):
    """Run the data manager as Galaxy does, in a process that reads the environment when it starts.

    Options are texts, which the script gets in a file; `environment` are variables for the process. Returns the exit
    status, the standard error, the rows for the table and the files for Galaxy to move.
    """

    def run(environment=None, **options):
        texts = {name.replace("_", "-"): str(text) for name, text in options.items()}
        (tmp_path / "options.json").write_text(json.dumps(texts))
        shutil.rmtree(tmp_path / "files", ignore_errors=True)
        (tmp_path / "out.json").unlink(missing_ok=True)
        command = [sys.executable, REPOSITORY / "data_manager" / "data_manager_dna_lm.py"]
        command += ["--options", "options.json", "--target", "files", "--output", "out.json"]
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
        environment = inherited | {"HOME": str(tmp_path), "HF_HUB_DOWNLOAD_TIMEOUT": "5"} | (environment or {})
        process = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        output = tmp_path / "out.json"
        files = sorted(str(file.relative_to(tmp_path / "files")) for file in (tmp_path / "files").rglob("*.*"))
        rows = json.loads(output.read_text())["data_tables"]["huggingface"] if output.exists() else None
        return SimpleNamespace(returncode=process.returncode, stderr=process.stderr, rows=rows, files=files)

    return run


def move_as_galaxy_does(row, files, models):
    """Move the model's folder and change its path, as data_manager_conf.xml tells Galaxy; returns the table's row."""
    shutil.move(files / row["path"], models / row["path"])
    return row | {"path": str(models / row["path"])}


@pytest.fixture
def hub(tmp_path):
    """A model on a hub, among files that no tool reads."""
    folder = shutil.copytree(LLAMA, tmp_path / "hub")
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    (folder / "modeling.py").write_text("raise SystemExit('the code was run')")
    (folder / "onnx").mkdir()
    (folder / "onnx" / "model.safetensors").write_bytes(b"another")
    with hub_server.running(folder, MODEL_ID) as hub:
        yield hub


HUB_MODEL = f"{MODEL_ID}_{hub_server.COMMIT}"
HUB_FOLDER = HUB_MODEL.replace("/", "--")


def test_a_model_of_the_hub_becomes_a_row(install, hub):
    job = install({"HF_ENDPOINT": hub.url}, model_id=MODEL_ID)
    assert job.returncode == 0, job.stderr
    assert job.rows == [
        {
            "value": HUB_MODEL,
            "name": f"{MODEL_ID} · 5.4k · causal · 128 bp ({hub_server.COMMIT[:8]})",
            "pipeline_tag": "text-generation",
            "domain": "sequence",
            "free_tag": "dna",
            "version": hub_server.COMMIT,
            "path": HUB_FOLDER,
        }
    ]
    names = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    assert sorted(hub.fetched) == names and job.files == [f"{HUB_FOLDER}/{name}" for name in names]
    assert hub.tokens == {None}


def test_the_same_version_is_installed_once_whatever_its_name(install, hub, tmp_path):
    models = tmp_path / "models"
    models.mkdir()
    other = install(model_id="owner/other", path=BERT)
    other_row = move_as_galaxy_does(other.rows[0], tmp_path / "files", models)
    first = install({"HF_ENDPOINT": hub.url}, model_id=MODEL_ID, installed_model=other_row["path"])
    first_row = move_as_galaxy_does(first.rows[0], tmp_path / "files", models)
    n_fetched = len(hub.fetched)
    # The first row of the table, whichever that is, shows the folder of all models.
    for installed in (other_row, first_row):
        again = install({"HF_ENDPOINT": hub.url}, model_id=MODEL_ID, name="Mine", installed_model=installed["path"])
        assert (again.returncode, again.rows, again.files) == (0, [], [])
        assert f"{HUB_MODEL} is installed already: nothing to do" in again.stderr
        assert f"remove the folder {models / HUB_FOLDER} " in again.stderr
    assert len(hub.fetched) == n_fetched


def test_another_version_gets_its_own_row(install, tmp_path):
    models = tmp_path / "models"
    models.mkdir()
    first = move_as_galaxy_does(install(model_id=MODEL_ID, path=BERT).rows[0], tmp_path / "files", models)
    other = install(model_id=MODEL_ID, path=LLAMA, installed_model=first["path"]).rows[0]
    for row in (first, other):
        assert re.fullmatch("[0-9a-f]{40}", row["version"]) and row["value"] == f"{MODEL_ID}_{row['version']}"
    assert first["value"] != other["value"] and first["name"] != other["name"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("tiny-esm", "154k · masked · 3.1 kb"),
        ("tiny-bert", "8k · masked · 128 bp"),
        ("tiny-mamba", "4.6k · causal · any length"),
        ("headless-mixtral", "10k · causal, hidden states only · about 717 bp"),
        ("demo-mixtral", "478k · causal · about 1.4 kb · demonstration only"),
    ],
)
def test_a_models_name_says_size_kind_and_longest_input(name, words):
    assert summary.words(load_checkpoint(TEST_DATA / "models" / name)) == words


def test_the_models_of_the_demonstration_galaxy_are_named_like_installed_ones():
    rows = [line.split("\t") for line in (TEST_DATA / "huggingface.loc").read_text().splitlines() if line[0] != "#"]
    offered = [row for row in rows if row[2:4] != ["image-classification", "sequence"] and row[3] == "sequence"]
    assert len(offered) == 10
    for _, name, *_, path in offered:
        folder = Path(path.replace("${__HERE__}", str(TEST_DATA)))
        assert name.endswith(f" · {summary.words(load_checkpoint(folder))}")
        assert "demonstration" in name or "random weights" in name


@pytest.mark.parametrize("name", ["tiny-esm", "tiny-bert", "tiny-llama", "tiny-modernbert"])
def test_a_sequence_of_the_longest_input_is_read_and_one_more_base_is_not(name):
    model = load_checkpoint(TEST_DATA / "models" / name)
    number, unit = summary.longest_input(model).split()
    assert unit in ("bp", "kb")
    longest = next(n for n in range(1, 10_000) if len(model.tokenise(["A" * n])[0]) > model.max_tokens) - 1
    # A 6-mer model reads up to five bases less when single bases are left over.
    assert float(number) * (1000 if unit == "kb" else 1) == pytest.approx(longest, rel=0.03)


@pytest.mark.parametrize(
    ("number", "text"),
    [(1, "1"), (999, "999"), (999_600, "1M"), (1_234_567, "1.2M"), (9_960_000, "10M"), (2_500_000_000, "2.5B")],
)
def test_large_numbers_are_short(number, text):
    assert summary.scaled(number, ("", "k", "M", "B")) == text


def test_the_tools_read_an_installed_model_by_its_row(install, tmp_path):
    row = move_as_galaxy_does(install(model_id=MODEL_ID, path=LLAMA).rows[0], tmp_path / "files", tmp_path / "models")
    assert str(find_folder(row["path"], row["value"], row["version"])) == row["path"]


def test_text_in_a_row_is_on_one_line(install):
    row = install(model_id=MODEL_ID, path=BERT, name='--a\tname\'; \n"$HOME"', free_tag="two\nlines").rows[0]
    assert (row["name"], row["free_tag"]) == ('--a name\'; "$HOME"', "two lines")


def test_galaxy_moves_a_model_to_where_the_wrapper_finds_it():
    """Two files name the folder of the installed models: where Galaxy moves them, and which rows the wrapper offers."""
    column = ElementTree.parse(REPOSITORY / "data_manager_conf.xml").find(".//column[@name='path']")
    target = column.find("move/target")
    translated = column.find("value_translation").text
    assert f"{target.get('base')}/{target.text}" == translated
    path = translated.replace("${GALAXY_DATA_MANAGER_DATA_PATH}", "/data/models").replace("${path}", HUB_FOLDER)
    wrapper = ElementTree.parse(REPOSITORY / "data_manager" / "data_manager_dna_lm.xml")
    pattern = wrapper.find(".//filter[@type='regexp']").get("value")
    assert re.match(pattern, path)
    assert not re.match(pattern, "/data/huggingface/models--owner--name")


def test_an_interrupted_download_leaves_no_row_and_can_be_repeated(install, hub):
    hub.cut_after = 9000
    job = install({"HF_ENDPOINT": hub.url}, model_id=MODEL_ID)
    assert job.returncode == 1 and job.rows is None
    assert len(job.stderr.splitlines()) == 1
    assert job.stderr.startswith(f"error: {MODEL_ID} could not be fetched from the hub: RemoteProtocolError")
    hub.cut_after = None
    assert install({"HF_ENDPOINT": hub.url}, model_id=MODEL_ID).rows[0]["version"] == hub_server.COMMIT


@pytest.fixture
def online(hub, monkeypatch):
    """The hub, for this process, whose own settings were read when it started."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    return hub


def test_the_token_comes_from_the_environment(online, tmp_path, monkeypatch):
    online.token = "hf_secret"
    with pytest.raises(UserError, match="shows it only to those with a token"):
        model_sources.find_on_hub(MODEL_ID, "main")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    model_sources.find_on_hub(MODEL_ID, "main").fetch(tmp_path / "model")
    assert (tmp_path / "model" / "model.safetensors").read_bytes() == (LLAMA / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("model_id", "revision", "message"),
    [(MODEL_ID, "nonesuch", "has no such revision"), ("owner/other", "main", "the hub has no model owner/other")],
)
def test_what_is_not_on_the_hub_is_named(online, model_id, revision, message):
    with pytest.raises(UserError, match=message):
        model_sources.find_on_hub(model_id, revision)


def test_no_weights_are_fetched_of_a_model_that_is_refused_anyway(online, tmp_path):
    config = json.loads((online.folder / "config.json").read_text())
    (online.folder / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "modeling.Evil"}}))
    with pytest.raises(UserError, match="config.json names its own code"):
        model_sources.find_on_hub(MODEL_ID, "main").fetch(tmp_path / "model")
    (online.folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match="config.json names its own code"):
        model_sources.find_on_hub(MODEL_ID, "main").fetch(tmp_path / "pickled")
    (online.folder / "pytorch_model.bin").rename(online.folder / "other.bin")
    with pytest.raises(UserError, match="no safetensors and no pytorch_model.bin at .*'other.bin', which are never"):
        model_sources.find_on_hub(MODEL_ID, "main")
    assert not {"model.safetensors", "pytorch_model.bin"} & set(online.fetched)


def test_shards_are_fetched_by_their_index(online, tmp_path):
    weights = load_file(online.folder / "model.safetensors")
    (online.folder / "model.safetensors").unlink()
    index = {}
    for number, name in enumerate(sorted(weights)):
        shard = f"model-{number % 2 + 1:05}-of-00002.safetensors"
        index[name] = shard
    for shard in set(index.values()):
        save_file({name: weights[name] for name in index if index[name] == shard}, online.folder / shard)
    (online.folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    model_sources.find_on_hub(MODEL_ID, "main").fetch(tmp_path / "model")
    assert load_checkpoint(tmp_path / "model").head is not None


CONVERTED = ["config.json", "converted.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]


def pickle_weights(folder):
    """Replace the safetensors of a model by a pickle of the same numbers."""
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def test_pickled_weights_of_the_hub_are_converted(install, hub):
    pickle_weights(hub.folder)
    job = install({"HF_ENDPOINT": hub.url}, model_id=MODEL_ID)
    assert job.returncode == 0, job.stderr
    assert job.rows[0]["version"] == hub_server.COMMIT and job.rows[0]["pipeline_tag"] == "text-generation"
    assert job.files == [f"{HUB_FOLDER}/{name}" for name in CONVERTED]
    [line] = [line for line in job.stderr.splitlines() if line.startswith("converted ")]
    assert re.fullmatch(r"converted pytorch_model\.bin \(\d+ bytes, SHA-256 [0-9a-f]{64}\) to safetensors", line)


class Call:
    """In a pickle, the call of a program that makes a file."""

    def __reduce__(self):
        return os.system, ("touch the_code_was_run",)


def test_a_hostile_pickle_is_refused_and_leaves_nothing(install, tmp_path):
    folder = shutil.copytree(BERT, tmp_path / "hostile")
    (folder / "model.safetensors").unlink()
    torch.save({"w": Call()}, folder / "pytorch_model.bin")
    with tarfile.open(tmp_path / "hostile.tar", "w") as archive:
        archive.add(folder, "hostile")
    for path in (folder, tmp_path / "hostile.tar"):
        job = install(model_id=MODEL_ID, path=path)
        assert (job.returncode, job.rows, job.files) == (1, None, [])
        assert len(job.stderr.splitlines()) == 1
        assert job.stderr.startswith("error: model: pytorch_model.bin is not converted: it names 'posix.system'")
        assert not list(tmp_path.rglob("the_code_was_run")) and not list(tmp_path.glob("unpacked-*"))
        assert not list((tmp_path / "files").glob("*"))


def test_a_hub_that_is_not_there_is_one_line(online, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match="could not be fetched from the hub: .*: try again"):
        model_sources.find_on_hub(MODEL_ID, "main")


@pytest.mark.parametrize("model_id", ["../../etc", "/etc", "a/b/c", "a b", "a/..", "-/.x", "", "a\nb", "a--b/c"])
def test_an_id_of_another_form_is_refused(model_id):
    with pytest.raises(UserError, match="give owner/name"):
        model_sources.check_model_id(model_id)


# Archives and folders, installed in this process.


def packed(path, members):
    """A tar archive of `tarfile.TarInfo` or (name, content)."""
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for member in members:
            if isinstance(member, tuple):
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                archive.addfile(info, io.BytesIO(member[1]))
            else:
                archive.addfile(member)
    return path


def link(name, target, kind=tarfile.SYMTYPE):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def contents(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def unpacked(archive, tmp_path):
    folder = tmp_path / "unpacked"
    folder.mkdir()
    model_sources.unpack_model(archive, folder)
    return contents(folder)


READ = {file.name: file.read_bytes() for file in BERT.iterdir() if file.name != "README.md"}


@pytest.mark.parametrize("form", ["tar", "tar.gz", "zip", "cache", "hard links"])
def test_a_sound_archive_gives_the_models_files(tmp_path, form):
    path = tmp_path / f"model.{form.replace(' ', '')}"
    if form == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for file in BERT.iterdir():
                archive.write(file, f"some/where/{file.name}")
    elif form == "cache":
        members = [(f"models--a--b/blobs/{number}", content) for number, content in enumerate(READ.values())]
        snapshot = f"models--a--b/snapshots/{'a' * 40}"
        members += [link(f"{snapshot}/{name}", f"../../blobs/{number}") for number, name in enumerate(READ)]
        packed(path, members)
    elif form == "hard links":
        members = [(f"x/{name}", content) for name, content in READ.items()]
        packed(path, [*members, link("x/vocab.txt", "x/config.json", tarfile.LNKTYPE)])
        assert unpacked(path, tmp_path).pop("vocab.txt") == READ["config.json"]
        return
    else:
        packed(path, [(f"./{file.name}", file.read_bytes()) for file in BERT.iterdir()])
    assert unpacked(path, tmp_path) == READ


def device(name):
    info = tarfile.TarInfo(name)
    info.type = tarfile.CHRTYPE
    return info


CONFIG = ("m/config.json", b"{}")


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("/etc/passwd", b""), CONFIG], "'/etc/passwd' is an absolute path"),
        ([("m/../../x", b""), CONFIG], "leads out of the archive"),
        ([CONFIG, link("m/model.safetensors", "/etc/passwd")], "is an absolute path|leads out"),
        ([CONFIG, link("m/model.safetensors", "../../../etc/passwd")], "leads out of the archive"),
        ([CONFIG, link("m/notes", "../../x")], "leads out of the archive"),
        ([CONFIG, link("m/model.safetensors", "/etc/passwd", tarfile.LNKTYPE)], "is an absolute path"),
        ([CONFIG, link("m/model.safetensors", "nothing")], "is a link that leads to no file"),
        (
            [CONFIG, link("m/tokenizer.json", "vocab.txt"), link("m/vocab.txt", "tokenizer.json")],
            "lead to each other",
        ),
        ([CONFIG, link("m/vocab.txt", "vocab.txt")], "a link to itself"),
        ([device("m/model.safetensors"), CONFIG], "is not a file, folder or link"),
        ([("m/x", b"")], "it has 0 models"),
        ([CONFIG, ("n/config.json", b"{}")], "it has 2 models"),
    ],
)
def test_an_archive_that_reaches_out_is_refused(tmp_path, members, message):
    with pytest.raises(UserError, match=message) as caught:
        unpacked(packed(tmp_path / "a.tar", members), tmp_path)
    assert "\n" not in str(caught.value) and not contents(tmp_path / "unpacked")


def test_a_zip_that_reaches_out_is_refused(tmp_path):
    for number, name in enumerate(("../config.json", "/config.json", "C:/config.json", "\\config.json")):
        (tmp_path / str(number)).mkdir()
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr(name, "{}")
        with pytest.raises(UserError, match="absolute path|leads out"):
            unpacked(tmp_path / "a.zip", tmp_path / str(number))
    linked = zipfile.ZipInfo("config.json")
    linked.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(linked, "/etc/passwd")
    with pytest.raises(UserError, match="is not a file, folder or link"):
        unpacked(tmp_path / "a.zip", tmp_path)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 cut short", b"\x1f\x8b\x08 cut short"])
def test_a_file_of_another_kind_is_refused_in_one_line(tmp_path, content):
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(UserError, match="is not a tar or zip archive|is refused"):
        unpacked(tmp_path / "a.tar", tmp_path)


def test_an_archive_that_is_larger_than_the_disk_or_cut_short_is_refused(tmp_path):
    huge = tarfile.TarInfo("m/model.safetensors")
    huge.size = 2**60
    with open(tmp_path / "a.tar", "wb") as file:
        file.write(tarfile.TarInfo("m/x").tobuf() + huge.tobuf() + bytes(2**16))
    with pytest.raises(UserError, match="is refused: it has more than .* files, or more bytes"):
        unpacked(tmp_path / "a.tar", tmp_path)
    whole = packed(tmp_path / "b.tar.gz", [(f"m/{name}", content) for name, content in READ.items()]).read_bytes()
    (tmp_path / "b.tar.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "half").mkdir()
    with pytest.raises(UserError, match="is refused"):
        unpacked(tmp_path / "b.tar.gz", tmp_path / "half")


@pytest.mark.parametrize("path", ["models/mine", "../../../test-data/models/tiny-llama", "."])
def test_a_path_that_is_not_absolute_is_refused(path):
    with pytest.raises(UserError, match="is not absolute"):
        model_sources.find_on_server(path, MODEL_ID, "main")


def test_a_folder_and_its_archive_have_one_version_and_a_cache_its_commit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    archive = packed(tmp_path / "a.tar", [(f"m/{name}", content) for name, content in READ.items()])
    folder = model_sources.find_on_server(BERT, MODEL_ID, "main")
    assert folder.version == model_sources.find_on_server(archive, MODEL_ID, "main").version
    snapshot = tmp_path / "models--owner--name" / "snapshots" / ("a" * 40)
    snapshot.parent.mkdir(parents=True)
    shutil.copytree(BERT, tmp_path / "models--owner--name" / "blobs")
    snapshot.mkdir()
    for name in READ:
        (snapshot / name).symlink_to(f"../../blobs/{name}")
    cached = model_sources.find_on_server(tmp_path / "models--owner--name", MODEL_ID, "main")
    assert cached.version == "a" * 40
    cached.fetch(tmp_path / "target")
    assert contents(tmp_path / "target") == READ
    with tarfile.open(tmp_path / "cache.tar", "w", dereference=True) as packed_cache:
        packed_cache.add(snapshot, f"models--owner--name/snapshots/{snapshot.name}")
    assert model_sources.find_on_server(tmp_path / "cache.tar", MODEL_ID, "main").version == "a" * 40
    assert not any(file.is_symlink() for file in (tmp_path / "target").iterdir())


def test_pickled_weights_have_the_version_of_their_source(tmp_path, monkeypatch):
    """A folder and its archive have one version, which changes with the pickle, and none keeps the pickle."""
    monkeypatch.chdir(tmp_path)
    folder = shutil.copytree(BERT, tmp_path / "pickled")
    pickle_weights(folder)
    with zipfile.ZipFile(tmp_path / "pickled.zip", "w") as archive:
        for file in folder.iterdir():
            archive.write(file, f"x/{file.name}")
    results = []
    for path in (folder, tmp_path / "pickled.zip"):
        source = model_sources.find_on_server(path, MODEL_ID, "main")
        target = tmp_path / f"target{len(results)}"
        source.fetch(target)
        results.append((source.version, contents(target)))
    assert results[0] == results[1] and sorted(results[0][1]) == CONVERTED
    torch.save({}, folder / "pytorch_model.bin")
    assert model_sources.find_on_server(folder, MODEL_ID, "main").version != results[0][0]
    # A model that was converted before keeps its record, whose content does not change the version.
    versions = set()
    for content in ("{}", '{"torch": "later"}'):
        (tmp_path / "target0" / "converted.json").write_text(content)
        versions.add(model_sources.find_on_server(tmp_path / "target0", MODEL_ID, "main").version)
    assert len(versions) == 1
    model_sources.find_on_server(tmp_path / "target0", MODEL_ID, "main").fetch(tmp_path / "copy")
    assert sorted(contents(tmp_path / "copy")) == CONVERTED


def test_a_snapshot_without_a_commit_has_the_digest_as_its_version(tmp_path):
    shutil.copytree(BERT, tmp_path / "snapshots" / "main")
    version = model_sources.find_on_server(tmp_path / "snapshots" / "main", MODEL_ID, "main").version
    assert version == model_sources.find_on_server(BERT, MODEL_ID, "main").version


# A small archive cannot make its reader take much memory, and what is installed is what its version says.


def long_header(kind, n_bytes):
    """A tar header of so many zeros, or of a sparse file's map, which its reader would read as a whole."""
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, n_bytes
    return info.tobuf()


@pytest.mark.parametrize("suffix", ["gz", "bz2", "xz"])
@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
@pytest.mark.parametrize("place", ["first", "later"])
def test_a_header_as_long_as_a_disk_takes_no_memory(tmp_path, kind, suffix, place):
    path = tmp_path / f"a.tar.{suffix}"
    n_bytes = 2**26
    with {"gz": gzip, "bz2": bz2, "xz": lzma}[suffix].open(path, "wb") as file:
        if place == "later":
            file.write(tarfile.TarInfo("m/config.json").tobuf())
        file.write(long_header(kind, n_bytes))
        for _ in range(n_bytes // 2**20):
            file.write(bytes(2**20))
        file.write(tarfile.TarInfo("x").tobuf() + bytes(1024))
    tracemalloc.start()
    with pytest.raises(UserError, match="is refused: its headers have more than"):
        unpacked(path, tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < n_bytes / 2


@pytest.mark.parametrize("suffix", ["gz", "bz2", "xz"])
def test_compressed_archives_of_each_kind_are_unpacked(tmp_path, suffix):
    path = tmp_path / f"a.tar.{suffix}"
    with tarfile.open(path, f"w:{suffix}", format=tarfile.PAX_FORMAT, pax_headers={"comment": "x" * 5000}) as archive:
        archive.add(BERT, "m")
    assert unpacked(path, tmp_path) == READ


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "pytorch_model.bin"])
def test_a_file_that_is_replaced_after_its_version_was_found_is_not_installed(tmp_path, name):
    folder = shutil.copytree(BERT, tmp_path / "model")
    if name == "pytorch_model.bin":
        pickle_weights(folder)
    source = model_sources.find_on_server(folder, MODEL_ID, "main")
    source.fetch(tmp_path / "as it was")
    if name == "config.json":
        (folder / name).write_text((folder / name).read_text() + "\n")
    else:
        weights = load_file(BERT / "model.safetensors")
        first = min(weights)
        weights[first] = weights[first] + 1
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        if name == "pytorch_model.bin":
            pickle_weights(folder)
    with pytest.raises(UserError, match="changed while they were copied"):
        source.fetch(tmp_path / "changed")


def test_an_adapter_alone_is_called_that(tmp_path):
    path = packed(tmp_path / "a.tar", [("m/adapter_config.json", b"{}"), ("m/adapter_model.safetensors", b"")])
    with pytest.raises(UserError, match="is refused: it has an adapter"):
        unpacked(path, tmp_path)
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "adapter_config.json").write_text('{"base_model_name_or_path": "owner/base"}')
    with pytest.raises(UserError, match="an adapter .* to the model 'owner/base'"):
        model_sources.find_on_server(tmp_path / "m", MODEL_ID, "main")
