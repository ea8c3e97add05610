"""Tables as other programs write them: separators, quotes, titles and comments above the header."""

import numpy as np
import pytest

from dna_lm.errors import UserError
from dna_lm.inputs import tables

ROWS = [["a b", "1.5"], ["c", ""], ["d, e; f", "-2"]]


def read(tmp_path, text):
    (tmp_path / "t").write_text(text)
    with tables.open_table(tmp_path / "t", "the table") as table:
        found = tables.read_columns(table, ["id"], ["l2"])
    return [list(row) for row in zip(found["id"], found["l2"].tolist(), strict=True)]


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("id\tl2\na b\t1.5\nc\t\nd, e; f\t-2\n", []),
        ("#id\tl2\r\na b\t1.5\r\nc\tNA\r\nd, e; f\t-2\r\n", []),
        ('"id"\t"l2"\n"a b"\t1.5\n"c"\tNA\n"d, e; f"\t-2\n', []),
        ('id,l2\na b,1.5\nc,\n"d, e; f",-2\n', ["the table is comma-separated, not tab-separated: it is read so"]),
        (
            '"id";"l2"\n"a b";1.5\n\nc;nan\n"d, e; f";-2',
            ["the table is semicolon-separated, not tab-separated: it is read so"],
        ),
        (
            "\nSupplementary table 1, all rows\n## made by x\ty\n#id\tl2\na b\t1.5\n\nc\t\nd, e; f\t-2\n",
            ["the table: the header is line 4; the lines before it are left out"],
        ),
        (
            "A table, ours\nMore, text\nOf 3, rows\nid\tl2\na b\t1.5\nc\t\nd, e; f\t-2\n",
            ["the table: the header is line 4; the lines before it are left out"],
        ),
        (
            '"A title; of ""x"", ours";;\n\nid;l2\na b;1.5\nc;\n"d, e; f";-2\n',
            [
                "the table: the header is line 3; the lines before it are left out",
                "the table is semicolon-separated, not tab-separated: it is read so",
            ],
        ),
        (
            'A title,\n\nid,l2\na b,1.5\nc,\n"d, e; f",-2\n',
            [
                "the table: the header is line 3; the lines before it are left out",
                "the table is comma-separated, not tab-separated: it is read so",
            ],
        ),
    ],
)
def test_tables_of_other_programs_are_read_and_this_is_said(tmp_path, caplog, text, messages):
    found = read(tmp_path, text)
    expected = [[name, float(cell or "nan")] for name, cell in ROWS]
    np.testing.assert_array_equal([row[1] for row in found], [row[1] for row in expected])
    assert [row[0] for row in found] == [row[0] for row in expected]
    assert caplog.messages == messages


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a\t1.5\nb\t2\n",
            "has no column 'id' .text.; its columns: 'a', '1.5'. Line 1 looks like data: put a line with",
        ),
        (
            "two\tgroups\nid\tl2\na\t1\n",
            "no column 'id' .text.; its columns: 'two', 'groups'. Line 2 has it: remove the",
        ),
        ("id,l1\na,1\n", r"no column 'l2' \(score\); its numeric columns: 'l1' .the file is comma-separated."),
        ('id,l2\na,1\n"b,2\nc,3\n', "line 4: a cell in quotes cannot be read"),
        ("id;l2\na;0,5\n", "line 2: '0,5' in column 'l2' is not a finite number"),
        ("id,l2\na,1,2\n", "line 2: 3 fields where the header has 2 .the file is comma-separated.; R's names of rows"),
        ("##only\n##comments\n", "the table has no column 'id'"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused_with_its_line(tmp_path, text, message):
    with pytest.raises(UserError, match=message) as raised:
        read(tmp_path, text)
    assert str(raised.value).isprintable() and len(str(raised.value)) <= 250


def test_an_unnamed_first_column_is_no_title(tmp_path):
    (tmp_path / "t").write_text("\tl2\n0\t1\n1\t2\n")
    with tables.open_table(tmp_path / "t", "the table") as table:
        assert table.names == ["", "l2"] and [fields for _, fields in table.rows()] == [["0", "1"], ["1", "2"]]
