"""The percentile of a score among random nearby mutations of the same kind: the draw, and the count.

Knows alleles with their windows, nothing of models.

An allele that changes the length of the sequence is compared with mutations that change it by the same number of bases:
as many reference bases are replaced at random places, by the allele's own bases in random order. For a deletion nothing
replaces them, for an insertion nothing is replaced. Every other allele is compared with substitutions of one base.
"""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import factorial, lgamma, log, prod

import numpy as np
from Bio.Seq import reverse_complement

from dna_lm.inputs.alleles import Allele
from dna_lm.inputs.fasta import Record
from dna_lm.inputs.stretches import BASES
from dna_lm.statuses import OK

# More say nothing new about a percentile, and each is scored.
MOST_DRAWN = 100_000
# So many orders of an allele's bases are drawn without keeping count.
_MANY = 1e12


@dataclass(frozen=True)
class Background:
    """How many mutations to draw (`n`), within how many bases around the variant (`width`).

    `same_change`: only the same substitution as the variant's, between the same two neighbours, on either strand.
    """

    n: int
    width: int = 51
    same_change: bool = False
    seed: int = 1

    def draw(self, allele: Allele) -> list[tuple[Record, Record]]:
        """(Wild-type, mutant) `Record`s of mutations drawn without replacement, all in `allele`'s window.

        The draw depends on the seed and the normalised variant alone: not on its spelling, its line or its file. Fewer
        than `n` when there are no more. Empty for an allele without a window, and with `same_change` for an allele
        that is not a substitution of one base. All mutant windows differ, also from the allele's own.
        """
        if allele.status != OK:
            return []
        # A string is hashed the same way in every Python; a tuple is not.
        generator = random.Random(f"{self.seed}:{allele.contig}:{allele.start}:{allele.ref}:{allele.alt}")
        if len(allele.ref) == len(allele.alt):
            possible = self._substitutions(allele)
            drawn = sorted(generator.sample(possible, min(self.n, len(possible))))
            mutants = [allele.wild_type[:at] + base + allele.wild_type[at + 1 :] for at, base in drawn]
        else:
            mutants = [] if self.same_change else self._indels(allele, generator)
        wild_type = Record("", allele.wild_type, OK)
        return [(wild_type, Record("", mutant, OK)) for mutant in mutants]

    def as_text(self) -> dict[str, object]:
        """What decides the percentiles: name -> value."""
        return {
            "background": self.n,
            "background_width": self.width,
            "same_change": self.same_change,
            "seed": self.seed,
        }

    def _around(self, middle, n_places):
        """The places from 0 to `n_places` of which `middle` is in the middle."""
        return range(max(0, middle - self.width // 2), min(n_places, middle + (self.width - 1) // 2 + 1))

    def _indels(self, allele, generator):
        """Mutant windows, from left to right: a random place, then a random order of the allele's bases, each time."""
        start, ref, alt = allele.trimmed()
        wild_type, n_replaced = allele.wild_type, len(ref)
        # What is replaced and what replaces it lies wholly in the window.
        longer = max(n_replaced, len(alt) if allele.beyond is not None else 0)
        places = list(self._around(start - allele.window[0], len(wild_type) - longer + 1))
        orders = _Orders(alt)
        left = {}
        # Indels at several places of a repeat can be the same one, or one that a window of the same length hides.
        seen, drawn = {wild_type, allele.mutant}, []
        while places and len(drawn) < self.n:
            index = generator.randrange(len(places))
            at = places[index]
            if at not in left:
                left[at] = orders.drawn(generator)
            bases = next(left[at], None)
            if bases is None:
                places[index] = places[-1]
                places.pop()
                continue
            mutant = allele.edited(at, n_replaced, bases)
            if mutant not in seen:
                seen.add(mutant)
                drawn.append((at, mutant))
        return [mutant for _, mutant in sorted(drawn)]

    def _substitutions(self, allele):
        """Places in the window, and the base put there: every substitution to draw from, the variant left out."""
        wild_type = allele.wild_type
        middle = allele.start - allele.window[0]
        is_substitution = len(allele.ref) == len(allele.alt) == 1
        of_variant = (middle, allele.alt) if is_substitution else None
        possible = [
            (at, base)
            for at in self._around(middle, len(wild_type))
            for base in BASES
            if base != wild_type[at] and (at, base) != of_variant
        ]
        if not self.same_change:
            return possible
        if not is_substitution:
            return []
        wanted = _change(wild_type, *of_variant)
        return [place for place in possible if wanted is not None and _change(wild_type, *place) == wanted]


class _Orders:
    """The distinct orders of some bases."""

    def __init__(self, bases: str) -> None:
        self._bases = bases
        self._counts = Counter(bases)
        # As a logarithm: the factorials of a long allele have thousands of digits.
        size = lgamma(len(bases) + 1) - sum(lgamma(number + 1) for number in self._counts.values())
        self._n = factorial(len(bases)) // prod(map(factorial, self._counts.values())) if size < log(_MANY) else None

    def drawn(self, generator: random.Random) -> Iterator[str]:
        """All orders, at random, each once; of very many without end, of which hardly any two are equal."""
        if self._n is None:
            while True:
                yield "".join(generator.sample(self._bases, len(self._bases)))
        for number in _without_replacement(self._n, generator):
            yield self._at(number)

    def _at(self, number):
        """The order with this place among all in alphabetical order, from 0."""
        left, n, order = dict(self._counts), self._n, []
        for n_bases in range(len(self._bases), 0, -1):
            for base in sorted(left):
                # As many of the orders begin with each base as there are of it.
                n_with_base = n * left[base] // n_bases
                if number < n_with_base:
                    break
                number -= n_with_base
            order.append(base)
            left[base] -= 1
            n = n_with_base
        return "".join(order)


def _without_replacement(n: int, generator: random.Random) -> Iterator[int]:
    """The numbers from 0 to `n` in random order, each once (Fisher and Yates), in memory for those drawn."""
    moved = {}
    for n_left in range(n, 0, -1):
        at = generator.randrange(n_left)
        yield moved.get(at, at)
        moved[at] = moved.get(n_left - 1, n_left - 1)


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
