"""Check that models give a sequence the same bits alone and with others: `python same_bits.py FOLDER ...`.

A program, because the libraries read once, when they are loaded, which instructions of the processor they may use.
"""

import random
import sys
from pathlib import Path

import numpy as np

# Lengths in bases, and how many sequences go together: products have few rows for one of them, and more than 640 for
# all. The last block of a scan has one token for a sequence of 513 tokens alone, and more in a batch of three.
BATCHES = {5: 3, 60: 12, 512: 3}


def main(folders):
    """Raise `AssertionError` unless all models in the folders do."""
    import torch

    from dna_lm.engine import encoder
    from dna_lm.engine.encoder import Budget, Embedding
    from dna_lm.engine.loading import load_checkpoint
    from scored import assert_same_bits, random_pairs

    torch.set_num_threads(1)
    for folder in folders:
        loaded = load_checkpoint(folder)
        assert_same_bits(loaded, list(random_pairs(8, 3, (8, 24))))
        letters = random.Random(0)
        for length, n_sequences in BATCHES.items():
            sequences = ["".join(letters.choices("ACGT", k=length)) for _ in range(n_sequences)]
            ids = [tokens for tokens in loaded.tokenise(sequences) if len(tokens) <= loaded.max_tokens]
            embedding = Embedding("hidden", pooling="mean")
            alone = [encoder.encode(loaded, [tokens], embedding, False, Budget())[0][0] for tokens in ids]
            together = encoder.encode(loaded, ids, embedding, False, Budget())[0] if ids else []
            for states, expected in zip(together, alone, strict=True):
                assert np.isfinite(expected).all()
                np.testing.assert_array_equal(states, expected, f"{folder}, {length} bases")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2] / "tools" / "scripts"))
    main(sys.argv[1:])
