"""Population TPE as a sampler of Optuna's, for studies outside of Ridgeway as well."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.samplers import BaseSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from workers.sampling.axes import Floats
from workers.sampling.table import TrialTable
from workers.sampling.tpe import PENDING, STARTUP, History, propose


class PopulationTPESampler(BaseSampler):
    """TPE that reads a trial once, and asks of a study of any size cost the same.

    Its draws are those of TPESampler(multivariate=True, group=True, constant_liar=True) in
    distribution, save that failed trials count as bad ones. One objective, one study a sampler.

        study = optuna.create_study(sampler=PopulationTPESampler(seed=0))
        study.optimize(objective, n_trials=100)
    """

    def __init__(self, *, seed: int | None = None) -> None:
        self._generator = np.random.default_rng(seed)
        self._table = TrialTable()
        self._open: set[int] = set()  # trials that had not ended when they were read
        self._space: dict[str, BaseDistribution] = {}
        self._drawn: dict[int, dict[str, Any]] = {}  # parameters of trials that still run

    def propose(
        self, study: Study, space: Mapping[str, BaseDistribution], count: int
    ) -> dict[str, Floats]:
        """Draw `count` configurations at once, as columns in Optuna's internal representation.

        Every parameter of the space is drawn; those that don't exist beside others are for the
        caller to leave.
        """
        self._follow(study)
        return propose(self._history(study, space), space, count, self._generator)

    def reseed_rng(self) -> None:
        """Draw otherwise than the sampler that this one is a copy of in another process."""
        self._generator = np.random.default_rng()

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return every parameter that a finished trial has had, as it had it last."""
        self._follow(study)
        return {name: each for name, each in self._space.items() if not each.single()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draw all of them; those that a trial does not have are never asked for."""
        history = self._history(study, search_space, but=trial.number)
        if not search_space or _finished(history) < STARTUP:
            return {}
        drawn = propose(history, search_space, 1, self._generator)
        params = {
            name: distribution.to_external_repr(float(drawn[name][0]))
            for name, distribution in search_space.items()
        }
        self._drawn[trial.number] = params
        return params

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Draw a parameter that no finished trial has had, or one of the first trials'."""
        space = {param_name: param_distribution}
        self._follow(study)
        history = self._history(study, space, but=trial.number)
        drawn = propose(history, space, 1, self._generator)
        return param_distribution.to_external_repr(float(drawn[param_name][0]))

    def _follow(self, study: Study) -> None:
        """Read what has come to the study; trials that have ended are never read again."""
        if len(study.directions) != 1:
            raise ValueError("PopulationTPESampler takes studies with one objective")
        trials = study.get_trials(deepcopy=False)  # in the order of numbers, without gaps
        for number in sorted(self._open | set(range(self._table.size, len(trials)))):
            self._take(trials[number])

    def _take(self, trial: FrozenTrial) -> None:
        own = dict(trial.params)
        distributions = dict(trial.distributions)
        if trial.state.is_finished():
            self._open.discard(trial.number)
            self._drawn.pop(trial.number, None)
            self._space.update(distributions)
        else:  # what it is about to suggest is pending as well
            self._open.add(trial.number)
            drawn = self._drawn.get(trial.number, {})
            own = drawn | own
            distributions = {name: self._space[name] for name in drawn} | distributions
        value = trial.value
        if trial.state == TrialState.PRUNED and trial.intermediate_values:
            value = trial.intermediate_values[max(trial.intermediate_values)]
        self._table.put(
            trial.number,
            trial.state,
            None if value is not None and math.isnan(value) else value,
            max(trial.intermediate_values, default=0),
            [
                (
                    name,
                    distributions[name].to_internal_repr(own[name]),
                    distribution_to_json(distributions[name]),
                )
                for name in own
            ],
        )

    def _history(
        self, study: Study, space: Mapping[str, BaseDistribution], but: int = -1
    ) -> History:
        numbers = self._table.known()
        maximise = study.direction == StudyDirection.MAXIMIZE
        return self._table.history(space, numbers[numbers != but], maximise)


def _finished(history: History) -> int:
    return int(np.count_nonzero(history.tiers != PENDING))
