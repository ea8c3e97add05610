"""Which model gave a number: what an output's header says of it."""

import hashlib
from pathlib import Path

from dna_lm import __version__
from dna_lm.model.folder import find_folder


def described(arguments, settings):
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
    found = {
        "version": __version__,
        "model": arguments.model_id or Path(arguments.model).resolve().name,
        "revision": arguments.revision or "",
        "weights_sha256": digest.hexdigest(),
        "precision": arguments.precision,
        **settings.described(),
    }
    return {name: text for name, text in found.items() if text}
