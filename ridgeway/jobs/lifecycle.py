"""A job's life as its client sees it: submit, look, pause, resume, cancel, run out of time.

More trials for a job: ridgeway/jobs/extend.py. How workers share them: ridgeway/jobs/leases.py.
Lock order everywhere: job, lease, study.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import sqlalchemy as sa
from optuna.trial import TrialState as OptunaState
from sqlalchemy.engine import Connection, Row

from ridgeway.database.clock import current_time, now
from ridgeway.database.tables import artifacts, jobs, leases
from ridgeway.errors import Conflict, InvalidInput, NotFound
from ridgeway.jobs.plan import JobPlan
from ridgeway.jobs.warm_starts import seed_study
from ridgeway.spec.combinations import objective_warnings
from ridgeway.spec.grids import budget, budget_warnings
from ridgeway.spec.spec import JobSpec
from ridgeway.study import reading, writing
from ridgeway.views import (
    Best,
    Job,
    JobPage,
    JobState,
    LambdaRange,
    Links,
    Progress,
    Recommended,
    Trial,
    TrialDetail,
    TrialPage,
    TrialState,
)

OPEN_LEASE = ("running", "released", "expired")  # states in which a lease's trials are unfinished


@dataclass(frozen=True)
class Artifact:
    """Bytes of a job in the store."""

    address: str
    checksum: str
    bytes: int


# --- submit and look --------------------------------------------------------------------------


def submit_job(
    transaction: Connection,
    spec: JobSpec,
    *,
    dataset_id: str | None = None,
    idempotency_key: str | None = None,
    request_checksum: str | None = None,
) -> str:
    """Queue a job with its study; the job's id, which is the study's name too.

    The study is empty but for a warm start; InvalidInput for one that can't teach this job.
    """
    job_id = new_id()
    attributes = {"name": spec.name, "dataset": spec.dataset, "model": spec.model.kind}
    study_id = writing.create_study(transaction, job_id, spec.directions, attributes)
    seed_study(transaction, spec, study_id)
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
            study_id=study_id,
            trials=budget(spec),
            claimed=0,
            complete=0,
            pruned=0,
            failed=0,
            running=0,
            populations=0,
            closed=False,
            evaluations=0,
            warnings=[*budget_warnings(spec), *objective_warnings(spec)],
            idempotency_key=idempotency_key,
            request_checksum=request_checksum,
            created_at=current_time(transaction),
        )
    )
    return job_id


def new_id() -> str:
    """A UUID of version 7 (RFC 9562): sorts by the time it was made."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & (2**48 - 1)) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    return str(uuid.UUID(int=value & ~(0x3 << 62) | 0x2 << 62))


def find_submitted(transaction: Connection, idempotency_key: str) -> tuple[str, str | None] | None:
    """The job that was submitted with this key, and the checksum of its request."""
    row = transaction.execute(
        sa.select(jobs.c.id, jobs.c.request_checksum).where(
            jobs.c.idempotency_key == idempotency_key
        )
    ).one_or_none()
    return (row.id, row.request_checksum) if row else None


def find_job(transaction: Connection, job_id: str) -> Job:
    """The job, from its row alone."""
    return _job(_row(transaction, job_id))


def study_of(transaction: Connection, job_id: str) -> int:
    """The id of the job's study."""
    return int(_row(transaction, job_id).study_id)


def list_jobs(
    transaction: Connection, *, state: JobState | None, cursor: str | None, limit: int
) -> JobPage:
    """Jobs, newest first."""
    newest = (jobs.c.created_at, jobs.c.id)
    query = _selected().order_by(*(column.desc() for column in newest)).limit(limit + 1)
    if state is not None:
        query = query.where(jobs.c.state == state)
    if cursor is not None:
        place = _decode_cursor(cursor, (float, str))
        query = query.where(sa.tuple_(*newest) < sa.tuple_(*map(sa.literal, place)))
    rows = transaction.execute(query).all()
    page = rows[:limit]
    more = len(rows) > limit
    return JobPage(
        jobs=[_job(row) for row in page],
        next=_encode_cursor([page[-1].created_at, page[-1].id]) if more else None,
    )


def find_artifact(transaction: Connection, job_id: str, name: str) -> Artifact:
    """Where the bytes are that the job left behind under this name."""
    _row(transaction, job_id)
    row = transaction.execute(
        sa.select(artifacts).where(artifacts.c.job_id == job_id, artifacts.c.name == name)
    ).one_or_none()
    if row is None:
        raise NotFound(f"Job {job_id} has no {name} yet.")
    return Artifact(row.address, row.checksum, row.bytes)


