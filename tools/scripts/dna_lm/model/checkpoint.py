"""A model folder on disk: find it, refuse what is unsafe or incomplete, load it, prove it, say what it can do.

Knows nothing of scores. Nothing is fetched, no code of a checkpoint is run: safetensors weights, a
`config.json` of an architecture that transformers itself implements, and a `tokenizer.json`.
"""

import logging
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
import transformers
from transformers.modeling_outputs import MoeModelOutputWithPast
from transformers.models.auto import modeling_auto

from dna_lm.engine import self_check
from dna_lm.errors import UserError, counted, quoted
from dna_lm.model import attention, files, lengths, products
from dna_lm.model import tokenizer as dna_tokenizer

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """A loaded model.

    `trunk` maps token ids to hidden states; `head` maps hidden states to logits over the vocabulary, or is `None` when
    the checkpoint has no weights for it (`missing_head` then names them). `max_tokens` counts special tokens, which are
    `special_token_ids`; `mask_token_id` is `None` when the tokenizer has no mask. `is_causal`: the model reads from
    left to right; otherwise it fills masks. Sequences of up to `max_shared_tokens` tokens can go through the trunk as a
    `PrefixTree`; 0 when the model cannot read one. `blocks` are the modules of the trunk's layers in their order; empty
    when they cannot be identified, and then only the last layer's hidden states can be read. Hidden states have
    `hidden_size` numbers, those of the last layer `output_size`, and logits `vocabulary_size`.
    """

    tokenizer: transformers.PreTrainedTokenizerFast
    trunk: torch.nn.Module
    head: Callable | None
    missing_head: tuple[str, ...]
    special_token_ids: frozenset[int]
    mask_token_id: int | None
    is_causal: bool
    max_tokens: int
    max_shared_tokens: int
    pad_token_id: int
    blocks: tuple[torch.nn.Module, ...]
    n_layers: int
    vocabulary_size: int
    hidden_size: int
    output_size: int
    device: torch.device
    precision: torch.dtype

    @property
    def precision_name(self):
        """Such as `float32`."""
        return str(self.precision).removeprefix("torch.")

    def tokenise(self, sequences):
        """Token ids, special tokens included, for each sequence: a list of lists, never padded or cut."""
        return [encoding.ids for encoding in self.tokenizer.backend_tokenizer.encode_batch_fast(list(sequences))]

    def logits(self, states):
        """The head's output in float32: hidden states (..., width) -> (..., vocabulary)."""
        return self.head(states).float()

    def require_head(self, purpose):
        """Refuse a `purpose` that needs logits when the checkpoint lacks the weights that make them."""
        if self.head is None:
            raise UserError(
                f"{purpose} needs the model's language-model head, but the checkpoint lacks "
                f"{', '.join(self.missing_head)}: choose the representation 'hidden', or a checkpoint with a head"
            )


