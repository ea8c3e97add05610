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

# For `Figure.savefig`, by format: no date, so that the same input gives the same file.
METADATA = {"png": None, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
