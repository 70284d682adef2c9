"""From raw columns to inputs: one-hot categories, medians for missing numbers, standardised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from torch import Tensor

from workers.data.matrix import Matrix
from workers.data.splits import Positions

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
ColumnKind: TypeAlias = Literal["number", "category"]
ROWS_AT_ONCE = 2**14  # that are standardised
FITTED_NUMBERS = 2**21  # of columns whose statistics are taken together
LARGEST = 1e30  # an outlier of a column that is constant in training must not become infinite


@dataclass(frozen=True)
class Encoding:
    """Every row in encoded columns, before any statistic: missing numbers are still NaN."""

    values: Floats | Matrix  # (rows, d)
    names: tuple[str, ...]
    sources: tuple[str, ...]  # the raw column of each encoded one
    gaps: Positions  # columns with NaN in any row


def column_kind(dtype: Any) -> ColumnKind:
    """Return what a column of a canonical table holds, by its type in pandas."""
    return "number" if dtype.kind == "f" else "category"


def encode(frame: pd.DataFrame, development: Positions) -> Encoding:
    """Lay the columns out once, by the development rows (positions in `frame`).

    Numbers first, then a column `x missing` for each that is missing in a development row, then
    a column `x=level` for each level of a category; a missing category is a level of its own, a
    level that only sealed rows hold is no column.
    """
    is_number = [column_kind(dtype) == "number" for dtype in frame.dtypes]
    numbers = [name for name, yes in zip(frame.columns, is_number, strict=True) if yes]
    categories = [name for name, yes in zip(frame.columns, is_number, strict=True) if not yes]
    values = frame[numbers].to_numpy(np.float64)
    missing = np.isnan(values)
    gaps = np.flatnonzero(missing[development].any(axis=0))
    parts = [values, missing[:, gaps].astype(np.float64)]
    levels: dict[str, Sequence[str | None]] = {}
    if categories:
        columns = frame[categories]
        texts = np.where(columns.isna(), np.array(None, object), columns.astype(object))
        encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
        encoder.fit(texts[development])
        parts.append(np.asarray(encoder.transform(texts), np.float64))
        levels = dict(zip(categories, map(list, encoder.categories_), strict=True))
    incomplete = np.flatnonzero(missing.any(axis=0))  # numbers come first
    parts = [part for part in parts if part.shape[1]]
    joined = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
    return Encoding(joined, *names_and_sources(numbers, gaps, levels), incomplete)


def names_and_sources(
    numbers: Sequence[str], gaps: Positions, levels: Mapping[str, Sequence[str | None]]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the encoded columns and the raw one of each, as `encode` lays them out.

    gaps: which of the numbers have a column for being missing. levels: of each category.
    """
    names = [*numbers, *(f"{numbers[index]} missing" for index in gaps)]
    sources = [*numbers, *(numbers[index] for index in gaps)]
    for name, own in levels.items():
        names += [f"{name} missing" if level is None else f"{name}={level}" for level in own]
        sources += [name] * len(own)
    return tuple(names), tuple(sources)


def even(weights: Floats | None) -> Floats | None:
    """Return weights (n,) that are 1 on average, as all are without any."""
    return None if weights is None else weights / weights.mean()


