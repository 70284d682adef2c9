"""The kernels as the engine calls them; each does what its namesake in torch operations does."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from workers.batches import ROW_ALIGNMENT
from workers.kernels.library import Library, Step
from workers.optimizers import AdamW, Optimizer, Sgd


class CompiledOptimizer:
    """An optimiser whose `update` is one pass over memory."""

    passes = 1

    def __init__(self, optimizer: Optimizer, library: Library) -> None:
        self.uses = optimizer.uses
        self.remembers = optimizer.remembers
        self.coefficients = optimizer.coefficients
        self._library = library
        self._sgd = isinstance(optimizer, Sgd)
        self._decoupled = isinstance(optimizer, AdamW)

    def update(
        self, weights: Tensor, gradient: Tensor, state: Sequence[Tensor], coefficients: Tensor
    ) -> tuple[Tensor, Tensor]:
        """As Optimizer.update does it."""
        uses, (rows, columns) = self.uses, weights.shape
        step = Step(
            rows=rows,
            columns=columns,
            penalised=uses.penalised,
            stride=coefficients.stride(0),
            clip_norm=math.inf if uses.clip_norm is None else uses.clip_norm,
            l1=uses.l1,
            decoupled=self._decoupled,
        )
        groups = torch.empty_like(weights[:, :1]) if uses.group else None
        if self._sgd:
            metric = None if groups is None else torch.ones_like(groups)
            arguments = (*state, coefficients, groups)
        else:
            metric = None if groups is None else torch.empty_like(weights)
            arguments = (*state, coefficients, metric, groups)
        name = "sgd" if self._sgd else "adam"
        self._library.call(name, step, weights, gradient, *arguments)
        unused = weights[:, :0]
        return (unused, unused) if groups is None or metric is None else (metric, groups)


def softmax_gradient(
    library: Library,
    logits: Tensor,
    bias: Tensor,
    batch: tuple[Tensor, Tensor],
    smoothing: Tensor | None,
    sums: Tensor,
) -> Tensor:
    """Weighted cross entropies (F, P) of logits (F, P, classes, B) + bias (F, P, classes).

    The logits become their gradient; its sums over B, the gradient in the bias, go to `sums`.
    Everything is float32 but the batch's targets (F, B); its weights (F, B), smoothing (P,).
    """
    assert logits.shape[-1] % ROW_ALIGNMENT == 0
    losses = logits.new_empty(logits.shape[:2])
    # Not stride(1), which is anything at all where there is one member.
    strides = [each.flatten(0, 1).stride(0) for each in (bias, sums)]
    biases, sums_of = (bias, strides[0]), (sums, strides[1])
    library.call("softmax", *logits.shape, logits, *biases, *batch, smoothing, losses, *sums_of)
    return losses


def bias_relu(library: Library, hidden: Tensor, bias: Tensor) -> None:
    """max(hidden + bias, 0), in place: hidden (M, units, B), bias (M, units)."""
    library.call("bias_relu", *hidden.shape, hidden, bias, bias.stride(0))


def relu_backward(library: Library, gradient: Tensor, activation: Tensor, sums: Tensor) -> None:
    """Sets the gradient (M, units, B) to zero where the activation is; sums over B to `sums`.

    sums (M, units): a view of rows of numbers.
    """
    assert gradient.shape[-1] % ROW_ALIGNMENT == 0
    library.call("relu_backward", *gradient.shape, gradient, activation, sums, sums.stride(0))
