"""Tokenizers whose tokens are all k-mers of one k: Nucleotide Transformer, GENERator, Carbon and DNABERT.

Their authors wrote them in Python. Each is built here from the published list of tokens, for the library that reads all
other tokenizers; `Reading` has what that library cannot express.
"""

import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import tokenizers
import transformers

from dna_lm.errors import UserError, quoted
from dna_lm.model import files
from dna_lm.model.tokens import assembly

# What happens to bases at an end of a sequence, the smallest change first: all are read as they are; bases are added;
# some are not read.
WHOLE, FILLED, CUT = ENDS = ("whole", "filled", "cut")

# More than any published model has: a small file cannot make its reader reserve much memory.
_LARGEST_K, _MOST_TEXT_TOKENS = 8, 2**20
_ESM_ROLES = {"unk": "<unk>", "cls": "<cls>", "pad": "<pad>", "mask": "<mask>", "eos": "<eos>"}
_GENERATOR_ROLES = {"unk": "<oov>", "bos": "<s>", "eos": "</s>", "pad": "<pad>", "mask": "<mask>"}
_BERT_ROLES = {"unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "pad": "[PAD]", "mask": "[MASK]"}
_CARBON_SPECIAL = ("<dna>", "</dna>", "<oov>")


@dataclass(frozen=True)
class Reading:
    """How a sequence becomes the text that a tokenizer is given.

    k: bases in a token. ends: what happens to bases that do not fill a token. `CUT`: those on the left are left out.
    `FILLED`: A is added on the right. `WHOLE`: the tokenizer has tokens for them, or tokens overlap. is_overlapping:
    whether every base begins a token, as long as there are k bases.
    """

    k: int = 1
    ends: str = WHOLE
    is_overlapping: bool = False

    @property
    def fewest_bases(self) -> int:
        """Of a shorter sequence, nothing is read."""
        return self.k if self.ends == CUT or self.is_overlapping else 1

    def text(self, sequence: str) -> str:
        """What the tokenizer is given to read a sequence."""
        if self.is_overlapping:
            return " ".join(sequence[at : at + self.k] for at in range(len(sequence) - self.k + 1))
        if self.ends == CUT:
            return sequence[len(sequence) % self.k :]
        if self.ends == FILLED:
            sequence = sequence.strip().upper()
            return sequence + "A" * (-len(sequence) % self.k)
        return sequence

    def n_bases_read(self, n_bases: int) -> int:
        """How many bases of a sequence are read: all, or those that fill tokens."""
        return n_bases - n_bases % self.k if self.ends == CUT else n_bases

    def ends_of(self, sequences: Iterable[str]) -> str:
        """What happens to the ends of sequences: the last of `ENDS` that applies to any of them."""
        is_whole = self.ends == WHOLE or all(len(sequence) % self.k == 0 for sequence in sequences)
        return WHOLE if is_whole else self.ends


Tokenizer = tuple[transformers.PreTrainedTokenizerFast, Reading]


def load_longest_first(folder: Path) -> Tokenizer:
    """The tokenizer of ESM and the Nucleotide Transformer (`EsmTokenizer`).

    The longest token that fits is taken from the left: a k-mer, or else one letter, after which a k-mer is tried again.
    `<cls>` comes first, and `<eos>` last where the tokenizer's settings name one.
    """
    vocabulary = _read_vocabulary(folder)
    tokens = assembly.roles(folder, _ESM_ROLES, vocabulary, needed=("unk", "cls"))
    backend = _words(vocabulary, tokens["unk"])
    pieces = _longest_first(token for token in vocabulary if token.isalpha())
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [tokenizers.pre_tokenizers.WhitespaceSplit(), _split(pieces)]
    )
    backend.post_processor = assembly.between(tokens["cls"], tokens.get("eos"), vocabulary)
    return assembly.wrapped(backend, folder, tokens), Reading()


def load_blocks(folder: Path) -> Tokenizer:
    """The tokenizer of GENERator (`DNAKmerTokenizer`).

    Every k capital letters from the left are a token, `<oov>` when they are not all of A, C, G and T. The authors' own
    scripts leave out bases on the left so that k-mers fill the sequence, and put `<s>` in front.
    """
    vocabulary = _read_vocabulary(folder)
    k = _k_of(vocabulary)
    tokens = assembly.roles(folder, _GENERATOR_ROLES, vocabulary, needed=("unk", "bos"))
    backend = _words(vocabulary, tokens["unk"])
    backend.pre_tokenizer = _split(f"[A-Z]{{1,{k}}}|[^A-Z]")
    backend.post_processor = assembly.between(tokens["bos"], None, vocabulary)
    backend.add_special_tokens([token for token in vocabulary if not _is_dna(token)])
    return assembly.wrapped(backend, folder, tokens), Reading(k, CUT)


