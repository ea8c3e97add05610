"""Blocks that the reports on scored rows share: statuses in words, warnings, the model and the settings."""

from collections.abc import Mapping, Sequence

from dna_lm import statuses
from dna_lm.outputs.markdown import Blocks, inert, settings_list

# What the settings of `provenance.model_and_settings` are called in a report.
_NAMES = {
    "version": "Version of the suite",
    # One word: Galaxy would spread several over the line before the long number.
    "weights_sha256": "SHA-256",
    "representation": "Model output",
    "window": "Bases in a window",
    "window_before": "Of these before a substitution",
    "settings": "Settings",
    "indel_window": "Windows of insertions and deletions",
    "flank": "Bases on either side",
    "around": "Bases on either side of each base, if the whole is too long",
    "deletions": "Deletions of one base",
    "pairs": "Paired by",
    "background": "Random mutations per variant",
    "background_width": "Drawn from this many bases around the variant",
    "same_change": "Only the same trinucleotide context",
    "seed": "Random seed",
}


def unscored(counts: Mapping[str, int], noun: str) -> Blocks:
    """What the statuses of rows without a score mean. counts: status -> rows; noun: what a row is, in the plural."""
    listed = sorted((item for item in counts.items() if item[0] != statuses.OK), key=lambda item: -item[1])
    meanings = statuses.meanings()
    lines = [f"- {number:,} `{status}`: {inert(meanings[status])}" for status, number in listed]
    return [f"## {noun} without a score", "\n".join(lines)] if lines else []


def warning_list(warnings: Sequence[str]) -> Blocks:
    """The warnings under one heading; nothing without any."""
    return ["## Please note", "\n".join(f"- {warning}" for warning in warnings)] if warnings else []


def recommended_settings(settings: Mapping[str, object]) -> Blocks:
    """A sentence on who recommends the settings, if somebody does. settings: the provenance."""
    if "settings" not in settings:
        return []
    of_each = {"window": "windows of {:,} bases", "flank": "{:,} bases on either side"}
    parts = [text.format(settings[name]) for name, text in of_each.items() if name in settings]
    strand = str(settings["strand"])
    parts.append("the mean of both strands" if strand == "mean" else f"the {strand} strand")
    return [f"Settings {inert(str(settings['settings']))}: {', '.join(parts)}."]


def model_and_settings(settings: Mapping[str, object]) -> Blocks:
    """The model and what else decides the numbers. settings: of `provenance.model_and_settings`, and others."""
    words = {True: "yes", False: "no"}
    named = {
        _NAMES.get(name, name.capitalize()): words[value] if isinstance(value, bool) else str(value)
        for name, value in settings.items()
    }
    return ["## Model and settings", settings_list(named)]
