"""Parts of StripedHyena and StripedHyena 2: norms, gated convolutions over the past, attention.

A convolution layer is y = W (x2 * (h conv (x1 * v))), with a short filter over the projections before it (Poli et al.
2023, arXiv:2302.10866; Nguyen et al. 2024, doi:10.1126/science.ado9336; Brixi et al. 2025,
doi:10.1101/2025.02.18.638918). Windows have thousands of tokens, so no step but the convolution and attention sees more
than `BLOCK` tokens at once, and the convolution sees groups of channels.
"""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from dna_lm.families.long_filter import BLOCK, convolve_past

# Three of these make a projection of a token: two gates and a value.
Split = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor, torch.Tensor]]

# Distances in a part of a filter that is a sum of powers.
_PART = 128


class Norm(nn.Module):
    """x / (root mean square of x + epsilon) * scale."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.empty(width))
        self.epsilon = epsilon

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """States (..., width) -> the same shape."""
        wide = _wide(states)
        size = wide.square().mean(-1, keepdim=True).sqrt_().add_(self.epsilon)
        return (wide / size).to(states.dtype) * self.scale


class Mlp(nn.Module):
    """Two products, one times the other, and a third one. is_gated: whether the first passes through a GELU."""

    def __init__(self, width: int, inner: int, is_gated: bool) -> None:
        super().__init__()
        self.l1 = nn.Linear(width, inner, bias=False)
        self.l2 = nn.Linear(width, inner, bias=False)
        self.l3 = nn.Linear(inner, width, bias=False)
        self.is_gated = is_gated

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """States (..., width) -> the same shape."""
        gate = self.l1(states)
        if self.is_gated:
            gate = functional.gelu(gate)
        return self.l3(gate * self.l2(states))


class Filter(nn.Module):
    """The short filter over projections, and the filter over the past of a layer.

    A subclass has the weights of the latter, and says in `of_past` what it is.
    """

    def __init__(self, width: int, has_bias: bool, has_skip: bool) -> None:
        super().__init__()
        self.short_filter_weight = nn.Parameter(torch.empty(3 * width, 1, 3))
        if has_bias:
            self.short_filter_bias = nn.Parameter(torch.empty(3 * width))
        if has_skip:
            self.D = nn.Parameter(torch.empty(width))

    def of_past(self, channels: slice, n_tokens: int) -> torch.Tensor:
        """The filter (channels, up to n_tokens) of some channels: the weight of this token, the one before, and so on.

        In float32, or float64 if the weights are.
        """
        raise NotImplementedError

    def short(self, projected: torch.Tensor, earlier: torch.Tensor | None) -> torch.Tensor:
        """The short filter: (sequences, tokens, 3 width) -> the same; earlier: projections before them, if any."""
        n_tokens = projected.shape[1]
        if earlier is None:
            padded = functional.pad(projected, (0, 0, 2, 0))
        else:
            padded = torch.cat((earlier[:, -2:], projected), dim=1)
        weight = _wide(self.short_filter_weight)[:, 0]
        total = padded[:, 2:] * weight[:, 2]
        total += padded[:, 1 : 1 + n_tokens] * weight[:, 1]
        total += padded[:, :n_tokens] * weight[:, 0]
        return total + self.short_filter_bias if hasattr(self, "short_filter_bias") else total

    def convolve(self, signal: torch.Tensor) -> None:
        """Replace a signal, (sequences, channels, tokens), by its convolution with the filter over the past."""
        n_tokens = signal.shape[2]
        skip = _wide(self.D) if hasattr(self, "D") else None
        convolve_past(signal, lambda group: self.of_past(group, n_tokens), skip)


class Block(nn.Module):
    """A layer: a convolution over the past or attention, then an MLP, each added to what it is given."""

    def __init__(self, width: int, inner: int, epsilon: float, is_gated: bool) -> None:
        super().__init__()
        self.pre_norm, self.post_norm = Norm(width, epsilon), Norm(width, epsilon)
        self.mlp = Mlp(width, inner, is_gated)

    def mix(self, states: torch.Tensor) -> torch.Tensor:
        """What is added for all tokens together, plus the states: (sequences, tokens, width) -> a new tensor."""
        raise NotImplementedError

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """States (sequences, tokens, width) -> the same shape."""
        mixed = self.mix(states)
        for block in _blocks(mixed.shape[1]):
            mixed[:, block] += self.mlp(self.post_norm(mixed[:, block]))
        return mixed


class ConvolutionBlock(Block):
    """A layer with a convolution. split: divides a projection into x2, x1 and v."""

    def __init__(
        self, width: int, inner: int, epsilon: float, is_gated: bool, filter_: Filter, split: Split, has_bias: bool
    ) -> None:
        super().__init__(width, inner, epsilon, is_gated)
        self.projections = nn.Linear(width, 3 * width, bias=has_bias)
        self.filter = filter_
        self.out_filter_dense = nn.Linear(width, width)
        self.split = split

    def mix(self, states: torch.Tensor) -> torch.Tensor:
        n_sequences, n_tokens, width = states.shape
        # Channels come before tokens where they are convolved.
        signal = _wide(states).new_empty((n_sequences, width, n_tokens))
        gates = torch.empty_like(states)
        earlier = None
        for block in _blocks(n_tokens):
            projected = _wide(self.projections(self.pre_norm(states[:, block])))
            gate, first, value = self.split(self.filter.short(projected, earlier))
            signal[:, :, block] = (first * value).mT
            gates[:, block] = gate
            earlier = projected
        self.filter.convolve(signal)
        for block in _blocks(n_tokens):
            gated = signal[:, :, block].mT.to(states.dtype) * gates[:, block]
            gates[:, block] = states[:, block] + self.out_filter_dense(gated)
        return gates


class AttentionBlock(Block):
    """A layer with causal attention. by_head: whether the rows of `Wqkv` are grouped by head, then q, k and v."""

    def __init__(
        self,
        width: int,
        inner: int,
        epsilon: float,
        is_gated: bool,
        n_heads: int,
        rotary: nn.Module,
        by_head: bool,
        has_bias: bool,
    ) -> None:
        super().__init__(width, inner, epsilon, is_gated)
        self.inner_mha_cls = nn.ModuleDict(
            {
                "Wqkv": nn.Linear(width, 3 * width, bias=has_bias),
                "out_proj": nn.Linear(width, width),
                "rotary_emb": rotary,
            }
        )
        self.n_heads, self.by_head = n_heads, by_head

    def mix(self, states: torch.Tensor) -> torch.Tensor:
        n_sequences, n_tokens, width = states.shape
        size = width // self.n_heads
        query, key, value = states.new_empty((3, n_sequences, self.n_heads, n_tokens, size))
        order = (3, 0, 2, 1, 4) if self.by_head else (2, 0, 3, 1, 4)
        shape = (self.n_heads, 3, size) if self.by_head else (3, self.n_heads, size)
        for block in _blocks(n_tokens):
            projected = self.inner_mha_cls["Wqkv"](self.pre_norm(states[:, block])).unflatten(-1, shape)
            q, k, value[:, :, block] = projected.permute(*order)
            turned = self.inner_mha_cls["rotary_emb"](block.start, q.shape[2], _wide(q))
            query[:, :, block], key[:, :, block] = _turned(q, turned), _turned(k, turned)
        attended = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        mixed = torch.empty_like(states)
        for block in _blocks(n_tokens):
            joined = attended[:, :, block].transpose(1, 2).flatten(2)
            mixed[:, block] = states[:, block] + self.inner_mha_cls["out_proj"](joined)
        return mixed


def angles(frequencies: torch.Tensor, factor: float, start: int, n_tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines (tokens, frequencies) of the tokens from `start` on; positions are divided by `factor`."""
    positions = torch.arange(start, start + n_tokens, device=frequencies.device, dtype=frequencies.dtype) / factor
    phases = torch.outer(positions, frequencies)
    return phases.cos(), phases.sin()


