"""Seal a test set, split the other rows into folds, and standardise each fold.

Every split is decided from the seed, the classes, the groups and the order alone, never from a
regression's target; every statistic comes from the training rows of its own split.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ridgeway.data.tables import profile_table
from ridgeway.errors import InvalidInput, JobUnrunnable
from ridgeway.spec.names import Task
from ridgeway.spec.profiles import label_of
from ridgeway.spec.resolving import resolve_spec
from ridgeway.spec.spec import JobSpec
from ridgeway.spec.validation import ForwardValidation, HoldoutValidation
from ridgeway.texts.numbers import NumberFormat
from workers.data.encoding import (
    ColumnKind,
    Encoding,
    Floats,
    Standardisation,
    column_kind,
    encode,
    even,
    medians_of,
    recipe,
)
from workers.data.forward import places_in_order
from workers.data.loading import canonical_table_of
from workers.data.splits import Positions, Splits, halves, resplit, split
from workers.data.taking import Taken, taken
from workers.data.targets import centre_and_scale, check_targets, has_optimum
from workers.data.weights import checked_weights, weighing
from workers.objectives.losses import Kind, in_units, kind_of, response
from workers.optimizers.precision import dtype_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Fold:
    """One split: rows to train on, rows to judge by."""

    train_inputs: Tensor  # (n, d) standardised by this fold's training rows
    train_targets: Tensor  # (n,) int64 class index, or standardised target of a regression
    valid_inputs: Tensor  # (m, d)
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


@dataclass(frozen=True)
class EncodedRows:
    """Every row of a data set, encoded; folds are made of them.

    targets (rows,): class indices int64, or float64 numbers of a regression. groups (rows,) and
    weights (rows,), where the job has some. dtype: of the folds' inputs. kind: of the targets, and
    so of the loss.
    """

    encoding: Encoding
    targets: npt.NDArray[Any]
    groups: npt.NDArray[np.int64] | None
    dtype: torch.dtype
    weights: Floats | None = None
    kind: Kind = "regression"

    def medians(self, rows: Positions, columns: Positions) -> Floats:
        """Return what these columns' missing values are filled with, by these rows."""
        weights = None if self.weights is None else self.weights[rows]
        # One by one: all at once would be another copy of the table.
        each = [medians_of(self.encoding.values[rows, own][:, None], weights) for own in columns]
        return np.concatenate(each) if each else np.zeros(0)

    def standardisation(self, rows: Positions) -> Standardisation:
        """Return the statistics of these rows."""
        weights = None if self.weights is None else self.weights[rows]
        return Standardisation.fit(self.encoding.values[rows], self.encoding.gaps, weights)

    def weights_of(self, rows: Positions) -> Floats | None:
        """Return the weights of these rows, 1 on average; None where all weigh the same."""
        return None if self.weights is None else even(self.weights[rows])

    def weight(self, rows: Positions) -> float:
        """Return the weight of these rows in all: their number where there are no weights."""
        return float(len(rows) if self.weights is None else self.weights[rows].sum())

    def fold(self, train: Positions, valid: Positions, *, with_groups: bool = False) -> Fold:
        """Return the fold of these rows, standardised by those to train on."""
        values, targets = self.encoding.values, self.targets
        fitted, weights = self.standardisation(train), self.weights_of(train)
        inputs = fitted.tensor(values, train, self.dtype)
        mean, scale, kind = 0.0, 1.0, torch.int64
        train_targets = targets[train]
        if targets.dtype == np.float64:  # a regression
            mean, scale = centre_and_scale(train_targets, self.kind, weights)
            train_targets, kind = (train_targets - mean) / scale, self.dtype
        groups = self.groups if with_groups else None
        return Fold(
            train_inputs=inputs,
            train_targets=torch.as_tensor(train_targets, dtype=kind),
            valid_inputs=inputs if valid is train else fitted.tensor(values, valid, self.dtype),
            valid_targets=torch.as_tensor(targets[valid]),
            target_mean=mean,
            target_scale=scale,
            valid_groups=None if groups is None else _tensor(groups[valid]),
            train_weights=_tensor(weights),
            valid_weights=_tensor(self.weights_of(valid)),
            input_scales=_tensor(np.asarray(fitted.scaler.scale_)),
        )


