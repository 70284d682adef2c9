"""How much there is to do: open jobs by state, and their trials that wait or are in training."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ridgeway.database.clock import now
from ridgeway.database.tables import jobs, leases
from ridgeway.jobs.leases import OPEN_LEASE
from ridgeway.keys.quotas import OPEN_STATES
from ridgeway.overviews import Queue

CLAIMABLE = ("queued", "running")  # states of a job that may be worked on


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
