"""The adaptive lasso's penalty."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from workers.models.layout import Group
from workers.penalties.base import Penalty
from workers.penalties.components import Components


class AdaptiveL1(Penalty):
    """R = Σ a |w| (Zou 2006), a the smaller the larger an input's weights in an initial ridge fit.

    Solvers of linear models make that fit, on the rows that they train on
    (workers/fullbatch/initial.py). It is not probed: nets have none.
    """

    name = "adaptive_l1"
    sparse = True
    adaptive = True

    def components(self, strength: float, l1_ratio: float) -> Components:
        return Components(adaptive=strength)

    def critical_strength(
        self, gradient: Tensor, l1_ratio: float, groups: Sequence[Group]
    ) -> float:
        return gradient.abs().max().item()
