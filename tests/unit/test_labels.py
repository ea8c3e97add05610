"""Labels: short ones from the names of datasets, as this suite's tools name them."""

import json
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import ROOT
from dna_lm import galaxy, names
from dna_lm.inputs import tables

TOOLS = ROOT / "tools"
NAMES = st.lists(st.sampled_from(["Mutation scores of ", "exon", "intron", ".fasta", ".gz", " ", ", put together"]))


@pytest.mark.parametrize(
    ("labels", "short"),
    [
        (["Mutation scores of exon_alt.fasta.gz", "intron.tsv"], ["exon_alt", "intron"]),
        (["Variant scores of a.b.vcf (as in the tutorial)", "Embeddings of v1.2"], ["a.b", "v1.2"]),
        (["Mutagenesis scores of CFTR.bed, put together (as in the tutorial)"], ["CFTR"]),
        (["Mutation scores of Mutant chunks of exon.fa, put together"], ["exon"]),
        (["mutation scores", "scores of exon", ".gz", "Embeddings of .gz"], None),  # nothing to leave out
        (["exon.tsv", "exon.txt", "intron.tsv"], ["exon.tsv", "exon.txt", "intron"]),  # apart by the extension alone
        (
            ["Mutation scores of exon", "exon", "Embeddings of\texon"],
            ["Mutation scores of exon", "exon", "Embeddings of exon"],
        ),
        ([], []),
    ],
)
def test_short_labels(labels, short):
    assert galaxy.short_labels(labels) == (labels if short is None else short)


@given(st.lists(NAMES.map("".join), max_size=8))
def test_labels_are_equal_only_where_names_are(labels):
    cleaned = [names.clean_label(label) for label in labels]
    short = galaxy.short_labels(cleaned)
    assert len(set(short)) == len(set(cleaned))
    assert all(label in name and bool(label) == bool(name) for label, name in zip(short, cleaned, strict=True))


@given(st.lists(NAMES.map("".join), max_size=8))
def test_numbered_labels_differ_and_begin_with_what_they_were(labels):
    found = names.numbered(labels)
    assert len(set(found)) == len(found) == len(labels)
    assert all(new == old or new.startswith(f"{old} (") for new, old in zip(found, labels, strict=True))
    assert names.numbered(["x", "y", "x", "x (2)"]) == ["x", "y", "x (2)", "x (2) (2)"]


def test_datasets_of_one_name_are_numbered_on_request(tmp_path):
    """Two tables of one VCF have the same name in a history."""
    path = tmp_path / "tables.json"
    path.write_text(json.dumps([{"name": "Variant scores of a.vcf", "table": f"{n}.tsv"} for n in range(2)]))
    label = "Variant scores of a.vcf"
    assert tables.read_table_list(path) == [(label, "0.tsv"), (label, "1.tsv")]
    assert tables.read_table_list(path, numbered=True) == [(label, "0.tsv"), (f"{label} (2)", "1.tsv")]


def output_labels():
    """Labels of the suite's score tables, with the tokens of macros.xml: (tool, label)."""
    tokens = {token.get("name"): token.text or "" for token in ElementTree.parse(TOOLS / "macros.xml").iter("token")}
    for wrapper in sorted(TOOLS.glob("dna_lm_*.xml")):
        if wrapper.stem in ("dna_lm_compare_groups", "dna_lm_evaluate"):
            continue
        # A wrapper may have its outputs in a file of macros.
        paths = [wrapper, *(TOOLS / imported.text for imported in ElementTree.parse(wrapper).iter("import"))]
        for output in (found for path in paths for found in ElementTree.parse(path).iter("data")):
            label = output.get("label", "")
            if output.get("format") not in ("tabular", None) or "${tool.name}" in label:
                continue
            for name, text in tokens.items():
                label = label.replace(name, text)
            yield wrapper.stem, label


def named(label, name):
    """What Galaxy makes of an output's label for a dataset called `name`; with each text that the label may add."""
    first, *others = re.findall(r"\$\{(?:[^{}]|\{[^{}]*\})*\}", label)
    added = label.replace(first, name, 1)
    for other in others:
        added = added.replace(other, re.findall(r"'([^']+)' if ", other)[0])
    return added


@pytest.mark.parametrize(("tool", "label"), list(output_labels()))
def test_what_a_tool_puts_around_the_name_of_its_input_is_left_out(tool, label):
    name = named(label, "exon_alt.fasta.gz")
    assert name != "exon_alt.fasta.gz"
    assert galaxy.short_labels([name]) == ["exon_alt"]


def test_every_tool_that_names_tables_after_their_input_is_seen():
    assert {"dna_lm_score_pairs", "dna_lm_score_variants", "dna_lm_collapse"} <= {tool for tool, _ in output_labels()}


def test_a_shortened_text_has_both_ends():
    assert names.shortened("abcdefghij", 10) == "abcdefghij"
    assert names.shortened("abcdefghijk", 10) == "abcdef…ijk"
    assert names.shortened("ääääää", 9, lambda text: len(text.encode())) == "ää…ä"
