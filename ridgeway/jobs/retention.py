"""How long jobs are kept that have ended: found by their age, and deleted one by one.

    for job in old_jobs(transaction, seconds):      # a look, which changes nothing
        delete_if_old(database, job.id, seconds)    # a transaction each

The deletion is that of `DELETE /v1/jobs/{id}`: trials and files go later, in slices.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ridgeway.database.clock import current_time, now
from ridgeway.database.engine import Database
from ridgeway.database.tables import jobs
from ridgeway.errors import NotFound
from ridgeway.jobs.deletion import delete_job
from ridgeway.jobs.rows import lock_job
from ridgeway.views import ENDED


@dataclass(frozen=True)
class OldJob:
    """A job that ended long ago."""

    id: str
    name: str
    finished_at: float  # seconds since 1970, by the database's clock


def old_jobs(transaction: Connection, seconds: float) -> list[OldJob]:
    """List the jobs that ended so long ago or longer, the oldest first."""
    columns = (jobs.c.id, jobs.c.name, jobs.c.finished_at)
    query = sa.select(*columns).where(jobs.c.state.in_(ENDED)).order_by(jobs.c.finished_at)
    rows = transaction.execute(query.where(jobs.c.finished_at <= now() - seconds))
    return [OldJob(row.id, row.name, row.finished_at) for row in rows]


def delete_if_old(database: Database, job_id: str, seconds: float) -> bool:
    """Delete a job unless it is gone, or runs again, or ended later than that."""
    with database.transaction() as transaction:
        try:
            row = lock_job(transaction, job_id)
        except NotFound:
            return False
        if row.state not in ENDED or row.finished_at is None:
            return False
        if row.finished_at > current_time(transaction) - seconds:
            return False
        delete_job(transaction, job_id)
    return True
