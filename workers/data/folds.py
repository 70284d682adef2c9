"""Encoded rows, and folds of them: rows to train on and rows to judge by, standardised."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from workers.data.encoding import Encoding, Floats, Standardisation, even, medians_of
from workers.data.mapped import LazyRows, Rows, fit_in_one_pass, medians_in_file
from workers.data.matrix import Matrix
from workers.data.splits import Positions
from workers.data.targets import centre_and_scale
from workers.objectives.losses import Kind, in_units, response

LAZY_NUMBERS = 2**20  # of a fold's rows: of fewer it costs little to keep them standardised


@dataclass(frozen=True)
class Fold:
    """One split: rows to train on, rows to judge by."""

    train_inputs: Rows  # (n, d) standardised by this fold's training rows
    train_targets: Tensor  # (n,) int64 class index, or standardised target of a regression
    valid_inputs: Rows  # (m, d)
    valid_targets: Tensor  # (m,) int64 class index, or float64 target of a regression, own units
    target_mean: float  # regression: y = target_mean + target_scale * standardised; else 0.0.
    # The mean of squared errors, for other losses their own centre (workers/data/targets.py).
    target_scale: float  # else 1.0
    valid_groups: Tensor | None = None  # (m,) int64, where groups are and rows are resampled
    train_weights: Tensor | None = None  # (n,) float64 above 0, 1 on average; None: all equal
    valid_weights: Tensor | None = None  # (m,) likewise
    input_scales: Tensor | None = None  # (d,) float64, what standardising divided by

    def response(self, kind: Kind, logits: Tensor) -> Tensor:
        """Return what logits predict: of a regression numbers in its own units, else them."""
        return response(kind, logits, self.target_mean, self.target_scale)

    def own_kind(self, kind: Kind) -> Kind:
        """Return the loss of what `response` gives."""
        return in_units(kind, self.target_scale)

    def linear_units(self, kind: Kind) -> tuple[float, float]:
        """Return mean and scale of what logits are linear in: the target, or its logarithm."""
        if kind == "poisson":  # log(scale exp(z)) = log(scale) + z
            return math.log(self.target_scale), 1.0
        return self.target_mean, self.target_scale


def slice_of(folds: Sequence[int]) -> slice:
    """Return where folds that lie side by side are in a tensor of all.

    Unlike a list of them, a slice need not be brought to a device, and copies nothing.
    """
    return slice(folds[0], folds[-1] + 1)


@dataclass(frozen=True)
class EncodedRows:
    """Every row of a data set, encoded; folds are made of them.

    targets (rows,): class indices int64, or float64 numbers of a regression. groups (rows,) and
    weights (rows,), where the job has some. dtype: of the folds' inputs. kind: of the targets, and
    so of the loss. laid_out: whether training lays its rows out itself, so that folds need not
    keep theirs.
    """

    encoding: Encoding
    targets: npt.NDArray[Any]
    groups: npt.NDArray[np.int64] | None
    dtype: torch.dtype
    weights: Floats | None = None
    kind: Kind = "regression"
    laid_out: bool = False

    def medians(self, rows: Positions, columns: Positions) -> Floats:
        """Return what these columns' missing values are filled with, by these rows."""
        values, weights = self.encoding.values, self.weights
        if isinstance(values, Matrix):
            return medians_in_file(values, rows, columns, weights)
        own = None if weights is None else weights[rows]
        # One by one: all at once would be another copy of the table.
        each = [medians_of(values[rows, column][:, None], own) for column in columns]
        return np.concatenate(each) if each else np.zeros(0)

    def standardisations(self, parts: Sequence[Positions]) -> list[Standardisation]:
        """Return the statistics of each part's rows."""
        values, gaps, weights = self.encoding.values, self.encoding.gaps, self.weights
        if isinstance(values, Matrix):
            return fit_in_one_pass(values, parts, gaps, weights)
        each = [None if weights is None else weights[rows] for rows in parts]
        return [
            Standardisation.fit(values, rows, gaps, own)
            for rows, own in zip(parts, each, strict=True)
        ]

    def weights_of(self, rows: Positions) -> Floats | None:
        """Return the weights of these rows, 1 on average; None where all weigh the same."""
        return None if self.weights is None else even(self.weights[rows])

    def weight(self, rows: Positions) -> float:
        """Return the weight of these rows in all: their number where there are no weights."""
        return float(len(rows) if self.weights is None else self.weights[rows].sum())

    def folds(
        self, splits: Sequence[tuple[Positions, Positions]], *, with_groups: bool = False
    ) -> tuple[Fold, ...]:
        """Return the folds of these rows to train on and to judge by."""
        fitted = self.standardisations([train for train, _ in splits])
        return tuple(
            self.fold(train, valid, own, with_groups=with_groups)
            for (train, valid), own in zip(splits, fitted, strict=True)
        )

    def fold(
        self,
        train: Positions,
        valid: Positions,
        fitted: Standardisation,
        *,
        with_groups: bool = False,
    ) -> Fold:
        """Return the fold of these rows. fitted: the statistics of those to train on."""
        targets, weights = self.targets, self.weights_of(train)
        inputs = self._inputs(fitted, train)
        mean, scale, kind = 0.0, 1.0, torch.int64
        train_targets = targets[train]
        if targets.dtype == np.float64:  # a regression
            mean, scale = centre_and_scale(train_targets, self.kind, weights)
            train_targets, kind = (train_targets - mean) / scale, self.dtype
        groups = self.groups if with_groups else None
        return Fold(
            train_inputs=inputs,
            train_targets=torch.as_tensor(train_targets, dtype=kind),
            valid_inputs=inputs if valid is train else self._inputs(fitted, valid),
            valid_targets=torch.as_tensor(targets[valid]),
            target_mean=mean,
            target_scale=scale,
            valid_groups=None if groups is None else _tensor(groups[valid]),
            train_weights=_tensor(weights),
            valid_weights=_tensor(self.weights_of(valid)),
            input_scales=_tensor(np.asarray(fitted.scaler.scale_)),
        )

    def _inputs(self, fitted: Standardisation, rows: Positions) -> Rows:
        values = self.encoding.values
        if isinstance(values, Matrix):
            return LazyRows(values, rows, fitted, self.dtype)
        if self.laid_out and len(rows) * values.shape[1] >= LAZY_NUMBERS:
            return LazyRows(values, rows, fitted, self.dtype)
        return fitted.tensor(values, rows, self.dtype)


def _tensor(values: npt.NDArray[Any] | None) -> Tensor | None:
    return None if values is None else torch.as_tensor(values)
