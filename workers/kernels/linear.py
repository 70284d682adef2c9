"""Calls linear.c: the rows of one fold, and linear models on them to the optimum."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import torch
from torch import Tensor

from workers.kernels.library import Library
from workers.objectives.losses import Kind

Address = ctypes.c_void_p

LOSSES: tuple[Kind, ...] = ("regression", "binary", "multiclass")  # in the order of linear.c
ROW_ALIGNMENT = 8  # rows are padded to a multiple of it
MOST_COORDINATES = 1024  # in a working set: features times outputs
MOST_MOMENTS = 2048  # columns of least squares whose moments pay, if there are as many rows
ROWS_AT_ONCE = 2**16  # of moments, whose sums are double
COLUMNS_AT_ONCE = 16  # that are copied as doubles


class PullStructure(ctypes.Structure):
    """`Pull` in quadratic.h."""

    _fields_ = (("l1", ctypes.c_double), ("l2", ctypes.c_double), ("group", ctypes.c_double))


class ProductsStructure(ctypes.Structure):
    """`Products` in linear.c."""

    _fields_ = (
        ("capacity", ctypes.c_int64),
        ("used", ctypes.c_int64),
        ("slots", Address),
        ("features", Address),
        ("curvature", Address),
    )


class RowsStructure(ctypes.Structure):
    """`Rows` in linear.c."""

    _fields_ = (
        ("rows", ctypes.c_int64),
        ("features", ctypes.c_int64),
        ("outputs", ctypes.c_int64),
        ("loss", ctypes.c_int64),
        ("columns", Address),
        ("shares", Address),
        ("targets", Address),
        ("most", ctypes.c_int64),
        ("products", ctypes.POINTER(ProductsStructure)),
    )


class MomentsStructure(ctypes.Structure):
    """`Moments` in linear.c."""

    _fields_ = (
        ("features", ctypes.c_int64),
        ("curvature", Address),
        ("cross", Address),
        ("square", ctypes.c_double),
    )


class MemberStructure(ctypes.Structure):
    """`Member` in linear.c."""

    _fields_ = (
        ("features", PullStructure),
        ("intercept", PullStructure),
        ("smoothing", ctypes.c_double),
        ("before", ctypes.c_double),
        ("tolerance", ctypes.c_double),
        ("steps", ctypes.c_int64),
    )


class FoundStructure(ctypes.Structure):
    """`Found` in linear.c."""

    _fields_ = (
        ("value", ctypes.c_double),
        ("residual", ctypes.c_double),
        ("steps", ctypes.c_int64),
        ("status", ctypes.c_int64),
    )


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
    them orthogonal to the intercept.
    """

    kind: Kind
    outputs: int
    inputs: Tensor
    targets: Tensor
    shares: Tensor
    centred: bool


class CompiledRows:
    """Rows as linear.c reads them: column by column, a column of ones at the end.

    means (d,): what was taken off the inputs. most: features in a working set.
    """

    def __init__(self, library: Library, given: LinearRows) -> None:
        inputs, kind, outputs = given.inputs, given.kind, given.outputs
        rows, features = inputs.shape
        padded = -(-rows // ROW_ALIGNMENT) * ROW_ALIGNMENT
        self._library = library
        self.outputs, self.features, self.rows = outputs, features + 1, rows
        self.most = min(self.features, max(1, MOST_COORDINATES // outputs))
        self.columns = torch.zeros(self.features, padded, dtype=library.dtype)
        self.columns[features, :rows] = 1
        self.shares = torch.zeros(padded, dtype=torch.float64)
        self.shares[:rows] = given.shares
        self.means = torch.zeros(features, dtype=torch.float64)
        self._copy(inputs, given.centred)
        self.targets = torch.zeros(padded, dtype=torch.float64)
        self.targets[:rows] = given.targets
        self._moments: _Moments | None = None
        self._products: _Products | None = None
        if kind == "regression" and features <= min(rows, MOST_MOMENTS):
            self._moments = _Moments(self.columns, self.shares, self.targets)
        elif kind == "regression":
            self._products = _Products(self.features, self.most)
        self._structure = RowsStructure(
            padded,
            self.features,
            outputs,
            LOSSES.index(kind),
            self.columns.data_ptr(),
            self.shares.data_ptr(),
            self.targets.data_ptr(),
            self.most,
            None if self._products is None else ctypes.pointer(self._products.structure),
        )

    def _copy(self, inputs: Tensor, centred: bool) -> None:
        for start in range(0, self.features - 1, COLUMNS_AT_ONCE):
            part = slice(start, min(start + COLUMNS_AT_ONCE, self.features - 1))
            own = inputs[:, part].double()
            if centred:
                self.means[part] = self.shares[: self.rows] @ own
                # Rounding must leave nothing of a constant column: it would look like a signal.
                flat = (own == own[0]).all(0)
                own = torch.where(flat, 0, own - self.means[part])
            self.columns[part, : self.rows] = own.T.to(self.columns.dtype)

    @property
    def takes_all(self) -> bool:
        """True where all features fit into a working set: nothing else solves what has no zeros."""
        return self._moments is not None or self.most == self.features

    def solve(self, aim: Aim, start: Tensor) -> Optimum:
        """Solve a member from its start (features, K); MemoryError where there is too little."""
        weights = start.to(torch.float64, copy=True).contiguous()
        gradient, found = torch.zeros_like(weights), FoundStructure()
        name, rows = "linear_solve", self._structure
        if self._moments is not None:
            name, rows = "linear_solve_moments", self._moments.structure
        self._library.call(name, rows, _structure_of(aim), weights, gradient, found)
        if found.status == OUT_OF_MEMORY:
            raise MemoryError("the working set of a linear model does not fit into memory")
        return Optimum(weights, gradient, found.residual, found.status == CONVERGED)


class _Moments:
    """Of least squares: twice Σ share x xᵀ and Σ share y x, and Σ share y²."""

    def __init__(self, columns: Tensor, shares: Tensor, targets: Tensor) -> None:
        features = len(columns)
        self.curvature = torch.zeros(features, features, dtype=torch.float64)
        self.cross = torch.zeros(features, dtype=torch.float64)
        for start in range(0, columns.shape[1], ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            own = columns[:, part].double()
            weighted = own * (2 * shares[part])
            self.curvature += weighted @ own.T
            self.cross += weighted @ targets[part]
        square = (shares * targets.square()).sum().item()
        self.structure = MomentsStructure(
            features, self.curvature.data_ptr(), self.cross.data_ptr(), square
        )


class _Products:
    """Room for the curvatures of least squares between features of working sets."""

    def __init__(self, features: int, most: int) -> None:
        self._kept = (
            torch.full((features,), -1, dtype=torch.int64),
            torch.zeros(most, dtype=torch.int64),
            torch.zeros(most, most, dtype=torch.float64),
        )
        self.structure = ProductsStructure(most, 0, *(part.data_ptr() for part in self._kept))


def _structure_of(aim: Aim) -> MemberStructure:
    pulls = (PullStructure(own.l1, own.l2, own.group) for own in (aim.features, aim.intercept))
    return MemberStructure(*pulls, aim.smoothing, aim.before, aim.tolerance, aim.steps)
