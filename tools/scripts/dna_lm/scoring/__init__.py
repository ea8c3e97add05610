"""From items to rows: scores of pairs, variants and every mutation, and the files they are written to."""
