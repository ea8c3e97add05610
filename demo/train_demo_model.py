"""Train the demonstration model: a small Mixtral on 0.7 Mb of human DNA, of the same family as Mistral-DNA.

Writes the model in half precision, reads it back, and measures it on the held-out stretch beside Markov models of
order 0 and 5. `README.md`, in the model's folder, is written from those measurements. For demonstration, not science.
"""

import argparse
import json
import math
import random
import time
from collections import Counter
from pathlib import Path

import tokenizers
import torch
import transformers
from reference import HELD_OUT, REFERENCE, TRAINING, VALIDATION, WINDOW, read_reference, windows

SEED = 22
# The ids of the Mistral-DNA family.
SPECIAL_TOKENS = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
UNK, CLS, SEP, PAD, MASK = range(len(SPECIAL_TOKENS))
NOT_A_TARGET = -100

VOCABULARY_SIZE = 128
CONFIG = {
    "hidden_size": 64,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "head_dim": 16,
    "num_local_experts": 8,
    # As in the family. The weight of a single expert is normalised to 1, so only the auxiliary loss trains the router.
    "num_experts_per_tok": 1,
    "router_aux_loss_coef": 0.02,
    "max_position_embeddings": 512,
    "tie_word_embeddings": False,
    "bos_token_id": CLS,
    "eos_token_id": SEP,
    "pad_token_id": PAD,
}

STEPS = 5000
WARM_UP_STEPS = 100
BATCH_WINDOWS = 32
# Bases in a training window: around the 201 of the demonstration, so that where a sequence ends is no surprise.
TRAINING_LENGTHS = (150, 250)
LEARNING_RATE = 3e-3
WEIGHT_DECAY = 0.1
# Of the tokens read in training, this share is hidden behind [MASK] (none is when measuring): the training bases are
# few enough to be learned by heart.
HIDDEN_SHARE = 0.1
LOG_EVERY = 250

COMPLEMENT = str.maketrans("ACGT", "TGCA")


def reverse_complement(dna):
    return dna.translate(COMPLEMENT)[::-1]


