"""ROC curves thinned for pictures, and intervals of the area under them."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_curve

from ridgeway.answers import Interval

Floats = npt.NDArray[np.float64]
NORMAL = 1.959963984540054  # the 97.5 % quantile


@dataclass(frozen=True)
class Judged:
    """Rows with what they are, and by how much they count.

    truth (n,): 1 for the class, else 0, or numbers. weights (n,), groups (n,): None where all count
    alike, and each for itself.
    """

    truth: Floats
    weights: Floats | None
    groups: npt.NDArray[np.int64] | None

    @property
    def counted(self) -> Floats:
        """The weights, ones by default."""
        return np.ones(len(self.truth)) if self.weights is None else self.weights


def curve(scores: Floats, rows: Judged, most: int) -> tuple[Floats, Floats]:
    """Return false and true positive rates at most so many thresholds, evenly along the curve."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a side without rows: its rates are NaN, and told so
        false, true, _ = roc_curve(rows.truth, scores, sample_weight=rows.weights)
    if len(false) <= most or not (np.isfinite(false).all() and np.isfinite(true).all()):
        return false, true
    along = (false + true) / 2
    kept = np.unique(np.searchsorted(along, np.linspace(0, along[-1], most)))
    kept[0], kept[-1] = 0, len(along) - 1
    return false[kept], true[kept]


def area(scores: Floats, rows: Judged) -> tuple[float, Interval | None] | None:
    """Return the area under the curve and its 95 % interval; None where a side has no rows.

    The variance is DeLong, DeLong & Clarke-Pearson's (1988), of groups Obuchowski's (1997); the
    interval is symmetric in log odds, and None at 0 and 1, where there is no variance.
    """
    positive, weights = rows.truth > 0, rows.counted
    if positive.all() or not positive.any():
        return None
    placed = _placements(scores, positive, weights)
    total = np.where(positive, weights[positive].sum(), weights[~positive].sum())
    own = float(np.average(placed[positive], weights=weights[positive]))
    parts = weights * (placed - own) / total
    if rows.groups is None:
        count = np.where(positive, positive.sum(), (~positive).sum())
        # Of one row on a side there is no variance to be known.
        variance = float((parts**2 * count / np.maximum(count - 1, 1)).sum())
        known = min(positive.sum(), (~positive).sum()) > 1
    else:
        _, unit = np.unique(rows.groups, return_inverse=True)
        sums = np.bincount(unit, parts)
        variance = float((sums**2).sum()) * len(sums) / max(len(sums) - 1, 1)
        known = len(sums) > 1
    if not (known and 0 < own < 1 and variance > 0):
        return own, None
    centre, half = math.log(own / (1 - own)), NORMAL * math.sqrt(variance) / (own * (1 - own))
    return own, (_expit(centre - half), _expit(centre + half))


def _placements(scores: Floats, positive: npt.NDArray[np.bool_], weights: Floats) -> Floats:
    """Return of each row the share of the other side that it is in order with, ties a half."""
    placed = np.zeros(len(scores))
    for side in (positive, ~positive):
        order = np.argsort(scores[~side], kind="stable")
        others = scores[~side][order]
        below = np.concatenate([[0.0], np.cumsum(weights[~side][order])])
        left, right = (np.searchsorted(others, scores[side], where) for where in ("left", "right"))
        placed[side] = (below[left] + below[right]) / 2 / below[-1]
    placed[~positive] = 1 - placed[~positive]
    return placed


def _expit(value: float) -> float:
    return 1 / (1 + math.exp(-value))
