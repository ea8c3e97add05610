"""Tokenizers: from DNA to the ids that a model reads."""