# --- trials -----------------------------------------------------------------------------------


def list_trials(
    transaction: Connection,
    job_id: str,
    *,
    state: TrialState | None,
    order: reading.TrialOrder,
    cursor: str | None,
    limit: int,
) -> TrialPage:
    """The trials of a job's study, by number or from the best value to the worst."""
    row = _row(transaction, job_id)
    kinds = (int,) if order == "number" else (int, float, int)
    found, place = reading.trial_page(
        transaction,
        row.study_id,
        state=OptunaState[state.upper()] if state else None,
        order=order,
        after=cast("list[float] | None", _decode_cursor(cursor, kinds) if cursor else None),
        limit=limit,
    )
    trials = [Trial(**_trial_fields(trial)) for trial in found]
    return TrialPage(trials=trials, next=_encode_cursor(place) if place else None)


def find_trial(transaction: Connection, job_id: str, number: int) -> TrialDetail:
    """One trial with its curve."""
    row = _row(transaction, job_id)
    trial = reading.all_attributes(transaction, row.study_id, number)
    if trial is None:
        raise NotFound(f"Job {job_id} has no trial {number}.")
    return TrialDetail(
        **_trial_fields(trial),
        curve=reading.trial_curve(transaction, trial.id),
        fold_values=_numbers(trial.attributes.get("fold_values"), int | float),
        fold_nonzero_weights=_numbers(trial.attributes.get("fold_nonzero_weights"), int),
        attributes=dict(trial.attributes),
    )


def _numbers(value: Any, kind: Any) -> Any:
    items = cast("list[Any]", value) if isinstance(value, list) else None
    return items if items and all(isinstance(item, kind) for item in items) else None


def _trial_fields(trial: reading.StudyTrial) -> dict[str, Any]:
    # A stock Optuna process may have written attributes of our names and of any type.
    def number(key: str) -> float | None:
        value = trial.attributes.get(key)
        return value if isinstance(value, int | float) else None

    def text(key: str) -> str | None:
        value = trial.attributes.get(key)
        return value if isinstance(value, str) else None

    return {
        "number": trial.number,
        "state": trial.state.name.lower(),
        "value": trial.value,
        "params": trial.params,
        "standard_error": number("standard_error"),
        "nonzero_weights": number("nonzero_weights"),
        "reason": text("reason"),
        "warm_start": text("warm_start"),
        "started_at": trial.started_at,
        "finished_at": trial.finished_at,
    }


# --- pause, resume, cancel, time out ----------------------------------------------------------


def pause_job(transaction: Connection, job_id: str) -> Job:
    """No new populations; live ones finish."""
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
    return change_job(
        transaction,
        row,
        state="cancelled",
        failed=row.failed + failed,
        running=0,
        finished_at=current_time(transaction),
    )


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
    """Out of time: no further trials. An answer that is being worked out may be finished."""
    open_ = leases.c.state.in_(OPEN_LEASE) & (leases.c.kind == "population")
    training = sa.select(leases.c.id).where(leases.c.job_id == row.id, open_).limit(1)
    if row.claimed >= row.trials and transaction.execute(training).first() is None:
        update_job(transaction, row.id, state="running", closed=True)
        return
    failed = withdraw_leases(transaction, row, "timeout")
    message = f"The job ran out of its {row.spec['timeout_seconds']:g} s"
    if row.complete == 0:
        end_as_failed(transaction, row, f"{message} before any trial was complete.", failed)
        return
    ended = row.complete + row.pruned + row.failed + failed
    warning = f"{message}; the answer rests on {ended} of {row.trials} trials."
    update_job(
        transaction,
        row.id,
        state="running",
        closed=True,
        failed=row.failed + failed,
        running=0,
        warnings=[*row.warnings, warning],
    )


def end_as_failed(transaction: Connection, row: Row[Any], message: str, failed: int = 0) -> None:
    """The job has failed; `failed` more of its trials with it. The job's row is locked."""
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
    """Cancel every open lease of a locked job and FAIL its running trials; how many there were."""
    open_ = (leases.c.job_id == row.id) & leases.c.state.in_(OPEN_LEASE)
    withdrawn = transaction.execute(
        sa.update(leases).where(open_).values(state="cancelled").returning(leases)
    ).all()
    return sum(
        writing.fail_running(transaction, row.study_id, lease.first_number, lease.size, reason)
        for lease in withdrawn
        if lease.first_number is not None
    )


