"""The model and the settings that gave a number, for the header of an output."""

import argparse
import hashlib
from pathlib import Path

from dna_lm import __version__
from dna_lm.model.folder import find_folder
from dna_lm.scoring.settings import Settings


def model_and_settings(arguments: argparse.Namespace, settings: Settings) -> dict[str, str]:
    """Name -> text: the suite's version, the model (name, revision, hash of its weights) and the settings.

    arguments: those of `options.add_model_options`. The hash is the SHA-256 of the safetensors files' bytes, one after
    the other in the order of their names: it tells models apart whatever they are called.
    """
    folder = Path(find_folder(arguments.model, arguments.model_id, arguments.revision))
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.safetensors")):
        with open(file, "rb") as handle:
            while block := handle.read(2**20):
                digest.update(block)
    texts = {
        "version": __version__,
        "model": arguments.model_id or Path(arguments.model).resolve().name,
        "revision": arguments.revision or "",
        "weights_sha256": digest.hexdigest(),
        "precision": arguments.precision,
        **settings.as_text(),
    }
    return {name: text for name, text in texts.items() if text}
