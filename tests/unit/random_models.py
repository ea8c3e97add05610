"""Models of random weights, of several architectures, with tokenizers of several kinds: small enough to make anew."""

import importlib
import json
import random

import torch
import transformers
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors

from bpe import train_bpe

# Settings that most architectures have; each uses those that it knows.
_TINY = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 512,
    "initializer_range": 0.2,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2}
_STATES = {"state_size": 4, "expand": 2}

# Every architecture that docs/models.md says was compared with transformers, with what it needs beyond `_TINY`.
CAUSAL_FAMILIES = {
    "bloom": {"n_layer": 3, "n_head": 4},
    "cohere": {},
    "deepseek_v3": {
        "q_lora_rank": 16,
        "kv_lora_rank": 16,
        "qk_rope_head_dim": 8,
        "qk_nope_head_dim": 8,
        "v_head_dim": 12,
        "head_dim": 8,
        "num_key_value_heads": 4,
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 32,
        "n_group": 1,
        "topk_group": 1,
        "first_k_dense_replace": 1,
    },
    "falcon": {"num_kv_heads": 2},
    "falcon_mamba": _STATES | {"time_step_rank": 4},
    "gemma": {"head_dim": 8},
    "gemma2": {"head_dim": 8},
    "gemma3_text": {"head_dim": 8},
    "gpt2": {},
    "gpt_bigcode": {},
    "gpt_neox": {},
    "gpt_oss": {"head_dim": 8, "num_local_experts": 4, "num_experts_per_tok": 2},
    "granite": {},
    "llama": {},
    "llama4_text": {
        "head_dim": 8,
        "num_local_experts": 4,
        "num_experts_per_tok": 1,
        "intermediate_size_mlp": 64,
        "attention_chunk_size": 32,
    },
    "mamba": _STATES | {"time_step_rank": 4},
    "mamba2": _STATES | {"num_heads": 8, "head_dim": 8, "n_groups": 1, "chunk_size": 8},
    "mistral": {},
    "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "mpt": {"d_model": 32, "n_heads": 4, "n_layers": 3, "expansion_ratio": 2, "max_seq_len": 512},
    "olmo": {},
    "olmo2": {},
    "olmoe": _EXPERTS,
    "opt": {"ffn_dim": 64, "word_embed_proj_dim": 16},
    "phi": {},
    "phi3": {
        "original_max_position_embeddings": 20,
        "rope_parameters": {
            "rope_type": "longrope",
            "rope_theta": 10_000.0,
            "original_max_position_embeddings": 20,
            "short_factor": [1.0] * 4,
            "long_factor": [3.0] * 4,
        },
    },
    "qwen3": {"head_dim": 8},
    "qwen3_moe": _EXPERTS | {"head_dim": 8, "moe_intermediate_size": 32},
    "rwkv": {"attention_hidden_size": 32, "context_length": 512},
    "starcoder2": {},
}
MASKED_FAMILIES = {
    "albert": {"embedding_size": 16},
    "bert": {},
    # Sequences of more than 28 tokens are read with sparse attention.
    "big_bird": {"attention_type": "block_sparse", "block_size": 4, "num_random_blocks": 1},
    "camembert": {},
    "deberta-v2": {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
    "distilbert": {},
    "electra": {"embedding_size": 16},
    "esm": {"mask_token_id": 4, "position_embedding_type": "rotary", "token_dropout": False},
    "eurobert": {},
    "ibert": {},
    "longformer": {"attention_window": [8, 8, 8]},
    "megatron-bert": {},
    "modernbert": {},
    "mpnet": {},
    "nomic_bert": {"head_dim": 8},
    "rembert": {"input_embedding_size": 16, "output_embedding_size": 24},
    "roberta": {},
    "roformer": {"embedding_size": 16},
    "xlm-roberta": {},
}


def save_family(folder, family, **settings):
    """Write a model of a family to a folder, with random weights and a tokenizer of single bases."""
    tokenizer = _tokenizer("bases", True, 0)
    tokenizer.save_pretrained(folder)
    known = _TINY | (CAUSAL_FAMILIES | MASKED_FAMILIES)[family] | settings
    config = transformers.AutoConfig.for_model(
        family, vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **known
    )
    heads = transformers.AutoModelForCausalLM if family in CAUSAL_FAMILIES else transformers.AutoModelForMaskedLM
    torch.manual_seed(0)
    _move_all(heads.from_config(config)).save_pretrained(folder)
    return folder


def save_own_family(folder, family, **settings):
    """Write a model of one of the suite's own families, with the settings that its published config.json would have."""
    tokenizer = _tokenizer("bases", True, 0)
    tokenizer.save_pretrained(folder)
    module = importlib.import_module(f"dna_lm.families.{family}")
    known = _TINY | {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id} | settings
    torch.manual_seed(0)
    model = module.ForMaskedLM(module.configure(known, {}))
    model.config.initializer_range = known["initializer_range"]
    model.init_weights()
    _move_all(model).save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(known))
    return folder


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
    _move_all(model).save_pretrained(folder)
    return folder


def _move_all(model):
    """Norms and biases start as ones and zeros. Change them, so that a mistake with them shows."""
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return model


def _tokenizer(kind, frame, seed):
    alphabet = random.Random(seed)
    if kind == "bpe":
        n_tokens = alphabet.choice([16, 64, 300])
        sequences = ("".join(alphabet.choices("ACGT", k=300)) for _ in range(20))
        tokenizer = train_bpe(sequences, n_tokens, list(SPECIALS.values()), with_pre_tokenizer=False)
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
