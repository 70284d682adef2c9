"""How much there is to do: open jobs by state, and their trials that wait or are in training."""

from __future__ import annotations

import math
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ridgeway.database.clock import now
from ridgeway.database.tables import jobs, leases, workers
from ridgeway.jobs.leases import OPEN_LEASE
from ridgeway.jobs.sizes import ROUNDS
from ridgeway.keys.quotas import OPEN_STATES
from ridgeway.overviews import Queue

CLAIMABLE = ("queued", "running")  # states of a job that may be worked on
WORTH_A_WORKER = 4  # trials: fewer have ended before another worker has started


@dataclass(frozen=True)
class OpenWork:
    """What could be worked on at one time, each piece by a worker of its own.

    pieces: leases that are held, and those that workers could claim. holders: the host and process
    id of each worker that holds one.
    """

    pieces: int
    holders: frozenset[tuple[str, int]]


def read_queue(transaction: Connection) -> Queue:
    """Count open jobs and their trials; the cost grows with these, not with what has ended."""
    counted = sa.select(jobs.c.state, sa.func.count()).where(jobs.c.state.in_(OPEN_STATES))
    found = transaction.execute(counted.group_by(jobs.c.state)).all()
    counts: dict[str, int] = {state: count for state, count in found}
    return Queue(
        **{state: counts.get(state, 0) for state in OPEN_STATES},
        trials_waiting=_unclaimed(transaction) + _lost(transaction),
        trials_training=int(transaction.execute(_SIZES.where(_HELD)).scalar_one()),
    )


def open_work(transaction: Connection, largest: int) -> OpenWork:
    """Return what could be worked on now; largest: trials of a worker's population.

    New trials count as populations of a job's full size: a search does not learn faster from more
    workers than it has rounds. A job whose trials have all ended has an answer to be worked out.
    """
    held = sa.select(workers.c.host, workers.c.pid).join_from(
        leases, workers, workers.c.id == leases.c.worker_id
    )
    holders = transaction.execute(held.where(_HELD)).all()
    of_job = (leases.c.job_id == jobs.c.id) & leases.c.state.in_(OPEN_LEASE)
    claimable = jobs.c.state.in_(CLAIMABLE)
    count = sa.select(sa.func.count()).select_from(leases).join(jobs, of_job)
    lost = transaction.execute(count.where(claimable, ~_HELD)).scalar_one()
    unleased = sa.select(jobs.c.trials, (jobs.c.trials - jobs.c.claimed).label("left")).where(
        claimable, ~jobs.c.closed, jobs.c.trials > jobs.c.claimed
    )
    new = sum(
        populations_of(row.left, row.trials, largest) for row in transaction.execute(unleased)
    )
    spent = jobs.c.closed | (jobs.c.trials <= jobs.c.claimed)
    answers = sa.select(sa.func.count()).select_from(jobs)
    due = transaction.execute(answers.where(claimable, spent, ~sa.exists().where(of_job)))
    pieces = len(holders) + lost + new + due.scalar_one()
    return OpenWork(pieces, frozenset((row.host, row.pid) for row in holders))


def populations_of(left: int, trials: int, largest: int) -> int:
    """Return into how many populations the rest of a job's trials go, each of the job's size."""
    size = max(WORTH_A_WORKER, min(largest, trials // ROUNDS))
    return math.ceil(left / size)


def _unclaimed(transaction: Connection) -> int:
    """Count trials in no lease yet; a job that is out of time gets no more of them."""
    left = sa.func.coalesce(sa.func.sum(jobs.c.trials - jobs.c.claimed), 0)
    claimable = jobs.c.state.in_(CLAIMABLE) & ~jobs.c.closed & (jobs.c.trials > jobs.c.claimed)
    return int(transaction.execute(sa.select(left).where(claimable)).scalar_one())


def _lost(transaction: Connection) -> int:
    """Count trials whose holder handed them back or was lost: others will take them over."""
    query = _SIZES.join(jobs, jobs.c.id == leases.c.job_id).where(
        leases.c.state.in_(OPEN_LEASE), ~_HELD, jobs.c.state.in_(CLAIMABLE)
    )
    return int(transaction.execute(query).scalar_one())


_HELD = (leases.c.state == "running") & (leases.c.expires_at >= now())
_SIZES = (
    sa.select(sa.func.coalesce(sa.func.sum(leases.c.size), 0))
    .select_from(leases)
    .where(leases.c.kind == "population")
)
