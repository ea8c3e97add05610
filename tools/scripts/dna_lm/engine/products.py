"""Matrix products on the CPU: fast, and the same result for a token in every batch.

oneDNN, which torch carries in addition to its own matrix library, multiplies float32 1.1 to 2.2 times as fast. Without
it torch's own is used. Either chooses its kernel, and in how many parts it sums, by the processor's instructions,
the shapes and the number of rows. Above some number of rows the choice stays the same, and then a row of the result has
the same bits whatever the number of rows. That number is measured (`fewest_rows`).
"""

import torch
from torch.nn.functional import linear, pad
from transformers import PreTrainedModel

from dna_lm.model import internals

# The name under which transformers finds `expert_products`.
NAME = "dna_lm"

# Products of fewer than `_FILLED_ROWS` rows are filled up to a multiple of `ROWS`. oneDNN makes a program for each new
# shape, which takes half a millisecond and half a megabyte, and more rows seldom have a new shape.
ROWS = 32
_FILLED_ROWS = 1024
# Numbers of rows that are tried. From `_FILLED_ROWS` on no processor's choice was seen to change.
_TRIED_ROWS = (32, 64, 96, 128, 192, 256, 384, 512, 768)

# Matrices of up to so many bytes together are copied into oneDNN's own arrangement, which it otherwise makes anew for
# each product. This saves 2 to 7 % of a job's time and changes no bit. Larger models need the memory for their weights.
_COPIED_BYTES = 6 * 10**8


def use_onednn(model: PreTrainedModel) -> None:
    """Make the layers of a model compute through `product`: its linear layers, and experts with a plain gate.

    So do modules of the suite's own families that have a `matrix_product`.
    """
    has_plain_experts = internals.has_plain_experts(model)
    matrices = {}
    for module in model.modules():
        if type(module) is torch.nn.Linear:
            internals.change_class(module, _Linear)
            matrices[module] = [module.weight]
        elif hasattr(module, "matrix_product"):
            module.matrix_product = product
        elif has_plain_experts and internals.is_experts(module):
            matrices[module] = [matrix for expert in range(module.num_experts) for matrix in _of_expert(module, expert)]
    if has_plain_experts:
        model.set_experts_implementation(NAME)
    if sum(matrix.nbytes for of_module in matrices.values() for matrix in of_module) <= _COPIED_BYTES:
        for module, of_module in matrices.items():
            module.arranged = [internals.arranged_for_onednn(matrix) for matrix in of_module]


class _Linear(torch.nn.Linear):
    arranged = None

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        [weight] = self.arranged or [self.weight]
        return product(inputs, weight, self.bias)


def _of_expert(module: torch.nn.Module, expert: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The matrices of an expert: gate, up and down."""
    if arranged := getattr(module, "arranged", None):
        return tuple(arranged[3 * expert : 3 * expert + 3])
    return *module.gate_up_proj[expert].chunk(2), module.down_proj[expert]


def product(
    inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None, silu: bool = False
) -> torch.Tensor:
    """inputs (..., width) times the transpose of weight (outputs, width), plus bias (outputs,) -> (..., outputs).

    With `silu`, the SiLU of it. The weight may be one of `internals.arranged_for_onednn`.
    """
    rows = inputs.reshape(-1, inputs.shape[-1])
    n_rows = len(rows)
    if n_rows < _FILLED_ROWS:
        n_filled = max(n_rows + -n_rows % ROWS, fewest_rows(weight) if rows.dtype == torch.float32 else ROWS)
        rows = pad(rows, (0, 0, 0, n_filled - n_rows)) if n_filled > n_rows else rows
    return _product(rows, weight, bias, silu)[:n_rows].unflatten(0, inputs.shape[:-1])


def _product(rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, silu: bool) -> torch.Tensor:
    # torch's own SiLU rounds the last numbers of a buffer, and of a thread's share of it, differently from the rest.
    outputs = internals.onednn_linear(rows, weight, bias, silu) if rows.dtype == torch.float32 else None
    if outputs is None:
        outputs = linear(rows, weight, bias)
        outputs = torch.nn.functional.silu(outputs, inplace=True) if silu else outputs
    return outputs


_measured = {}


def fewest_rows(weight: torch.Tensor) -> int:
    """The fewest rows from which on a product with a float32 weight of this shape has the same bits in each row.

    Measured once for each shape and number of threads, with random numbers. With oneDNN 3 it was 32 on processors with
    AVX2, and up to 640 with AVX alone, where sums over more than 384 numbers have two parts for few rows. On one with
    AVX-512, 32 rows differed from more.
    """
    shape = tuple(weight.shape), weight.is_mkldnn, torch.get_num_threads()
    if shape not in _measured:
        generator = torch.Generator().manual_seed(0)
        numbers = torch.randn(weight.shape, generator=generator)
        numbers = internals.arranged_for_onednn(numbers) if weight.is_mkldnn else numbers
        # The same rows again and again, so that each is seen at many places.
        rows = torch.randn(ROWS, weight.shape[1], generator=generator).repeat(_FILLED_ROWS // ROWS, 1)
        expected = _product(rows, numbers, None, False)
        fewest = _FILLED_ROWS
        for n_rows in reversed(_TRIED_ROWS):
            if not torch.equal(_product(rows[:n_rows], numbers, None, False), expected[:n_rows]):
                break
            fewest = n_rows
        _measured[shape] = fewest
    return _measured[shape]


def expert_products(
    module: torch.nn.Module, hidden_states: torch.Tensor, top_k_index: torch.Tensor, top_k_weights: torch.Tensor
) -> torch.Tensor:
    """Output of a layer of gated experts without biases: three products per expert.

    module: the layer's experts, for which `internals.has_plain_experts` holds. hidden_states (tokens, width),
    top_k_index and top_k_weights (tokens, k) -> (tokens, width).
    """
    n_tokens, k = top_k_index.shape
    if not k:
        return torch.zeros_like(hidden_states)
    is_silu = internals.is_silu(module.act_fn)
    chosen = top_k_index.flatten()
    order = chosen.argsort(stable=True)
    counts = chosen.bincount(minlength=module.num_experts)
    filled_counts = (counts + ROWS - 1) // ROWS * ROWS
    # The row of each choice when the tokens are sorted by expert, each expert's filled up to a multiple of `ROWS`.
    first_rows = filled_counts.cumsum(0) - filled_counts
    first_choices = counts.cumsum(0) - counts
    row_of_choice = torch.empty_like(order)
    row_of_choice[order] = torch.arange(len(order)) + (first_rows - first_choices)[chosen[order]]
    token_of_row = order.new_zeros(int(filled_counts.sum()))
    token_of_row[row_of_choice] = torch.arange(len(order)) // k
    outputs = []
    for expert, rows in enumerate(hidden_states.index_select(0, token_of_row).split(filled_counts.tolist())):
        if len(rows):
            gate, up, down = _of_expert(module, expert)
            # Rows fill whole vector registers, so any other activation rounds all of them alike too.
            gated = product(rows, gate, silu=True) if is_silu else module.act_fn(product(rows, gate))
            outputs.append(product(gated * product(rows, up), down))
    outputs = torch.cat(outputs).index_select(0, row_of_choice).view(n_tokens, k, -1)
    outputs = outputs.to(top_k_weights.dtype).mul_(top_k_weights[..., None])
    return (outputs[:, 0] if k == 1 else outputs.sum(dim=1)).to(hidden_states.dtype)


internals.register_experts(NAME, expert_products)
