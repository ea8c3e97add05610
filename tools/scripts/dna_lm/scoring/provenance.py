"""What gave a number, for the header of an output: the suite, the model, the settings and those of the source."""

from typing import Any, Protocol

from dna_lm import __version__
from dna_lm.model.checkpoint import Checkpoint
from dna_lm.scoring.settings import Settings


class HasText(Protocol):
    """What says its settings."""

    def as_text(self) -> dict[str, Any]:
        """Name -> value of what decides the numbers."""


def provenance(model: Checkpoint, settings: Settings, source: HasText) -> dict[str, Any]:
    """Name -> value, without those that are empty."""
    texts = {"version": __version__, **model.identity.as_text(), "precision": model.precision_name}
    found = texts | settings.as_text() | source.as_text()
    return {name: value for name, value in found.items() if value not in ("", None)}
