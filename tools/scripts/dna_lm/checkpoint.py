"""A model folder on disk: find it, refuse what is unsafe or incomplete, load it, say what it can do.

Knows nothing of sequences or scores. Nothing is fetched, no code of a checkpoint is run: safetensors weights, a
`config.json` of an architecture that transformers itself implements, and a `tokenizer.json`.
"""

import json
import logging
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
import transformers
from safetensors import SafetensorError
from transformers.models.auto import modeling_auto

from dna_lm import attention, encoder, products
from dna_lm.errors import UserError, is_out_of_memory, quoted
from dna_lm.prefix_tree import PrefixTree

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

# A tokenizer without a limit of its own says so with a huge number.
_NO_LIMIT = 10**9

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """A loaded model.

    `trunk` maps token ids to hidden states; `head` maps hidden states to logits over the vocabulary, or is `None` when
    the checkpoint has no weights for it (`missing_head` then names them). `max_tokens` counts special tokens.
    `is_causal`: the model reads from left to right; otherwise it fills masks. Sequences of up to `max_shared_tokens`
    tokens can go through the trunk as a `PrefixTree`; 0 when the model cannot read one.
    """

    tokenizer: transformers.PreTrainedTokenizerFast
    trunk: torch.nn.Module
    head: Callable | None
    missing_head: tuple[str, ...]
    is_causal: bool
    max_tokens: int
    max_shared_tokens: int
    pad_token_id: int
    n_layers: int
    vocabulary_size: int
    hidden_size: int
    device: torch.device
    precision: torch.dtype

    @property
    def special_token_ids(self):
        return frozenset(self.tokenizer.all_special_ids)

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
    references = {file.name: file.read_text().strip() for file in (folder / "refs").glob("*") if file.is_file()}
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
    try:
        return _load(Path(folder), precision)
    except Exception as error:
        # A folder that somebody else made can break the libraries that read it in any way they did not foresee.
        if isinstance(error, UserError) or is_out_of_memory(error):
            raise
        raise UserError(f"model: it cannot be loaded: {type(error).__name__}: {_first_line(error)}") from error


def _load(folder, precision):
    settings = _read_config(folder)
    _check_weight_files(folder)
    device = _device()
    model_class, is_causal = _architecture(settings)
    tokenizer = _load_tokenizer(folder)
    model, missing = _load_model(folder, model_class, PRECISIONS[precision], device)
    head, missing_head = _split_head(model, missing)
    checkpoint = Checkpoint(
        tokenizer=tokenizer,
        trunk=model.base_model,
        head=head,
        missing_head=missing_head,
        is_causal=is_causal,
        max_tokens=_max_tokens(model.config, tokenizer),
        max_shared_tokens=_max_shared_tokens(model) if is_causal else 0,
        pad_token_id=_pad_token_id(model.config, tokenizer),
        n_layers=model.config.num_hidden_layers,
        vocabulary_size=model.config.vocab_size,
        hidden_size=model.config.hidden_size,
        device=device,
        precision=PRECISIONS[precision],
    )
    _check_tokenizer(checkpoint)
    _check_forward(checkpoint, model)
    if checkpoint.max_shared_tokens and not _reads_trees(checkpoint):
        checkpoint = replace(checkpoint, max_shared_tokens=0)
    return checkpoint


def _device():
    gpu = torch.cuda.is_available()
    name = os.environ.get("DNA_LM_DEVICE") or ("cuda" if gpu else "cpu")
    if name.startswith("cuda") and not gpu:
        raise UserError(f"DNA_LM_DEVICE is {quoted(name)}, but there is no GPU that torch can use")
    return torch.device(name)


def _read_json(path):
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"model: cannot read {path.name}: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"model: {path.name} is not valid JSON ({error})") from error
    if not isinstance(content, dict):
        raise UserError(f"model: {path.name} does not hold a JSON object")
    return content


