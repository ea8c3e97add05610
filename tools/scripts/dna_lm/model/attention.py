"""Attention over a tree of shared prefixes, and everywhere else as transformers does it.

Registered with transformers under `NAME`. A model that calls it with a `tree` gets packed tokens (see `prefix_tree`):
each attends to the tokens on its own path. Without one it is scaled dot-product attention.
"""

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "dna_lm"


class TreeAttention:
    """What every layer needs of a `PrefixTree`, as tensors: the groups' rows and masks, and the way back.

    n_rows: how many packed tokens there are; what is beyond the tree's own is filling.
    """

    def __init__(self, tree, n_rows, device, precision):
        groups, places = tree.attention()
        self.places = torch.nn.functional.pad(torch.from_numpy(places), (0, n_rows - len(places))).to(device)
        self.groups = [
            (
                *(torch.from_numpy(rows).to(device) for rows in (group.queries, group.keys)),
                _mask(group, device, precision),
            )
            for group in groups
        ]


def _mask(group, device, precision):
    """0 where a query attends to a key, else -infinity: (items, 1, queries, keys)."""
    positions = torch.from_numpy(group.positions)[:, None] + torch.arange(group.queries.shape[1])
    later = torch.arange(group.keys.shape[1]) > positions[:, None, :, None]
    return torch.zeros(later.shape, dtype=precision).masked_fill_(later, -torch.inf).to(device)


def attention(module, query, key, value, attention_mask, scaling=None, tree=None, **options):
    """Attention with the signature that transformers expects.

    query, key, value (batch, heads, tokens, width) -> (batch, tokens, heads, width).

    The width of values, and so of the output, may differ from that of queries and keys.
    """
    if tree is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **options)
    if options.get("softcap") is not None or options.get("s_aux") is not None:
        raise NotImplementedError("attention with a soft cap or with sinks")
    n_heads = query.shape[1]
    # (tokens, heads x width): gathering whole rows is several times faster than gathering from more dimensions.
    rows_of_all = [(states[0].transpose(0, 1).flatten(1), states.shape[-1]) for states in (query, key, value)]
    outputs = []
    for queries, keys, mask in tree.groups:
        q, k, v = (
            states.index_select(0, rows.flatten()).view(*rows.shape, -1, width).transpose(1, 2)
            for (states, width), rows in zip(rows_of_all, (queries, keys, keys), strict=True)
        )
        k, v = (repeat_kv(states, n_heads // states.shape[1]) for states in (k, v))
        output = scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scaling)
        outputs.append(output.transpose(1, 2).flatten(0, 1).flatten(1))
    return torch.cat(outputs).index_select(0, tree.places).view(1, -1, n_heads, value.shape[-1]), None


AttentionInterface.register(NAME, attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
