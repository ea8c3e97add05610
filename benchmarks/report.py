"""Tables of what was measured, and their place in the README.

Knows nothing of processes. A `Cell` is one model, size and precision; an `Outcome` is what one contender did there.
"""

import re
from dataclasses import dataclass, field
from statistics import median

import work
from workload import Size

# The size that memory is compared with.
FEW = 1000


@dataclass
class Outcome:
    """`reason`: why it did not run, or not to the end. `seconds` and `peaks` (bytes): of each repeat."""

    title: str
    reading: work.Reading | None = None
    held: int = 0
    computed: int | None = None
    seconds: list[float] = field(default_factory=list)
    peaks: list[int] = field(default_factory=list)
    reason: str | None = None

    def rates(self):
        """Scored pairs a second: slowest, median, fastest."""
        rates = [self.reading.scored / seconds for seconds in self.seconds]
        return min(rates), median(rates), max(rates)

    def tokens(self):
        return self.reading.computed if self.computed is None else self.computed


@dataclass
class Cell:
    """`ceilings`: floating-point operations a second of a large product, by name, one for each repeat."""

    model: str
    size: Size
    precision: str
    shape: work.Shape
    outcomes: dict[str, Outcome]
    ceilings: dict[str, list[float]] = field(default_factory=dict)

    def ran(self, *names):
        return all(name in self.outcomes and self.outcomes[name].seconds for name in names)

    def flops(self, name):
        """Floating-point operations a second."""
        outcome = self.outcomes[name]
        return outcome.reading.flops(self.shape, outcome.computed) / median(outcome.seconds)

    def of_ceiling(self, name, ceiling):
        return f"{self.flops(name) / median(self.ceilings[ceiling]):.0%}" if self.ceilings.get(ceiling) else ""

    def times_faster(self, name, other):
        """The median of the ratios of runs that came one after the other: what else the machine did slowed both."""
        if not self.ran(name, other):
            return ""
        first, second = self.outcomes[name], self.outcomes[other]
        scored = first.reading.scored / second.reading.scored
        ratios = [scored * slow / fast for fast, slow in zip(first.seconds, second.seconds, strict=False)]
        return f"{median(ratios):.1f}"


def table(header, rows):
    """A table in Markdown; the first row of `header` and all of `rows` hold text."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


RESULTS = (
    "pairs × bases",
    "precision",
    "contender",
    "pairs/s: median (range)",
    "scored",
    "tokens/s",
    "computed / given",
    "GFLOP/s",
    "of torch.mm",
    "of oneDNN",
    "peak GB (before)",
)


def results(cells):
    """One model's table: a row for each contender of each cell."""
    return table(RESULTS, [_result(cell, name) for cell in cells for name in cell.outcomes])


def _result(cell, name):
    outcome = cell.outcomes[name]
    start = [str(cell.size), cell.precision, outcome.title]
    if not outcome.seconds:
        return [*start, outcome.reason, *[""] * (len(RESULTS) - len(start) - 1)]
    slowest, middle, fastest = outcome.rates()
    reading = outcome.reading
    return [
        *start,
        f"{_number(middle)} ({_number(slowest)}–{_number(fastest)})"
        + (f"; {outcome.reason}" if outcome.reason else ""),
        f"{reading.scored:,} of {cell.size.pairs:,}",
        f"{outcome.tokens() / median(outcome.seconds):,.0f}",
        f"{outcome.tokens():,} / {reading.given:,} = {outcome.tokens() / reading.given:.2f}",
        f"{cell.flops(name) / 1e9:.1f}",
        cell.of_ceiling(name, "torch"),
        cell.of_ceiling(name, "onednn"),
        f"{max(outcome.peaks) / 1e9:.2f} ({outcome.held / 1e9:.2f})",
    ]


def _number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


RATIOS = {
    "ours ÷ transformers, best batches": ("ours", "batched"),
    "ours ÷ tutorial, 100 a batch": ("ours", "tutorial-100"),
    "ours ÷ tutorial, whole file": ("ours", "tutorial-whole"),
    "ours, llr ÷ dnallm": ("ours-llr", "dnallm"),
    "ours, llr, both strands ÷ gpn": ("ours-llr-both", "gpn"),
}


def ratios(cells):
    """How many times faster ours is, what of the ceiling it reaches, how its memory grows: a row for each cell."""
    header = [
        "model",
        "pairs × bases",
        "precision",
        *RATIOS,
        "ours, of torch.mm",
        "ours, of oneDNN",
        f"ours, peak ÷ at {FEW:,} pairs",
    ]
    few = {(c.model, c.size.bases, c.precision): c for c in cells if c.size.pairs == FEW and c.ran("ours")}
    rows = []
    for cell in cells:
        fractions = [cell.of_ceiling("ours", ceiling) if cell.ran("ours") else "" for ceiling in ("torch", "onednn")]
        base = few.get((cell.model, cell.size.bases, cell.precision))
        growth = ""
        if base and cell.ran("ours"):
            growth = f"{max(cell.outcomes['ours'].peaks) / max(base.outcomes['ours'].peaks):.2f}"
        times = [cell.times_faster(*names) for names in RATIOS.values()]
        rows.append([cell.model, str(cell.size), cell.precision, *times, *fractions, growth])
    return table(header, rows)


def ceilings(cells):
    """The large products of each cell, in GFLOP/s: median and range."""
    rows = []
    for cell in cells:
        columns = []
        for name in ("torch", "onednn"):
            rates = [rate / 1e9 for rate in cell.ceilings.get(name, [])]
            columns.append(f"{median(rates):,.0f} ({min(rates):,.0f}–{max(rates):,.0f})" if rates else "")
        rows.append([cell.model, str(cell.size), cell.precision, *columns])
    return table(["model", "pairs × bases", "precision", "torch.mm", "oneDNN"], rows)


def replace_between_markers(text, name, new):
    """`text` with what stands between `<!-- name -->` and `<!-- /name -->` replaced by `new`."""
    start, stop = f"<!-- {name} -->", f"<!-- /{name} -->"
    replaced, count = re.subn(
        f"{re.escape(start)}.*?{re.escape(stop)}",
        lambda _: f"{start}\n\n{new.strip()}\n\n{stop}",
        text,
        flags=re.DOTALL,
    )
    if count != 1:
        raise ValueError(f"the text has {count} times {start} ... {stop}, not once")
    return replaced