def _read_config(folder):
    settings = _read_json(folder / "config.json")
    for name in ("config.json", "tokenizer_config.json"):
        if (folder / name).exists() and "auto_map" in _read_json(folder / name):
            raise UserError(
                f"model: {name} names code of its own (auto_map), which is never run here: "
                "choose a model of an architecture that transformers implements"
            )
    if "quantization_config" in settings:
        raise UserError("model: its weights are quantised: choose the checkpoint in float32, bfloat16 or float16")
    return settings


def _check_weight_files(folder):
    if not (folder / "tokenizer.json").exists():
        raise UserError("model: the folder has no tokenizer.json, so its tokenizer is missing")
    index = folder / "model.safetensors.index.json"
    if index.exists():
        shards = set(_read_json(index).get("weight_map", {}).values())
        for shard in shards:
            if not isinstance(shard, str) or Path(shard).name != shard:
                raise UserError(f"model: {index.name} names {quoted(shard)}, which is outside the model's folder")
            if not (folder / shard).exists():
                raise UserError(f"model: the weights file {quoted(shard)} named in {index.name} is missing")
    elif not (folder / "model.safetensors").exists():
        pickles = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth", "*.ckpt") for path in folder.glob(pattern))
        found = (
            f" (found {', '.join(map(quoted, pickles))}: pickles can run code and are never read)" if pickles else ""
        )
        raise UserError(f"model: the folder has no model.safetensors{found}: give the weights as safetensors")


def _architecture(settings):
    """The transformers class with the language-model head, and whether it is causal."""
    model_type = settings.get("model_type")
    causal = modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    masked = modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    declared = " ".join(map(str, settings.get("architectures") or ()))
    if model_type in masked and (model_type not in causal or "CausalLM" not in declared):
        return transformers.AutoModelForMaskedLM, False
    if model_type in causal:
        return transformers.AutoModelForCausalLM, True
    raise UserError(
        f"model: the architecture {quoted(model_type)} in config.json is no causal or masked language model "
        f"that transformers {transformers.__version__} implements"
    )


def _load_tokenizer(folder):
    try:
        tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # the Rust tokenizers library raises bare Exception for a file it cannot read
        raise UserError(f"model: tokenizer.json cannot be used: {_first_line(error)}") from error
    # A tokenizer.json may say that sequences are cut or padded; here every token counts, and no other.
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    # A BPE model keeps the last 10,000 words it has seen. Here a word is a whole sequence, and few come twice.
    if hasattr(tokenizer.backend_tokenizer.model, "_resize_cache"):
        tokenizer.backend_tokenizer.model._resize_cache(0)
    return tokenizer


