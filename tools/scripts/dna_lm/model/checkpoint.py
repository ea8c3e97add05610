"""A model folder, loaded: refuse what is unsafe or incomplete, load the rest, describe what it can do.

Knows nothing of scores, nor of how a model is run. Nothing is fetched, and no code of a checkpoint is run: it takes
safetensors weights, a `config.json` of an architecture that transformers or `families` implements, and the files of a
tokenizer.
"""

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import torch
import transformers
from Bio.Seq import reverse_complement

from dna_lm.errors import UserError, counted, quoted
from dna_lm.families import registry
from dna_lm.model import files, internals, lengths, parts
from dna_lm.model.identity import Identity
from dna_lm.model.mirror import Mirror
from dna_lm.model.tokens import kmers, tokenizer

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

# Tables that a model computes itself, such as the causal masks of old architectures, have far fewer numbers.
_SPARE_NUMBERS = 10**8
# A weight in a layer, where every weight counts: not a buffer, a pooler or the head of another task.
_OF_A_LAYER = re.compile(r"(^|\.)(layers?|h|blocks?)\.\d+\..+\.weight$")
# More than those at an end that begin no token because tokens overlap.
_UNREAD_BASES = 16
_NUMBERS_OF_LAYERS = re.compile("(num|n)_(hidden_|encoder_|decoder_)?layers?|(encoder|decoder)_layers")
_TOO_LARGE = f"model: {files.CONFIG} describes a larger model than the weights are for"
_CANNOT_BUILD = f"transformers cannot build the model that {files.CONFIG} describes"


