"""A model folder on disk, and the loaded model: its files, tokenizer, limits, and the parts of it that are replaced."""
