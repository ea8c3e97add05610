"""Evo 1 and Evo 2 in float64 from the stored tensors alone, token by token where the model uses transforms."""

import json

import numpy as np
import torch
from safetensors.torch import load_file
from scipy.special import erf


class NaiveEvo:
    """The model in a folder. `logits` and `states` take a list of token ids."""

    def __init__(self, folder):
        tensors = {}
        for path in sorted(folder.glob("*.safetensors")):
            tensors |= load_file(path)
        self.weights = {name.removeprefix("backbone."): t.to(torch.float64).numpy() for name, t in tensors.items()}
        self.settings = json.loads((folder / "config.json").read_text())
        self.is_second = any(name.endswith("log_poles") for name in self.weights)
        self.n_layers = 1 + max(int(name.split(".")[1]) for name in self.weights if name.startswith("blocks."))
        stretched = self.is_second or self.settings.get("use_interpolated_rotary_pos_emb")
        self.factor = self.settings["rotary_emb_scaling_factor"] if stretched else 1

    def logits(self, ids):
        return self.states(ids)[-1] @ self.weights["embedding_layer.weight"].T

    def states(self, ids):
        x = self.weights["embedding_layer.weight"][ids]
        found = [x]
        for layer in range(self.n_layers):
            w = {name.split(".", 2)[2]: t for name, t in self.weights.items() if name.startswith(f"blocks.{layer}.")}
            y = self._norm(x, w["pre_norm.scale"])
            x = x + (self._attention(y, w) if "inner_mha_cls.Wqkv.weight" in w else self._convolution(y, w))
            y = self._norm(x, w["post_norm.scale"])
            gate = y @ w["mlp.l1.weight"].T
            if layer == 0 or not self.is_second:
                gate = gate * (1 + erf(gate / np.sqrt(2))) / 2
            x = x + (gate * (y @ w["mlp.l2.weight"].T)) @ w["mlp.l3.weight"].T
            found.append(x)
        return [*found, self._norm(x, self.weights["norm.scale"])]

    @staticmethod
    def _norm(x, scale):
        return x / (np.sqrt((x**2).mean(-1, keepdims=True)) + 1e-6) * scale

    def _convolution(self, y, w):
        n_tokens, width = y.shape
        z = y @ w["projections.weight"].T + w.get("projections.bias", 0)
        short = np.zeros_like(z)
        for t in range(n_tokens):
            for lag in range(min(3, t + 1)):
                short[t] += w["filter.short_filter_weight"][:, 0, 2 - lag] * z[t - lag]
        short += w.get("filter.short_filter_bias", 0)
        if self.is_second:
            x2, x1, v = (short[:, start::3] for start in range(3))
        else:
            n_heads = self.settings["num_attention_heads"]
            x2, x1, v = (
                short.reshape(n_tokens, n_heads, 3, -1)[:, :, part].reshape(n_tokens, width) for part in range(3)
            )
        u = x1 * v
        h = self._filter(w, width, n_tokens)
        s = np.zeros_like(u)
        for t in range(n_tokens):
            for lag in range(min(t + 1, h.shape[1])):
                s[t] += h[:, lag] * u[t - lag]
        s += w.get("filter.D", 0) * u
        return (x2 * s) @ w["out_filter_dense.weight"].T + w["out_filter_dense.bias"]

    @staticmethod
    def _filter(w, width, n_tokens):
        lags = np.arange(n_tokens)
        if "filter.log_poles" in w:
            return (w["filter.residues"][..., None] * np.exp(w["filter.log_poles"] * lags)).sum(1)
        if "filter.poles" in w:
            poles, residues = (w[f"filter.{name}"][:, :, 0] @ [1, 1j] for name in ("poles", "residues"))
            powers = np.cumprod(
                np.concatenate([np.ones_like(poles)[..., None], *[poles[..., None]] * (n_tokens - 1)], -1), -1
            )
            return (residues[..., None] * powers).sum(1).real
        h = w["filter.h"][:, 0]
        # Of a short filter the last number is that of the present token.
        h = h if "filter.D" in w else h[:, ::-1]
        return np.repeat(h, width // len(h), axis=0)

    def _attention(self, y, w):
        n_tokens, width = y.shape
        n_heads = self.settings.get("num_attention_heads")
        stored = w.get("inner_mha_cls.rotary_emb.inv_freq")
        if self.is_second:
            n_heads = width // (2 * len(stored))
        size = width // n_heads
        qkv = y @ w["inner_mha_cls.Wqkv.weight"].T + w.get("inner_mha_cls.Wqkv.bias", 0)
        if self.is_second:
            q, k, v = qkv.reshape(n_tokens, n_heads, 3, size).transpose(2, 1, 0, 3)
            frequencies = stored
        else:
            q, k, v = qkv.reshape(n_tokens, 3, n_heads, size).transpose(1, 2, 0, 3)
            frequencies = 10_000.0 ** -(np.arange(0, size, 2) / size)
        phases = np.outer(np.arange(n_tokens) / self.factor, frequencies)

        def turned(x):
            a, b = x[..., : size // 2], x[..., size // 2 :]
            return np.concatenate(
                [a * np.cos(phases) - b * np.sin(phases), a * np.sin(phases) + b * np.cos(phases)], -1
            )

        scores = turned(q) @ turned(k).transpose(0, 2, 1) / np.sqrt(size)
        scores[:, np.triu(np.ones((n_tokens, n_tokens), bool), 1)] = -np.inf
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (weights / weights.sum(-1, keepdims=True)) @ v
        mixed = mixed.transpose(1, 0, 2).reshape(n_tokens, width)
        return mixed @ w["inner_mha_cls.out_proj.weight"].T + w["inner_mha_cls.out_proj.bias"]
