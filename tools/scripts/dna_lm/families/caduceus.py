"""Caduceus, PlantCaduceus, and PlantCAD2, which is PlantCaduceus with Mamba-2.

Schiff et al. 2024, arXiv:2403.03234; Zhai et al. 2025, doi:10.1073/pnas.2421738122. A block adds its input to a
residual stream, normalises that (RMSNorm), and gives it to a mixer (`mamba`).

Models with `rcps` (Caduceus-PS and PlantCaduceus) read both strands with the same weights. A state has two halves: that
of the given strand, and that of the other one, with its positions and its channels reversed. So the reversed order of
tokens that are each replaced by their complement gives the same states with positions and channels reversed, in every
layer, and logits with positions reversed and columns exchanged. `complement` of the class is the map of tokens for
which this holds.
"""

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForMaskedLM, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput, MaskedLMOutput

from dna_lm.errors import UserError, quoted
from dna_lm.families.both_strands import HeadOfBothStrands, Norm, NormOfBothStrands, OnBothStrands, WordsOfBothStrands
from dna_lm.families.mamba import Mixer
from dna_lm.families.registry import Shapes, check_shape, shape_of
from dna_lm.families.settings import Settings, flag, number, require, whole_number

IS_CAUSAL = False
_LABEL = "Caduceus"


class Config(PreTrainedConfig):
    """Settings of a model: names are those of the published config.json and of its `ssm_cfg`.

    dt_rank: the width from which the steps are computed. head_width: the channels in a head of Mamba-2, 0 for Mamba.
    hidden_size: the width of a state, that of both strands.
    """

    model_type = "dna_lm_caduceus"

    def __init__(
        self,
        vocab_size: int = 16,
        d_model: int = 256,
        num_hidden_layers: int = 4,
        d_state: int = 16,
        d_conv: int = 4,
        expand: int = 2,
        dt_rank: int = 16,
        head_width: int = 0,
        norm_epsilon: float = 1e-5,
        bidirectional: bool = True,
        bidirectional_weight_tie: bool = True,
        rcps: bool = False,
        fused_add_norm: bool = True,
        **options: object,
    ) -> None:
        self.vocab_size, self.d_model, self.num_hidden_layers = vocab_size, d_model, num_hidden_layers
        self.d_state, self.d_conv, self.expand, self.dt_rank = d_state, d_conv, expand, dt_rank
        self.head_width = head_width
        self.norm_epsilon = norm_epsilon
        self.bidirectional, self.bidirectional_weight_tie = bidirectional, bidirectional_weight_tie
        self.rcps, self.fused_add_norm = rcps, fused_add_norm
        self.hidden_size = 2 * d_model if rcps else d_model
        super().__init__(**{"tie_word_embeddings": True} | options)


