"""Linear quantile regression to the optimum, one model after the other, by interior points.

Its loss has a kink, at which Newton's steps on working sets (`workers.fullbatch.exact`) and
proximal gradients would stop: its slope says nothing of how near it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from workers.fullbatch.interior import Floats, Kinked, Places, Point, minimum
from workers.fullbatch.one_by_one import Solved
from workers.fullbatch.paths import Wanted
from workers.fullbatch.rows import LinearFit
from workers.heeding import heed
from workers.objectives.losses import Quantile
from workers.penalties.components import Components
from workers.penalties.concave import pull

Flags: TypeAlias = npt.NDArray[np.bool_]

TOLERANCE = 1e-6  # of the gap, in units of the loss of zero weights
MANY = 512  # columns, of which those that matter are looked for
AT_ONCE = 32  # columns that join them in one round
ROUNDS = 100  # of that
CAREFUL = 0.9  # of the way to an edge, on a second try
ROUNDING = 1e-9  # of slopes, in the same units as the gap
BENDS = 50  # of a concave penalty, each of which is replaced by its tangents
BENT = 1e-9  # share of a strength by which tangents may still turn


@dataclass(frozen=True)
class _Pulls:
    """What a penalty is by column (m,), and by groups of them: l1, l2, and strengths (groups,)."""

    l1: Floats
    l2: Floats
    groups: Sequence[Places]
    strengths: Floats

    @property
    def sparse(self) -> bool:
        return bool(self.l1.any()) or len(self.groups) > 0


@dataclass(frozen=True)
class _Found:
    weights: Floats
    slopes: Floats
    gap: float


class QuantileFold:
    """One fold: its rows, as a function with kinks for each member's penalty."""

    def __init__(self, fit: LinearFit, fold: int) -> None:
        assert isinstance(fit.kind, Quantile), "the loss is another one"
        self._fit, rows = fit, fit.folds[fold]
        given = (
            np.ones(len(rows.inputs))
            if rows.weights is None
            else rows.weights.double().cpu().numpy()
        )
        self._counted = given > 0
        shares = given[self._counted] / given.sum()
        inputs = rows.inputs[:].double().cpu().numpy()[self._counted]
        self._targets = rows.targets.double().cpu().numpy()[self._counted]
        self._means = np.zeros(inputs.shape[1])
        if fit.penalize == "weights":
            # Rounding must leave nothing of a constant column: it would look like a signal.
            flat = (inputs == inputs[0]).all(0)
            self._means = np.where(flat, inputs[0], shares @ inputs)
        self._inputs = np.column_stack([inputs - self._means, np.ones(len(inputs))])
        self._low, self._high = -shares * (1 - fit.kind.level), shares * fit.kind.level
        self._unit = float(self._losses(self._targets).sum()) or 1.0
        self._bounds = _bounds(fit, fold)
        self._fixed = self._bounds[0] == self._bounds[1]
        self._targets = self._targets - self._inputs[:, self._fixed] @ self._bounds[0, self._fixed]
        most = np.maximum(-self._low, self._high) @ np.abs(self._inputs)
        self._most = np.where((self._bounds[0] <= 0) & (self._bounds[1] >= 0), most, np.inf)
        factors = (
            np.ones(inputs.shape[1]) if fit.factors is None else fit.factors.double().cpu().numpy()
        )
        self._factors = np.append(factors, 1.0 if fit.penalize == "all" else 0.0)

    def work(self, members: Sequence[Wanted]) -> list[int]:
        """Return how many solutions each member takes."""
        return [1] * len(members)

    def solve(self, member: Wanted) -> Solved:
        """Solve the member."""
        found = self._found(member.components)
        weights = np.where(self._fixed, self._bounds[0], found.weights)[:-1]
        intercept = found.weights[-1] - weights @ self._means
        residual = found.gap / self._unit
        return Solved(
            torch.from_numpy(weights)[None],
            torch.tensor([intercept], dtype=torch.float64),
            residual,
            residual <= TOLERANCE,
        )

    def slopes(self, member: Wanted) -> Tensor:
        """Return the derivatives (n,) of the mean loss in the rows' outputs, at the optimum.

        Where rows lie on the kink it is those that balance the penalty.
        """
        found = torch.zeros(len(self._counted), dtype=torch.float64)
        found[torch.from_numpy(self._counted)] = -torch.from_numpy(
            self._found(member.components).slopes
        )
        return found

    def _losses(self, errors: Floats) -> Floats:
        return np.maximum(self._low * errors, self._high * errors)

    # --- penalties ------------------------------------------------------------------------------

    def _found(self, own: Components) -> _Found:
        """Return the optimum; of a concave penalty one downhill from that of its l1 term alone.

        A concave penalty is at most its tangent at any weights, an l1 term by column: where that is
        least it is less still (local linear approximation: Zou & Li 2008).
        """
        pulls = self._pulls(own)
        found = self._least(pulls)
        if own.concavity == 0:
            return found
        for _ in range(BENDS):
            l1 = self._tangents(own, found.weights)
            if np.abs(l1 - pulls.l1).max() <= BENT * own.l1:
                return found
            pulls = replace(pulls, l1=l1)
            found = self._least(pulls)
        return replace(found, gap=np.inf)

    def _tangents(self, own: Components, weights: Floats) -> Floats:
        shape = (torch.tensor(each) for each in (own.l1, own.concavity, own.knee))
        return self._factors * pull(torch.from_numpy(weights), *shape).numpy()

    def _pulls(self, own: Components) -> _Pulls:
        """Lay a penalty out by column; groups of one are l1 terms, and an intercept is one."""
        l1, fit = own.l1 * self._factors, self._fit
        groups: Sequence[Sequence[int]] = fit.groups or []
        if fit.group_by == "neuron":
            groups = [range(len(l1) - 1)]
        if own.group == 0:
            groups = []
        shared = [np.array(columns, np.intp) for columns in groups if len(columns) > 1]
        shared = [columns for columns in shared if self._factors[columns[0]] > 0]
        alone = np.ones(len(l1), dtype=bool)
        for columns in shared:
            alone[columns] = False
        l1[alone] += own.group * self._factors[alone]
        sizes = [self._factors[columns[0]] * np.sqrt(len(columns)) for columns in shared]
        return _Pulls(l1, own.l2 * self._factors, shared, own.group * np.array(sizes))

    # --- columns --------------------------------------------------------------------------------

    def _least(self, pulls: _Pulls) -> _Found:
        rows, columns = self._inputs.shape
        free = not np.isfinite(self._bounds).any()
        if not pulls.sparse and free and columns > rows:
            return self._turned(pulls)
        kept = self._movable(pulls)
        if not pulls.sparse or columns <= MANY:
            return self._least_of(pulls, np.flatnonzero(kept))
        return self._looked_for(pulls, kept)

    def _movable(self, pulls: _Pulls) -> Flags:
        """Tell which columns (m,) the rows could move from zero, whatever their slopes are."""
        found = pulls.l1 < self._most
        for columns, strength in zip(pulls.groups, pulls.strengths, strict=True):
            found[columns] = strength < np.linalg.norm(self._most[columns])
        return found & ~self._fixed

    def _looked_for(self, pulls: _Pulls, kept: Flags) -> _Found:
        """Solve for some columns, and again with those that would not stay at zero beside them."""
        chosen = pulls.l1 == 0
        for columns in pulls.groups:
            chosen[columns] = False
        found = self._least_of(pulls, np.flatnonzero(chosen))
        for _ in range(ROUNDS):
            heed()
            left = np.where(kept & ~chosen, self._uneasy(pulls, found.slopes), 0)
            if left.max() <= 0:
                return found
            for column in np.argsort(-left)[: max(AT_ONCE, chosen.sum())]:
                chosen[column] |= left[column] > 0
            for columns in pulls.groups:
                chosen[columns] = chosen[columns].any()
            found = self._least_of(pulls, np.flatnonzero(chosen & kept))
        return replace(found, gap=np.inf)

    def _uneasy(self, pulls: _Pulls, slopes: Floats) -> Floats:
        """Return by how much the rows pull on columns at zero (m,) more than what holds them."""
        asked = np.abs(slopes @ self._inputs)
        rounding = ROUNDING * self._unit
        found = asked - pulls.l1
        for columns, strength in zip(pulls.groups, pulls.strengths, strict=True):
            length = np.linalg.norm(np.maximum(found[columns], 0))
            found[columns] = length - strength
        low, high = self._bounds
        return np.where((low < 0) | (high > 0), found - rounding, 0)

    def _least_of(self, pulls: _Pulls, columns: Places) -> _Found:
        """Solve for these columns alone, the others at zero."""
        if not len(columns):
            slopes = np.where(self._targets > 0, self._high, self._low)
            return _Found(np.zeros(len(pulls.l1)), np.where(self._targets == 0, 0, slopes), 0.0)
        place = np.full(len(pulls.l1), -1)
        place[columns] = np.arange(len(columns))
        inside = [place[own[0]] >= 0 for own in pulls.groups]
        function = Kinked(
            self._inputs if len(columns) == len(pulls.l1) else self._inputs[:, columns],
            self._targets,
            self._low,
            self._high,
            pulls.l1[columns],
            pulls.l2[columns],
            [place[own] for own, is_in in zip(pulls.groups, inside, strict=True) if is_in],
            pulls.strengths[np.array(inside, dtype=bool)],
            self._bounds[:, columns],
        )
        found = _solved(function)
        weights = np.zeros(len(pulls.l1))
        weights[columns] = found.weights
        return replace(found, weights=weights)

    def _turned(self, pulls: _Pulls) -> _Found:
        """Solve along the directions that the rows span, as `ExactFold` does.

        Weights without a penalty are the shortest ones that fit as well.
        """
        held = pulls.l2 > 0 if pulls.l2.any() else np.arange(len(pulls.l2)) < len(pulls.l2) - 1
        roots = np.sqrt(pulls.l2[held]) if pulls.l2.any() else np.ones(held.sum())
        left, sizes, found = np.linalg.svd(self._inputs[:, held] / roots, full_matrices=False)
        told = sizes > sizes[:1] * max(self._inputs.shape) * np.finfo(np.float64).eps
        alone, count = self._inputs[:, ~held], int(told.sum())
        columns = count + alone.shape[1]
        l2 = np.zeros(columns)
        l2[:count] = pulls.l2.any()
        function = Kinked(
            np.column_stack([(left * sizes)[:, told], alone]),
            self._targets,
            self._low,
            self._high,
            np.zeros(columns),
            l2,
            [],
            np.zeros(0),
            np.array([[-np.inf], [np.inf]]).repeat(columns, 1),
        )
        own = _solved(function)
        weights = np.zeros(len(held))
        weights[held] = own.weights[:count] @ found[told] / roots
        weights[~held] = own.weights[count:]
        return replace(own, weights=weights)


