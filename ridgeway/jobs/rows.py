"""The rows of jobs: read, locked, changed.

Lock order everywhere: job, lease, study, account. Who has a job's lock waits for no other job's.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from ridgeway.database.clock import now
from ridgeway.database.tables import jobs, workers
from ridgeway.errors import Conflict, NotFound
from ridgeway.jobs.leases import told_of, trained_of
from ridgeway.views import JobState


def select_jobs() -> sa.Select[Any]:
    """Select jobs' rows, each with the database's time as `now`."""
    return sa.select(jobs, now().label("now"))


def select_looks() -> sa.Select[Any]:
    """Select jobs' rows, each also with the trials that are trained of its open leases.

    `trained` counts parts of trials, and not those that have ended; `trained_told_at` is when the
    last of it was told. `outage` is true where a worker tells of a store that does not answer.
    """
    told = sa.exists().where(workers.c.store_outage.is_not(None)).correlate(None)
    return select_jobs().add_columns(
        trained_of(jobs.c.id).label("trained"),
        told_of(jobs.c.id).label("trained_told_at"),
        told.label("outage"),
    )


# Built once: to build a statement takes SQLAlchemy longer than to run it.
_THE_JOB = jobs.c.id == sa.bindparam("job", type_=sa.String)
_JOB = select_jobs().where(_THE_JOB)
_LOOK = select_looks().where(_THE_JOB)
_LOCKED_JOB = _JOB.with_for_update()
_FREE_JOB = _JOB.with_for_update(skip_locked=True)
_UPDATED_JOB = sa.update(jobs).where(_THE_JOB)
_TOLD_JOB = _UPDATED_JOB.values(told_at=now())


def read_job(transaction: Connection, job_id: str) -> Row[Any]:
    """Read the job's row; NotFound where there is no such job."""
    return _only(transaction, _JOB, job_id)


def read_look(transaction: Connection, job_id: str) -> Row[Any]:
    """Read the job's row and what is trained of its open leases, in one statement: they agree."""
    return _only(transaction, _LOOK, job_id)


def lock_job(transaction: Connection, job_id: str) -> Row[Any]:
    """Read the job's row and hold it until the commit; NotFound where there is no such job."""
    return _only(transaction, _LOCKED_JOB, job_id)


def lock_free_job(transaction: Connection, job_id: str) -> Row[Any] | None:
    """Read and hold the job's row if nobody else holds it; None otherwise, or where it is gone."""
    return transaction.execute(_FREE_JOB, {"job": job_id}).one_or_none()


def _only(transaction: Connection, query: sa.Select[Any], job_id: str) -> Row[Any]:
    row = transaction.execute(query, {"job": job_id}).one_or_none()
    if row is None:
        raise NotFound(f"There is no job {job_id}.")
    return row


def require_state(row: Row[Any], verb: str, *states: JobState) -> None:
    """Raise Conflict unless the locked job is in one of the states."""
    if row.state not in states:
        accepted = " or ".join(states)
        raise Conflict(f"Can't {verb} a job that is {row.state}; it would have to be {accepted}.")


def update_job(transaction: Connection, job_id: str, **values: Any) -> None:
    """Set columns of a job whose row is locked."""
    transaction.execute(_UPDATED_JOB, {"job": job_id, **values})


def tell_job(transaction: Connection, job_id: str, **values: Any) -> None:
    """Set columns of a job whose row is locked, and note that trials of it end now."""
    transaction.execute(_TOLD_JOB, {"job": job_id, **values})
