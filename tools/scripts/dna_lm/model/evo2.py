"""Evo 2 as its authors publish it: one pickle, sometimes in parts, and a config.json that only names it.

The other settings of a model are in the authors' Python package, under the pickle's name. Two of them do not show in
the weights: what positions are divided by, and the longest input. They are written into a config.json of the suite's
own.
"""

import json
import re
import shutil
from collections.abc import Iterable, Mapping
from fnmatch import fnmatch
from pathlib import Path

from dna_lm.errors import UserError, quoted
from dna_lm.model import files

_BLOCK_BYTES = 2**24
_PICKLES = "evo2*.pt"
_PART = re.compile(r"(evo2.*\.pt)\.part(\d+)")
# Settings of models with other names, as the authors' package has them.
_SETTINGS = "evo2*.yml"

# Name -> what positions are divided by, and the longest input (evo2 0.6.0).
_PUBLISHED = {
    "evo2_1b_base": (1, 8_192),
    "evo2_7b_base": (1, 32_768),
    "evo2_7b_microviridae": (1, 32_768),
    "evo2_7b_262k": (32, 262_144),
    "evo2_7b": (128, 1_048_576),
    "evo2_20b": (128, 1_048_576),
    "evo2_40b_base": (1, 8_192),
    "evo2_40b": (128, 1_048_576),
}
# Trained with products of 8 bits, without which they do not predict DNA. A 7B loses little.
_EIGHT_BITS = re.compile(r"evo2_(1b|20b|40b)(_|\.|$)")
_WIDTHS_OF_EIGHT_BITS = {1_920, 8_192}


def is_file(name: str) -> bool:
    """Whether a file of this name has pickled weights of an Evo 2, or a part of them."""
    return fnmatch(name, _PICKLES) or _PART.fullmatch(name) is not None


def choose(names: Iterable[str]) -> list[str]:
    """Of the names of a folder's files, those of an Evo 2: the weights, and settings next to them."""
    names = list(names)
    weights = list(filter(is_file, names))
    return [*weights, *(name for name in names if fnmatch(name, _SETTINGS))] if weights else []


def parts(folder: Path, described: Path | None = None) -> tuple[str, list[str]]:
    """The name of the pickle of a folder, and the files whose bytes it is, in their order.

    described: the folder with config.json, by default the same. Raises `UserError` for several pickles of which
    config.json names none, and for parts that are missing.
    """
    found: dict[str, list[str]] = {}
    for path in folder.iterdir():
        if is_file(path.name):
            part = _PART.fullmatch(path.name)
            found.setdefault(part[1] if part else path.name, []).append(path.name)
    named = str(files.read_json((described or folder) / files.CONFIG).get("_name_or_path", "")).rpartition("/")[2]
    if len(found) > 1 and named not in found:
        raise UserError(
            f"model: the folder has several pickles of Evo 2, {', '.join(map(quoted, sorted(found)))}: keep one"
        )
    name = named if named in found else min(found)
    if found[name] == [name]:
        return name, [name]
    numbered = {int(_PART.fullmatch(part)[2]): part for part in found[name] if part != name}
    missing = next((number for number in range(max(numbered) + 1) if number not in numbered), None)
    if missing is not None or len(numbered) != len(found[name]):
        raise UserError(f"model: {name} comes in parts: part {missing or 0} is missing, or there is a whole file too")
    return name, [numbered[number] for number in sorted(numbered)]


def joined_in(folder: Path, temporary: Path, described: Path) -> Path:
    """The pickle of a folder; if it comes in parts, put together in a `temporary` folder."""
    name, names = parts(folder, described)
    if names == [name]:
        return folder / name
    with open(temporary / name, "wb") as whole:
        for part in names:
            with open(folder / part, "rb") as file:
                shutil.copyfileobj(file, whole, _BLOCK_BYTES)
    return temporary / name


def refuse_eight_bits(name: str, shapes: Mapping[str, list[int]] | None = None) -> None:
    """Raise `UserError` for a model that was trained with products of 8 bits, by its name or its width."""
    width = (shapes or {}).get("embedding_layer.weight", [0, 0])[-1]
    if _EIGHT_BITS.match(name) or width in _WIDTHS_OF_EIGHT_BITS:
        raise UserError(
            f"model: {name} was trained with products of 8 bits (FP8), which the suite does not have: without them it "
            "does not predict DNA. Take a 7B model of Evo 2"
        )


def write_settings(folder: Path, target: Path, name: str, shapes: Mapping[str, list[int]]) -> None:
    """Write config.json and tokenizer_config.json for a converted model into `target`.

    folder: with config.json as it was published; name: of the pickle; shapes: of its weights. Raises `UserError` when
    nothing says what positions are divided by.
    """
    refuse_eight_bits(name, shapes)
    settings = files.read_json(folder / files.CONFIG)
    stem = name.removesuffix(".pt")
    factor, longest = _published(settings, stem) or _written(folder / f"{stem}.yml") or _refuse_unknown(name)
    settings |= {
        "architectures": ["StripedHyena2"],
        "model_type": "stripedhyena2",
        "rotary_emb_scaling_factor": factor,
        "max_seqlen": longest,
        "tie_embeddings": True,
    }
    for number, length in enumerate(shapes.get("embedding_layer.weight", ())):
        settings[("vocab_size", "hidden_size")[number]] = length
    (target / files.CONFIG).write_text(json.dumps(settings, indent=1) + "\n")
    tokenizer = {"tokenizer_class": "CharLevelTokenizer", "model_max_length": longest}
    (target / files.TOKENIZER_CONFIG).write_text(json.dumps(tokenizer, indent=1) + "\n")


def _published(settings: Mapping[str, object], stem: str) -> tuple[float, int] | None:
    named = str(settings.get("_name_or_path", "")).rpartition("/")[2].removesuffix(".pt")
    return _PUBLISHED.get(named) or _PUBLISHED.get(stem)


def _written(path: Path) -> tuple[float, int] | None:
    """The settings in a file of the authors' package: lines of names and numbers."""
    if not path.is_file():
        return None
    lines = dict(re.findall(r"(?m)^(\w+):[ \t]*(\S+)[ \t]*$", files.read_text(path)))
    try:
        is_stretched = lines.get("use_interpolated_rotary_pos_emb", "false").lower() == "true"
        factor = float(lines.get("rotary_emb_scaling_factor", 1)) if is_stretched else 1.0
        return factor, int(lines["max_seqlen"])
    except (KeyError, ValueError) as error:
        raise UserError(
            f"model: {path.name} does not say max_seqlen and rotary_emb_scaling_factor as Evo 2's package does"
        ) from error


def _refuse_unknown(name: str) -> tuple[float, int]:
    raise UserError(
        f"model: {quoted(name)} is no published Evo 2, and weights do not show what positions are divided by: put its "
        f"settings, {quoted(name.removesuffix('.pt') + '.yml')}, next to it"
    )
