"""What every contender is given: the models, and seeded pairs of sequences with one substitution in the middle."""

import json
import random
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEST_DATA = ROOT / "test-data"

SEED = 3
SPECIALS = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
# The shape of the tutorial's model, Mistral-DNA-v1-17M-hg38.
SHAPE_17M = {
    "vocab_size": 4096,
    "hidden_size": 256,
    "intermediate_size": 256,
    "num_hidden_layers": 8,
    "num_attention_heads": 8,
    "num_key_value_heads": 8,
    "num_local_experts": 8,
    "num_experts_per_tok": 1,
    "max_position_embeddings": 512,
}
# gpn scores a variant at the token of its base, so the masked model reads single bases.
SHAPE_MASKED = {
    "vocab_size": len(SPECIALS) + 4,
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "max_position_embeddings": 512,
    "position_embedding_type": "rotary",
    "token_dropout": False,
}
# Published sizes. Those of 100M are ESM as Nucleotide Transformer's are, without the gates of its version 2, which
# transformers does not have.
_HEAD = {"vocab_size": 4105, "max_position_embeddings": 1024}
_LLAMA = {"architecture": "Llama", **_HEAD}
_ESM = {"architecture": "Esm", "position_embedding_type": "rotary", "token_dropout": False, **_HEAD}
_MIXTRAL = {"architecture": "Mixtral", "num_local_experts": 8, "num_experts_per_tok": 1, **_HEAD}


def _sizes(hidden_size, intermediate_size, num_hidden_layers, num_attention_heads, num_key_value_heads=None):
    return {name: value for name, value in locals().items() if value is not None}


LARGE = {
    "masked-100M": _ESM | _sizes(768, 3072, 12, 12),
    "masked-0.5B": _ESM | _sizes(1280, 5120, 24, 20),
    "masked-1.1B": _ESM | _sizes(1920, 7680, 25, 30),
    "causal-138M": _LLAMA | _sizes(768, 3072, 14, 12, 12),
    "causal-0.5B": _LLAMA | _sizes(1408, 3840, 23, 22, 2),
    "causal-1.1B": _LLAMA | _sizes(2048, 5632, 26, 32, 4),
    "experts-0.4B": _MIXTRAL | _sizes(1024, 1024, 14, 16, 8),
}

MODELS = {
    "17M": "random weights in the shape of Mistral-DNA 17M",
    "demo": "the demo model of `test-data/models`, its weights written as float32",
    "masked": "an ESM of 4 layers of 256, random weights, a token a base",
    "masked-100M": "an ESM of the size of Nucleotide Transformer 100M, random weights",
    "causal-138M": "a Llama of 138M, random weights",
    "masked-0.5B": "an ESM in the shape of Nucleotide Transformer 500M, random weights",
    "causal-1.1B": "a Llama in the shape of GENERator 1.2B, random weights",
}

VCF_HEADER = """##fileformat=VCFv4.2
##INFO=<ID=CLNSIG,Number=.,Type=String,Description="What dnallm asks for: a label">
##INFO=<ID=CLNREVSTAT,Number=.,Type=String,Description="a review status">
##INFO=<ID=CLNVC,Number=1,Type=String,Description="a class of variant">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO
"""
VCF_INFO = "CLNSIG=Pathogenic;CLNREVSTAT=criteria_provided;CLNVC=single_nucleotide_variant"


@dataclass(frozen=True)
class Size:
    """So many pairs of so many bases."""

    pairs: int
    bases: int

    @classmethod
    def parse(cls, text):
        """`1000x201` -> 1,000 pairs of 201 bases."""
        return cls(*map(int, text.split("x")))

    def __str__(self):
        return f"{self.pairs:,} × {self.bases:,}"

    def fits(self, model, device):
        """Whether a model reads so many bases, and in minutes.

        The model with a token a base reads at most 510 bases, in as many forward passes as there are pairs.
        """
        if model == "masked":
            return self.pairs <= 200 and self.bases <= 510
        if model.endswith("B"):
            return device == "cuda" and self.pairs <= 1000
        return model not in LARGE or device == "cuda" or self.pairs * self.bases <= 100 * 201


def random_sequence(letters, length):
    return "".join(letters.choices("ACGT", k=length))


def make_pairs(size):
    """The (wild-type, mutant) sequences of a size, the same at every call."""
    letters = random.Random(SEED)
    middle = size.bases // 2
    pairs = []
    for _ in range(size.pairs):
        wild_type = random_sequence(letters, size.bases)
        base = letters.choice([base for base in "ACGT" if base != wild_type[middle]])
        pairs.append((wild_type, wild_type[:middle] + base + wild_type[middle + 1 :]))
    return pairs


