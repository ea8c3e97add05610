"""Every name of torch, transformers, tokenizers and the C library that the suite uses and they do not document.

An upgrade may remove or change such a name without notice. No other module of the suite uses one, and
`tests/unit/test_internals.py` checks what each of them does. Where the suite can work without a name, its function
does so when the name is missing; the scores are then the same within rounding.
"""

import contextlib
import ctypes
import os
import platform
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import torch
import transformers
from safetensors import safe_open
from transformers.activations import SiLUActivation

# transformers documents these two by examples only.
from transformers.integrations.sdpa_attention import sdpa_attention_forward as sdpa_attention_forward
from transformers.masking_utils import sdpa_mask as sdpa_mask
from transformers.modeling_outputs import MoeModelOutputWithPast
from transformers.models.auto import modeling_auto

try:
    from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS, _default_apply_gate
except ImportError:
    ALL_EXPERTS_FUNCTIONS = _default_apply_gate = None

# Architecture (`model_type`) -> name of the class that has its language-model head. transformers documents only the
# tables of classes, which import the modules of all classes that they are asked for.
CAUSAL_CLASSES: Mapping[str, str] = modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
MASKED_CLASSES: Mapping[str, str] = modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES

# An output that has all that a language-model head may read from its trunk's output: the router's logits too.
TrunkOutput = MoeModelOutputWithPast


# torch and the C library


_linear_pointwise = (
    getattr(torch.ops.mkldnn, "_linear_pointwise", None) if torch.backends.mkldnn.is_available() else None
)


def onednn_linear(
    rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, silu: bool
) -> torch.Tensor | None:
    """oneDNN's float32 product on the CPU, or `None` where torch does not have it.

    rows (rows, width), weight (outputs, width), bias (outputs,) -> (rows, outputs); with `silu`, the SiLU of it.
    torch.nn.functional.linear gives float32 to Intel's library instead, whatever the settings.
    """
    if _linear_pointwise is None:
        return None
    return _linear_pointwise(rows, weight, bias, "swish" if silu else "none", [], "")


_reorder_linear_weight = getattr(torch.ops.mkldnn, "_reorder_linear_weight", None)


def arranged_for_onednn(weight: torch.Tensor) -> torch.Tensor:
    """A copy of a weight (outputs, width) in the arrangement that `onednn_linear` multiplies fastest.

    No other function can read it. The weight itself where torch does not have both functions, or in 16 bits.
    """
    if None in (_linear_pointwise, _reorder_linear_weight) or weight.dtype != torch.float32:
        return weight
    return _reorder_linear_weight(weight.detach())


def change_class(module: torch.nn.Module, subclass: type[torch.nn.Module]) -> None:
    """Give a module the methods of a subclass of its class, in place: other modules may refer to it by any name."""
    module.__class__ = subclass


# Of malloc.h; the values are above the size of any tensor, and above all that is freed at once.
_M_TRIM_THRESHOLD, _LARGEST_FREED = -1, 2**31 - 1
_M_MMAP_THRESHOLD, _LARGEST_TENSOR = -3, 2**30


