"""The header of an output names all that decides its numbers: no option can be forgotten."""

import argparse
from types import SimpleNamespace

import pytest

from conftest import TEST_DATA
from dna_lm import api
from dna_lm.commands import embed, mutagenesis, options, score_pairs, score_variants
from dna_lm.scoring import job
from dna_lm.scoring.provenance import provenance

MODEL = "--model", str(TEST_DATA / "models" / "demo-mixtral")
PAIR = "--wild-type", str(TEST_DATA / "cftr_wild_type.fasta"), "--mutant", str(TEST_DATA / "cftr_mutant.fasta")
REFERENCE = "--reference", str(TEST_DATA / "reference.fasta")
VARIANTS = "--variants", str(TEST_DATA / "variants.vcf"), *REFERENCE
BACKGROUND = "--background", "3"
# Of each command: its module, and the options that it needs.
COMMANDS = {
    "score_pairs": (score_pairs, PAIR),
    "embed": (embed, ("--input", PAIR[1])),
    "score_variants": (score_variants, (*VARIANTS, *BACKGROUND)),
    "mutagenesis": (mutagenesis, ("--intervals", str(TEST_DATA / "intervals.bed"), *REFERENCE)),
}
# Options that change a number, and values to try.
OTHER_VALUES = {
    "pair_by": ["--pair-by", "id"],
    "representation": ["--representation", "hidden"],
    "layer": ["--layer", "1"],
    "pooling": ["--pooling", "mean"],
    "strand": ["--strand", "reverse"],
    "precision": ["--precision", "bfloat16"],
    "tutorial": ["--tutorial", "--strand", "forward"],
    "truncate": ["--truncate"],
    "settings": ["--settings", "recommended"],
    "window_before": ["--window-before", "3"],
    "model_id": ["--model-id", "somebody/model"],
    "revision": ["--revision", "1"],
    "model": ["--model", str(TEST_DATA / "models" / "tiny-esm")],
    "window": ["--window", "77"],
    "indel_window": ["--indel-window", "same-length"],
    "background": ["--background", "4"],
    "background_width": ["--background-width", "31"],
    "same_change": ["--same-change"],
    "seed": ["--seed", "7"],
    "flank": ["--flank", "9"],
    "deletions": ["--deletions"],
}
# What names, adds, refuses, sorts or draws, and changes no number that is there without it.
CHANGES_NO_NUMBER = {
    "help", "options", "batch_tokens", "fail_on_unscored", "scores", "output", "report", "report_for", "draw", "sort",
    "wild_type", "mutant", "variants", "reference", "sequences", "intervals", "intervals_format", "input", "inputs",
    "allow_identical", "allow_ref_mismatches", "regions", "regions_format", "region_names", "feature_types",
    "info_prefix", "output_vcf",
    "wild_type_windows", "mutant_windows", "plot", "track", "base_tracks", "heatmap", "heatmap_format", "dependencies",
    "dependency_map", "dependency_map_format", "dependency_bases", "influence", "groups", "group_column",
    "group_column_number", "format", "log_likelihood", "picture", "picture_format", "coordinates",
}  # fmt: skip


def options_of(command, monkeypatch):
    """The names of all options of a command."""
    found = []
    parse = argparse.ArgumentParser.parse_args
    monkeypatch.setattr(
        argparse.ArgumentParser, "parse_args", lambda self, given: found.append(self) or parse(self, given)
    )
    module, needed = COMMANDS[command]
    module.parse_arguments([*MODEL, *needed, "--output", "x"])
    return {action.dest for action in found[-1]._actions}


def described(command, monkeypatch, tmp_path, *others):
    """The provenance of a command's job."""
    found = []

    def run(load, settings, source, outputs, batch_tokens, fail_on_unscored):
        source.check()
        found.append(provenance(load(), settings, source))

    monkeypatch.setattr(options, "job", SimpleNamespace(**{**vars(job), "run": run}))
    module, needed = COMMANDS[command]
    module.main([*MODEL, *needed, "--output", str(tmp_path / "x"), *others])
    return found[0]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_that_changes_a_number_is_named(command, monkeypatch, tmp_path):
    names = options_of(command, monkeypatch)
    assert names <= OTHER_VALUES.keys() | CHANGES_NO_NUMBER, "say of a new option whether it changes a number"
    plain = described(command, monkeypatch, tmp_path)
    assert plain["weights_sha256"] == api.load(MODEL[1]).identity.weights_sha256 and plain["model"] == "demo-mixtral"
    hidden = "--representation", "hidden"
    for name in names & OTHER_VALUES.keys():
        needed = hidden if name == "layer" else ()
        before = described(command, monkeypatch, tmp_path, *needed) if needed else plain
        changed = described(command, monkeypatch, tmp_path, *needed, *OTHER_VALUES[name])
        assert changed != before, f"--{name} is not in the provenance"
