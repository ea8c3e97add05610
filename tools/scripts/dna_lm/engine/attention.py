"""Attention over a tree of shared prefixes, and everywhere else as transformers does it.

Registered with transformers under `NAME`. A model that calls it with a `tree` gets packed tokens (see `prefix_tree`):
each attends to the tokens on its own path. Without a tree it is scaled dot-product attention.
"""

import numpy as np
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface

from dna_lm.engine.host import on_device
from dna_lm.engine.prefix_tree import AttentionGroup, PrefixTree
from dna_lm.model import internals

NAME = "dna_lm"


class TreeAttention:
    """What a forward pass needs of a `PrefixTree`, as tensors.

    ids, positions: int64 (rows,), packed. places: (rows,), the place of each packed token among all groups' queries,
    one group after the other. groups: for each group of attention the packed rows of its queries (items, queries) and
    of its keys (items, keys), and the mask that is added to their products (items, 1, queries, keys).
    """

    def __init__(self, tree: PrefixTree, n_rows: int, device: torch.device, precision: torch.dtype) -> None:
        """n_rows: the number of packed tokens; those beyond the tree's tokens are filling."""
        groups, places = tree.attention_groups()
        filled = [np.pad(numbers, (0, n_rows - len(places))) for numbers in (tree.ids, tree.positions, places)]
        arrays = [*filled, tree.path_rows, *(group.items for group in groups)]
        self.ids, self.positions, self.places, path_rows, *items = on_device(arrays, device)
        self.groups = [
            _expanded(group, of_group, path_rows, precision) for group, of_group in zip(groups, items, strict=True)
        ]


def _expanded(
    group: AttentionGroup, items: torch.Tensor, path_rows: torch.Tensor, precision: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rows of queries (items, queries), rows of keys (items, keys), mask (items, 1, queries, keys) of a group.

    The mask is 0 where a query attends to a key, else -infinity. Queries beyond an item's last are filling, and keys
    beyond the last query are masked. But NaN or infinity would pass the mask, so these repeat a key of the path.
    """
    rows, starts, stops, paths = items[..., None]
    queries, keys = (torch.arange(n, device=items.device) for n in (group.n_queries, group.n_keys))
    query_rows = torch.where(queries < stops - starts, rows + queries, 0)
    key_rows = path_rows[paths + torch.where(keys < stops, keys, 0)]
    later = keys > (starts + queries)[:, None, :, None]
    return query_rows, key_rows, later.new_zeros(later.shape, dtype=precision).masked_fill_(later, -torch.inf)


def attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    tree: TreeAttention | None = None,
    **options: object,
) -> tuple[torch.Tensor, None]:
    """Attention with the parameters that transformers gives; `tree` comes through from the call of the trunk.

    query, key, value (batch, heads, tokens, width) -> (batch, tokens, heads, width).

    The width of values, and so of the output, may differ from that of queries and keys. Raises `NotImplementedError`
    for kinds of attention that cannot be computed with a tree.
    """
    if tree is None:
        return internals.sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **options)
    if options.get("softcap") is not None or options.get("s_aux") is not None:
        raise NotImplementedError("attention with a soft cap or with sinks")
    n_heads = query.shape[1]
    # (tokens, heads x width): gathering whole rows is several times faster than gathering from more dimensions.
    rows_and_width = [(states[0].transpose(0, 1).flatten(1), states.shape[-1]) for states in (query, key, value)]
    outputs = []
    for query_rows, key_rows, mask in tree.groups:
        queries, keys, values = (
            rows.index_select(0, wanted.flatten()).view(*wanted.shape, -1, width).transpose(1, 2)
            for (rows, width), wanted in zip(rows_and_width, (query_rows, key_rows, key_rows), strict=True)
        )
        keys, values = (internals.repeat_heads(states, n_heads // states.shape[1]) for states in (keys, values))
        output = scaled_dot_product_attention(queries, keys, values, attn_mask=mask, scale=scaling)
        outputs.append(output.transpose(1, 2).flatten(0, 1).flatten(1))
    return torch.cat(outputs).index_select(0, tree.places).view(1, -1, n_heads, value.shape[-1]), None


AttentionInterface.register(NAME, attention)
AttentionMaskInterface.register(NAME, internals.sdpa_mask)
