"""All that the library knows of Galaxy: its pages, the names that its tools give datasets, and what a job may use."""

import os
import re
from collections import Counter
from collections.abc import Sequence
from urllib.parse import quote

from dna_lm.names import clean_label

# Galaxy shows the first 10,240 characters of a report and leaves out the rest without a message. A report has at most
# this many bytes, which fits whether a server counts bytes or characters: long tables get fewer rows.
MAX_REPORT_BYTES = 9_500

# What the suite's tools put around the name of their input when they name an output; and file extensions.
_ADDITIONS = re.compile(
    r"\A(?:(?:mutation|variant|mutagenesis) scores|dependencies|embeddings|pca coordinates"
    r"|(?:(?:wild-type|mutant) )?(?:chunks|windows)) of "
    r"|(?: \(as in the tutorial\)|, put together)\Z"
    r"|\.(?:tsv|tab|tabular|csv|txt|fasta|fas|fa|fna|ffn|vcf|bed|gff3?|gtf|gz|bgz|bz2|xz|zip)\Z",
    re.IGNORECASE,
)


class Page:
    """Where a report is read: a Markdown file next to the other outputs."""

    shows_svg = True
    draws_charts = False

    def picture(self, name: str, output: str, alt: str) -> str:
        """Markdown that shows the picture in the file `name`, which is the `output` of the tool in Galaxy."""
        return f"![{alt}](<{quote(name)}>)"

    def table(self, output: str, title: str) -> list[str]:
        """Blocks that show a table, folded under its title; none where the reader has the file."""
        return []

    def text(self, blocks: Sequence[str]) -> str:
        """The report of its blocks: headings, paragraphs, lists and tables."""
        return "\n\n".join(blocks) + "\n"


class _GalaxyPage(Page):
    """A `tool_markdown` dataset, which every server shows; an administrator would have to allow HTML."""

    shows_svg = False
    draws_charts = True

    def picture(self, name: str, output: str, alt: str) -> str:
        return f'```galaxy\nhistory_dataset_as_image(output="{output}")\n```'

    def table(self, output: str, title: str) -> list[str]:
        return [f'```galaxy\nhistory_dataset_as_table(output="{output}", collapse="{title}")\n```']

    def text(self, blocks: Sequence[str]) -> str:
        # The page has no space below a table, nor between its cells. Add some at which no line breaks; no text of the
        # user has a bar in it.
        text = super().text([f"{block}\n\n&#160;" if _ends_as_table(block) else block for block in blocks])
        return re.sub(r" \| (?!---)", " | &#8199;", text)


FILES, GALAXY = Page(), _GalaxyPage()
# The values of the option `--report-for`.
PAGES = {"files": FILES, "galaxy": GALAXY}


def _ends_as_table(block: str) -> bool:
    return block.rpartition("\n")[2].startswith("|")


def is_job() -> bool:
    """Whether Galaxy runs this process."""
    return "GALAXY_SLOTS" in os.environ


def threads() -> int | None:
    """How many threads Galaxy gave the job, or `None` outside of Galaxy."""
    return _number("GALAXY_SLOTS")


def memory() -> int | None:
    """How many bytes of memory Galaxy gave the job, or `None`."""
    megabytes = _number("GALAXY_MEMORY_MB")
    return megabytes and megabytes * 2**20


def _number(variable: str) -> int | None:
    given = os.environ.get(variable, "")
    return int(given) if given.isdecimal() and int(given) else None


def short_labels(names: Sequence[str]) -> list[str]:
    """Labels of groups from the names of their datasets, in order: `exon` for `Mutation scores of exon.fasta.gz`.

    What the suite's tools put around the name of their input is left out, and file extensions. Names that would get the
    same label keep their whole text, so labels are equal only where names are.
    """
    names = [clean_label(name) for name in names]
    labels = [_without_additions(name) for name in names]
    counts = Counter(labels)
    return [name if counts[label] > 1 else label for name, label in zip(names, labels, strict=True)]


def _without_additions(name: str) -> str:
    """The name without `_ADDITIONS`, of which one can follow another. Empty only where the name is."""
    while (shorter := clean_label(_ADDITIONS.sub("", name))) not in ("", name):
        name = shorter
    return name