def configure(settings: Settings, shapes: Shapes) -> Config:
    """The configuration of a checkpoint. Raises `UserError` for settings that cannot be followed."""
    of_scan = settings.get("ssm_cfg") or {}
    if not isinstance(of_scan, dict):
        raise UserError(f"model: in config.json, ssm_cfg is {quoted(of_scan)}, not a group of settings")
    is_rcps = flag(settings, "rcps", False)
    mamba = f"layers.0.mixer{'.submodule' * is_rcps}.mamba_fwd"
    rates = shape_of(shapes, f"{mamba}.A_log")
    # In Mamba-2 a head has one rate. What config.json says of it is not the same in all releases.
    is_mamba2 = rates is not None and len(rates) == 1
    kind = of_scan.get("layer")
    if kind is not None and is_mamba2 != (kind == "Mamba2"):
        raise UserError(
            f"model: in config.json, layer of ssm_cfg is {quoted(kind)}, and the weights are of another kind"
        )
    require(settings, _LABEL, rms_norm=True, tie_word_embeddings=True)
    # A feed-forward layer in each block.
    require(settings, _LABEL, d_intermediate=0)
    require(of_scan, _LABEL, bias=False, conv_bias=True)
    if is_mamba2:
        require(of_scan, _LABEL, ngroups=1, rmsnorm=True, norm_before_gate=False, D_has_hdim=False, d_ssm=None)
    if settings.get("bidirectional_strategy") is not None:
        require(settings, _LABEL, bidirectional_strategy="add")
    d_model = whole_number(settings, "d_model")
    expand = whole_number(of_scan, "expand", 2)
    head_width = whole_number(of_scan, "headdim", 64) if is_mamba2 else 0
    if is_mamba2 and expand * d_model % head_width:
        raise UserError(f"model: in config.json, headdim {head_width} does not divide the {expand * d_model} channels")
    dt_rank = of_scan.get("dt_rank", "auto")
    multiple = whole_number(settings, "pad_vocab_size_multiple", 8)
    config = Config(
        vocab_size=-(-whole_number(settings, "vocab_size") // multiple) * multiple,
        d_model=d_model,
        num_hidden_layers=whole_number(settings, "n_layer"),
        d_state=whole_number(of_scan, "d_state", 128 if is_mamba2 else 16),
        d_conv=whole_number(of_scan, "d_conv", 4),
        expand=expand,
        head_width=head_width,
        dt_rank=-(-d_model // 16) if dt_rank == "auto" else whole_number(of_scan, "dt_rank"),
        norm_epsilon=number(settings, "norm_epsilon", 1e-5),
        bidirectional=flag(settings, "bidirectional", True),
        bidirectional_weight_tie=flag(settings, "bidirectional_weight_tie", True),
        rcps=is_rcps,
        fused_add_norm=flag(settings, "fused_add_norm", True),
    )
    check_shape(shapes, f"word_embeddings{'.embedding' * is_rcps}.weight", [config.vocab_size, d_model])
    n_others = 2 * config.d_state + expand * d_model // head_width if is_mamba2 else 0
    check_shape(shapes, f"{mamba}.in_proj.weight", [2 * expand * d_model + n_others, d_model])
    return config


class ForMaskedLM(PreTrainedModel):
    """The model with its language-model head, whose weight is the table of tokens."""

    config_class = Config
    base_model_prefix = "caduceus"
    has_mask = False
    # The head takes the map of the trunk.
    _keys_to_ignore_on_load_unexpected = [r"^lm_head\.complement_map$"]

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.caduceus = _Trunk(config)
        words, inner = self.caduceus.backbone.embeddings["word_embeddings"], ""
        if config.rcps:
            self.lm_head, inner = HeadOfBothStrands(config, words), "lm_head."
        else:
            self.lm_head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        table = "embedding.weight" if config.rcps else "weight"
        # Files have one name or both of two that share a weight.
        ties = {f"lm_head.{inner}weight": f"caduceus.backbone.embeddings.word_embeddings.{table}"}
        if config.bidirectional and config.bidirectional_weight_tie:
            submodule = ".submodule" if config.rcps else ""
            for layer in range(config.num_hidden_layers):
                mixer = f"caduceus.backbone.layers.{layer}.mixer{submodule}"
                for name in ("in_proj.weight", "out_proj.weight"):
                    ties[f"{mixer}.mamba_rev.{name}"] = f"{mixer}.mamba_fwd.{name}"
        self._tied_weights_keys = ties
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        # A weight that a checkpoint lacks, and which is named later, must not be what happens to be in memory.
        for parameter in module.parameters(recurse=False):
            nn.init.normal_(parameter, std=0.02)

    @property
    def complement(self) -> tuple[int, ...] | None:
        """The complement of each token, for models that read both strands with the same weights; else `None`."""
        words = self.caduceus.backbone.embeddings["word_embeddings"]
        return tuple(words.complement_map.tolist()) if self.config.rcps else None

    def get_input_embeddings(self) -> nn.Embedding:
        """The table of tokens."""
        words = self.caduceus.backbone.embeddings["word_embeddings"]
        return words.embedding if self.config.rcps else words

    def forward(self, input_ids: torch.Tensor, **options: object) -> MaskedLMOutput:
        """Logits (sequences, tokens, vocabulary) of token ids (sequences, tokens)."""
        return MaskedLMOutput(logits=self.lm_head(self.caduceus(input_ids, **options).last_hidden_state))


class _Trunk(nn.Module):
    """Token ids to hidden states."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.backbone = _Backbone(config)

    def forward(self, input_ids: torch.Tensor, **_options: object) -> BaseModelOutput:
        """Hidden states (sequences, tokens, width) of token ids (sequences, tokens)."""
        return BaseModelOutput(last_hidden_state=self.backbone(input_ids))


class _Backbone(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        words = WordsOfBothStrands(config) if config.rcps else nn.Embedding(config.vocab_size, config.d_model)
        self.embeddings = nn.ModuleDict({"word_embeddings": words})
        self.layers = nn.ModuleList(_Block(config) for _ in range(config.num_hidden_layers))
        self.norm_f = _norm(config)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        states, residual = self.embeddings["word_embeddings"](input_ids), None
        for layer in self.layers:
            states, residual = layer(states, residual)
        return self.norm_f(residual + states).to(states.dtype)


class _Block(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        # The authors' fused addition and normalisation exchanges the halves. Published models were trained with it.
        self.exchanges_halves = config.rcps and config.fused_add_norm
        self.norm = _norm(config)
        self.mixer = OnBothStrands(Mixer(config)) if config.rcps else Mixer(config)

    def forward(self, states: torch.Tensor, residual: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        """Output of the mixer, and the residual stream in float32: both (sequences, tokens, width)."""
        residual = states.float() if residual is None else residual + states
        if self.exchanges_halves:
            residual = residual.roll(residual.shape[-1] // 2, dims=-1)
        return self.mixer(self.norm(residual).to(states.dtype)), residual


def _norm(config: Config) -> nn.Module:
    """A normalisation under the name that it has with these settings."""
    sizes = config.d_model, config.norm_epsilon
    if not config.rcps:
        return Norm(*sizes)
    return NormOfBothStrands(*sizes) if config.fused_add_norm else OnBothStrands(Norm(*sizes))


AutoConfig.register(Config.model_type, Config)
AutoModelForMaskedLM.register(Config, ForMaskedLM)
