"""The trials of a path job: its strengths, from the strongest down, with all else fixed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from optuna.distributions import BaseDistribution, FloatDistribution

from ridgeway.spec.spec import JobSpec
from ridgeway.spec.strengths import strengths_within
from workers.sampling.axes import Floats, only_value
from workers.sampling.space import existing


def path_draws(
    spec: JobSpec, space: Mapping[str, BaseDistribution], start: int, count: int
) -> dict[str, Floats]:
    """Return the path's strengths `start` to `start + count`, beside what is fixed."""
    range_ = space["lambda"]
    assert isinstance(range_, FloatDistribution)
    assert spec.strengths is not None, "a path has strengths"
    strengths = strengths_within(spec.strengths, range_.low, range_.high)[start : start + count]
    columns = {
        name: np.array(strengths) if name == "lambda" else np.full(len(strengths), only_value(each))
        for name, each in space.items()
    }
    return dict(existing(space, columns))
