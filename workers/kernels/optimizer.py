"""optimizers.c as the engine calls it."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from workers.kernels.library import Library
from workers.optimizers import AdamW, Optimizer, Sgd


class Step(ctypes.Structure):
    """As in optimizers.c."""

    _fields_ = (
        ("rows", ctypes.c_int64),
        ("columns", ctypes.c_int64),
        ("penalised", ctypes.c_int64),
        ("stride", ctypes.c_int64),
        ("clip_norm", ctypes.c_double),
        ("l1", ctypes.c_int32),
        ("decoupled", ctypes.c_int32),
    )


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
        self,
        weights: Tensor,
        gradient: Tensor,
        state: Sequence[Tensor],
        coefficients: Tensor,
        *,
        metric_wanted: bool = True,
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
        groups = torch.empty_like(weights[:, :1]) if uses.group and metric_wanted else None
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
