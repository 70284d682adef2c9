"""Calibration: rows in bins of about equal size by what is predicted, and what they are."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ridgeway.answers import Interval
from ridgeway.shown import CalibrationBin
from workers.answer.shown.parts import short
from workers.answer.shown.roc import NORMAL, Floats, Judged

BINS = 10
FEWEST = 20  # rows in a bin


def calibration(predicted: Floats, rows: Judged, *, shares: bool) -> list[CalibrationBin]:
    """Return the bins, by the quantiles of what is predicted, those that have rows.

    shares: the truth is 0 or 1, and intervals are Wilson's; else they are of a mean.
    """
    count = max(1, min(BINS, len(predicted) // FEWEST))
    edges = np.quantile(predicted, np.linspace(0, 1, count + 1))
    place = np.searchsorted(edges[1:-1], predicted)  # as scikit-learn's calibration_curve has them
    return [_bin(predicted, rows, place == own, shares) for own in np.unique(place)]


def wilson(share: float, rows: float) -> Interval:
    """Return the 95 % interval of a share of so many rows (Wilson 1927)."""
    squared = NORMAL**2 / rows
    centre = (share + squared / 2) / (1 + squared)
    half = NORMAL / (1 + squared) * math.sqrt(share * (1 - share) / rows + squared / (4 * rows))
    return max(0.0, centre - half), min(1.0, centre + half)


def _bin(
    predicted: Floats, rows: Judged, own: npt.NDArray[np.bool_], shares: bool
) -> CalibrationBin:
    weights, truth = rows.counted[own], rows.truth[own]
    observed = float(np.average(truth, weights=weights))
    counted = float(weights.sum() ** 2 / (weights**2).sum())
    if rows.groups is not None:  # rows of a group tell no more than one
        counted = min(counted, float(len(np.unique(rows.groups[own]))))
    interval: Interval | None = wilson(observed, counted) if shares else None
    if not shares and counted > 1:
        spread = float(np.average((truth - observed) ** 2, weights=weights))
        half = NORMAL * math.sqrt(spread / (counted - 1))
        interval = observed - half, observed + half
    return CalibrationBin(
        low=short(float(predicted[own].min())),
        high=short(float(predicted[own].max())),
        predicted=short(float(np.average(predicted[own], weights=weights))),
        observed=short(observed),
        interval=None if interval is None else (short(interval[0]), short(interval[1])),
        rows=int(own.sum()),
    )
