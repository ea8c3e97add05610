"""Write the tiny models of random weights for the tests: one of each family, with tokenizers of every kind.

`tiny-esm` has the architecture and the tokens of the Nucleotide Transformer; `headless-mixtral` lacks a language-model
head as the published small Mistral-DNA checkpoints do, and takes its tokenizer from the demonstration model.
"""

import argparse
import gzip
import io
import itertools
import json
import random
import shutil
import tarfile
from pathlib import Path

import tokenizers
import torch
import transformers

SEED = 22
# Ten times the usual, so that untrained models still tell sequences apart clearly.
INITIALIZER_RANGE = 0.2
K = 6
# The Nucleotide Transformer's vocabulary, in its order; its letters are sorted A, T, C, G.
FIRST_TOKENS = ["<unk>", "<pad>", "<mask>", "<cls>"]
KMERS = ["".join(letters) for letters in itertools.product("ATCG", repeat=K)]
LAST_TOKENS = ["A", "T", "C", "G", "N", "<eos>", "<bos>"]
VOCABULARY = {token: number for number, token in enumerate(FIRST_TOKENS + KMERS + LAST_TOKENS)}

ESM_README = """# A tiny ESM of random weights, for tests only

`EsmForMaskedLM` with rotary positions and token dropout, reading non-overlapping 6-mers as the Nucleotide Transformer
does: cut from the left, what does not fill a 6-mer (the end, or bases beside an N) as single letters, `<cls>` in front
and nothing at the end. It has learned nothing. Written by `demo/make_test_models.py`.
"""
HEADLESS_README = """# A tiny Mixtral without a language-model head, for tests only

Random weights, and the head of a classifier instead of a language model's, as in the published small Mistral-DNA
checkpoints: whatever needs logits over tokens must refuse it. Written by `demo/make_test_models.py`.
"""


def write_json(path, content):
    path.write_text(json.dumps(content, indent=2) + "\n")


def kmer_tokenizer():
    """Non-overlapping 6-mers from the left, single letters for the rest, `<cls>` in front."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(VOCABULARY, unk_token="<unk>"))
    kmer_or_letter = tokenizers.Regex(f"[ACGT]{{{K}}}|[ACGTN]")
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Split(kmer_or_letter, behavior="isolated")
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="<cls> $A", special_tokens=[("<cls>", VOCABULARY["<cls>"])]
    )
    tokenizer.add_special_tokens([token for token in VOCABULARY if token.startswith("<")])
    return tokenizer


def write_tiny_esm(folder):
    config = transformers.EsmConfig(
        vocab_size=len(VOCABULARY),
        pad_token_id=VOCABULARY["<pad>"],
        mask_token_id=VOCABULARY["<mask>"],
        eos_token_id=None,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=512,
        position_embedding_type="rotary",
        token_dropout=True,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        emb_layer_norm_before=False,
        tie_word_embeddings=True,
        initializer_range=INITIALIZER_RANGE,
    )
    torch.manual_seed(SEED)
    # In the names of the published checkpoints; transformers' own way back to them writes TensorFlow's beta and gamma.
    transformers.EsmForMaskedLM(config).save_pretrained(folder, save_original_format=False)
    kmer_tokenizer().save(str(folder / "tokenizer.json"))
    names = {f"{name}_token": f"<{name}>" for name in ("unk", "pad", "mask", "cls", "eos", "bos")}
    write_json(folder / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", **names})
    (folder / "README.md").write_text(ESM_README)


def write_headless_mixtral(folder, demo_model):
    settings = json.loads((demo_model / "config.json").read_text())
    config = transformers.MixtralConfig(
        vocab_size=settings["vocab_size"],
        bos_token_id=settings["bos_token_id"],
        eos_token_id=settings["eos_token_id"],
        pad_token_id=settings["pad_token_id"],
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        num_local_experts=4,
        num_experts_per_tok=1,
        max_position_embeddings=256,
        tie_word_embeddings=False,
        initializer_range=INITIALIZER_RANGE,
    )
    torch.manual_seed(SEED)
    transformers.MixtralForSequenceClassification(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(demo_model / name, folder / name)
    (folder / "README.md").write_text(HEADLESS_README)


SMALL_README = """# A tiny {name} of random weights, for tests only

