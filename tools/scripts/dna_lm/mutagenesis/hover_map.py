"""A heat map for Galaxy's reports that shows a score where the mouse points: a `vega` block.

Knows neither rows nor reports. The page's own Vega-Lite draws it, without an administrator. It holds no text of the
user.
"""

import json
from collections.abc import Mapping

import numpy as np

from dna_lm.inputs.stretches import BASES
from dna_lm.scores import SCORES

# A base takes about 20 of the 9,500 bytes of a report, and the rest of the report about half of them.
MAX_BASES = 210


def block(bases: str, scores: Mapping[tuple[int, str], float], score: str) -> str:
    """The fenced block for one sequence.

    bases: of the sequence; scores: (index of a base from 0, the base put there) -> its score; a missing one is left
    white, as the sequence's own base is.
    """
    lines = [",".join(("Base", *BASES))]
    for at, base in enumerate(bases):
        lines.append(",".join((base, *(_digits(scores.get((at, alt))) for alt in BASES))))
    # As in the picture: red and blue on either side of 0, or dark where the model's output changes most.
    signed, rising = {"scheme": "redblue", "domainMid": 0}, {"scheme": "magma", "reverse": SCORES[score].grows}
    colours = signed if SCORES[score].is_signed else rising
    position, base, alt = (
        {"field": name, "type": kind, "title": title}
        for name, kind, title in (("n", "ordinal", "Position"), ("Base", "nominal", "Base"), ("to", "nominal", "To"))
    )
    value = {"field": "s", "type": "quantitative", "title": SCORES[score].name}
    chart = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "height": 110,
        "data": {"values": "\n".join(lines), "format": {"type": "csv", "parse": dict.fromkeys(BASES, "number")}},
        "transform": [
            {"window": [{"op": "row_number", "as": "n"}]},
            {"fold": list(BASES), "as": ["to", "s"]},
            {"filter": "isValid(datum.s)"},
        ],
        "mark": {"type": "rect", "tooltip": True},
        "encoding": {
            "x": position | {"axis": {"labelOverlap": True, "labelAngle": 0}},
            "y": alt,
            "color": value | {"scale": colours},
            "tooltip": [position, base, alt, value],
        },
    }
    return f"```vega\n{json.dumps(chart, separators=(',', ':'))}\n```"


def _digits(value: float | None) -> str:
    """A score with three digits; nothing for none."""
    return "" if value is None or np.isnan(value) else f"{value:.3g}"
