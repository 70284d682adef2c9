"""Where the exact solver starts: ladders of strengths, solved once for each fold and kept.

A member starts at the optimum of the next stronger rung, which depends on the job's data alone. So
its result does not depend on who was solved before it, and it is near its own optimum from the
start (warm starts: Friedman, Hastie & Tibshirani 2010). Ladders are of the labels as they are: a
job that searches `label_smoothing` would have one for each member.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from workers.fullbatch.rows import LinearFit
from workers.headway import tell
from workers.heeding import heed
from workers.kernels.kept import KeptCurvature
from workers.kernels.linear import MOST_CONTRASTED, Aim, Optimum, Pull, SolvableRows
from workers.models.by_input import over_held
from workers.penalties.components import Components
from workers.penalties.critical import critical_mixtures

STEPS = 100  # of Newton's, for one member
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-8}
# Of it, where l2 or groups' norms alone hold the weights of classes: where they are weak, columns
# that determine each other leave these loose, and by contrasts a closer fit costs little.
FINER = 0.1
# Of ladders. A rung of classes costs about as much as a member does, one of least squares little.
RUNGS_A_DECADE = {"classes": 2, "squares": 4}
DECADES = 8  # that a ladder goes down at most
LOOSE = 0.03  # tolerance of a rung, which others only start from, as a share of its strength
MIXINGS = 4  # ladders between lasso and ridge, or group lasso
MOST_KEPT = 80 * 2**20  # bytes of curvatures at rungs, of all folds: each has its share
BEYOND = 1e30  # a strength that leaves the intercept alone


@dataclass(frozen=True)
class Wanted:
    """One member: the components of its penalty, and its label smoothing."""

    components: Components
    smoothing: float = 0.0

    @property
    def sparse(self) -> bool:
        """True where some strength leaves weights at exactly zero."""
        return self.components.sparse


@dataclass(frozen=True)
class _Rung:
    """A place on a ladder with so many rungs a decade.

    unit: the components of the ladder's penalty at strength one. held: the share of the strength by
    which features are screened, that of the groups' norms where there are any.
    """

    unit: Components
    critical: float
    place: int
    a_decade: int
    held: float = 1.0

    def at(self, place: int) -> float:
        """Return the strength at another place of the ladder."""
        return self.critical * 10 ** (-place / self.a_decade)

    def before(self, place: int) -> float:
        """Return what screening is told of the optimum at a place of the ladder."""
        return self.held * self.at(place)


class FoldPaths:
    """One fold's rows, and the optima of its ladders as far as members have asked for them.

    sample: the same of a share of the rows, where members start instead. unit: of residuals, a
    bound on the gradient's entries where nothing is explained.
    """

    def __init__(self, fit: LinearFit, rows: SolvableRows, sample: FoldPaths | None = None) -> None:
        self._penalises_all = fit.penalize == "all"
        self._rows, self._sample = rows, sample
        self.unit = rows.unit
        self._tolerance = TOLERANCE[fit.dtype] * self.unit
        self._curved = fit.kind != "regression"
        self._ladders: dict[Components, list[Tensor]] = {}
        self._mixtures: dict[float, float] = {}
        self._kept: dict[tuple[Components, int], KeptCurvature] = {}  # the last used is the last
        self._most_kept = MOST_KEPT // len(fit.folds)

    @property
    def means(self) -> Tensor:
        """What was taken off the inputs, (d,)."""
        return self._rows.means

    def solve(self, member: Wanted) -> Optimum:
        """Solve the member from the rung that is next to it, or from a sample's optimum."""
        member = self._plain(member)
        if self._sample is not None:
            start, before = self._sampled_start(member, self._sample)
            return self._rows.solve(self._aim(member, before), start)
        rung = self._next_rung(member)
        if rung is None:
            return self._rows.solve(self._aim(member, math.inf), self._nothing())
        start = self._ladder(rung)[rung.place].to_dense()
        aim = self._aim(member, rung.before(rung.place))
        return self._rows.solve(aim, start, self._kept_at(rung.unit, rung.place))

    def _aim(self, member: Wanted, before: float) -> Aim:
        own, outputs = member.components, self._rows.outputs
        features = Pull(own.l1, own.l2, math.sqrt(outputs) * own.group)
        intercept = Pull(own.l1 + own.group, own.l2) if self._penalises_all else Pull()
        weak = features.l1 == 0 and 1 < outputs <= MOST_CONTRASTED
        tolerance = self._tolerance * (FINER if weak else 1)
        return Aim(features, intercept, member.smoothing, before, tolerance, STEPS)

    def _sampled_start(self, member: Wanted, sample: FoldPaths) -> tuple[Tensor, float]:
        """Return the member's optimum on the sample, and the strength that this belongs to."""
        found, own = sample.solve(member), member.components
        if not found.converged:  # a sample's classes are separable where those of all may not be
            return self._nothing(), math.inf
        shift = (self._rows.means - sample.means) @ found.weights[:-1]
        found.weights[-1] += shift
        outputs = self._rows.outputs
        return found.weights, own.group * math.sqrt(outputs) if own.group > 0 else own.l1

    # --- ladders ------------------------------------------------------------------------------

    def _kept_at(self, unit: Components, place: int) -> KeptCurvature | None:
        """Return what is kept of the curvature at a rung; what was used long ago makes room."""
        if (unit, place) in self._kept:
            self._kept[unit, place] = self._kept.pop((unit, place))
            return self._kept[unit, place]
        fresh = self._rows.keeping()
        if fresh is not None:
            while sum(own.bytes for own in self._kept.values()) > self._most_kept:
                del self._kept[next(iter(self._kept))]
            self._kept[unit, place] = fresh
        return fresh

    def lacking(self, members: Sequence[Wanted]) -> list[int]:
        """Return how many rungs are solved before each of these members, one after the other."""
        if self._sample is not None:  # whose rungs take next to nothing
            return [0] * len(members)
        known = {unit: len(ladder) for unit, ladder in self._ladders.items()}
        counts: list[int] = []
        for rung in map(self._next_rung, map(self._plain, members)):
            there = known.get(rung.unit, 0) if rung else 0
            counts.append(max(0, rung.place + 1 - there) if rung else 0)
            if rung:
                known[rung.unit] = there + counts[-1]
        return counts

    def _next_rung(self, member: Wanted) -> _Rung | None:
        """Return the rung that is next to the member; None where it has no ladder to start from."""
        own = member.components
        bent = own.group > 0 and own.l2 > 0
        if bent or not math.isfinite(own.l1 + own.l2 + own.group):
            return None
        if own.group > 0 and own.l1 > 0:
            return self._next_mixed_rung(own)
        if own.group > 0:
            unit = Components(group=1 / math.sqrt(self._rows.outputs))
            strength = own.group / unit.group
        elif own.l1 > 0:
            share = _bucket(own.l1 / (own.l1 + own.l2))
            unit, strength = Components(l1=1, l2=(1 - share) / share), own.l1
        else:
            unit, strength = Components(l2=1), own.l2 if self._curved else 0.0
        critical = self._critical[own.group > 0] if strength > 0 else 0.0
        return self._rung(unit, strength, critical)

    def _next_mixed_rung(self, own: Components) -> _Rung | None:
        """Return the rung next to a member with Σ |w| and norms of groups."""
        root = math.sqrt(self._rows.outputs)
        strength = own.l1 + root * own.group
        share = _bucket(own.l1 / strength)
        held = 1 - share if share < 1 else 1.0
        unit = Components(l1=share, group=(1 - share) / root)
        return self._rung(unit, strength, self._critical_mixture(share), held)

    def _rung(
        self, unit: Components, strength: float, critical: float, held: float = 1.0
    ) -> _Rung | None:
        """Return the rung that is next to a strength; None where nothing or all is zero there."""
        if not 0 < strength < critical:
            return None
        a_decade = RUNGS_A_DECADE["classes" if self._curved else "squares"]
        decades = min(math.log10(critical / strength), DECADES)  # of the least λ it is infinite
        return _Rung(unit, critical, int(a_decade * decades), a_decade, held)

    @cached_property
    def _critical(self) -> tuple[float, float]:
        """From which strength of Σ|w|, and of ‖w‖ of a feature, no weight is left."""
        gradient = self._at_nothing
        if not gradient.numel():  # all inputs are constant
            return 0.0, 0.0
        return gradient.abs().max().item(), gradient.norm(dim=1).max().item()

    def _critical_mixture(self, share: float) -> float:
        """Return that of share Σ|w| + (1 - share) ‖w‖."""
        if share == 1:  # whose ladder is that of Σ|w| alone, and must not depend on who asks first
            return self._critical[False]
        if share not in self._mixtures:
            found = critical_mixtures(self._at_nothing, (-1,), share, 1 - share)
            self._mixtures[share] = found.max().item()
        return self._mixtures[share]

    @cached_property
    def _at_nothing(self) -> Tensor:
        """The gradient (d, K) of the loss at zero weights, over the factors of the inputs."""
        aim = self._aim(Wanted(Components(l1=BEYOND)), math.inf)
        if self._penalises_all:
            aim = replace(aim, intercept=Pull(l1=BEYOND))
        gradient = self._rows.solve(aim, self._nothing()).gradient[:-1]
        return over_held(gradient.T, self._rows.factors).T

    def _ladder(self, to: _Rung) -> list[Tensor]:
        """Return the optima, (features, K) and sparse, of the ladder's rungs, at least to this.

        Others only start there: a small share of its strength is enough for a rung.
        """
        ladder = self._ladders.setdefault(to.unit, [])
        first = len(ladder)
        if first > to.place:
            return ladder
        start = ladder[-1].to_dense() if ladder else self._nothing()
        for place in range(first, to.place + 1):
            heed()
            strength = to.at(place)
            unit = to.unit
            own = Components(strength * unit.l1, strength * unit.l2, strength * unit.group)
            aim = self._aim(Wanted(own), to.before(max(0, place - 1)))
            aim = replace(aim, tolerance=max(self._tolerance, LOOSE * strength))
            kept = self._kept_at(unit, place - 1) if place > 0 else None
            start = self._rows.solve(aim, start, kept).weights
            ladder.append(start.to_sparse())
            tell((len(ladder) - first) / (to.place + 2 - first))  # the member itself comes next
        return ladder

    def _plain(self, member: Wanted) -> Wanted:
        """Return the same penalty where groups of one weight make it simpler: ‖w‖ is |w| there."""
        own = member.components
        if self._rows.outputs > 1 or own.group == 0:
            return member
        return replace(member, components=Components(l1=own.l1 + own.group, l2=own.l2))

    def _nothing(self) -> Tensor:
        return torch.zeros(self._rows.features, self._rows.outputs, dtype=torch.float64)


def _bucket(share: float) -> float:
    return max(1, round(share * MIXINGS)) / MIXINGS
