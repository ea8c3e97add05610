"""Names of chromosomes in their styles: `1` and `chr1` are one sequence, and `MT` and `chrM`.

Knows names alone, and no file.
"""

from collections import Counter
from collections.abc import Iterable

# What PLINK writes for human chromosomes that have no number. Other genomes have a chromosome 23.
_NUMBERED = {"23": "X", "24": "Y", "26": "MT"}


def key(name: str) -> str:
    """The name without its style: equal for `1`, `chr1` and `Chr1`, and for `M`, `MT` and `chrM`."""
    bare = name[3:] if name[:3].lower() == "chr" and len(name) > 3 else name
    return "MT" if bare.upper() in ("M", "MT") else bare


def matched(names: Iterable[str], known: Iterable[str]) -> dict[str, str]:
    """Name -> the known name of the same sequence, for each of the `names` that has one.

    An equal name is taken first. Another style is taken only where it is one-to-one: neither the `names` nor the
    `known` ones have both styles of it. PLINK's 23, 24 and 26 are X, Y and MT where the known names have no 23, 24
    and 26 and the `names` no X, Y and MT.
    """
    names, known = list(dict.fromkeys(names)), list(dict.fromkeys(known))
    equal = set(known)
    of_key = {key(name): name for name in known}
    n_known, n_names = Counter(map(key, known)), Counter(map(key, names))
    found = {}
    for name in names:
        bare = key(name)
        numbered = _NUMBERED.get(bare)
        if numbered in n_known and bare not in n_known and numbered not in n_names:
            n_names[numbered], bare = n_names[bare], numbered
        if name in equal:
            found[name] = name
        elif n_known[bare] == 1 == n_names[bare]:
            found[name] = of_key[bare]
    return found
