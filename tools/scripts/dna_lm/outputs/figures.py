"""What all figures of the suite share: style, file formats and metadata. Knows nothing of what is drawn."""

import matplotlib

matplotlib.use("Agg")  # a job has no display

FORMATS = ("png", "svg", "pdf")

# Settings of matplotlib, for `matplotlib.pyplot.rc_context`.
STYLE = {
    "font.size": 11,
    "font.family": ["DejaVu Sans"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.fonttype": "none",  # text stays text: searchable and editable
    "svg.hashsalt": "dna_lm",  # the same input gives the same file
    "pdf.fonttype": 42,
}

# Okabe and Ito's palette (2008), which readers with any common colour-vision deficiency can tell apart. Black is kept
# for lines. Colours and line styles together tell 40 groups apart.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#999999", "#F0E442")
LINES = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)))

# For `Figure.savefig`, by format: no date, so that the same input gives the same file.
METADATA = {"png": None, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
