"""No penalty."""

from __future__ import annotations

from ridgeway.spec.names import UNPENALISED
from workers.penalties.base import Penalty
from workers.penalties.components import Components


class NoPenalty(Penalty):
    """R = 0."""

    name = UNPENALISED

    def components(self, strength: float, l1_ratio: float) -> Components:
        return Components()
