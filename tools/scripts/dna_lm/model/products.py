"""Matrix products on the CPU: fast, and the same result for a token in every batch.

oneDNN, which torch carries beside its own matrix library, multiplies float32 up to twice as fast, and a row of its
result is the same bits whatever the number of rows and threads. Without it torch's own library is used.
"""

import ctypes
import platform

import torch
from torch.nn.functional import linear, pad
from transformers.activations import SiLUActivation
from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS, _default_apply_gate

NAME = "dna_lm"

# The rows of a product, up to some number from which shapes seldom differ, are filled up to a multiple of this: oneDNN
# makes a program for each shape that it meets, which takes half a millisecond and half a megabyte. Besides, matrix
# libraries have other kernels, with other rounding, for very few rows (torch's own below 12, oneDNN for a single one).
ROWS = 32
_FILLED_ROWS = 1024

# Of malloc.h; the values are above the size of any tensor, and above all that is freed at once.
_M_TRIM_THRESHOLD, _LARGEST_FREED = -1, 2**31 - 1
_M_MMAP_THRESHOLD, _LARGEST_TENSOR = -3, 2**30


def use_onednn(model):
    """Make the layers of a model compute through `product`: its linear layers, and experts with a plain gate."""
    for module in model.modules():
        if type(module) is torch.nn.Linear:
            module.__class__ = _Linear
    # In transformers only modules of experts have this attribute, which describes the layout of their weights.
    experts = [module for module in model.modules() if hasattr(module, "is_concatenated")]
    if experts and all(map(_has_plain_gate, experts)):
        model.set_experts_implementation(NAME)


def _has_plain_gate(experts):
    """Whether experts are act(gate) * up, then down, in the layout that `expert_products` reads."""
    is_standard = experts.has_gate and experts.is_concatenated and not (experts.has_bias or experts.is_transposed)
    return is_standard and type(experts)._apply_gate is _default_apply_gate


def keep_freed_memory():
    """Have the C library keep what a batch frees, for the next one: about a tenth of the time went into fresh pages."""
    if platform.libc_ver()[0] == "glibc":
        for name, value in ((_M_MMAP_THRESHOLD, _LARGEST_TENSOR), (_M_TRIM_THRESHOLD, _LARGEST_FREED)):
            ctypes.CDLL(None).mallopt(name, value)


class _Linear(torch.nn.Linear):
    def forward(self, inputs):
        return product(inputs, self.weight, self.bias)


def product(inputs, weight, bias=None, silu=False):
    """inputs (..., width) times the transpose of weight (outputs, width), plus bias (outputs,) -> (..., outputs).

    With `silu`, the SiLU of it.
    """
    rows = inputs.reshape(-1, inputs.shape[-1])
    n_rows = len(rows)
    if n_rows < _FILLED_ROWS and n_rows % ROWS:
        rows = pad(rows, (0, 0, 0, -n_rows % ROWS))
    if torch.backends.mkldnn.is_available() and rows.dtype == torch.float32:
        # torch's own SiLU rounds the last numbers of a buffer, and of a thread's share of it, otherwise than the rest.
        outputs = torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "swish" if silu else "none", [], "")
    else:
        outputs = linear(rows, weight, bias)
        outputs = torch.nn.functional.silu(outputs, inplace=True) if silu else outputs
    return outputs[:n_rows].unflatten(0, inputs.shape[:-1])


def expert_products(module, hidden_states, top_k_index, top_k_weights):
    """Output of a layer of gated experts without biases: three products per expert.

    hidden_states (tokens, width), top_k_index and top_k_weights (tokens, k) -> (tokens, width).
    """
    n_tokens, k = top_k_index.shape
    if not k:
        return torch.zeros_like(hidden_states)
    is_silu = isinstance(module.act_fn, torch.nn.SiLU | SiLUActivation)
    chosen = top_k_index.flatten()
    order = chosen.argsort(stable=True)
    counts = chosen.bincount(minlength=module.num_experts)
    filled = (counts + ROWS - 1) // ROWS * ROWS
    # The position of each choice when the tokens are sorted by expert, each expert's filled up to a multiple of rows.
    places = torch.empty_like(order)
    places[order] = torch.arange(len(order)) + (filled.cumsum(0) - filled - counts.cumsum(0) + counts)[chosen[order]]
    tokens = order.new_zeros(int(filled.sum()))
    tokens[places] = torch.arange(len(order)) // k
    outputs = []
    for expert, rows in enumerate(hidden_states.index_select(0, tokens).split(filled.tolist())):
        if len(rows):
            gate, up = module.gate_up_proj[expert].chunk(2)
            # Rows fill whole vector registers, so any other activation rounds all of them alike too.
            gated = product(rows, gate, silu=True) if is_silu else module.act_fn(product(rows, gate))
            outputs.append(product(gated * product(rows, up), module.down_proj[expert]))
    outputs = torch.cat(outputs).index_select(0, places).view(n_tokens, k, -1)
    outputs = outputs.to(top_k_weights.dtype).mul_(top_k_weights[..., None])
    return (outputs[:, 0] if k == 1 else outputs.sum(dim=1)).to(hidden_states.dtype)


ALL_EXPERTS_FUNCTIONS.register(NAME, expert_products)
