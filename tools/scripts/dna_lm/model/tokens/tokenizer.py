"""The tokenizer of a model folder: load it, find its special tokens, and check that it reads DNA."""

import itertools
import json
import math
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import tokenizers
import transformers

from dna_lm.errors import UserError, quoted
from dna_lm.model import files
from dna_lm.model.internals import keep_no_words, quiet_panics, token_ids
from dna_lm.model.tokens import assembly, characters, kmers
from dna_lm.model.tokens.assembly import NO_LIMIT as NO_LIMIT
from dna_lm.model.tokens.kmers import Reading, Tokenizer

# A sequence that models are tried with.
PROBE = "ACGTTGCATTAGCCGATACCAGTTTGACTA"
LONG_PROBE = "".join(random.Random(0).choices("ACGT", k=1000))

# How many times as long a normalizer may make a text, and how long what replaces a part of it may be.
_MOST_GROWTH = 64
# A token that stands for bases, with the marks that tokenizers put around a piece of a text.
_OF_BASES = re.compile("(##|[\u2581\u0120])?[ACGTN]+(</w>)?", re.IGNORECASE)
_NO_WORDS = {"type": "BPE", "vocab": {}, "merges": []}

# Classes of authors whose rules the suite implements. They have no tokenizer.json, or one for text.
OWN_CLASSES: dict[str, Callable[[Path], Tokenizer]] = {
    "DNAKmerTokenizer": kmers.load_blocks,
    "HybridDNATokenizer": kmers.load_tagged,
    "HyenaDNATokenizer": lambda folder: (characters.load(folder, fold_case=False), Reading()),
    "CaduceusTokenizer": lambda folder: (characters.load(folder, fold_case=True), Reading()),
    "NTv3Tokenizer": lambda folder: (characters.load_numbered(folder), Reading()),
    "PhyloGPNTokenizer": lambda folder: (characters.load_phylogpn(folder), Reading()),
    # Evo 1: its authors put token 0 before every sequence that they score. Evo 2: nothing.
    "ByteTokenizer": lambda folder: (characters.load_bytes(folder, with_start=True), Reading()),
    "CharLevelTokenizer": lambda folder: (characters.load_bytes(folder, with_start=False), Reading()),
}
# Tokenizers that are code of the authors' package: the folder has no file of them. By config.json's `model_type`.
_WITHOUT_FILES: dict[str, Callable[[Path], Tokenizer]] = {
    "rnabert": lambda folder: (characters.load_aido_dna(folder), Reading()),
}
# Classes with a list of tokens, where there is no tokenizer.json. Early releases name none: they are BERT's.
_LIST_CLASSES: dict[str | None, Callable[[Path], Tokenizer]] = {
    "EsmTokenizer": kmers.load_longest_first,
    "BertTokenizer": kmers.load_overlapping,
    "DNATokenizer": kmers.load_overlapping,
    None: kmers.load_overlapping,
}


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer in a folder, which neither cuts nor pads, and how it is given a sequence.

    Raises `UserError` when none can be read.
    """
    name = files.tokenizer_class(assembly.settings_of(folder))
    if isinstance(name, str) and name in OWN_CLASSES:
        tokenizer, reading = OWN_CLASSES[name](folder)
    elif (folder / files.TOKENIZER).exists():
        _check_growth(files.read_json(folder / files.TOKENIZER).get("normalizer"))
        with files.refusing(f"{files.TOKENIZER} cannot be used"):
            tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
        reading = Reading()
    elif not (folder / files.VOCABULARY).exists():
        tokenizer, reading = _without_files(folder, name)
    elif isinstance(name, str | None) and name in _LIST_CLASSES:
        tokenizer, reading = _LIST_CLASSES[name](folder)
    else:
        raise UserError(
            f"model: the folder has no tokenizer.json, and its {files.VOCABULARY} is for the class {quoted(name)}, "
            "which this suite does not know"
        )
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
    return tokenizer, reading


def _without_files(folder: Path, name: object) -> Tokenizer:
    """The tokenizer of a folder that has no file of one. name: the class of tokenizer that it names, or `None`."""
    model_type = files.read_json(folder / files.CONFIG).get("model_type")
    if name is not None or not isinstance(model_type, str) or model_type not in _WITHOUT_FILES:
        raise UserError("model: the folder has no tokenizer.json, so its tokenizer is missing")
    return _WITHOUT_FILES[model_type](folder)


def _check_growth(normalizer: object) -> None:
    """Refuse a normalizer that makes a text much longer, step by step: the library ends the process without memory."""
    too_long = UserError(
        f"model: the normalizer in {files.TOKENIZER} makes a text more than {_MOST_GROWTH} times as long: no tokenizer "
        "of DNA needs that"
    )
    texts = [PROBE, *(base * len(PROBE) for base in "ACGT")]
    for step in _steps_of(normalizer):
        alone = json.dumps({"version": "1.0", "added_tokens": [], "normalizer": step, "model": _NO_WORDS})
        if isinstance(step, dict) and len(str(step.get("content", ""))) > _MOST_GROWTH:
            raise too_long
        with files.refusing(f"the normalizer in {files.TOKENIZER} cannot be used"), quiet_panics():
            apply = tokenizers.Tokenizer.from_str(alone).normalizer.normalize_str
            texts = [apply(text) for text in texts]
        if max(map(len, texts)) > _MOST_GROWTH * len(PROBE):
            raise too_long


def _steps_of(normalizer: object) -> Iterator[object]:
    """The normalizers that a normalizer of tokenizer.json applies one after the other."""
    waiting = [] if normalizer is None else [normalizer]
    while waiting:
        step = waiting.pop()
        inner = step.get("normalizers") if isinstance(step, dict) and step.get("type") == "Sequence" else None
        if isinstance(inner, list):
            waiting += reversed(inner)
        else:
            yield step


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


def check_reads_dna(
    tokenizer: transformers.PreTrainedTokenizerFast, reading: Reading, special_token_ids: frozenset[int]
) -> int:
    """Raise `UserError` for a tokenizer that does not tell DNA sequences apart.

    Returns the largest token id that a sequence can have. Other tokens may have larger ones: Nucleotide Transformer,
    AgroNT and GROVER list one or two, for other tasks, that their published weights have no row for.
    """
    # Bases that are left out cannot tell anything apart.
    probe = PROBE[len(PROBE) % reading.k :]
    substituted = [
        probe[:position] + base + probe[position + 1 :]
        for position in range(len(probe))
        for base in "ACGT".replace(probe[position], "")
    ]
    shortest = [base * reading.fewest_bases for base in "ACGT"]
    texts = [*map(reading.text, [LONG_PROBE, *shortest, probe, *substituted])]
    with files.refusing("its tokenizer cannot read DNA"):
        # One text first: a regular expression that takes too long does so for each of them.
        ids = token_ids(tokenizer, texts[:1]) + token_ids(tokenizer, texts[1:])
    ids_of_long_probe, ids_of_bases, (ids_of_probe, *ids_of_substituted) = ids[0], ids[1:5], ids[5:]
    unknown = {tokenizer.unk_token_id, _unknown_token_id(tokenizer)} - {None}
    if unknown & {token for ids in (ids_of_probe, *ids_of_bases) for token in ids}:
        raise UserError("model: its tokenizer maps DNA bases to the unknown token: this is not a DNA model")
    if unknown & set(ids_of_long_probe):
        raise UserError("model: its tokenizer maps a long sequence to the unknown token")
    if ids_of_probe in ids_of_substituted or not set(ids_of_probe) - special_token_ids:
        raise UserError("model: its tokenizer does not tell the bases apart: this is not a DNA model")
    of_bases = (number for token, number in tokenizer.get_vocab().items() if _OF_BASES.fullmatch(token))
    return max(*of_bases, *ids_of_probe, *ids_of_long_probe, *itertools.chain(*ids_of_bases))


def _unknown_token_id(tokenizer: transformers.PreTrainedTokenizerFast) -> int | None:
    unknown = getattr(tokenizer.backend_tokenizer.model, "unk_token", None)
    return None if unknown is None else tokenizer.backend_tokenizer.token_to_id(unknown)
