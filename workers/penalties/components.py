"""The three simple penalties that every other one is made of.

λ R(w) = l1 Σ |w| + l2 Σ w² + group Σ_g √size(g) ‖w_g‖₂: that is all that a step has to know of a
penalty. Weights are (..., columns), the penalised columns of a `Layout`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from workers.models.layout import Group


@dataclass(frozen=True)
class Components:
    """The strengths of the simple penalties that λ R(w) is the sum of."""

    l1: float = 0.0
    l2: float = 0.0
    group: float = 0.0


def value(
    components: Components, weights: Tensor, groups: Sequence[Group], factors: Tensor | None = None
) -> Tensor:
    """Return λ R(w), (...,), of weights (..., columns); factors (columns,), one by default."""
    own = torch.ones_like(weights[..., :1]) if factors is None else factors
    total = components.l1 * (own * weights.abs()).sum(-1)
    total = total + components.l2 * (own * weights.square()).sum(-1)
    leading = weights.dim() - 1
    for group in groups:
        lengths = norms(group.of(weights), group.axes)
        if group.factors is not None:
            lengths = group.factors * lengths
        own = lengths.flatten(leading).sum(-1)
        total = total + components.group * math.sqrt(group.size) * own
    return total


def norms(weights: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Return ‖w‖ along the axes, kept as ones; |w| where there are no axes."""
    return weights.square().sum(axes, keepdim=True).sqrt_() if axes else weights.abs()
