"""Mean losses of linear models over all training rows: values, gradients and curvature.

Weights are (F, P, K, D): F folds, P members, K outputs; of the D columns the first d hold the
inputs' weights, column d the intercept, and the rest stay zero. D is a multiple of 16 and rows are
padded to a multiple of 32 with weight 0, so that no vectorised kernel has leftovers.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from workers.data.mapped import Rows
from workers.fullbatch.links import link_of
from workers.models.alignment import COLUMN_ALIGNMENT, ROW_ALIGNMENT, rounded_up
from workers.objectives.losses import Kind, of_classes

POWER_ITERATIONS = 100
MARGIN = 1.05  # power iteration finds the largest eigenvalue from below

ROWS_AT_ONCE = 2**14  # that are asked whether they are told apart
HIDDEN = 1e-9  # a margin as small as this share of the largest output may be rounding
Curvature = Callable[[Tensor], Tensor]  # a Hessian times directions, (F, P, K, D) both


@dataclass(frozen=True)
class TrainingRows:
    """The rows that one fold trains on."""

    inputs: Rows  # (n, d); `[:]` is a tensor of them all, which need not be kept
    targets: Tensor  # (n,) class indices, or numbers of a regression
    weights: Tensor | None = None  # (n,) at least 0, shares of the mean loss; all equal by default


def tells_apart(rows: TrainingRows, weights: Tensor, intercepts: Tensor) -> bool:
    """Return whether a classifier, weights (K, d) and intercepts (K,), makes no error on the rows.

    Then longer weights are better ones without an end: the unpenalised optimum is infinite.
    """
    least, largest = math.inf, 0.0
    for start in range(0, len(rows.inputs), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        outputs = rows.inputs[part].to(weights) @ weights.T + intercepts
        own = _margins(outputs, rows.targets[part].long()).min().item()
        if not own > 0:  # an error, as most data have among their first rows
            return False
        least = min(least, own)
        largest = max(largest, outputs.abs().max().item())
    return least > HIDDEN * largest


def _margins(outputs: Tensor, labels: Tensor) -> Tensor:
    """Return by how much each row's own class is ahead of all others, (n,)."""
    if outputs.shape[1] == 1:
        return outputs[:, 0] * (2 * labels - 1)
    own = outputs.gather(1, labels[:, None])
    return (own - outputs.scatter(1, labels[:, None], -math.inf)).amin(1)


@dataclass(frozen=True)
class LinearFit:
    """A fit of linear models: the rows of every fold, the loss, and what is penalised.

    group_by: a group of group lasso is an `input`'s outgoing weights, or a `neuron`'s incoming
    ones. penalize `all` penalises intercepts too, each a group of its own. factors (d,): what
    multiplies the penalty of each input's weights, in groups by `input`; None where all are one.
    groups: of inputs that share one, each input in one; None where each is a group by itself.
    bounds (F, 2, d): between which the weights of one output lie, side by side alone; None: free.
    adaptive (F, d): what multiplies the adaptive term besides; None where no member has one.
    """

    folds: Sequence[TrainingRows]
    kind: Kind
    outputs: int
    dtype: torch.dtype
    device: torch.device
    group_by: Literal["input", "neuron"] = "input"
    penalize: Literal["weights", "all"] = "weights"
    factors: Tensor | None = None
    groups: Sequence[Sequence[int]] | None = None
    bounds: Tensor | None = None
    adaptive: Tensor | None = None


