"""How sequences become numbers: the choices that decide a result, the same in every tool."""

from dataclasses import dataclass, field

from dna_lm.engine import likelihood
from dna_lm.engine.encoder import REPRESENTATIONS, Embedding
from dna_lm.engine.pooling import POOLINGS
from dna_lm.errors import UserError, quoted
from dna_lm.model.checkpoint import Checkpoint
from dna_lm.model.tokens import base_tokens
from dna_lm.scores import LIKELIHOODS, LLR, LLR_MEAN, SCORES

# Whether each strand that is read is the reverse complement.
STRANDS = {"forward": (False,), "reverse": (True,), "mean": (False, True)}

# What messages call the comparison of predictions.
PURPOSE = "a dependency map"


@dataclass(frozen=True)
class Settings:
    """Which embedding, which scores of it, and what of a sequence is read.

    `scores` are names of `scores.SCORES`; empty when only embeddings are wanted. `tutorial`: sequences are padded as in
    the tutorial. `truncate`: pairs that are too long for the model are cut to the bases around their change.
    `dependencies`: whether the predictions for the other bases are compared (see `dependencies`).
    `log_likelihood`: an embedded sequence gets its log-likelihood too. `chosen_by`: who recommends these settings, in
    words, if somebody does.
    """

    embedding: Embedding = field(default_factory=Embedding)
    strand: str = "forward"
    scores: tuple[str, ...] = ("l2",)
    tutorial: bool = False
    truncate: bool = False
    dependencies: bool = False
    log_likelihood: bool = False
    chosen_by: str = ""

    @property
    def distances(self) -> list[str]:
        """The scores that are made of embeddings."""
        return [name for name in self.scores if name not in LIKELIHOODS]

    def check(self, checkpoint: Checkpoint) -> None:
        """Raise `UserError` when the settings contradict each other or the checkpoint cannot give what they ask for."""
        for kind, known, given in (
            ("score", SCORES, self.scores),
            ("strand", STRANDS, [self.strand]),
            ("representation", REPRESENTATIONS, [self.embedding.representation]),
            ("pooling", POOLINGS, [self.embedding.pooling]),
        ):
            for name in given:
                if name not in known:
                    raise UserError(f"there is no {kind} {quoted(name)}: choose from {', '.join(known)}")
        if self.tutorial and (self.embedding != Embedding() or self.strand != "forward"):
            raise UserError(
                "tutorial mode is the representation 'logits', the pooling 'max' and the forward strand: "
                "leave out the other options, or leave out tutorial mode"
            )
        if self.tutorial and self.truncate:
            raise UserError(
                'tutorial mode reads whole sequences: leave out "Cut sequences that are too long for the model" '
                "(--truncate), or leave out tutorial mode"
            )
        if self.distances or not self.scores:
            self.embedding.check(checkpoint)
        for name in LIKELIHOODS:
            if name in self.scores:
                checkpoint.require_head(f"the score {quoted(name)}")
        if LLR_MEAN in self.scores and not checkpoint.is_causal:
            raise UserError(
                f"the score {quoted(LLR_MEAN)} is a mean over the tokens that a causal model predicts, and this model "
                f"fills masks: choose {quoted(LLR)}"
            )
        if self.dependencies:
            checkpoint.require_head(PURPOSE)
            base_tokens.find(checkpoint, PURPOSE)
        if self.log_likelihood:
            checkpoint.require_head("the log-likelihood", "leave it out")
            if not checkpoint.is_causal:
                likelihood.require_mask(checkpoint, "the log-likelihood")

    def as_text(self) -> dict[str, str]:
        """The settings that decide the numbers: name -> text, empty for a layer that does not matter."""
        texts = {
            "representation": self.embedding.representation,
            "layer": str(self.embedding.layer) if self.embedding.representation == "hidden" else "",
            "pooling": self.embedding.pooling,
            "strand": self.strand,
        }
        texts = ({"settings": self.chosen_by} if self.chosen_by else {}) | texts
        texts |= {"padding": "as in the tutorial"} if self.tutorial else {}
        return texts | ({"too long": "cut to the bases around the change"} if self.truncate else {})
