"""A model folder on disk and the model loaded from it: its files, tokenizer, limits, parts and matrix products."""
