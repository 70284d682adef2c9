"""Jobs for tests, put into the database as the service does."""

from __future__ import annotations

from typing import Any

from ridgeway.data.bundled import bundled_profiles
from ridgeway.database.engine import Database
from ridgeway.jobs.lifecycle import submit_job
from ridgeway.jobs.warm_starts import find_lessons
from ridgeway.spec.resolving import check_spec, resolve_spec
from ridgeway.spec.spec import JobSpec
from ridgeway.spec.wording import parse_spec


def submit(database: Database, trials: int = 20, **fields: Any) -> str:
    """Queue a job on `digits`, or another data set; return its id. None leaves a field out.

    Its spec is as it was sent, which suits workers that do not train.
    """
    with database.transaction() as transaction:
        spec = _spec({"trials": trials, **fields})
        return submit_job(transaction, spec, lessons=find_lessons(transaction, spec))


def submit_resolved(database: Database, **fields: Any) -> str:
    """Queue a job on a bundled data set whose spec has its target and task; return its id."""
    spec = _spec(fields)
    check_spec(spec)
    with database.transaction() as transaction:
        return submit_job(transaction, resolve_spec(spec, bundled_profiles()[spec.dataset]))


def _spec(fields: dict[str, Any]) -> JobSpec:
    given = {name: value for name, value in fields.items() if value is not None}
    return parse_spec({"dataset": "digits", **given})
