"""The smoothly clipped absolute deviation penalty."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from workers.models.layout import Group
from workers.penalties.base import Penalty
from workers.penalties.components import Components

A = 3.7  # what its authors recommend by a Bayesian argument


class Scad(Penalty):
    """λ R has the slope λ up to |w| = λ, (a λ - |w|) / (a - 1) up to a λ, then 0 (Fan & Li 2001).

    Large weights are not shrunk, those up to λ as by l1. In a probe it comes behind l1, which it is
    at most.
    """

    name = "scad"
    sparse = True
    concave = True
    probe_priority = 2.75

    def components(self, strength: float, l1_ratio: float) -> Components:
        return Components(l1=strength, concavity=1 / (A - 1), knee=strength)

    def critical_strength(
        self, gradient: Tensor, l1_ratio: float, groups: Sequence[Group]
    ) -> float:
        return gradient.abs().max().item()
