"""Paired comparisons: what differences over folds and over sealed rows can be claimed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from ridgeway.answers import Interval

LEVEL = 0.95
POWER = 0.8
LEAST_ROWS = 100  # sealed ones, below which nothing is claimed


@dataclass(frozen=True)
class Paired:
    """A mean of paired differences, its interval, two-sided p, and the least that would show.

    detectable: the true difference that is found at this level with a power of 80 %.
    """

    difference: float
    interval: Interval
    p: float
    detectable: float
    folds: int

    @property
    def found(self) -> bool:
        """Return whether the difference is above 0, at a level of 5 %."""
        return self.interval[0] > 0


def corrected_test(differences: np.ndarray, valid_share: float) -> Paired:
    """Test the mean of differences (K,) over (repeated) folds against 0.

    valid_share: validation rows over training rows. Folds share training rows, so that a plain t
    is too sure: the variance of the mean is (1/K + valid_share) times that of the differences, with
    K - 1 degrees of freedom (Nadeau & Bengio, Inference for the Generalization Error, 2003).
    """
    count, mean = len(differences), float(differences.mean())
    error = math.sqrt(1 / count + valid_share) * float(differences.std(ddof=1))
    law = stats.t(count - 1)
    half = float(law.ppf((1 + LEVEL) / 2)) * error
    ratio = abs(mean) / error if error > 0 else math.inf if mean else 0.0
    p = 2 * float(law.sf(ratio))
    power = float(law.ppf(POWER)) * error
    return Paired(mean, (mean - half, mean + half), p, half + power, count)


def corrected_interval(values: np.ndarray, valid_share: float) -> Interval:
    """Return the interval of a mean over (repeated) folds (K,), with the same correction."""
    return corrected_test(values, valid_share).interval


def percentile_interval(replicates: np.ndarray, level: float) -> Interval | None:
    """Return the middle of a bootstrap's replicates (R,); None where hardly any has a value."""
    finite = replicates[np.isfinite(replicates)]
    if len(finite) < 20:
        return None
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
