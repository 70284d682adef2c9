"""The three simple penalties that every other one is made of.

λ R(w) = l1 Σ |w| + l2 Σ w² + group Σ_g √size(g) ‖w_g‖₂: that is all that a step has to know of a
penalty. The first term may be concave: then it is flatter for larger weights, as in
`workers/penalties/concave.py`. Weights are (..., columns), the penalised columns of a `Layout`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from workers.models.layout import Group
from workers.penalties.concave import concave_value


@dataclass(frozen=True)
class Components:
    """The strengths of the simple penalties that λ R(w) is the sum of.

    concavity: by how much the slope of the first falls for each unit of |w| beyond the knee, until
    it is 0; not beside a group's, as the sum of both has no proximal step in closed form.
    """

    l1: float = 0.0
    l2: float = 0.0
    group: float = 0.0
    concavity: float = 0.0
    knee: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what no step is exact for."""
        if self.concavity > 0 and self.group > 0:
            raise ValueError(
                f"concavity={self.concavity} is not possible beside group={self.group}"
            )

    @property
    def convex(self) -> Components:
        """The same without its concavity."""
        return replace(self, concavity=0.0, knee=0.0)


def value(
    components: Components, weights: Tensor, groups: Sequence[Group], factors: Tensor | None = None
) -> Tensor:
    """Return λ R(w), (...,), of weights (..., columns); factors (columns,), one by default."""
    factor = torch.ones_like(weights[..., :1]) if factors is None else factors
    own = [weights.new_tensor(x) for x in (components.l1, components.concavity, components.knee)]
    total = (factor * concave_value(weights, *own)).sum(-1)
    total = total + components.l2 * (factor * weights.square()).sum(-1)
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
