"""The loss of each row, as it is trained: without penalty."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from ridgeway.spec import Task

Kind: TypeAlias = Literal["regression", "binary", "multiclass"]


def kind_of(task: Task | None, outputs: int) -> Kind:
    """What the logits (..., outputs) mean: one logit is a regression's or that of two classes."""
    if task == "regression":
        return "regression"
    return "binary" if outputs == 1 else "multiclass"


def row_losses(kind: Kind, logits: Tensor, targets: Tensor) -> Tensor:
    """Squared error, binary cross entropy (one logit) or cross entropy of each row.

    logits (..., rows, outputs); targets (..., rows), class indices or numbers; result (..., rows).
    """
    if kind == "multiclass":
        flat = functional.cross_entropy(logits.flatten(0, -2), targets.flatten(), reduction="none")
        return flat.view(targets.shape)
    logit = logits.squeeze(-1)
    targets = targets.to(logits.dtype)
    if kind == "regression":
        return (logit - targets).square()
    return functional.binary_cross_entropy_with_logits(logit, targets, reduction="none")


def finite(logits: Tensor) -> Tensor:
    """Which members' logits (..., rows, outputs) are all finite: (...)."""
    return torch.isfinite(logits).flatten(-2).all(-1)
