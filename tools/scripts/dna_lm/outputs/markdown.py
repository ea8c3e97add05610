"""Markdown of reports: text from users made inert, tables, numbers in words, and a limit to the length.

Knows nothing of what is reported.
"""

import math
import os
import re
from collections.abc import Callable, Mapping, Sequence

from dna_lm.galaxy import FILES, MAX_REPORT_BYTES, Page
from dna_lm.names import clean_label, shortened

# Bytes of a text from the user. A label of 60 characters is never cut: a character takes at most six bytes.
MAX_LABEL = 360
MAX_TITLE = 400
MAX_SETTING = 250

# The most rows of a table that people read; the output tables have all.
MAX_ROWS = 30

Blocks = list[str]  # parts of a report with an empty line between them: headings, paragraphs, lists, tables


def inert(text: str) -> str:
    """User text as Markdown that is shown as typed, on one line: ASCII punctuation except .,:;()/%'- becomes entities.

    The result has no Markdown, HTML, table cell, code fence or Galaxy directive (`${galaxy …}`). It must not be at the
    beginning of a line, where `-` or `1.` would begin a list.
    """
    return re.sub(r"[!\"#$&*+<=>?@\[\\\]^_`{|}~]", lambda match: f"&#{ord(match.group())};", clean_label(text))


def fitting(compose: Callable[[int], Blocks], page: Page = FILES, max_bytes: int = MAX_REPORT_BYTES) -> str:
    """The report with as many rows in its lists and tables as fit into `max_bytes`.

    compose: from the most rows of a list or table to the blocks of the report. A report that is still too long with one
    row ends early and says so.
    """
    for rows in range(MAX_ROWS, 0, -1):
        text = page.text(compose(rows))
        if len(text.encode()) <= max_bytes:
            return text
    return cut_at_line(text, max_bytes)


def cut_at_line(text: str, limit: int) -> str:
    """The first whole lines of a Markdown text and a sentence that says so, together at most `limit` bytes.

    The cut is not inside a fenced block.
    """
    ending = "\n\n*This report was too long and ends here. The tables have all numbers.*\n"
    lines = text.splitlines()
    while lines and (
        len("\n".join(lines).encode()) + len(ending) > limit or sum(line.startswith("```") for line in lines) % 2
    ):
        lines.pop()
    return "\n".join(lines).rstrip() + ending


def limited(text: str, limit: int) -> str:
    """The text, shortened if it would take more than `limit` bytes in the report."""
    return shortened(text, limit, lambda text: len(inert(text).encode()))


def distinct(labels: Sequence[str]) -> dict[str, str]:
    """Label -> its text in a report, which is not yet inert.

    Of shortened names that are equal, all except the first get a number.
    """
    names = {}
    for number, label in enumerate(labels, start=1):
        name = limited(label, MAX_LABEL)
        names[label] = f"{limited(label, MAX_LABEL - 5)} ({number})" if name in names.values() else name
    return names


def settings_list(settings: Mapping[str, str]) -> str:
    """A list of settings, name to value; the names are ours, the values may be a user's."""
    return "\n".join(f"- {name}: {inert(limited(str(value), MAX_SETTING))}" for name, value in settings.items())


def plot_block(
    path: str | None, file_format: str, alt: str, note: str | None = None, page: Page = FILES, output: str = "plot"
) -> str | None:
    """Markdown that shows the plot: the file at `path`, next to the report; in Galaxy the tool's `output`.

    None without a path. alt: what it shows; note: a sentence below the plot.
    """
    if not path:
        return None
    if file_format == "pdf" or (file_format == "svg" and not page.shows_svg):
        text = f"The plot is {'a PDF' if file_format == 'pdf' else 'an SVG'}, which cannot be shown inside a report: "
        text += "open the plot itself."
    else:
        text = page.picture(os.path.basename(path), output, alt)
    return f"{text}\n\n{note}" if note else text


def table(header: list[str], rows: list[list[str]], n_texts: int, total: int, source: str = "tests") -> str:
    """A Markdown table whose first `n_texts` columns are text and whose others are numbers.

    If it has fewer rows than the `total` of the `source` table, a line below says so.
    """
    lines = [header, ["---"] * n_texts + ["---:"] * (len(header) - n_texts), *rows]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    if total > len(rows):
        text += f"\n\nThe first {len(rows)} of {total}; the {source} table has them all."
    return text


def number_text(value: float) -> str:
    """A number with four digits, or a whole number; `undefined` for NaN."""
    if math.isnan(value):
        return "undefined"
    return f"{value:,.0f}" if 9999.5 <= abs(value) < 1e9 else f"{value:.4g}"


def p_value_text(p: float) -> str:
    """A p-value with two digits."""
    if math.isnan(p):
        return "undefined"
    return f"{p:.2g}" if p > 1e-300 else "below 1e-300"


def p_text(p: float) -> str:
    """A p-value in a sentence: `p = 0.02`."""
    text = p_value_text(p)
    return f"p {text}" if text[0] in "ub" else f"p = {text}"
