"""Running a model: prepared and checked after loading, then embeddings and log-likelihoods of token lists."""
