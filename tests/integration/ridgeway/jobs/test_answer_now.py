"""A search is ended at any moment, and answered from the trials that have ended."""

from __future__ import annotations

from dataclasses import replace

import pytest
from invariants import check, objective
from simulated import SPACE, outcome_of, recommended
from submitting import submit

from ridgeway.database.engine import Database
from ridgeway.errors import Conflict, LeaseLost
from ridgeway.jobs import claiming, holding, lifecycle, lookups, waiting
from ridgeway.jobs.claimant import Claimant
from ridgeway.jobs.extend import extend_job
from ridgeway.jobs.leases import Lease
from ridgeway.jobs.sizes import Sizes
from ridgeway.views import Job

NAMES = frozenset({"mlp", "digits"})


def claim(database: Database, worker: str = "worker-1") -> Lease | None:
    claimant = Claimant(worker, NAMES, NAMES, Sizes(4, 64), 3600.0, 3)
    with database.transaction() as transaction:
        return claiming.claim(transaction, claimant)


def must_claim(database: Database, worker: str = "worker-1") -> Lease:
    lease = claim(database, worker)
    assert lease is not None
    return lease


def reserve(database: Database, lease: Lease) -> Lease:
    with database.transaction() as transaction:
        before = holding.trials_before(transaction, lease)
        params = [{"penalty": "l1", "lambda": (before + at + 1) / 1e4} for at in range(lease.size)]
        first = holding.reserve(transaction, lease, params, SPACE)
    return replace(lease, first_number=first)


def finish(database: Database, lease: Lease) -> None:
    first = lease.first_number
    assert first is not None
    outcomes = [outcome_of(first + at, (first + at + 1) / 1e4) for at in range(lease.size)]
    with database.transaction() as transaction:
        holding.finish_population(transaction, lease, outcomes)


def train(database: Database, worker: str = "worker-1") -> Lease:
    lease = reserve(database, must_claim(database, worker))
    finish(database, lease)
    return lease


def give(database: Database, lease: Lease) -> None:
    assert lease.kind == "answer"
    with database.transaction() as transaction:
        holding.finish_answer(transaction, lease, recommended(), {})


def answer_now(database: Database, job_id: str) -> Job:
    with database.transaction() as transaction:
        return lifecycle.answer_job(transaction, job_id)


def change(database: Database, verb, job_id: str) -> Job:
    with database.transaction() as transaction:
        return verb(transaction, job_id)


def test_live_trials_fail_and_the_answer_rests_on_those_that_have_ended(database):
    job_id = submit(database, 40)
    done = train(database)
    live = reserve(database, must_claim(database, "worker-2"))
    unreserved = must_claim(database, "worker-3")
    job = answer_now(database, job_id)
    progress = job.progress
    ended = progress.complete + progress.pruned + progress.failed
    assert (job.state, ended, progress.running) == ("running", done.size + live.size, 0)
    assert (job.answering, progress.eta_seconds) == (True, None)
    told = "The search was ended early; the answer rests on 3 of 40 trials."
    assert job.warnings == [told, waiting.NOBODY]
    with database.reading() as transaction:
        trial = lookups.find_trial(transaction, job_id, live.first_number or 0)
    assert (trial.state, trial.reason) == ("fail", "the search was ended")
    with pytest.raises(LeaseLost):
        finish(database, live)
    with pytest.raises(LeaseLost):
        reserve(database, unreserved)
    give(database, must_claim(database))
    check(database, job_id, expected=objective, ended_early=True)
    assert claim(database) is None


def test_while_it_is_answered_the_call_changes_nothing(database):
    job_id = submit(database, 40)
    train(database)
    first = answer_now(database, job_id)
    again = answer_now(database, job_id)
    lease = must_claim(database)
    during = answer_now(database, job_id)
    for job in (again, during):
        told = [warning for warning in job.warnings if warning != waiting.NOBODY]
        assert (job.state, told) == (first.state, first.warnings[:1])
        assert job.progress.complete == first.progress.complete
    give(database, lease)
    check(database, job_id, ended_early=True)


def test_an_answer_after_the_whole_budget_is_left_to_its_holder_and_nothing_is_told(database):
    job_id = submit(database, 4)
    while (lease := must_claim(database)).kind == "population":
        finish(database, reserve(database, lease))
    assert answer_now(database, job_id).warnings == []
    give(database, lease)
    check(database, job_id, expected=objective)


