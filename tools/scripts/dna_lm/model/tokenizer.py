"""The tokenizer of a model folder: load it, find its special tokens, and check that it reads DNA."""

import math
import random
import re
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import tokenizers
import transformers

from dna_lm.errors import UserError, quoted
from dna_lm.model import assembly, characters, files
from dna_lm.model.assembly import NO_LIMIT as NO_LIMIT
from dna_lm.model.internals import keep_no_words, token_ids

# A sequence that models are tried with.
PROBE = "ACGTTGCATTAGCCGATACCAGTTTGACTA"
_LONG_PROBE = "".join(random.Random(0).choices("ACGT", k=1000))
_ESM_TOKENS = {"unk": "<unk>", "cls": "<cls>", "pad": "<pad>", "mask": "<mask>", "eos": "<eos>"}

# Classes of authors whose rules the suite follows with code of its own: what loads them from a folder.
_OF_CLASS: dict[str, Callable[[Path], transformers.PreTrainedTokenizerFast]] = {
    "HyenaDNATokenizer": partial(characters.load, fold_case=False),
    "CaduceusTokenizer": partial(characters.load, fold_case=True),
}


def load_tokenizer(folder: Path) -> transformers.PreTrainedTokenizerFast:
    """The tokenizer in a folder, which neither cuts nor pads. Raises `UserError` when none can be read."""
    transformers.logging.set_verbosity_error()
    name = assembly.settings_of(folder).get("tokenizer_class")
    # Of such a class, a tokenizer.json is none or another tokenizer.
    if isinstance(name, str) and name in _OF_CLASS:
        tokenizer = _OF_CLASS[name](folder)
    elif (folder / files.TOKENIZER).exists():
        files.read_json(folder / files.TOKENIZER)
        with files.refusing(f"{files.TOKENIZER} cannot be used"):
            tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    elif (folder / files.VOCABULARY).exists():
        tokenizer = _tokenizer_of_vocabulary(folder)
    else:
        raise UserError("model: the folder has no tokenizer.json, so its tokenizer is missing")
    limit = tokenizer.model_max_length
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not 1 <= limit < math.inf:
        raise UserError(
            f"model: in {files.TOKENIZER_CONFIG}, model_max_length is {quoted(limit)}, not a number of tokens"
        )
    tokenizer.model_max_length = int(limit)
    backend = tokenizer.backend_tokenizer
    # A tokenizer.json may ask for sequences to be cut or padded. Here every token counts, and no others do.
    backend.no_truncation()
    backend.no_padding()
    # Tokens left out at random are for training.
    if getattr(backend.model, "dropout", None):
        backend.model.dropout = None
    keep_no_words(tokenizer)
    return tokenizer


def _tokenizer_of_vocabulary(folder: Path) -> transformers.PreTrainedTokenizerFast:
    """The tokenizer of ESM and the Nucleotide Transformer, which transformers has in Python only.

    The longest token that fits is taken from the left; `<cls>` comes first, and `<eos>` last where the tokenizer's
    settings name one.
    """
    names = files.read_json(folder / files.TOKENIZER_CONFIG)
    if names.get("tokenizer_class") != "EsmTokenizer":
        raise UserError("model: the folder has no tokenizer.json: of other tokenizers only EsmTokenizer can be read")
    tokens = files.read_text(folder / files.VOCABULARY).split()
    vocabulary = {token: number for number, token in enumerate(tokens)}
    specials = {name: names.get(f"{name}_token", default) for name, default in _ESM_TOKENS.items()}
    specials = {name: token.get("content") if isinstance(token, dict) else token for name, token in specials.items()}
    for name, token in specials.items():
        if (token or name in ("unk", "cls")) and token not in tokens:
            raise UserError(
                f"model: the {name} token {quoted(token)} of {files.TOKENIZER_CONFIG} is not in {files.VOCABULARY}"
            )
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token=specials["unk"]))
    pieces = tokenizers.Regex(_longest_first([token for token in tokens if token.isalpha()]))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Split(pieces, behavior="isolated")
    ends = [token for token in (specials["cls"], specials["eos"]) if token]
    backend.post_processor = tokenizers.processors.TemplateProcessing(
        single=" ".join([ends[0], "$A", *ends[1:]]), special_tokens=[(token, vocabulary[token]) for token in ends]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_max_length=names.get("model_max_length", NO_LIMIT),
        **{f"{name}_token": token for name, token in specials.items() if token},
    )


def _longest_first(words: Iterable[str]) -> str:
    """A regular expression for any of the words: all k-mers of some letters as `[letters]{k}`, others one by one."""
    pieces = []
    for length in sorted(set(map(len, words)), reverse=True):
        same_length = {word for word in words if len(word) == length}
        letters = "".join(sorted(set("".join(same_length))))
        has_all = len(same_length) == len(letters) ** length
        pieces += [f"[{letters}]{{{length}}}"] if has_all else sorted(same_length)
    return "|".join(pieces)


def special_token_ids(tokenizer: transformers.PreTrainedTokenizerFast) -> frozenset[int]:
    """Ids of tokens that do not represent bases: those with a role, and all that tokenizer.json declares special."""
    with files.refusing("the special tokens cannot be read"):
        roles, added = tokenizer.all_special_ids, tokenizer.added_tokens_decoder.items()
    return frozenset(roles) | {
        number for number, token in added if token.special and not re.fullmatch("[ACGTNacgtn]+", token.content)
    }


def mask_token_id(tokenizer: transformers.PreTrainedTokenizerFast) -> int | None:
    """The id of the mask token, or `None` when the tokenizer has none."""
    if tokenizer.mask_token_id is not None:
        return tokenizer.mask_token_id
    # Only tokenizer_config.json says which token is the mask, but most tokenizers give it the same name.
    vocabulary = tokenizer.get_vocab()
    return next((vocabulary[token] for token in ("[MASK]", "<mask>") if token in vocabulary), None)


def check_reads_dna(tokenizer: transformers.PreTrainedTokenizerFast, special_token_ids: frozenset[int]) -> int:
    """Raise `UserError` for a tokenizer that does not tell DNA sequences apart. Returns its largest token id."""
    substituted = [
        PROBE[:position] + base + PROBE[position + 1 :]
        for position in range(len(PROBE))
        for base in "ACGT".replace(PROBE[position], "")
    ]
    with files.refusing("its tokenizer cannot read DNA"):
        ids_of_probe, *ids_of_substituted = token_ids(tokenizer, [PROBE, *substituted])
        ids_of_long_probe, *ids_of_bases = token_ids(tokenizer, [_LONG_PROBE, *"ACGT"])
    unknown = {tokenizer.unk_token_id, _unknown_token_id(tokenizer)} - {None}
    if unknown & {token for ids in (ids_of_probe, *ids_of_bases) for token in ids}:
        raise UserError("model: its tokenizer maps DNA bases to the unknown token: this is not a DNA model")
    if unknown & set(ids_of_long_probe):
        raise UserError("model: its tokenizer maps a long sequence to the unknown token")
    if ids_of_probe in ids_of_substituted or not set(ids_of_probe) - special_token_ids:
        raise UserError("model: its tokenizer does not tell the bases apart: this is not a DNA model")
    return max(*tokenizer.get_vocab().values(), *ids_of_probe)


def _unknown_token_id(tokenizer: transformers.PreTrainedTokenizerFast) -> int | None:
    unknown = getattr(tokenizer.backend_tokenizer.model, "unk_token", None)
    return None if unknown is None else tokenizer.backend_tokenizer.token_to_id(unknown)
