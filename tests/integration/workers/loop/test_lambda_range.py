"""The λ range of a job: found by its first worker, recorded, searched, and shown to the client."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import submitting

from ridgeway.data.store import Store
from ridgeway.database.engine import Database
from ridgeway.jobs import claiming, holding, lifecycle, lookups
from ridgeway.jobs.claimant import Claimant
from ridgeway.jobs.plan import JobPlan
from ridgeway.jobs.sizes import Sizes
from ridgeway.settings import Settings
from ridgeway.views import Job, LambdaRange
from workers.loop import population_lease
from workers.loop.worker import Worker
from workers.strength.probe import UNPROBED

submit = partial(
    submitting.submit_resolved,
    dataset="wine",
    model={"kind": "mlp", "hidden": [4]},
    trials=40,
    epochs=8,
    validation={"kind": "folds", "folds": 2},
)


def find(database: Database, job_id: str) -> Job:
    with database.reading() as transaction:
        return lookups.find_job(transaction, job_id)


def work_once(database: Database, folder: Path) -> None:
    settings = Settings(data=folder)
    store = Store(settings.resolved_store_url())
    assert Worker(database, store, settings, lifecycle.new_id(), "cpu").work_once()


def strengths(database: Database, job_id: str) -> list[float]:
    with database.reading() as transaction:
        page = lookups.list_trials(
            transaction, job_id, state=None, order="number", cursor=None, limit=100
        )
    return [float(t.params["lambda"]) for t in page.trials if "lambda" in t.params]  # type: ignore[arg-type]


def test_a_net_s_range_is_shown_once_a_worker_has_probed_it_and_trials_stay_within(
    database, tmp_path
):
    search = {"penalty": ["l1"], "learning_rate": 0.03}
    job_id = submit(database, trials=80, search=search)
    assert find(database, job_id).lambda_range is None
    work_once(database, tmp_path)
    shown = find(database, job_id).lambda_range
    assert shown is not None
    assert (shown.low, shown.high) != UNPROBED
    assert shown.low == pytest.approx(1e-4 * shown.high, rel=1e-2)
    found = strengths(database, job_id)
    assert found
    assert all(shown.low <= strength <= shown.high for strength in found)
    work_once(database, tmp_path)
    assert find(database, job_id).lambda_range == shown


@pytest.mark.parametrize("search", [{"lambda": 0.1}, {"penalty": "none"}])
def test_a_job_that_asks_for_no_range_shows_none(database, tmp_path, search):
    job_id = submit(database, search=search)
    work_once(database, tmp_path)
    assert find(database, job_id).lambda_range is None


def test_a_probe_that_fails_costs_the_job_a_warning_not_its_life(database, tmp_path, monkeypatch):
    def fails(*args: object, **options: object) -> None:
        raise RuntimeError("out of luck")

    monkeypatch.setattr(population_lease, "strength_range", fails)
    job_id = submit(database)
    work_once(database, tmp_path)
    job = find(database, job_id)
    assert job.progress.complete == 4
    assert job.lambda_range == LambdaRange(low=1e-6, high=1e-1)
    reason = "the probe failed: RuntimeError: out of luck"
    assert f'"auto" searches λ from 1e-06 to 0.1: {reason}' in job.warnings


def test_only_the_first_plan_s_warnings_reach_the_job(database):
    job_id = submit(database)
    claimant = Claimant("one", frozenset({"mlp"}), frozenset({"wine"}), Sizes(4, 64), 30.0, 3)
    with database.transaction() as transaction:
        lease = claiming.claim(transaction, claimant)
        assert lease is not None
        holding.fix_plan(
            transaction, lease, JobPlan(strengths=(1.0, 2.0)), ["mind", "mind", "the gap"]
        )
        holding.fix_plan(transaction, lease, JobPlan(strengths=(3.0, 4.0)), ["later"])
    job = find(database, job_id)
    assert job.warnings == ["mind", "the gap"]
    assert job.lambda_range == LambdaRange(low=1.0, high=2.0)
