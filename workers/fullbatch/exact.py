"""Linear models to the optimum, one after the other, by proximal Newton steps on working sets.

What does not converge there, or does not fit, goes on with the batched steps of `Fista`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from workers.fullbatch.directions import spanned
from workers.fullbatch.fista import Fista
from workers.fullbatch.links import link_of
from workers.fullbatch.one_by_one import FOUND, FoldSolver, OneByOne, Solved
from workers.fullbatch.paths import FoldPaths, Wanted
from workers.fullbatch.rows import LinearFit, TrainingRows, tells_apart
from workers.fullbatch.terms import Strengths
from workers.fullbatch.turning import Directions, spread_out, turned
from workers.kernels import Library, load
from workers.kernels.linear import LinearRows, Moments, solvable
from workers.objectives.losses import of_classes
from workers.penalties.components import Components

SAMPLED = 16  # of how many rows one tells about where an optimum lies
LEAST_SAMPLE = 50  # rows to a feature
MOST_FINER = 32_000_000  # cells of inputs that may be held in double as well
UNPENALISED = Wanted(Components())


class ExactFold:
    """One fold: its rows for penalties that leave zeros, and turned ones for those that don't.

    Without zeros all features weigh something. Of more features than rows only the directions of
    the rows matter (Hastie & Tibshirani 2004), and the solver gets no more than these: of models
    without a penalty that fit as well, the one with the shortest weights.
    """

    def __init__(
        self, fit: LinearFit, rows: TrainingRows, library: Library, adaptive: Tensor | None = None
    ) -> None:
        """adaptive (d,): the fold's weights of the adaptive term; None where no member has one."""
        self._fit, self._rows, self._library = fit, rows, library
        self._adaptive = adaptive
        inputs = rows.inputs[:]  # of which the solver keeps a copy of its own
        own = self._given(inputs, fit.factors, centred=self._centred)
        self._own = solvable(library, own)
        self._paths = FoldPaths(fit, self._own, self._sampled(own))

    @property
    def _centred(self) -> bool:
        """Whether the inputs' means are taken off them: an intercept that is free makes up."""
        return self._fit.penalize == "weights"

    def solve(self, member: Wanted) -> Solved | None:
        """Solve the member; None where that can't be done one by one.

        A search has many members without a penalty, which are all the same one.
        """
        own = member.components
        if own.adaptive > 0:
            return self._weighted.solve(_as_l1(member))
        if own.concave:
            straight = own.straight(link_of(self._fit.kind).bound)
            begins = self._rooted if own.half > 0 else self
            return begins._begun(replace(member, components=straight))
        if member != UNPENALISED:
            return self._solved(member)
        return self._unpenalised

    @cached_property
    def _weighted(self) -> ExactFold:
        """The same rows where the adaptive term is the l1 one."""
        if self._adaptive is None:
            return self
        own = self._fit.factors
        return self._with(self._adaptive if own is None else own * self._adaptive)

    @cached_property
    def _rooted(self) -> ExactFold:
        """The same rows where an l1 term drops what Σ |w|^½ with the factors drops."""
        return self if self._fit.factors is None else self._with(self._fit.factors.pow(2 / 3))

    def _with(self, factors: Tensor) -> ExactFold:
        return ExactFold(replace(self._fit, factors=factors), self._rows, self._library)

    def _begun(self, straight: Wanted) -> Solved | None:
        """Return where a concave penalty's way begins: at the optimum of its straight one.

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
        """Solve the member, in double where curvatures of single precision have not told enough."""
        found = self._solved_alone(member)
        if found is None or found.converged or self._infinite(member, found):
            return found
        finer = None if self._finer is None else self._finer._solved_alone(member)
        return found if finer is None or finer.residual >= found.residual else finer

    def _infinite(self, member: Wanted, found: Solved) -> bool:
        """Return whether the member's weights would be longer without an end."""
        held = member.smoothing > 0 or member.components != Components()
        unbounded = of_classes(self._fit.kind) and not held
        return unbounded and tells_apart(self._rows, found.weights, found.intercepts)

    @cached_property
    def _finer(self) -> ExactFold | None:
        """The same rows in double precision; None where they are, or would take too much."""
        if isinstance(self._own, Moments):  # which are in double already
            return None
        if self._library.dtype == torch.float64 or self._rows.inputs.numel() > MOST_FINER:
            return None
        library = load(torch.float64)
        if not isinstance(library, Library):
            return None
        return ExactFold(self._fit, self._rows, library)

    def _solved_alone(self, member: Wanted) -> Solved | None:
        by_input = self._fit.group_by == "input" and self._fit.groups is None
        if not by_input and member.components.group > 0:
            return None
        if member.components == Components() and self._turned_freely is not None:
            found, along = self._turned_freely
            return self._in_own_units(found, member, along.weights, along.means)
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
        rungs = self._paths.lacking(members)
        if self._adaptive is not None:
            weighted = self._weighted.work([_as_l1(own) for own in members])
            return [own + more for own, more in zip(rungs, weighted, strict=True)]
        return [1 + own for own in rungs]

    def _in_own_units(
        self,
        paths: FoldPaths,
        member: Wanted,
        directions: Tensor | None,
        means: Tensor | None = None,
    ) -> Solved:
        found = paths.solve(member)
        weights = found.weights[:-1].T
        if directions is not None:
            weights = weights @ directions
        intercepts = found.weights[-1] - weights @ (self._own.means if means is None else means)
        return Solved(weights, intercepts, found.residual / paths.unit, found.converged)

    @cached_property
    def _turned_freely(self) -> tuple[FoldPaths, Directions] | None:
        """The rows along what they tell of, for no penalty; None where columns do as they are."""
        if min(self._rows.inputs.shape) >= self._own.most:
            return None
        if self._in_full and spread_out(self._own.curvature()):
            return None
        along = turned(self._rows.inputs[:], self._shares)
        rows = self._given(along.rows, None, centred=False)
        return FoldPaths(self._fit, solvable(self._library, rows)), along

    @cached_property
    def _turned(self) -> _Turned | None:
        """The rows along the directions that they span; None where these are too many."""
        if min(self._rows.inputs.shape) >= self._own.most:
            return None
        inputs = self._rows.inputs[:].double() - self._own.means
        along, directions = spanned(inputs, centred=self._centred)
        turned = self._given(along, None, centred=False)
        return _Turned(FoldPaths(self._fit, solvable(self._library, turned)), directions)

    @cached_property
    def _turned_by_factors(self) -> _Turned | None:
        """The same for Σ f w² with factors f: of the columns over √f, next to those with f = 0."""
        factors, inputs = self._fit.factors, self._rows.inputs[:].double() - self._own.means
        assert factors is not None
        held = factors > 0
        alone = inputs[:, ~held]
        if min(len(inputs), int(held.sum())) + alone.shape[1] >= self._own.most:
            return None
        roots = factors[held].sqrt()
        turned, found = spanned(inputs[:, held] / roots, centred=self._centred)
        count = len(found)
        directions = inputs.new_zeros(count + alone.shape[1], len(factors))
        directions[:count, held] = found / roots
        directions[count:, ~held] = torch.eye(alone.shape[1], dtype=inputs.dtype)
        own = torch.cat([torch.ones(count), torch.zeros(alone.shape[1])])
        rows = self._given(torch.cat([turned, alone], 1), own, centred=False)
        return _Turned(FoldPaths(self._fit, solvable(self._library, rows)), directions)

    def _given(self, inputs: Tensor, factors: Tensor | None, *, centred: bool) -> LinearRows:
        fit, rows = self._fit, self._rows
        own = fit.kind, fit.outputs, inputs, rows.targets, self._shares
        return LinearRows(*own, centred, factors)

    @property
    def _shares(self) -> Tensor:
        rows = self._rows
        shares = torch.ones(len(rows.inputs)) if rows.weights is None else rows.weights
        return shares.double() / shares.double().sum()

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


def exact_folds(fit: LinearFit, library: Library) -> list[ExactFold]:
    """Return the folds of a fit."""
    weights = [None] * len(fit.folds) if fit.adaptive is None else list(fit.adaptive)
    own = zip(fit.folds, weights, strict=True)
    return [ExactFold(fit, rows, library, adaptive) for rows, adaptive in own]


def _as_l1(member: Wanted) -> Wanted:
    """Return the member with its adaptive term as the l1 one."""
    own = member.components
    return replace(member, components=Components(l1=own.adaptive))