def write_pairs(folder, pairs):
    """Write pairs as two FASTA files, and as a VCF on the wild types (each a chromosome of its own)."""
    folder.mkdir(parents=True, exist_ok=True)
    middle = len(pairs[0][0]) // 2
    with (
        open(folder / "wild_type.fasta", "w") as wild_types,
        open(folder / "mutant.fasta", "w") as mutants,
        open(folder / "variants.vcf", "w") as variants,
    ):
        variants.write(VCF_HEADER)
        for number, (wild_type, mutant) in enumerate(pairs, 1):
            name = f"pair{number}"
            wild_types.write(f">{name}\n{wild_type}\n")
            mutants.write(f">{name}\n{mutant}\n")
            print(
                name, middle + 1, ".", wild_type[middle], mutant[middle], ".", "PASS", VCF_INFO, sep="\t", file=variants
            )
    return folder


def make_model(name, folder):
    """Write a model folder; returns it."""
    import torch
    import transformers

    transformers.logging.disable_progress_bar()
    torch.manual_seed(SEED)
    if name in LARGE:
        model = large_model(name, "float32")
        tokenizer = _tokenizer(_trained_bpe(SHAPE_17M["vocab_size"]))
    elif name == "demo":
        demo = TEST_DATA / "models" / "demo-mixtral"
        # As float16 it would be another program's choice whether to compute in float16.
        model = transformers.AutoModelForCausalLM.from_pretrained(demo, dtype=torch.float32)
        tokenizer = transformers.AutoTokenizer.from_pretrained(demo)
    elif name == "17M":
        special_ids = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 3}
        model = transformers.MixtralForCausalLM(transformers.MixtralConfig(**SHAPE_17M, **special_ids))
        tokenizer = _tokenizer(_trained_bpe(SHAPE_17M["vocab_size"]))
    else:
        special_ids = {"pad_token_id": 3, "mask_token_id": 4}
        model = transformers.EsmForMaskedLM(transformers.EsmConfig(**SHAPE_MASKED, **special_ids))
        tokenizer = single_base_tokenizer()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def large_model(name, stored):
    """A model of `LARGE` with random weights in a precision."""
    import torch
    import transformers

    transformers.logging.disable_progress_bar()
    settings = dict(LARGE[name])
    kind = settings.pop("architecture")
    special_ids = {"pad_token_id": 3, "mask_token_id": 4, "bos_token_id": 1, "eos_token_id": 2}
    config = getattr(transformers, f"{kind}Config")(**settings, **special_ids, tie_word_embeddings=False)
    model_class = getattr(transformers, f"{kind}For{'MaskedLM' if kind == 'Esm' else 'CausalLM'}")
    with torch.device("meta"):
        model = model_class(config)
    model = model.to_empty(device="cpu").to(getattr(torch, stored))
    torch.manual_seed(SEED)
    # The random numbers of one block, again and again: drawing a thousand million takes longer than loading them.
    block = torch.randn(2**20).mul_(config.initializer_range).to(getattr(torch, stored))
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.ndim < 2:
            tensor.data.fill_(1)
        else:
            tensor.data.copy_(block.repeat(-(-tensor.numel() // len(block)))[: tensor.numel()].view_as(tensor))
    return model


def _trained_bpe(vocabulary_size):
    """Byte pairs of random DNA and of the demo mutations; no pairs at all when there is room for the bases alone."""
    from Bio import SeqIO

    sys.path.insert(0, str(ROOT / "tests" / "fixtures"))
    from bpe import train_bpe

    letters = random.Random(SEED)
    corpus = [random_sequence(letters, 500) for _ in range(1000)]
    corpus += [str(record.seq).upper() for record in SeqIO.parse(TEST_DATA / "snv_wild_type.fasta", "fasta")]
    return train_bpe(corpus, vocabulary_size, SPECIALS, with_pre_tokenizer=False)


def single_base_tokenizer():
    """The masked model's tokenizer: a token a base."""
    return _tokenizer(_trained_bpe(SHAPE_MASKED["vocab_size"]))


def _tokenizer(tokenizer):
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast

    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    names = ("unk_token", "cls_token", "sep_token", "pad_token", "mask_token")
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **dict(zip(names, SPECIALS, strict=True)))


def tokenise_pairs(model_folder, pairs):
    """The token ids of each pair, special tokens included."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(model_folder / "tokenizer.json"))
    ids = [encoding.ids for encoding in tokenizer.encode_batch([sequence for pair in pairs for sequence in pair])]
    return list(zip(ids[::2], ids[1::2], strict=True))


def read_config(model_folder):
    return json.loads((model_folder / "config.json").read_text())
