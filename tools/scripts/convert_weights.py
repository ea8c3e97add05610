"""Convert a model's pickled weights (pytorch_model.bin) to safetensors, and check that the tools can use the result."""

from dna_lm import cli

if __name__ == "__main__":
    cli.start("convert_weights")
