"""Looks at sealed test sets, counted by data set and rows: jobs may share them."""

from __future__ import annotations

from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ridgeway.database.tables import jobs
from ridgeway.jobs.datasets import jobs_of
from ridgeway.spec.spec import JobSpec

# What decides, with the data set, which rows are sealed.
SPLIT_BY = ("target", "groups", "test_fraction", "seed", "task")
FILLED_IN = ("target", "task")
MOST_JOBS = 10_000  # of the newest, looked through


def earlier_looks(transaction: Connection, job_id: str) -> int:
    """Count how often answers, this job's and others', have looked at this job's sealed rows."""
    columns = (jobs.c.spec, jobs.c.dataset, jobs.c.dataset_id)
    own = transaction.execute(sa.select(*columns).where(jobs.c.id == job_id)).one_or_none()
    if own is None:
        return 0
    query = (
        sa.select(jobs.c.spec, jobs.c.evaluations)
        .where(jobs.c.evaluations > 0, jobs_of(own.dataset_id, own.dataset))
        .order_by(jobs.c.created_at.desc())
        .limit(MOST_JOBS)
    )
    seal = _seal(own.spec)
    return sum(row.evaluations for row in transaction.execute(query) if _seal(row.spec) == seal)


def fields_that_seal_others(first: JobSpec, second: JobSpec) -> dict[str, Any]:
    """Return the fields by which two jobs on one data set seal other rows, as the first has them.

    Whether it is one data set is the caller's to know: names change.
    """
    own, its = (_seal(spec.model_dump(mode="json")) for spec in (first, second))
    # The door fills in target and task where they are not given, which is the same for both then.
    told = [name for name in own if name not in FILLED_IN or None not in (own[name], its[name])]
    return {name: own[name] for name in told if own[name] != its[name]}


def _seal(spec: Any) -> dict[str, Any]:
    """Return what a stored spec, of any release, says of the rows to seal, by its fields."""
    fields = cast("dict[str, Any]", spec) if isinstance(spec, dict) else {}
    validation = cast("dict[str, Any]", fields.get("validation") or {})
    return {name: fields.get(name) for name in SPLIT_BY} | {"validation.by": validation.get("by")}
