"""Lasso."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from workers.models.layout import Group
from workers.penalties.mixture import Mixture


class L1(Mixture):
    """R = Σ |w| (Tibshirani 1996).

    In a probe it comes behind group lasso: √size ‖w‖₂ ≥ ‖w‖₁ in a group (Cauchy-Schwarz).
    """

    name = "l1"
    sparse = True
    probe_priority = 3.0

    def l1_share(self, l1_ratio: float) -> float:
        return 1.0

    def critical_strength(
        self, gradient: Tensor, l1_ratio: float, groups: Sequence[Group]
    ) -> float:
        return gradient.abs().max().item()

    def least_squares(self, l1: float, l2: float, rows: float) -> dict[str, float]:
        """Return the arguments of Lasso."""
        return {"alpha": l1}
