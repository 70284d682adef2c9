"""Jobs with repeated and with forward folds, from the door to the answer."""

from __future__ import annotations

from typing import Any

import pytest
import submitting

from ridgeway.data.store import Store
from ridgeway.jobs import lifecycle, lookups
from ridgeway.jobs.lookups import find_trial
from ridgeway.settings import Settings
from workers.loop.worker import Worker

LINEAR = {"dataset": "diabetes", "model": {"kind": "linear"}, "trials": 4}
NET = {"dataset": "diabetes", "model": {"kind": "mlp", "hidden": [8]}, "epochs": 2, "trials": 4}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("fields", [LINEAR, NET], ids=["linear", "mlp"])
@pytest.mark.parametrize(
    ("validation", "folds"),
    [({"folds": 3, "repeats": 2}, 6), ({"kind": "forward", "folds": 4, "by": "age"}, 4)],
    ids=["repeated", "forward"],
)
def test_a_job_is_judged_so_and_answered(
    database: Any, tmp_path: Any, fields: dict[str, Any], validation: Any, folds: int
) -> None:
    job_id = submitting.submit_resolved(database, **fields, validation=validation)
    settings = Settings(data=tmp_path)
    store = Store(settings.resolved_store_url())
    worker = Worker(database, store, settings, lifecycle.new_id(), "cpu")
    while worker.work_once():
        pass
    with database.reading() as transaction:
        job = lookups.find_job(transaction, job_id)
        trial = find_trial(transaction, job_id, 0)
    assert (job.state, job.error) == ("succeeded", None)
    assert trial.fold_values
    assert len(trial.fold_values) == folds
    assert trial.standard_error