@dataclass(frozen=True)
class Prepared:
    """A data set as a job's trials see it. `folds` holds one fold for a holdout."""

    spec: JobSpec  # with target and task filled in, a plug-in's too
    inputs: int
    outputs: int  # 1 for regression and two classes, else the number of classes
    classes: tuple[str, ...]  # in the order of class indices; () for regression
    features: tuple[str, ...]  # encoded columns, d of them
    source_columns: tuple[str, ...]  # the raw column that each encoded one came from
    columns: Mapping[str, Taken]  # raw columns that are inputs, in the table's order
    target_kind: ColumnKind
    folds: tuple[Fold, ...]
    _rows: EncodedRows = field(repr=False)
    splits: Splits = field(repr=False)

    @property
    def rows(self) -> int:
        """The number of rows of the data set."""
        return len(self._rows.targets)

    @property
    def encoded(self) -> EncodedRows:
        """Every row before any statistic, sealed ones too: take those that may be looked at."""
        return self._rows

    def development(self) -> Fold:
        """Return the rows that may be looked at, to train on and to judge by."""
        return self._rows.fold(self.splits.development, self.splits.development)

    def sealed(self) -> Fold:
        """Train on every development row, judge by the sealed test rows: once, for the answer."""
        return self._rows.fold(self.splits.development, self.splits.test, with_groups=True)

    def resplit(self, seed: int) -> tuple[Fold, ...]:
        """Return other splits of the development rows; JobUnrunnable where the rows forbid them."""
        rows = self._rows
        labels = rows.targets if self.classes else np.zeros(len(rows.targets), np.int64)
        folds = resplit(self.spec, self.splits, labels, rows.groups, seed)
        if not all(has_optimum(rows.targets[train], rows.kind) for train, _ in folds):
            raise JobUnrunnable("a fresh split trains on rows whose loss has no optimum")
        return tuple(rows.fold(*each) for each in folds)

    def halves(self, seed: int) -> tuple[Fold, Fold] | None:
        """Part the development rows in two, each half judged by the other; None if they forbid it.

        Groups stay together, and classes are shared out evenly.
        """
        rows = self._rows
        labels = rows.targets if self.classes else np.zeros(len(rows.targets), np.int64)
        parts = halves(self.splits.development, labels, rows.groups, seed)
        if parts is None:
            return None
        one, other = parts
        if not all(has_optimum(rows.targets[part], rows.kind) for part in parts):
            return None
        return rows.fold(one, other), rows.fold(other, one)

    def recipe(self) -> list[dict[str, Any]]:
        """Return how to make each input of the refitted model from raw columns, as plain JSON."""
        return recipe(self._rows.encoding, self._rows.standardisation(self.splits.development))

    def medians(self) -> dict[str, float]:
        """Return what a missing number is filled with by raw column, where no row missed it too."""
        names, sources = np.array(self.features), np.array(self.source_columns)
        numbers = np.flatnonzero(names == sources)
        found = self._rows.medians(self.splits.development, numbers)
        return dict(zip(names[numbers].tolist(), found.tolist(), strict=True))


def prepare(
    spec: JobSpec, frame: pd.DataFrame, formats: Mapping[str, NumberFormat] | None = None
) -> Prepared:
    """Split and encode a data set for a job whose spec the door has checked against its profile.

    formats: how the data set's file wrote the numbers of columns, where not as programs do.
    JobUnrunnable where groups or an order hold a class together, which only the rows tell.
    """
    return _prepared(spec, canonical_table_of(frame, spec.dataset).to_pandas(), formats or {})


def check_and_prepare(spec: JobSpec, frame: pd.DataFrame) -> Prepared:
    """Prepare a data set that the door had no profile of, as only workers can read a plug-in's.

    The spec's target and task are told from the data where they are not given. JobUnrunnable says
    what can't be done with these data and why.
    """
    table = canonical_table_of(frame, spec.dataset)
    try:
        resolved = resolve_spec(spec, profile_table(table))
    except InvalidInput as error:
        raise JobUnrunnable(f"Data set '{spec.dataset}' does not fit the job: {error}") from None
    return _prepared(resolved, table.to_pandas(), {})


def _prepared(spec: JobSpec, frame: pd.DataFrame, formats: Mapping[str, NumberFormat]) -> Prepared:
    assert spec.target is not None
    assert spec.task is not None
    if spec.missing_target == "drop":
        frame = frame.dropna(subset=[spec.target], ignore_index=True)
    targets, classes = _targets(frame[spec.target].to_numpy(), spec.task)
    groups = None if spec.groups is None else _group_indices(frame[spec.groups].to_numpy())
    weights = None if spec.weights is None else checked_weights(frame[spec.weights].to_numpy())
    order = None
    if isinstance(spec.validation, ForwardValidation):
        by = spec.validation.by
        order = places_in_order(frame[by].to_numpy(), spec.columns.get(by))
    splits = split(spec, targets, classes, groups, order)
    if weights is not None:
        splits = weighing(spec, splits, weights, targets, classes)
    raw, columns = taken(frame.drop(columns=[spec.target, *spec.apart]), spec.columns, formats)
    encoding = encode(raw, splits.development)
    outputs = len(classes) if len(classes) > 2 else 1
    kind = kind_of(spec, outputs)
    check_targets(targets, splits, kind)
    rows = EncodedRows(encoding, targets, groups, dtype_of(spec), weights, kind)
    holdout = isinstance(spec.validation, HoldoutValidation)
    return Prepared(
        spec=spec,
        inputs=len(encoding.names),
        outputs=outputs,
        classes=classes,
        features=encoding.names,
        source_columns=encoding.sources,
        columns=columns,
        target_kind=column_kind(frame.dtypes[spec.target]),
        folds=tuple(rows.fold(*each, with_groups=holdout) for each in splits.folds),
        _rows=rows,
        splits=splits,
    )


def _targets(values: npt.NDArray[Any], task: Task) -> tuple[npt.NDArray[Any], tuple[str, ...]]:
    """Return class indices (rows,) and the classes' names; of a regression its numbers and ()."""
    if task == "regression":
        return values.astype(np.float64), ()
    classes, indices = np.unique(values, return_inverse=True)
    return indices.astype(np.int64), tuple(label_of(value) for value in classes.tolist())


def _group_indices(values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def _tensor(values: npt.NDArray[Any] | None) -> Tensor | None:
    return None if values is None else torch.as_tensor(values)
