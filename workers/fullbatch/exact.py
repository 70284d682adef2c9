"""Linear models to the optimum, one after the other, by proximal Newton steps on working sets.

What does not converge there, or does not fit, goes on with the batched steps of `Fista`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from workers.fullbatch.fista import Fista
from workers.fullbatch.paths import FoldPaths, Wanted
from workers.fullbatch.rows import LinearFit, TrainingRows
from workers.fullbatch.terms import Strengths
from workers.kernels import Library
from workers.kernels.linear import CompiledRows, LinearRows, Optima
from workers.penalties.components import Components


@dataclass(frozen=True)
class Solved:
    """Members (P,) on one fold: weights (P, K, d), intercepts (P, K), residuals (P,)."""

    weights: Tensor
    intercepts: Tensor
    residuals: Tensor
    converged: Tensor


class ExactFold:
    """One fold: its rows for penalties that leave zeros, and turned ones for those that don't.

    Without zeros all features weigh something. Of more features than rows only the directions of
    the rows matter (Hastie & Tibshirani 2004), and the solver gets no more than these.
    """

    def __init__(self, fit: LinearFit, rows: TrainingRows, library: Library) -> None:
        self._fit, self._rows, self._library = fit, rows, library
        self._own = self._compiled(rows.inputs, centred=fit.penalize == "weights")
        self._paths = FoldPaths(fit, self._own)

    def solve(self, members: Sequence[Wanted]) -> Solved:
        """Solve the members, each by itself."""
        count, outputs = len(members), self._fit.outputs
        features = self._rows.inputs.shape[1]
        weights = torch.zeros(count, outputs, features, dtype=torch.float64)
        intercepts = torch.zeros(count, outputs, dtype=torch.float64)
        residuals = torch.full((count,), math.inf, dtype=torch.float64)
        converged = torch.zeros(count, dtype=torch.bool)
        for chosen, solve in self._ways(members):
            found, own, free = solve([members[place] for place in chosen])
            weights[chosen], intercepts[chosen] = own, free
            residuals[chosen], converged[chosen] = found.residuals, found.converged
        return Solved(weights, intercepts, residuals, converged)

    def _ways(
        self, members: Sequence[Wanted]
    ) -> list[tuple[list[int], Callable[[Sequence[Wanted]], tuple[Optima, Tensor, Tensor]]]]:
        """Return which members are solved how; some can't be, and are in no list."""
        grouped = self._fit.group_by == "neuron"
        able = [p for p, own in enumerate(members) if not (grouped and own.components.group > 0)]
        sparse = [place for place in able if members[place].sparse or self._own.takes_all]
        smooth = [place for place in able if place not in set(sparse)]
        ways = [(sparse, self._as_they_are)]
        if smooth and self._turned is not None:
            ways.append((smooth, self._by_directions))
        return [(chosen, way) for chosen, way in ways if chosen]

    def _as_they_are(self, members: Sequence[Wanted]) -> tuple[Optima, Tensor, Tensor]:
        found = self._paths.solve(members)
        weights = found.weights[:, :-1].mT
        return found, weights, found.weights[:, -1] - weights @ self._own.means

    def _by_directions(self, members: Sequence[Wanted]) -> tuple[Optima, Tensor, Tensor]:
        assert self._turned is not None, "there are too many directions"
        found = self._turned.paths.solve(members)
        weights = found.weights[:, :-1].mT @ self._turned.directions
        return found, weights, found.weights[:, -1] - weights @ self._own.means

    @cached_property
    def _turned(self) -> _Turned | None:
        """The rows along the directions that they span; None where these are too many."""
        inputs = self._rows.inputs.double()
        if min(inputs.shape) >= self._own.most:
            return None
        left, sizes, directions = torch.linalg.svd(inputs - self._own.means, full_matrices=False)
        told = sizes > sizes[:1] * max(inputs.shape) * torch.finfo(inputs.dtype).eps
        paths = FoldPaths(self._fit, self._compiled((left * sizes)[:, told], centred=False))
        return _Turned(paths, directions[told])

    def _compiled(self, inputs: Tensor, *, centred: bool) -> CompiledRows:
        fit, rows = self._fit, self._rows
        shares = torch.ones(len(inputs)) if rows.weights is None else rows.weights
        shares = shares.double() / shares.double().sum()
        given = LinearRows(fit.kind, fit.outputs, inputs, rows.targets, shares, centred)
        return CompiledRows(self._library, given)