def _bounds(fit: LinearFit, fold: int) -> Floats:
    """Return the bounds of all columns (2, m), the intercept's among them."""
    found = np.array([[-np.inf], [np.inf]]).repeat(fit.folds[0].inputs.shape[1] + 1, 1)
    if fit.bounds is not None:
        found[:, :-1] = fit.bounds[fold].double().cpu().numpy()
    return found


def _solved(function: Kinked) -> _Found:
    """Return the minimum, of two tries the better one where the first does not arrive."""
    found = _settled(function, minimum(function))
    unit = float(function.losses(function.targets).sum()) or 1.0
    if found.gap <= TOLERANCE * unit:
        return found
    again = _settled(function, minimum(function, CAREFUL))
    return again if again.gap < found.gap else found


# --- zeros ------------------------------------------------------------------------------------


def _settled(function: Kinked, point: Point) -> _Found:
    """Return weights with those at zero, or at a bound, that are held there, and the gap."""
    own = np.clip(point.weights, *function.bounds)
    usual = np.abs(function.targets).max(initial=0) / (np.abs(function.inputs).max(initial=0) or 1)
    top = max(np.abs(own).max(initial=0), usual) or 1.0
    size = np.abs(own) / top
    ease = 1 - np.abs(point.holds) / np.where(function.l1 > 0, function.l1, 1)
    zero = (function.l1 > 0) & (ease > size)
    for columns, strength in zip(function.groups, function.strengths, strict=True):
        ease = 1 - np.linalg.norm(point.pulls[columns]) / strength
        zero[columns] |= ease > np.linalg.norm(size[columns])
    cut = np.where(zero, 0, own)
    unit = float(function.losses(function.targets).sum()) or 1.0
    for end, push in zip(function.bounds, point.push, strict=True):
        cut = np.where(push / unit > np.abs(own - end) / top, end, cut)
    found = [_Found(each, point.slopes, _gap(function, point, each)) for each in (cut, own)]
    return found[0] if found[0].gap <= max(found[1].gap, ROUNDING * unit) else found[1]


def _gap(function: Kinked, point: Point, weights: Floats) -> float:
    """Return how far the value at the weights lies above the minimum at most.

    Each term is at least its tangent by the point's slopes, which balance: what the terms lie above
    those is the gap of the dual problem. What they do not balance counts for the weights' sizes.
    """
    errors = function.targets - function.inputs @ weights
    gap = (function.losses(errors) - point.slopes * errors).sum()
    gap += (function.l1 * np.abs(weights) - point.holds * weights).sum() - point.pulls @ weights
    for columns, strength in zip(function.groups, function.strengths, strict=True):
        gap += strength * np.linalg.norm(weights[columns])
    own = 2 * function.l2 * weights
    left = point.slopes @ function.inputs - own - point.holds - point.pulls
    left += point.push[0] - point.push[1]
    for end, push, side in zip(function.bounds, point.push, (1, -1), strict=True):
        bounded = np.isfinite(end)
        gap += (push * side * (weights - np.where(bounded, end, 0)))[bounded].sum()
    return float(gap + np.abs(left) @ np.abs(weights))