def train_tokenizer(strands):
    """Byte-pair encoding learned from the strands' windows, wrapped in [CLS] and [SEP]."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE, special_tokens=SPECIAL_TOKENS, show_progress=False
    )
    tokenizer.train_from_iterator((cut for strand in strands for cut in windows(strand, (0, len(strand)))), trainer)
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)],
    )
    return tokenizer


def training_batch(strands, generator):
    """Windows of random strand, start and length that hold no unknown base."""
    batch = []
    while len(batch) < BATCH_WINDOWS:
        strand = generator.choice(strands)
        length = generator.randint(*TRAINING_LENGTHS)
        start = generator.randrange(len(strand) - length)
        window = strand[start : start + length]
        if "N" not in window:
            batch.append(window)
    return batch


def tensors(tokenizer, sequences):
    """Token ids, mask and targets, each (sequences, tokens); special tokens are read but no targets."""
    encodings = tokenizer.encode_batch(sequences)
    length = max(len(encoding.ids) for encoding in encodings)
    ids = torch.tensor([encoding.ids + [PAD] * (length - len(encoding.ids)) for encoding in encodings])
    return ids, (ids != PAD).long(), ids.masked_fill(ids < len(SPECIAL_TOKENS), NOT_A_TARGET)


@torch.inference_mode()
def bits_per_base(model, tokenizer, sequences, batch_size=128):
    """Sum of -log2 P(token | [CLS] and the tokens before it) over all tokens that are not special, by base."""
    nats = 0.0
    for start in range(0, len(sequences), batch_size):
        ids, mask, targets = tensors(tokenizer, sequences[start : start + batch_size])
        logits = model(input_ids=ids, attention_mask=mask).logits[:, :-1].float()
        nats += torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), targets[:, 1:].flatten(), ignore_index=NOT_A_TARGET, reduction="sum"
        ).item()
    return nats / math.log(2) / sum(map(len, sequences))


def markov_bits_per_base(strands, sequences, order):
    """The same measure for a Markov model of the strands with add-one smoothing.

    It sees no more than the language model does: the first bases of a sequence are predicted from the bases before
    them in that sequence, so by a lower order.
    """
    counts = [
        Counter(strand[at : at + k + 1] for strand in strands for at in range(len(strand) - k))
        for k in range(order + 1)
    ]
    bits = 0.0
    for sequence in sequences:
        for at, base in enumerate(sequence):
            context = sequence[max(0, at - order) : at]
            of_order = counts[len(context)]
            seen = sum(of_order[context + other] for other in "ACGT")
            bits -= math.log2((of_order[context + base] + 1) / (seen + 4))
    return bits / sum(map(len, sequences))


def train(model, tokenizer, strands, validation, steps):
    """AdamW with linear warm-up and cosine decay to zero. Logs the losses; returns the seconds it took."""
    generator = random.Random(SEED)
    matrices = [weight for weight in model.parameters() if weight.ndim > 1]
    vectors = [weight for weight in model.parameters() if weight.ndim == 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": vectors, "weight_decay": 0.0}],
        lr=LEARNING_RATE,
        betas=(0.9, 0.95),
    )
    schedule = transformers.get_cosine_schedule_with_warmup(optimizer, WARM_UP_STEPS, steps)
    started = time.monotonic()
    recent = []
    for step in range(1, steps + 1):
        ids, mask, targets = tensors(tokenizer, training_batch(strands, generator))
        hidden = (torch.rand(ids.shape) < HIDDEN_SHARE) & (targets != NOT_A_TARGET)
        read = ids.masked_fill(hidden, MASK)
        loss = model(input_ids=read, attention_mask=mask, labels=targets, output_router_logits=True).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        recent.append(loss.item())
        if step % LOG_EVERY == 0 or step == steps:
            model.eval()
            print(
                f"step {step}/{steps}  {time.monotonic() - started:.0f} s  "
                f"training loss {sum(recent) / len(recent):.4f} nats a token (router's share included)  "
                f"validation {bits_per_base(model, tokenizer, validation):.4f} bits a base",
                flush=True,
            )
            model.train()
            recent.clear()
    return time.monotonic() - started


def save(model, tokenizer, folder):
    """The four files of a Hugging Face checkpoint; the weights as float16, to stay below Galaxy's 1 MB a file."""
    folder.mkdir(parents=True, exist_ok=True)
    model.half().save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {f"{token.strip('[]').lower()}_token": token for token in SPECIAL_TOKENS}
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", **names}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")


README = """# A small Mixtral for demonstration, not for science

Trained so that this suite's main job, demonstration and tests run offline: a real, trained causal model of the
architecture and special tokens of Mistral-DNA, but with none of its weights or vocabulary. It has read far too little
DNA for its scores to mean anything about a mutation.

| | |
|---|---|
| architecture | `MixtralForCausalLM`: {layers} layers, width {width}, {experts} experts of which each token uses 1 |
| parameters | {n_parameters:,}, stored as float16 safetensors of {size:,} bytes |
| vocabulary | {vocabulary} tokens: byte-pair encoding of the training bases, {bases_per_token:.2f} bases a token |
| trained on | bases {training} of the reference, {trained_bases:,} of them known, both strands |
| settings chosen on | bases {validation}, never trained on |
| held out | bases {held_out}: seen by neither model nor vocabulary; every fixture lies in them |
| training | {steps:,} steps of {batch} windows of {lengths} bases, {hidden:.0%} of the tokens read hidden by [MASK] |
| optimiser | AdamW, rate {rate:g}, weight decay {decay:g}, warm-up and cosine decay; seed {seed} |
| took | {minutes:.0f} minutes on one CPU core of a busy machine |

The reference is `22_20-21M.fa` of Debian's package `hisat2`: bases 20,000,001 to 21,000,000 of GRCh38's chromosome 22.
Positions above count from 0, the end excluded.

## Loss on the held-out bases

| bits per base | all {n_windows} windows | {n_novel} windows without a known 20-mer |
|---|---|---|
| order-0 Markov | {order_0:.4f} | {novel_order_0:.4f} |
| order-5 Markov | {order_5:.4f} | {novel_order_5:.4f} |
| **this model** | **{model:.4f}** | **{novel_model:.4f}** |

On all windows it {verdict}. On those that share no 20 bases in a row with the training bases, on either strand,
it {novel_verdict}. The difference between the columns is what repeats and duplications give.

Measured on the non-overlapping windows of {window} bases of the held-out stretch, forward strand, after reading the
stored float16 weights back as float32: the sum of −log2 P(token | [CLS] and the tokens before it) over all tokens of
the window except [CLS] and [SEP], divided by its bases. The Markov models were counted on the same training bases, both
strands, with add-one smoothing, and scored on the same windows; like the language model they see nothing before a
window, so its first bases are predicted by lower orders.

## Build it again

    apt-get install hisat2
    python demo/train_demo_model.py

torch {torch}, transformers {transformers}, tokenizers {tokenizers}. The seed fixes the data, their order and the first
weights; another processor or library version rounds differently, so the last digits of the weights may change.
"""