def keep_freed_memory() -> bool:
    """Have the C library keep what a batch frees, for the next one. Returns whether it does.

    Fresh pages took about a tenth of the time. Libraries other than glibc are left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if platform.libc_ver()[0] == "glibc" else None
    if mallopt is None:
        return False
    settings = ((_M_MMAP_THRESHOLD, _LARGEST_TENSOR), (_M_TRIM_THRESHOLD, _LARGEST_FREED))
    return [mallopt(name, value) for name, value in settings] == [1, 1]


# transformers: loading weights


def load_one_by_one() -> None:
    """Let transformers make each weight when it needs it, if nothing else is set in the environment."""
    # With threads it makes many weights ahead of what it merges, and their memory stays with the threads: 3.1 instead
    # of 2.2 GB for 0.4 thousand million numbers of experts in float32.
    os.environ.setdefault("HF_DEACTIVATE_ASYNC_LOAD", "1")


# transformers makes one tensor of the matrices of all experts of a layer.
_MERGED = re.compile(r"\.experts\.\d+\.")


class StoredWeight:
    """A weight in a safetensors file, which is mapped into memory when transformers takes `weight[...]`.

    transformers treats the values of a `state_dict` like this because those that it makes are safetensors' own slices.
    A weight that is copied while it is loaded (to another precision, or into a larger tensor) has a mapping to itself,
    which ends with the copy. Otherwise the pages of the whole file would count as the job's until loading ends.

    part, n_parts: which of so many equal parts of the stored rows the weight is.
    """

    def __init__(
        self, file: "_WeightsFile", name: str, precision: torch.dtype, part: int = 0, n_parts: int = 1
    ) -> None:
        self.file, self.name, self.precision = file, name, precision
        self.part, self.n_parts = part, n_parts

    def __getitem__(self, index: object) -> torch.Tensor:
        """The weight, or a part of it, as it is stored."""
        tensor = self._read(self.file.opened, index)
        is_copied = tensor.dtype != self.precision or _MERGED.search(self.name)
        return self._read(self.file.open(), index) if is_copied else tensor

    def _read(self, file: safe_open, index: object) -> torch.Tensor:
        stored = file.get_slice(self.name)
        if self.n_parts == 1:
            return stored[index]
        n_rows = stored.get_shape()[0] // self.n_parts
        return stored[self.part * n_rows : (self.part + 1) * n_rows][index]


class _WeightsFile:
    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self) -> safe_open:
        return safe_open(self.path, framework="pt")

    @cached_property
    def opened(self) -> safe_open:
        return self.open()


def stored_weights(
    paths: Iterable[Path], precision: torch.dtype, parts_of: Callable[[str], Sequence[str]] = lambda name: (name,)
) -> dict[str, StoredWeight]:
    """The weights of safetensors files by their names, for the `state_dict` of `from_pretrained`.

    precision: that of the model which is made of them. parts_of: the model's names of a stored weight, several when it
    has equal numbers of rows of each.
    """
    files = map(_WeightsFile, paths)
    return {
        part: StoredWeight(file, name, precision, number, len(parts))
        for file in files
        for name in file.opened.keys()  # noqa: SIM118
        for parts in [parts_of(name)]
        for number, part in enumerate(parts)
    }


# transformers: what a model computes with


def forget_saved_implementations(config: transformers.PreTrainedConfig) -> None:
    """Remove from a configuration the kernels that the machine which saved it computed with."""
    config._attn_implementation_internal = config._experts_implementation_internal = None


def replace_attention(model: transformers.PreTrainedModel, name: str) -> Callable[[], None] | None:
    """Use the attention that is registered under `name` in all layers of a model.

    Returns a function that undoes this, or `None` when the model's attention cannot be replaced or transformers no
    longer says whether it can. Then the suite reads batches of one length.
    """
    can_replace = getattr(model, "_can_set_attn_implementation", None)
    earlier_name = getattr(model.config, "_attn_implementation", None)
    if can_replace is None or earlier_name is None or not (model.is_backend_compatible() and can_replace()):
        return None
    model.set_attn_implementation(name)
    return lambda: model.set_attn_implementation(earlier_name)


def repeat_heads(states: torch.Tensor, n_repeats: int) -> torch.Tensor:
    """Repeat each head of keys or values: (batch, heads, tokens, width) -> (batch, heads x repeats, tokens, width)."""
    return states if n_repeats == 1 else states.repeat_interleave(n_repeats, dim=1)


def register_experts(name: str, function: Callable[..., torch.Tensor]) -> None:
    """Let `model.set_experts_implementation` find a function for the products of experts under `name`.

    The function has the parameters of `products.expert_products`. Without transformers' table, nothing is registered.
    """
    if ALL_EXPERTS_FUNCTIONS is not None:
        ALL_EXPERTS_FUNCTIONS.register(name, function)


def has_plain_experts(model: transformers.PreTrainedModel) -> bool:
    """Whether a model has experts, and all have the layout that `products.expert_products` reads.

    That is act(gate) * up, then down, without biases; `gate_up_proj` (experts, 2 x inner, width) has all gates first,
    and `down_proj` is (experts, width, inner). Without transformers' own gate to compare with, no model has.
    """
    experts = list(filter(is_experts, model.modules()))
    return ALL_EXPERTS_FUNCTIONS is not None and bool(experts) and all(map(_is_plain, experts))


def is_experts(module: torch.nn.Module) -> bool:
    """Whether a module holds the experts of a layer."""
    # In transformers only these modules have this attribute.
    return hasattr(module, "is_concatenated")


def _is_plain(experts: torch.nn.Module) -> bool:
    is_standard = experts.has_gate and experts.is_concatenated and not (experts.has_bias or experts.is_transposed)
    return is_standard and type(experts)._apply_gate is _default_apply_gate


def is_silu(function: Callable) -> bool:
    """Whether an activation function is the SiLU."""
    return isinstance(function, torch.nn.SiLU | SiLUActivation)


# transformers: what a model keeps of earlier sequences


def has_dynamic_rotary(module: torch.nn.Module) -> bool:
    """Whether a module makes rotary embeddings whose frequencies depend on the longest sequence so far."""
    return "dynamic" in str(getattr(module, "rope_type", ""))


def reset_rotary_frequencies(module: torch.nn.Module) -> None:
    """Set the frequencies of a module with dynamic rotary embeddings to those of short sequences.

    Raises `AttributeError` when transformers stores them under other names: scores would depend on earlier records.
    """
    for name in _rotary_buffers(module):
        prefix = name.removesuffix(_ORIGINAL_FREQUENCIES)
        device = getattr(module, f"{prefix}inv_freq").device
        setattr(module, f"{prefix}max_seq_len_cached", module.original_max_seq_len)
        setattr(module, f"{prefix}inv_freq", getattr(module, name).to(device))


_ORIGINAL_FREQUENCIES = "original_inv_freq"


def _rotary_buffers(module: torch.nn.Module) -> list[str]:
    """Names of the frequencies for short sequences: one, or one for each kind of layer, whose name comes first."""
    kinds = [f"{kind}_" for kind in module.rope_type] if isinstance(module.rope_type, dict) else [""]
    return [kind + _ORIGINAL_FREQUENCIES for kind in kinds]


def use_sparse_attention(trunk: torch.nn.Module) -> None:
    """Have a BigBird read with sparse attention again, after a short sequence has switched it to full attention."""
    trunk.set_attention_type("block_sparse")


# tokenizers


def keep_no_words(tokenizer: transformers.PreTrainedTokenizerFast) -> bool:
    """Switch off a tokenizer's memory of the last 10,000 words; returns whether it could be done.

    Here a word is a whole sequence, and few come twice: of sequences of 201 bases the memory takes 60 MB. Without the
    name, it takes that much and no token changes.
    """
    resize = getattr(tokenizer.backend_tokenizer.model, "_resize_cache", None)
    if resize is None:
        return False
    resize(0)
    return True


def token_ids(tokenizer: transformers.PreTrainedTokenizerFast, sequences: Iterable[str]) -> list[list[int]]:
    """Token ids of each sequence, special tokens included.

    The fast method leaves out the tokens' places in the text. Without it, the documented method takes more time.
    """
    backend = tokenizer.backend_tokenizer
    encode = getattr(backend, "encode_batch_fast", backend.encode_batch)
    with quiet_panics():
        return [encoding.ids for encoding in encode(list(sequences))]


@contextlib.contextmanager
def quiet_panics() -> Iterator[None]:
    """A context in which a library written in Rust prints nothing when it panics: the exception says why.

    It writes to the process's standard error itself, some lines for each text of a batch. What others write in the
    meantime appears afterwards.
    """
    has_panicked, stderr = False, os.dup(2)
    with tempfile.TemporaryFile() as messages:
        os.dup2(messages.fileno(), 2)
        try:
            yield
        except BaseException as error:
            has_panicked = is_panic(error)
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            messages.seek(0)
            if not has_panicked and (written := messages.read()):
                os.write(2, written)


def is_panic(error: BaseException) -> bool:
    """Whether an exception is a panic of a library written in Rust.

    Its class derives from `BaseException`, and no module has it: it can be recognised only by its name.
    """
    return type(error).__name__ == "PanicException"