def load_tagged(folder: Path) -> Tokenizer:
    """The DNA part of Carbon's tokenizer (`HybridDNATokenizer`), which reads other text too.

    `<dna>` comes first. Every k letters from the left are a token, `<oov>` when they are not all of A, C, G and T, and
    the last token is filled with A. The ids begin after those of the text's tokens.
    """
    names = files.read_json(folder / files.DNA_CONFIG)
    k, start = names.get("k"), names.get("dna_start_id")
    special = names.get("dna_special_tokens", list(_CARBON_SPECIAL))
    if type(k) is not int or type(start) is not int or not (1 <= k <= _LARGEST_K and 0 <= start <= _MOST_TEXT_TOKENS):
        raise UserError(f"model: {files.DNA_CONFIG} does not say which k-mers it has: {quoted(names)}")
    if not isinstance(special, list) or not set(_CARBON_SPECIAL) <= set(map(str, special)):
        raise UserError(f"model: {files.DNA_CONFIG} lacks the tokens {', '.join(_CARBON_SPECIAL)}")
    kmers = map("".join, itertools.product("ATCG", repeat=k))
    vocabulary = {token: start + number for number, token in enumerate((*map(str, special), *kmers))}
    tags = [token for token in vocabulary if not _is_dna(token)]
    # The tokens of text are never looked up, but the library complains of numbers without a token.
    named = {number: token for token, number in _added_tokens(folder).items() if token not in vocabulary}
    vocabulary |= {named.get(number, f"<text token {number}>"): number for number in range(start)}
    pad = assembly.settings_of(folder).get("pad_token")
    tokens = {"unk": "<oov>"} | ({"pad": pad} if isinstance(pad, str) and pad in vocabulary else {})
    backend = _words(vocabulary, tokens["unk"])
    backend.pre_tokenizer = _split(rf"[\s\S]{{1,{k}}}")
    backend.post_processor = assembly.between("<dna>", None, vocabulary)
    backend.add_special_tokens([token for token in (*tags, *named.values()) if token in vocabulary])
    return assembly.wrapped(backend, folder, tokens), Reading(k, FILLED)


def load_overlapping(folder: Path) -> Tokenizer:
    """The tokenizer of DNABERT: overlapping k-mers, one base apart, between `[CLS]` and `[SEP]`.

    The authors give it k-mers with blanks between them. A k-mer of other letters is `[UNK]`.
    """
    vocabulary = _read_vocabulary(folder)
    words = [token for token in vocabulary if not re.fullmatch(r"\[.*\]", token)]
    k = _k_of(vocabulary)
    if not all(map(_is_dna, words)):
        raise UserError(
            f"model: the folder has no tokenizer.json, and {files.VOCABULARY} lists other tokens than k-mers of DNA"
        )
    tokens = assembly.roles(folder, _BERT_ROLES, vocabulary, needed=("unk", "cls", "sep"))
    backend = _words(vocabulary, tokens["unk"])
    backend.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    backend.post_processor = assembly.between(tokens["cls"], tokens["sep"], vocabulary)
    return assembly.wrapped(backend, folder, tokens), Reading(k, is_overlapping=True)


def _read_vocabulary(folder: Path) -> dict[str, int]:
    """Token -> number: its line, or what the line says after the token."""
    vocabulary = {}
    for number, line in enumerate(files.read_text(folder / files.VOCABULARY).split("\n")):
        # Later releases of GENERator have the number behind each token; what separates the two is not documented.
        token, *rest = line.replace(",", " ").replace(":", " ").split() or [None]
        if len(rest) > 1 or (rest and not rest[0].isdecimal()):
            raise UserError(f"model: line {number + 1} of {files.VOCABULARY} is not a token, or a token and its number")
        if token is not None:
            vocabulary[token] = int(rest[0]) if rest else number
    return vocabulary


def _k_of(vocabulary: Iterable[str]) -> int:
    """The k of a list of tokens that has all k-mers of one k. Raises `UserError` for another list."""
    words = list(filter(_is_dna, vocabulary))
    lengths = set(map(len, words))
    k = max(lengths, default=0)
    if lengths != {k} or k > _LARGEST_K or len(words) != 4**k:
        raise UserError(
            f"model: the folder has no tokenizer.json, and {files.VOCABULARY} does not list all k-mers of one length"
        )
    return k


def _is_dna(token: str) -> bool:
    return re.fullmatch("[ACGT]+", token) is not None


def _added_tokens(folder: Path) -> dict[str, int]:
    """Token -> number, of the tokens that tokenizer_config.json lists."""
    listed = assembly.settings_of(folder).get("added_tokens_decoder")
    entries = listed.items() if isinstance(listed, dict) else ()
    return {
        token["content"]: int(number)
        for number, token in entries
        if number.isdecimal() and isinstance(token, dict) and isinstance(token.get("content"), str)
    }


def _words(vocabulary: Mapping[str, int], unknown: str) -> tokenizers.Tokenizer:
    return tokenizers.Tokenizer(tokenizers.models.WordLevel(dict(vocabulary), unk_token=unknown))


def _split(pieces: str) -> tokenizers.pre_tokenizers.PreTokenizer:
    return tokenizers.pre_tokenizers.Split(tokenizers.Regex(pieces), behavior="isolated")


def _longest_first(words: Iterable[str]) -> str:
    """A regular expression for any of the words: all k-mers of some letters as `[letters]{k}`, others one by one."""
    words = set(words)
    pieces = []
    for length in sorted(set(map(len, words)), reverse=True):
        same_length = {word for word in words if len(word) == length}
        letters = "".join(sorted(set("".join(same_length))))
        has_all = len(same_length) == len(letters) ** length
        pieces += [f"[{letters}]{{{length}}}"] if has_all else sorted(same_length)
    return "|".join(pieces)
