"""Seal a test set, split the other rows into folds, and standardise each fold.

Every split is decided from the seed, the classes, the groups and the order alone, never from a
regression's target; every statistic comes from the training rows of its own split.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ridgeway.data.row_files import RowFiles
from ridgeway.data.tables import profile_table
from ridgeway.errors import InvalidInput, JobUnrunnable
from ridgeway.spec.names import OPTIMIZER_ROWS, Task
from ridgeway.spec.profiles import label_of
from ridgeway.spec.resolving import require_in_memory, resolve_spec
from ridgeway.spec.spec import JobSpec
from ridgeway.spec.validation import ForwardValidation, HoldoutValidation
from ridgeway.texts.numbers import NumberFormat
from workers.data.encoding import (
    ColumnKind,
    Encoding,
    Standardisation,
    column_kind,
    encode,
    recipe,
)
from workers.data.folds import EncodedRows, Fold
from workers.data.forward import places_in_order
from workers.data.loading import canonical_table_of
from workers.data.matrix import Matrix
from workers.data.splits import Positions, Splits, halves, resplit, split
from workers.data.streaming import Kept, StreamedTable, encode_into_file
from workers.data.taking import Taken, taken
from workers.data.targets import check_targets, has_optimum
from workers.data.weights import checked_weights, weighing
from workers.objectives.losses import kind_of
from workers.optimizers.precision import dtype_of

if TYPE_CHECKING:
    import pandas as pd


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

    @property
    def streamed(self) -> bool:
        """Whether the rows stay in a file, and are read as they are needed."""
        return isinstance(self._rows.encoding.values, Matrix)

    @cached_property
    def _standardisation(self) -> Standardisation:
        """The statistics of the development rows."""
        return self._rows.standardisations([self.splits.development])[0]

    def development(self) -> Fold:
        """Return the rows that may be looked at, to train on and to judge by."""
        rows = self.splits.development
        return self._rows.fold(rows, rows, self._standardisation)

    def sealed(self) -> Fold:
        """Train on every development row, judge by the sealed test rows: once, for the answer."""
        train, test = self.splits.development, self.splits.test
        found = self._rows.fold(train, test, self._standardisation, with_groups=True)
        if self.streamed:
            return found
        return replace(found, valid_inputs=found.valid_inputs[:])  # which are read many times

    def resplit(self, seed: int) -> tuple[Fold, ...]:
        """Return other splits of the development rows; JobUnrunnable where the rows forbid them."""
        rows = self._rows
        labels = rows.targets if self.classes else np.zeros(len(rows.targets), np.int64)
        folds = resplit(self.spec, self.splits, labels, rows.groups, seed)
        if not all(has_optimum(rows.targets[train], rows.kind) for train, _ in folds):
            raise JobUnrunnable("a fresh split trains on rows whose loss has no optimum")
        return rows.folds(folds)

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
        first, second = rows.folds([(one, other), (other, one)])
        return first, second

    def recipe(self) -> list[dict[str, Any]]:
        """Return how to make each input of the refitted model from raw columns, as plain JSON."""
        return recipe(self._rows.encoding, self._standardisation)

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
    return _in_memory(spec, canonical_table_of(frame, spec.dataset).to_pandas(), formats or {})


def prepare_stored(
    spec: JobSpec, frame: pd.DataFrame, formats: Mapping[str, NumberFormat]
) -> Prepared:
    """Prepare an upload's rows, as `prepare` does others': they came in as a canonical table.

    To make them one again takes more than all else here where columns are many.
    """
    return _in_memory(spec, frame, formats)


def prepare_streamed(
    spec: JobSpec, table: StreamedTable, formats: Mapping[str, NumberFormat], files: RowFiles
) -> Prepared:
    """Prepare a stored table that is to stay out of memory, as `prepare` does one that is in it.

    Its encoded rows lie in one of the files. JobUnrunnable as of `prepare`, and where the disk
    has no room.
    """
    apart = {spec.target, spec.groups, spec.weights, spec.order} - {None}
    inputs = [name for name in table.columns if name not in {spec.target, *spec.apart}]
    frame = table.frame([name for name in table.columns if name in apart])
    kept = None
    there = frame[str(spec.target)].notna().to_numpy()
    if spec.missing_target == "drop" and not there.all():
        kept = np.flatnonzero(there)

    def encoded(_: pd.DataFrame, development: Positions) -> Encoded:
        rows = Kept(kept, development)
        return encode_into_file(table, inputs, (spec.columns, formats), rows, files)

    return _prepared(spec, frame, encoded)


def check_and_prepare(spec: JobSpec, frame: pd.DataFrame) -> Prepared:
    """Prepare a data set that the door had no profile of, as only workers can read a plug-in's.

    The spec's target and task are told from the data where they are not given. JobUnrunnable says
    what can't be done with these data and why.
    """
    table = canonical_table_of(frame, spec.dataset)
    try:
        profile = profile_table(table)
        resolved = resolve_spec(spec, profile)
        require_in_memory(resolved, profile)  # as a plug-in's rows can't be left in a file
    except InvalidInput as error:
        raise JobUnrunnable(f"Data set '{spec.dataset}' does not fit the job: {error}") from None
    return _in_memory(resolved, table.to_pandas(), {})


def _in_memory(spec: JobSpec, frame: pd.DataFrame, formats: Mapping[str, NumberFormat]) -> Prepared:
    def encoded(rows: pd.DataFrame, development: Positions) -> Encoded:
        raw, columns = taken(
            rows.drop(columns=[str(spec.target), *spec.apart]), spec.columns, formats
        )
        return encode(raw, development), columns

    return _prepared(spec, frame, encoded)


# Encodes the inputs, given the job's rows of a table, and which of them are development rows.
Encoded: TypeAlias = tuple[Encoding, Mapping[str, Taken]]
Encode: TypeAlias = Callable[["pd.DataFrame", Positions], Encoded]


def _prepared(spec: JobSpec, frame: pd.DataFrame, encode_inputs: Encode) -> Prepared:
    """frame: the table's rows, with those columns at least that decide how they are split."""
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
    encoding, columns = encode_inputs(frame, splits.development)
    outputs = len(classes) if len(classes) > 2 else 1
    kind = kind_of(spec, outputs)
    check_targets(targets, splits, kind)
    laid_out = not OPTIMIZER_ROWS[spec.optimizer].has_rates
    rows = EncodedRows(encoding, targets, groups, dtype_of(spec), weights, kind, laid_out)
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
        folds=rows.folds(splits.folds, with_groups=holdout),
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
