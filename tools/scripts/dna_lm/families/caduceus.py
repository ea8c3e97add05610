"""Caduceus and PlantCaduceus: Mamba in both directions (Schiff et al. 2024, arXiv:2403.03234; Zhai et al. 2025,
doi:10.1073/pnas.2421738122).

A block adds its input to a residual stream, normalises that (RMSNorm), and gives it to a mixer: one Mamba (Gu & Dao
2023, arXiv:2312.00752) reads from left to right, another from right to left, and their outputs are added. The two share
their first and their last product, unless config.json says otherwise.

Models with `rcps` (Caduceus-PS and PlantCaduceus) read both strands with the same weights. A state has two halves: that
of the given strand, and that of the other one, with its positions and its channels reversed. So the reversed order of
tokens that are each replaced by their complement gives the same states with positions and channels reversed, in every
layer, and logits with positions reversed and columns exchanged. `complement` of the class is the map of tokens for
which this holds.
"""

import torch
from torch import nn
from torch.nn.functional import pad, silu, softplus
from transformers import AutoConfig, AutoModelForMaskedLM, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput, MaskedLMOutput

from dna_lm.errors import UserError, quoted
from dna_lm.families.registry import Shapes, shape_of
from dna_lm.families.selective_scan import block_length, selective_scan, whole_loops
from dna_lm.families.settings import Settings, flag, number, require, whole_number

IS_CAUSAL = False
_LABEL = "Caduceus"


class Config(PreTrainedConfig):
    """Settings of a model: names are those of the published config.json and of its `ssm_cfg`.

    dt_rank: the width from which the steps are computed. hidden_size: the width of a state, that of both strands.
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
        norm_epsilon: float = 1e-5,
        bidirectional: bool = True,
        bidirectional_weight_tie: bool = True,
        rcps: bool = False,
        fused_add_norm: bool = True,
        **options: object,
    ) -> None:
        self.vocab_size, self.d_model, self.num_hidden_layers = vocab_size, d_model, num_hidden_layers
        self.d_state, self.d_conv, self.expand, self.dt_rank = d_state, d_conv, expand, dt_rank
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
    if "d_intermediate" in settings or "layer" in of_scan or (rates and len(rates) != 2):
        raise UserError(
            "model: its blocks are of Mamba-2, as those of PlantCAD2: only Caduceus with Mamba-1 can be read"
        )
    require(settings, _LABEL, rms_norm=True, tie_word_embeddings=True)
    require(of_scan, _LABEL, bias=False, conv_bias=True)
    if settings.get("bidirectional_strategy") is not None:
        require(settings, _LABEL, bidirectional_strategy="add")
    d_model = whole_number(settings, "d_model")
    dt_rank = of_scan.get("dt_rank", "auto")
    multiple = whole_number(settings, "pad_vocab_size_multiple", 8)
    config = Config(
        vocab_size=-(-whole_number(settings, "vocab_size") // multiple) * multiple,
        d_model=d_model,
        num_hidden_layers=whole_number(settings, "n_layer"),
        d_state=whole_number(of_scan, "d_state", 16),
        d_conv=whole_number(of_scan, "d_conv", 4),
        expand=whole_number(of_scan, "expand", 2),
        dt_rank=-(-d_model // 16) if dt_rank == "auto" else whole_number(of_scan, "dt_rank"),
        norm_epsilon=number(settings, "norm_epsilon", 1e-5),
        bidirectional=flag(settings, "bidirectional", True),
        bidirectional_weight_tie=flag(settings, "bidirectional_weight_tie", True),
        rcps=is_rcps,
        fused_add_norm=flag(settings, "fused_add_norm", True),
    )
    # transformers cannot compare two tensors that are to be one when neither has the right shape.
    _check_shape(shapes, f"word_embeddings{'.embedding' * is_rcps}.weight", [config.vocab_size, d_model])
    _check_shape(shapes, f"{mamba}.in_proj.weight", [2 * config.expand * d_model, d_model])
    return config


def _check_shape(shapes: Shapes, ending: str, expected: list[int]) -> None:
    shape = shape_of(shapes, ending)
    if shape not in (None, expected):
        raise UserError(
            f"model: weights of another shape than config.json says: {quoted(ending)} is {shape}, not {expected}"
        )


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
            self.lm_head, inner = _HeadOfBothStrands(config, words), "lm_head."
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
        words = _WordsOfBothStrands(config) if config.rcps else nn.Embedding(config.vocab_size, config.d_model)
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
        self.mixer = _OnBothStrands(_Mixer(config)) if config.rcps else _Mixer(config)

    def forward(self, states: torch.Tensor, residual: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        """Output of the mixer, and the residual stream in float32: both (sequences, tokens, width)."""
        residual = states.float() if residual is None else residual + states
        if self.exchanges_halves:
            residual = residual.roll(residual.shape[-1] // 2, dims=-1)
        return self.mixer(self.norm(residual).to(states.dtype)), residual


class _OnBothStrands(nn.Module):
    """A module that reads the strand of each half: states (sequences, tokens, 2 x width) of two halves."""

    def __init__(self, submodule: nn.Module) -> None:
        super().__init__()
        self.submodule = submodule

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        given, other = states.chunk(2, dim=-1)
        given, other = self.submodule(torch.cat((given, other.flip(1, 2)))).chunk(2)
        return torch.cat((given, other.flip(1, 2)), dim=-1)


class _Norm(nn.Module):
    """RMSNorm (Zhang & Sennrich 2019, arXiv:1910.07467), in float32."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.epsilon = config.norm_epsilon
        self.weight = nn.Parameter(torch.ones(config.d_model))

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return states * torch.rsqrt(states.square().mean(dim=-1, keepdim=True) + self.epsilon) * self.weight.float()


