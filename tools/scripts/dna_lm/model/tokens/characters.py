"""Tokenizers with one token for each base: those of HyenaDNA and Caduceus, of AIDO.DNA, and bytes.

Their checkpoints have no vocabulary. Of the first two, seven special tokens come first, then the letters.
"""

from pathlib import Path

import tokenizers
import transformers

from dna_lm.errors import UserError, quoted
from dna_lm.model import files
from dna_lm.model.tokens import assembly

_SPECIAL = ("[CLS]", "[SEP]", "[BOS]", "[MASK]", "[PAD]", "[RESERVED]", "[UNK]")
_LETTERS = ("A", "C", "G", "T", "N")
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
    # Byte pairs without any merge: five times as fast as a pre-tokenizer that cuts a sequence into letters.
    backend = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, [], unk_token=tokens["unk"], fuse_unk=False))
    if fold_case:
        capitals = [tokenizers.normalizers.Replace(letter.lower(), letter) for letter in letters if letter.isupper()]
        backend.normalizer = tokenizers.normalizers.Sequence(capitals)
    backend.post_processor = assembly.between(None, tokens["sep"], vocabulary)
    backend.add_special_tokens(list(_SPECIAL))
    return assembly.wrapped(backend, folder, tokens)


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
