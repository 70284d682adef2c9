"""The simple penalties that every other one is made of.

λ R(w) = l1 Σ |w| + l2 Σ w² + group Σ_g √size(g) ‖w_g‖₂ + half Σ |w|^½ + adaptive Σ a |w|: that is
all that a step has to know of a penalty. The first term may be concave: then it is flatter for
larger weights, as in `workers/penalties/concave.py`. Or all are that of a skip layer, and a
constraint beside it, as in `workers/penalties/hierarchy.py`. Weights are (..., columns), the
penalised columns of a `Layout`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from workers.models.layout import Group
from workers.penalties.concave import concave_value
from workers.penalties.half import matching_l1


@dataclass(frozen=True)
class Components:
    """The strengths of the simple penalties that λ R(w) is the sum of.

    concavity: by how much the slope of the first falls for each unit of |w| beyond the knee, until
    it is 0; not beside a group's, as the sum of both has no proximal step in closed form. Nor has
    half beside any but l2. adaptive: of Σ a |w|, which stands alone; a is by input, from an
    initial fit, and 1 where nobody has made one. hierarchy: of the norms of a skip layer's weights,
    which those of the first layer must not exceed; weights of other layers are free. It stands
    alone, but for l2.
    """

    l1: float = 0.0
    l2: float = 0.0
    group: float = 0.0
    concavity: float = 0.0
    knee: float = 0.0
    half: float = 0.0
    adaptive: float = 0.0
    hierarchy: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what no step is exact for."""
        if self.concavity > 0 and self.group > 0:
            raise ValueError(
                f"concavity={self.concavity} is not possible beside group={self.group}"
            )
        beside = self.l1 + self.group + self.concavity
        if self.half > 0 and beside > 0:
            raise ValueError(f"half={self.half} is not possible beside other terms than l2: {self}")
        if self.hierarchy > 0 and beside + self.half > 0:
            raise ValueError(
                f"hierarchy={self.hierarchy} is not possible beside other terms than l2: {self}"
            )
        if self.adaptive > 0 and beside + self.half + self.hierarchy + self.l2 > 0:
            raise ValueError(f"adaptive={self.adaptive} is not possible beside other terms: {self}")

    @property
    def sparse(self) -> bool:
        """True where weights become exactly zero."""
        return self.l1 + self.group + self.half + self.adaptive + self.hierarchy > 0

    @property
    def concave(self) -> bool:
        """True where the slope falls with |w|."""
        return self.concavity > 0 or self.half > 0

    def straight(self, bend: float) -> Components:
        """Return the convex penalty at whose optimum solvers begin: the same without concavity.

        bend: the loss's second derivative along a standardised column, at most. Σ |w|^½ becomes the
        Σ |w| that drops as much.
        """
        if self.half > 0:
            l1 = matching_l1(torch.tensor(self.half, dtype=torch.float64), bend).item()
            return Components(l1=l1, l2=self.l2)
        return replace(self, concavity=0.0, knee=0.0)


def value(
    components: Components, weights: Tensor, groups: Sequence[Group], factors: Tensor | None = None
) -> Tensor:
    """Return λ R(w), (...,), of weights (..., columns) but for the hierarchy's part.

    factors (columns,), one by default.
    """
    factor = torch.ones_like(weights[..., :1]) if factors is None else factors
    shape = (components.l1, components.concavity, components.knee, components.half)
    own = concave_value(weights, *(weights.new_tensor(each) for each in shape))
    total = (factor * (own + components.adaptive * weights.abs())).sum(-1)
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
