"""How many bases a model can read: the longest window that its tokenizer makes few enough tokens of."""

from collections.abc import Callable, Sequence

from dna_lm.inputs.fasta import NOT_ACGT
from dna_lm.model.checkpoint import Checkpoint
from dna_lm.scoring.settings import STRANDS


def most_tokens(checkpoint: Checkpoint, sequences: Sequence[str], strand: str) -> int:
    """The most tokens of a sequence on a strand that is read; if one is far too long, a number that it has at least."""
    fewest = checkpoint.fewest_tokens(max(map(len, sequences)))
    if fewest > checkpoint.max_tokens:
        return fewest
    known = [NOT_ACGT.sub("A", sequence) for sequence in sequences]
    return max(len(ids) for reverse in STRANDS[strand] for ids in checkpoint.tokenise(known, reverse))


def longest_window(
    checkpoint: Checkpoint, windows: Callable[[int], Sequence[str]], strand: str, most_bases: int
) -> int:
    """The longest window of up to `most_bases` bases, in which the model can read all the `windows` of this length."""
    window = most_bases
    while window > 1 and (n_tokens := most_tokens(checkpoint, windows(window), strand)) > checkpoint.max_tokens:
        # A little less than in proportion when it is near, since special tokens do not become fewer.
        window = min(window - 1, int(window * checkpoint.max_tokens / n_tokens))
    return window
