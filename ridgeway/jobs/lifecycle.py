"""A job's states: submitted, paused, resumed, answered now, cancelled, out of time, failed.

More trials for a job: ridgeway/jobs/extend.py. How workers share them: ridgeway/jobs/claiming.py.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from ridgeway.database.clock import current_time, now
from ridgeway.database.tables import jobs, leases
from ridgeway.errors import Conflict, InvalidInput
from ridgeway.jobs.datasets import hold_dataset
from ridgeway.jobs.identity import new_id
from ridgeway.jobs.leases import OPEN_LEASE, has_open_leases
from ridgeway.jobs.lookups import find_job
from ridgeway.jobs.notifications import expect
from ridgeway.jobs.noting import name_axes
from ridgeway.jobs.requests import Request
from ridgeway.jobs.rows import lock_job, require_state, update_job
from ridgeway.jobs.stored import stored_timeout
from ridgeway.jobs.warm_starts import Lessons, copy_lessons
from ridgeway.keys.quotas import require_room_for_job
from ridgeway.spec.columns import left_out
from ridgeway.spec.combinations import objective_warnings
from ridgeway.spec.grids import budget, budget_warnings
from ridgeway.spec.spec import JobSpec
from ridgeway.study import questions, writing
from ridgeway.views import Job

NOTHING_YET: dict[str, Any] = dict.fromkeys(
    ("claimed", "complete", "pruned", "failed", "running", "populations", "evaluations"), 0
) | {"closed": False}

NO_REQUEST = Request()
SEARCH_ENDED = "the search was ended"  # reason of trials that were live then
_RESTS_ON = "; the answer rests on "


def submit_job(
    transaction: Connection,
    spec: JobSpec,
    *,
    lessons: Lessons | None = None,
    dataset_id: str | None = None,
    request: Request = NO_REQUEST,
) -> str:
    """Queue a job with its study; return the job's id, which is the study's name too.

    InvalidInput where the data set was deleted since it was looked up, LimitReached where the key
    that asks has no room for one more job, or for its trials.
    """
    if dataset_id is not None and not hold_dataset(transaction, dataset_id):
        raise InvalidInput.of("dataset", spec.dataset, "has been deleted meanwhile")
    require_room_for_job(transaction, request.caller, budget(spec))
    job_id = new_id()
    transaction.execute(
        sa.insert(jobs).values(
            id=job_id,
            name=spec.name,
            state="queued",
            priority=spec.priority,
            spec=spec.model_dump(mode="json"),
            model=spec.model.kind,
            dataset=spec.dataset,
            dataset_id=dataset_id,
            study_id=_new_study(transaction, job_id, spec, lessons),
            trials=budget(spec),
            warnings=first_warnings(spec),
            created_at=current_time(transaction),
            **request.columns,
            **NOTHING_YET,
        )
    )
    expect(transaction, job_id, spec.notify)
    return job_id


def first_warnings(spec: JobSpec) -> list[str]:
    """Return what a job is told when it is submitted."""
    return [*budget_warnings(spec), *objective_warnings(spec), *left_out(spec)]


def _new_study(transaction: Connection, job_id: str, spec: JobSpec, lessons: Lessons | None) -> int:
    """Create the job's study, empty but for the lessons of a warm start; return its id."""
    attributes = {"name": spec.name, "dataset": spec.dataset, "model": spec.model.kind}
    study_id = writing.create_study(transaction, job_id, spec.directions, attributes)
    name_axes(transaction, study_id, spec)
    if lessons is not None:
        copy_lessons(transaction, lessons, study_id)
    return study_id


def pause_job(transaction: Connection, job_id: str) -> Job:
    """Start no new populations; live ones finish."""
    row = lock_job(transaction, job_id)
    require_state(row, "pause", "queued", "running")
    return change_job(transaction, row, state="paused")


def resume_job(transaction: Connection, job_id: str) -> Job:
    """Go on where the job was paused."""
    row = lock_job(transaction, job_id)
    require_state(row, "resume", "paused")
    return change_job(transaction, row, state="running" if row.started_at else "queued")


def cancel_job(transaction: Connection, job_id: str) -> Job:
    """End the job; its live trials FAIL with the reason `cancelled`."""
    row = lock_job(transaction, job_id)
    require_state(row, "cancel", "queued", "running", "paused")
    failed = withdraw_leases(transaction, row, "cancelled")
    told = [f"The job was cancelled; its best trial is that of {_complete(row)}."]
    before = row.warnings if row.recommended else [*map(_without_answer, row.warnings)]
    return change_job(
        transaction,
        row,
        state="cancelled",
        failed=row.failed + failed,
        running=0,
        warnings=[*before, *(told if row.complete else [])],
        finished_at=current_time(transaction),
    )


