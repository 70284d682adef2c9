"""Group lasso."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from workers.models.layout import Group
from workers.penalties.base import Penalty
from workers.penalties.components import Components, norms


class GroupLasso(Penalty):
    """R = Σ_g √size(g) ‖w_g‖₂ (Yuan & Lin 2006), over the groups of every layer.

    A probe prefers it to all others: √size ‖w‖₂ ≥ ‖w‖₁ in a group (Cauchy-Schwarz).
    """

    name = "group_lasso"
    sparse = True
    grouped = True
    probe_priority = 4.0

    def components(self, strength: float, l1_ratio: float) -> Components:
        return Components(group=strength)

    def critical_strength(
        self, gradient: Tensor, l1_ratio: float, groups: Sequence[Group]
    ) -> float:
        return max(
            norms(group.of(gradient), group.axes).max().item() / math.sqrt(group.size)
            for group in groups
        )
