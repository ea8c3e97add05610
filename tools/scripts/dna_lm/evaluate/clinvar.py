"""ClinVar's classifications of germline variants: which are labels, and why the others are left out.

Knows the spellings of CLNSIG in ClinVar's VCF (`/` joins the terms of one classification, `|` adds classifications of
another kind, a low penetrance is written with a comma), and nothing of files.
"""

POSITIVE = ("Pathogenic", "Likely_pathogenic", "Pathogenic/Likely_pathogenic")
NEGATIVE = ("Benign", "Likely_benign", "Benign/Likely_benign")

# What is in a classification that is left out -> the reason; the first that fits.
_REASONS = (
    ("low_penetrance", "low penetrance"),
    ("risk_allele", "risk allele"),
    ("conflicting", "conflicting"),
    ("uncertain", "uncertain"),
    ("not_provided", "not classified"),
    ("no_classification", "not classified"),
)


def classification(text: str) -> str:
    """A cell's classification as ClinVar's VCF spells it: without what follows `|`, with `_` for spaces."""
    return "_".join(text.partition("|")[0].split())


def reason(classified: str) -> str:
    """Why a classification that is not a label is left out, in a word or two."""
    lower = classified.lower()
    return next((words for part, words in _REASONS if part in lower), "another kind of classification")
