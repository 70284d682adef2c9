"""Two objectives: in Optuna's tables, and back as a front."""

from __future__ import annotations

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from submitting import submit

from ridgeway.jobs import claiming, holding
from ridgeway.jobs.claimant import Claimant
from ridgeway.jobs.fronts import find_front
from ridgeway.jobs.sizes import Sizes
from ridgeway.study.facts import TrialFacts
from ridgeway.study.writing import Outcome

CLAIMANT = Claimant("worker-1", frozenset({"mlp"}), frozenset({"digits"}), Sizes(4, 8), 30.0, 3)
SPACE = {
    "penalty": CategoricalDistribution(("l1",)),
    "lambda": FloatDistribution(0.0, 1.0),
}


@pytest.mark.parametrize("objective", ["loss", "accuracy"])
def test_the_front_of_a_job_is_that_of_its_own_trials_in_optunas_study(database, objective):
    objectives = [objective, "nonzero_weights"]
    job_id = submit(database, trials=60, objectives=objectives)
    while True:
        with database.transaction() as transaction:
            lease = claiming.claim(transaction, CLAIMANT)
            assert lease is not None
            if lease.kind == "answer":
                break
            params = [{"penalty": "l1", "lambda": index / 10} for index in range(lease.size)]
            first = holding.reserve(transaction, lease, params, SPACE)
            outcomes = [
                Outcome(
                    number,
                    (number * 37 + 11) % 61 / 61,
                    facts=TrialFacts(nonzero_weights=(number * 23 + 17) % 59, weights=60),
                    further_values=[float((number * 23 + 17) % 59)],
                )
                for number in range(first, first + lease.size)
            ]
            holding.finish_population(transaction, lease, outcomes)
    storage = optuna.storages.RDBStorage(database.url.render_as_string(hide_password=False))
    study = optuna.load_study(study_name=job_id, storage=storage)
    expected = {trial.number: trial for trial in study.best_trials}
    ideal = [-1.0, 0.0] if objective == "loss" else [2.0, 0.0]
    study.add_trial(optuna.trial.create_trial(values=ideal))  # a foreign one beats them all
    storage.engine.dispose()
    with database.reading() as transaction:
        front = find_front(transaction, job_id)
    assert front.objectives == objectives
    assert {trial.number for trial in front.trials} == set(expected)
    assert len(expected) > 2
    for trial in front.trials:
        assert trial.values == expected[trial.number].values
        assert trial.params == expected[trial.number].params
