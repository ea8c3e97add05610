"""Galaxy's tools for tables, which `make serve` offers for score tables: their results, computed again here."""

import csv
from pathlib import Path

from galaxy_user import TEST_DATA, User

# 60 rows each, of which some have no score.
EXONS = TEST_DATA / "groups_exon.tsv"
WITH_STATUS_AND_SCORE = ("id", "status", "l2")


def rows_of(content: bytes) -> list[list[str]]:
    """The rows of a tab-separated file, with its header."""
    return [*csv.reader(content.decode().splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)]


def test_a_score_table_is_sorted_filtered_cut_and_joined(user: User, tmp_path: Path) -> None:
    """Each tool keeps the header, and does with the rows what it says."""
    header, *rows = rows_of(EXONS.read_bytes())
    status, score = header.index("status") + 1, header.index("l2") + 1
    table = user.upload(EXONS, "tabular")
    scored = [row for row in rows if row[status - 1] == "ok"]
    assert 0 < len(scored) < len(rows)

    inputs = {"input": table, "cond": f"c{status}=='ok'", "header_lines": 1}
    filtered = user.run("Filter1", inputs)["out_file1"]
    assert rows_of(filtered) == [header, *scored]

    (tmp_path / "filtered.tsv").write_bytes(filtered)
    inputs = {"input": user.upload(tmp_path / "filtered.tsv", "tabular"), "column": score, "style": "gennum"}
    ordered = user.run("sort1", inputs | {"order": "DESC", "header_lines": 1})["out_file1"]
    assert rows_of(ordered) == [header, *sorted(scored, key=lambda row: -float(row[score - 1]))]

    (tmp_path / "sorted.tsv").write_bytes(ordered)
    inputs = {"input": user.upload(tmp_path / "sorted.tsv", "tabular"), "lineNum": 5, "header": True}
    first = user.run("Show beginning1", inputs)["out_file1"]
    assert rows_of(first) == rows_of(ordered)[:6]

    columns = [header.index(name) for name in WITH_STATUS_AND_SCORE]
    inputs = {"input": table, "delimiter": "T", "columnList": ",".join(f"c{number + 1}" for number in columns)}
    cut = user.run("Cut1", inputs)["out_file1"]
    assert rows_of(cut) == [[row[number] for number in columns] for row in [header, *rows]]

    (tmp_path / "first.tsv").write_bytes(first)
    (tmp_path / "cut.tsv").write_bytes(cut)
    inputs = {f"input{n}": user.upload(tmp_path / f"{name}.tsv", "tabular") for n, name in ((1, "first"), (2, "cut"))}
    joined = user.run("join1", inputs | {"field1": 1, "field2": 1})["out_file1"]
    by_id = {row[0]: row for row in rows_of(cut)}
    assert rows_of(joined) == [row + by_id[row[0]] for row in rows_of(first)]