def _load_model(folder, model_class, dtype, device):
    """The model in evaluation mode, and the names of the weights that the checkpoint does not have."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
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
    except SafetensorError as error:
        raise UserError(f"model: the safetensors file is damaged: {_first_line(error)}") from error
    if mismatched := sorted(key[0] for key in report["mismatched_keys"]):
        raise UserError(f"model: weights of another shape than config.json says: {_some(mismatched)}")
    if deeper := sorted(filter(partial(_is_deeper, config.num_hidden_layers), report["unexpected_keys"])):
        raise UserError(f"model: the weights have more layers than config.json says: {_some(deeper)}")
    if device.type == "cpu":
        products.use_onednn(model)
    return model.eval().to(device), report["missing_keys"]


def _is_deeper(n_layers, name):
    """Whether a weight belongs to a layer that the model, as configured, does not have."""
    return any(int(part) >= n_layers for part in name.split(".")[:-1] if part.isdecimal())


def _split_head(model, missing):
    """What follows the trunk, as a function from hidden states to logits; or the names of its missing weights."""
    prefix = f"{model.base_model_prefix}."
    if missing_trunk := sorted(name for name in missing if name.startswith(prefix)):
        raise UserError(f"model: the checkpoint lacks weights that its config.json calls for: {_some(missing_trunk)}")
    if missing:
        return None, tuple(sorted(missing))
    modules = [module for module in model.children() if module is not model.base_model]
    return torch.nn.Sequential(*modules), ()


def _max_tokens(config, tokenizer):
    limits = [tokenizer.model_max_length]
    if positions := getattr(config, "max_position_embeddings", None):
        # Models of RoBERTa's line number their positions from after the padding index.
        offset = config.pad_token_id + 1 if config.model_type in ("esm", "roberta", "camembert", "xlm-roberta") else 0
        limits.append(positions - offset)
    return min(_NO_LIMIT, *limits)


def _pad_token_id(config, tokenizer):
    for token_id in (tokenizer.pad_token_id, config.pad_token_id):
        if token_id is not None:
            return token_id
    return 0


_PROBE = "ACGTTGCATTAGCCGATACCAGTTTGACTA"


def _check_tokenizer(checkpoint):
    tokens = {token for ids in checkpoint.tokenise([_PROBE, *"ACGT"]) for token in ids}
    unknown = checkpoint.tokenizer.unk_token_id
    if unknown is not None and unknown in tokens:
        raise UserError("model: its tokenizer maps DNA bases to the unknown token: this is not a DNA model")
    largest = max(checkpoint.tokenizer.get_vocab().values())
    if largest >= checkpoint.vocabulary_size:
        raise UserError(
            f"model: tokenizer.json has token number {largest}, but the model knows only "
            f"{checkpoint.vocabulary_size} tokens: the two files do not belong together"
        )


@torch.inference_mode()
def _check_forward(checkpoint, model):
    """One short forward pass: the weights must be finite, and trunk and head together must be the whole model."""
    ids = torch.tensor(checkpoint.tokenise([_PROBE]), device=checkpoint.device)
    hidden = checkpoint.trunk(ids).last_hidden_state
    if not torch.isfinite(hidden).all():
        raise UserError("model: its output is not finite: the weights hold NaN or infinite values")
    if checkpoint.head is not None and not torch.equal(checkpoint.head(hidden), model(ids).logits):
        raise UserError(f"model: the head of the architecture {quoted(model.config.model_type)} is not supported")


def _max_shared_tokens(model):
    """The longest sequence that the model's attention reads from a `PrefixTree` as it would alone, by its settings."""
    config = model.config
    if not (model._supports_attention_backend and model._can_set_attn_implementation()):
        return 0
    # Rotary embeddings that are stretched by the longest sequence of a batch would depend on the batch.
    if re.search("dynamic|longrope", json.dumps(getattr(config, "rope_parameters", None))):
        return 0
    model.set_attn_implementation(attention.NAME)
    return getattr(config, "sliding_window", None) or _NO_LIMIT


@torch.inference_mode()
def _reads_trees(checkpoint):
    """Whether two sequences that share a prefix come out of the trunk as they do alone: the proof of the pudding."""
    sequences = sorted(map(tuple, checkpoint.tokenise([_PROBE, _PROBE[:20] + _PROBE[:10]])))
    tree = PrefixTree(sequences)
    try:
        packed = encoder.packed_states(checkpoint, tree)[0]
    except Exception as error:  # an architecture that has no place for a tree fails in a way of its own
        if is_out_of_memory(error):
            raise
        return False
    tolerance = 1e-3 if checkpoint.precision == torch.float32 else 0.1
    for sequence, leaf in zip(sequences, tree.leaves, strict=True):
        alone = encoder.sequence_states(checkpoint, torch.tensor([sequence], device=checkpoint.device))[0][0]
        if (packed[tree.paths[leaf]] - alone).abs().max() > tolerance * alone.abs().max():
            return False
    return True


def _first_line(error):
    return quoted(str(error).strip().split("\n")[0], 200)


def _some(names, limit=3):
    names = list(names)
    return ", ".join(map(quoted, names[:limit])) + (f" and {len(names) - limit} more" if len(names) > limit else "")
