"""Calls optimizers.c for the engine."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from workers.kernels.library import Library
from workers.optimizers.adam import Adam
from workers.optimizers.base import Optimizer
from workers.optimizers.sgd import Sgd

Address = ctypes.c_void_p


class OptimizerStructure(ctypes.Structure):
    """`Optimizer` in optimizers.c."""

    _fields_ = (
        ("penalised", ctypes.c_int64),
        ("clip_norm", ctypes.c_double),
        ("beta1", ctypes.c_double),
        ("beta2", ctypes.c_double),
        ("l1", ctypes.c_int32),
        ("decoupled", ctypes.c_int32),
        ("factors", Address),
    )


class StepStructure(ctypes.Structure):
    """`Step` in optimizers.c."""

    _fields_ = (
        ("rows", ctypes.c_int64),
        ("columns", ctypes.c_int64),
        ("weights", Address),
        ("gradient", Address),
        ("mean", Address),
        ("square", Address),
        ("previous", Address),
        ("coefficients", Address),
        ("stride", ctypes.c_int64),
        ("metric", Address),
        ("groups", Address),
    )


class CompiledOptimizer:
    """An optimiser whose `update` is one pass over memory."""

    passes = 1

    def __init__(self, optimizer: Optimizer, library: Library) -> None:
        self.uses = uses = optimizer.uses
        self.remembers = optimizer.remembers
        self.coefficients = optimizer.coefficients
        self._library = library
        self._state = ("previous",) if isinstance(optimizer, Sgd) else ("mean", "square")
        self._name = "sgd" if isinstance(optimizer, Sgd) else "adam"
        self._structure = OptimizerStructure(
            penalised=uses.penalised,
            clip_norm=math.inf if uses.clip_norm is None else uses.clip_norm,
            l1=uses.l1,
        )
        if uses.factors is not None:
            self._factors = uses.factors.to(library.dtype).contiguous()
            self._structure.factors = self._factors.data_ptr()
        if isinstance(optimizer, Adam):
            self._structure.beta1, self._structure.beta2 = optimizer.beta1, optimizer.beta2
            self._structure.decoupled = optimizer.decoupled

    def update(
        self,
        weights: Tensor,
        gradient: Tensor,
        state: Sequence[Tensor],
        coefficients: Tensor,
        *,
        metric_wanted: bool = True,
    ) -> tuple[Tensor, Tensor]:
        """Step some rows (m, columns), in place; see Optimizer.update for what goes in and out."""
        rows, columns = weights.shape
        step = StepStructure(
            rows=rows,
            columns=columns,
            weights=weights.data_ptr(),
            gradient=gradient.data_ptr(),
            coefficients=coefficients.data_ptr(),
            stride=coefficients.stride(0),
        )
        for name, tensor in zip(self._state, state, strict=True):
            setattr(step, name, tensor.data_ptr())
        metric = groups = weights[:, :0]
        if self.uses.last and metric_wanted:
            groups = torch.empty_like(weights[:, :1])
            step.groups = groups.data_ptr()
            if self._name == "sgd":
                metric = torch.ones_like(groups)
            else:
                metric = torch.empty_like(weights)
                step.metric = metric.data_ptr()
        self._library.call(self._name, self._structure, step)
        return metric, groups