@dataclass(frozen=True)
class Standardisation:
    """Medians, means and deviations (ddof 0) of some rows; a constant column has scale 1."""

    gaps: Positions  # columns with missing values
    medians: Floats  # of these columns, which fill their gaps
    scaler: StandardScaler

    @classmethod
    def fit(
        cls, values: Floats, rows: Positions, gaps: Positions, weights: Floats | None
    ) -> Standardisation:
        """Fit to these rows of the values alone; `gaps` are the columns that miss any of them.

        weights (n,) above 0, of each row in every statistic; None where all weigh the same.
        """
        medians: list[Floats] = []
        scalers: list[StandardScaler] = []
        count = _parts(len(rows), values.shape[1]) if weights is None else 1
        for columns in np.array_split(np.arange(values.shape[1]), count):
            part = slice(columns[0], columns[-1] + 1) if len(columns) else slice(0)
            own = np.flatnonzero(np.isin(columns, gaps))
            copy = values[rows, part]
            medians.append(medians_of(copy[:, own], weights))
            copy = filled(copy, own, medians[-1])
            scalers.append(StandardScaler().fit(copy, sample_weight=even(weights)))
        return cls(gaps, np.concatenate(medians), _joined(scalers))

    def apply(self, values: Floats) -> Floats:
        """Standardise any rows (m, d) by the fitted ones."""
        whole = filled(values, self.gaps, self.medians)
        return np.clip(np.asarray(self.scaler.transform(whole)), -LARGEST, LARGEST)

    def apply_in_place(self, values: Floats) -> None:
        """Standardise values (m, d) where they are: the same bits as `apply` gives."""
        if len(self.gaps):
            values[:] = filled(values, self.gaps, self.medians)
        np.subtract(values, np.asarray(self.scaler.mean_), out=values)
        np.divide(values, np.asarray(self.scaler.scale_), out=values)
        np.clip(values, -LARGEST, LARGEST, out=values)

    def tensor(self, values: Floats, rows: Positions, dtype: torch.dtype) -> Tensor:
        """Standardise these rows of the values, (m, d), with no other copy of all of them."""
        found = torch.empty(len(rows), values.shape[1], dtype=dtype)
        for start in range(0, len(rows), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            own = values[rows[part]]  # a copy
            self.apply_in_place(own)
            found[part] = torch.from_numpy(own)
        return found


def _parts(rows: int, columns: int) -> int:
    """Return in how many parts the columns' statistics are taken, each of a copy of its own.

    Two columns at least in each: sums of one alone are rounded in another order.
    """
    return max(1, min(columns // 2, -(-rows * columns // FITTED_NUMBERS)))


def _joined(scalers: Sequence[StandardScaler]) -> StandardScaler:
    """Return the scaler of the columns of all these, of the same rows."""
    found = StandardScaler()
    found.n_samples_seen_ = scalers[0].n_samples_seen_
    for name in ("mean_", "var_", "scale_"):
        setattr(found, name, np.concatenate([getattr(own, name) for own in scalers]))
    return found


def medians_of(values: Floats, weights: Floats | None) -> Floats:
    """Return the medians (d,) of what is there of values (n, d); 0 of columns without any."""
    if not values.shape[1]:
        return np.zeros(0)
    median = _median if weights is None else partial(_weighted_median, weights=weights)
    return np.array([median(column) for column in values.T])


def _median(values: Floats) -> float:
    """Return the median of what is there; 0 of a column that has nothing, as its mean will be."""
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else 0.0


def _weighted_median(values: Floats, weights: Floats) -> float:
    """Return what half of the weight (n,) lies below: the median of rows repeated by weights.

    Where exactly half of it lies below one value, the middle between that and the next.
    """
    there = ~np.isnan(values)
    if not there.any():
        return 0.0
    known, own = values[there], weights[there]
    low, high = (
        sign * np.quantile(sign * known, 0.5, weights=own, method="inverted_cdf")
        for sign in (1, -1)
    )
    return float(low + (high - low) / 2)


def filled(values: Floats, gaps: Positions, medians: Floats) -> Floats:
    """Return values (n, d) with the medians in the gaps of these columns."""
    if not len(gaps):
        return values
    values = values.copy()
    values[:, gaps] = np.where(np.isnan(values[:, gaps]), medians, values[:, gaps])
    return values


def recipe(encoding: Encoding, standardisation: Standardisation) -> list[dict[str, Any]]:
    """Return how to make each input from raw columns, as plain JSON: (x - mean) / scale.

    x is the source column's number, `fill` where that is missing; or, where there is a `level`, 1
    in rows that hold it and else 0 (a null level: in rows where the source column is missing).
    """
    fitted = standardisation
    fills = dict(zip(fitted.gaps.tolist(), fitted.medians.tolist(), strict=True))
    means = np.asarray(fitted.scaler.mean_).tolist()
    scales = np.asarray(fitted.scaler.scale_).tolist()
    columns: list[dict[str, Any]] = []
    for index, (name, source) in enumerate(zip(encoding.names, encoding.sources, strict=True)):
        column: dict[str, Any] = {"name": name, "source": source}
        if name != source:
            missing = name == f"{source} missing"
            column["level"] = None if missing else name.removeprefix(f"{source}=")
        elif index in fills:
            column["fill"] = fills[index]
        columns.append({**column, "mean": means[index], "scale": scales[index]})
    return columns
