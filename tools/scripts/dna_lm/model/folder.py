"""The folder of a model: where it is in a Hugging Face cache, or the folder itself."""

import os
import re
from pathlib import Path

from dna_lm.errors import UserError, quoted
from dna_lm.model import files


def find_folder(path: Path | str, model_id: str | None = None, revision: str | None = None) -> Path:
    """The folder that holds `config.json`: `path` itself, or the snapshot inside a Hugging Face cache at `path`.

    `path` may be a flat folder, one model's cache (`models--owner--name`), or a whole cache, in which `model_id`
    (`owner/name`) says which model. `revision` is a commit or a reference; the default is `main`, or the only one.
    Raises `UserError` when there is no such model.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise UserError(f"model {quoted(path)}: there is no such folder")
    if os.path.lexists(folder / "config.json"):
        return folder
    files.refuse_adapter(folder)
    if (folder / "hub").is_dir():
        folder = folder / "hub"
    if not (folder / "snapshots").is_dir():
        folder = _cached_model(folder, path, model_id, revision)
    snapshots = {snapshot.name: snapshot for snapshot in (folder / "snapshots").glob("*") if snapshot.is_dir()}
    references = {
        file.name: file.read_text(errors="replace").strip() for file in (folder / "refs").glob("*") if file.is_file()
    }
    commit = references.get(revision, revision)
    if commit not in snapshots and not _is_commit(commit):
        # A version that is not a revision, such as "1", is only a name in the administrator's table.
        commit = references.get("main", next(iter(snapshots)) if len(snapshots) == 1 else None)
    if commit in snapshots:
        return snapshots[commit]
    raise UserError(
        f"model {quoted(path)}: the Hugging Face cache has no revision {quoted(revision or 'main')}; "
        f"it has {', '.join(sorted(snapshots)) or 'none'}"
    )


def _is_commit(revision: str | None) -> bool:
    return revision is not None and re.fullmatch("[0-9a-f]{40}", revision) is not None


def _cached_model(folder: Path, path: Path | str, model_id: str | None, revision: str | None) -> Path:
    """The folder of one model in the cache `folder`, which the user gave as `path`."""
    models = {model.name: model for model in folder.glob("models--*") if (model / "snapshots").is_dir()}
    if not models:
        raise UserError(f"model {quoted(path)}: the folder has no config.json, so it is not a model")
    if model_id is None and len(models) == 1:
        return next(iter(models.values()))
    # A table that lists several versions of one model tells them apart by a suffix to the model's id.
    for name in (model_id or "", (model_id or "").removesuffix(f"_{revision}")):
        if model := models.get(f"models--{name.replace('/', '--')}"):
            return model
    raise UserError(f"model {quoted(path)}: this Hugging Face cache has no model {quoted(model_id or '(unnamed)')}")
