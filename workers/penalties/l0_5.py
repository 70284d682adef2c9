"""The ℓ½ penalty."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from workers.models.layout import Group
from workers.penalties.base import Penalty
from workers.penalties.components import Components
from workers.penalties.half import matching_half


class L05(Penalty):
    """R = Σ |w|^½ (Xu, Chang, Xu & Zhang 2012): between Σ |w| and the number of weights.

    It leaves fewer weights than l1 and shrinks large ones less. In a probe it comes before l1, as
    |w|^½ > |w| of the weights that nets begin with, and before groups' norms.
    """

    name = "l0.5"
    sparse = True
    concave = True
    factor_power = 2 / 3
    probe_priority = 5.0

    def components(self, strength: float, l1_ratio: float) -> Components:
        return Components(half=strength)

    def critical_strength(
        self, gradient: Tensor, l1_ratio: float, groups: Sequence[Group]
    ) -> float:
        return self.largest_useful_strength(gradient, l1_ratio, groups)

    def largest_useful_strength(
        self, gradient: Tensor, l1_ratio: float, groups: Sequence[Group], bend: float = 1.0
    ) -> float:
        return matching_half(gradient.abs().max().item(), bend)
