"""Print the versions of the suite and of the packages that it computes with."""

import argparse

from dna_lm import __version__, environment

# Those that can change a number. Nothing is imported: Galaxy asks before every job.
PACKAGES = ("torch", "transformers", "tokenizers", "numpy", "scipy", "matplotlib", "biopython", "pysam", "anndata")


def devices() -> list[str]:
    """What PyTorch can compute on here: a line for the CPU, and one for each GPU that the job may use."""
    import torch

    lines = [f"CPU: {torch.get_num_threads()} threads"]
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        lines.append(f"GPU {index}: {properties.name}, {properties.total_memory / 2**30:.1f} GiB")
    return lines if len(lines) > 1 else [*lines, "GPU: none that PyTorch can use"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", action="store_true", help="print the devices too, which takes seconds")
    arguments = parser.parse_args()
    print(f"dna_lm {__version__}, {environment.versions(*PACKAGES)}")
    if arguments.devices:
        print(*devices(), sep="\n")
