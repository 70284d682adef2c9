"""Answers worked out in this process, from trials that a test names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from optuna.trial import TrialState

from ridgeway.data.store import Store
from ridgeway.jobs.artifacts import Artifact
from ridgeway.study.reading import StudyTrial
from workers.answer.answer import Answer, answer
from workers.answer.training import Training
from workers.data.prepare import Prepared
from workers.population.configuration import Configuration
from workers.population.outcomes import outcomes_of
from workers.population.problem import Problem, problem_of
from workers.train import refit, train


def told_trials(*params: dict[str, Any]) -> list[StudyTrial]:
    """Return trials with these parameters, whose values are their numbers."""
    facts = {"standard_error": 0.1, "nonzero_weights": 5.0, "weights": 10}
    return [_trial(number, float(number), given, facts) for number, given in enumerate(params)]


def trained_trials(prepared: Prepared, *params: dict[str, Any]) -> list[StudyTrial]:
    """Return trials with these parameters as a search's population trains them."""
    problem = problem_of(prepared, torch.device("cpu"))
    members = [Configuration.from_params(prepared.spec, given) for given in params]
    outcomes = outcomes_of(prepared.spec, members, train(problem, members), 0)
    return [
        _trial(outcome.number, outcome.value, given, outcome.facts.attributes())
        for outcome, given in zip(outcomes, params, strict=True)
        if outcome.value is not None
    ]


def training_of(prepared: Prepared) -> Training:
    """Return the doors to training on a CPU, in float64 for linear models that a test compares."""
    problem = problem_of(prepared, torch.device("cpu"))

    def refitted(own: Problem, members: Sequence[Configuration], epochs: Any) -> Any:
        return refit(own, members, epochs)

    return Training(problem, train, refitted, (1e-4, 1.0))


def give(prepared: Prepared, store: Store, trials: Sequence[StudyTrial], looks: int = 0) -> Answer:
    """Work the answer out; its files go into the store under their names."""

    def keep(name: str, data: bytes) -> Artifact:
        return Artifact(name, store.put(name, data), len(data))

    return answer(trials, prepared, training_of(prepared), keep, looks)


def _trial(
    number: int, value: float, params: dict[str, Any], attributes: dict[str, Any]
) -> StudyTrial:
    return StudyTrial(
        id=number + 1,
        number=number,
        state=TrialState.COMPLETE,
        value=value,
        params={"weight_decay": 0.0, **params},
        distributions={},
        started_at=None,
        finished_at=None,
        attributes=attributes,
    )
