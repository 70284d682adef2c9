"""Linear models to the optimum, one after the other, by proximal Newton steps on working sets.

What does not converge there, or does not fit, goes on with the batched steps of `Fista`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import torch
from torch import Tensor

from workers.fullbatch.fista import Fista
from workers.fullbatch.paths import FoldPaths, Wanted
from workers.fullbatch.rows import LinearFit, TrainingRows
from workers.fullbatch.terms import Strengths
from workers.headway import span, tell
from workers.heeding import heed
from workers.kernels import Library
from workers.kernels.linear import LinearRows, solvable
from workers.penalties.components import Components

SAMPLED = 16  # of how many rows one tells about where an optimum lies
LEAST_SAMPLE = 50  # rows to a feature
FOUND = ("weights", "intercepts", "residuals", "converged")
UNPENALISED = Wanted(Components())


@dataclass(frozen=True)
class Solved:
    """A member on one fold: weights (K, d), intercepts (K,), for the inputs as they were given.

    residual: the largest entry of the smallest subgradient, in units of the rows' own.
    """

    weights: Tensor
    intercepts: Tensor
    residual: float
    converged: bool


class ExactFold:
    """One fold: its rows for penalties that leave zeros, and turned ones for those that don't.

    Without zeros all features weigh something. Of more features than rows only the directions of
    the rows matter (Hastie & Tibshirani 2004), and the solver gets no more than these: of models
    without a penalty that fit as well, the one with the shortest weights.
    """

    def __init__(self, fit: LinearFit, rows: TrainingRows, library: Library) -> None:
        self._fit, self._rows, self._library = fit, rows, library
        own = self._given(rows.inputs, fit.factors, centred=fit.penalize == "weights")
        self._own = solvable(library, own)
        self._paths = FoldPaths(fit, self._own, self._sampled(own))

    def solve(self, member: Wanted) -> Solved | None:
        """Solve the member; None where that can't be done one by one.

        A search has many members without a penalty, which are all the same one.
        """
        own = member.components
        if own.concavity > 0:
            return self._begun(replace(member, components=own.convex))
        if member != UNPENALISED:
            return self._solved(member)
        return self._unpenalised

    def _begun(self, straight: Wanted) -> Solved | None:
        """Return where a concave penalty's way begins: at the optimum of its l1 term alone.

        It ends there as well if nothing weighs anything, as both are the same at zero.
        """
        found = self._solved(straight)
        if found is None:
            return None
        penalised = [found.weights]
        if self._fit.penalize == "all":
            penalised.append(found.intercepts)
        zero = not any(each.any() for each in penalised)
        return replace(found, converged=found.converged and zero)

    @cached_property
    def _unpenalised(self) -> Solved | None:
        return self._solved(UNPENALISED)

    def _solved(self, member: Wanted) -> Solved | None:
        by_input = self._fit.group_by == "input" and self._fit.groups is None
        if not by_input and member.components.group > 0:
            return None
        if member.sparse or self._in_full:
            return self._in_own_units(self._paths, member, None)
        own = member.components.l2 > 0 and self._fit.factors is not None
        turned = self._turned_by_factors if own else self._turned
        if turned is None:
            return None
        return self._in_own_units(turned.paths, member, turned.directions)

    @property
    def _in_full(self) -> bool:
        """True where all features are solved at once, as there are rows to tell their weights."""
        rows, inputs = self._rows.inputs.shape
        return self._own.takes_all and inputs < rows

    def work(self, members: Sequence[Wanted]) -> list[int]:
        """Return how many solutions each member takes: its own, and rungs that it is first at."""
        return [1 + rungs for rungs in self._paths.lacking(members)]

    def _in_own_units(self, paths: FoldPaths, member: Wanted, directions: Tensor | None) -> Solved:
        found = paths.solve(member)
        weights = found.weights[:-1].T
        if directions is not None:
            weights = weights @ directions
        intercepts = found.weights[-1] - weights @ self._own.means
        return Solved(weights, intercepts, found.residual / paths.unit, found.converged)

    @cached_property
    def _turned(self) -> _Turned | None:
        """The rows along the directions that they span; None where these are too many."""
        if min(self._rows.inputs.shape) >= self._own.most:
            return None
        inputs = self._rows.inputs.double()
        left, sizes, directions = torch.linalg.svd(inputs - self._own.means, full_matrices=False)
        told = sizes > sizes[:1] * max(inputs.shape) * torch.finfo(inputs.dtype).eps
        turned = self._given((left * sizes)[:, told], None, centred=False)
        return _Turned(FoldPaths(self._fit, solvable(self._library, turned)), directions[told])

    @cached_property
    def _turned_by_factors(self) -> _Turned | None:
        """The same for Σ f w² with factors f: of the columns over √f, next to those with f = 0."""
        factors, inputs = self._fit.factors, self._rows.inputs.double() - self._own.means
        assert factors is not None
        held = factors > 0
        alone = inputs[:, ~held]
        if min(len(inputs), int(held.sum())) + alone.shape[1] >= self._own.most:
            return None
        roots = factors[held].sqrt()
        left, sizes, found = torch.linalg.svd(inputs[:, held] / roots, full_matrices=False)
        told = sizes > sizes[:1] * max(inputs.shape) * torch.finfo(inputs.dtype).eps
        turned, count = (left * sizes)[:, told], int(told.sum())
        directions = inputs.new_zeros(count + alone.shape[1], len(factors))
        directions[:count, held] = found[told] / roots
        directions[count:, ~held] = torch.eye(alone.shape[1], dtype=inputs.dtype)
        own = torch.cat([torch.ones(count), torch.zeros(alone.shape[1])])
        rows = self._given(torch.cat([turned, alone], 1), own, centred=False)
        return _Turned(FoldPaths(self._fit, solvable(self._library, rows)), directions)

    def _given(self, inputs: Tensor, factors: Tensor | None, *, centred: bool) -> LinearRows:
        fit, rows = self._fit, self._rows
        shares = torch.ones(len(inputs)) if rows.weights is None else rows.weights
        shares = shares.double() / shares.double().sum()
        return LinearRows(fit.kind, fit.outputs, inputs, rows.targets, shares, centred, factors)

    def _sampled(self, rows: LinearRows) -> FoldPaths | None:
        """Return the paths of a share of the rows, if these are many and each costs a step time."""
        sample = rows.every(SAMPLED)
        features = rows.inputs.shape[1] + 1
        if rows.kind == "regression" or len(sample.inputs) < LEAST_SAMPLE * features:
            return None
        return FoldPaths(self._fit, solvable(self._library, sample), self._sampled(sample))


@dataclass(frozen=True)
class _Turned:
    """Rows along directions (r, d)."""

    paths: FoldPaths
    directions: Tensor


class FoldSolver(Protocol):
    """What solves members on one fold, one after the other."""

    def solve(self, member: Wanted) -> Solved | None:
        """Solve the member; None where that can't be done one by one."""
        ...

    def work(self, members: Sequence[Wanted]) -> list[int]:
        """Return how many solutions each member takes."""
        ...