def test_a_worker_killed_in_between_takes_nothing_with_it(database):
    job_id = submit(database, 40)
    train(database)
    reserve(database, must_claim(database, "worker-2"))
    answer_now(database, job_id)
    with database.transaction() as transaction:
        holding.expire_leases(transaction, "worker-2")
    killed = must_claim(database, "worker-3")
    assert killed.kind == "answer"
    with database.transaction() as transaction:
        holding.expire_leases(transaction, "worker-3")
    assert answer_now(database, job_id).state == "running"
    taken = must_claim(database)
    assert (taken.id, taken.fence) == (killed.id, 2)
    with pytest.raises(LeaseLost):
        give(database, killed)
    give(database, taken)
    check(database, job_id, expected=objective, ended_early=True)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_paused_job_goes_on_to_be_answered_and_no_further(database, when):
    job_id = submit(database, 40)
    train(database)
    if when == "after":
        answer_now(database, job_id)
    change(database, lifecycle.pause_job, job_id)
    assert claim(database) is None
    assert answer_now(database, job_id).state == "running"
    give(database, must_claim(database))
    check(database, job_id, ended_early=True)


def test_without_a_complete_trial_it_is_refused(database):
    job_id = submit(database, 40)
    for _ in range(2):
        with pytest.raises(Conflict, match="before any trial is complete"):
            answer_now(database, job_id)
        must_claim(database)


def test_a_job_that_has_ended_refuses(database):
    job_id = submit(database, 40)
    train(database)
    answer_now(database, job_id)
    give(database, must_claim(database))
    with pytest.raises(Conflict, match="Can't answer a job that is succeeded"):
        answer_now(database, job_id)


@pytest.mark.parametrize("answered", [False, True])
def test_extend_reopens_the_search_for_as_many_trials_as_are_asked_for(database, answered):
    job_id = submit(database, 40)
    done = train(database).size
    must_claim(database, "worker-2")
    answer_now(database, job_id)
    if answered:
        give(database, must_claim(database))
    with database.transaction() as transaction:
        job = extend_job(transaction, job_id, 10)
    assert (job.state, job.progress.trials) == ("running", done + 10)
    assert not job.answering
    while (lease := must_claim(database)).kind == "population":
        finish(database, reserve(database, lease))
    give(database, lease)
    check(database, job_id, expected=objective, extended=True)


def end_search(database: Database, lease: Lease) -> bool:
    with database.transaction() as transaction:
        return holding.end_search(transaction, lease, "It is enough")


@pytest.mark.parametrize("killed", [False, True])
def test_a_worker_ends_the_search_instead_of_its_population(database, killed):
    job_id = submit(database, 40)
    train(database)
    lease = must_claim(database)
    if killed:  # another asks again
        with database.transaction() as transaction:
            holding.expire_leases(transaction, "worker-1")
        again = must_claim(database, "worker-2")
        with pytest.raises(LeaseLost):
            end_search(database, lease)
        lease = again
    assert end_search(database, lease)
    with pytest.raises(LeaseLost):  # the first reply was lost
        end_search(database, lease)
    give(database, must_claim(database))
    job = check(database, job_id, expected=objective, ended_early=True)
    assert job.warnings == ["It is enough; the answer rests on 3 of 40 trials."]


def test_a_paused_job_is_not_ended_by_a_worker(database):
    job_id = submit(database, 40)
    train(database)
    lease = must_claim(database)
    change(database, lifecycle.pause_job, job_id)
    assert not end_search(database, lease)
    finish(database, reserve(database, lease))
    assert change(database, lifecycle.resume_job, job_id).state == "running"
    assert must_claim(database).kind == "population"


def test_a_cancelled_job_says_what_its_best_trial_is_the_best_of(database):
    job_id = submit(database, 40)
    train(database)
    reserve(database, must_claim(database))
    job = change(database, lifecycle.cancel_job, job_id)
    assert job.warnings == ["The job was cancelled; its best trial is that of 3 of 40 trials."]

    ended = submit(database, 40)
    train(database)
    live = reserve(database, must_claim(database))
    answer_now(database, ended)
    job = change(database, lifecycle.cancel_job, ended)
    assert job.progress.failed == live.size
    assert job.warnings == [
        "The search was ended early.",
        "The job was cancelled; its best trial is that of 3 of 40 trials.",
    ]
    nothing = change(database, lifecycle.cancel_job, submit(database, 40))
    assert nothing.warnings == []
