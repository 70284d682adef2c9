"""Splits in the order of a column: what is judged always comes after what was trained on.

The last rows are the sealed test set. Those before make one block more than there are folds; fold
i trains on the first i blocks and is judged by the next, as scikit-learn's TimeSeriesSplit does.
Rows of one value stay together, so that a cut moves to the nearest place between two values.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ridgeway.data.dates import microseconds
from ridgeway.errors import JobUnrunnable
from ridgeway.spec.columns import JobKind
from ridgeway.spec.forward import ORDERED
from ridgeway.spec.profiles import held_out
from ridgeway.texts.dates import DATE_KINDS
from workers.data.taking import days_of

Ints = npt.NDArray[np.int64]
Positions = npt.NDArray[np.intp]


def places_in_order(values: npt.NDArray[Any], kind: JobKind | None = None) -> Ints:
    """Return each row's place (rows,) in the order of numbers, or of texts that are dates.

    kind: of dates, where the job tells it; else they are of ISO 8601. Equal values share a place.
    JobUnrunnable where texts are no dates.
    """
    if kind in DATE_KINDS:
        values = days_of(values, kind, "by")
    elif values.dtype.kind != "f":
        dates = microseconds(pa.array(values, type=pa.string()))
        if dates is None:
            raise JobUnrunnable(f"validation.by: holds texts that are not all dates; {ORDERED}")
        values = dates.to_numpy()
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def forward_parts(
    order: Ints, test_fraction: float, folds: int
) -> tuple[Positions, Positions, list[tuple[Positions, Positions]]]:
    """Return positions: development rows, test rows after them, each fold's to train and to judge.

    order (rows,): places from 0 on, of folds + 2 or more different values.
    """
    ends = np.cumsum(np.bincount(order))  # rows up to each place, with it
    stay = len(order) - held_out(len(order), test_fraction)
    last = _cut(ends, stay, folds + 1, len(ends) - 1)
    rows = int(ends[last - 1])
    block = rows // (folds + 1)
    cuts = [0]
    for fold in range(folds):
        wanted = rows - (folds - fold) * block
        cuts.append(_cut(ends, wanted, cuts[-1] + 1, last - folds + fold))
    cuts.append(last)
    parts = [
        (np.flatnonzero(order < cut), np.flatnonzero((order >= cut) & (order < following)))
        for cut, following in pairwise(cuts[1:])
    ]
    return np.flatnonzero(order < last), np.flatnonzero(order >= last), parts


def _cut(ends: Ints, rows: int, least: int, most: int) -> int:
    """Return how many places, from least to most, hold the number of rows nearest to `rows`."""
    return least + int(np.argmin(np.abs(ends[least - 1 : most] - rows)))
