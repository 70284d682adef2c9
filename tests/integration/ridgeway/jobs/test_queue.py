"""The queue's depth is one number, for `ridgeway top`, the API and Prometheus."""

from __future__ import annotations

import sqlalchemy as sa
from submitting import submit

from ridgeway.database.clock import now
from ridgeway.database.engine import Database
from ridgeway.database.tables import leases
from ridgeway.jobs.claimant import Claimant
from ridgeway.jobs.claiming import claim
from ridgeway.jobs.lifecycle import pause_job
from ridgeway.jobs.overview import overview
from ridgeway.jobs.queue import read_queue
from ridgeway.jobs.roster import list_workers
from ridgeway.jobs.sizes import Sizes
from ridgeway.overviews import Queue

CLAIMANT = Claimant("w", frozenset({"mlp"}), frozenset({"digits"}), Sizes(4, 4), 30.0, 5)


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