@dataclass(frozen=True)
class Checkpoint:
    """A loaded model.

    identity: what it is called.
    tokenizer: its tokenizer, which neither cuts nor pads.
    reading: how the tokenizer is given a sequence.
    trunk: the module that maps token ids to hidden states.
    head: a function from hidden states to logits over the vocabulary, or `None` when the checkpoint has no weights for
    it; `missing_head` then names them.
    special_token_ids: ids of the tokens that do not represent bases.
    mask_token_id: the id of the mask, or `None` when the tokenizer has none.
    pad_token_id: the id of the token that fills a batch in tutorial mode.
    is_causal: whether the model reads from left to right; otherwise it fills masks.
    has_mask: whether the model can be told which tokens are padding.
    is_unmasked: whether what it predicts for a token is read without masking the token.
    mirror: how the model's output for the other strand follows from that for the given one, or `None` if it does not.
    max_tokens: the longest input, special tokens included.
    max_shared_tokens: the longest input that can share a prefix with others in one forward pass; 0 when none can.
    blocks: the modules of the trunk's layers in their order; empty when they cannot be identified, and then only the
    last layer's hidden states can be read.
    is_demonstration: whether config.json says that the model is for demonstration only (`demonstration_only`).
    n_parameters: the number of parameters, head included, as far as the checkpoint has it.
    n_layers, vocabulary_size, hidden_size, output_size: the number of layers, and how many numbers the logits, hidden
    states, and hidden states of the last layer have for each token.
    device, precision: where and in which type the trunk computes.
    """

    identity: Identity
    tokenizer: transformers.PreTrainedTokenizerFast
    reading: kmers.Reading
    trunk: torch.nn.Module
    head: Callable[[torch.Tensor], torch.Tensor] | None
    missing_head: tuple[str, ...]
    special_token_ids: frozenset[int]
    mask_token_id: int | None
    is_causal: bool
    has_mask: bool
    is_unmasked: bool
    mirror: Mirror | None
    max_tokens: int
    max_shared_tokens: int
    pad_token_id: int
    blocks: tuple[torch.nn.Module, ...]
    is_demonstration: bool
    n_parameters: int
    n_layers: int
    vocabulary_size: int
    hidden_size: int
    output_size: int
    device: torch.device
    precision: torch.dtype

    @property
    def precision_name(self) -> str:
        """Such as `float32`."""
        return _name_of(self.precision)

    def tokenise(self, sequences: Iterable[str], reverse: bool = False) -> list[list[int]]:
        """Token ids of each sequence, special tokens included, never padded.

        All bases are read, except those at an end that the model cannot read (see `kmers.Reading`). reverse: whether
        to give the ids for the other strand. They are those of the reverse complement, or, of a model with a `mirror`,
        the mirror image of the ids.
        """
        is_mirrored = reverse and self.mirror is not None
        if reverse and not is_mirrored:
            sequences = map(reverse_complement, sequences)
        texts = list(map(self.reading.text, sequences))
        with files.refusing("its tokenizer cannot read a sequence"):
            ids = internals.token_ids(self.tokenizer, texts)
        return list(map(self.mirror.ids, ids)) if is_mirrored else ids

    def is_far_too_long(self, sequence: str) -> bool:
        """Whether a sequence has more tokens than the model reads, however long they are.

        Tokens take a hundred times the memory of the bases. Those of a chromosome need not be made to find this.
        """
        return self.fewest_tokens(len(sequence)) > self.max_tokens

    def fewest_tokens(self, n_bases: int) -> int:
        """A number of tokens that a sequence of so many bases has at least."""
        # The last bases may begin no token.
        return max(0, n_bases - _UNREAD_BASES) // self._longest_token

    @cached_property
    def _longest_token(self) -> int:
        """A number of bases that no token has more of: by the vocabulary, and by what the tokenizer replaces before."""
        special = self.special_token_ids
        longest = max(len(token) for token, number in self.tokenizer.get_vocab().items() if number not in special)
        normalizer = self.tokenizer.backend_tokenizer.normalizer
        n_left = len(normalizer.normalize_str(tokenizer.LONG_PROBE)) if normalizer else len(tokenizer.LONG_PROBE)
        return longest * -(-len(tokenizer.LONG_PROBE) // n_left)

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """The head's output in float32: hidden states (..., width) -> (..., vocabulary)."""
        return self.head(states).float()

    def require_head(self, purpose: str, instead: str = "choose the representation 'hidden'") -> None:
        """Raise `UserError` when a `purpose` needs logits and the checkpoint lacks the weights of the head.

        instead: what the user can do with this checkpoint.
        """
        if self.head is None:
            raise UserError(
                f"{purpose} needs the model's language-model head, but the checkpoint lacks "
                f"{', '.join(self.missing_head)}: {instead}, or choose a checkpoint with a head"
            )


def load_unchecked(
    folder: Path, precision: str, identity: Identity | None = None
) -> tuple[Checkpoint, transformers.PreTrainedModel]:
    """The checkpoint in a folder, and the whole model that its trunk and head are parts of, before either has run.

    The model is on the GPU when there is one (`DNA_LM_DEVICE` overrides), else on the CPU. `engine.loading` checks what
    the two compute. Raises `UserError` for a folder that is incomplete, unsafe, of an unknown architecture, or whose
    tokenizer cannot write DNA. A missing head is not an error.
    """
    transformers.logging.set_verbosity_error()
    settings = files.read_config(folder)
    weights = files.check_weights(folder)
    device = _device()
    with files.building():
        architecture = _architecture(folder, settings, weights)
    dna_tokenizer, reading = tokenizer.load_tokenizer(folder)
    model, missing = _load_model(architecture, weights, PRECISIONS[precision])
    complement = getattr(model, "complement", None)
    model.to(device)
    _, trunk = parts.find_trunk(model)
    head, missing_head = parts.split_head(model, missing)
    checkpoint = Checkpoint(
        identity=identity or Identity(folder, folder.resolve().name),
        tokenizer=dna_tokenizer,
        reading=reading,
        trunk=trunk,
        head=head,
        missing_head=missing_head,
        special_token_ids=tokenizer.special_token_ids(dna_tokenizer),
        mask_token_id=tokenizer.mask_token_id(dna_tokenizer),
        is_causal=architecture.is_causal,
        # Of the suite's own families some have none.
        has_mask=getattr(model, "has_mask", True),
        is_unmasked=getattr(model, "is_unmasked", False),
        mirror=Mirror(complement) if complement else None,
        max_tokens=lengths.max_tokens(model, trunk, dna_tokenizer),
        max_shared_tokens=0,
        pad_token_id=_pad_token_id(model.config, dna_tokenizer),
        blocks=parts.find_blocks(trunk, model.config),
        is_demonstration=settings.get("demonstration_only") is True,
        n_parameters=sum(parameter.numel() for parameter in (trunk if head is None else model).parameters()),
        n_layers=model.config.num_hidden_layers,
        vocabulary_size=model.config.vocab_size,
        hidden_size=model.config.hidden_size,
        output_size=model.config.hidden_size,
        device=device,
        precision=PRECISIONS[precision],
    )
    if checkpoint.max_tokens < 2:
        raise UserError(f"model: by its settings it reads at most {counted(checkpoint.max_tokens, 'token')}")
    _check_reads_dna(checkpoint)
    # Before the model reads anything: on a GPU a number outside of a table ends the work of the whole process.
    if checkpoint.mirror and not checkpoint.mirror.is_pairing(checkpoint.vocabulary_size):
        raise UserError("model: its complement_map does not pair the tokens")
    return checkpoint, model


def _device() -> torch.device:
    given = os.environ.get("DNA_LM_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
    name = given.strip().lower().replace("gpu", "cuda")
    # `meta` holds no numbers: it is for tests.
    if not re.fullmatch(r"cpu|meta|cuda(:\d{1,3})?", name, re.ASCII):
        raise UserError(
            f"the environment variable DNA_LM_DEVICE is {quoted(given)}: give cpu, cuda, or cuda:0 and so on"
        )
    if name.startswith("cuda") and int(name.partition(":")[2] or 0) >= torch.cuda.device_count():
        raise UserError(
            f"DNA_LM_DEVICE is {quoted(given)}, but there is no GPU that torch can use, or none with this number"
        )
    return torch.device(name)


@dataclass(frozen=True)
class _Architecture:
    """How a model is built: its configuration, and whether it is causal or fills masks.

    name: what messages call it.
    is_exact: whether the checkpoint may have no weights at all that the architecture does not know, not even outside of
    the layers: its config.json may name other code, and a weight that is left over shows that this is not the same.
    parts_of: the architecture's names of a stored weight (see `internals.stored_weights`).
    """

    name: str
    config: transformers.PreTrainedConfig
    is_causal: bool
    is_exact: bool
    parts_of: Callable[[str], Sequence[str]] = lambda name: (name,)

    @property
    def model_class(self) -> type:
        """The Auto class of transformers that finds the model with its language-model head."""
        return transformers.AutoModelForCausalLM if self.is_causal else transformers.AutoModelForMaskedLM


def _architecture(folder: Path, settings: dict, weights: files.Weights) -> _Architecture:
    """The architecture of a checkpoint: one of `families`, or one of transformers."""
    # First: some configurations list something for each layer.
    for name, value in settings.items():
        if _NUMBERS_OF_LAYERS.fullmatch(name) and isinstance(value, int) and value > len(weights.shapes):
            raise UserError(_TOO_LARGE)
    if family := registry.find(settings, weights.shapes):
        module = family.load()
        _refuse_masked_decoder(settings, module.IS_CAUSAL)
        config = _prepared(module.configure(settings, weights.shapes))
        renamed = {"parts_of": module.parts_of} if hasattr(module, "parts_of") else {}
        return _Architecture(family.label, config, module.IS_CAUSAL, is_exact=True, **renamed)
    if settings.get("auto_map") and not registry.is_wrapper(settings):
        raise files.own_code(files.CONFIG)
    is_causal = _is_causal(settings)
    _refuse_masked_decoder(settings, is_causal)
    with files.refusing(f"transformers cannot use {files.CONFIG}"):
        # Labels are for other tasks, and a name is made for each.
        if "auto_map" in settings and not settings["auto_map"]:
            # transformers looks for code in it.
            known = {name: value for name, value in settings.items() if name not in ("auto_map", "model_type")}
            config = transformers.AutoConfig.for_model(settings["model_type"], **known | {"num_labels": 2})
        else:
            config = transformers.AutoConfig.from_pretrained(
                folder, num_labels=2, local_files_only=True, trust_remote_code=False
            )
    return _Architecture(config.model_type, _prepared(config), is_causal, is_exact=bool(settings.get("auto_map")))


def _is_causal(settings: dict) -> bool:
    """Whether transformers' class for a checkpoint, with the language-model head, is a causal one."""
    model_type, declared = settings.get("model_type"), settings.get("architectures") or []
    if not isinstance(model_type, str):
        raise UserError(f"model: {files.CONFIG} names no architecture (model_type is {quoted(model_type)})")
    if not isinstance(declared, list):
        raise UserError(f"model: in {files.CONFIG}, architectures is not a list but {quoted(declared)}")
    causal = internals.CAUSAL_CLASSES.get(model_type)
    masked = internals.MASKED_CLASSES.get(model_type)
    if settings.get("is_encoder_decoder"):
        raise UserError(
            f"model: the architecture {quoted(model_type)} is an encoder with a decoder, not supported here"
        )
    if not causal and not masked:
        raise UserError(
            f"model: the architecture {quoted(model_type)} in config.json is not a causal or masked language model "
            f"that transformers {transformers.__version__} implements"
        )
    # The architecture can be either: the class with which it was saved decides, or else its setting `is_decoder`.
    is_saved_as_causal = causal in declared or (masked not in declared and settings.get("is_decoder"))
    return not masked or bool(causal and is_saved_as_causal)


def _refuse_masked_decoder(settings: dict, is_causal: bool) -> None:
    if settings.get("is_decoder") and not is_causal:
        raise UserError(
            f"model: in {files.CONFIG}, is_decoder makes its attention causal, but a model with its class reads whole "
            "sequences and fills masks: correct the one that is wrong (is_decoder or architectures)"
        )


def _load_model(
    architecture: _Architecture, weights: files.Weights, dtype: torch.dtype
) -> tuple[transformers.PreTrainedModel, list[str]]:
    """The model in evaluation mode, and the names of the weights that the checkpoint does not have."""
    transformers.logging.disable_progress_bar()
    internals.load_one_by_one()
    config = architecture.config
    with files.building():
        model_class = type(_empty_model(architecture, weights))
    with files.refusing(f"transformers cannot load the model that {files.CONFIG} describes"):
        model, report = model_class.from_pretrained(
            None,
            config=config,
            state_dict=internals.stored_weights(weights.paths, dtype, architecture.parts_of),
            dtype=dtype,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
            # Reported by name below instead of with a reference to a table on stderr.
            ignore_mismatched_sizes=True,
        )
    if mismatched := sorted(key[0] for key in report["mismatched_keys"]):
        raise UserError(f"model: weights of another shape than config.json says: {parts.first_names(mismatched)}")
    if deeper := sorted(filter(partial(_is_deeper, config.num_hidden_layers), report["unexpected_keys"])):
        raise UserError(f"model: the weights have more layers than config.json says: {parts.first_names(deeper)}")
    unexpected = [name for name in report["unexpected_keys"] if not parts.is_unused(name)]
    left_over = [name for name in unexpected if architecture.is_exact or _OF_A_LAYER.search(name)]
    if left_over:
        raise UserError(
            f"model: the weights have what the architecture {quoted(architecture.name)} does not have, so they are of "
            f"another one: {parts.first_names(sorted(left_over))}"
        )
    for name, parameter in model.named_parameters():
        # The smallest and the largest number are NaN when any is. Missing weights may hold anything.
        if name not in report["missing_keys"] and not all(map(torch.isfinite, parameter.aminmax())):
            raise UserError(f"model: the weights hold NaN or infinite values in {_name_of(dtype)}: {quoted(name)}")
    return model.eval(), report["missing_keys"]


def _prepared(config: transformers.PreTrainedConfig) -> transformers.PreTrainedConfig:
    """The configuration, checked for what every model needs, without what does not apply here."""
    for name in ("num_hidden_layers", "hidden_size", "vocab_size"):
        if not isinstance(getattr(config, name, None), int):
            raise UserError(
                f"model: the architecture {quoted(config.model_type)} is not supported: "
                f"its configuration has no integer {quoted(name)}"
            )
    # The outputs and kernels that were chosen where the checkpoint was saved do not apply here.
    config.return_dict, config.output_hidden_states, config.output_attentions = True, False, False
    internals.forget_saved_implementations(config)
    return config


def _empty_model(architecture: _Architecture, weights: files.Weights) -> transformers.PreTrainedModel:
    """The model, without memory for its weights. Refuse a config.json for a larger model than the weights are for."""
    if architecture.config.num_hidden_layers > len(weights.shapes):
        raise UserError(_TOO_LARGE)
    with files.refusing(_CANNOT_BUILD), torch.device("meta"):
        model = architecture.model_class.from_config(architecture.config, trust_remote_code=False)
    trunk = model.base_model
    n_numbers = sum(tensor.numel() for tensor in (*trunk.parameters(), *trunk.buffers()))
    # Twice, and tables of positions: weights that are merely missing are named after loading.
    if n_numbers > 2 * weights.n_numbers + _SPARE_NUMBERS:
        raise UserError(f"{_TOO_LARGE}: {n_numbers} numbers, of which there are {weights.n_numbers}")
    return model


def _is_deeper(n_layers: int, name: str) -> bool:
    """Whether a weight belongs to a layer that the model, as configured, does not have."""
    return any(int(part) >= n_layers for part in name.split(".")[:-1] if part.isdecimal())


def _pad_token_id(config: transformers.PreTrainedConfig, dna_tokenizer: transformers.PreTrainedTokenizerFast) -> int:
    for token_id in (dna_tokenizer.pad_token_id, getattr(config, "pad_token_id", None)):
        if token_id is not None:
            return token_id
    return 0


def _check_reads_dna(checkpoint: Checkpoint) -> None:
    """Refuse a tokenizer that does not read DNA, or has tokens that the model does not know."""
    largest = tokenizer.check_reads_dna(checkpoint.tokenizer, checkpoint.reading, checkpoint.special_token_ids)
    # What is put in place of a base, and after the last one.
    largest = max(largest, checkpoint.pad_token_id, (not checkpoint.is_causal and checkpoint.mask_token_id) or 0)
    if largest >= checkpoint.vocabulary_size:
        raise UserError(
            f"model: its tokenizer has token number {largest}, but the model knows only "
            f"{checkpoint.vocabulary_size} tokens: the two files do not belong together"
        )


def _name_of(precision: torch.dtype) -> str:
    return str(precision).removeprefix("torch.")