class _NormOfBothStrands(_Norm):
    """The same of each half, whose channels are in the order of its strand: the second half's are reversed."""

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        given, other = states.chunk(2, dim=-1)
        return torch.cat((super().forward(given), super().forward(other.flip(-1)).flip(-1)), dim=-1)


def _norm(config: Config) -> nn.Module:
    """A normalisation under the name that it has with these settings."""
    if not config.rcps:
        return _Norm(config)
    return _NormOfBothStrands(config) if config.fused_add_norm else _OnBothStrands(_Norm(config))


class _WordsOfBothStrands(nn.Module):
    """Token ids (sequences, tokens) to states of two halves (sequences, tokens, 2 x width)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        # Of the weights, not of config.json, where a file that was saved again may have it in another order.
        self.register_buffer("complement_map", torch.arange(config.vocab_size))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return torch.cat((self.embedding(ids), self.embedding(self.complement_map[ids]).flip(-1)), dim=-1)


class _HeadOfBothStrands(nn.Module):
    """Logits of the given strand, plus those of the complements on the other strand."""

    def __init__(self, config: Config, words: _WordsOfBothStrands) -> None:
        super().__init__()
        self.lm_head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        # In a tuple, so that the map and the table are not parts of this module too.
        self.words = (words,)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        given, other = states.chunk(2, dim=-1)
        return self.lm_head(given) + self.lm_head(other.flip(-1))[..., self.words[0].complement_map]


class _Mixer(nn.Module):
    """One Mamba for each direction; outputs are added."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.mamba_fwd = _Mamba(config)
        self.mamba_rev = _Mamba(config) if config.bidirectional else None

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Output (sequences, tokens, width) for states (sequences, tokens, width)."""
        directions = [mamba for mamba in (self.mamba_fwd, self.mamba_rev) if mamba is not None]
        # With shared products, the two directions differ only between them.
        projecting = directions[:1] if directions[0].shares_products(directions[-1]) else directions
        sources, gates = zip(*(mamba.in_proj(states).chunk(2, dim=-1) for mamba in projecting), strict=True)
        scanned = [torch.zeros_like(source, dtype=torch.float32) for source in sources]
        length = block_length(len(directions) * len(states), states.shape[1], states.device)
        _scan(directions, sources, scanned, length)
        outputs = torch.zeros_like(states)
        for mamba, numbers, gate in zip(projecting, scanned, gates, strict=True):
            blocks = zip(*(tensor.split(length, dim=1) for tensor in (outputs, numbers, gate)), strict=True)
            for output, block, gate_of_block in blocks:
                gated = block * whole_loops(silu, gate_of_block.float())
                output += mamba.out_proj(gated.to(states.dtype))
        return outputs


def _scan(
    directions: list["_Mamba"], sources: tuple[torch.Tensor, ...], scanned: list[torch.Tensor], length: int
) -> None:
    """Add what each direction reads to `scanned`, block by block of so many tokens.

    sources, scanned: (sequences, tokens, channels), one for each direction or one for all.
    """
    n_tokens, state = sources[0].shape[1], None
    rates = torch.stack([-mamba.A_log.float().exp() for mamba in directions])
    for start in range(0, n_tokens, length):
        stop = min(start + length, n_tokens)
        blocks = []
        for mamba, source, is_reverse in zip(directions, (sources[0], sources[-1]), (False, True), strict=False):
            # With the tokens before, which the convolution reads: they are zero before the beginning.
            first = max(0, start - mamba.n_before)
            window = source[:, n_tokens - stop : n_tokens - first].flip(1) if is_reverse else source[:, first:stop]
            blocks.append(mamba.coefficients(pad(window.float(), (0, 0, mamba.n_before - (start - first), 0))))
        inputs, *coefficients = map(torch.stack, zip(*blocks, strict=True))
        outputs, state = selective_scan(inputs, *coefficients, rates, state)
        skips = torch.stack([mamba.D.float() for mamba in directions])
        outputs = torch.addcmul(outputs, inputs, skips[:, None, None])
        scanned[0][:, start:stop] += outputs[0]
        if len(directions) == 2:
            scanned[-1][:, n_tokens - stop : n_tokens - start] += outputs[1].flip(1)


class _Mamba(nn.Module):
    """The weights of a Mamba, and what they make of the tokens before the scan."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        inner = config.expand * config.d_model
        self.sizes = (config.dt_rank, config.d_state, config.d_state)
        self.n_before = config.d_conv - 1
        self.in_proj = nn.Linear(config.d_model, 2 * inner, bias=False)
        self.conv1d = nn.Conv1d(inner, inner, config.d_conv, groups=inner)
        self.x_proj = nn.Linear(inner, sum(self.sizes), bias=False)
        self.dt_proj = nn.Linear(config.dt_rank, inner)
        self.A_log = nn.Parameter(torch.zeros(inner, config.d_state))
        self.D = nn.Parameter(torch.ones(inner))
        self.out_proj = nn.Linear(inner, config.d_model, bias=False)

    def shares_products(self, other: "_Mamba") -> bool:
        """Whether the first and the last product are those of the other one: by the weights, which files may hold."""
        return self.in_proj.weight is other.in_proj.weight and self.out_proj.weight is other.out_proj.weight

    def coefficients(self, window: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Inputs u, steps delta, drives B and readouts C of a scan, for the tokens of a window after the first few.

        window: float32 (sequences, `n_before` + tokens, channels).
        """
        n_tokens = window.shape[1] - self.n_before
        # A causal convolution of each channel: a product for each place of the kernel.
        convolved = self.conv1d.bias.float().expand_as(window[:, :n_tokens]).contiguous()
        for place, weight in enumerate(self.conv1d.weight[:, 0].float().unbind(dim=1)):
            convolved.addcmul_(window[:, place : place + n_tokens], weight)
        inputs = whole_loops(silu, convolved)
        steps, drives, readouts = self.x_proj(inputs.to(self.x_proj.weight.dtype)).split(self.sizes, dim=-1)
        steps = whole_loops(softplus, self.dt_proj(steps).float())
        return inputs, steps, drives.float(), readouts.float()


AutoConfig.register(Config.model_type, Config)
AutoModelForMaskedLM.register(Config, ForMaskedLM)
