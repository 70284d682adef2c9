"""A lease: one population of a job's trials, or its answer, in one worker's hands for a while.

Released or expired, the next holder takes over the same trials with the next fence; a write under
an old fence is refused. Lease check, Optuna's rows and the job's counters commit together.
Workers get leases by claiming.py and work on them by holding.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ridgeway.database.clock import now
from ridgeway.database.tables import leases
from ridgeway.jobs.plan import JobPlan

OPEN_LEASE = ("running", "released", "expired")  # states in which a lease's trials are unfinished


@dataclass(frozen=True)
class Lease:
    """A population of a job's trials, or the job's answer, held under a fence."""

    id: int
    kind: Literal["population", "answer"]
    job_id: str
    study_id: int
    stored_spec: Any  # the job's, as JSON: a worker reads it once a job
    dataset_id: str | None
    plan: JobPlan | None
    ordinal: int
    size: int
    first_number: int | None  # None until the trials are reserved
    fence: int
    checkpoint: str | None = None  # where an earlier holder left off: a key in the store
    was_lost: bool = False  # by an earlier holder, who did not hand it back


# Built once: to build a statement takes SQLAlchemy longer than to run it.
THE_LEASE = leases.c.id == sa.bindparam("lease", type_=sa.Integer)
_UPDATED_LEASE = sa.update(leases).where(THE_LEASE)


def update_lease(transaction: Connection, lease_id: int, **values: Any) -> None:
    """Set columns of a lease whose job is locked."""
    transaction.execute(_UPDATED_LEASE, {"lease": lease_id, **values})


def trained_of(job_id: sa.ColumnElement[str]) -> sa.ScalarSelect[float]:
    """Return the sum of the trials that the job's open leases have trained, in parts of trials.

    It costs as much as leases are open, few whatever the study's size. Who takes over begins where
    its checkpoint left off; until it tells how far that is, what was known of the lease stands.
    """
    total = sa.func.coalesce(sa.func.sum(leases.c.size * leases.c.share), 0.0)
    return sa.select(total).where(_open(job_id)).scalar_subquery()


def told_of(job_id: sa.ColumnElement[str]) -> sa.ScalarSelect[float]:
    """Return when a holder of the job's open leases last told how far it is; null if none has."""
    return sa.select(sa.func.max(leases.c.told_at)).where(_open(job_id)).scalar_subquery()


def _open(job_id: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    return (leases.c.job_id == job_id) & leases.c.state.in_(OPEN_LEASE)


def is_held(transaction: Connection, job_id: str) -> bool:
    """Return True while a worker holds a lease of the job."""
    held = (leases.c.state == "running") & (leases.c.expires_at > now())
    query = sa.select(leases.c.id).where(leases.c.job_id == job_id, held).limit(1)
    return transaction.execute(query).first() is not None


def has_open_leases(transaction: Connection, job_id: str) -> bool:
    """Return True while a lease of the job has trials that are unfinished."""
    open_ = (leases.c.job_id == job_id) & leases.c.state.in_(OPEN_LEASE)
    return transaction.execute(sa.select(leases.c.id).where(open_).limit(1)).first() is not None
