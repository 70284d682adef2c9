"""A job's search space in Optuna's distributions: what samplers draw from and studies hold."""

from __future__ import annotations

from functools import lru_cache

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    json_to_distribution,
)

from ridgeway.spec.dimensions import Dimension, Range
from ridgeway.spec.space import dimensions
from ridgeway.spec.spec import JobSpec


def search_space(
    spec: JobSpec, strength_range: tuple[float, float] | None
) -> dict[str, BaseDistribution]:
    """Return every parameter's distribution, in the order in which samplers draw them.

    strength_range: lowest and highest λ that `"lambda": "auto"` stands for; None where λ is given.
    """
    space: dict[str, BaseDistribution] = {
        "penalty": CategoricalDistribution(tuple(spec.search.penalty))
    }
    for name, dimension in dimensions(spec.search).items():
        if isinstance(dimension, str):
            assert strength_range is not None, "an automatic λ range is part of the job's plan"
            low, high = strength_range
            dimension = Range(low=low, high=high, log=True)
        space[name] = distribution_of(dimension)
    return space


def distribution_of(dimension: Dimension) -> BaseDistribution:
    """Return a range, choices, or one number as an empty range."""
    if isinstance(dimension, Range):
        return FloatDistribution(dimension.low, dimension.high, log=dimension.log)
    if isinstance(dimension, list):
        return CategoricalDistribution(tuple(dimension))
    return FloatDistribution(dimension, dimension)


@lru_cache(maxsize=1024)
def read_distribution(text: str) -> BaseDistribution:
    """Return the distribution that Optuna wrote as JSON."""
    return json_to_distribution(text)
