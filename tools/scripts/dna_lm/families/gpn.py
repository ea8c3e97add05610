"""GPN (Benegas et al. 2023, doi:10.1073/pnas.2311219120): a masked language model of dilated convolutions.

Two generations of published weights are read: the first (`ConvNet`), and a later one (`GPN`) whose layers are either
`convnet` or `bytenet`. All read one-hot bases, or a table of tokens in the later generation, and add to each token what
a convolution over its neighbours gives. What is beyond the ends of a sequence counts as zeros.
"""

from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional
from transformers import AutoConfig, AutoModelForMaskedLM, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput, MaskedLMOutput

from dna_lm.errors import UserError, quoted
from dna_lm.families.convolution import Convolution
from dna_lm.families.registry import Shapes, shape_of
from dna_lm.families.settings import Settings, flag, require, whole_number

IS_CAUSAL = False
# What published config.json files of the later generation call `layer_norm_eps` is not used by the layers.
_EPSILON = 1e-5


class Config(PreTrainedConfig):
    """Settings of a model, with the names of the later generation's config.json.

    encoder: `first` for a model of the first generation, `convnet` or `bytenet` for one of the later.
    """

    model_type = "dna_lm_gpn"

    def __init__(
        self,
        encoder: str = "first",
        vocab_size: int = 7,
        hidden_size: int = 512,
        num_hidden_layers: int = 2,
        intermediate_size: int = 512,
        first_kernel_size: int = 9,
        rest_kernel_size: int = 9,
        dilation_base: int = 2,
        dilation_max: int = 32,
        dilation_cycle: int = 6,
        dilation_double_every: int = 1,
        embedding: str = "one_hot",
        bias: bool = True,
        depthwise: bool = False,
        slim: bool = False,
        mlm_head_transform: bool = True,
        **options: object,
    ) -> None:
        self.encoder, self.embedding = encoder, embedding
        self.vocab_size, self.hidden_size = vocab_size, hidden_size
        self.num_hidden_layers, self.intermediate_size = num_hidden_layers, intermediate_size
        self.first_kernel_size, self.rest_kernel_size = first_kernel_size, rest_kernel_size
        self.dilation_base, self.dilation_max = dilation_base, dilation_max
        self.dilation_cycle, self.dilation_double_every = dilation_cycle, dilation_double_every
        self.bias, self.depthwise, self.slim = bias, depthwise, slim
        self.mlm_head_transform = mlm_head_transform
        super().__init__(**options)

    def dilation(self, layer: int) -> int:
        """The distance, in tokens, between two neighbours that the convolution of a layer reads."""
        power = layer % self.dilation_cycle // self.dilation_double_every
        return min(self.dilation_max, self.dilation_base**power)


def configure(settings: Settings, shapes: Shapes) -> Config:
    """The configuration of a checkpoint. Raises `UserError` for settings that cannot be followed."""
    require(settings, "GPN", n_aux_features=0, hidden_act="gelu", tie_word_embeddings=False)
    names = ("vocab_size", "hidden_size", "dilation_max", "dilation_cycle", "dilation_double_every")
    common = {name: whole_number(settings, name) for name in names}
    common |= {"dilation_base": whole_number(settings, "dilation_base", 2), "tie_word_embeddings": False}
    if shape_of(shapes, "encoder.0.conv.1.weight"):
        kernel_size = whole_number(settings, "kernel_size", 9)
        config = Config(
            num_hidden_layers=whole_number(settings, "n_layers"),
            intermediate_size=common["hidden_size"],
            first_kernel_size=kernel_size,
            rest_kernel_size=kernel_size,
            **common,
        )
    else:
        config = _later(settings, shapes, common)
    if config.embedding == "one_hot" and config.vocab_size > config.hidden_size:
        raise UserError(
            f"model: config.json describes {config.vocab_size} tokens, more than the width {config.hidden_size} of "
            "the layers, which one-hot tokens must fit into"
        )
    if config.first_kernel_size % 2 == 0 or config.rest_kernel_size % 2 == 0:
        raise UserError("model: config.json describes convolutions over an even number of tokens: they have no middle")
    return config


def _later(settings: Settings, shapes: Shapes, common: dict[str, object]) -> Config:
    """The configuration of a model of the later generation; a setting that is absent is read off the weights."""
    encoder = "convnet" if shape_of(shapes, "encoder.layer.0.conv.2.weight") else "bytenet"
    has_table = shape_of(shapes, "embeddings.word_embeddings.weight") is not None
    require(settings, f"GPN with these weights ({encoder})", encoder=encoder)
    embedding = settings.get("embedding", "embedding" if has_table else "one_hot")
    if embedding not in ("embedding", "one_hot"):
        raise UserError(f"model: in config.json, embedding is {quoted(embedding)}, not 'one_hot' or 'embedding'")
    width = common["hidden_size"]
    inner = shape_of(shapes, "encoder.layer.0.layer.2.weight") or [width]
    middle = shape_of(shapes, "encoder.layer.1.layer.6.weight") or shape_of(shapes, "encoder.layer.1.conv.2.weight")
    return Config(
        encoder=encoder,
        num_hidden_layers=whole_number(settings, "num_hidden_layers"),
        intermediate_size=whole_number(settings, "intermediate_size") if encoder == "convnet" else width,
        first_kernel_size=whole_number(settings, "first_kernel_size"),
        rest_kernel_size=whole_number(settings, "rest_kernel_size"),
        embedding=embedding,
        bias=flag(settings, "bias", shape_of(shapes, "ln_f.bias") is not None),
        depthwise=flag(settings, "depthwise", bool(middle) and middle[1] == 1),
        slim=flag(settings, "slim", inner[0] < width),
        mlm_head_transform=flag(settings, "mlm_head_transform", shape_of(shapes, "cls.transform.0.weight") is not None),
        **common,
    )


