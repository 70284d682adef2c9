"""Penalties between lasso and ridge, which other libraries have for linear models too."""

from __future__ import annotations

from abc import abstractmethod

from workers.penalties.base import Penalty
from workers.penalties.components import Components


class Mixture(Penalty):
    """R = r Σ |w| + (1 - r) Σ w², with a share r of its own."""

    @abstractmethod
    def l1_share(self, l1_ratio: float) -> float:
        """Return r, where a trial's own l1_ratio is this one."""

    @abstractmethod
    def least_squares(self, l1: float, l2: float, rows: float) -> dict[str, float]:
        """Return the arguments of scikit-learn's linear model that minimises the same.

        l1, l2: strengths beside half of the mean squared error, on so many training rows.
        """

    def components(self, strength: float, l1_ratio: float) -> Components:
        share = self.l1_share(l1_ratio)
        return Components(l1=strength * share, l2=strength * (1 - share))
