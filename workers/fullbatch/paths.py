"""Where the exact solver starts: ladders of strengths, solved once for each fold and kept.

A member starts at the optimum of the next stronger rung, which depends on the job's data alone. So
its result does not depend on who was solved before it, and it is near its own optimum from the
start (warm starts: Friedman, Hastie & Tibshirani 2010). Ladders are of the labels as they are: a
job that searches `label_smoothing` would have one for each member.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from workers.fullbatch.rows import LinearFit
from workers.heeding import heed
from workers.kernels.linear import Aim, Optimum, Pull, SolvableRows
from workers.penalties.components import Components

STEPS = 100  # of Newton's, for one member
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-8}
RUNGS_A_DECADE = 4
MOST_RUNGS = 8 * RUNGS_A_DECADE
MIXINGS = 4  # ladders between lasso and ridge
BEYOND = 1e30  # a strength that leaves the intercept alone


@dataclass(frozen=True)
class Wanted:
    """One member: the components of its penalty, and its label smoothing."""

    components: Components
    smoothing: float = 0.0

    @property
    def sparse(self) -> bool:
        """True where some strength leaves weights at exactly zero."""
        return self.components.l1 > 0 or self.components.group > 0


class FoldPaths:
    """One fold's rows, and the optima of its ladders as far as members have asked for them.

    unit: of residuals, a bound on the gradient's entries where nothing is explained.
    """

    def __init__(self, fit: LinearFit, rows: SolvableRows) -> None:
        self._penalises_all = fit.penalize == "all"
        self._rows = rows
        self.unit = rows.unit
        self._tolerance = TOLERANCE[fit.dtype] * self.unit
        self._ladders: dict[float, list[Tensor]] = {}

    def solve(self, member: Wanted) -> Optimum:
        """Solve the member from the rung that is next to it."""
        start, before = self._start(member)
        return self._rows.solve(self._aim(member, before), start)

    def _aim(self, member: Wanted, before: float) -> Aim:
        own, outputs = member.components, self._rows.outputs
        features = Pull(own.l1, own.l2, math.sqrt(outputs) * own.group)
        intercept = Pull(own.l1 + own.group, own.l2) if self._penalises_all else Pull()
        return Aim(features, intercept, member.smoothing, before, self._tolerance, STEPS)

    # --- ladders ------------------------------------------------------------------------------

    def _start(self, member: Wanted) -> tuple[Tensor, float]:
        """Return where the member starts (features, K), and the strength that this belongs to."""
        nothing, own = self._nothing(), member.components
        if not member.sparse or (own.group > 0 and (own.l1 > 0 or own.l2 > 0)):
            return nothing, math.inf
        share = 0.0 if own.group > 0 else _bucket(own.l1 / (own.l1 + own.l2))
        critical = self._critical[own.group > 0]
        strength = own.group * math.sqrt(self._rows.outputs) if own.group > 0 else own.l1
        if not 0 < strength < critical:
            return nothing, math.inf
        place = min(int(RUNGS_A_DECADE * math.log10(critical / strength)), MOST_RUNGS)
        ladder = self._ladder(share, critical, place + 1)
        return ladder[place].to_dense(), _rung(critical, place)

    @cached_property
    def _critical(self) -> tuple[float, float]:
        """From which strength of Σ|w|, and of ‖w‖ of a feature, no weight is left."""
        aim = self._aim(Wanted(Components(l1=BEYOND)), math.inf)
        if self._penalises_all:
            aim = replace(aim, intercept=Pull(l1=BEYOND))
        gradient = self._rows.solve(aim, self._nothing()).gradient[:-1]
        return gradient.abs().max().item(), gradient.norm(dim=1).max().item()

    def _ladder(self, share: float, critical: float, rungs: int) -> list[Tensor]:
        """Return the optima, (features, K) and sparse, of the ladder's first rungs at least.

        share: of Σ|w| in the penalty; 0 for the groups' ladder.
        """
        ladder = self._ladders.setdefault(share, [])
        start = ladder[-1].to_dense() if ladder else self._nothing()
        for place in range(len(ladder), rungs):
            heed()
            strength = _rung(critical, place)
            own = Components(group=strength / math.sqrt(self._rows.outputs))
            if share:
                own = Components(l1=strength, l2=strength * (1 - share) / share)
            aim = self._aim(Wanted(own), _rung(critical, max(0, place - 1)))
            start = self._rows.solve(aim, start).weights
            ladder.append(start.to_sparse())
        return ladder

    def _nothing(self) -> Tensor:
        return torch.zeros(self._rows.features, self._rows.outputs, dtype=torch.float64)


def _rung(critical: float, place: int) -> float:
    return critical * 10 ** (-place / RUNGS_A_DECADE)


def _bucket(share: float) -> float:
    return max(1, round(share * MIXINGS)) / MIXINGS
