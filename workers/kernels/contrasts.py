"""Classes by orthonormal contrasts, one less than them: a softmax tells nothing else apart."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor


@cache
def contrasts(classes: int) -> Tensor:
    """Return Helmert's contrasts (classes, classes - 1), float64.

    Each column sets the classes so far against the next one. They are orthonormal, and each adds up
    to zero.
    """
    found = torch.ones(classes, classes - 1, dtype=torch.float64).triu()
    found[1:].diagonal().copy_(-torch.arange(1.0, classes))
    return (found / found.norm(dim=0)).contiguous()