def answer_job(transaction: Connection, job_id: str) -> Job:
    """End the search now and answer from the trials that have ended; live ones FAIL.

    Conflict for a job that has ended, or has no complete trial yet. Nothing changes for one that
    is being answered, but that a paused one goes on with it. `extend` reopens the search.
    """
    row = lock_job(transaction, job_id)
    require_state(row, "answer", "queued", "running", "paused")
    if not row.complete:
        raise Conflict(
            "Can't answer a job before any trial is complete: wait for one, or cancel the job."
        )
    if row.closed:
        return change_job(transaction, row, state="running")
    close_search(transaction, row, SEARCH_ENDED, "The search was ended early")
    return find_job(transaction, row.id)


def sweep(transaction: Connection) -> bool:
    """End one job that has used up its wall time, on what exists or as failed; False if none has.

    One, so that no transaction locks two jobs: others lock them in another order.
    """
    late = (jobs.c.deadline < now()) & jobs.c.state.in_(["running", "paused"]) & ~jobs.c.closed
    job_id = transaction.execute(sa.select(jobs.c.id).where(late).limit(1)).scalar()
    if job_id is None:
        return False
    row = lock_job(transaction, job_id)
    if row.state in ("running", "paused") and not row.closed:
        _close(transaction, row)
    return True


def _close(transaction: Connection, row: Row[Any]) -> None:
    """Allow no further trials, as time is up."""
    limit = stored_timeout(row.spec)
    message = f"The job ran out of its {'time' if limit is None else f'{limit:g} s'}"
    close_search(transaction, row, "timeout", message)


def close_search(transaction: Connection, row: Row[Any], reason: str, message: str) -> None:
    """Allow a locked job no further trials: it is answered from those that have ended.

    Live trials FAIL with the `reason`; an answer in the making may be finished. The `message` goes
    on with what the answer rests on, or is the error where no trial is complete.
    """
    open_ = leases.c.state.in_(OPEN_LEASE) & (leases.c.kind == "population")
    training = sa.select(leases.c.id).where(leases.c.job_id == row.id, open_).limit(1)
    if row.claimed >= row.trials and transaction.execute(training).first() is None:
        update_job(transaction, row.id, state="running", closed=True)
        return
    failed = withdraw_leases(transaction, row, reason)
    if row.complete == 0:
        end_as_failed(transaction, row, f"{message} before any trial was complete.", failed)
        return
    update_job(
        transaction,
        row.id,
        state="running",
        closed=True,
        failed=row.failed + failed,
        running=0,
        warnings=[*row.warnings, f"{message}{_RESTS_ON}{_complete(row)}."],
    )


def _complete(row: Row[Any]) -> str:
    """Return how many of a locked job's trials are complete, in words."""
    return f"{row.complete} of {row.trials} trials"


def _without_answer(warning: str) -> str:
    """Return a warning without what it tells of an answer that will not be given."""
    told, rests_on, _ = warning.partition(_RESTS_ON)
    return f"{told}." if rests_on else warning


def end_as_failed(transaction: Connection, row: Row[Any], message: str, failed: int = 0) -> None:
    """End a locked job as failed, and `failed` more of its trials with it."""
    update_job(
        transaction,
        row.id,
        state="failed",
        error=message,
        failed=row.failed + failed,
        running=0,
        finished_at=current_time(transaction),
    )


def withdraw_leases(transaction: Connection, row: Row[Any], reason: str) -> int:
    """Cancel a locked job's open leases; return how many running trials FAIL by that."""
    open_ = (leases.c.job_id == row.id) & leases.c.state.in_(OPEN_LEASE)
    withdrawn = transaction.execute(
        sa.update(leases).where(open_).values(state="cancelled").returning(leases)
    ).all()
    return sum(
        writing.fail_running(transaction, row.study_id, lease.first_number, lease.size, reason)
        for lease in withdrawn
        if lease.first_number is not None
    )


def end_if_hopeless(transaction: Connection, job_id: str) -> None:
    """End a job as failed if its budget is spent and no trial is complete: it has no answer."""
    row = lock_job(transaction, job_id)
    spent = row.closed or row.claimed >= row.trials
    if row.complete or not spent or row.state not in ("running", "paused"):
        return
    if has_open_leases(transaction, job_id):
        return
    reason = questions.commonest_reason(transaction, row.study_id) or "no reason was recorded"
    ended = row.failed + row.pruned
    message = f"None of the {ended} trials was complete. Most often: {reason}"
    end_as_failed(transaction, row, message)


def change_job(transaction: Connection, row: Row[Any], **values: Any) -> Job:
    """Set columns of a job whose row is locked; return the job as it is then."""
    update_job(transaction, row.id, **values)
    return find_job(transaction, row.id)
