"""Sparse group lasso."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from workers.models.layout import Group
from workers.penalties.base import Penalty
from workers.penalties.components import Components
from workers.penalties.critical import critical_mixtures


class SparseGroupLasso(Penalty):
    """R = r Σ |w| + (1 - r) Σ_g √size(g) ‖w_g‖₂ (Simon et al. 2013), r a parameter of the trial.

    In a probe it comes between its ends: √size ‖w‖₂ ≥ ‖w‖₁ in a group (Cauchy-Schwarz).
    """

    name = "sparse_group_lasso"
    sparse = True
    grouped = True
    probe_priority = 3.5

    def components(self, strength: float, l1_ratio: float) -> Components:
        return Components(l1=strength * l1_ratio, group=strength * (1 - l1_ratio))

    def critical_strength(
        self, gradient: Tensor, l1_ratio: float, groups: Sequence[Group]
    ) -> float:
        return max(
            critical_mixtures(group.of(gradient), group.axes, l1_ratio, share).max().item()
            for group in groups
            for share in [(1 - l1_ratio) * math.sqrt(group.size)]
        )
