"""Which family a checkpoint belongs to: decided by the names and shapes of its weights.

What a checkpoint says of itself (`auto_map`, `architectures`, `model_type`) never decides alone: GENA-LM calls itself
`bert`, and Nucleotide Transformer v2 has the names of ESM with other shapes.
"""

import importlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType

from dna_lm.errors import UserError, quoted
from dna_lm.families.settings import Settings

# Name of a weight -> its shape.
Shapes = Mapping[str, list[int]]


@dataclass(frozen=True)
class Family:
    """A family.

    label: its name as people write it. module: the module of this package. stems: what the names of the authors'
    classes in `auto_map` begin with. fits: whether a checkpoint's weights have what only this family has. is_named:
    whether config.json says that it is this family, which counts where the weights are another architecture's too.
    """

    label: str
    module: str
    stems: tuple[str, ...]
    fits: Callable[[Shapes], bool]
    is_named: Callable[[Settings], bool] = lambda _settings: True

    def load(self) -> ModuleType:
        """Import the family's module, which registers its model with transformers' Auto classes."""
        return importlib.import_module(f"dna_lm.families.{self.module}")


def find(settings: Settings, shapes: Shapes) -> Family | None:
    """The family whose weights these are, unless `auto_map` names classes of another; or `None`."""
    families = (family for family in FAMILIES if family.fits(shapes) and family.is_named(settings))
    return next((family for family in families if _names_only(settings, family.stems)), None)


def shape_of(shapes: Shapes, ending: str) -> list[int] | None:
    """The shape of the weight whose name ends like this: published names differ in what comes before."""
    return next((shape for name, shape in shapes.items() if f".{name}".endswith(f".{ending}")), None)


def check_shape(shapes: Shapes, ending: str, expected: list[int]) -> None:
    """Raise `UserError` when there is a weight whose name ends like this, of another shape.

    For weights that share their numbers with others: transformers names the others itself, but fails on these.
    """
    shape = shape_of(shapes, ending)
    if shape not in (None, expected):
        raise UserError(
            f"model: weights of another shape than config.json says: {quoted(ending)} is {shape}, not {expected}"
        )


def _having(ending: str) -> Callable[[Shapes], bool]:
    return lambda shapes: shape_of(shapes, ending) is not None


def _any_ends(shapes: Shapes, *endings: str) -> bool:
    return any(name.endswith(endings) for name in shapes)


def _is_gated_esm(shapes: Shapes) -> bool:
    """Whether the first product of ESM's feed-forward layer is twice as wide as the second: half of it is a gate."""
    wide = shape_of(shapes, "encoder.layer.0.intermediate.dense.weight")
    narrow = shape_of(shapes, "encoder.layer.0.output.dense.weight")
    is_esm = shape_of(shapes, "encoder.layer.0.attention.LayerNorm.weight") is not None
    return is_esm and bool(wide and narrow) and wide[0] == 2 * narrow[-1]


