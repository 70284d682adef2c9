"""When a search may end: as further trials are expected to gain less than its folds could show.

By a rule of thumb, for whatever sampler. Of independent draws from a distribution with a thin tail,
each doubling of their number lowers the best one by about the same amount, or by less; so the last
doubling tells what the next will gain.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from optuna.distributions import BaseDistribution

from workers.sampling.axes import Floats, Indices
from workers.sampling.floors import floor_of_each

FEWEST = 20  # complete trials, below which nothing is expected of the next ones
TRIED = 10  # trials of each penalty, or its floor if that is less
NEAREST = 11  # trials, the best included, whose folds tell what a difference is worth
SHARE = 0.1  # of the paired standard error, which is not worth going on for


@dataclass(frozen=True)
class Prospect:
    """The gain that the rest of a budget is expected to bring, and what folds could show."""

    gain: float
    error: float  # standard error of the paired difference between trials near the best

    @property
    def is_spent(self) -> bool:
        """Return True where going on is not worth it."""
        return self.gain <= SHARE * self.error


def tried_enough(space: Mapping[str, BaseDistribution], trials: int, ended: Indices) -> bool:
    """Return True where each penalty has had its floor, or ten trials; ended (penalties,)."""
    return bool((ended >= np.minimum(TRIED, floor_of_each(space, trials))).all())


def expected_gain(losses: Floats, doublings: float) -> float:
    """Return by how much further trials are expected to lower the best of `losses` (n,).

    losses are in the order of trials. doublings: log2 of how many times as many trials there will
    be. The last doubling's gain is the larger of two: that of the second half over the first, and
    its mean over all ways to part the trials in halves, Σ_j 2^-j (x_(j) - x_(1)) over the sorted
    losses, which owes nothing to the luck of their order. Equal ones count once there: samplers
    propose a configuration again where there are few.
    """
    ordered = np.unique(losses)[:60]
    of_any_half = float(((ordered - ordered[0]) * 0.5 ** np.arange(1, len(ordered) + 1)).sum())
    of_this_half = float(losses[: max(1, len(losses) // 2)].min() - ordered[0])
    return max(of_any_half, of_this_half) * doublings


def doublings(ended: int, trials: int) -> float:
    """Return how often the number of trials doubles until the budget is spent."""
    return math.log2(max(trials, ended) / ended)


def nearest(losses: Floats) -> Indices:
    """Return the indices of the best of `losses` (n,) and those next to it, one of each value."""
    return np.unique(losses, return_index=True)[1][:NEAREST]
