"""What a job's row keeps, read by this release; Unreadable where another one wrote it."""

from __future__ import annotations

from typing import Any, cast, get_args

from ridgeway.answers import Recommended
from ridgeway.errors import Unreadable
from ridgeway.jobs.plan import JobPlan
from ridgeway.spec.spec import JobSpec
from ridgeway.spec.stored import read_stored
from ridgeway.views import Best, JobState


def read_state(stored: str) -> JobState:
    """Read the job's state."""
    if stored not in get_args(JobState):
        raise Unreadable(f"This release does not know the job's state {stored!r}.")
    return cast("JobState", stored)


def read_spec(stored: Any) -> JobSpec:
    """Read the job's spec."""
    return read_stored(JobSpec, "job's spec", stored)


def read_plan(stored: Any) -> JobPlan | None:
    """Read the job's plan; None before a worker has made one."""
    return None if stored is None else read_stored(JobPlan, "job's plan", stored)


def read_best(stored: Any) -> Best | None:
    """Read the job's best trial; None where none is complete."""
    return None if stored is None else read_stored(Best, "job's best trial", stored)


def read_recommended(stored: Any) -> Recommended | None:
    """Read the job's answer; None where there is none."""
    return None if stored is None else read_stored(Recommended, "job's answer", stored)


def stored_kind(spec: Any) -> str:
    """Return a stored spec's `kind`, whatever else it holds; earlier releases' have none."""
    if not isinstance(spec, dict):
        return "search"
    return str(cast("dict[str, Any]", spec).get("kind", "search"))


def stored_timeout(spec: Any) -> float | None:
    """Return a stored spec's `timeout_seconds`, whatever else it holds; None where it has none."""
    if not isinstance(spec, dict):
        return None
    seconds = cast("dict[str, Any]", spec).get("timeout_seconds")
    return seconds if isinstance(seconds, int | float) else None