FAMILIES = (
    Family(
        "Nucleotide Transformer v2",
        "nucleotide_transformer",
        ("Esm",),
        _is_gated_esm,
    ),
    Family(
        "GENA-LM",
        "gena_lm",
        ("Bert",),
        _having("encoder.layer.0.pre_attention_ln.weight"),
    ),
    Family(
        "DNABERT-2",
        "dnabert2",
        ("Bert",),
        _having("encoder.layer.0.mlp.gated_layers.weight"),
    ),
    Family(
        "GPN",
        "gpn",
        ("ConvNet", "GPN"),
        lambda shapes: any(
            len(shape_of(shapes, ending) or ()) == 3
            for ending in ("encoder.0.conv.1.weight", "encoder.layer.0.conv.2.weight", "encoder.layer.0.layer.6.weight")
        ),
    ),
    Family(
        "HyenaDNA",
        "hyenadna",
        ("Hyena", "HyenaDNA"),
        _having("layers.0.mixer.filter_fn.implicit_filter.0.weight"),
    ),
    Family(
        "Evo 1",
        "striped_hyena",
        ("StripedHyenaModel", "StripedHyena"),
        lambda shapes: _any_ends(shapes, ".filter.poles") and _having("embedding_layer.weight")(shapes),
    ),
    Family(
        "Evo 2",
        "striped_hyena2",
        ("StripedHyena2",),
        lambda shapes: (
            _any_ends(shapes, ".filter.log_poles", ".filter.h") and _having("embedding_layer.weight")(shapes)
        ),
    ),
    Family(
        "Caduceus",
        "caduceus",
        ("Caduceus",),
        lambda shapes: any(_having(f"layers.0.mixer.{inner}mamba_fwd.A_log")(shapes) for inner in ("", "submodule.")),
    ),
    # The weights have the names and shapes of Llama's.
    Family(
        "GENERanno",
        "generanno",
        ("Generanno",),
        _having("layers.0.self_attn.q_proj.weight"),
        is_named=lambda settings: settings.get("model_type") == "generanno",
    ),
    # BERT without a table of positions, as RoFormer is: the classes say what takes its place.
    Family(
        "MutBERT",
        "mutbert",
        ("RoPEBert",),
        lambda shapes: (
            _having("encoder.layer.0.attention.output.LayerNorm.weight")(shapes)
            and _having("embeddings.token_type_embeddings.weight")(shapes)
            and not _having("embeddings.position_embeddings.weight")(shapes)
        ),
        is_named=lambda settings: "RoPEBert" in f"{settings.get('auto_map')} {settings.get('architectures')}",
    ),
    Family(
        "AIDO.DNA",
        "aido_dna",
        ("RNABert",),
        lambda shapes: (
            _having("encoder.layer.0.attention.ln.weight")(shapes)
            and _having("encoder.layer.0.mlp.gate_proj.weight")(shapes)
        ),
    ),
    Family(
        "Nucleotide Transformer v3",
        "ntv3",
        ("NTv3PreTrained", "Ntv3PreTrained"),
        lambda shapes: (
            _having("conv_tower_blocks.0.conv.conv.weight")(shapes)
            and _having("transformer_blocks.0.sa_layer.mha_output.weight")(shapes)
        ),
    ),
    Family(
        "PhyloGPN",
        "phylogpn",
        ("PhyloGPN",),
        lambda shapes: (
            _any_ends(shapes, "output_conv.parametrizations.weight.original", "output_conv.weight")
            and _having("blocks.0.layer_norm3.weight")(shapes)
        ),
    ),
    Family(
        "Omni-DNA",
        "omni_dna",
        ("OLMo", "OLMoModel"),
        _having("transformer.blocks.0.att_proj.weight"),
    ),
)

# What transformers' own classes for a `model_type` are called, and the authors' classes that only wrap one. Such a
# checkpoint must have the weights of transformers' class, all of them and no others.
_WRAPPED = {
    "llama": ("Llama", "GENERator"),
    "mamba": ("Mamba",),
    "mistral": ("Mistral",),
    "mixtral": ("Mixtral",),
}
# Several families name their classes after BERT's. The one class that DNABERT-1 names otherwise identifies it.
_DNABERT_1 = "DNABertForSequenceClassification"
_ENDINGS = "(Config|Model|ForCausalLM|ForMaskedLM|ForPreTraining|ForSequenceClassification|ForTokenClassification)?"


def is_wrapper(settings: Settings) -> bool:
    """Whether all classes that `auto_map` names stand for the class that transformers has for the `model_type`."""
    if settings.get("model_type") == "bert" and _DNABERT_1 in _named_classes(settings):
        return _names_only(settings, ("Bert", "DNABert"))
    return _names_only(settings, _WRAPPED.get(settings.get("model_type"), ()))


def may_be_read(settings: Settings) -> bool:
    """Whether, by its config.json alone, a checkpoint with `auto_map` can be one that is read without its code."""
    return is_wrapper(settings) or any(_names_only(settings, family.stems) for family in FAMILIES)


def _names_only(settings: Settings, stems: Sequence[str]) -> bool:
    """Whether all classes in `auto_map` have names that begin with one of the stems."""
    return all(any(re.fullmatch(stem + _ENDINGS, name) for stem in stems) for name in _named_classes(settings))


def _named_classes(settings: Settings) -> list[str]:
    auto_map = settings.get("auto_map") or {}
    if isinstance(auto_map, dict):
        # A tokenizer's class is for `model.tokens`.
        references = [reference for name, reference in auto_map.items() if name != "AutoTokenizer"]
    else:
        references = [auto_map]
    # Such as `owner/name--modeling_esm.EsmForMaskedLM`.
    return [str(reference).rpartition(".")[2] for reference in references]
