"""Calls linear.c: the rows of one fold, and linear models on them to the optimum."""

from __future__ import annotations

import ctypes
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from workers.kernels.contrasts import contrasts
from workers.kernels.kept import KeptCurvature
from workers.kernels.library import Library
from workers.kernels.moments import about, moments
from workers.kernels.numbers import code_of
from workers.kernels.products import Products
from workers.kernels.structures import (
    FoundStructure,
    MemberStructure,
    MomentsStructure,
    PullStructure,
    RowsStructure,
)
from workers.objectives.losses import Kind

ROW_ALIGNMENT = 8  # rows are padded to a multiple of it
MOST_COORDINATES = 1024  # in a working set: features times outputs
MOST_MOMENTS = 2048  # columns of least squares whose moments pay, if there are as many rows
SAMPLED = 16  # of how many rows one tells about where a column's mean lies
STILL = 1e-12  # of a mean's square: columns that vary by less may be constant
MOST_CONTRASTED = 6  # classes: of more, each row's contrasts cost what a smaller model saves
STRIP = 512  # rows whose columns lie side by side, ROWS_AT_ONCE in linear.c


CONVERGED, NOT_CONVERGED, OUT_OF_MEMORY = range(3)


@dataclass(frozen=True)
class Pull:
    """Of mean loss + l1 Σ|w| + l2 Σ w² + group ‖w‖, for the weights of one feature."""

    l1: float = 0.0
    l2: float = 0.0
    group: float = 0.0


@dataclass(frozen=True)
class Aim:
    """What one member minimises, and from where.

    before: the strength of the l1 or group norm at whose optimum the start lies. tolerance: of the
    largest entry of the smallest subgradient. steps: at most.
    """

    features: Pull
    intercept: Pull
    smoothing: float
    before: float
    tolerance: float
    steps: int


@dataclass(frozen=True)
class Optimum:
    """What a member has come to.

    weights and gradient of the loss (features, K), float64. residual: the largest entry of the
    smallest subgradient.
    """

    weights: Tensor
    gradient: Tensor
    residual: float
    converged: bool


@dataclass(frozen=True)
class LinearRows:
    """The rows of a linear model: inputs (n, d) of any type, targets (n,) numbers or classes.

    shares (n,) of the mean loss, float64. centred: the inputs' means are taken off, which makes
    them orthogonal to the intercept. factors (d,): of the inputs' pulls; None where all are one.
    """

    kind: Kind
    outputs: int
    inputs: Tensor
    targets: Tensor
    shares: Tensor
    centred: bool
    factors: Tensor | None = None

    def every(self, step: int) -> LinearRows:
        """Return each so many of the rows alone."""
        shares = self.shares[::step]
        return replace(
            self,
            inputs=self.inputs[::step],
            targets=self.targets[::step],
            shares=shares / shares.sum(),
        )


