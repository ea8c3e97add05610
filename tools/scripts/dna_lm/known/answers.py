"""The tables of known answers, and a model's own answers by the same definitions.

No special tokens, the forward strand only. A causal model: the sum over all tokens but the first of the log-probability
of the token, given those before it, over the whole vocabulary. A masked model: in pass o of `stride` passes, every
token whose number leaves the rest o is masked; the log-probabilities of what is masked are summed over all passes.
"""

import csv
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from dna_lm.engine.likelihood import require_mask
from dna_lm.errors import UserError, quoted
from dna_lm.model import internals
from dna_lm.model.checkpoint import Checkpoint
from dna_lm.model.tokens.kmers import CUT

_FOLDER = Path(__file__).parent
# Of the sum: what float32 and 16 bits explain.
_EXACT, _ROUGH = 1e-3, 1e-2
# Carbon reads DNA after this token, which the audit counts among its own.
_STARTS = frozenset({"<dna>"})
SAME, ROUGH, OTHER, OTHER_TOKENS = "as published", "as published in 16 bits", "another number", "other tokens"


@dataclass(frozen=True)
class Answer:
    """What published weights gave for a probe: the number of tokens, and the sum of log-probabilities in nats."""

    tokens: int
    stride: int
    total: float


@dataclass(frozen=True)
class Comparison:
    """A probe: what a model gives, and what is published; `None` without a known answer."""

    probe: str
    tokens: int
    total: float
    known: Answer | None

    @property
    def verdict(self) -> str:
        """In words; "" without a known answer."""
        if self.known is None:
            return ""
        if self.tokens != self.known.tokens:
            return OTHER_TOKENS
        difference = abs(self.total - self.known.total) / abs(self.known.total)
        return SAME if difference <= _EXACT else ROUGH if difference <= _ROUGH else OTHER


def _rows(name: str) -> Iterator[dict[str, str]]:
    with open(_FOLDER / name, newline="", encoding="utf-8") as handle:
        yield from csv.DictReader(handle, delimiter="\t")


def probes() -> dict[str, str]:
    """Name -> sequence."""
    return {row["probe"]: row["sequence"] for row in _rows("probes.tsv")}


def known_models() -> list[str]:
    """The ids of the models that have known answers."""
    return list(dict.fromkeys(row["model"] for row in _rows("answers.tsv")))


def answers(model_id: str) -> dict[str, Answer]:
    """Probe -> answer; of several strides the largest, which takes the fewest passes. Raises `UserError` for none.

    HyenaDNA's copies for transformers, `...-hf`, have the weights of those that the audit ran.
    """
    found: dict[str, Answer] = {}
    for row in _rows("answers.tsv"):
        if row["model"] == model_id.removesuffix("-hf"):
            answer = Answer(int(row["tokens"]), int(row["stride"] or 0), float(row["sum_log_p"]))
            if row["probe"] not in found or answer.stride > found[row["probe"]].stride:
                found[row["probe"]] = answer
    if not found:
        raise UserError(
            f"no answers of the model {quoted(model_id)} are known: leave out the id, or give that of the hub"
        )
    return found


def id_of(folder: Path) -> str | None:
    """The id of the model in a folder that is called after it, as the data manager and Hugging Face's caches do."""
    names = [name.removesuffix("-hf") for name in folder.resolve().parts]
    for model_id in sorted(known_models(), key=len, reverse=True):
        plain = model_id.replace("/", "--")
        if any(name in (plain, f"models--{plain}") or name.startswith((f"{plain}_", f"{plain}-hf_")) for name in names):
            return model_id
    return None


def token_ids(model: Checkpoint, sequence: str) -> list[int]:
    """The tokens of a sequence, without special ones."""
    vocabulary = model.tokenizer.get_vocab()
    # What is left at an end of a sequence can be one unknown token.
    kept = {vocabulary[token] for token in _STARTS & vocabulary.keys()} | {model.tokenizer.unk_token_id}
    # The audit gave GENERator whole sequences; its authors, and the suite, cut them to a multiple of k.
    text = sequence if model.reading.ends == CUT else model.reading.text(sequence)
    [ids] = internals.token_ids(model.tokenizer, [text])
    return [token for token in ids if token not in model.special_token_ids or token in kept]


@torch.inference_mode()
def log_likelihood(model: Checkpoint, ids: Sequence[int], stride: int = 0) -> float:
    """The sum of log-probabilities in nats; stride: the passes of a masked model."""
    given = torch.tensor([list(ids)], device=model.device)
    if model.is_causal:
        return _log_probabilities(model, given)[:-1].gather(-1, given[0, 1:, None]).sum().item()
    total = 0.0
    for start in range(min(stride, len(ids))):
        masked = given.clone()
        masked[0, start::stride] = model.mask_token_id
        total += _log_probabilities(model, masked)[start::stride].gather(-1, given[0, start::stride, None]).sum().item()
    return total


def _log_probabilities(model: Checkpoint, ids: torch.Tensor) -> torch.Tensor:
    """float64 (tokens, vocabulary) of one sequence."""
    states = model.trunk(ids, use_cache=False).last_hidden_state[0]
    return torch.log_softmax(model.logits(states).double(), dim=-1)


def compare(model: Checkpoint, model_id: str | None) -> Iterator[Comparison]:
    """Each probe. Without an id there are no known answers."""
    model.require_head("the comparison with known answers", "leave it out")
    if not model.is_causal:
        require_mask(model, "the comparison with known answers")
    known = answers(model_id) if model_id else {}
    for probe, sequence in probes().items():
        yield _compared(model, probe, sequence, known.get(probe))


def _compared(model: Checkpoint, probe: str, sequence: str, known: Answer | None) -> Comparison:
    ids = token_ids(model, sequence)
    return Comparison(probe, len(ids), log_likelihood(model, ids, known.stride if known else 6), known)


def shuffled(model: Checkpoint, found: Iterable[Comparison]) -> tuple[int, float]:
    """How many probes are more likely than the same bases in random order, and by how many nats a base on average."""
    n_better, gains = 0, []
    sequences = probes()
    for comparison in found:
        bases = list(sequences[comparison.probe])
        random.Random(comparison.probe).shuffle(bases)
        other = _compared(model, comparison.probe, "".join(bases), None)
        gain = (comparison.total - other.total) / len(bases)
        n_better += gain > 0
        gains.append(gain)
    return n_better, sum(gains) / len(gains)
