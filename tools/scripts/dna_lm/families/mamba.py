"""Mamba in both directions (Gu & Dao 2023, arXiv:2312.00752; Schiff et al. 2024, arXiv:2403.03234), for Caduceus.

One Mamba reads from left to right, another from right to left, and their outputs are added. The two share their first
and their last product, unless config.json says otherwise.

In Mamba-2 (Dao & Gu 2024, arXiv:2405.21060) the channels of a head share one rate and one step. The first product also
gives the steps, drives and readouts, and what is scanned is normalised before the last product.
"""

import torch
from torch import nn
from torch.nn.functional import pad, silu, softplus
from transformers import PreTrainedConfig

from dna_lm.families.both_strands import Norm
from dna_lm.families.selective_scan import block_length, selective_scan, whole_loops

# The authors' code has no setting for it.
_MAMBA_2_EPSILON = 1e-5


class Mixer(nn.Module):
    """One Mamba for each direction; outputs are added.

    config: has `d_model`, `d_state`, `d_conv`, `expand`, `bidirectional`, `dt_rank` (Mamba), and `head_width`: the
    channels in a head of Mamba-2, 0 for Mamba.
    """

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__()
        kind = _Mamba2 if config.head_width else _Mamba
        self.mamba_fwd = kind(config)
        self.mamba_rev = kind(config) if config.bidirectional else None

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Output (sequences, tokens, width) for states (sequences, tokens, width)."""
        directions = [mamba for mamba in (self.mamba_fwd, self.mamba_rev) if mamba is not None]
        # With shared products, the two directions differ only between them.
        projecting = directions[:1] if directions[0].shares_products(directions[-1]) else directions
        sources, gates = zip(*(mamba.projected(states) for mamba in projecting), strict=True)
        # What both directions read can be added before the last product, unless each is normalised.
        finishing = directions if directions[0].is_normalised else projecting
        scanned = [torch.zeros_like(gates[0], dtype=torch.float32) for _ in finishing]
        length = block_length(len(directions) * len(states), states.shape[1], states.device)
        _scan(directions, sources, scanned, length)
        outputs = torch.zeros_like(states)
        for mamba, numbers, gate in zip(finishing, scanned, (gates[0], gates[-1]), strict=False):
            blocks = zip(*(tensor.split(length, dim=1) for tensor in (outputs, numbers, gate)), strict=True)
            for output, block, gate_of_block in blocks:
                gated = mamba.finished(block * whole_loops(silu, gate_of_block.float()))
                output += mamba.out_proj(gated.to(states.dtype))
        return outputs


def _scan(
    directions: list["_Mamba"], sources: tuple[torch.Tensor, ...], scanned: list[torch.Tensor], length: int
) -> None:
    """Add what each direction reads to `scanned`, block by block of so many tokens.

    sources: (sequences, tokens, numbers); scanned: (sequences, tokens, channels); of each one or as many as directions.
    """
    n_tokens, state = sources[0].shape[1], None
    rates = torch.stack([mamba.rates() for mamba in directions])
    for start in range(0, n_tokens, length):
        stop = min(start + length, n_tokens)
        blocks = []
        for mamba, source, is_reverse in zip(directions, (sources[0], sources[-1]), (False, True), strict=False):
            # With the tokens before, which the convolution reads: they are zero before the beginning.
            first = max(0, start - mamba.n_before)
            window = source[:, n_tokens - stop : n_tokens - first].flip(1) if is_reverse else source[:, first:stop]
            blocks.append(mamba.coefficients(pad(window.float(), (0, 0, mamba.n_before - (start - first), 0))))
        inputs, *coefficients = map(torch.stack, zip(*blocks, strict=True))
        outputs, state = selective_scan(inputs, *coefficients, rates, state)
        skips = torch.stack([mamba.skips() for mamba in directions])
        outputs = torch.addcmul(outputs, inputs, skips[:, None, None])
        scanned[0][:, start:stop] += outputs[0]
        if len(directions) == 2:
            scanned[-1][:, n_tokens - stop : n_tokens - start] += outputs[1].flip(1)


class _Mamba(nn.Module):
    """The weights of a Mamba, and what they make of the tokens before the scan and after it."""

    is_normalised = False

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__()
        inner = config.expand * config.d_model
        self.sizes = (config.dt_rank, config.d_state, config.d_state)
        self.n_before = config.d_conv - 1
        self.in_proj = nn.Linear(config.d_model, 2 * inner, bias=False)
        self.conv1d = nn.Conv1d(inner, inner, config.d_conv, groups=inner)
        self.x_proj = nn.Linear(inner, sum(self.sizes), bias=False)
        self.dt_proj = nn.Linear(config.dt_rank, inner)
        self.A_log = nn.Parameter(torch.zeros(inner, config.d_state))
        self.D = nn.Parameter(torch.ones(inner))
        self.out_proj = nn.Linear(inner, config.d_model, bias=False)

    def shares_products(self, other: "_Mamba") -> bool:
        """Whether the first and the last product are those of the other one: by the weights, which files may hold."""
        return self.in_proj.weight is other.in_proj.weight and self.out_proj.weight is other.out_proj.weight

    def projected(self, states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What is scanned, before the convolution, and the gates: (sequences, tokens, any number and channels)."""
        source, gates = self.in_proj(states).chunk(2, dim=-1)
        return source, gates

    def coefficients(self, window: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Inputs u, steps delta, drives B and readouts C of a scan, for the tokens of a window after the first few.

        window: float32 (sequences, `n_before` + tokens, numbers of the source).
        """
        inputs = self.convolved(window)
        steps, drives, readouts = self.x_proj(inputs.to(self.x_proj.weight.dtype)).split(self.sizes, dim=-1)
        steps = whole_loops(softplus, self.dt_proj(steps).float())
        return inputs, steps, drives.float(), readouts.float()

    def convolved(self, window: torch.Tensor) -> torch.Tensor:
        """The SiLU of a causal convolution of each channel."""
        n_tokens = window.shape[1] - self.n_before
        # A product for each place of the kernel.
        convolved = self.conv1d.bias.float().expand_as(window[:, :n_tokens]).contiguous()
        for place, weight in enumerate(self.conv1d.weight[:, 0].float().unbind(dim=1)):
            convolved.addcmul_(window[:, place : place + n_tokens], weight)
        return whole_loops(silu, convolved)

    def rates(self) -> torch.Tensor:
        """A (channels, N), below 0."""
        return -self.A_log.float().exp()

    def skips(self) -> torch.Tensor:
        """D (channels,), by which the input is added to the output."""
        return self.D.float()

    def finished(self, gated: torch.Tensor) -> torch.Tensor:
        """What the last product is given."""
        return gated


class _Mamba2(_Mamba):
    """The same of a Mamba-2, whose drives and readouts are those of all heads."""

    is_normalised = True

    def __init__(self, config: PreTrainedConfig) -> None:
        # Other weights than those of a Mamba.
        nn.Module.__init__(self)
        inner = config.expand * config.d_model
        self.head_width, self.n_before = config.head_width, config.d_conv - 1
        n_heads, n_states = inner // config.head_width, config.d_state
        self.sizes = (inner, n_states, n_states)
        n_convolved = sum(self.sizes)
        self.sizes_projected = (inner, n_convolved + n_heads)
        self.n_heads = n_heads
        self.in_proj = nn.Linear(config.d_model, sum(self.sizes_projected), bias=False)
        self.conv1d = nn.Conv1d(n_convolved, n_convolved, config.d_conv, groups=n_convolved)
        self.dt_bias = nn.Parameter(torch.zeros(n_heads))
        self.A_log = nn.Parameter(torch.zeros(n_heads))
        self.D = nn.Parameter(torch.ones(n_heads))
        self.norm = Norm(inner, _MAMBA_2_EPSILON)
        self.out_proj = nn.Linear(inner, config.d_model, bias=False)

    def projected(self, states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Channels, drives, readouts and steps of heads, before the convolution; and the gates."""
        gates, source = self.in_proj(states).split(self.sizes_projected, dim=-1)
        return source, gates

    def coefficients(self, window: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """As those of a Mamba: the steps are those of the channel's head."""
        convolved, steps = window[..., : -self.n_heads], window[:, self.n_before :, -self.n_heads :]
        inputs, drives, readouts = self.convolved(convolved).split(self.sizes, dim=-1)
        steps = whole_loops(softplus, steps + self.dt_bias.float())
        return inputs, self.of_channels(steps), drives, readouts

    def rates(self) -> torch.Tensor:
        """A (channels, N), below 0: one number for each head."""
        return self.of_channels(super().rates())[:, None].expand(-1, self.sizes[1])

    def skips(self) -> torch.Tensor:
        """D (channels,)."""
        return self.of_channels(super().skips())

    def of_channels(self, of_heads: torch.Tensor) -> torch.Tensor:
        """Numbers of heads (..., heads) for each channel (..., channels)."""
        return of_heads.repeat_interleave(self.head_width, dim=-1)

    def finished(self, gated: torch.Tensor) -> torch.Tensor:
        """What the last product is given: normalised over all heads."""
        return self.norm(gated)
