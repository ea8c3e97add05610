"""Load a model that is ready to use: loaded, prepared for fast forward passes, and checked with short sequences."""

from dataclasses import replace
from pathlib import Path

import torch
import transformers

from dna_lm import environment
from dna_lm.engine import attention, products, self_check
from dna_lm.errors import UserError, counted, quoted
from dna_lm.model import files, internals, lengths
from dna_lm.model.checkpoint import Checkpoint, load_unchecked
from dna_lm.model.folder import find_folder
from dna_lm.model.identity import Identity
from dna_lm.model.parts import WholeModelHead


def load(
    path: Path | str, precision: str = "float32", model_id: str | None = None, revision: str | None = None
) -> Checkpoint:
    """Load the model at `path`: a folder, or a Hugging Face cache with `model_id` and `revision` (see `model.folder`).

    Raises `UserError` where there is none, and as `load_checkpoint` does.
    """
    folder = find_folder(path, model_id, revision)
    return load_checkpoint(folder, precision, Identity(folder, model_id or Path(path).resolve().name, revision or ""))


def load_checkpoint(folder: Path | str, precision: str = "float32", identity: Identity | None = None) -> Checkpoint:
    """Load a model onto the GPU when there is one (`DNA_LM_DEVICE` overrides), else the CPU.

    folder: one with a `config.json`; precision: a key of `model.checkpoint.PRECISIONS`; identity: by default, the
    folder's name. Raises
    `UserError` for a folder that `model.checkpoint.load_unchecked` refuses, and for a model that fails a check of
    `self_check`. A missing head is an error only when something needs it.
    """
    environment.keep_bits()
    checkpoint, model = load_unchecked(Path(folder), precision, identity)
    if checkpoint.device.type == "cuda":
        # By default cuDNN computes convolutions of float32 numbers with 10 of their 23 bits (TF32).
        torch.backends.cudnn.allow_tf32 = False
        # cuDNN's attention makes a program for each new shape, which takes up to half a second, and hardly any two
        # batches have the same shapes. In 16 bits torch prefers it on some GPUs.
        torch.backends.cuda.enable_cudnn_sdp(False)
    with files.refusing("transformers cannot run the model"):
        # Before any part of the model is replaced: a failure here is not the suite's.
        self_check.run_once(checkpoint, model)
    lengths.forget_earlier_sequences(model, checkpoint.trunk)
    if checkpoint.device.type == "cpu":
        products.use_onednn(model)
        internals.keep_freed_memory()
    # A model without a mask has no attention either.
    if checkpoint.is_causal and checkpoint.has_mask:
        checkpoint = _share_prefixes(checkpoint, model)
    outputs = self_check.check_finite(checkpoint, model)
    has_head = checkpoint.head is not None
    checkpoint = replace(
        checkpoint,
        blocks=checkpoint.blocks if outputs.has_layers else (),
        output_size=outputs.hidden.shape[-1],
        vocabulary_size=outputs.logits.shape[-1] if has_head else checkpoint.vocabulary_size,
    )
    if has_head:
        checkpoint = _with_checked_head(checkpoint, model, outputs)
    self_check.check_padding(checkpoint)
    self_check.check_mirror(checkpoint)
    return checkpoint


def use_threads(n: int) -> None:
    """Compute with `n` threads on the CPU."""
    torch.set_num_threads(n)


def computes_with(model: Checkpoint) -> str:
    """The libraries, the precision, the device and the threads that a model computes with, in words."""
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
    threads = counted(torch.get_num_threads(), "thread")
    return f"{versions}, {model.precision_name} on {model.device}, {threads}"


def _share_prefixes(checkpoint: Checkpoint, model: transformers.PreTrainedModel) -> Checkpoint:
    """The checkpoint of a causal model; with our attention and a limit if it can read sequences that share prefixes."""
    limit = lengths.max_shared_tokens(model.config)
    restore_attention = internals.replace_attention(model, attention.NAME) if limit else None
    if restore_attention is None:
        return checkpoint
    if self_check.reads_trees(checkpoint):
        return replace(checkpoint, max_shared_tokens=limit)
    # Our attention would leave out what it does not know, such as attention sinks, even where no tree is read.
    restore_attention()
    return checkpoint


def _with_checked_head(
    checkpoint: Checkpoint, model: transformers.PreTrainedModel, outputs: self_check.ProbeOutputs
) -> Checkpoint:
    """The checkpoint with a head that gives the whole model's logits. Raises `UserError` when there is none."""
    if self_check.is_head(checkpoint, outputs):
        return checkpoint
    checkpoint = replace(checkpoint, head=WholeModelHead(model))
    if not self_check.is_head(checkpoint, outputs):
        raise UserError(f"model: the head of the architecture {quoted(model.config.model_type)} is not supported")
    return checkpoint
