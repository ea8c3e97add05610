"""Pairs that are too long for the model, cut to what surrounds their change."""

from Bio.Seq import reverse_complement

from dna_lm.scores import shared_ends


def around_change(checkpoint, wild_type, mutant, reverses):
    """Token ids of two sequences, cut to as many bases around the change as the model reads on every strand.

    What differs lies between the sequences' common beginning and their common end. Equally many bases of both are kept,
    or all where there are fewer. `reverses`: for each strand, whether it is the reverse complement. Returns for each
    strand the ids of the wild type and of the mutant; `None` when the change and a base beside it are too much.
    """
    before, after = shared_ends(wild_type, mutant)
    found, fitting, too_many = None, 0, max(before, after) + 1
    # By bisection: more bases seldom have fewer tokens.
    while too_many - fitting > 1:
        kept = (fitting + too_many) // 2
        cut = [s[max(0, before - kept) : len(s) - max(0, after - kept)] for s in (wild_type, mutant)]
        strands = [tuple(checkpoint.tokenise(map(reverse_complement, cut) if reverse else cut)) for reverse in reverses]
        if all(len(ids) <= checkpoint.max_tokens for strand in strands for ids in strand):
            found, fitting = strands, kept
        else:
            too_many = kept
    return found
