"""The layers of `Dense`, which many models go through at once, with gradients written out.

Hidden units lie as (models, units, rows): a product's result is what the next one reads, and
activations, masks and losses run along rows without a copy. All members of a fold read the same
rows, so the first layer is one product per fold, however many members there are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from workers.backends.base import Buffers
from workers.models.alignment import rounded_up

Views = Mapping[str, Tensor]  # by parameter, (F, P, ...)

# Products with fewer rows, or a ragged last few, go through other kernels that round otherwise.
PRODUCT_ROWS = 16

aten = torch.ops.aten
# Gradient in the input, from that in the output, the input and the output.
BACKWARD: Mapping[type[nn.Module], Callable[[nn.Module, Tensor, Tensor, Tensor], Tensor]] = {
    nn.ReLU: lambda layer, grad, x, y: aten.threshold_backward(grad, y, 0),
    nn.Tanh: lambda layer, grad, x, y: aten.tanh_backward(grad, y),
    nn.SiLU: lambda layer, grad, x, y: aten.silu_backward(grad, x),
    nn.GELU: lambda layer, grad, x, y: aten.gelu_backward(
        grad, x, approximate=cast("nn.GELU", layer).approximate
    ),
}


@dataclass(frozen=True)
class Operands:
    """The tensors that layers of F x P models read, and write gradients to; by name, (F, P, ...).

    shared: the members of a fold read the same inputs, (F, d, B) instead of (F * P, d, B).
    training: dropout is on.
    """

    weights: Views
    gradients: Views
    buffers: Buffers
    shared: bool
    training: bool


class Layer(ABC):
    """One module, forward and backward."""

    @abstractmethod
    def forward(self, operands: Operands, hidden: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the output (F * P, units, B), and what else than it `backward` needs."""

    @abstractmethod
    def backward(
        self, operands: Operands, grad: Tensor, before: Tensor, after: Tensor, saved: Tensor | None
    ) -> Tensor:
        """Return the gradient in the input, from that in the output; may write into the latter."""


class Linear(Layer):
    """A linear layer; the product adds its bias."""

    def __init__(self, name: str, *, first: bool) -> None:
        self._weight, self._bias = f"{name}weight", f"{name}bias"
        self._first = first

    def forward(self, operands: Operands, hidden: Tensor) -> tuple[Tensor, Tensor | None]:
        weight, bias = operands.weights[self._weight], operands.weights[self._bias]
        if self._first and operands.shared:
            return _shared_product(weight, bias, hidden), None
        flat = bias.flatten(0, 1).unsqueeze(2)
        return torch.baddbmm(flat, weight.flatten(0, 1), hidden), None

    def backward(
        self, operands: Operands, grad: Tensor, before: Tensor, after: Tensor, saved: Tensor | None
    ) -> Tensor:
        operands.gradients[self._bias].flatten(0, 1).copy_(grad.sum(2))
        out = operands.gradients[self._weight]
        if self._first and operands.shared:
            _shared_gradient(grad, before, out)
        else:
            torch.bmm(grad, before.transpose(1, 2), out=out.flatten(0, 1))
        if self._first:  # nobody asks for the gradient in the data
            return grad
        return torch.bmm(operands.weights[self._weight].flatten(0, 1).transpose(1, 2), grad)


class Activation(Layer):
    """An elementwise module."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module

    def forward(self, operands: Operands, hidden: Tensor) -> tuple[Tensor, Tensor | None]:
        relu = isinstance(self._module, nn.ReLU)  # needs no more than its output
        return (hidden.relu_() if relu else self._module(hidden)), None

    def backward(
        self, operands: Operands, grad: Tensor, before: Tensor, after: Tensor, saved: Tensor | None
    ) -> Tensor:
        return BACKWARD[type(self._module)](self._module, grad, before, after)


class Masked(Layer):
    """Inverted dropout: one draw for all models, each model's own rate."""

    def __init__(self, name: str) -> None:
        self._rate = f"{name}rate"

    def forward(self, operands: Operands, hidden: Tensor) -> tuple[Tensor, Tensor | None]:
        if not operands.training:
            return hidden, None
        _, units, rows = hidden.shape
        draws = torch.rand(rows, units, dtype=hidden.dtype, device=hidden.device).t()
        rate = operands.buffers[self._rate].flatten()[:, None, None]
        mask = (draws >= rate).to(hidden.dtype).div_(1 - rate)
        return hidden * mask, mask

    def backward(
        self, operands: Operands, grad: Tensor, before: Tensor, after: Tensor, saved: Tensor | None
    ) -> Tensor:
        return grad if saved is None else grad.mul_(saved)


# --- products of the layer whose inputs the members share -------------------------------------


def _shared_product(weight: Tensor, bias: Tensor, inputs: Tensor) -> Tensor:
    """Return outputs (F * P, o, B): inputs (F, i, B), weight (F, P, o, i), bias (F, P, o)."""
    folds, members, units = weight.shape[:3]
    rows = members * units
    stacked, biases = weight.flatten(1, 2), bias.flatten(1, 2).unsqueeze(2)
    product = torch.baddbmm(_whole(biases, rows), _whole(stacked, rows), inputs)
    own = product[:, :rows].reshape(folds * members, units, inputs.shape[2])
    return own.contiguous()  # kernels run differently along rows with gaps between them


def _shared_gradient(grad: Tensor, inputs: Tensor, out: Tensor) -> None:
    """Write the weights' gradient to out (F, P, o, i): grad (F * P, o, B), inputs (F, i, B)."""
    folds, members, units = out.shape[:3]
    rows = members * units
    stacked = _whole(grad.view(folds, rows, -1), rows)
    product = torch.bmm(stacked, inputs.transpose(1, 2))
    out.copy_(product[:, :rows].unflatten(1, (members, units)))


def _whole(rows: Tensor, count: int) -> Tensor:
    """Pad rows (F, count, n) with zeros, up to a whole number of the kernels' rows."""
    padded = rounded_up(count, PRODUCT_ROWS)
    if padded == count:
        return rows
    whole = rows.new_empty(rows.shape[0], padded, rows.shape[2])
    whole[:, :count] = rows
    whole[:, count:] = 0
    return whole
