"""Jobs that another release wrote: a worker leaves them to others, and gets on with its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from invariants import check
from strange import of_tomorrow, rewrite, stored
from submitting import submit_resolved

from ridgeway.data.store import Store
from ridgeway.database import tables
from ridgeway.database.engine import Database
from ridgeway.database.sqlite import WAIT
from ridgeway.jobs import lifecycle, lookups
from ridgeway.jobs.plan import JobPlan
from ridgeway.settings import Settings
from workers.loop import population_lease
from workers.loop.worker import Worker

SMALL = {
    "dataset": "breast_cancer",
    "model": {"kind": "linear"},
    "trials": 8,
    "epochs": 2,
    "validation": {"kind": "folds", "folds": 2},
}


@pytest.fixture
def worker(database: Database, tmp_path: Path) -> Worker:
    settings = Settings(data=tmp_path)
    store = Store(settings.resolved_store_url())
    return Worker(database, store, settings, lifecycle.new_id(), "cpu")


def submit(database: Database, **fields: object) -> str:
    return submit_resolved(database, **{**SMALL, **fields})


def state_of(database: Database, job_id: str) -> str:
    with database.reading() as transaction:
        return lookups.find_job(transaction, job_id).state


def writes_in(database: Database, worker: Worker) -> int:
    """How many writing transactions one look for work takes, which must find none."""
    begun = []

    def note(connection: sa.Connection) -> None:
        if connection.get_execution_options().get(WAIT) is not None:
            begun.append(connection)

    sa.event.listen(database.engine, "begin", note)
    try:
        assert not worker.work_once()
    finally:
        sa.event.remove(database.engine, "begin", note)
    return len(begun)


def test_jobs_behind_those_of_another_release_are_done(database, worker):
    strange = [submit(database, priority=5 + each) for each in range(3)]
    of_tomorrow(database, strange[0])
    rewrite(database, strange[1], spec=["no", "object"])
    rewrite(database, strange[2], spec=sa.JSON.NULL)
    good = submit(database)
    while worker.work_once():
        pass
    check(database, good)
    assert [state_of(database, job_id) for job_id in strange] == ["queued"] * 3
    assert writes_in(database, worker) == 0


def test_a_job_with_another_releases_plan_is_left_as_it_is(database, worker):
    job_id = submit(database)
    assert worker.work_once()
    rewrite(database, job_id, plan={"backend": "dense"})
    assert not worker.work_once()  # the claim that finds out
    assert writes_in(database, worker) == 0
    assert state_of(database, job_id) == "running"


def test_a_plan_that_another_release_was_first_to_make_costs_no_attempt(
    database, worker, monkeypatch
):
    job_id, plan = submit(database), {"lambda": "wide"}

    def outrun(**fields: Any) -> JobPlan:
        rewrite(database, job_id, plan=plan)  # while ours is being worked out
        return JobPlan(**fields)

    monkeypatch.setattr(population_lease, "JobPlan", outrun)
    assert worker.work_once()
    assert not worker.work_once()
    assert (state_of(database, job_id), stored(database, job_id, "plan")) == ("running", plan)
    with database.reading() as transaction:
        [lease] = transaction.execute(sa.select(tables.leases)).all()
    assert (lease.state, lease.attempts) == ("released", 0)


def test_a_job_that_becomes_strange_in_a_workers_hands_is_handed_back_once(database, worker):
    job_id = submit(database)
    assert worker.work_once()
    rewrite(database, job_id, spec="strange")
    worker._benches.forget(job_id)  # as after four other jobs
    assert worker.work_once()
    assert writes_in(database, worker) == 0
    assert state_of(database, job_id) == "running"


@pytest.mark.parametrize("maximised", [False, True])
def test_a_best_trial_of_another_release_is_told_anew_from_the_study(database, worker, maximised):
    job_id = submit(database, objective="accuracy" if maximised else "loss")
    assert worker.work_once()
    rewrite(database, job_id, best={"trial": 0})
    while worker.work_once():
        pass
    check(database, job_id)  # the best is the study's best


def test_a_job_out_of_time_ends_whatever_its_spec_says(database, worker):
    job_id = submit(database, timeout_seconds=3600)
    assert worker.work_once()
    rewrite(database, job_id, spec=sa.JSON.NULL, deadline=1.0)
    with database.transaction() as transaction:
        assert lifecycle.sweep(transaction)
    with database.reading() as transaction:
        job = lookups.find_job(transaction, job_id)
    assert job.state == "running"
    assert job.warnings[-1].startswith("The job ran out of its time; the answer rests on ")