@dataclass(frozen=True)
class Design:
    """The rows of every fold, padded alike."""

    inputs: Tensor  # (F, B, D): d inputs, centred where the intercept is free; a one; zeros
    targets: Tensor  # (F, 1, K, B): one-hot classes, 0 or 1, or numbers
    weights: Tensor  # (F, 1, 1, B), summing to one
    means: Tensor  # (F, d), what was taken off the inputs
    features: int  # d
    centred: bool

    @classmethod
    def of(cls, fit: LinearFit) -> Design:
        """Lay the folds side by side. Centring makes inputs and a free intercept orthogonal."""
        folds, dtype, device = fit.folds, fit.dtype, fit.device
        centred = fit.penalize == "weights"
        features = folds[0].inputs.shape[1]
        width = rounded_up(max(len(fold.inputs) for fold in folds), ROW_ALIGNMENT)
        columns = rounded_up(features + 1, COLUMN_ALIGNMENT)
        shape = (len(folds), 1, fit.outputs, width)
        inputs = torch.zeros(len(folds), width, columns, dtype=dtype, device=device)
        targets = torch.zeros(shape, dtype=dtype, device=device)
        weights = torch.zeros(len(folds), 1, 1, width, dtype=dtype, device=device)
        means = torch.zeros(len(folds), features, dtype=dtype, device=device)
        for index, fold in enumerate(folds):
            rows = len(fold.inputs)
            share = torch.ones(rows) if fold.weights is None else fold.weights
            share = share.to(device, torch.float64)
            share = share / share.sum()
            values = fold.inputs[:].to(device, torch.float64)
            mean = share @ values if centred else torch.zeros_like(values[0])
            # Rounding must leave nothing of a constant column: it would look like a signal.
            flat = (values == values[0]).all(0) if centred else torch.zeros_like(mean).bool()
            inputs[index, :rows, :features] = torch.where(flat, 0, values - mean).to(dtype)
            inputs[index, :rows, features] = 1
            targets[index, 0, :, :rows] = _targets(fold.targets, fit.kind, fit.outputs).to(targets)
            weights[index, 0, 0, :rows] = share.to(dtype)
            means[index] = mean.to(dtype)
        return cls(inputs, targets, weights, means, features, centred)

    def squares(self) -> Tensor:
        """Return the mean square of each column, (F, 1, 1, D); 1 where all are zero."""
        found = (self.inputs.square() * self.weights.squeeze(1).mT).sum(1)[:, None, None]
        return torch.where(found > 0, found, 1)

    def steepest(self) -> Tensor:
        """Bound the curvature of half a mean square, column by column: (F, 1, 1, D)."""
        scaled = self.inputs * self.weights.sqrt().squeeze(1).mT  # (F, B, D)
        if not self.centred:
            largest = MARGIN * _largest_eigenvalue(scaled)  # (F, 1, 1)
            return largest.unsqueeze(1).expand(-1, 1, 1, scaled.shape[-1]).clone()
        scaled[:, :, self.features] = 0
        bound = (MARGIN * _largest_eigenvalue(scaled)).expand(-1, 1, scaled.shape[-1]).clone()
        bound[bound == 0] = 1  # constant inputs
        bound[..., self.features] = 1  # the mean of ones squared
        return bound.unsqueeze(1)


def _targets(targets: Tensor, kind: Kind, outputs: int) -> Tensor:
    """Return (K, n): one-hot classes, 0 or 1, or numbers."""
    if kind == "multiclass":
        return functional.one_hot(targets.long(), outputs).T
    return targets.unsqueeze(0)


def _largest_eigenvalue(rows: Tensor) -> Tensor:
    """Return that of rowsᵀ rows by power iteration: (F, 1, 1) of rows (F, B, D)."""
    draw = torch.Generator().manual_seed(0)
    vector = torch.randn(rows.shape[-1], 1, dtype=torch.float64, generator=draw).to(rows)
    vector = vector.expand(len(rows), -1, 1)
    for _ in range(POWER_ITERATIONS):
        image = rows.mT @ (rows @ vector)
        length = image.norm(dim=1, keepdim=True)
        vector = image / torch.where(length > 0, length, 1)
    return (rows @ vector).square().sum(1, keepdim=True)


# --- mean losses of weights ---------------------------------------------------------------------


