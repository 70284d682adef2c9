"""Load a data set, seal a test set, split the rest into folds, and standardise each fold.

Every split is decided from the seed, the classes and the groups alone, never from a regression's
target; every statistic comes from the training rows of its own split.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from ridgeway.data.bundled import BUNDLED
from ridgeway.data.catalogue import StoredDataset
from ridgeway.data.store import Store, sha256
from ridgeway.data.tables import canonical_table, check_names, from_parquet, profile_table
from ridgeway.errors import InvalidInput, JobUnrunnable, NotFound
from ridgeway.plugins import DATASET_PLUGINS, installed
from ridgeway.spec.names import Task
from ridgeway.spec.profiles import DatasetProfile, label_of, resolve_spec
from ridgeway.spec.spec import JobSpec
from workers.data.bundled import bundled_frame
from workers.data.encoding import Encoding, Standardisation, encode, recipe
from workers.data.splits import Splits, split
from workers.optimizers.precision import dtype_of

if TYPE_CHECKING:
    import pandas as pd

Rows = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Fold:
    """One split: rows to train on, rows to judge by."""

    train_inputs: Tensor  # (n, d) standardised by this fold's training rows
    train_targets: Tensor  # (n,) int64 class index, or standardised target of a regression
    valid_inputs: Tensor  # (m, d)
    valid_targets: Tensor  # (m,) int64 class index, or float64 target of a regression, own units
    target_mean: float  # regression: y = target_mean + target_scale * standardised; else 0.0
    target_scale: float  # else 1.0
    valid_groups: Tensor | None = None  # (m,) int64, only with a holdout and groups


@dataclass(frozen=True)
class Prepared:
    """A data set as a job's trials see it. `folds` holds one fold for a holdout."""

    spec: JobSpec  # with target and task filled in, a plug-in's too
    inputs: int
    outputs: int  # 1 for regression and two classes, else the number of classes
    classes: tuple[str, ...]  # in the order of class indices; () for regression
    features: tuple[str, ...]  # encoded columns, d of them
    source_columns: tuple[str, ...]  # the raw column that each encoded one came from
    folds: tuple[Fold, ...]
    _encoding: Encoding = field(repr=False)
    _targets: npt.NDArray[Any] = field(repr=False)  # (rows,)
    _splits: Splits = field(repr=False)
    _dtype: torch.dtype = field(repr=False)

    def development(self) -> Fold:
        """The rows that may be looked at, standardised together, to train on and to judge by."""
        return self._fold(self._splits.development, self._splits.development)

    def sealed(self) -> Fold:
        """Train on every development row, judge by the sealed test rows: once, for the answer."""
        return self._fold(self._splits.development, self._splits.test)

    def recipe(self) -> list[dict[str, Any]]:
        """How to make each input of the refitted model from raw columns, as plain JSON."""
        development = self._encoding.values[self._splits.development]
        fitted = Standardisation.fit(development, self._encoding.gaps)
        return recipe(self._encoding, fitted)

    def _fold(self, train: Rows, valid: Rows) -> Fold:
        return _make_fold(self._encoding, self._targets, train, valid, self._dtype)


def offered_datasets() -> set[str]:
    """Names that this worker can load beside uploads: bundled ones and installed plug-ins'."""
    return set(BUNDLED) | installed(DATASET_PLUGINS)


def load_frame(name: str, stored: StoredDataset | None, store: Store) -> pd.DataFrame:
    """The rows of a data set: an upload from the store, else bundled, else a plug-in's.

    JobUnrunnable where the stored table is not the one that was written, or the plug-in fails.
    """
    if stored is not None:
        try:
            data = store.get(stored.address)
        except NotFound as error:
            raise JobUnrunnable(f"Data set '{name}': {error}") from None
        if sha256(data) != stored.stored_checksum:
            raise JobUnrunnable(f"Data set '{name}': the store's '{stored.address}' is damaged.")
        return from_parquet(data).to_pandas()
    if name in BUNDLED:
        return bundled_frame(name)
    entry = next(iter(entry_points(group=DATASET_PLUGINS, name=name)), None)
    if entry is None:
        raise JobUnrunnable(f"No package beside this worker offers the data set '{name}'.")
    try:
        return _plugin_frame(entry.load()())
    except Exception as error:  # a plug-in may raise anything; the job's owner must read it
        kind = type(error).__name__
        raise JobUnrunnable(f"Data set '{name}': the plug-in failed: {kind}: {error}") from error


