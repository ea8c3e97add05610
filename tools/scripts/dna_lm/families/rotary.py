"""Attention to all tokens, with rotary positions (Su et al. 2021, arXiv:2104.09864). What several families share."""

import torch
from torch.nn import functional

BASE = 10_000

# Cosines and sines of the angle of each position and frequency, both (tokens, numbers of a head that are turned / 2).
Angles = tuple[torch.Tensor, torch.Tensor]


def angles(n_tokens: int, width: int, like: torch.Tensor, base: float = BASE) -> Angles:
    """The angles for the first `width` numbers of each head, in the type and on the device of `like`."""
    frequencies = base ** (-torch.arange(0, width, 2, device=like.device).float() / width)
    turned = torch.outer(torch.arange(n_tokens, device=like.device).float(), frequencies)
    return turned.cos().to(like.dtype), turned.sin().to(like.dtype)


def attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, n_heads: int, turned: Angles, mask: torch.Tensor | None
) -> torch.Tensor:
    """Attention of heads: three (sequences, tokens, width) -> the same.

    mask: (sequences, 1, 1, tokens), false for padding.
    """
    query, key, value = (states.unflatten(-1, (n_heads, -1)).transpose(1, 2) for states in (query, key, value))
    query, key = _turned(query, *turned), _turned(key, *turned)
    return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask).transpose(1, 2).flatten(2)


def _turned(states: torch.Tensor, cosines: torch.Tensor, sines: torch.Tensor) -> torch.Tensor:
    """Turn pairs of numbers, one of either half of those that are turned: states (..., tokens, width of a head)."""
    half = cosines.shape[-1]
    first, second, others = states.split((half, half, states.shape[-1] - 2 * half), dim=-1)
    return torch.cat((first * cosines - second * sines, second * cosines + first * sines, others), dim=-1)
