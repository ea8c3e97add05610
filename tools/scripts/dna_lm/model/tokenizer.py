"""The tokenizer of a model folder: load it, tell its special tokens, and prove that it reads DNA."""

import math
import random
import re

import tokenizers
import transformers

from dna_lm.errors import UserError, quoted
from dna_lm.model import files

# A tokenizer without a limit has a huge number as its limit.
NO_LIMIT = 10**9

PROBE = "ACGTTGCATTAGCCGATACCAGTTTGACTA"
_LONG_PROBE = "".join(random.Random(0).choices("ACGT", k=1000))
_ESM_TOKENS = {"unk": "<unk>", "cls": "<cls>", "pad": "<pad>", "mask": "<mask>", "eos": "<eos>"}


def load(folder):
    """The tokenizer, which neither cuts nor pads. Raises `UserError` when there is none that can be read."""
    transformers.logging.set_verbosity_error()
    if (folder / files.TOKENIZER).exists():
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
    # A tokenizer.json may say that sequences are cut or padded; here every token counts, and no other.
    backend.no_truncation()
    backend.no_padding()
    # Tokens left out at random are for training.
    if getattr(backend.model, "dropout", None):
        backend.model.dropout = None
    # A BPE model keeps the last 10,000 words it has seen. Here a word is a whole sequence, and few come twice.
    if hasattr(backend.model, "_resize_cache"):
        backend.model._resize_cache(0)
    return tokenizer


def _tokenizer_of_vocabulary(folder):
    """The tokenizer of ESM and the Nucleotide Transformer, which transformers has in Python only.

    The longest token that fits is taken from the left; `<cls>` stands in front, and `<eos>` at the end where the
    tokenizer's settings name one.
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


def _longest_first(words):
    """A regular expression for any of the words: all k-mers of some letters as `[letters]{k}`, others one by one."""
    pieces = []
    for length in sorted(set(map(len, words)), reverse=True):
        alike = {word for word in words if len(word) == length}
        letters = "".join(sorted(set("".join(alike))))
        pieces += [f"[{letters}]{{{length}}}"] if len(alike) == len(letters) ** length else sorted(alike)
    return "|".join(pieces)


def special_token_ids(tokenizer):
    """Tokens that stand for no bases: those with a role, and all that tokenizer.json says are special."""
    with files.refusing("the special tokens cannot be read"):
        roles, added = tokenizer.all_special_ids, tokenizer.added_tokens_decoder.items()
    return frozenset(roles) | {
        number for number, token in added if token.special and not re.fullmatch("[ACGTNacgtn]+", token.content)
    }


def mask_token_id(tokenizer):
    """The number of the mask token, or `None` when the tokenizer has none."""
    if tokenizer.mask_token_id is not None:
        return tokenizer.mask_token_id
    # Which token is the mask is said in tokenizer_config.json only, but most tokenizers call it the same.
    vocabulary = tokenizer.get_vocab()
    return next((vocabulary[token] for token in ("[MASK]", "<mask>") if token in vocabulary), None)


def check(checkpoint):
    """Refuse a tokenizer that does not tell DNA sequences apart, or has tokens that the model does not know."""
    tokenizer = checkpoint.tokenizer
    substituted = [
        PROBE[:place] + base + PROBE[place + 1 :]
        for place in range(len(PROBE))
        for base in "ACGT".replace(PROBE[place], "")
    ]
    with files.refusing("its tokenizer cannot read DNA"):
        whole, *changed = checkpoint.tokenise([PROBE, *substituted])
        long, *bases = checkpoint.tokenise([_LONG_PROBE, *"ACGT"])
    unknown = {tokenizer.unk_token_id, _unknown_token_id(tokenizer)} - {None}
    if unknown & {token for ids in (whole, *bases) for token in ids}:
        raise UserError("model: its tokenizer maps DNA bases to the unknown token: this is not a DNA model")
    if unknown & set(long):
        raise UserError("model: its tokenizer maps a long sequence to the unknown token")
    if whole in changed or not set(whole) - checkpoint.special_token_ids:
        raise UserError("model: its tokenizer does not tell the bases apart: this is not a DNA model")
    largest = max(*tokenizer.get_vocab().values(), *whole, checkpoint.pad_token_id)
    if largest >= checkpoint.vocabulary_size:
        raise UserError(
            f"model: tokenizer.json has token number {largest}, but the model knows only "
            f"{checkpoint.vocabulary_size} tokens: the two files do not belong together"
        )


def _unknown_token_id(tokenizer):
    unknown = getattr(tokenizer.backend_tokenizer.model, "unk_token", None)
    return None if unknown is None else tokenizer.backend_tokenizer.token_to_id(unknown)
