"""Jobs with a pruner, trained by a real worker, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import pytest
import submitting
from optuna.trial import FrozenTrial, TrialState

from ridgeway.data.store import Store
from ridgeway.database.engine import Database
from ridgeway.errors import LeaseLost
from ridgeway.jobs import holding, lifecycle, lookups
from ridgeway.settings import Settings
from workers.loop.tools import Doors
from workers.loop.worker import Worker
from workers.pruning.rules import rule_of

RATES = {"learning_rate": {"low": 1e-4, "high": 1e-1, "log": True}, "lambda": 1e-4}


submit = partial(
    submitting.submit_resolved,
    dataset="breast_cancer",
    model={"kind": "linear"},
    trials=40,
    epochs=20,
    sampler="random",
    search=RATES,
    validation={"kind": "holdout"},
)


def make_worker(
    database: Database,
    tmp_path: Path,
    on_epoch: Callable[[int, int], None] = lambda done, of: None,
) -> Worker:
    settings = Settings(data=tmp_path)
    store = Store(settings.resolved_store_url())
    doors = Doors(on_epoch=on_epoch)
    return Worker(database, store, settings, lifecycle.new_id(), "cpu", doors)


def stock_trials(database: Database, job_id: str) -> list[FrozenTrial]:
    storage = optuna.storages.RDBStorage(database.url.render_as_string(hide_password=False))
    trials = optuna.load_study(study_name=job_id, storage=storage).trials
    storage.engine.dispose()
    return trials


@pytest.mark.parametrize("pruner", ["median", "halving"])
def test_bad_trials_end_at_a_rung_and_stock_optuna_sees_them_pruned(database, tmp_path, pruner):
    job_id = submit(database, pruner=pruner)
    worker = make_worker(database, tmp_path)
    while worker.work_once():
        pass
    with database.reading() as transaction:
        job = lookups.find_job(transaction, job_id)
    assert job.state == "succeeded", job.error
    assert job.best is not None
    trials = stock_trials(database, job_id)
    rule = rule_of(job.spec)
    assert rule is not None
    pruned = [trial for trial in trials if trial.state == TrialState.PRUNED]
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    assert (job.progress.pruned, job.progress.complete) == (len(pruned), len(complete))
    assert job.progress.fraction == 1.0
    assert len(pruned) > 5
    assert complete
    for trial in pruned:
        last = max(trial.intermediate_values)
        assert last in rule.rungs(20)
        assert list(trial.intermediate_values) == list(range(1, last + 1))
        assert trial.value == trial.intermediate_values[last]
        assert trial.user_attrs["reason"] == f"pruned after epoch {last} of 20"
    assert job.best.value == min(trial.value for trial in complete if trial.value is not None)


def test_a_rungs_reports_are_in_the_study_while_its_trials_run(database, tmp_path):
    job_id = submit(database, pruner="halving", trials=1, epochs=6)
    seen: list[dict[int, float]] = []

    def look(done: int, of: int) -> None:
        if of == 6 and not seen and done == 5:
            (trial,) = stock_trials(database, job_id)
            assert trial.state == TrialState.RUNNING
            seen.append(trial.intermediate_values)

    worker = make_worker(database, tmp_path, look)
    while worker.work_once():
        pass
    (trial,) = stock_trials(database, job_id)
    assert seen == [{step: trial.intermediate_values[step] for step in range(1, 5)}]
    assert list(trial.intermediate_values) == list(range(1, 7))


def test_who_has_lost_the_lease_reports_nothing(database, tmp_path, monkeypatch):
    job_id = submit(database, pruner="halving", trials=1, epochs=6)
    worker = make_worker(database, tmp_path)
    real = holding.report
    refused: list[bool] = []

    def late(transaction: Any, lease: Any, curves: Any) -> None:
        holding.expire_leases(transaction)
        try:
            real(transaction, lease, curves)
        except LeaseLost:
            refused.append(True)
            raise

    monkeypatch.setattr(holding, "report", late)
    assert worker.work_once()
    monkeypatch.undo()
    assert refused == [True]
    assert stock_trials(database, job_id)[0].intermediate_values == {}
    with database.transaction() as transaction:
        holding.expire_leases(transaction)
    while worker.work_once():
        pass
    with database.reading() as transaction:
        assert lookups.find_job(transaction, job_id).progress.complete == 1