@dataclass(frozen=True)
class _Turned:
    """Rows along directions (r, d)."""

    paths: FoldPaths
    directions: Tensor


class Exact:
    """P members on F folds: all are solved in the first round, as far as that goes.

    Later rounds are `Fista`'s, for members that have not converged on every fold. A member is
    bitwise the same in any company.
    """

    def __init__(self, fit: LinearFit, strengths: Strengths, folds: Sequence[ExactFold]) -> None:
        self._fit, self._strengths, self._folds = fit, strengths, folds
        members = len(strengths.l1)
        shape = (len(fit.folds), members)
        features = fit.folds[0].inputs.shape[1]
        self.weights = torch.zeros(*shape, fit.outputs, features, dtype=fit.dtype)
        self.intercepts = torch.zeros(*shape, fit.outputs, dtype=fit.dtype)
        self.residuals = torch.full(shape, math.inf, dtype=fit.dtype)
        self.converged = torch.zeros(shape, dtype=torch.bool)
        self._rest: Fista | None = None
        self._left: list[int] = list(range(members))  # in `_rest`, by its places

    @property
    def active(self) -> Tensor:
        """True for members (P,) that are still on their way."""
        return ~self.converged.all(0) & ~self.failed

    @property
    def failed(self) -> Tensor:
        """True for members (P,) whose weights or gradients are not finite."""
        return self.residuals.isnan().any(0)

    def advance(self) -> None:
        """Solve all members; from the second round on, take a round of batched steps."""
        if self._rest is None:
            self._solve()
            self._go_on()
        else:
            self._rest.advance()
            self._look_up(self._rest)

    def state(self, members: Sequence[int]) -> dict[str, Tensor]:
        """Return copies of where these active members are, by name."""
        assert self._rest is not None, "no member is on its way before the first round"
        return self._rest.state([self._left.index(member) for member in members])

    def take(self, state: Mapping[str, Tensor]) -> None:
        """Go on where others, as many, were."""
        self._rest = Fista(self._fit, self._strengths)
        self._rest.take(state)
        self._look_up(self._rest)

    def _solve(self) -> None:
        finite = torch.stack(list(vars(self._strengths).values())).isfinite().all(0)
        self.residuals[:, ~finite] = math.nan
        sane = finite.nonzero().flatten().tolist()
        members = [_wanted(self._strengths)[place] for place in sane]
        for number, fold in enumerate(self._folds):
            found = fold.solve(members)
            self.weights[number, sane] = found.weights.to(self.weights.dtype)
            self.intercepts[number, sane] = found.intercepts.to(self.weights.dtype)
            self.residuals[number, sane] = found.residuals.to(self.weights.dtype)
            self.converged[number, sane] = found.converged
        if self._fit.outputs > 1:
            self._centre()

    def _centre(self) -> None:
        """Let what no penalty holds add up to zero: of a softmax only differences mean anything."""
        if self._fit.penalize == "weights":
            self.intercepts = self.intercepts - self.intercepts.mean(-1, keepdim=True)
        own = self._strengths
        free = (own.l1 == 0) & (own.l2 == 0) & (own.group == 0)
        self.weights[:, free] -= self.weights[:, free].mean(-2, keepdim=True)

    def _go_on(self) -> None:
        """Hand the members that are left over to the batched solver, from where they are."""
        self._left = self.active.nonzero().flatten().tolist()
        chosen = torch.tensor(self._left, dtype=torch.int64)
        own = Strengths(*(value[chosen] for value in vars(self._strengths).values()))
        if self._left:
            start = self.weights[:, chosen], self.intercepts[:, chosen]
            self._rest = Fista(self._fit, own, start=start)

    def _look_up(self, rest: Fista) -> None:
        for name in ("weights", "intercepts", "residuals", "converged"):
            getattr(self, name)[:, self._left] = getattr(rest, name)


def _wanted(strengths: Strengths) -> list[Wanted]:
    columns = (getattr(strengths, name).tolist() for name in ("l1", "l2", "group"))
    parts = [Components(l1=l1, l2=l2, group=group) for l1, l2, group in zip(*columns, strict=True)]
    smoothing = strengths.label_smoothing.tolist()
    return [Wanted(part, share) for part, share in zip(parts, smoothing, strict=True)]
