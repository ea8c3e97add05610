"""Tokenizers with one token for each base: their authors' code, and bytes.

Checkpoints of HyenaDNA and Caduceus have no vocabulary: seven special tokens come first, then the letters. Those of
PhyloGPN and AIDO.DNA have none either.
"""

from collections.abc import Mapping
from pathlib import Path

import tokenizers
import transformers

from dna_lm.errors import UserError, quoted
from dna_lm.model import files
from dna_lm.model.tokens import assembly

_SPECIAL = ("[CLS]", "[SEP]", "[BOS]", "[MASK]", "[PAD]", "[RESERVED]", "[UNK]")
_LETTERS = ("A", "C", "G", "T", "N")
_ESM_ROLES = {name: f"<{name}>" for name in ("unk", "pad", "mask", "cls", "eos", "bos")}
# The list of AIDO.DNA, in its order.
_OF_AIDO_DNA = (
    *("[PAD]", "[MASK]", "[CLS]", "[SEP]", "[UNK]", "A", "G", "C", "T", "U", "N"),
    *("[BOS]", "[EOS]", "[UNUSED1]", "[UNUSED2]", "[UNUSED3]"),
)
_ROLES = {"cls": "[CLS]", "sep": "[SEP]", "bos": "[BOS]", "mask": "[MASK]", "pad": "[PAD]", "unk": "[UNK]"}


def load(folder: Path, fold_case: bool) -> transformers.PreTrainedTokenizerFast:
    """The tokenizer of a folder: each letter is a token, any other character `[UNK]`, and `[SEP]` comes last.

    fold_case: whether lower-case letters are read as capitals.
    """
    letters = assembly.settings_of(folder).get("characters", _LETTERS)
    if not isinstance(letters, list | tuple) or not all(isinstance(each, str) and len(each) == 1 for each in letters):
        raise UserError(f"model: in {files.TOKENIZER_CONFIG}, characters is not a list of letters: {quoted(letters)}")
    vocabulary = {token: number for number, token in enumerate((*_SPECIAL, *letters))}
    tokens = assembly.roles(folder, _ROLES, vocabulary, needed=("sep", "unk"))
    backend = _single(vocabulary, tokens["unk"], fold_case)
    backend.post_processor = assembly.between(None, tokens["sep"], vocabulary)
    backend.add_special_tokens(list(_SPECIAL))
    return assembly.wrapped(backend, folder, tokens)


def load_numbered(folder: Path) -> transformers.PreTrainedTokenizerFast:
    """The tokenizer of Nucleotide Transformer v3: each letter, in either case, is a token, and nothing is added."""
    vocabulary = files.read_json(folder / files.NUMBERED)
    if sorted(map(str, vocabulary.values())) != sorted(map(str, range(len(vocabulary)))):
        raise UserError(f"model: {files.NUMBERED} does not number its tokens from 0 on")
    tokens = assembly.roles(folder, _ESM_ROLES, vocabulary, needed=("unk",))
    backend = _single(vocabulary, tokens["unk"], fold_case=True)
    backend.add_special_tokens([token for token in vocabulary if len(token) > 1])
    return assembly.wrapped(backend, folder, tokens)


def load_phylogpn(folder: Path) -> transformers.PreTrainedTokenizerFast:
    """The tokenizer of PhyloGPN: A, C, G, T, N and the gap are tokens, any other character is N, nothing is added."""
    vocabulary = {token: number for number, token in enumerate("ACGTN-")}
    return assembly.wrapped(_single(vocabulary, "N", fold_case=False), folder, {"unk": "N", "pad": "-"})


def _single(vocabulary: Mapping[str, int], unknown: str, fold_case: bool) -> tokenizers.Tokenizer:
    """What looks up each character. fold_case: whether lower-case letters are read as capitals."""
    # Byte pairs without any merge: five times as fast as a pre-tokenizer that cuts a sequence into letters.
    backend = tokenizers.Tokenizer(tokenizers.models.BPE(dict(vocabulary), [], unk_token=unknown, fuse_unk=False))
    if fold_case:
        letters = [token for token in vocabulary if len(token) == 1 and token.isupper()]
        capitals = [tokenizers.normalizers.Replace(letter.lower(), letter) for letter in letters]
        backend.normalizer = tokenizers.normalizers.Sequence(capitals)
    return backend


def load_aido_dna(folder: Path) -> transformers.PreTrainedTokenizerFast:
    """AIDO.DNA's tokenizer: each letter is a token, and what is between letters and blanks is one `[UNK]`.

    `[CLS]` comes first and `[SEP]` last.
    """
    vocabulary = {token: number for number, token in enumerate(_OF_AIDO_DNA)}
    tokens = assembly.roles(folder, _ROLES, vocabulary, needed=("cls", "sep", "unk"))
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token=tokens["unk"]))
    letters = tokenizers.Regex(f"[{''.join(token for token in vocabulary if len(token) == 1)}]")
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [
            tokenizers.pre_tokenizers.WhitespaceSplit(),
            tokenizers.pre_tokenizers.Split(letters, behavior="isolated"),
        ]
    )
    backend.post_processor = assembly.between(tokens["cls"], tokens["sep"], vocabulary)
    backend.add_special_tokens([token for token in vocabulary if len(token) > 1])
    return assembly.wrapped(backend, folder, tokens)


def load_bytes(folder: Path, with_start: bool) -> transformers.PreTrainedTokenizerFast:
    """Evo's tokenizer: the bytes of a text in UTF-8, whose numbers are the tokens.

    Token 0 ends a text, and 1 is the padding. with_start: whether token 0 is put before each text.
    """
    # The library's names of bytes: those that can be printed are themselves.
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAC + 1), *range(0xAE, 0xFF + 1)]
    others = (byte for byte in range(256) if byte not in printable)
    names = {byte: chr(byte) for byte in printable} | {byte: chr(256 + n) for n, byte in enumerate(others)}
    vocabulary = {names[byte]: byte for byte in range(256)}
    backend = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, []))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    if with_start:
        backend.post_processor = assembly.between(names[0], None, vocabulary)
    return assembly.wrapped(backend, folder, {"pad": names[1], "eos": names[0]})
