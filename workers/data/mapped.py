"""Rows of a fold that are standardised when they are read: of a file, or many in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, overload

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from workers.data.encoding import Floats, Standardisation, even, filled, medians_of
from workers.data.matrix import Matrix
from workers.data.splits import Positions
from workers.heeding import heed

CELLS_AT_ONCE = 2**15  # that are standardised: they stay in a processor's own cache
ROWS_AT_ONCE = 2**14  # that statistics are taken of
COLUMN_NUMBERS = 2**24  # of columns whose medians are looked for


@dataclass(frozen=True, eq=False)
class LazyRows:
    """Rows (n, d), standardised as they are read: what a fold has in place of a tensor.

    values: of every row, in a file or in memory, where folds share them. rows: positions among
    them. columns: of the values; all by default. Slices, and tensors of places among the rows, give
    tensors, `[:]` that of all of them; `[:, columns]` gives such rows again.
    """

    values: Matrix | Floats
    rows: Positions
    fitted: Standardisation
    dtype: torch.dtype
    columns: Positions | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of rows and of inputs."""
        columns = self.columns
        return len(self.rows), self.values.shape[1] if columns is None else len(columns)

    @property
    def in_file(self) -> bool:
        """Whether each reading of the rows is one of a file."""
        return isinstance(self.values, Matrix)

    def __len__(self) -> int:
        return len(self.rows)

    def numel(self) -> int:
        """Return how many numbers there are."""
        return self.shape[0] * self.shape[1]

    @overload
    def __getitem__(self, index: slice | Tensor) -> Tensor: ...
    @overload
    def __getitem__(self, index: tuple[slice, Tensor]) -> LazyRows: ...
    def __getitem__(self, index: slice | Tensor | tuple[slice, Tensor]) -> Tensor | LazyRows:
        if isinstance(index, tuple):
            _, chosen = index
            known = np.arange(self.values.shape[1]) if self.columns is None else self.columns
            return replace(self, columns=known[chosen.cpu().numpy()])
        rows = self.rows[index if isinstance(index, slice) else index.cpu().numpy()]
        found = torch.empty(len(rows), self.shape[1], dtype=self.dtype)
        at_once = max(1, CELLS_AT_ONCE // self.values.shape[1])
        for start in range(0, len(rows), at_once):
            part = self.values[rows[start : start + at_once]]
            self.fitted.apply_in_place(part)
            own = part if self.columns is None else part[:, self.columns]
            found[start : start + at_once] = torch.from_numpy(own)
        return found


Rows: TypeAlias = Tensor | LazyRows  # (n, d), standardised


def fit_in_one_pass(
    values: Matrix, parts: Sequence[Positions], gaps: Positions, weights: Floats | None
) -> list[Standardisation]:
    """Return the statistics of each part, in one reading of the file.

    parts: rows in ascending order. gaps, weights (rows of the file,): as of `Standardisation.fit`.
    """
    own = [None if weights is None else even(weights[part]) for part in parts]
    medians = [medians_in_file(values, part, gaps, weights) for part in parts]
    sums = [_Moments.none(values.shape[1]) for _ in parts]
    for start in range(0, len(values), ROWS_AT_ONCE):
        heed()
        block = values[start : start + ROWS_AT_ONCE]
        for place, (part, weight, fills) in enumerate(zip(parts, own, medians, strict=True)):
            first, last = np.searchsorted(part, [start, start + len(block)])
            if first < last:
                met = filled(block[part[first:last] - start], gaps, fills)
                shares = None if weight is None else weight[first:last]
                sums[place] = sums[place].joined(_Moments.of(met, shares))
    scalers = [each.scaler() for each in sums]
    return [Standardisation(gaps, *each) for each in zip(medians, scalers, strict=True)]


@dataclass(frozen=True)
class _Moments:
    """The weight of some rows, their means (d,), and sums of squares about these (d,)."""

    weight: float
    means: Floats
    squares: Floats

    @classmethod
    def none(cls, columns: int) -> _Moments:
        return cls(0.0, np.zeros(columns), np.zeros(columns))

    @classmethod
    def of(cls, values: Floats, weights: Floats | None) -> _Moments:
        """Return those of rows (n, d); weights (n,), all 1 by default."""
        shares = np.ones(len(values)) if weights is None else weights
        away = values - values[0]  # a constant column is exactly 0
        means = shares @ away / shares.sum()
        away -= means
        return cls(float(shares.sum()), values[0] + means, shares @ np.square(away, out=away))

    def joined(self, other: _Moments) -> _Moments:
        """Return those of both sets of rows. Source: Chan, Golub & LeVeque (1979)."""
        total = self.weight + other.weight
        apart = other.means - self.means
        squares = self.squares + other.squares + apart**2 * (self.weight * other.weight / total)
        return _Moments(total, self.means + apart * (other.weight / total), squares)

    def scaler(self) -> StandardScaler:
        """Return the scaler that scikit-learn would have fitted to the rows in memory."""
        found = StandardScaler()
        variances = self.squares / self.weight
        # Its bound of what rounding may have left of a constant column.
        rounding = np.finfo(np.float64).eps
        bound = self.weight * rounding * variances + (self.weight * self.means * rounding) ** 2
        found.mean_, found.var_, found.n_samples_seen_ = self.means, variances, self.weight
        found.scale_ = np.where(variances <= bound, 1.0, np.sqrt(variances))
        return found


def medians_in_file(
    values: Matrix, rows: Positions, columns: Positions, weights: Floats | None
) -> Floats:
    """Return the medians of columns over these rows, some columns at a time."""
    own = None if weights is None else weights[rows]
    found: list[Floats] = []
    at_once = max(1, COLUMN_NUMBERS // max(1, len(rows)))
    for start in range(0, len(columns), at_once):
        heed()
        found.append(medians_of(values[np.ix_(rows, columns[start : start + at_once])], own))
    return np.concatenate(found) if found else np.zeros(0)