class ForMaskedLM(PreTrainedModel):
    """The model with its language-model head."""

    config_class = Config
    base_model_prefix = "model"
    has_mask = False
    # Heads of other tasks.
    _keys_to_ignore_on_load_unexpected = [r"^classifier\.", r"^score\."]

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.model = _Trunk(config)
        self.cls = _head(config)
        self.post_init()

    def forward(self, input_ids: torch.Tensor, **options: object) -> MaskedLMOutput:
        """Logits (sequences, tokens, vocabulary) of token ids (sequences, tokens)."""
        return MaskedLMOutput(logits=self.cls(self.model(input_ids, **options).last_hidden_state))


class _Trunk(nn.Module):
    """Token ids to hidden states."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        layer = {"first": _FirstLayer, "convnet": _ConvNetLayer, "bytenet": _ByteNetLayer}[config.encoder]
        layers = nn.ModuleList(layer(config, number) for number in range(config.num_hidden_layers))
        self.embeddings = None
        if config.embedding == "embedding":
            table = nn.Embedding(config.vocab_size, config.hidden_size)
            self.embeddings = nn.ModuleDict({"word_embeddings": table})
        if config.encoder == "first":
            self.encoder, self.ln_f = layers, nn.Identity()
        else:
            self.encoder, self.ln_f = nn.ModuleDict({"layer": layers}), _norm(config)

    def forward(self, input_ids: torch.Tensor, **_options: object) -> BaseModelOutput:
        """Hidden states (sequences, tokens, width) of token ids (sequences, tokens)."""
        if self.embeddings is None:
            like = next(self.parameters())
            states = functional.one_hot(input_ids, self.config.hidden_size).to(like.dtype)
        else:
            states = self.embeddings["word_embeddings"](input_ids)
        for layer in self.encoder if self.config.encoder == "first" else self.encoder["layer"]:
            states = layer(states)
        return BaseModelOutput(last_hidden_state=self.ln_f(states))


# Modules without weights in the sequences below give the others the numbers that they have in published names.


class _FirstLayer(nn.Module):
    def __init__(self, config: Config, number: int) -> None:
        super().__init__()
        width = config.hidden_size
        convolution = _convolution(config, number, width)
        self.conv = nn.Sequential(nn.Identity(), convolution, nn.Identity(), nn.GELU(), _norm(config))
        self.ffn = nn.Sequential(nn.Linear(width, width), nn.GELU(), _norm(config))

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        states = states + self.conv(states)
        return states + self.ffn(states)


class _ConvNetLayer(_FirstLayer):
    def __init__(self, config: Config, number: int) -> None:
        nn.Module.__init__(self)
        width, inner, bias = config.hidden_size, config.intermediate_size, config.bias
        convolution = _convolution(config, number, width)
        self.conv = nn.Sequential(
            _norm(config), nn.Identity(), convolution, nn.Identity(), nn.GELU(), nn.Linear(width, width, bias)
        )
        self.ffn = nn.Sequential(_norm(config), nn.Linear(width, inner, bias), nn.GELU(), nn.Linear(inner, width, bias))


class _ByteNetLayer(nn.Module):
    """ByteNet (Kalchbrenner et al. 2016, arXiv:1610.10099), as in CARP (Yang et al. 2022)."""

    def __init__(self, config: Config, number: int) -> None:
        super().__init__()
        width, bias = config.hidden_size, config.bias
        inner = width // 2 if config.slim else width
        self.layer = nn.Sequential(
            *(_norm(config), nn.GELU(), nn.Linear(width, inner, bias)),
            *(_norm(config, inner), nn.GELU(), nn.Identity(), _convolution(config, number, inner), nn.Identity()),
            *(_norm(config, inner), nn.GELU(), nn.Linear(inner, width, bias)),
        )

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return states + self.layer(states)


def _norm(config: Config, width: int | None = None) -> nn.LayerNorm:
    return nn.LayerNorm(width or config.hidden_size, _EPSILON, bias=config.bias)


def _convolution(config: Config, number: int, width: int) -> Convolution:
    """The convolution of a layer, counted from 0."""
    kernel_size = config.rest_kernel_size if number else config.first_kernel_size
    n_groups = width if config.depthwise and number else 1
    return Convolution(width, kernel_size, config.dilation(number), n_groups, config.bias)


def _head(config: Config) -> nn.Sequential:
    """Hidden states to logits."""
    width, bias = config.hidden_size, config.bias
    decoder = nn.Linear(width, config.vocab_size, bias)
    transform = (nn.Linear(width, width, bias), nn.GELU(), _norm(config))
    if config.encoder == "first":
        return nn.Sequential(OrderedDict(decoder=nn.Sequential(*transform, decoder)))
    if config.mlm_head_transform:
        return nn.Sequential(OrderedDict(transform=nn.Sequential(*transform), decoder=decoder))
    return nn.Sequential(OrderedDict(decoder=decoder))


AutoConfig.register(Config.model_type, Config)
AutoModelForMaskedLM.register(Config, ForMaskedLM)
