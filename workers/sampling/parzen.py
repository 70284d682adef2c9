"""Parzen estimators as Optuna's TPE builds them, evaluated in one product of matrices.

Every numeric parameter is mapped to [0, 1], a logarithmic one through the logarithm. A kernel is a
product over parameters of truncated normals and of categorical distributions. Its logarithm is
linear in (x², x, 1) and in the one-hot vector of a choice, so the logarithms of all kernels at all
points are one product of matrices.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import ndtr, ndtri

from workers.sampling.axes import Axis, Floats, Indices

FINEST = 100  # a kernel is no narrower than this part of a range
AT_FULL_WEIGHT = 25  # newest observations; older ones fade
LOG_SQRT_2PI = math.log(2 * math.pi) / 2


def recency_weights(ages: Indices, count: int) -> Floats:
    """Return Optuna's default weights: the newest of `count` observations count 1, older ones fade.

    ages: places among them, 0 the oldest.
    """
    fading = count - AT_FULL_WEIGHT
    if fading <= 1:
        return np.where(ages < fading, 1.0 / max(count, 1), 1.0)
    return np.minimum(1.0, 1.0 / count + (1.0 - 1.0 / count) * ages / (fading - 1))


def bandwidths(centres: Floats) -> Floats:
    """Return each centre's distance (n,) to its farther neighbour, at least a part of the range."""
    count = len(centres)
    order = np.argsort(centres, kind="stable")
    gaps = np.diff(centres[order], prepend=0.0, append=1.0)
    widths = np.maximum(gaps[:-1], gaps[1:])
    if count >= 2:  # the ends of the range are no neighbours
        widths[0], widths[-1] = gaps[1], gaps[-2]
    found = np.empty(count)
    found[order] = widths
    return np.clip(found, 1.0 / min(FINEST, 2 + count), 1.0)


class Parzen:
    """A mixture with a kernel for each row (n, d) under weights (n,), and the prior's, the last."""

    def __init__(self, space: Sequence[Axis], rows: Floats, weights: Floats) -> None:
        total = np.append(weights, 1.0)
        self._log_weights = np.log(total / total.sum())
        self._cumulative = np.cumsum(total / total.sum())
        self._columns = [
            _Choices(rows[:, i], d.choices) if d.choices else _Numbers(rows[:, i], d)
            for i, d in enumerate(space)
        ]
        self._coefficients = np.concatenate([c.coefficients for c in self._columns])

    def log_density(self, points: Floats) -> Floats:
        """Return the logarithm of the density (c,) at points (c, d)."""
        columns = list(zip(self._columns, points.T, strict=True))
        features = np.concatenate([c.features(place) for c, place in columns], axis=1)
        kernels = features @ self._coefficients + self._log_weights  # (c, n + 1)
        for column, place in columns:
            if isinstance(column, _Numbers) and column.discrete:
                kernels += column.cell_correction(place)
        top = kernels.max(axis=1)
        # Relative to the largest, single precision is enough, and twelve times as fast where most
        # kernels underflow.
        relative = np.subtract(kernels, top[:, None], dtype=np.float32, casting="same_kind")
        return np.log(np.exp(relative, out=relative).sum(axis=1, dtype=np.float64)) + top

    def sample(self, count: int, generator: np.random.Generator) -> Floats:
        """Draw points (count, d)."""
        kernels = np.searchsorted(self._cumulative, generator.random(count), side="right")
        kernels = np.minimum(kernels, len(self._cumulative) - 1)
        return np.stack([c.sample(kernels, generator) for c in self._columns], axis=1)


class _Numbers:
    """Normal kernels on one axis, truncated to [0, 1]."""

    def __init__(self, column: Floats, axis: Axis) -> None:
        self._centres = np.append(column, 0.5)
        self._widths = np.append(bandwidths(column), 1.0)
        self._below = ndtr(-self._centres / self._widths)
        self._mass = ndtr((1 - self._centres) / self._widths) - self._below
        self._axis = axis
        self.discrete = axis.step > 0
        precision = 0.5 / self._widths**2
        constant = -precision * self._centres**2 - np.log(self._widths * self._mass) - LOG_SQRT_2PI
        self.coefficients = np.stack([-precision, 2 * precision * self._centres, constant])

    def features(self, points: Floats) -> Floats:
        """Return (x², x, 1) of points (c,): (c, 3)."""
        return np.stack([points**2, points, np.ones_like(points)], axis=1)

    def sample(self, kernels: Indices, generator: np.random.Generator) -> Floats:
        """Draw by inversion; every centre lies inside, so that no far tail is met."""
        quantiles = self._below[kernels] + generator.random(len(kernels)) * self._mass[kernels]
        drawn = self._centres[kernels] + self._widths[kernels] * ndtri(quantiles)
        drawn = np.clip(drawn, 0.0, 1.0)
        return self._axis.encode(self._axis.decode(drawn)) if self.discrete else drawn

    def cell_correction(self, points: Floats) -> Floats:
        """Return log mass of a value's cell less log density at the value, (c, n + 1)."""
        left, right = self._axis.cells(points)
        low = (left[:, None] - self._centres) / self._widths
        high = (right[:, None] - self._centres) / self._widths
        # In the left tail a difference of two masses keeps its digits.
        low, high = np.where(low > 0, -high, low), np.where(low > 0, -low, high)
        mass = np.maximum((ndtr(high) - ndtr(low)) / self._mass, np.finfo(float).tiny)
        return np.log(mass) - self.features(points) @ self.coefficients


class _Choices:
    """Categorical kernels on one axis: a row's choice, and a share of the prior for all choices."""

    def __init__(self, column: Floats, choices: int) -> None:
        kernels = len(column) + 1
        weights = np.full((kernels, choices), 1.0 / kernels)
        weights[np.arange(kernels - 1), column.astype(np.intp)] += 1
        weights /= weights.sum(axis=1, keepdims=True)
        self._cumulative = np.cumsum(weights, axis=1)[:, :-1]
        self.coefficients = np.log(weights).T  # (choices, n + 1)

    def features(self, points: Floats) -> Floats:
        """Return the one-hot vectors of points (c,): (c, choices)."""
        return (points[:, None] == np.arange(len(self.coefficients))).astype(float)

    def sample(self, kernels: Indices, generator: np.random.Generator) -> Floats:
        """Draw indices of choices."""
        quantiles = generator.random(len(kernels))
        return (self._cumulative[kernels] < quantiles[:, None]).sum(axis=1).astype(float)
