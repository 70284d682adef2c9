"""A population whose configurations a sampler is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from optuna.distributions import BaseDistribution

from workers.sampling.axes import Floats
from workers.sampling.space import existing
from workers.sampling.tpe import Columns, History


@dataclass(frozen=True)
class Request:
    """A population whose configurations are wanted.

    space: the parameters, in order. count: how many configurations. ordinal: the population's place
    in its job, start: how many of the job's trials come before it. seed: the job's. history: reads
    what the study's trials teach, in the order of their numbers. stream: tells apart requests of
    one population that are drawn one after the other.
    """

    space: Mapping[str, BaseDistribution]
    count: int
    ordinal: int
    start: int
    seed: int
    history: Callable[[], History]
    stream: int = 0

    def seeds(self) -> np.random.SeedSequence:
        """Return a seed of the population's own, and of the stream within it."""
        return np.random.SeedSequence([self.seed, self.ordinal, self.stream])

    def generator(self) -> np.random.Generator:
        """Return a generator of the population's own."""
        return np.random.default_rng(self.seeds())

    def existing(self, columns: Columns) -> dict[str, Floats]:
        """Return the columns with NaN where a parameter does not exist beside the penalty."""
        return dict(existing(self.space, columns))


Sampler: TypeAlias = Callable[[Request], dict[str, Floats]]
