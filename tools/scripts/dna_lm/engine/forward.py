"""The forward pass: hidden states of tokens, of the last layer and of another one.

Layers are numbered from 0: layer 0 is the input of the first block, layer k the output of block k, and the last (-1) is
the output of the last block after the model's final normalisation. They are read at the blocks, because transformers'
own tuple of hidden states lacks layer 0 for Mamba and RWKV.
"""

import contextlib
from collections.abc import Collection, Iterator

import torch

from dna_lm.engine.attention import TreeAttention
from dna_lm.engine.prefix_tree import PrefixTree
from dna_lm.engine.products import ROWS
from dna_lm.model.checkpoint import Checkpoint


def packed_states(checkpoint: Checkpoint, tree: PrefixTree, layer: int = -1) -> list[torch.Tensor]:
    """Hidden states of a layer and of the last one: two (tokens, width), packed."""
    n_rows = len(tree.ids) + -len(tree.ids) % ROWS
    packed_tree = TreeAttention(tree, n_rows, checkpoint.device, checkpoint.precision)
    states = _hidden_states(
        checkpoint,
        packed_tree.ids[None],
        layer,
        position_ids=packed_tree.positions[None],
        # transformers does not change a mask of four dimensions. Our attention does not read it.
        attention_mask=torch.empty(1, 1, 0, 0, device=checkpoint.device),
        tree=packed_tree,
    )
    return [packed[0, : len(tree.ids)] for packed in states]


def separate_states(checkpoint: Checkpoint, tree: PrefixTree, layer: int = -1) -> list[torch.Tensor]:
    """The same, for a tree of sequences of one length that share nothing."""
    ids = torch.from_numpy(tree.ids).to(checkpoint.device).view(len(tree.leaves), -1)
    return [states.flatten(0, 1) for states in sequence_states(checkpoint, ids, layer)]


def sequence_states(checkpoint: Checkpoint, ids: torch.Tensor, layer: int = -1) -> list[torch.Tensor]:
    """Hidden states of a layer and of the last one: ids (sequences, tokens) -> two (sequences, tokens, width)."""
    n_copies = -(-ROWS // ids.numel())
    return [states[: len(ids)] for states in _hidden_states(checkpoint, ids.repeat(n_copies, 1), layer)]


def _hidden_states(
    checkpoint: Checkpoint, ids: torch.Tensor, layer: int, **options: object
) -> tuple[torch.Tensor, torch.Tensor]:
    """Hidden states of a layer and of the last one; options: more arguments of the trunk."""
    if layer in (-1, checkpoint.n_layers):
        last = checkpoint.trunk(ids, use_cache=False, **options).last_hidden_state
        return last, last
    layer %= checkpoint.n_layers + 1
    with watching_layers(checkpoint, [layer]) as states:
        last = checkpoint.trunk(ids, use_cache=False, **options).last_hidden_state
    # Some trunks pad sequences to a multiple of an attention block, and cut only their final output.
    return states[layer][:, : ids.shape[1]], last


@contextlib.contextmanager
def watching_layers(checkpoint: Checkpoint, wanted: Collection[int]) -> Iterator[dict[int, torch.Tensor]]:
    """A context for one forward pass, which yields a dict that is filled with hidden states: layer -> (..., width).

    wanted: the layers to keep, from 0. A block that is called several times (ALBERT) is one layer for each call.
    """
    states, n_calls = {}, 0

    def keep_input(_block: torch.nn.Module, inputs: tuple, options: dict) -> None:
        if not n_calls and 0 in wanted:
            states[0] = (inputs[0] if inputs else options["hidden_states"]).clone()

    def keep_output(_block: torch.nn.Module, _inputs: tuple, output: torch.Tensor | tuple) -> None:
        nonlocal n_calls
        n_calls += 1
        if n_calls in wanted:
            # A copy: the next block may change them in place.
            states[n_calls] = (output if torch.is_tensor(output) else output[0]).clone()

    with contextlib.ExitStack() as stack:
        for block in checkpoint.blocks:
            stack.enter_context(block.register_forward_pre_hook(keep_input, with_kwargs=True))
            stack.enter_context(block.register_forward_hook(keep_output))
        yield states
