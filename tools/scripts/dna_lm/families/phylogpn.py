"""PhyloGPN (Albors et al. 2025, arXiv:2503.03773): what evolution makes of a base, from the bases around it.

Dilated convolutions of one sequence. There are four numbers for each base, one each for A, C, G and T: log rates, whose
softmax is how often each is expected there. The base itself is read, not masked: so its authors score variants. Beyond
the ends of a sequence is the token of a gap.

Weights are made symmetric before they are used: the mean of what is stored, and of that for the other strand. The
normalisations are not, so the two strands differ.
"""

import torch
from torch import nn
from torch.nn import functional
from transformers import AutoConfig, AutoModelForMaskedLM, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput, MaskedLMOutput

from dna_lm.errors import UserError
from dna_lm.families.convolution import Convolution
from dna_lm.families.registry import Shapes
from dna_lm.families.settings import Settings, whole_number

IS_CAUSAL = False
# A, C, G, T, N and the gap; and the complement of each.
_COMPLEMENT = (3, 2, 1, 0, 4, 5)
_GAP = 5
_EPSILON = 1e-5


class Config(PreTrainedConfig):
    """Settings of a model. inner_size: the width of the dilated convolutions; dilations: one for each block."""

    model_type = "dna_lm_phylogpn"

    def __init__(
        self,
        hidden_size: int = 16,
        inner_size: int = 8,
        kernel_size: int = 5,
        dilations: tuple[int, ...] = (1, 5),
        **options: object,
    ) -> None:
        self.hidden_size, self.inner_size, self.kernel_size = hidden_size, inner_size, kernel_size
        self.dilations, self.num_hidden_layers = dilations, len(dilations)
        self.vocab_size = len(_COMPLEMENT)
        super().__init__(**{"tie_word_embeddings": False} | options)

    @property
    def reach(self) -> int:
        """How many bases on either side a prediction depends on."""
        return self.kernel_size // 2 * sum(self.dilations)


def configure(settings: Settings, shapes: Shapes) -> Config:
    """The configuration of a checkpoint. Raises `UserError` for settings that cannot be followed."""
    kernel_size, stack = whole_number(settings, "kernel_size"), whole_number(settings, "stack_size")
    n_blocks = stack * whole_number(settings, "num_stacks")
    if n_blocks > len(shapes):
        raise UserError("model: config.json describes a larger model than the weights are for")
    if kernel_size % 2 == 0:
        raise UserError("model: config.json describes convolutions over an even number of tokens: they have no middle")
    return Config(
        hidden_size=whole_number(settings, "outer_dim"),
        inner_size=whole_number(settings, "inner_dim"),
        kernel_size=kernel_size,
        dilations=tuple(kernel_size ** (block % stack) for block in range(n_blocks)),
        pad_token_id=_GAP,
    )


def parts_of(name: str) -> tuple[str, ...]:
    """The name of a published weight in this class."""
    name = name.replace(".parametrizations.", ".").removesuffix(".original").removeprefix("_")
    return (name.replace("model.output_conv.", "head."),)


class ForMaskedLM(PreTrainedModel):
    """The model with its head, whose outputs are those of A, C, G and T."""

    config_class = Config
    base_model_prefix = "model"
    has_mask = False
    is_unmasked = True

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.model = _Trunk(config)
        self.head = _Head(config.hidden_size)
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        """The table of tokens."""
        return self.model.embedding

    def forward(self, input_ids: torch.Tensor, **_options: object) -> MaskedLMOutput:
        """Logits (sequences, tokens, 4) of token ids (sequences, tokens)."""
        return MaskedLMOutput(logits=self.head(self.model(input_ids).last_hidden_state))


class _Trunk(nn.Module):
    """Token ids to hidden states."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.hidden_size)
        # Under numbers, not a list of layers: between blocks there are more positions than tokens.
        self.blocks = nn.ModuleDict({str(n): _Block(config, dilation) for n, dilation in enumerate(config.dilations)})
        self.output_layer_norm = nn.LayerNorm(config.hidden_size, _EPSILON)

    def forward(self, input_ids: torch.Tensor, **_options: object) -> BaseModelOutput:
        """Hidden states (sequences, tokens, width) of token ids (sequences, tokens)."""
        table = self.embedding.weight
        table = (table + table[list(_COMPLEMENT)].flip(1)) / 2
        states = table[functional.pad(input_ids, (self.config.reach, self.config.reach), value=_GAP)]
        for block in self.blocks.values():
            states = block(states)
        return BaseModelOutput(last_hidden_state=self.output_layer_norm(states))


class _Block(nn.Module):
    """Three convolutions, which read less at both ends than they are given."""

    def __init__(self, config: Config, dilation: int) -> None:
        super().__init__()
        width, inner = config.hidden_size, config.inner_size
        self.n_cut = config.kernel_size // 2 * dilation
        self.layer_norm1, self.conv1 = nn.LayerNorm(width, _EPSILON), _Symmetric(width, 1, n_outputs=inner)
        self.layer_norm2, self.conv2 = nn.LayerNorm(inner, _EPSILON), _Symmetric(inner, config.kernel_size, dilation)
        self.layer_norm3, self.conv3 = nn.LayerNorm(inner, _EPSILON), _Symmetric(inner, 1, n_outputs=width)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        inner = slice(self.n_cut, states.shape[1] - self.n_cut)
        read = self.conv1(functional.gelu(self.layer_norm1(states)))
        read = self.conv2(functional.gelu(self.layer_norm2(read)))[:, inner]
        return states[:, inner] + self.conv3(functional.gelu(self.layer_norm3(read)))


class _Symmetric(Convolution):
    """A convolution that reads the other strand alike."""

    is_arranged = False

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        if not self.is_arranged:
            # Only once, in place.
            self.weight.data, self.bias.data = _symmetric(self.weight), _symmetric(self.bias)
            self.is_arranged = True
        return super().forward(states)


class _Head(nn.Module):
    """Hidden states (..., width) to log rates of A, C, G and T (..., 4), whose reversed order is their complements'."""

    matrix_product = staticmethod(functional.linear)

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(4, width, 1))
        self.bias = nn.Parameter(torch.empty(4))

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        weight, bias = _symmetric(self.weight)[..., 0], _symmetric(self.bias)
        return self.matrix_product(functional.gelu(states), weight, bias)


def _symmetric(weight: torch.Tensor) -> torch.Tensor:
    """The mean of a weight and of the same with outputs, inputs and places reversed."""
    numbers = weight.detach().float()
    return ((numbers + numbers.flip(tuple(range(numbers.ndim)))) / 2).to(weight.dtype)


AutoConfig.register(Config.model_type, Config)
AutoModelForMaskedLM.register(Config, ForMaskedLM)
