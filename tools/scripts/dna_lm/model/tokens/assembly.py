"""Put a tokenizer together that a checkpoint describes in other files than tokenizer.json."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import tokenizers
import transformers

from dna_lm.errors import UserError, quoted
from dna_lm.model import files

# A tokenizer without a limit has a huge number as its limit.
NO_LIMIT = 10**9


def settings_of(folder: Path) -> dict:
    """What tokenizer_config.json says; nothing when there is none."""
    path = folder / files.TOKENIZER_CONFIG
    return files.read_json(path) if path.exists() else {}


def roles(
    folder: Path, defaults: Mapping[str, str], vocabulary: Mapping[str, int], needed: Iterable[str]
) -> dict[str, str]:
    """The special tokens of a tokenizer by their roles, such as `{"mask": "<mask>"}`.

    tokenizer_config.json decides, then special_tokens_map.json, then the `defaults` of the tokenizer's class; `null`
    means that there is none. Raises `UserError` for a token that is not in the vocabulary, and when one that is
    `needed` is missing. A default that is not in the vocabulary is left out.
    """
    named = files.read_json(folder / files.SPECIAL_TOKENS) if (folder / files.SPECIAL_TOKENS).exists() else {}
    named |= settings_of(folder)
    tokens = {}
    for role, default in defaults.items():
        token = named.get(f"{role}_token", default if default in vocabulary else None)
        token = token.get("content") if isinstance(token, dict) else token
        if token is None and role not in needed:
            continue
        if not isinstance(token, str) or token not in vocabulary:
            raise UserError(f"model: the {role} token {quoted(token)} is not in the tokenizer's vocabulary")
        tokens[role] = token
    return tokens


def wrapped(
    backend: tokenizers.Tokenizer, folder: Path, tokens: Mapping[str, str]
) -> transformers.PreTrainedTokenizerFast:
    """A tokenizer as transformers has it, with the special `tokens` by their roles and the folder's longest input."""
    settings = settings_of(folder)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        # Releases of before 2020 call it `max_len`.
        model_max_length=settings.get("model_max_length", settings.get("max_len", NO_LIMIT)),
        **{f"{role}_token": token for role, token in tokens.items()},
    )


def between(start: str | None, end: str | None, vocabulary: Mapping[str, int]) -> tokenizers.processors.PostProcessor:
    """What puts one token before a sequence and one after it, or none where `None` is given."""
    ends = [token for token in (start, end) if token is not None]
    pieces = [start, "$A", end]
    return tokenizers.processors.TemplateProcessing(
        single=[piece for piece in pieces if piece is not None],
        special_tokens=[(token, vocabulary[token]) for token in ends],
    )
