"""The settings that a model's authors, or a benchmark that used it, score variants with.

A model is known by its id, or by the name in its config.json. What nobody recommends is a suggestion of the suite, and
is called so. The table of docs/models.md is made from `TABLE`.
"""

import re
from dataclasses import dataclass, replace

from dna_lm.engine.encoder import Embedding
from dna_lm.errors import UserError
from dna_lm.inputs import alleles
from dna_lm.model import files, summary
from dna_lm.model.checkpoint import Checkpoint
from dna_lm.scores import LIKELIHOODS, LLR, LLR_MEAN

MEAN_STATES = Embedding("hidden", pooling="mean")
_OURS = "a suggestion of this suite"
# Where sequences are embedded, whatever the model.
EMBEDDINGS = f"recommended for embeddings ({_OURS})"
_TRAITGYM = "https://github.com/songlab-cal/TraitGym/blob/main/other"
# Of the longest input of a model whose tokens differ in length: what nearly all sequences of this length fit in.
_SAFE_PART = 0.8


@dataclass(frozen=True)
class Recommended:
    """How variants are scored with the models of a family.

    ids: what the ids of its models match, in lower case. window: bases, with `before` of them before a substitution (by
    default half). whose: who recommends it, in words. remark: Markdown for the table of the documentation.
    """

    family: str
    ids: str
    window: int
    scores: tuple[str, ...]
    strand: str
    whose: str
    remark: str
    embedding: Embedding = MEAN_STATES
    before: int | None = None

    @property
    def flank(self) -> int:
        """Bases to read on either side of an interval."""
        return self.window // 2

    @property
    def indel_window(self) -> str:
        """Windows of insertions and deletions: of one length where a log-likelihood would depend on it."""
        return alleles.SAME_LENGTH if set(self.scores) & set(LIKELIHOODS) else alleles.SAME_FLANKS

    @property
    def as_text(self) -> str:
        """Of whom, for headers and reports: `recommended for GPN (TraitGym)`."""
        return f"recommended for {self.family} ({self.whose})"


TABLE = (
    Recommended(
        "Mistral-DNA",
        "mistral-dna",
        201,
        ("l2",),
        "forward",
        "the public tutorial",
        "the defaults of *Score mutation pairs*; the public tutorial, with "
        "[these data](https://github.com/raphaelmourad/Mistral-DNA/tree/main/data/SNP)",
        Embedding(),
    ),
    Recommended(
        "the demonstration model",
        "demo-mixtral",
        201,
        ("l2",),
        "mean",
        "the tutorial of this suite",
        "as in the [tutorial](tutorial.md) of this suite: those of Mistral-DNA on both strands",
        Embedding(),
    ),
    Recommended(
        "Nucleotide Transformer v1",
        r"/nucleotide-transformer-(500m|2\.5b)",
        5994,
        (LLR,),
        "mean",
        "TraitGym",
        f"[TraitGym]({_TRAITGYM}/workflow/scripts/run_vep_llr_nucleotide_transformer.py): the 6-mer in the middle is "
        "masked",
    ),
    Recommended(
        "Nucleotide Transformer v2, AgroNT",
        r"nucleotide-transformer-v2|agro-nucleotide-transformer",
        5994,
        (LLR,),
        "mean",
        f"{_OURS}, as for v1",
        "none found: as v1",
    ),
    Recommended(
        "GPN",
        r"(^|/)gpn-(brassicales|animal)",
        512,
        (LLR,),
        "mean",
        "TraitGym, by the authors of GPN",
        f"[TraitGym]({_TRAITGYM}/config/config.yaml), by the authors of GPN",
    ),
    Recommended(
        "PlantCaduceus",
        "plantcaduceus",
        512,
        (LLR,),
        "forward",
        "its authors",
        "[authors](https://github.com/kuleshov-group/PlantCaduceus): they mask base 256 of 512, so 255 bases come "
        "before it. Both strands give the same score",
        before=255,
    ),
    Recommended(
        "Caduceus",
        "caduceus-p[hs]_",
        131071,
        (LLR,),
        "mean",
        "TraitGym",
        f"[TraitGym]({_TRAITGYM}/config/config.yaml), for `ps` and 131k: `[SEP]` takes one token. The 1k models: 1023. "
        "The [authors](https://arxiv.org/abs/2403.03234) train a classifier on embeddings",
    ),
    Recommended(
        "HyenaDNA",
        "hyenadna",
        160000,
        (LLR,),
        "mean",
        "TraitGym",
        f"[TraitGym]({_TRAITGYM}/config/config.yaml), for `medium-160k`. For the others, at most their length",
    ),
    Recommended(
        "MarinDNA",
        "marin-dna",
        255,
        (LLR,),
        "mean",
        "its authors",
        "[authors](https://github.com/Open-Athena/marin-dna/blob/main/examples/model_inference_and_vep.py): also the "
        "longest input",
    ),
    Recommended(
        "Evo 2",
        r"evo2_|evo-2-",
        8192,
        (LLR_MEAN, LLR),
        "forward",
        "its authors",
        "[authors](https://github.com/ArcInstitute/evo2), notebook on BRCA1: the variant is base 4097 of 8,192, as in "
        "*Score variants*; both windows of one length, so `llr` ranks alike",
    ),
    Recommended(
        "Evo 1 and 1.5",
        r"evo-1(\.5)?-",
        8191,
        (LLR_MEAN, LLR),
        "forward",
        "its authors",
        "[authors](https://github.com/evo-design/evo): token 0 is put before each sequence, and takes one of 8,192 "
        "tokens",
    ),
    Recommended(
        "Carbon",
        "/carbon-",
        8190,
        (LLR,),
        "mean",
        "its authors",
        "[authors](https://github.com/huggingface/carbon/blob/main/evaluation/README.md): 8,192 bases; for BRCA1 and "
        "BRCA2 the forward strand only",
    ),
    Recommended(
        "GENERator",
        "generator",
        8190,
        (LLR,),
        "forward",
        "the authors of Carbon",
        "Carbon's authors, who evaluated it as in the row above. GENERator's "
        "[authors](https://github.com/GenerTeam/GENERator/blob/main/src/tasks/downstream/variant_effect_prediction.py) "
        "read only the bases before the variant (6 to 96 kb), and compare the probabilities of the next base. The "
        "suite does not compute this score",
    ),
    Recommended(
        "DNABERT, DNABERT-2, DNABERT-S, GENA-LM",
        r"(?<!plant-)dna_?bert|gena-lm",
        512,
        ("cosine_distance",),
        "forward",
        "BEND, with the whole window pooled",
        "[BEND](https://arxiv.org/abs/2311.12570) compares the vectors of the variant's token. Here the whole window "
        "is pooled",
    ),
)
OTHERS = Recommended(
    "all others",
    "",
    512,
    (LLR, "cosine_distance"),
    "mean",
    _OURS,
    "none found: our suggestion",
)


