"""The parts of a model that transformers loaded: its trunk, the layers of the trunk, and the head on top of it.

The *trunk* maps token ids to hidden states, the *head* maps hidden states to logits over the vocabulary.
"""

import re
from collections.abc import Iterable

import torch
import transformers

from dna_lm.errors import UserError, quoted
from dna_lm.model.internals import TrunkOutput

# Parts that compute something else from the hidden states (a class, a map of contacts), and numbers from 0 on.
_UNUSED = re.compile(r"(^|\.)(pooler|contact_head|seq_relationship|position_ids)(\.|$)")


def is_unused(name: str) -> bool:
    """Whether a weight has no part in hidden states and logits."""
    return _UNUSED.search(name) is not None


def find_trunk(model: transformers.PreTrainedModel) -> tuple[str, torch.nn.Module]:
    """The name of the model's attribute that holds the trunk, and the trunk. Raises `UserError` when it has none."""
    # In some classes `base_model_prefix` is not the name of the attribute that holds the base model.
    for name in (model.base_model_prefix, "model"):
        if isinstance(trunk := getattr(model, name, None), torch.nn.Module):
            return name, trunk
    raise UserError(
        f"model: the architecture {quoted(model.config.model_type)} is not supported: it has no module without the head"
    )


def find_blocks(trunk: torch.nn.Module, config: transformers.PreTrainedConfig) -> tuple[torch.nn.Module, ...]:
    """The layers of a trunk in their order, or () when it does not have exactly one list of them."""
    # ALBERT uses each of a few blocks for several layers.
    n_blocks = getattr(config, "num_hidden_groups", config.num_hidden_layers)
    lists = {}
    for name, module in trunk.named_modules():
        is_inner = any(name.startswith(f"{outer}.") for outer in lists)
        if isinstance(module, torch.nn.ModuleList) and len(module) == n_blocks and not is_inner:
            lists[name] = tuple(module)
    return next(iter(lists.values())) if len(lists) == 1 else ()


def split_head(
    model: transformers.PreTrainedModel, missing: Iterable[str]
) -> tuple[torch.nn.Module | None, tuple[str, ...]]:
    """What follows the trunk, as a function from hidden states to logits; or the names of its missing weights.

    missing: names of the weights that the checkpoint does not have. The function is `None` when one of them is the
    head's. Raises `UserError` when one of them is the trunk's.
    """
    trunk_name, _ = find_trunk(model)
    missing = {name for name in missing if not is_unused(name)}
    if missing_trunk := sorted(name for name in missing if name.startswith(f"{trunk_name}.")):
        raise UserError(
            f"model: the checkpoint lacks weights that its config.json calls for: {first_names(missing_trunk)}"
        )
    if missing:
        return None, tuple(sorted(missing))
    modules = [module for name, module in model.named_children() if name != trunk_name]
    return torch.nn.Sequential(*modules), ()


class WholeModelHead:
    """The head of a model that does more with hidden states than its modules do one after the other.

    Calls the whole model, after replacing its trunk by one that returns the given hidden states. The model cannot be
    used for anything else afterwards.
    """

    def __init__(self, model: transformers.PreTrainedModel) -> None:
        self.model = model
        self.trunk = _PresetTrunk()
        trunk_name, _ = find_trunk(model)
        setattr(model, trunk_name, self.trunk)

    def __call__(self, states: torch.Tensor) -> torch.Tensor:
        """Hidden states (..., width) -> logits (..., vocabulary)."""
        rows = states.flatten(0, -2)[None]
        self.trunk.output = TrunkOutput(last_hidden_state=rows)
        no_tokens = torch.zeros(rows.shape[:2], dtype=torch.long, device=rows.device)
        return self.model(no_tokens).logits.view(*states.shape[:-1], -1)


class _PresetTrunk(torch.nn.Module):
    """Takes the place of a trunk, and returns a preset output."""

    output: TrunkOutput

    def forward(self, *_inputs: object, **_options: object) -> TrunkOutput:
        return self.output


def first_names(names: Iterable[str], limit: int = 110) -> str:
    """The first names of weights, quoted, in about so many characters, and how many more there are."""
    names = list(map(quoted, names))
    n_shown = 1
    while n_shown < len(names) and sum(map(len, names[: n_shown + 1])) <= limit:
        n_shown += 1
    n_more = len(names) - n_shown
    return ", ".join(names[:n_shown]) + (f" and {n_more} more" if n_more > 0 else "")