`{architecture}`, reading {tokens}. It has learned nothing. Written by `demo/make_test_models.py`.
"""
SMALL = {"initializer_range": INITIALIZER_RANGE, "bos_token_id": None, "eos_token_id": None}
# Two layers of two heads, in the names of most architectures.
TWO_LAYERS = SMALL | {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 128,
}


def tokenizer_of(tokens, pieces, before=(), after=(), normalizer=None):
    """A tokenizer that cuts a sequence into `pieces`, a regular expression, and looks them up among the `tokens`."""
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({token: number for number, token in enumerate(tokens)}, unk_token="[UNK]")
    )
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Split(tokenizers.Regex(pieces), behavior="isolated")
    return with_special_tokens(tokenizer, before, after)


def with_special_tokens(tokenizer, before=(), after=()):
    added = [(token, tokenizer.token_to_id(token)) for token in (*before, *after)]
    if added:
        template = " ".join([*before, "$A", *after])
        tokenizer.post_processor = tokenizers.processors.TemplateProcessing(single=template, special_tokens=added)
    tokenizer.add_special_tokens([token for token in tokenizer.get_vocab() if token.startswith("[")])
    return tokenizer


def single_bases(specials, **how):
    return tokenizer_of([*specials, *"ACGT"], "[ACGT]", **how)


def apart_kmers(specials, k, **how):
    """k-mers beside each other from the left, single letters for the rest."""
    kmers = ["".join(letters) for letters in itertools.product("ACGT", repeat=k)]
    return tokenizer_of([*specials, *kmers, *"ACGT"], f"[ACGT]{{{k}}}|[ACGT]", **how)


def overlapping_kmers(specials, k, **how):
    """Every k-mer of the sequence, as in DNABERT.

    A tokenizer.json has no rule for pieces that overlap. So each base is rewritten to a private character that stands
    for the k-mer beginning there, the bases after it, rewritten or not yet, being told by classes of characters; bases
    too near to the end to begin a k-mer go.
    """
    kmers = ["".join(letters) for letters in itertools.product("ACGT", repeat=k)]
    characters = {kmer: chr(0xE000 + number) for number, kmer in enumerate(kmers)}
    classes = {base: f"[{base}{''.join(characters[kmer] for kmer in kmers if kmer[0] == base)}]" for base in "ACGT"}
    rules = [
        tokenizers.normalizers.Replace(
            tokenizers.Regex(f"{kmer[0]}(?={''.join(classes[base] for base in kmer[1:])})"), characters[kmer]
        )
        for kmer in kmers
    ]
    rules.append(tokenizers.normalizers.Replace(tokenizers.Regex("[ACGT]"), ""))
    normalizer = tokenizers.normalizers.Sequence(rules)
    return tokenizer_of(
        [*specials, *characters.values()], f"[{''.join(characters.values())}]", normalizer=normalizer, **how
    )


def byte_pairs(specials, **how):
    """Byte-pair tokens learned from random letters."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    letters = random.Random(SEED)
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=80, special_tokens=specials, initial_alphabet=list("ACGT"))
    tokenizer.train_from_iterator(("".join(letters.choices("ACGT", k=200)) for _ in range(50)), trainer)
    return with_special_tokens(tokenizer, **how)


SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
BOTH_ENDS = {"before": ["[CLS]"], "after": ["[SEP]"]}


