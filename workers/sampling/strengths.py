"""The trials of a path job: its strengths, from the strongest down, with all else fixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from optuna.distributions import BaseDistribution, FloatDistribution

from ridgeway.spec.spec import JobSpec
from ridgeway.spec.strengths import strengths_within
from workers.sampling.axes import Floats, only_value
from workers.sampling.space import existing


def strengths_of(
    spec: JobSpec, space: Mapping[str, BaseDistribution], placed: Sequence[float] = ()
) -> Sequence[float]:
    """Return a path's strengths: those that were placed, or else as the spec has them."""
    range_ = space["lambda"]
    assert isinstance(range_, FloatDistribution)
    assert spec.strengths is not None, "a path has strengths"
    return placed or strengths_within(spec.strengths, range_.low, range_.high)


def path_draws(
    space: Mapping[str, BaseDistribution], strengths: Sequence[float]
) -> dict[str, Floats]:
    """Return these strengths beside what is fixed."""
    columns = {
        name: np.array(strengths) if name == "lambda" else np.full(len(strengths), only_value(each))
        for name, each in space.items()
    }
    return dict(existing(space, columns))
