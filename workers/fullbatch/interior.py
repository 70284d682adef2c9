"""Convex functions with kinks to their minimum, by a primal-dual interior-point method.

Quantile regression by interior points: Portnoy & Koenker (1997). Predictor and corrector: Mehrotra
(1992). A step is a system of as many equations as there are weights, whatever the number of rows;
some 20 lead to the minimum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from workers.fullbatch.cones import Cones, Pair, Turn
from workers.heeding import heed

Floats: TypeAlias = npt.NDArray[np.float64]
Places: TypeAlias = npt.NDArray[np.intp]

STEPS = 100  # at most
CLOSE = 1e-12  # a gap as small as this share of the value at zero weights is none
LEAST = CLOSE / 10  # what the gap is led to, so that no step has an edge too near
NEXT_TO, NEAR = 0.9995, 0.98  # of the way to the next edge that a step goes; beside cones
LEAST_STEP = 1e-8  # a shorter one leads nowhere
FARTHEST = 1e3  # from a kink that is next to none, in units of the others
AT_FIRST = 0.3  # distance of the start from all kinks, in units of the largest target
FIRMER = (0.0, 1e-14, 1e-12, 1e-10)  # of the largest number on a diagonal, to be added to all


@dataclass(frozen=True)
class Kinked:
    """Σ_i max(low_i e_i, high_i e_i) + Σ l1 |w| + Σ l2 w² + Σ_g strength_g ‖w_g‖, e = y - X w.

    inputs X (n, m); targets y, low < 0 and high > 0 (n,); l1, l2 (m,). groups: columns of each,
    with strengths (groups,) above 0. bounds (2, m), the first below: between which w lies.
    """

    inputs: Floats
    targets: Floats
    low: Floats
    high: Floats
    l1: Floats
    l2: Floats
    groups: Sequence[Places]
    strengths: Floats
    bounds: Floats

    def losses(self, errors: Floats) -> Floats:
        """Return what rows add to the value by their errors (n,)."""
        return np.maximum(self.low * errors, self.high * errors)


@dataclass(frozen=True)
class Point:
    """Weights (m,) and what holds them there.

    slopes (n,): of the rows' terms in e. holds (m,): of the terms l1 |w|. pulls (m,): of the norms.
    push (2, m): of the bounds, both at least 0.
    """

    weights: Floats
    slopes: Floats
    holds: Floats
    pulls: Floats
    push: Floats


@dataclass(frozen=True)
class _Step:
    weights: Floats
    slopes: Floats
    apart: Floats
    left: Floats
    turn: Turn


def minimum(function: Kinked, nearest: float | None = None) -> Point:
    """Return where the function is least, as far as rounding lets that be found.

    nearest: the share of the way to an edge that a step goes, if it is to be another one.
    """
    with np.errstate(all="ignore"):  # a step to what is not finite is not taken
        path = Path(function, nearest)
        for _ in range(STEPS):
            heed()
            if path.arrived or not path.step():
                break
    return path.point()


class Path:
    """From the middle of what is allowed to the minimum.

    e = up - down of each row, whose slope lies between low and high; a term l1 |w| is a row too, of
    e = w. A bounded weight lies at some room from its bound, which pushes it. On the way all of
    up, down and room are above 0 (`apart`), as is what is left to the slopes' ends and the
    pushes (`left`). At the minimum one of each two is 0.
    """

    def __init__(self, function: Kinked, nearest: float | None = None) -> None:
        self.function = function
        self._nearest = nearest or (NEAR if function.groups else NEXT_TO)
        self._lines = np.flatnonzero(function.l1 > 0)
        self._low = np.concatenate([function.low, -function.l1[self._lines]])
        self._high = np.concatenate([function.high, function.l1[self._lines]])
        targets = np.concatenate([function.targets, np.zeros(len(self._lines))])
        self._rows, columns = len(targets), len(function.l1)
        self.weights, self._slopes = np.zeros(columns), np.zeros(self._rows)
        self._unit = float(function.losses(function.targets).sum()) or 1.0
        self._cones = Cones(function.groups, function.strengths, columns)
        ends = np.isfinite(function.bounds)
        self._side = np.repeat([1.0, -1.0], ends.sum(1))  # 1: the bound lies below
        self._bounded, self._ends = np.nonzero(ends)[1], function.bounds[ends]
        self._apart, self._left = self._begun(targets)

    def _begun(self, targets: Floats) -> tuple[Floats, Floats]:
        """Start at zero weights and slopes, with products about as large everywhere."""
        count, l1 = len(self.function.targets), self.function.l1[self._lines]
        start = np.full(self._rows, AT_FIRST * (float(np.abs(targets).max(initial=0)) or 1.0))
        centre = float((start * (self._high - self._low))[:count].mean() / 2)
        start[count:] = np.minimum(centre / l1, FARTHEST * start[0])
        self._cones.begin(centre)
        up, room = np.maximum(targets, 0) + start, np.maximum(-self._side * self._ends, start[0])
        apart = np.concatenate([up, up - targets, room])
        return apart, np.concatenate([self._high, -self._low, centre / room])

    # --- where it is ------------------------------------------------------------------------------

    @property
    def arrived(self) -> bool:
        """True where nothing is left to gain, and the slopes balance."""
        most = CLOSE * self._unit
        astray = np.abs(self._unbalanced()).max(initial=0) + np.abs(self._missed()).max(initial=0)
        return self._gap() <= most and astray <= most

    def point(self) -> Point:
        """Return where the path is."""
        count = len(self.function.targets)
        holds = np.zeros(len(self.weights))
        holds[self._lines] = self._slopes[count:]
        push = np.zeros_like(self.function.bounds)
        push[np.isfinite(self.function.bounds)] = self._left[2 * self._rows :]
        return Point(self.weights, self._slopes[:count], holds, self._cones.pulls, push)

    def _gap(self) -> float:
        return float(self._apart @ self._left) + self._cones.gap()

    def _unbalanced(self) -> Floats:
        own = self._against(self._slopes) - 2 * self.function.l2 * self.weights
        push = self._side * self._left[2 * self._rows :]
        return own - self._cones.pulls + self._at_bounds(push)

    def _missed(self) -> Floats:
        return (
            self._side * (self.weights[self._bounded] - self._ends) - self._apart[2 * self._rows :]
        )

    def _along(self, directions: Floats) -> Floats:
        """Return what the rows' e lose where weights take these directions (m,)."""
        return np.concatenate([self.function.inputs @ directions, -directions[self._lines]])

    def _against(self, slopes: Floats) -> Floats:
        """Return the sums (m,) of what the rows' slopes ask of the weights."""
        count = len(self.function.targets)
        found = slopes[:count] @ self.function.inputs
        found[self._lines] -= slopes[count:]
        return found

    def _at_bounds(self, values: Floats) -> Floats:
        return np.bincount(self._bounded, values, len(self.weights)).astype(np.float64)

    # --- a step -----------------------------------------------------------------------------------

    def step(self) -> bool:
        """Go on, by a step that knows from a first one how fast it may be; False: nowhere."""
        bend = 1 / self._halves(self._apart / self._left).sum(0)
        self._cones.scale()
        factor = self._factor(bend)
        if factor is None:
            return False
        gap, products = self._gap(), self._apart * self._left
        first = self._direction(factor, bend, -products, self._cones.aims(0.0))
        centre = max((self._gap_after(first) / gap) ** 3 * gap, LEAST * self._unit)
        centre /= len(products) + len(self._cones)
        aims = centre - products - first.apart * first.left
        found = self._direction(factor, bend, aims, self._cones.aims(centre, first.turn))
        return self._take(found, self._lengths(found, self._nearest))

    def _halves(self, values: Floats) -> Floats:
        return values[: 2 * self._rows].reshape(2, -1)

    def _factor(self, bend: Floats) -> tuple[Floats, bool] | None:
        """Return the factor of the equations' matrix; None where it has none."""
        function, count = self.function, len(self.function.targets)
        matrix = (function.inputs * bend[:count, None]).T @ function.inputs
        own = 2 * function.l2
        own[self._lines] += bend[count:]
        tail = slice(2 * self._rows, None)
        own += self._at_bounds(self._left[tail] / self._apart[tail])
        for columns, stiffness in self._cones.stiffness():
            matrix[np.ix_(columns, columns)] += stiffness
        places = np.arange(len(own))
        matrix[places, places] += own
        size = matrix[places, places].copy()
        for share in FIRMER:
            matrix[places, places] = size + share * size.max()
            try:
                return cho_factor(matrix)
            except (LinAlgError, ValueError):
                continue
        return None

    def _direction(
        self, factor: tuple[Floats, bool], bend: Floats, aims: Floats, of_cones: Pair
    ) -> _Step:
        """Return Newton's step to products of `apart` and `left` that are larger by these aims."""
        over = self._left
        ratio = self._halves(aims / over)
        off, tail = ratio[0] - ratio[1], slice(2 * self._rows, None)
        missed, room = self._missed(), self._apart[tail]
        wanted = self._unbalanced() - self._against(bend * off) + self._cones.offset(of_cones)
        pushed = (aims[tail] - over[tail] * missed) / room
        weights = cho_solve(factor, wanted + self._at_bounds(self._side * pushed))
        slopes = -bend * (self._along(weights) + off)
        moved = self._side * weights[self._bounded] + missed
        left = np.concatenate([-slopes, slopes, (aims[tail] - over[tail] * moved) / room])
        apart = np.concatenate(
            [(aims - self._apart * left)[: 2 * self._rows] / over[: 2 * self._rows], moved]
        )
        return _Step(weights, slopes, apart, left, self._cones.turn(weights, of_cones))

    def _lengths(self, step: _Step, share: float) -> tuple[float, float]:
        """Return how much of a step keeps to what is allowed, of the weights and of the slopes."""
        cones = self._cones.room(step.turn)
        weights = min(1.0, share * min(cones[0], to_edge(self._apart, step.apart)))
        slopes = min(1.0, share * min(cones[1], to_edge(self._left, step.left)))
        if self.function.l2.any():  # whose pull is to be the one of the weights
            weights = slopes = min(weights, slopes)
        return weights, slopes

    def _gap_after(self, step: _Step) -> float:
        weights, slopes = self._lengths(step, 1.0)
        after = (self._apart + weights * step.apart) @ (self._left + slopes * step.left)
        return max(0.0, float(after) + self._cones.gap_after(step.turn, (weights, slopes)))

    def _take(self, step: _Step, lengths: tuple[float, float]) -> bool:
        if not max(lengths) > LEAST_STEP:
            return False
        self.weights = self.weights + lengths[0] * step.weights
        self._apart = self._apart + lengths[0] * step.apart
        self._slopes = self._slopes + lengths[1] * step.slopes
        self._left = self._left + lengths[1] * step.left
        self._cones.take(step.turn, lengths)
        return True


def to_edge(values: Floats, moves: Floats) -> float:
    """Return how many such moves bring the first of the values to 0; values above 0."""
    down = moves < 0
    return float((values[down] / -moves[down]).min(initial=np.inf))
