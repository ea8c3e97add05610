"""Mixture-of-experts layers on the CPU: one large product per expert, the same result for a token in every batch.

Registered with transformers under `NAME`; a model chooses it by `set_experts_implementation(NAME)`.
"""

import torch
from torch.nn.functional import linear, pad
from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS

NAME = "dna_lm"

# The CPU's matrix library has other kernels, with other rounding, for products of very few rows. From 12 rows on, a row
# of the result was the same bit for bit whatever the number of rows; 16 leaves some room.
MIN_ROWS = 16


def expert_products(module, hidden_states, top_k_index, top_k_weights):
    """Output of a gated expert layer without biases.

    hidden_states (tokens, width), top_k_index and top_k_weights (tokens, k) -> (tokens, width).
    """
    n_tokens, k = top_k_index.shape
    chosen = top_k_index.reshape(-1)
    order = chosen.argsort(stable=True)
    counts = torch.bincount(chosen, minlength=module.num_experts).tolist()
    inputs = hidden_states[order // k].split(counts)
    outputs = torch.empty(n_tokens * k, hidden_states.shape[1], dtype=hidden_states.dtype, device=hidden_states.device)
    for expert, rows, place in zip(range(module.num_experts), inputs, order.split(counts), strict=True):
        if len(rows):
            gate, up = linear(at_least_min_rows(rows), module.gate_up_proj[expert]).chunk(2, dim=-1)
            outputs[place] = linear(module.act_fn(gate) * up, module.down_proj[expert])[: len(rows)]
    return (outputs.view(n_tokens, k, -1) * top_k_weights[..., None]).sum(dim=1).to(hidden_states.dtype)


def at_least_min_rows(rows):
    """`rows` (n, width) with zero rows added up to `MIN_ROWS`."""
    return pad(rows, (0, 0, 0, MIN_ROWS - len(rows))) if len(rows) < MIN_ROWS else rows


ALL_EXPERTS_FUNCTIONS.register(NAME, expert_products)