def sums_of_powers(logarithms: torch.Tensor, factors: torch.Tensor, n_tokens: int, dtype: torch.dtype) -> torch.Tensor:
    """Of each channel, the real part of the sum of factor * base ** j for j = 0, 1, ...: (channels, n_tokens).

    logarithms: of the bases, (channels, terms); factors: (channels, terms), both real or complex, in float64: the phase
    of a far token is that of thousands of turns. A distance j is a multiple of 128 and a rest. Exponentials are taken
    of these alone, and a product of matrices multiplies them.
    """
    device = logarithms.device
    rests = torch.arange(_PART, device=device, dtype=torch.float64)
    multiples = torch.arange(-(-n_tokens // _PART), device=device, dtype=torch.float64) * _PART
    far = factors[:, None] * torch.exp(logarithms[:, None] * multiples[:, None])
    near = torch.exp(logarithms[:, :, None] * rests)
    if near.is_complex():
        far, near = torch.cat((far.real, -far.imag), dim=2), torch.cat((near.real, near.imag), dim=1)
    return (far.to(dtype) @ near.to(dtype)).flatten(1)[:, :n_tokens]


def _turned(vectors: torch.Tensor, turn: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Rotary embeddings: the first half of a vector's numbers and the second are turned together."""
    cosine, sine = turn
    first, second = _wide(vectors).chunk(2, dim=-1)
    return torch.cat((first * cosine - second * sine, first * sine + second * cosine), dim=-1).to(vectors.dtype)


def _wide(numbers: torch.Tensor) -> torch.Tensor:
    """In float32, or float64 if they are."""
    return numbers.to(torch.promote_types(numbers.dtype, torch.float32))


def _blocks(n_tokens: int) -> list[slice]:
    return [slice(start, min(start + BLOCK, n_tokens)) for start in range(0, n_tokens, BLOCK)]
