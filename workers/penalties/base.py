"""The base of all penalties: all that anybody may ask one."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from ridgeway.spec.names import PenaltyName, penalty_row
from workers.models.layout import Group
from workers.penalties.components import Components


class Penalty(ABC):
    """R(w), added to the mean loss with the factor λ.

    sparse: its proximal step can land on exact zeros. grouped: it has groups to shrink. concave:
    its slope falls with |w|, so that solvers find a minimum near that of Σ |w| rather than the
    least. hierarchical: it is of a skip layer's weights, which those of the first layer obey.
    adaptive: it is weighted by an initial fit, which solvers of linear models make.
    factor_power: where weights leave zero, the gradient is that of a factor of one times the
    column's factor to this power.
    descends: its members come down from a dense net in every training, not on paths alone.
    probe_priority: the probe for `"lambda": "auto"` trains nets under the searched penalty of the
    highest priority, which is the one that makes them collapse at the smallest λ; 0 is not probed.
    probe_scale: how many times as large as others' the strengths are that it is probed with.
    """

    name: ClassVar[PenaltyName]
    sparse: ClassVar[bool] = False
    grouped: ClassVar[bool] = False
    concave: ClassVar[bool] = False
    adaptive: ClassVar[bool] = False
    factor_power: ClassVar[float] = 1.0
    hierarchical: ClassVar[bool] = False
    descends: ClassVar[bool] = False
    probe_priority: ClassVar[float] = 0.0
    probe_scale: ClassVar[float] = 1.0

    @property
    def label(self) -> str:
        """Return its name for people."""
        return penalty_row(self.name).label

    @property
    def parameters(self) -> tuple[str, ...]:
        """Return the study's parameters that a trial has because of this penalty."""
        return penalty_row(self.name).parameters

    @property
    def steps_last(self) -> bool:
        """Tell whether its proximal step comes after the optimiser's, in torch operations."""
        return self.grouped or self.concave or self.hierarchical

    @property
    def has_strength(self) -> bool:
        """Tell whether a trial with this penalty has a λ."""
        return "lambda" in self.parameters

    @abstractmethod
    def components(self, strength: float, l1_ratio: float) -> Components:
        """Return λ R(w) as a sum of simple penalties; the l2 among them goes into the gradient."""

    def critical_strength(
        self, gradient: Tensor, l1_ratio: float, groups: Sequence[Group]
    ) -> float:
        """Return the smallest λ that keeps all weights at zero; infinite where no λ does.

        gradient (columns,): that of the loss at zero weights, over the penalised columns. Where it
        depends on how the loss bends, of one whose second derivative is one.
        """
        return math.inf

    def largest_useful_strength(
        self, gradient: Tensor, l1_ratio: float, groups: Sequence[Group], bend: float = 1.0
    ) -> float:
        """Return the critical strength; where no λ zeroes all weights, that of Σ |w|.

        bend: the loss's second derivative along a standardised column, at most.
        """
        critical = self.critical_strength(gradient, l1_ratio, groups)
        return gradient.abs().max().item() if math.isinf(critical) else critical
