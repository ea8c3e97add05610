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

    def __init__(
        self,
        width: int,
        kernel_size: int,
        dilation: int = 1,
        n_groups: int = 1,
        bias: bool = True,
        n_outputs: int | None = None,
        is_transposed: bool = False,
    ) -> None:
        """n_outputs: by default the width. is_transposed: whether the weight has inputs before outputs."""
        super().__init__()
        self.dilation, self.is_depthwise = dilation, n_groups > 1
        self.n_outputs = n_outputs or width
        sizes = (self.n_outputs, width // n_groups)
        self.weight = nn.Parameter(torch.empty(*(sizes[::-1] if is_transposed else sizes), kernel_size))
        self.bias = nn.Parameter(torch.empty(self.n_outputs)) if bias else None
        # Which axes of the weight are the neighbour, the output and the input; and the way back.
        self.order, self.back = ((2, 1, 0), (2, 1, 0)) if is_transposed else ((2, 0, 1), (1, 2, 0))

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """States (sequences, tokens, width) -> (sequences, tokens, outputs)."""
        n_tokens, kernel_size = states.shape[1], self.weight.shape[-1]
        taps = self.weight.permute(self.order)
        if not taps.is_contiguous():
            # Only once: the weights are kept in the order in which they are used.
            self.weight.data = taps.contiguous().permute(self.back)
            taps = self.weight.permute(self.order)
        # In float32 also when the products have 16 bits, as within one product.
        total = torch.zeros((*states.shape[:-1], self.n_outputs), device=states.device)
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
