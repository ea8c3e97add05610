"""Messages that tell a user to change an option name its field in the form of the tool, too."""

import ast
import re
import xml.etree.ElementTree as ET

import pytest

from conftest import ROOT

LIBRARY = ROOT / "tools" / "scripts" / "dna_lm"
FORMS = [*(ROOT / "tools").glob("*.xml"), *(ROOT / "data_managers").rglob("*.xml")]


def fields():
    """Option -> labels of its fields, in all forms."""
    found = {}
    for form in FORMS:
        for field in ET.parse(form).iter("param"):
            if field.get("argument") and field.get("label"):
                found.setdefault(field.get("argument"), set()).add(field.get("label"))
    return found


FIELDS = fields()


def messages(path):
    """The texts of a module's errors and warnings, with `{}` for what is filled in, and their lines."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and (
            getattr(node.func, "id", "") == "UserError" or getattr(node.func, "attr", "") in ("warning", "info")
        ):
            for argument in node.args:
                parts = argument.values if isinstance(argument, ast.JoinedStr) else [argument]
                yield node.lineno, "".join(str(getattr(part, "value", "{}")) for part in parts if part)


def test_the_forms_have_fields():
    assert FIELDS["--allow-ref-mismatches"] == {"Continue when many REF alleles differ from the reference"}
    assert len(FIELDS) > 40


# A form cannot give options that contradict each other: what commands say of them is for the command line.
MODULES = [path for path in sorted(LIBRARY.rglob("*.py")) if path.parent.name != "commands"]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(LIBRARY)))
def test_an_option_in_a_message_stands_behind_its_field(path):
    for line, text in messages(path):
        for option in re.findall(r"--[a-z][a-z-]+", text):
            labels = FIELDS.get(option, ())
            assert not labels or any(f'"{label}" ({option}' in text for label in labels), (line, text, labels)