class MeanLoss(ABC):
    """The weighted mean loss of the rows of each fold, for hard targets."""

    steepness: Tensor  # (F, 1, 1, D): no column's curvature is larger, at zero if not `bounded`
    bend: float  # the largest second derivative in an output, at zero if not `bounded`
    bounded: bool = True
    smoothing: Tensor  # (F, 1, K, D): the gradient that full label smoothing adds

    @abstractmethod
    def value(self, weights: Tensor) -> Tensor:
        """Return the mean loss of these weights, (F, P, 1, 1)."""

    @abstractmethod
    def gradient(self, weights: Tensor) -> Tensor:
        """Return its gradient in these weights, (F, P, K, D)."""

    @abstractmethod
    def curvature(self, weights: Tensor) -> Curvature:
        """Return the Hessian at these weights, to be multiplied with directions."""


class RowLoss(MeanLoss):
    """By two passes over the rows: products with the inputs and their transpose."""

    def __init__(self, design: Design, kind: Kind) -> None:
        self.design = design
        self.link = link_of(kind)
        self.bend, self.bounded = self.link.bound, self.link.bounded
        self.steepness = self.link.bound * design.steepest()
        self.smoothing = torch.zeros_like(self._transposed(design.targets))
        if of_classes(kind):
            uninformed = self.link.uninformed or 1 / design.targets.shape[-2]
            self.smoothing = self._transposed(design.weights * (design.targets - uninformed))

    def value(self, weights: Tensor) -> Tensor:
        losses = self.link.value(self._outputs(weights), self.design.targets)
        return (losses * self.design.weights).sum(-1, keepdim=True)

    def gradient(self, weights: Tensor) -> Tensor:
        residuals = self.link.residuals(self._outputs(weights), self.design.targets)
        return self._transposed(residuals.mul_(self.design.weights * self.link.slope))

    def curvature(self, weights: Tensor) -> Curvature:
        predicted = self.link.bent_by(self._outputs(weights), self.design.targets)

        def times(directions: Tensor) -> Tensor:
            bent = self.link.bend(predicted, self._outputs(directions))
            return self._transposed(bent.mul_(self.design.weights))

        return times

    def _outputs(self, weights: Tensor) -> Tensor:  # (F, P, K, D) -> (F, P, K, B)
        return (weights.flatten(1, 2) @ self.design.inputs.mT).unflatten(1, weights.shape[1:3])

    def _transposed(self, rows: Tensor) -> Tensor:  # (F, P, K, B) -> (F, P, K, D)
        return (rows.flatten(1, 2) @ self.design.inputs).unflatten(1, rows.shape[1:3])


class GramLoss(MeanLoss):
    """The mean squared error by its Gram matrix: the number of rows costs nothing in a step."""

    def __init__(self, design: Design) -> None:
        inputs, weights = design.inputs, design.weights.squeeze(1)  # (F, B, D), (F, 1, B)
        targets = design.targets.squeeze(1)  # (F, 1, B)
        self.gram = (inputs.mT * weights) @ inputs  # (F, D, D)
        self.cross = ((targets * weights) @ inputs).unsqueeze(1)  # (F, 1, 1, D)
        self.square = (targets.square() * weights).sum(-1, keepdim=True).unsqueeze(1)
        self.bend = 2.0
        self.steepness = 2 * design.steepest()
        self.smoothing = torch.zeros_like(self.cross)

    def value(self, weights: Tensor) -> Tensor:
        slope = self._products(weights) - 2 * self.cross
        return (weights * slope).sum((-2, -1), keepdim=True) + self.square

    def gradient(self, weights: Tensor) -> Tensor:
        return 2 * (self._products(weights) - self.cross)

    def curvature(self, weights: Tensor) -> Curvature:
        return lambda directions: 2 * self._products(directions)

    def _products(self, weights: Tensor) -> Tensor:
        return (weights.flatten(1, 2) @ self.gram).unflatten(1, weights.shape[1:3])


def mean_loss(design: Design, kind: Kind) -> MeanLoss:
    """By the Gram matrix for least squares unless there are far more columns than rows."""
    _, rows, columns = design.inputs.shape
    if kind == "regression" and columns <= 2 * rows:
        return GramLoss(design)
    return RowLoss(design, kind)
