"""A population of suggestions from the study's history, by Optuna's samplers on a mirror in memory.

The database is read once a population, for what is new, never trial by trial.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    check_distribution_compatibility,
)
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.engine import Connection

from ridgeway import studies
from ridgeway.spec import JobSpec
from ridgeway.studies import StudyTrial
from ridgeway.views import Params
from workers.sampling.space import suggest

optuna.logging.set_verbosity(optuna.logging.WARNING)


class Mirror:
    """A job's study in memory, for Optuna's samplers to read."""

    def __init__(self, spec: JobSpec, study_id: int) -> None:
        self._spec = spec
        self._study_id = study_id
        self._trials: dict[int, StudyTrial] = {}  # by number
        self._last_id = 0
        self._unfinished: set[int] = set()

    def sync(self, transaction: Connection) -> None:
        """Take in what has come to the study since the last time."""
        found = studies.new_trials(transaction, self._study_id, self._last_id, self._unfinished)
        for trial in found:
            self._last_id = max(self._last_id, trial.id)
            self._trials[trial.number] = trial
            if trial.state.is_finished():
                self._unfinished.discard(trial.id)
            else:
                self._unfinished.add(trial.id)

    def params(self, first_number: int, size: int) -> list[Params]:
        """The configurations of trials that are in the study."""
        return [self._trials[first_number + index].params for index in range(size)]

    def propose(
        self, space: Mapping[str, BaseDistribution], count: int, ordinal: int
    ) -> list[Params]:
        """The configurations of the job's population `ordinal`, each aware of those before it."""
        study = optuna.create_study(
            direction="maximize" if self._spec.maximise else "minimize",
            sampler=_sampler(self._spec, ordinal),
        )
        # In the order of numbers, so that a restarted worker proposes what the old one would have.
        study.add_trials(self._history(space))
        return [suggest(study.ask(), space) for _ in range(count)]

    def _history(self, space: Mapping[str, BaseDistribution]) -> list[FrozenTrial]:
        trials = [self._trials[number] for number in sorted(self._trials)]
        trials = [trial for trial in trials if _fits(trial, space)]
        values = [t.value for t in trials if t.value is not None and math.isfinite(t.value)]
        pick = min if self._spec.maximise else max
        worst = pick(values) if values else None
        return [_frozen(trial, worst) for trial in trials if _teaches(trial, worst)]


def _fits(trial: StudyTrial, space: Mapping[str, BaseDistribution]) -> bool:
    """Whether all of a trial's parameters are ours; a foreign one may have any."""
    try:
        for name, distribution in trial.distributions.items():
            check_distribution_compatibility(space[name], distribution)
    except (KeyError, ValueError):
        return False
    return True


def _teaches(trial: StudyTrial, worst: float | None) -> bool:
    if trial.state == TrialState.FAIL:
        return worst is not None
    return trial.state == TrialState.RUNNING or trial.value is not None


def _frozen(trial: StudyTrial, worst: float | None) -> FrozenTrial:
    """As Optuna's samplers see it. TPE learns nothing from FAIL: a failed trial is a bad one."""
    running = trial.state == TrialState.RUNNING
    return create_trial(
        state=TrialState.RUNNING if running else TrialState.COMPLETE,
        value=None if running else (worst if trial.state == TrialState.FAIL else trial.value),
        params=dict(trial.params),
        distributions=dict(trial.distributions),
    )


def _sampler(spec: JobSpec, ordinal: int) -> BaseSampler:
    """Seeded by the job's seed and the population's ordinal."""
    seed = int(np.random.SeedSequence([spec.seed, ordinal]).generate_state(1)[0])
    if spec.sampler == "random":
        return RandomSampler(seed=seed)
    assert spec.sampler == "tpe", "others are refused at the door"
    with warnings.catch_warnings():
        # The space is conditional on the penalty, which multivariate TPE only copes with when it
        # decomposes the space into groups; Optuna calls that option experimental.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)