def _plugin_frame(made: Any) -> pd.DataFrame:
    """A DataFrame as it is; (X, y) arrays as columns x0, x1, ... and `target`."""
    import pandas as pd

    if isinstance(made, pd.DataFrame):
        return made
    if not isinstance(made, tuple) or len(made) != 2:
        raise TypeError(f"must return a DataFrame or (X, y), not {type(made).__name__}")
    inputs, target = (np.asarray(array) for array in made)
    if inputs.ndim != 2 or target.ndim != 1 or len(inputs) != len(target):
        shapes = f"{inputs.shape} and {target.shape}"
        raise ValueError(f"X must be (rows, columns) and y (rows,); met shapes {shapes}")
    frame = pd.DataFrame(inputs, columns=[f"x{index}" for index in range(inputs.shape[1])])
    return frame.assign(target=target)


def prepare(spec: JobSpec, frame: pd.DataFrame, dtype: torch.dtype | None = None) -> Prepared:
    """Split and encode a data set for a job; JobUnrunnable says what can't be done and why.

    The spec's target and task are told from the data where they are not given.
    """
    frame, profile = canonical_frame(frame, spec.dataset)
    try:
        spec = resolve_spec(spec, profile)
    except InvalidInput as error:
        raise JobUnrunnable(f"Data set '{spec.dataset}' does not fit the job: {error}") from None
    assert spec.target is not None
    assert spec.task is not None
    dtype = dtype or dtype_of(spec)
    targets, classes = _targets(frame[spec.target].to_numpy(), spec.task)
    groups = None if spec.groups is None else _group_indices(frame[spec.groups].to_numpy())
    splits = split(spec, targets, classes, groups)
    raw = frame.drop(columns=[spec.target] + ([spec.groups] if spec.groups else []))
    encoding = encode(raw, splits.development)
    kept_groups = groups if spec.validation.kind == "holdout" else None
    folds = tuple(
        _make_fold(encoding, targets, train, valid, dtype, kept_groups)
        for train, valid in splits.folds
    )
    return Prepared(
        spec=spec,
        inputs=len(encoding.names),
        outputs=len(classes) if len(classes) > 2 else 1,
        classes=classes,
        features=encoding.names,
        source_columns=encoding.sources,
        folds=folds,
        _encoding=encoding,
        _targets=targets,
        _splits=splits,
        _dtype=dtype,
    )


def canonical_frame(frame: pd.DataFrame, name: str) -> tuple[pd.DataFrame, DatasetProfile]:
    """Numbers as float64, all else as text, as uploads are kept; and the profile."""
    import pyarrow as pa

    frame = frame.set_axis([str(column) for column in frame.columns], axis=1)
    try:
        check_names(list(frame.columns))
        table = canonical_table(pa.Table.from_pandas(frame, preserve_index=False))
    except InvalidInput as error:
        raise JobUnrunnable(f"Data set '{name}': {error.errors[0].message}") from None
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise JobUnrunnable(
            f"Data set '{name}' is no table of numbers and texts: {error}"
        ) from None
    return table.to_pandas(), profile_table(table)


def _targets(values: npt.NDArray[Any], task: Task) -> tuple[npt.NDArray[Any], tuple[str, ...]]:
    """Class indices (rows,) and the classes' names in order; or a regression's float64 targets."""
    if task == "regression":
        return values.astype(np.float64), ()
    classes, indices = np.unique(values, return_inverse=True)
    return indices.astype(np.int64), tuple(label_of(value) for value in classes.tolist())


def _group_indices(values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def _make_fold(
    encoding: Encoding,
    targets: npt.NDArray[Any],
    train: Rows,
    valid: Rows,
    dtype: torch.dtype,
    groups: npt.NDArray[np.int64] | None = None,
) -> Fold:
    inputs = Standardisation.fit(encoding.values[train], encoding.gaps)
    mean, scale, kind = 0.0, 1.0, torch.int64
    if targets.dtype == np.float64:  # a regression
        mean, scale = _mean_and_scale(targets[train])
        kind = dtype
    train_targets = (targets[train] - mean) / scale if kind is dtype else targets[train]
    return Fold(
        train_inputs=torch.as_tensor(inputs.apply(encoding.values[train]), dtype=dtype),
        train_targets=torch.as_tensor(train_targets, dtype=kind),
        valid_inputs=torch.as_tensor(inputs.apply(encoding.values[valid]), dtype=dtype),
        valid_targets=torch.as_tensor(targets[valid]),
        target_mean=mean,
        target_scale=scale,
        valid_groups=None if groups is None else torch.as_tensor(groups[valid]),
    )


def _mean_and_scale(targets: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Mean and standard deviation (ddof 0), 1 for a constant, as scikit-learn's scaler has them."""
    scaler = StandardScaler().fit(targets[:, None])
    return float(np.asarray(scaler.mean_)[0]), float(np.asarray(scaler.scale_)[0])
