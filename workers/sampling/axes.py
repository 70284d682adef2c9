"""Parameters as axes of the unit cube, and the columns that samplers compute with."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

Floats: TypeAlias = NDArray[np.float64]
Indices: TypeAlias = NDArray[np.intp]


@dataclass(frozen=True)
class Axis:
    """A parameter as samplers see it: places in [0, 1], or indices of `choices` choices.

    A discrete number lies in the middle of a cell that is `step` wide; 0 for a continuous one.
    """

    name: str
    distribution: BaseDistribution
    choices: int
    low: float
    high: float
    log: bool
    step: float

    @classmethod
    def of(cls, name: str, distribution: BaseDistribution) -> Axis:
        """Lay out an axis for Optuna's distribution."""
        if isinstance(distribution, CategoricalDistribution):
            return cls(name, distribution, len(distribution.choices), 0.0, 1.0, False, 0.0)
        assert isinstance(distribution, FloatDistribution | IntDistribution)
        step = float(distribution.step or 0)
        low, high = distribution.low - step / 2, distribution.high + step / 2
        if distribution.log:
            low, high = math.log(low), math.log(high)
        return cls(name, distribution, 0, low, high, distribution.log, step)

    def encode(self, column: Floats) -> Floats:
        """Return places of values in Optuna's internal representation; NaN where out of range."""
        if self.choices:
            return column
        with np.errstate(invalid="ignore", divide="ignore"):
            places = self._place(column)
        return np.where((places < -1e-9) | (places > 1 + 1e-9), math.nan, np.clip(places, 0, 1))

    def _place(self, column: Floats) -> Floats:
        return ((np.log(column) if self.log else column) - self.low) / (self.high - self.low)

    def decode(self, column: Floats) -> Floats:
        """Return values at places, on the grid of steps, in Optuna's internal representation."""
        if self.choices:
            return column
        assert isinstance(self.distribution, FloatDistribution | IntDistribution)
        low, high = self.distribution.low, self.distribution.high
        values = self.low + column * (self.high - self.low)
        values = np.exp(values) if self.log else values
        if self.step:
            values = low + np.round((values - low) / self.step) * self.step
        return np.clip(values, low, high)

    def cells(self, column: Floats) -> tuple[Floats, Floats]:
        """Return the ends of the cells in which discrete values lie."""
        values, half = self.decode(column), self.step / 2
        return self._place(values - half), self._place(values + half)

    def spread(self, quantiles: Floats) -> Floats:
        """Turn uniform numbers in [0, 1) into uniform draws of places or choices."""
        if self.choices:
            return np.minimum(np.floor(quantiles * self.choices), self.choices - 1)
        return self.encode(self.decode(quantiles)) if self.step else quantiles


def only_value(distribution: BaseDistribution) -> float:
    """Return a single-valued distribution's value in Optuna's internal representation."""
    return float(getattr(distribution, "low", 0.0))  # the index of the only choice is 0
