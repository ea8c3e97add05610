"""End with one line and exit code 1 when torch finds no GPU here."""

import sys

import torch

if not torch.cuda.is_available():
    if torch.version.cuda:
        reason = f"torch {torch.__version__}, built for CUDA {torch.version.cuda}, finds no GPU here"
    else:
        reason = f"torch {torch.__version__} was built without CUDA: remove .venv/tools and run this again"
    sys.exit(f"error: {reason}. The GPU's tests did not run.")
print(f"torch {torch.__version__}, {torch.cuda.get_device_name()}")
