"""A job's study in memory, in columns, from which populations are proposed.

The database is read once a population, for what is new, never trial by trial.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from optuna.distributions import BaseDistribution
from sqlalchemy.engine import Connection

from ridgeway.answers import Params
from ridgeway.spec.spec import JobSpec
from ridgeway.study.histories import new_lessons
from workers.sampling.request import Request
from workers.sampling.samplers import LEARNING, SAMPLERS
from workers.sampling.space import external_params
from workers.sampling.strengths import path_draws, strengths_of
from workers.sampling.table import TrialTable
from workers.sampling.tpe import History


class Mirror:
    """A copy of a study that follows it by its trials' ids, whoever writes into it."""

    def __init__(self, spec: JobSpec, study_id: int) -> None:
        self._spec = spec
        self._study_id = study_id
        self.table = TrialTable()
        self._last_id = 0
        self._unfinished: set[int] = set()

    @property
    def learns(self) -> bool:
        """Whether what is proposed depends on what is in the study."""
        return self._spec.kind != "path" and self._spec.sampler in LEARNING

    def sync(self, transaction: Connection) -> None:
        """Read what has come to the study since the last time."""
        for trial in new_lessons(transaction, self._study_id, self._last_id, self._unfinished):
            self._last_id = max(self._last_id, trial.id)
            self.table.put(trial.number, trial.state, trial.value, trial.last_step, trial.params)
            if trial.state.is_finished():
                self._unfinished.discard(trial.id)
            else:
                self._unfinished.add(trial.id)

    def params(self, first_number: int, size: int) -> list[Params]:
        """Return the configurations of trials that are in the study."""
        return [self.table.params(first_number + index) for index in range(size)]

    def propose(
        self,
        space: Mapping[str, BaseDistribution],
        count: int,
        ordinal: int,
        start: int,
        placed: Sequence[float] = (),
    ) -> list[Params]:
        """Propose configurations for the job's population `ordinal`, each aware of those before it.

        start: how many of the job's trials come before the population's. A grid's last
        population may come out smaller than `count`. placed: a path's strengths, where they are
        not evenly spaced.
        """
        if self._spec.kind == "path":
            strengths = strengths_of(self._spec, space, placed)[start : start + count]
            return external_params(space, path_draws(space, strengths))
        history = partial(self._history, space)
        request = Request(space, count, ordinal, start, self._spec.seed, history)
        return external_params(space, SAMPLERS[self._spec.sampler](request))

    def _history(self, space: Mapping[str, BaseDistribution]) -> History:
        """Return what comparable trials teach, in the order of their numbers.

        In that order a restarted worker proposes what the old one would have.
        """
        numbers = self.table.comparable(space)
        return self.table.history(space, numbers, self._spec.maximise)
