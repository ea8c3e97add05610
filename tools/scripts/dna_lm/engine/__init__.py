"""Forward passes: a checked model, embeddings and log-likelihoods of token lists."""