def without_known_kmers(strands, sequences, k=20):
    """The sequences that share no k-mer with the strands."""
    known = {strand[at : at + k] for strand in strands for at in range(len(strand) - k + 1)}
    return [cut for cut in sequences if not any(cut[at : at + k] in known for at in range(len(cut) - k + 1))]


def verdict(model, order_0, order_5):
    beaten = [name for name, bits in (("order 0", order_0), ("order 5", order_5)) if model < bits]
    return f"beats {' and '.join(beaten)}" if beaten else "beats neither"


def write_page(folder, reference, strands, steps, seconds):
    """Read the stored model back, measure it on the held-out stretch, and write its README.md."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    held_out = windows(reference, HELD_OUT)
    novel = without_known_kmers(strands, held_out)

    def measure(sequences):
        return {
            "model": bits_per_base(model, tokenizer, sequences),
            "order_0": markov_bits_per_base(strands, sequences, 0),
            "order_5": markov_bits_per_base(strands, sequences, 5),
        }

    bits, novel_bits = measure(held_out), measure(novel)
    print("bits a base: all windows", bits, "without known 20-mers", novel_bits)
    n_tokens = sum(len(encoding.ids) - 2 for encoding in tokenizer.encode_batch(held_out))
    page = README.format(
        n_parameters=model.num_parameters(),
        layers=model.config.num_hidden_layers,
        width=model.config.hidden_size,
        experts=model.config.num_local_experts,
        size=(folder / "model.safetensors").stat().st_size,
        vocabulary=model.config.vocab_size,
        bases_per_token=sum(map(len, held_out)) / n_tokens,
        trained_bases=sum(strands[0].count(base) for base in "ACGT"),
        training="{:,}–{:,}".format(*TRAINING),
        validation="{:,}–{:,}".format(*VALIDATION),
        held_out="{:,}–{:,}".format(*HELD_OUT),
        steps=steps,
        batch=BATCH_WINDOWS,
        lengths="{}–{}".format(*TRAINING_LENGTHS),
        hidden=HIDDEN_SHARE,
        rate=LEARNING_RATE,
        decay=WEIGHT_DECAY,
        seed=SEED,
        minutes=seconds / 60,
        n_windows=len(held_out),
        n_novel=len(novel),
        window=WINDOW,
        verdict=verdict(**bits),
        novel_verdict=verdict(**novel_bits),
        torch=torch.__version__,
        transformers=transformers.__version__,
        tokenizers=tokenizers.__version__,
        **bits,
        **{f"novel_{name}": value for name, value in novel_bits.items()},
    )
    (folder / "README.md").write_text(page)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "test-data/models/demo-mixtral")
    parser.add_argument("--reference", type=Path, default=REFERENCE, help="FASTA of Debian's package hisat2")
    parser.add_argument("--steps", type=int, default=STEPS, help="fewer for a quick try")
    arguments = parser.parse_args()

    # One thread is hardly slower for layers this small, and sums in the same order whatever else the machine does.
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    reference = read_reference(arguments.reference)
    forward = reference[slice(*TRAINING)]
    strands = (forward, reverse_complement(forward))

    tokenizer = train_tokenizer(strands)
    config = transformers.MixtralConfig(vocab_size=tokenizer.get_vocab_size(), **CONFIG)
    model = transformers.MixtralForCausalLM(config).train()
    seconds = train(model, tokenizer, strands, windows(reference, VALIDATION), arguments.steps)
    save(model, tokenizer, arguments.output)
    write_page(arguments.output, reference, strands, arguments.steps, seconds)


if __name__ == "__main__":
    main()