class OneByOne:
    """P members on F folds, all solved in the first round; nothing happens in those after it.

    A member is bitwise the same in any company.
    """

    def __init__(self, fit: LinearFit, strengths: Strengths, folds: Sequence[FoldSolver]) -> None:
        self._fit, self._strengths, self._folds = fit, strengths, folds
        members = len(strengths.l1)
        shape = (len(fit.folds), members)
        features = fit.folds[0].inputs.shape[1]
        kept: dict[str, Any] = {"dtype": fit.dtype, "device": fit.device}
        self.weights = torch.zeros(*shape, fit.outputs, features, **kept)
        self.intercepts = torch.zeros(*shape, fit.outputs, **kept)
        self.residuals = torch.full(shape, math.inf, **kept)
        self.converged = torch.zeros(shape, dtype=torch.bool, device=fit.device)
        self._begun = False

    @property
    def active(self) -> Tensor:
        """True for members (P,) that are still on their way."""
        return ~self.converged.all(0) & ~self.failed

    @property
    def failed(self) -> Tensor:
        """True for members (P,) whose weights or gradients are not finite."""
        return self.residuals.isnan().any(0)

    def advance(self) -> None:
        """Solve all members, the first time."""
        if not self._begun:
            self._begun = True
            self._solve()

    def state(self, members: Sequence[int]) -> dict[str, Tensor]:
        """Return copies of where these members are, by name."""
        return {name: getattr(self, name)[:, list(members)].cpu() for name in FOUND}

    def take(self, state: Mapping[str, Tensor]) -> None:
        """Go on where others, as many, were."""
        self._begun = True
        for name in FOUND:
            getattr(self, name).copy_(state[name])

    def _solve(self) -> None:
        finite = torch.stack(list(vars(self._strengths).values())).isfinite().all(0)
        self.residuals[:, ~finite] = math.nan
        members = wanted(self._strengths)
        work = self._folds[0].work(members)  # about that of each fold
        done, total = 0, len(self._folds) * sum(work)
        for number, fold in enumerate(self._folds):
            solved: dict[int, Solved] = {}
            for place in finite.nonzero().flatten().tolist():
                heed()
                ahead = done + work[place]
                with span(done / total, ahead / total):
                    found = fold.solve(members[place])
                if found is not None:
                    solved[place] = found
                    done = ahead
                    tell(done / total)
            self._note(number, solved)
        if self._fit.outputs > 1:
            self._centre()

    def _note(self, fold: int, solved: Mapping[int, Solved]) -> None:
        """Note what members, by their places, came to on a fold: at once, as each write costs."""
        if not solved:
            return
        places, found = list(solved), solved.values()
        self.weights[fold, places] = torch.stack([own.weights for own in found]).to(self.weights)
        intercepts = torch.stack([own.intercepts for own in found])
        self.intercepts[fold, places] = intercepts.to(self.weights)
        residuals = torch.tensor([own.residual for own in found], dtype=torch.float64)
        self.residuals[fold, places] = residuals.to(self.weights)
        converged = torch.tensor([own.converged for own in found], device=self._fit.device)
        self.converged[fold, places] = converged

    def _centre(self) -> None:
        """Let what no penalty holds add up to zero: of a softmax only differences mean anything."""
        if self._fit.penalize == "weights":
            self.intercepts = self.intercepts - self.intercepts.mean(-1, keepdim=True)
        own = self._strengths
        free = (own.l1 == 0) & (own.l2 == 0) & (own.group == 0)
        self.weights[:, free] -= self.weights[:, free].mean(-2, keepdim=True)
        if self._fit.factors is not None:
            unheld = self._fit.factors == 0
            of_all = self.weights[..., unheld]
            self.weights[..., unheld] = of_all - of_all.mean(-2, keepdim=True)


