"""Linear models and multilayer perceptrons in numpy: from inputs to outputs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from ridgeway.errors import Unreadable
from ridgeway.model.file import DAMAGE, Description, damaged
from ridgeway.model.preparation import Floats

SKIP = "skip.weight"
ERF_AT_ONCE = 100_000  # a call holds the interpreter's lock: other threads wait for its end

_erf_of = np.frompyfunc(math.erf, 1, 1)


class Network(Protocol):
    """A model's function. weights: of what inputs feed (units, d); None where that is unknown."""

    @property
    def weights(self) -> Floats | None: ...

    def outputs(self, inputs: Floats) -> Floats:
        """Return the outputs (n, outputs) for standardised inputs (n, d)."""
        ...


def _relu(x: Floats) -> Floats:
    return np.maximum(x, 0.0)


def _erf(x: Floats) -> Floats:
    flat, made = x.ravel(), np.empty(x.size)
    for at in range(0, x.size, ERF_AT_ONCE):
        made[at : at + ERF_AT_ONCE] = _erf_of(flat[at : at + ERF_AT_ONCE])
    return made.reshape(x.shape)


def _gelu(x: Floats) -> Floats:
    """Return x Φ(x), as torch's GELU does by default (Hendrycks & Gimpel 2016)."""
    return x * 0.5 * (1.0 + _erf(x / math.sqrt(2.0)))


def _silu(x: Floats) -> Floats:
    return x * sigmoid(x)


ACTIVATIONS: Mapping[str, Callable[[Floats], Floats]] = {
    "relu": _relu,
    "gelu": _gelu,
    "tanh": np.tanh,
    "silu": _silu,
}


@dataclass(frozen=True)
class Layers:
    """x -> W x + b, an activation, and so on; the last layer has none. W is (units, before).

    skip (outputs, d): what is added to the last layer's outputs is x times this; None without it.
    """

    layers: tuple[tuple[Floats, Floats], ...]
    activation: Callable[[Floats], Floats]
    skip: Floats | None = None

    @classmethod
    def read(cls, description: Description, data: bytes) -> Layers:
        """Read the tensors of a `linear` or `mlp`; Unreadable where they are damaged or misfit."""
        try:
            tensors = {name: np.asarray(each, np.float64) for name, each in load(data).items()}
            skip = tensors.pop(SKIP) if description.options.get("skip") else None
            layers = _layers(tensors)
        except (SafetensorError, *DAMAGE) as error:
            raise damaged(error) from None
        widths = [weight.shape for weight, _ in layers]
        fits = all(before[0] == after[1] for before, after in itertools.pairwise(widths))
        ends = (description.outputs, len(description.inputs))
        fits = fits and (widths[-1][0], widths[0][1]) == ends
        if not fits or (skip is not None and skip.shape != ends):
            raise Unreadable(f"The model's layers don't fit its inputs and outputs: {widths}.")
        activation = str(description.options.get("activation", "relu"))
        if activation not in ACTIVATIONS:
            raise Unreadable(f"The model's activation is {activation!r}, unknown to this release.")
        return cls(tuple(layers), ACTIVATIONS[activation], skip)

    @property
    def weights(self) -> Floats:
        """Return those of the first layer, and those of the skip layer below them."""
        first = self.layers[0][0]
        return first if self.skip is None else np.concatenate([first, self.skip])

    def outputs(self, inputs: Floats) -> Floats:
        """Return the outputs (n, outputs) for standardised inputs (n, d)."""
        *inner, (weight, bias) = self.layers
        hidden = inputs
        for before, own in inner:
            hidden = self.activation(hidden @ before.T + own)
        outputs = hidden @ weight.T + bias
        return outputs if self.skip is None else outputs + inputs @ self.skip.T


def _layers(tensors: Mapping[str, Floats]) -> list[tuple[Floats, Floats]]:
    """Return weights (units, before) and biases (units,) from the first layer on."""
    names = [name for name in tensors if name.endswith("weight")]
    names.sort(key=lambda name: int(name.partition(".")[0]) if "." in name else 0)
    layers = [(tensors[name], tensors[name.removesuffix("weight") + "bias"]) for name in names]
    for name, (weight, bias) in zip(names, layers, strict=True):
        if weight.ndim != 2 or bias.shape != weight.shape[:1]:
            raise ValueError(f"{name!r} is {weight.shape}, its bias {bias.shape}")
    if not layers:
        raise ValueError("there are no weights")
    return layers


def sigmoid(x: Floats) -> Floats:
    """Return 1 / (1 + exp(-x)), whatever the size of x."""
    power = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, power) / (1.0 + power)


def softmax(x: Floats) -> Floats:
    """Return exp(x) by row, made to sum to one."""
    powers: Any = np.exp(x - x.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
