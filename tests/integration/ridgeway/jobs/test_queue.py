"""The queue's depth is one number, for `ridgeway top`, the API and Prometheus."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from submitting import submit

from ridgeway.database.clock import now
from ridgeway.database.engine import Database
from ridgeway.database.tables import jobs, leases
from ridgeway.fleet import WorkerRecord, record_worker
from ridgeway.jobs.claimant import Claimant
from ridgeway.jobs.claiming import claim
from ridgeway.jobs.holding import release
from ridgeway.jobs.lifecycle import pause_job
from ridgeway.jobs.overview import overview
from ridgeway.jobs.queue import OpenWork, open_work, populations_of, read_queue
from ridgeway.jobs.roster import list_workers
from ridgeway.jobs.sizes import Sizes
from ridgeway.overviews import Queue

OFFERS = frozenset({"mlp"}), frozenset({"digits"})
CLAIMANT = Claimant("w", *OFFERS, Sizes(4, 4), 30.0, 5)
LIMIT = 64


def depth(database: Database) -> tuple[int, int]:
    """Trials that wait and that are in training."""
    with database.reading() as transaction:
        queue: Queue = read_queue(transaction)
        assert overview(transaction, 30.0).queue == queue
        assert list_workers(transaction, 30.0).queue == queue
    return queue.trials_waiting, queue.trials_training


def test_trials_that_were_lost_wait_and_those_of_paused_jobs_do_not(database: Database):
    job_id = submit(database, 40)
    submit(database, 9)
    assert depth(database) == (49, 0)
    with database.transaction() as transaction:
        lease = claim(transaction, CLAIMANT)
    assert lease is not None
    assert depth(database) == (49 - lease.size, lease.size)
    with database.transaction() as transaction:
        transaction.execute(sa.update(leases).values(expires_at=now() - 1.0))
    assert depth(database) == (49, 0)
    with database.transaction() as transaction:
        pause_job(transaction, job_id)
    assert depth(database) == (9, 0)


def work(database: Database) -> OpenWork:
    with database.reading() as transaction:
        return open_work(transaction, LIMIT)


@pytest.mark.parametrize(
    ("left", "trials", "pieces"),
    [
        (1000, 1000, 16),  # of 64, the most that a worker trains at once
        (200, 200, 10),  # of 20, a tenth of the job
        (41, 200, 3),
        (20, 20, 5),  # of 4, as less is over before another worker has started
        (1, 20, 1),
    ],
)
def test_trials_that_wait_are_counted_in_populations(left: int, trials: int, pieces: int):
    assert populations_of(left, trials, LIMIT) == pieces


def test_open_work_is_what_is_held_what_waits_and_an_answer_that_is_due(database: Database):
    assert work(database) == OpenWork(0, frozenset())
    job_id = submit(database, 400)
    small = submit(database, 8)
    assert work(database).pieces == 10 + 2
    with database.transaction() as transaction:
        record_worker(transaction, WorkerRecord("w", "machine1", 7, "cpu", "0", *OFFERS))
        lease = claim(transaction, CLAIMANT)
    assert lease is not None
    assert lease.job_id == small  # it waits for nobody
    assert work(database) == OpenWork(1 + 10 + 2, frozenset({("machine1", 7)}))
    with database.transaction() as transaction:
        release(transaction, lease)
    assert work(database) == OpenWork(1 + 10 + 2, frozenset())
    with database.transaction() as transaction:
        pause_job(transaction, job_id)
    assert work(database).pieces == 1 + 2
    with database.transaction() as transaction:
        transaction.execute(sa.delete(leases))
        transaction.execute(sa.update(jobs).where(jobs.c.id == small).values(claimed=8))
    assert work(database).pieces == 1  # the answer