def of(model: Checkpoint) -> Recommended:
    """What is recommended for a model, with a window that it can read, and scores that it can give.

    Raises `UserError` for a model whose window would be too short to have a substitution and its neighbours.
    """
    saved_as = files.read_config(model.identity.folder).get("_name_or_path")
    found = family_of(model.identity.name)
    if found is OTHERS:
        found = family_of(str(saved_as))
    if found is OTHERS:
        found = replace(OTHERS, family="a model of no known family")
    if model.head is None and set(found.scores) & set(LIKELIHOODS):
        found = replace(found, scores=("cosine_distance",), whose=f"{_OURS}: this model has hidden states only")
    window = min(found.window, longest_window(model))
    if window < 3:
        raise UserError("no settings are recommended for this model: it reads too few bases. Choose your own settings")
    return found if window == found.window else replace(found, window=window, before=None)


def family_of(name: str) -> Recommended:
    """What is recommended for models of a name, or `OTHERS`."""
    return next((row for row in TABLE if fits(row, name)), OTHERS)


def fits(row: Recommended, name: str) -> bool:
    """Whether a row is for the models of a name."""
    return re.search(row.ids, name.lower()) is not None


def longest_window(model: Checkpoint) -> int:
    """The longest window in bases that a model reads, to be on the safe side where its tokens differ in length."""
    n_bases, is_exact = summary.longest_bases(model)
    return int(n_bases * (1 if is_exact else _SAFE_PART))


def markdown_table() -> str:
    """The table of the documentation."""
    lines = ["| family | window | score | strand | source and differences |", "|---|---|---|---|---|"]
    for row in (*TABLE, OTHERS):
        what = "logits" if row.embedding.representation == "logits" else "hidden states"
        of_vectors = f" of {what}, `{row.embedding.pooling}`"
        scores = " and ".join(f"`{name}`" + of_vectors * (name not in LIKELIHOODS) for name in row.scores)
        window = f"{row.window}, or the longest input if it is shorter" if row is OTHERS else str(row.window)
        lines.append(f"| {row.family} | {window} | {scores} | {row.strand} | {row.remark} |")
    return "\n".join(lines) + "\n"