def find_folder(path, model_id=None, revision=None):
    """The folder that holds `config.json`: `path` itself, or the snapshot inside a Hugging Face cache at `path`.

    `path` may be a flat folder, one model's cache (`models--owner--name`), or a whole cache, in which `model_id`
    (`owner/name`) says which model. `revision` is a commit or a reference; the default is `main`, or the only one.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise UserError(f"model {quoted(path)}: there is no such folder")
    if os.path.lexists(folder / "config.json"):
        return folder
    if (folder / "hub").is_dir():
        folder = folder / "hub"
    if not (folder / "snapshots").is_dir():
        folder = _cached_model(folder, path, model_id, revision)
    snapshots = {snapshot.name: snapshot for snapshot in (folder / "snapshots").glob("*") if snapshot.is_dir()}
    references = {
        file.name: file.read_text(errors="replace").strip() for file in (folder / "refs").glob("*") if file.is_file()
    }
    wanted = references.get(revision, revision)
    if wanted not in snapshots and not _is_commit(wanted):
        # A version that is no revision, such as "1", is only a name in the administrator's table.
        wanted = references.get("main", next(iter(snapshots)) if len(snapshots) == 1 else None)
    if wanted in snapshots:
        return snapshots[wanted]
    raise UserError(
        f"model {quoted(path)}: the Hugging Face cache has no revision {quoted(revision or 'main')}; "
        f"it has {', '.join(sorted(snapshots)) or 'none'}"
    )


def _is_commit(revision):
    return revision is not None and re.fullmatch("[0-9a-f]{40}", revision) is not None


def _cached_model(folder, path, model_id, revision):
    models = {model.name: model for model in folder.glob("models--*") if (model / "snapshots").is_dir()}
    if not models:
        raise UserError(f"model {quoted(path)}: the folder has no config.json, so it is not a model")
    if model_id is None and len(models) == 1:
        return next(iter(models.values()))
    # A table that lists several versions of one model tells them apart by a suffix to the model's id.
    for name in (model_id or "", (model_id or "").removesuffix(f"_{revision}")):
        if model := models.get(f"models--{name.replace('/', '--')}"):
            return model
    raise UserError(f"model {quoted(path)}: this Hugging Face cache has no model {quoted(model_id or '(unnamed)')}")


def load(folder, precision="float32"):
    """Load a `Checkpoint` onto the GPU when there is one (`DNA_LM_DEVICE` overrides), else the CPU.

    Raises `UserError` for a folder that is incomplete, unsafe, of an unknown architecture, or whose tokenizer cannot
    write DNA. A missing head is no error until something needs it.
    """
    folder = Path(folder)
    settings = files.read_config(folder)
    weights = files.check_weights(folder)
    device = _device()
    model_class, is_causal = _architecture(settings)
    tokenizer = dna_tokenizer.load(folder)
    model, missing = _load_model(folder, model_class, weights, PRECISIONS[precision], device)
    trunk_name, trunk = _trunk(model)
    head, missing_head = _split_head(model, trunk_name, missing)
    checkpoint = Checkpoint(
        tokenizer=tokenizer,
        trunk=trunk,
        head=head,
        missing_head=missing_head,
        special_token_ids=dna_tokenizer.special_token_ids(tokenizer),
        mask_token_id=dna_tokenizer.mask_token_id(tokenizer),
        is_causal=is_causal,
        max_tokens=lengths.max_tokens(model, trunk, tokenizer),
        max_shared_tokens=0,
        pad_token_id=_pad_token_id(model.config, tokenizer),
        blocks=_blocks(trunk, model.config),
        n_layers=model.config.num_hidden_layers,
        vocabulary_size=model.config.vocab_size,
        hidden_size=model.config.hidden_size,
        output_size=model.config.hidden_size,
        device=device,
        precision=PRECISIONS[precision],
    )
    if checkpoint.max_tokens < 2:
        raise UserError(f"model: by its settings it reads at most {counted(checkpoint.max_tokens, 'token')}")
    dna_tokenizer.check(checkpoint)
    with files.refusing("transformers cannot run the model"):
        # Before any part of the model is replaced: a failure here is not the suite's.
        self_check.run_once(checkpoint, model)
    lengths.forget_earlier_sequences(model, trunk)
    if device.type == "cpu":
        products.use_onednn(model)
        products.keep_freed_memory()
    if is_causal:
        checkpoint = _sharing_prefixes(checkpoint, model)
    read = self_check.check_finite(checkpoint, model)
    checkpoint = replace(
        checkpoint,
        blocks=checkpoint.blocks if read.has_layers else (),
        output_size=read.hidden.shape[-1],
        vocabulary_size=checkpoint.vocabulary_size if head is None else read.logits.shape[-1],
    )
    if head is not None and not self_check.is_head(checkpoint, read):
        checkpoint = replace(checkpoint, head=_Head(model, trunk_name))
        if not self_check.is_head(checkpoint, read):
            raise UserError(f"model: the head of the architecture {quoted(settings['model_type'])} is not supported")
    self_check.check_padding(checkpoint)
    return checkpoint


def _device():
    gpu = torch.cuda.is_available()
    name = os.environ.get("DNA_LM_DEVICE") or ("cuda" if gpu else "cpu")
    if name.startswith("cuda") and not gpu:
        raise UserError(f"DNA_LM_DEVICE is {quoted(name)}, but there is no GPU that torch can use")
    return torch.device(name)


def _architecture(settings):
    """The transformers class with the language-model head, and whether it is causal."""
    model_type, declared = settings.get("model_type"), settings.get("architectures") or []
    if not isinstance(model_type, str):
        raise UserError(f"model: {files.CONFIG} names no architecture (model_type is {quoted(model_type)})")
    if not isinstance(declared, list):
        raise UserError(f"model: in {files.CONFIG}, architectures is not a list but {quoted(declared)}")
    causal = modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(model_type)
    masked = modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES.get(model_type)
    if settings.get("is_encoder_decoder"):
        raise UserError(
            f"model: the architecture {quoted(model_type)} is an encoder with a decoder, not supported here"
        )
    if not causal and not masked:
        raise UserError(
            f"model: the architecture {quoted(model_type)} in config.json is no causal or masked language model "
            f"that transformers {transformers.__version__} implements"
        )
    # The architecture can be either: the class with which it was saved decides, or else its setting `is_decoder`.
    is_saved_as_causal = causal in declared or (masked not in declared and settings.get("is_decoder"))
    if masked and not (causal and is_saved_as_causal):
        return transformers.AutoModelForMaskedLM, False
    return transformers.AutoModelForCausalLM, True


def _load_model(folder, model_class, weights, dtype, device):
    """The model in evaluation mode, and the names of the weights that the checkpoint does not have."""
    transformers.logging.disable_progress_bar()
    with files.refusing(f"transformers cannot use {files.CONFIG}"):
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    for name in ("num_hidden_layers", "hidden_size", "vocab_size"):
        if not isinstance(getattr(config, name, None), int):
            raise UserError(
                f"model: the architecture {quoted(config.model_type)} is not supported: "
                f"its configuration has no integer {quoted(name)}"
            )
    # What the machine that saved the checkpoint computed with, or wanted as output, is not for this one.
    config.return_dict, config.output_hidden_states, config.output_attentions = True, False, False
    config._attn_implementation_internal = config._experts_implementation_internal = None
    _check_size(config, model_class, weights)
    with files.refusing(f"transformers cannot load the model that {files.CONFIG} describes"):
        model, report = model_class.from_pretrained(
            folder,
            config=config,
            dtype=dtype,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
            # Reported by name below instead of with a reference to a table on stderr.
            ignore_mismatched_sizes=True,
        )
    if mismatched := sorted(key[0] for key in report["mismatched_keys"]):
        raise UserError(f"model: weights of another shape than config.json says: {_some(mismatched)}")
    if deeper := sorted(filter(partial(_is_deeper, config.num_hidden_layers), report["unexpected_keys"])):
        raise UserError(f"model: the weights have more layers than config.json says: {_some(deeper)}")
    for name, parameter in model.named_parameters():
        # The smallest and the largest number are NaN when any is.
        if not all(map(torch.isfinite, parameter.aminmax())):
            raise UserError(
                f"model: the weights hold NaN or infinite values in {str(dtype).removeprefix('torch.')}: {quoted(name)}"
            )
    return model.eval().to(device), report["missing_keys"]


def _check_size(config, model_class, weights):
    """Refuse a config.json that makes more of a model than the weights are for, before memory is taken for it."""
    message = "model: config.json describes a larger model than the weights are for"
    if getattr(config, "num_hidden_layers", 0) > weights.n_tensors:
        raise UserError(message)
    with files.refusing(_CANNOT_BUILD), torch.device("meta"):
        trunk = model_class.from_config(config, trust_remote_code=False).base_model
    n_numbers = sum(tensor.numel() for tensor in (*trunk.parameters(), *trunk.buffers()))
    # Twice, and tables of positions: what is merely missing is named when it is missed.
    if n_numbers > 2 * weights.n_numbers + _SPARE_NUMBERS:
        raise UserError(f"{message}: {n_numbers} numbers, of which there are {weights.n_numbers}")


# Tables that a model makes for itself, such as the causal masks of old architectures, stay far below it.
_SPARE_NUMBERS = 10**8
_CANNOT_BUILD = f"transformers cannot build the model that {files.CONFIG} describes"


def _is_deeper(n_layers, name):
    """Whether a weight belongs to a layer that the model, as configured, does not have."""
    return any(int(part) >= n_layers for part in name.split(".")[:-1] if part.isdecimal())


def _trunk(model):
    """Name and module of what maps token ids to hidden states, under the language-model head."""
    # In some classes `base_model_prefix` is not the name of the attribute that holds the base model.
    for name in (model.base_model_prefix, "model"):
        if isinstance(trunk := getattr(model, name, None), torch.nn.Module):
            return name, trunk
    raise UserError(
        f"model: the architecture {quoted(model.config.model_type)} is not supported: it has no module without the head"
    )


def _blocks(trunk, config):
    """The layers of a trunk in their order, or () when it does not have exactly one list of them."""
    # ALBERT uses each of a few blocks for several layers.
    n_blocks = getattr(config, "num_hidden_groups", config.num_hidden_layers)
    lists = {}
    for name, module in trunk.named_modules():
        is_inner = any(name.startswith(f"{outer}.") for outer in lists)
        if isinstance(module, torch.nn.ModuleList) and len(module) == n_blocks and not is_inner:
            lists[name] = tuple(module)
    return next(iter(lists.values())) if len(lists) == 1 else ()


def _sharing_prefixes(checkpoint, model):
    """The checkpoint of a causal model; if it can read a `PrefixTree`, with the attention and the limit for that."""
    limit = lengths.max_shared_tokens(model.config)
    if not (limit and model._supports_attention_backend and model._can_set_attn_implementation()):
        return checkpoint
    first_attention = model.config._attn_implementation
    model.set_attn_implementation(attention.NAME)
    if self_check.reads_trees(checkpoint):
        return replace(checkpoint, max_shared_tokens=limit)
    # Our attention would leave out what it does not know, such as attention sinks, even where no tree is read.
    model.set_attn_implementation(first_attention)
    return checkpoint


def _split_head(model, trunk_name, missing):
    """What follows the trunk, as a function from hidden states to logits; or the names of its missing weights."""
    missing = {name for name in missing if not _UNUSED.search(name)}
    if missing_trunk := sorted(name for name in missing if name.startswith(f"{trunk_name}.")):
        raise UserError(f"model: the checkpoint lacks weights that its config.json calls for: {_some(missing_trunk)}")
    if missing:
        return None, tuple(sorted(missing))
    modules = [module for name, module in model.named_children() if name != trunk_name]
    return torch.nn.Sequential(*modules), ()


class _Head:
    """What a model does with hidden states, where that is more than its modules one after the other."""

    def __init__(self, model, trunk_name):
        self.model = model
        self.trunk = _PresetTrunk()
        # From here on the model has no trunk.
        setattr(model, trunk_name, self.trunk)

    def __call__(self, states):
        rows = states.flatten(0, -2)[None]
        # Models with experts read the router's logits from this output, where they are `None`.
        self.trunk.output = MoeModelOutputWithPast(last_hidden_state=rows)
        no_tokens = torch.zeros(rows.shape[:2], dtype=torch.long, device=rows.device)
        return self.model(no_tokens).logits.view(*states.shape[:-1], -1)


class _PresetTrunk(torch.nn.Module):
    """Takes the place of a trunk, and returns a preset output."""

    def forward(self, *_inputs, **_options):
        return self.output


# Parts of trunks that make something else of the hidden states, a class or a map of contacts.
_UNUSED = re.compile(r"\.(pooler|contact_head)\.")


def _pad_token_id(config, tokenizer):
    for token_id in (tokenizer.pad_token_id, getattr(config, "pad_token_id", None)):
        if token_id is not None:
            return token_id
    return 0


def _some(names, limit=3):
    names = list(names)
    return ", ".join(map(quoted, names[:limit])) + (f" and {len(names) - limit} more" if len(names) > limit else "")
