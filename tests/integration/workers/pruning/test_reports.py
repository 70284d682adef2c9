"""A pruner's reports follow the study, whoever writes to it, on both databases."""

from __future__ import annotations

import optuna
import pytest
from optuna.distributions import FloatDistribution

from ridgeway.study import writing
from ridgeway.study.writing import Outcome
from workers.pruning.reports import Reports

SPACE = {"lambda": FloatDistribution(1e-6, 1.0, log=True)}
INFINITY = float("inf")


def test_reports_take_in_what_has_come_since_the_last_time(database):
    reports = Reports([1, 3])

    def reported(step: int) -> list[float]:
        with database.reading() as transaction:
            reports.sync(transaction, study_id)
        return reports.at(step, without=[])[0].tolist()

    with database.transaction() as transaction:
        study_id = writing.create_study(transaction, "ours", [False], {})
        other = writing.create_study(transaction, "another", [False], {})
        writing.reserve_trials(transaction, other, [{"lambda": 0.1}], SPACE)
        writing.reserve_trials(transaction, study_id, [{"lambda": 0.1}] * 3, SPACE)
    assert reported(1) == pytest.approx([float("nan")] * 3, nan_ok=True)
    with database.transaction() as transaction:
        outcomes = [
            Outcome(0, 0.5, [0.75, 0.625, 0.5]),
            Outcome(1, None, [INFINITY, float("nan")]),
        ]
        writing.finish_trials(transaction, study_id, outcomes)
    assert reported(1) == pytest.approx([0.75, INFINITY, float("nan")], nan_ok=True)
    # A trial still RUNNING, and a foreign one, as a stock Optuna process writes them.
    storage = optuna.storages.RDBStorage(database.url.render_as_string(hide_password=False))
    study = optuna.load_study(study_name="ours", storage=storage)
    study.ask().report(0.25, 3)
    running = next(trial for trial in study.trials if trial.number == 2)
    storage.set_trial_intermediate_value(running._trial_id, 3, -INFINITY)
    storage.engine.dispose()
    assert reported(3) == pytest.approx([0.5, float("nan"), -INFINITY, 0.25], nan_ok=True)
    assert reports.at(3, without=[2, 3])[1].tolist() == [True, False]
