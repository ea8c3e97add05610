"""Files in: sequences, variants, references, regions, and chunks of them. Nothing here knows a model."""