# --- rows -------------------------------------------------------------------------------------


def lock_job(transaction: Connection, job_id: str) -> Row[Any]:
    """The job's row, held until the commit."""
    return _row(transaction, job_id, lock=True)


def _selected() -> sa.Select[Any]:
    """A job's row and the database's time, in one statement."""
    return sa.select(jobs, now().label("now"))


# Built once: to build a statement takes SQLAlchemy longer than to run it.
_THE_JOB = jobs.c.id == sa.bindparam("job", type_=sa.String)
_JOB = _selected().where(_THE_JOB)
_LOCKED_JOB = _JOB.with_for_update()
_UPDATED_JOB = sa.update(jobs).where(_THE_JOB)


def _row(transaction: Connection, job_id: str, lock: bool = False) -> Row[Any]:
    row = transaction.execute(_LOCKED_JOB if lock else _JOB, {"job": job_id}).one_or_none()
    if row is None:
        raise NotFound(f"There is no job {job_id}.")
    return row


def require_state(row: Row[Any], verb: str, *states: JobState) -> None:
    """Conflict unless the locked job is in one of the states."""
    if row.state not in states:
        accepted = " or ".join(states)
        raise Conflict(f"Can't {verb} a job that is {row.state}; it would have to be {accepted}.")


def update_job(transaction: Connection, job_id: str, **values: Any) -> None:
    """Set columns of a job whose row is locked."""
    transaction.execute(_UPDATED_JOB, {"job": job_id, **values})


def change_job(transaction: Connection, row: Row[Any], **values: Any) -> Job:
    """Set columns of a job whose row is locked; the job as it is then."""
    update_job(transaction, row.id, **values)
    return find_job(transaction, row.id)


def _job(row: Row[Any]) -> Job:
    spec = JobSpec.model_validate(row.spec)
    return Job(
        id=row.id,
        name=row.name,
        state=row.state,
        study=row.id,
        spec=spec,
        progress=_progress(row),
        lambda_range=_lambda_range(spec, JobPlan.model_validate(row.plan) if row.plan else None),
        best=Best.model_validate(row.best) if row.best else None,
        recommended=Recommended.model_validate(row.recommended) if row.recommended else None,
        error=row.error,
        warnings=row.warnings,
        created_at=_moment(row.created_at),
        started_at=_moment(row.started_at) if row.started_at else None,
        finished_at=_moment(row.finished_at) if row.finished_at else None,
        links=Links(
            self=f"/v1/jobs/{row.id}",
            trials=f"/v1/jobs/{row.id}/trials",
            dashboard=f"/dashboard/studies/{row.study_id}",
        ),
    )


def _lambda_range(spec: JobSpec, plan: JobPlan | None) -> LambdaRange | None:
    """The plan has a range for every job; only those that ask for one use it."""
    if plan is None or spec.search.strength != "auto" or spec.search.penalty == ["none"]:
        return None
    low, high = plan.strengths
    return LambdaRange(low=low, high=high)


def _progress(row: Row[Any]) -> Progress:
    ended = row.complete + row.pruned + row.failed
    eta = None
    # What a reopened job has spent since its start says nothing about its pace.
    if row.state == "running" and ended and row.recommended is None:
        eta = (row.now - row.started_at) / ended * (row.trials - ended)
    return Progress(
        trials=row.trials,
        complete=row.complete,
        pruned=row.pruned,
        failed=row.failed,
        running=row.running,
        fraction=ended / row.trials,
        eta_seconds=max(eta, 0.0) if eta is not None else None,
    )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


# --- cursors ----------------------------------------------------------------------------------


def _encode_cursor(place: Sequence[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def _decode_cursor(cursor: str, kinds: Sequence[type]) -> list[Any]:
    """The place that a cursor stands for; InvalidInput for one that we never gave out."""
    error = InvalidInput.of("cursor", cursor, "must be the `next` of an earlier page")
    try:
        place: Any = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", True))
    except (ValueError, binascii.Error, RecursionError):
        raise error from None
    if not isinstance(place, list) or len(cast("list[Any]", place)) != len(kinds):
        raise error
    items = cast("list[Any]", place)
    for item, kind in zip(items, kinds, strict=True):
        accepted = (int, float) if kind is float else kind
        if not isinstance(item, accepted) or isinstance(item, bool) or not _storable(item):
            raise error
    return items


def _storable(item: float | str) -> bool:
    if isinstance(item, str):
        return "\x00" not in item and item.isprintable()
    return abs(item) < 2**31 if isinstance(item, int) else item == item
