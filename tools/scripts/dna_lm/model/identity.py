"""Which model gave a number: its name and revision, and a hash of its weights."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path


@dataclass(frozen=True)
class Identity:
    """What a model is called. name: the id, or the name of the folder; revision: "" if none was given."""

    folder: Path
    name: str
    revision: str = ""

    @cached_property
    def weights_sha256(self) -> str:
        """SHA-256 of the safetensors files' bytes, one after the other in the order of their names.

        It tells models apart whatever they are called. Computed once, when it is first asked for.
        """
        digest = hashlib.sha256()
        for file in sorted(self.folder.glob("*.safetensors")):
            with open(file, "rb") as handle:
                while block := handle.read(2**20):
                    digest.update(block)
        return digest.hexdigest()

    def as_text(self) -> dict[str, str]:
        """Name -> text, for the header of an output; "" for what is not known."""
        return {"model": self.name, "revision": self.revision, "weights_sha256": self.weights_sha256}
