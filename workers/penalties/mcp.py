"""The minimax concave penalty."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from workers.models.layout import Group
from workers.penalties.base import Penalty
from workers.penalties.components import Components

GAMMA = 3.0


class Mcp(Penalty):
    """λ R = Σ λ |w| - w²/6 up to |w| = 3 λ, constant beyond: Zhang (2010) with gamma 3.

    Of nearly unbiased penalties it is the least concave: large weights are not shrunk. In a probe
    it comes behind l1, which it is at most.
    """

    name = "mcp"
    sparse = True
    concave = True
    probe_priority = 2.5

    def components(self, strength: float, l1_ratio: float) -> Components:
        return Components(l1=strength, concavity=1 / GAMMA)

    def critical_strength(
        self, gradient: Tensor, l1_ratio: float, groups: Sequence[Group]
    ) -> float:
        return gradient.abs().max().item()
