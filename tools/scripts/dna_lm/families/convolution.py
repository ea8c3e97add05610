"""A dilated convolution over tokens whose result for a token does not depend on the batch."""

import torch
from torch import nn
from torch.nn import functional


class Convolution(nn.Module):
    """A convolution over tokens, as a sum of one matrix product for each neighbour.

    torch's own convolution is as fast, but chooses between two libraries by the size of the batch: a token would not
    have the same result in every batch.
    """

    matrix_product = staticmethod(functional.linear)

    def __init__(self, width: int, kernel_size: int, dilation: int, n_groups: int, bias: bool) -> None:
        super().__init__()
        self.dilation, self.is_depthwise = dilation, n_groups > 1
        self.weight = nn.Parameter(torch.empty(width, width // n_groups, kernel_size))
        self.bias = nn.Parameter(torch.empty(width)) if bias else None

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """States (sequences, tokens, width) -> the same shape."""
        n_tokens, kernel_size = states.shape[1], self.weight.shape[-1]
        taps = self.weight.permute(2, 0, 1)
        if not taps.is_contiguous():
            # Only once: the weights are kept in the order in which they are used.
            self.weight.data = taps.contiguous().permute(1, 2, 0)
            taps = self.weight.permute(2, 0, 1)
        # In float32 also when the products have 16 bits, as within one product.
        total = torch.zeros(states.shape, device=states.device)
        if self.bias is not None:
            total += self.bias
        for number, tap in enumerate(taps):
            shift = (number - kernel_size // 2) * self.dilation
            if abs(shift) < n_tokens:
                first, last = max(0, -shift), min(n_tokens, n_tokens - shift)
                total[:, first:last] += self._tap(states, tap)[:, first + shift : last + shift]
        return total.to(states.dtype)

    def _tap(self, states: torch.Tensor, tap: torch.Tensor) -> torch.Tensor:
        """What one neighbour contributes, before it is shifted: states (sequences, tokens, width)."""
        return states * tap[:, 0] if self.is_depthwise else self.matrix_product(states, tap)
