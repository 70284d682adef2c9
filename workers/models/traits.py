"""Traits of a module that training asks for: batch statistics, normalisation, memory for a row."""

from __future__ import annotations

import copy
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from workers.guard import Steady

NORMALISATIONS = (_BatchNorm, _InstanceNorm, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


def has_batch_statistics(model: nn.Module, inputs: int) -> bool:
    """Return whether rows of a batch meet each other, so that padding would change the answer.

    That is so of BatchNorm, and taken to be so where training changes a buffer.
    """
    if any(isinstance(module, _BatchNorm) for module in model.modules()):
        return True
    if next(model.buffers(), None) is None:
        return False
    tried = copy.deepcopy(model).train()
    first = next(tried.parameters())
    with torch.no_grad(), Steady():
        tried(torch.zeros(2, inputs, dtype=first.dtype, device=first.device))
    after = dict(tried.named_buffers())
    return any(not torch.equal(value, after[name]) for name, value in model.named_buffers())


def normalisation_layers(model: nn.Module) -> list[str]:
    """Return the kinds of normalisation layers in the model, each once, sorted."""
    return sorted({type(m).__name__ for m in model.modules() if isinstance(m, NORMALISATIONS)})


def saved_floats_per_row(model: nn.Module, inputs: int) -> int:
    """Count the numbers that autograd keeps for each row of a batch: what activations cost."""
    parameters = {p.data_ptr() for p in model.parameters()}
    first = next(model.parameters())
    counted = 0

    def count(saved: Tensor) -> Tensor:
        nonlocal counted
        counted += 0 if saved.data_ptr() in parameters else saved.numel()
        return saved

    model.eval()
    with torch.autograd.graph.saved_tensors_hooks(count, lambda saved: saved), Steady():
        model(torch.zeros(2, inputs, dtype=first.dtype, device=first.device))
    return max(1, cast("int", counted) // 2)
