"""What the length of a sequence means to a model: its longest input, and settings that change with the length.

Some models read a long sequence in another way: with stretched rotary embeddings, or with sparse attention.
transformers decides this by the longest sequence of a batch, or by the longest one so far. After
`forget_earlier_sequences` it depends only on the sequences of one forward pass.
"""

import json
import re

import torch
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

from dna_lm.model import internals
from dna_lm.model.tokens.tokenizer import NO_LIMIT


def max_tokens(model: PreTrainedModel, trunk: torch.nn.Module, tokenizer: PreTrainedTokenizerFast) -> int:
    """The longest input in tokens, special tokens included, by the tokenizer's and the model's settings."""
    limits = [tokenizer.model_max_length]
    config = model.config
    positions = getattr(config, "max_position_embeddings", None)
    # Models without positions ignore this setting.
    if type(positions) is int and positions:
        # RoBERTa and its relatives number positions from the padding index + 1; their position tables have that index.
        tables = [module for module in trunk.modules() if isinstance(module, torch.nn.Embedding)]
        tables = [table for table in tables if table is not model.get_input_embeddings()]
        padding = [table.padding_idx for table in tables if table.num_embeddings == positions]
        padding += [config.pad_token_id] if config.model_type == "esm" else []
        limits.append(positions - max((index + 1 for index in padding if index is not None), default=0))
    return min(NO_LIMIT, *limits)


def max_shared_tokens(config: PreTrainedConfig) -> int:
    """The longest sequence, in tokens, that may share a prefix with others in a causal model, by its settings; or 0."""
    # Rotary embeddings stretched for the longest sequence of a batch would depend on the batch. Queries scaled by their
    # position in the packed row would depend on what is packed before them.
    if _rotary_types(config) & {"dynamic", "longrope"} or getattr(config, "attn_temperature_tuning", False):
        return 0
    windows = (getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size"))
    return min((window for window in windows if type(window) is int and window > 0), default=NO_LIMIT)


def tokens_read_alike(config: PreTrainedConfig) -> int:
    """The length, in tokens, up to which a sequence is read alike alone and in a batch with others; or `NO_LIMIT`."""
    limits = [NO_LIMIT]
    if "longrope" in _rotary_types(config):
        rotary = config.rope_parameters
        limits.append(rotary.get("original_max_position_embeddings") or config.max_position_embeddings)
    if _is_block_sparse(config):
        limits.append(_tokens_of_full_attention(config))
    return min(limits)


def forget_earlier_sequences(model: PreTrainedModel, trunk: torch.nn.Module) -> None:
    """Let modules that decide by the longest sequence so far decide by the current batch alone."""
    for module in model.modules():
        if internals.has_dynamic_rotary(module):
            module.register_forward_pre_hook(_reset_rotary_frequencies)
    if _is_block_sparse(model.config):
        trunk.register_forward_pre_hook(_reset_sparse_attention, with_kwargs=True)


def _rotary_types(config: PreTrainedConfig) -> set[str]:
    # One set of parameters, or one for each kind of layer.
    return set(re.findall('"rope_type": "([^"]+)"', json.dumps(getattr(config, "rope_parameters", None), default=str)))


def _is_block_sparse(config: PreTrainedConfig) -> bool:
    return getattr(config, "attention_type", None) == "block_sparse"


def _tokens_of_full_attention(config: PreTrainedConfig) -> int:
    """The length up to which BigBird reads with full attention (Zaheer et al. 2020, and transformers)."""
    return (5 + 2 * config.num_random_blocks) * config.block_size


def _reset_rotary_frequencies(module: torch.nn.Module, _inputs: tuple) -> None:
    """Reset the cached rotary frequencies before each forward pass."""
    internals.reset_rotary_frequencies(module)


def _reset_sparse_attention(trunk: torch.nn.Module, inputs: tuple, options: dict) -> None:
    """Undo the switch to full attention, which transformers makes for a short sequence and keeps afterwards."""
    ids = inputs[0] if inputs else options["input_ids"]
    if ids.shape[1] > _tokens_of_full_attention(trunk.config):
        internals.use_sparse_attention(trunk)
