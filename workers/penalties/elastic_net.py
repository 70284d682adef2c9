"""Elastic net."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from workers.models.layout import Group
from workers.penalties.mixture import Mixture


class ElasticNet(Mixture):
    """R = r Σ |w| + (1 - r) Σ w² (Zou & Hastie 2005), r a parameter of the trial.

    In a probe it comes between its ends: |w| ≥ r |w| + (1 - r) w² ≥ w² for |w| ≤ 1.
    """

    name = "elastic_net"
    sparse = True
    probe_priority = 2.0

    def l1_share(self, l1_ratio: float) -> float:
        return l1_ratio

    def critical_strength(
        self, gradient: Tensor, l1_ratio: float, groups: Sequence[Group]
    ) -> float:
        return gradient.abs().max().item() / l1_ratio if l1_ratio > 0 else math.inf

    def least_squares(self, l1: float, l2: float, rows: float) -> dict[str, float]:
        """Return the arguments of ElasticNet."""
        alpha = l1 + l2
        return {"alpha": alpha, "l1_ratio": l1 / alpha if alpha > 0 else 0.0}