class Exact(OneByOne):
    """Those that have not converged on every fold go on by `Fista`, from the first round on."""

    def __init__(self, fit: LinearFit, strengths: Strengths, folds: Sequence[FoldSolver]) -> None:
        super().__init__(fit, strengths, folds)
        self._rest: Fista | None = None
        self._left: list[int] = list(range(len(strengths.l1)))  # in `_rest`, by its places

    def advance(self) -> None:
        """Solve all members, the first time; take a round of batched steps with what is left."""
        if self._rest is None:
            self._solve()
            self._go_on()
        if self._rest is not None:
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

    def _go_on(self) -> None:
        """Hand the members that are left over to the batched solver, from where they are."""
        self._left = self.active.nonzero().flatten().tolist()
        chosen = torch.tensor(self._left, dtype=torch.int64)
        own = Strengths(*(value[chosen] for value in vars(self._strengths).values()))
        if self._left:
            start = self.weights[:, chosen], self.intercepts[:, chosen]
            self._rest = Fista(self._fit, own, start=start)

    def _look_up(self, rest: Fista) -> None:
        for name in FOUND:
            getattr(self, name)[:, self._left] = getattr(rest, name)


def wanted(strengths: Strengths) -> list[Wanted]:
    """Return the members that have these strengths."""
    own = strengths
    rows = zip(*(column.tolist() for column in vars(own).values()), strict=True)
    return [
        Wanted(Components(l1, l2, group, concavity, knee), smoothing)
        for l1, l2, group, smoothing, concavity, knee in rows
    ]
