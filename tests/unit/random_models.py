"""Models of random weights, of several architectures, with tokenizers of several kinds: small enough to make anew."""

import random

import torch
import transformers
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors, trainers

SPECIALS = {f"{name}_token": f"[{name.upper()}]" for name in ("unk", "cls", "sep", "pad", "mask")}
CAUSAL = ("mixtral", "llama", "gpt_neox")
MASKED = ("esm", "bert")
TOKENIZERS = ("bpe", "3-mers", "bases")


def save(folder, family, tokenizer="bpe", frame=True, seed=0, layers=2, width=32, heads=4, experts=4):
    """Write a model to a folder. `frame`: whether the tokenizer puts [CLS] before and [SEP] after a sequence."""
    tokenizer = _tokenizer(tokenizer, frame, seed)
    tokenizer.save_pretrained(folder)
    common = {
        "vocab_size": len(tokenizer),
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": 3 * width // 2,
        "max_position_embeddings": 512,
        "pad_token_id": tokenizer.pad_token_id,
        "initializer_range": 0.2,
    }
    torch.manual_seed(seed)
    model = _MODELS[family](common, heads, experts)
    # Norms and biases start at ones and zeros: moved, so that a mistake with them shows.
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    return folder


def _tokenizer(kind, frame, seed):
    alphabet = random.Random(seed)
    if kind == "bpe":
        tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
        size = alphabet.choice([16, 64, 300])
        trainer = trainers.BpeTrainer(
            vocab_size=size,
            special_tokens=list(SPECIALS.values()),
            initial_alphabet=list("ACGT"),
        )
        tokenizer.train_from_iterator(("".join(alphabet.choices("ACGT", k=300)) for _ in range(20)), trainer)
    else:
        words = list("ACGT")
        if kind == "3-mers":
            words += [a + b + c for a in "ACGT" for b in "ACGT" for c in "ACGT"]
        vocabulary = {word: number for number, word in enumerate([*SPECIALS.values(), *words])}
        tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
        pattern = Regex("[ACGT]{3}|[ACGT]") if kind == "3-mers" else Regex("[ACGT]")
        tokenizer.pre_tokenizer = pre_tokenizers.Split(pattern, "isolated")
    if frame:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
        )
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **SPECIALS)


_MODELS = {
    "mixtral": lambda common, heads, experts: transformers.MixtralForCausalLM(
        transformers.MixtralConfig(
            **common, num_key_value_heads=heads // 2, num_local_experts=experts, num_experts_per_tok=1 + (experts > 4)
        )
    ),
    "llama": lambda common, heads, _: transformers.LlamaForCausalLM(
        transformers.LlamaConfig(**common, num_key_value_heads=heads)
    ),
    "gpt_neox": lambda common, *_: transformers.GPTNeoXForCausalLM(transformers.GPTNeoXConfig(**common)),
    "esm": lambda common, *_: transformers.EsmForMaskedLM(
        transformers.EsmConfig(**common, mask_token_id=4, position_embedding_type="rotary", token_dropout=False)
    ),
    "bert": lambda common, *_: transformers.BertForMaskedLM(transformers.BertConfig(**common)),
}
