"""Score mutation pairs: the pairs of two FASTA files."""
