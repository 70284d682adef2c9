"""Looks at sealed test sets, counted by data set and rows: jobs may share them."""

from __future__ import annotations

from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ridgeway.database.tables import jobs
from ridgeway.spec.spec import JobSpec

# What decides, with the data set, which rows are sealed.
SPLIT_BY = ("target", "groups", "test_fraction", "seed", "task")
MOST_JOBS = 10_000  # of the newest, looked through


def earlier_looks(transaction: Connection, job_id: str) -> int:
    """Count how often answers, this job's and others', have looked at this job's sealed rows."""
    columns = (jobs.c.spec, jobs.c.dataset, jobs.c.dataset_id)
    own = transaction.execute(sa.select(*columns).where(jobs.c.id == job_id)).one_or_none()
    if own is None:
        return 0
    same_data = (
        jobs.c.dataset_id == own.dataset_id
        if own.dataset_id is not None
        else sa.and_(jobs.c.dataset == own.dataset, jobs.c.dataset_id.is_(None))
    )
    query = (
        sa.select(jobs.c.spec, jobs.c.evaluations)
        .where(jobs.c.evaluations > 0, same_data)
        .order_by(jobs.c.created_at.desc())
        .limit(MOST_JOBS)
    )
    seal = _seal(own.spec)
    return sum(row.evaluations for row in transaction.execute(query) if _seal(row.spec) == seal)


def fields_that_seal_others(first: JobSpec, second: JobSpec) -> list[str]:
    """Return the fields by which two jobs on one data set seal other rows; none on two."""
    if first.dataset != second.dataset:
        return []
    pairs = {name: (getattr(first, name), getattr(second, name)) for name in SPLIT_BY}
    different = [
        name for name, (one, other) in pairs.items() if one != other and None not in (one, other)
    ]
    if first.groups != second.groups and "groups" not in different:
        different.append("groups")
    return different


def _seal(spec: Any) -> list[Any]:
    """Return what a stored spec, of any release, says of the rows to seal."""
    fields = cast("dict[str, Any]", spec) if isinstance(spec, dict) else {}
    validation = fields.get("validation")
    in_order = validation if "by" in cast("dict[str, Any]", validation or {}) else None
    return [*(fields.get(name) for name in SPLIT_BY), in_order]