def small_models():
    """Folder name -> class, settings, tokenizer and what its README says of the tokens."""
    return {
        "tiny-mistral": (
            transformers.MistralForCausalLM,
            TWO_LAYERS | {"num_key_value_heads": 1, "sliding_window": 24},
            byte_pairs(SPECIALS, **BOTH_ENDS),
            "byte pairs between `[CLS]` and `[SEP]`, each of the last 24 only",
        ),
        "tiny-llama": (
            transformers.LlamaForCausalLM,
            TWO_LAYERS | {"num_key_value_heads": 2, "attention_bias": True, "tie_word_embeddings": True},
            single_bases(["[PAD]", "[UNK]"]),
            "single bases without a special token",
        ),
        "tiny-gpt-neox": (
            transformers.GPTNeoXForCausalLM,
            TWO_LAYERS | {"rotary_pct": 0.5},
            apart_kmers(["[PAD]", "[UNK]", "[CLS]"], 3, before=["[CLS]"]),
            "3-mers beside each other after `[CLS]`",
        ),
        "tiny-gpt2": (
            transformers.GPT2LMHeadModel,
            SMALL | {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 128},
            byte_pairs(SPECIALS, after=["[SEP]"]),
            "byte pairs before `[SEP]`, with learned positions",
        ),
        "tiny-mamba": (
            transformers.MambaForCausalLM,
            SMALL | {"hidden_size": 16, "state_size": 4, "num_hidden_layers": 2},
            single_bases(["[PAD]", "[UNK]", "[SEP]"], after=["[SEP]"]),
            "single bases before `[SEP]`, with a state instead of attention",
        ),
        "tiny-bert": (
            transformers.BertForMaskedLM,
            TWO_LAYERS | {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0},
            overlapping_kmers(SPECIALS, 3, **BOTH_ENDS),
            "every 3-mer of the sequence between `[CLS]` and `[SEP]`, as DNABERT does, with learned positions",
        ),
        "tiny-modernbert": (
            transformers.ModernBertForMaskedLM,
            TWO_LAYERS
            | {"num_hidden_layers": 3, "local_attention": 16, "global_attn_every_n_layers": 2}
            | {"cls_token_id": 2, "sep_token_id": 3},
            single_bases(SPECIALS, **BOTH_ENDS),
            "single bases between `[CLS]` and `[SEP]`; every other layer sees 8 bases to either side",
        ),
    }


def write_small_model(folder, model_class, settings, tokenizer, tokens):
    vocabulary = tokenizer.get_vocab()
    config = model_class.config_class(vocab_size=len(vocabulary), pad_token_id=vocabulary["[PAD]"], **settings)
    torch.manual_seed(SEED)
    model = model_class(config)
    # Biases and normalisations begin as zeros and ones, which hides what is done with them.
    for parameter in model.parameters():
        if parameter.dim() == 1:
            torch.nn.init.normal_(parameter, parameter.data.mean().item(), INITIALIZER_RANGE)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {
        f"{name}_token": f"[{name.upper()}]"
        for name in ("unk", "pad", "mask", "cls", "sep")
        if f"[{name.upper()}]" in vocabulary
    }
    write_json(folder / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", **names})
    readme = SMALL_README.format(
        name=folder.name.removeprefix("tiny-"), architecture=model_class.__name__, tokens=tokens
    )
    (folder / "README.md").write_text(readme)


def tar_of(members):
    """A tar archive of (name, content) pairs, the same bytes every time."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def write_sources(folder, models):
    """What the tests of the data manager install: a model in an archive, and two that it refuses."""
    files = sorted((models / "tiny-bert").iterdir())
    archive = tar_of((f"tiny-bert/{file.name}", file.read_bytes()) for file in files)
    (folder / "tiny-bert.tar.gz").write_bytes(gzip.compress(archive, mtime=0))
    (folder / "leads-out.tar").write_bytes(tar_of([("model/model.safetensors", b""), ("../../config.json", b"{}")]))
    (folder / "pickled").mkdir(exist_ok=True)
    shutil.copyfile(models / "tiny-bert" / "config.json", folder / "pickled" / "config.json")
    (folder / "pickled" / "pytorch_model.bin").write_text("A pickle, were it one.\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "test-data/models")
    sources = Path(__file__).parents[1] / "data_managers/data_manager_dna_lm/test-data"
    parser.add_argument("--sources", type=Path, default=sources, help="for the data manager's tests")
    arguments = parser.parse_args()
    write_tiny_esm(arguments.output / "tiny-esm")
    write_headless_mixtral(arguments.output / "headless-mixtral", arguments.output / "demo-mixtral")
    for name, description in small_models().items():
        write_small_model(arguments.output / name, *description)
    write_sources(arguments.sources, arguments.output)


if __name__ == "__main__":
    main()
