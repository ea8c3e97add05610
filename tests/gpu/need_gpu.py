"""End with one line and exit code 1 when torch finds no GPU here."""

import sys

import torch

if not torch.cuda.is_available():
    built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
    sys.exit(f"error: torch {torch.__version__}, {built}, finds no GPU here: the GPU's tests did not run")
print(f"torch {torch.__version__}, {torch.cuda.get_device_name()}")
