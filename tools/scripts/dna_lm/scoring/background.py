"""The percentile of a score among random nearby substitutions: the draw, and the count.

Knows alleles with their windows, nothing of models.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from Bio.Seq import reverse_complement

from dna_lm.inputs.alleles import Allele
from dna_lm.inputs.fasta import Record
from dna_lm.inputs.stretches import BASES
from dna_lm.statuses import OK


@dataclass(frozen=True)
class Background:
    """How many substitutions to draw (`n`), within how many bases around the variant (`width`).

    `same_change`: only the same substitution as the variant's, between the same two neighbours, on either strand.
    """

    n: int
    width: int = 51
    same_change: bool = False
    seed: int = 1

    def draw(self, allele: Allele) -> list[tuple[Record, Record]]:
        """(Wild-type, mutant) `Record`s of substitutions drawn without replacement, all in `allele`'s window.

        The draw depends on the seed and the normalised variant alone: not on its spelling, its line or its file. Fewer
        than `n` when there are no more. Empty for an allele without a window, and with `same_change` for an allele
        that is not a substitution of one base.
        """
        if allele.status != OK:
            return []
        possible = self._possible(allele)
        # A string is hashed the same way in every Python; a tuple is not.
        name = f"{self.seed}:{allele.line.chrom}:{allele.start}:{allele.ref}:{allele.alt}"
        drawn = random.Random(name).sample(possible, min(self.n, len(possible)))
        wild_type = allele.wild_type
        return [
            (Record("", wild_type, OK), Record("", wild_type[:at] + base + wild_type[at + 1 :], OK))
            for at, base in sorted(drawn)
        ]

    def as_text(self) -> dict[str, object]:
        """What decides the percentiles: name -> value."""
        return {
            "background": self.n,
            "background_width": self.width,
            "same_change": self.same_change,
            "seed": self.seed,
        }

    def _possible(self, allele):
        """Places in the window, and the base put there: every substitution to draw from, the variant left out."""
        wild_type = allele.wild_type
        middle = allele.start - allele.window[0]
        first, end = middle - self.width // 2, middle + (self.width - 1) // 2 + 1
        is_substitution = len(allele.ref) == len(allele.alt) == 1
        of_variant = (middle, allele.alt) if is_substitution else None
        possible = [
            (at, base)
            for at in range(max(0, first), min(len(wild_type), end))
            for base in BASES
            if base != wild_type[at] and (at, base) != of_variant
        ]
        if not self.same_change:
            return possible
        if not is_substitution:
            return []
        wanted = _change(wild_type, *of_variant)
        return [place for place in possible if wanted is not None and _change(wild_type, *place) == wanted]


def _change(sequence, at, base):
    """A substitution with its two neighbours, the same for both strands; None at the sequence's ends."""
    if not 0 < at < len(sequence) - 1:
        return None
    before = sequence[at - 1 : at + 2]
    after = before[0] + base + before[2]
    return min((before, after), (reverse_complement(before), reverse_complement(after)))


def percentile(score: float | None, background: Sequence[float]) -> float | None:
    """The share of `background` scores below `score`, those equal to it counted half, in percent; None without any."""
    if not len(background):
        return None
    background = np.asarray(background)
    return 100 * float(np.mean((background < score) + (background == score) / 2))
