"""What the host does for a GPU, so that the GPU does not wait: copies together, and work ahead of it."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch

Value = TypeVar("Value")
_END = object()


def on_device(arrays: Sequence[np.ndarray], device: torch.device) -> list[torch.Tensor]:
    """int64 arrays of any shapes as tensors on a device. One copy takes all of them to another device than the CPU."""
    tensors = [torch.from_numpy(array) for array in arrays]
    if device.type == "cpu":
        return tensors
    together = torch.cat([tensor.flatten() for tensor in tensors])
    if device.type == "cuda":
        # A copy is asynchronous only from pinned memory.
        together = together.pin_memory()
    parts = together.to(device, non_blocking=True).split([tensor.numel() for tensor in tensors])
    return [part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]


def ahead(values: Iterable[Value], device: torch.device) -> Iterator[Value]:
    """The values, each of which is made in another thread while the one before it is used.

    For the CPU they are made when they are asked for: there, computing needs all cores. An error is raised in the place
    of the value that it prevents.
    """
    if device.type == "cpu":
        yield from values
        return
    values = iter(values)
    with ThreadPoolExecutor(1) as thread:
        following = thread.submit(next, values, _END)
        while (value := following.result()) is not _END:
            following = thread.submit(next, values, _END)
            yield value
