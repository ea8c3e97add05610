"""Mamba in both directions (Gu & Dao 2023, arXiv:2312.00752; Schiff et al. 2024, arXiv:2403.03234), for Caduceus.

One Mamba reads from left to right, another from right to left, and their outputs are added. The two share their first
and their last product, unless config.json says otherwise.
"""

import torch
from torch import nn
from torch.nn.functional import pad, silu, softplus
from transformers import PreTrainedConfig

from dna_lm.families.selective_scan import block_length, selective_scan, whole_loops


class Mixer(nn.Module):
    """One Mamba for each direction; outputs are added.

    config: has `d_model`, `d_state`, `d_conv`, `expand`, `dt_rank` and `bidirectional`.
    """

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__()
        self.mamba_fwd = _Mamba(config)
        self.mamba_rev = _Mamba(config) if config.bidirectional else None

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Output (sequences, tokens, width) for states (sequences, tokens, width)."""
        directions = [mamba for mamba in (self.mamba_fwd, self.mamba_rev) if mamba is not None]
        # With shared products, the two directions differ only between them.
        projecting = directions[:1] if directions[0].shares_products(directions[-1]) else directions
        sources, gates = zip(*(mamba.in_proj(states).chunk(2, dim=-1) for mamba in projecting), strict=True)
        scanned = [torch.zeros_like(source, dtype=torch.float32) for source in sources]
        length = block_length(len(directions) * len(states), states.shape[1], states.device)
        _scan(directions, sources, scanned, length)
        outputs = torch.zeros_like(states)
        for mamba, numbers, gate in zip(projecting, scanned, gates, strict=True):
            blocks = zip(*(tensor.split(length, dim=1) for tensor in (outputs, numbers, gate)), strict=True)
            for output, block, gate_of_block in blocks:
                gated = block * whole_loops(silu, gate_of_block.float())
                output += mamba.out_proj(gated.to(states.dtype))
        return outputs


def _scan(
    directions: list["_Mamba"], sources: tuple[torch.Tensor, ...], scanned: list[torch.Tensor], length: int
) -> None:
    """Add what each direction reads to `scanned`, block by block of so many tokens.

    sources, scanned: (sequences, tokens, channels), one for each direction or one for all.
    """
    n_tokens, state = sources[0].shape[1], None
    rates = torch.stack([-mamba.A_log.float().exp() for mamba in directions])
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
        skips = torch.stack([mamba.D.float() for mamba in directions])
        outputs = torch.addcmul(outputs, inputs, skips[:, None, None])
        scanned[0][:, start:stop] += outputs[0]
        if len(directions) == 2:
            scanned[-1][:, n_tokens - stop : n_tokens - start] += outputs[1].flip(1)


class _Mamba(nn.Module):
    """The weights of a Mamba, and what they make of the tokens before the scan."""

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

    def coefficients(self, window: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Inputs u, steps delta, drives B and readouts C of a scan, for the tokens of a window after the first few.

        window: float32 (sequences, `n_before` + tokens, channels).
        """
        n_tokens = window.shape[1] - self.n_before
        # A causal convolution of each channel: a product for each place of the kernel.
        convolved = self.conv1d.bias.float().expand_as(window[:, :n_tokens]).contiguous()
        for place, weight in enumerate(self.conv1d.weight[:, 0].float().unbind(dim=1)):
            convolved.addcmul_(window[:, place : place + n_tokens], weight)
        inputs = whole_loops(silu, convolved)
        steps, drives, readouts = self.x_proj(inputs.to(self.x_proj.weight.dtype)).split(self.sizes, dim=-1)
        steps = whole_loops(softplus, self.dt_proj(steps).float())
        return inputs, steps, drives.float(), readouts.float()
