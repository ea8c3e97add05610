"""Write two tiny models of random weights for the tests: a masked one with 6-mer tokens, and one without a head.

`tiny-esm` has the architecture and the tokens of the Nucleotide Transformer; `headless-mixtral` lacks a language-model
head as the published small Mistral-DNA checkpoints do, and takes its tokenizer from the demonstration model.
"""

import argparse
import itertools
import json
import shutil
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


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "test-data/models")
    arguments = parser.parse_args()
    write_tiny_esm(arguments.output / "tiny-esm")
    write_headless_mixtral(arguments.output / "headless-mixtral", arguments.output / "demo-mixtral")


if __name__ == "__main__":
    main()
