"""Samplers that look at no history: random, quasi-random (Sobol) and the grid.

A place in the sequence is a trial's place in its job's budget, so that workers share one sequence.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from optuna.distributions import BaseDistribution
from scipy.stats.qmc import Sobol

from ridgeway.spec.space import exists_beside
from workers.sampling.axes import Axis, Floats, only_value
from workers.sampling.space import existing, penalties


def random_draws(
    space: Mapping[str, BaseDistribution], count: int, generator: np.random.Generator
) -> dict[str, Floats]:
    """Draw `count` configurations independently and uniformly, as Optuna's RandomSampler does."""
    return _spread(space, generator.random((count, len(space))))


def sobol_draws(
    space: Mapping[str, BaseDistribution], start: int, count: int, seed: int
) -> dict[str, Floats]:
    """Return points `start` to `start + count` of the scrambled Sobol sequence of this seed.

    Choices are stretches of their coordinate, and a coordinate whose parameter does not exist is
    passed over. (Optuna's QMCSampler draws choices and conditional parameters at random.)
    """
    sequence = Sobol(len(space), scramble=True, rng=seed)
    if start == 0:  # SciPy warns where a sequence begins with less than a power of two
        return _spread(space, sequence.random_base2(count.bit_length())[:count])
    return _spread(space, sequence.fast_forward(start).random(count))


def _spread(space: Mapping[str, BaseDistribution], quantiles: Floats) -> dict[str, Floats]:
    columns = {
        name: np.full(len(row), only_value(each))
        if each.single()
        else _spread_over(Axis.of(name, each), row)
        for (name, each), row in zip(space.items(), quantiles.T, strict=True)
    }
    return dict(existing(space, columns))


def _spread_over(axis: Axis, quantiles: Floats) -> Floats:
    return axis.decode(axis.spread(quantiles))


def grid_draws(
    space: Mapping[str, BaseDistribution], start: int, count: int, seed: int
) -> dict[str, Floats]:
    """Return points `start` to `start + count` of the grid, in an order that the seed shuffles.

    Each penalty has the product of the choices of the parameters that exist beside it.
    """
    order = np.random.default_rng(seed).permutation(points_of_grid(space))[start : start + count]
    columns = {name: np.full(len(order), np.nan) for name in space}
    first = 0
    for index, penalty in enumerate(penalties(space)):
        choices = _choices(space, penalty)
        shape = tuple(choices.values())
        size = int(np.prod(shape, dtype=np.int64))
        mine = (order >= first) & (order < first + size)
        places = np.unravel_index(order[mine] - first, shape)
        columns["penalty"][mine] = index
        for name, place in zip(choices, places, strict=True):
            columns[name][mine] = (
                only_value(space[name]) if space[name].single() else place.astype(float)
            )
        first += size
    return columns


def points_of_grid(space: Mapping[str, BaseDistribution]) -> int:
    """Return how many points the grid has."""
    sizes = [tuple(_choices(space, penalty).values()) for penalty in penalties(space)]
    return sum(int(np.prod(shape, dtype=np.int64)) for shape in sizes)


def _choices(space: Mapping[str, BaseDistribution], penalty: str) -> dict[str, int]:
    """Return how many choices each parameter has that exists beside the penalty."""
    return {
        name: len(getattr(each, "choices", (None,)))
        for name, each in space.items()
        if name != "penalty" and exists_beside(penalty, name)
    }
