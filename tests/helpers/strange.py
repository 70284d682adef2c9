"""Rows of jobs as another release would have written them, which this one can't read."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from ridgeway.data.bundled import bundled_profiles
from ridgeway.database.engine import Database
from ridgeway.database.tables import jobs
from ridgeway.jobs.lifecycle import submit_job
from ridgeway.spec.resolving import resolve_spec
from ridgeway.spec.wording import parse_spec


def rewrite(database: Database, job_id: str, **columns: Any) -> None:
    """Set columns of the job's row, whatever the release may think of them."""
    with database.transaction() as transaction:
        transaction.execute(sa.update(jobs).where(jobs.c.id == job_id).values(**columns))


def stored(database: Database, job_id: str, column: str = "spec") -> Any:
    """What the job's row keeps."""
    with database.reading() as transaction:
        return transaction.execute(sa.select(jobs.c[column]).where(jobs.c.id == job_id)).scalar()


def submit_strange(database: Database, spec: Any = None, **fields: Any) -> str:
    """Queue a job whose spec no worker of this release has ever been able to read; its id.

    `spec` replaces it; without one the job's own has a field more.
    """
    resolved = resolve_spec(parse_spec(fields), bundled_profiles()[fields["dataset"]])
    with database.transaction() as transaction:
        job_id = submit_job(transaction, resolved)
        kept = spec or {**resolved.model_dump(mode="json"), "tomorrow": 1}
        transaction.execute(sa.update(jobs).where(jobs.c.id == job_id).values(spec=kept))
    return job_id


def of_tomorrow(database: Database, job_id: str) -> dict[str, Any]:
    """Add a field to the job's spec that this release does not know; return the spec."""
    spec = {**stored(database, job_id), "tomorrow": 1}
    rewrite(database, job_id, spec=spec)
    return spec
