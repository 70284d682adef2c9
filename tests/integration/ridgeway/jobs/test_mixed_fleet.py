"""Fast and slow workers at one job: neither waits for the other."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from submitting import submit

from ridgeway import fleet
from ridgeway.database.clock import current_time
from ridgeway.database.engine import Database
from ridgeway.database.tables import jobs
from ridgeway.fleet import WorkerRecord
from ridgeway.jobs import claiming, sharing
from ridgeway.jobs.claimant import Claimant, KnownJobs
from ridgeway.jobs.leases import Lease
from ridgeway.jobs.sizes import BY_DEVICE, Pace

TRIALS = 1_000
FAST, SLOW = Pace(400, 8.0), Pace(4, 8.0)  # 50 trials a second, and one in two


@pytest.fixture
def job_id(database: Database) -> str:
    """A job whose first half took ten seconds, the last population of it just now."""
    made = submit(database, trials=TRIALS)
    with database.transaction() as transaction:
        record(transaction, "fast", "cpu")
        record(transaction, "slow", "cpu")
    stand(database, made, done=TRIALS // 2)
    return made


def record(transaction: Connection, name: str, device: str) -> None:
    offers = {"models": frozenset({"linear"}), "datasets": frozenset({"digits"})}
    fleet.record_worker(transaction, WorkerRecord(name, "host", 1, device, "0", **offers))


def stand(database: Database, job_id: str, *, done: int, news_seconds: float = 0.0) -> None:
    """Let so many trials be done, at 50 a second, the last of them so long ago."""
    with database.transaction() as transaction:
        told = current_time(transaction) - news_seconds
        known = {"complete": done, "claimed": done, "populations": 6, "state": "running"}
        times = {"started_at": told - done / 50, "trained_from": told - done / 50, "told_at": told}
        changed = sa.update(jobs).where(jobs.c.id == job_id).values(**known, **times)
        transaction.execute(changed)


def claim(database: Database, job_id: str, worker: str, pace: Pace | None) -> Lease | None:
    claimant = Claimant(
        worker_id=worker,
        models=frozenset({"linear", "mlp"}),
        datasets=frozenset({"digits"}),
        sizes=BY_DEVICE["cpu"],
        lease_seconds=30.0,
        max_attempts=3,
        known=KnownJobs(paces={} if pace is None else {job_id: pace}),
    )
    with database.transaction() as transaction:
        return claiming.claim(transaction, claimant)


def taken(database: Database, job_id: str, worker: str, pace: Pace | None) -> int:
    """Return how many trials the worker takes."""
    lease = claim(database, job_id, worker, pace)
    assert lease is not None
    assert lease.kind == "population"
    return lease.size


def answers(database: Database, job_id: str, worker: str, pace: Pace) -> bool:
    """Return whether the worker takes the answer."""
    lease = claim(database, job_id, worker, pace)
    return lease is not None and lease.kind == "answer"


def test_a_slow_worker_takes_what_it_ends_with_the_others(database, job_id):
    assert taken(database, job_id, "slow", SLOW) == 5  # 500 are left: ten seconds, for both
    assert taken(database, job_id, "fast", FAST) == 64


def test_a_slow_worker_leaves_the_last_trials_to_others_while_there_is_news_of_them(
    database, job_id
):
    stand(database, job_id, done=TRIALS - 50)
    assert claim(database, job_id, "slow", SLOW) is None
    stand(database, job_id, done=TRIALS - 50, news_seconds=sharing.NEWS_SECONDS + 1)
    assert taken(database, job_id, "slow", SLOW) == 1


def test_a_slow_worker_leaves_the_answer_to_others_for_some_seconds(database, job_id):
    stand(database, job_id, done=TRIALS)
    assert not answers(database, job_id, "slow", SLOW)
    assert answers(database, job_id, "fast", FAST)


def test_the_answer_is_given_though_the_fast_workers_are_gone(database, job_id):
    stand(database, job_id, done=TRIALS, news_seconds=sharing.NEWS_SECONDS + 1)
    assert answers(database, job_id, "slow", SLOW)


def test_a_slow_worker_alone_does_all(database, job_id):
    with database.transaction() as transaction:
        fleet.mark_gone(transaction, "fast")
    assert taken(database, job_id, "slow", SLOW) == 64


def test_a_worker_that_joins_others_begins_with_few_trials(database, job_id):
    assert taken(database, job_id, "slow", None) == 4
    # One that goes on alone after a restart keeps the sizes that the job's seed stands for.
    with database.transaction() as transaction:
        fleet.mark_gone(transaction, "slow")
    assert taken(database, job_id, "fast", None) == 64


def test_equal_workers_share_the_end_equally(database, job_id):
    stand(database, job_id, done=TRIALS - 40)
    assert taken(database, job_id, "fast", replace(FAST, seconds=16.0)) == 20


def test_a_cpu_leaves_to_gpus_what_they_end_before_it_has_begun(database, job_id):
    with database.transaction() as transaction:
        record(transaction, "gpu", "cuda:1")
    assert claim(database, job_id, "slow", None) is None  # 500 are left: ten seconds
    stand(database, job_id, done=TRIALS // 2, news_seconds=sharing.NEWS_SECONDS + 1)
    assert taken(database, job_id, "slow", None) == 4


def test_a_cpu_helps_gpus_with_a_job_that_takes_long(database, job_id):
    with database.transaction() as transaction:
        record(transaction, "gpu", "cuda:0")
        transaction.execute(sa.update(jobs).values(trials=100 * TRIALS))
    assert taken(database, job_id, "slow", None) == 4


def test_a_cpu_leaves_a_new_job_to_gpus_for_some_seconds(database):
    job_id = submit(database, trials=TRIALS)
    with database.transaction() as transaction:
        record(transaction, "slow", "cpu")
        record(transaction, "gpu", "cuda")
    assert claim(database, job_id, "slow", None) is None
    with database.transaction() as transaction:
        earlier = jobs.c.created_at - sharing.NEWS_SECONDS
        transaction.execute(sa.update(jobs).values(created_at=earlier))
    assert taken(database, job_id, "slow", None) == 4


def test_a_cpu_looks_at_no_new_job_that_it_leaves_to_gpus(database, monkeypatch):
    *_, job_id = [submit(database, trials=TRIALS) for _ in range(3)]
    with database.transaction() as transaction:
        record(transaction, "slow", "cpu")
        record(transaction, "gpu", "cuda")
    looked_at: list[str] = []
    whole = claiming.lock_free_job
    monkeypatch.setattr(
        claiming, "lock_free_job", lambda open_, own: looked_at.append(own) or whole(open_, own)
    )
    assert claim(database, job_id, "slow", None) is None
    assert not looked_at  # each would be locked until the claim of none of them ends