class SolvableRows(ABC):
    """Rows in the form that a function of linear.c solves members from.

    features: with the intercept, which is the last. means (d,): what was taken off the inputs.
    most: features in a working set. factors (d,): of the inputs' pulls; None where all are one.
    """

    def __init__(self, library: Library, given: LinearRows) -> None:
        rows, inputs = given.inputs.shape
        self._library = library
        self.outputs, self.features, self.rows = given.outputs, inputs + 1, rows
        self.most = min(self.features, max(1, MOST_COORDINATES // given.outputs))
        self.means = torch.zeros(inputs, dtype=torch.float64)
        self.factors = None if given.factors is None else given.factors.double().contiguous()

    @property
    def _factors_address(self) -> int | None:
        return None if self.factors is None else self.factors.data_ptr()

    @property
    def takes_all(self) -> bool:
        """True where all features fit into a working set: nothing else solves what has no zeros."""
        return self.most == self.features

    @property
    @abstractmethod
    def unit(self) -> float:
        """A bound on a gradient's entries where nothing is explained, the tolerance's unit."""

    @abstractmethod
    def solve(self, aim: Aim, start: Tensor, kept: KeptCurvature | None = None) -> Optimum:
        """Solve a member from its start (features, K); MemoryError where there is too little.

        kept: the curvature at this start, from `keeping`; the same for all who start there.
        """

    @abstractmethod
    def curvature(self) -> Tensor:
        """Return twice Σ share x xᵀ of the inputs (d, d), less their means where centred."""

    def keeping(self) -> KeptCurvature | None:
        """Return room for the curvature at one start; None where it is nowhere another one."""
        return None

    def _solved_by(
        self,
        name: str,
        structure: ctypes.Structure,
        aim: Aim,
        start: Tensor,
        kept: KeptCurvature | None = None,
    ) -> Optimum:
        weights = start.to(torch.float64, copy=True).contiguous()
        gradient, found = torch.zeros_like(weights), FoundStructure()
        self._library.call(name, structure, _structure_of(aim, kept), weights, gradient, found)
        if found.status == OUT_OF_MEMORY:
            raise MemoryError("the working set of a linear model does not fit into memory")
        return Optimum(weights, gradient, found.residual, found.status == CONVERGED)


def solvable(library: Library, given: LinearRows) -> SolvableRows:
    """Return rows in the form that suits them: least squares of few columns needs their moments."""
    rows, features = given.inputs.shape
    if given.kind == "regression" and features <= min(rows, MOST_MOMENTS):
        return Moments(library, given)
    return Columns(library, given)


class Columns(SolvableRows):
    """Rows in strips, column by column in each of them, a column of ones at the end."""

    def __init__(self, library: Library, given: LinearRows) -> None:
        super().__init__(library, given)
        rows, features, kind = self.rows, self.features, given.kind
        padded = -(-rows // ROW_ALIGNMENT) * ROW_ALIGNMENT
        self._columns = torch.zeros(padded * features, dtype=library.dtype)
        self._shares = torch.zeros(padded, dtype=torch.float64)
        self._shares[:rows] = given.shares
        self._targets = torch.zeros(padded, dtype=torch.float64)
        self._targets[:rows] = given.targets
        self._squares = torch.ones(features, dtype=torch.float64)
        self._copy(given)
        self._products = Products(features, self.most) if kind == "regression" else None
        self._structure = RowsStructure(
            padded,
            features,
            self.outputs,
            self.outputs,
            *code_of(kind),
            None,
            self._columns.data_ptr(),
            self._shares.data_ptr(),
            self._targets.data_ptr(),
            self.most,
            None if self._products is None else ctypes.pointer(self._products.structure),
            self._factors_address,
        )

    def _copy(self, given: LinearRows) -> None:
        strips = [slice(start, start + STRIP) for start in range(0, self.rows, STRIP)]
        flat = torch.zeros_like(self.means).bool()
        if given.centred:
            for part in strips:
                self.means += given.shares[part] @ given.inputs[part].double()
            # Rounding must leave nothing of a constant column: it would look like a signal.
            flat = (given.inputs == given.inputs[0]).all(0)
        self._squares[:-1] = 0
        for part in strips:
            own = given.inputs[part].double() - self.means
            own[:, flat] = 0
            self._squares[:-1] += given.shares[part] @ own.square()
            place = slice(part.start * self.features, part.stop * self.features)
            strip = self._columns[place].view(self.features, -1)
            strip[:-1, : len(own)] = own.T
            strip[-1, : len(own)] = 1

    @property
    def unit(self) -> float:
        targets = self._shares @ self._targets.square() if self.outputs == 1 else torch.ones(())
        return _unit(self._squares, targets.clamp_max(self._structure.delta**2 or math.inf))

    def solve(self, aim: Aim, start: Tensor, kept: KeptCurvature | None = None) -> Optimum:
        if aim.features.l1 > 0 or aim.intercept.l1 > 0 or not 1 < self.outputs <= MOST_CONTRASTED:
            return self._solved_by("linear_solve", self._structure, aim, start, kept)
        start = start @ self._contrasts
        found = self._solved_by("linear_solve", self._contrasted, aim, start, kept)
        weights, gradient = (own @ self._contrasts.T for own in (found.weights, found.gradient))
        return replace(found, weights=weights, gradient=gradient)

    def curvature(self) -> Tensor:
        inputs = self.features - 1
        sums = torch.zeros(inputs, inputs, dtype=torch.float64)
        for start in range(0, self.rows, STRIP):
            part = slice(start * self.features, (start + STRIP) * self.features)
            strip = self._columns[part].view(self.features, -1)[:-1].double()
            sums += (strip * self._shares[start : start + STRIP]) @ strip.T
        return 2 * sums

    def keeping(self) -> KeptCurvature | None:
        if self._products is not None:  # squares, which bend everywhere alike
            return None
        return KeptCurvature(self.most, self.outputs, self._columns.dtype)

    @property
    def _contrasts(self) -> Tensor:
        return contrasts(self.outputs)

    @cached_property
    def _contrasted(self) -> RowsStructure:
        """The same rows with contrasts of their classes as outputs."""
        own = RowsStructure.from_buffer_copy(self._structure)
        own.outputs, own.contrasts = self.outputs - 1, self._contrasts.data_ptr()
        return own


class Moments(SolvableRows):
    """Rows of least squares as twice Σ share x xᵀ and Σ share y x, and Σ share y².

    A one is the last of each x. The rows themselves are not kept.
    """

    def __init__(self, library: Library, given: LinearRows) -> None:
        super().__init__(library, given)
        if given.centred:
            self.means += about(given.inputs[::SAMPLED].double())
        sums = moments(given.inputs, given.targets, given.shares, self.means)
        self._curvature = sums[:-1, :-1].contiguous()
        self._cross = sums[-1, :-1].contiguous()
        self._square = sums[-1, -1] / 2
        if given.centred:
            self._centre(given.inputs)
        self._structure = MomentsStructure(
            self.features,
            self._curvature.data_ptr(),
            self._cross.data_ptr(),
            self._square.item(),
            self._factors_address,
        )

    def _centre(self, inputs: Tensor) -> None:
        """Take off the inputs what their means were off by."""
        curvature, cross, left = self._curvature, self._cross, self._curvature[-1, :-1] / 2
        self.means += left
        curvature[:-1, :-1] -= 2 * torch.outer(left, left)
        curvature[-1, :-1] = curvature[:-1, -1] = 0
        cross[:-1] -= left * cross[-1]
        # Rounding must leave nothing of a constant column: it would look like a signal.
        still = curvature.diagonal()[:-1] <= STILL * self.means.square()
        for column in still.nonzero().flatten().tolist():
            if (inputs[:, column] == inputs[0, column]).all():
                curvature[column] = curvature[:, column] = cross[column] = 0

    @property
    def takes_all(self) -> bool:
        return True

    def curvature(self) -> Tensor:
        return self._curvature[:-1, :-1]

    @property
    def unit(self) -> float:
        return _unit(self._curvature.diagonal() / 2, self._square)

    def solve(self, aim: Aim, start: Tensor, kept: KeptCurvature | None = None) -> Optimum:
        return self._solved_by("linear_solve_moments", self._structure, aim, start)


def _unit(squares: Tensor, targets: Tensor) -> float:
    """Return that of features with these mean squares, and targets with this one."""
    found = (squares.max() * targets).sqrt().item()
    return found if found > 0 else 1.0


def _structure_of(aim: Aim, kept: KeptCurvature | None) -> MemberStructure:
    pulls = (PullStructure(own.l1, own.l2, own.group) for own in (aim.features, aim.intercept))
    held = None if kept is None else ctypes.pointer(kept.structure)
    return MemberStructure(*pulls, held, aim.smoothing, aim.before, aim.tolerance, aim.steps)
