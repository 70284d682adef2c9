"""A job's study in memory, in columns: what a population is proposed from.

The database is read once a population, for what is new, never trial by trial.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from optuna.distributions import BaseDistribution
from sqlalchemy.engine import Connection

from ridgeway.spec.spec import JobSpec
from ridgeway.study.histories import new_lessons
from ridgeway.views import Params
from workers.sampling.gaussian import gaussian_draws
from workers.sampling.parzen import Floats
from workers.sampling.sequences import grid_draws, random_draws, sobol_draws
from workers.sampling.space import existing, params_of
from workers.sampling.table import TrialTable
from workers.sampling.tpe import propose


class Mirror:
    """Follows the study by its trials' ids; what others write into the study is met as well."""

    def __init__(self, spec: JobSpec, study_id: int) -> None:
        self._spec = spec
        self._study_id = study_id
        self._table = TrialTable()
        self._last_id = 0
        self._unfinished: set[int] = set()

    def sync(self, transaction: Connection) -> None:
        """Take in what has come to the study since the last time."""
        for trial in new_lessons(transaction, self._study_id, self._last_id, self._unfinished):
            self._last_id = max(self._last_id, trial.id)
            self._table.put(trial.number, trial.state, trial.value, trial.last_step, trial.params)
            if trial.state.is_finished():
                self._unfinished.discard(trial.id)
            else:
                self._unfinished.add(trial.id)

    def params(self, first_number: int, size: int) -> list[Params]:
        """The configurations of trials that are in the study."""
        return [self._table.params(first_number + index) for index in range(size)]

    def propose(
        self, space: Mapping[str, BaseDistribution], count: int, ordinal: int, start: int
    ) -> list[Params]:
        """The configurations of the job's population `ordinal`, each aware of those before it.

        `start`: how many of the job's trials come before the population's. A grid's last
        population may come out smaller than `count`.
        """
        return params_of(space, self._draws(space, count, ordinal, start))

    def _draws(
        self, space: Mapping[str, BaseDistribution], count: int, ordinal: int, start: int
    ) -> dict[str, Floats]:
        """In the sampler's own way, seeded by the job's seed and the population's place."""
        spec = self._spec
        seeds = np.random.SeedSequence([spec.seed, ordinal])
        if spec.sampler == "random":
            return random_draws(space, count, np.random.default_rng(seeds))
        if spec.sampler == "qmc":
            return sobol_draws(space, start, count, spec.seed)
        if spec.sampler == "grid":
            return grid_draws(space, start, count, spec.seed)
        # In the order of numbers, so that a restarted worker proposes what the old one would have.
        numbers = self._table.comparable(space)
        history = self._table.history(space, numbers, spec.maximise)
        if spec.sampler == "gp":
            seed = int(seeds.generate_state(1)[0])
            return gaussian_draws(history, space, count, seed, lambda drawn: existing(space, drawn))
        generator = np.random.default_rng(seeds)
        return propose(history, space, count, generator, lambda drawn: existing(space, drawn))
