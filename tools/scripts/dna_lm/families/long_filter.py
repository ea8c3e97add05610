"""HyenaDNA's convolution over the whole past, computed with Fourier transforms (Poli et al. 2023, arXiv:2302.10866).

The filter is the output of a small network for each distance, under a window. It is computed in float32 whatever the
precision of the rest, and only groups of channels are transformed at once.
"""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedConfig

# Tokens that are computed at once where each is computed alone.
BLOCK = 8192
# What the window over the filter falls to, however far back.
_WINDOW_FLOOR = 0.05
# Numbers in one group of channels, for which about six times as many are held.
GROUP_NUMBERS = 2**23


class _Sine(nn.Module):
    """sin(frequency * number)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.freq = nn.Parameter(torch.empty(1, width))


class LongFilter(nn.Module):
    """The filter over the whole past: a network of the distance, under a window that falls exponentially."""

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__()
        width, inner, longest = config.hidden_size, config.filter_order, config.max_position_embeddings
        self.bias = nn.Parameter(torch.empty(width))
        # Features of each distance, which are trained too, and the distance itself as a part of the longest.
        features, distances = torch.empty(1, longest, config.emb_dim), torch.empty(1, longest, 1)
        self.pos_emb = nn.ParameterDict({"z": features, "t": distances})
        self.implicit_filter = nn.Sequential(
            *(nn.Linear(config.emb_dim, inner), _Sine(inner)),
            *(nn.Linear(inner, inner), _Sine(inner)),
            *(nn.Linear(inner, inner), _Sine(inner)),
            nn.Linear(inner, width, bias=False),
        )
        self.modulation = nn.ParameterDict({"deltas": torch.empty(1, 1, width)})

    def convolve(self, signal: torch.Tensor) -> None:
        """Replace a signal by signal * bias + its causal convolution with the filter.

        signal: float32 (sequences, channels, tokens).
        """
        distances = self.pos_emb["z"][0, : signal.shape[2]].split(BLOCK)
        features = torch.cat([self._features(block) for block in distances])
        convolve_past(signal, lambda group: self._filter(features, group), self.bias)

    def _features(self, distances: torch.Tensor) -> torch.Tensor:
        """What the filters of all channels are sums of, float32 (tokens, width); distances: (tokens, features).

        By torch's own product, as in the authors' code: sines of large numbers enlarge rounding, and with another
        library, or in float64, the logits differ by 1e-4 of the largest.
        """
        states = distances
        for step in self.implicit_filter[:-1]:
            if isinstance(step, _Sine):
                states = (step.freq * states).sin_()
            else:
                states = functional.linear(states, step.weight, step.bias)
        return states

    def _filter(self, features: torch.Tensor, channels: slice) -> torch.Tensor:
        """The filter (channels, tokens) of some channels; features: (tokens, width)."""
        distances = self.pos_emb["t"][0, : len(features), 0]
        rates = self.modulation["deltas"][0, 0, channels].abs()
        window = torch.outer(rates, distances).neg_().exp_().add_(_WINDOW_FLOOR)
        return (self.implicit_filter[-1].weight[channels] @ features.T).mul_(window)


def convolve_past(
    signal: torch.Tensor, filter_of: Callable[[slice], torch.Tensor], skip: torch.Tensor | None = None
) -> None:
    """Replace a signal by its causal convolution with a filter, plus signal * skip.

    signal: float32 or float64 (sequences, channels, tokens). filter_of: from some channels to their filter (channels,
    at most tokens), which begins with the weight of the present token. skip: (channels,).
    """
    n_sequences, n_channels, n_tokens = signal.shape
    size = _transform_size(2 * n_tokens - 1)
    # On the CPU a sequence is transformed alone: the result cannot depend on the batch.
    n_at_once = 1 if signal.device.type == "cpu" else n_sequences
    n_grouped = max(1, GROUP_NUMBERS // (n_at_once * size))
    for start in range(0, n_channels, n_grouped):
        group = slice(start, start + n_grouped)
        transformed_filter = torch.fft.rfft(filter_of(group), n=size)
        for some in signal[:, group].split(n_at_once):
            products = torch.fft.rfft(some, n=size).mul_(transformed_filter)
            convolved = torch.fft.irfft(products, n=size)[..., :n_tokens]
            if skip is None:
                some.copy_(convolved)
            else:
                some.mul_(skip[group, None]).add_(convolved)


def _transform_size(n: int) -> int:
    """The smallest even number from `n` on that has no prime factors but 2, 3 and 5: it is fast to transform."""
    odd_parts = (3**threes * 5**fives for threes in range(6) for fives in range(4))
    return min(odd << max(1, (-(-n // odd) - 1).bit_length()) for odd in odd_parts)
