"""A job's budget grows at any moment of its life, and one answer is given on all of its trials."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from invariants import check, objective
from simulated import SPACE, outcome_of, recommended
from submitting import submit

from ridgeway.database.clock import current_time
from ridgeway.database.engine import Database
from ridgeway.database.tables import jobs as job_table
from ridgeway.errors import Conflict, LeaseLost, NotFound
from ridgeway.jobs import artifacts, claiming, holding, lifecycle
from ridgeway.jobs.claimant import Claimant
from ridgeway.jobs.extend import extend_job
from ridgeway.jobs.leases import Lease
from ridgeway.jobs.sizes import Sizes
from ridgeway.views import Job

NAMES = frozenset({"mlp", "digits"})
CLAIMANT = Claimant("worker-1", NAMES, NAMES, Sizes(4, 64), 3600.0, 3)
MODEL = artifacts.Artifact("jobs/1/model", "0", 1)


def claim(database: Database) -> Lease:
    with database.transaction() as transaction:
        lease = claiming.claim(transaction, CLAIMANT)
    assert lease is not None
    return lease


def train(database: Database, lease: Lease) -> None:
    with database.transaction() as transaction:
        before = holding.trials_before(transaction, lease)
        strengths = [(before + index + 1) / 1e4 for index in range(lease.size)]
        params = [{"penalty": "l1", "lambda": strength} for strength in strengths]
        first = holding.reserve(transaction, lease, params, SPACE)
        assert first == before
    outcomes = [outcome_of(first + index, strength) for index, strength in enumerate(strengths)]
    with database.transaction() as transaction:
        holding.finish_population(transaction, replace(lease, first_number=first), outcomes)


def train_until_the_answer(database: Database) -> Lease:
    while (lease := claim(database)).kind == "population":
        train(database, lease)
    return lease


def give(database: Database, lease: Lease, **kept: artifacts.Artifact) -> None:
    with database.transaction() as transaction:
        holding.finish_answer(transaction, lease, recommended(), kept)


def extend(database: Database, job_id: str, trials: int) -> Job:
    with database.transaction() as transaction:
        return extend_job(transaction, job_id, trials)


def row_of(database: Database, job_id: str) -> Any:
    with database.reading() as transaction:
        return transaction.execute(sa.select(job_table).where(job_table.c.id == job_id)).one()


def time_is_up(database: Database, job_id: str) -> None:
    past = sa.update(job_table).where(job_table.c.id == job_id).values(deadline=1.0)
    with database.transaction() as transaction:
        transaction.execute(past)
    with database.transaction() as transaction:
        lifecycle.sweep(transaction)


@pytest.mark.parametrize("lost", [False, True])
def test_an_answer_on_the_smaller_budget_is_withdrawn(database, lost):
    job_id = submit(database, 20)
    answer = train_until_the_answer(database)
    if lost:
        with database.transaction() as transaction:
            holding.expire_leases(transaction)
    assert extend(database, job_id, 15).state == "running"
    with pytest.raises(LeaseLost):
        give(database, answer)
    give(database, train_until_the_answer(database))
    job = check(database, job_id, expected=objective, extended=True)
    assert job.progress.trials == 35
    assert job.recommended is not None
    assert job.recommended.test.evaluations == 1


def test_a_paused_job_stays_paused_when_it_is_extended(database):
    job_id = submit(database, 20)
    answer = train_until_the_answer(database)
    with database.transaction() as transaction:
        lifecycle.pause_job(transaction, job_id)
    assert extend(database, job_id, 1).state == "paused"
    with pytest.raises(LeaseLost):
        give(database, answer)
    with database.transaction() as transaction:
        assert claiming.claim(transaction, CLAIMANT) is None


def test_a_reopened_job_keeps_its_answer_until_the_next_one(database):
    job_id = submit(database, 20)
    give(database, train_until_the_answer(database), model=MODEL)
    reopened = extend(database, job_id, 10)
    assert (reopened.state, reopened.finished_at) == ("running", None)
    assert reopened.recommended is not None
    assert reopened.progress.eta_seconds is None
    give(database, train_until_the_answer(database))
    job = check(database, job_id, expected=objective, extended=True)
    assert job.recommended is not None
    assert job.recommended.test.evaluations == 2


def test_a_model_that_the_new_answer_does_not_recommend_is_forgotten(database):
    job_id = submit(database, 20)
    give(database, train_until_the_answer(database), model=MODEL)
    extend(database, job_id, 10)
    with database.reading() as transaction:
        assert artifacts.find_artifact(transaction, job_id, "model") == MODEL
    give(database, train_until_the_answer(database))  # its refit has diverged: no model
    with pytest.raises(NotFound), database.reading() as transaction:
        artifacts.find_artifact(transaction, job_id, "model")


def test_a_reopened_job_has_all_of_its_time_anew(database):
    job_id = submit(database, 20, timeout_seconds=600)
    give(database, train_until_the_answer(database))
    time_is_up(database, job_id)
    extend(database, job_id, 10)
    row = row_of(database, job_id)
    with database.reading() as transaction:
        left = row.deadline - current_time(transaction)
    assert 590 < left <= 600


def test_more_trials_are_no_more_time_for_a_job_that_runs(database):
    job_id = submit(database, 20, timeout_seconds=600)
    claim(database)
    before = row_of(database, job_id).deadline
    extend(database, job_id, 10)
    assert row_of(database, job_id).deadline == before


@pytest.mark.parametrize("answered", [False, True])
def test_as_many_as_are_asked_for_come_after_those_that_ended_in_time(database, answered):
    """Those that a worker held without numbers are no trials: numbers have no gap in the end."""
    job_id = submit(database, 40, timeout_seconds=600)
    first = claim(database)
    train(database, first)
    claim(database)  # and nothing comes of it
    time_is_up(database, job_id)
    if answered:
        give(database, claim(database))
    extend(database, job_id, 10)
    give(database, train_until_the_answer(database))
    job = check(database, job_id, expected=objective, extended=True)
    assert job.progress.trials == first.size + 10


def test_a_failed_job_is_not_extended(database):
    job_id = submit(database, 20)
    with database.transaction() as transaction:
        lease = claiming.claim(transaction, CLAIMANT)
        assert lease is not None
        holding.fail_job(transaction, lease, "It can't be trained.")
    with pytest.raises(Conflict, match="Can't extend a job that is failed"):
        extend(database, job_id, 10)
