"""Jobs and their trials, read out as a client sees them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import sqlalchemy as sa
from optuna.trial import TrialState as OptunaState
from sqlalchemy.engine import Connection, Row

from ridgeway.database.cursors import FLAG, FLOAT, ID, INTEGER, Keys
from ridgeway.database.tables import jobs
from ridgeway.errors import NotFound, Unreadable
from ridgeway.jobs.filters import JobFilter
from ridgeway.jobs.pace import seconds_left
from ridgeway.jobs.plan import JobPlan
from ridgeway.jobs.requests import Request
from ridgeway.jobs.rows import read_job, read_look, select_looks
from ridgeway.jobs.stored import read_best, read_plan, read_recommended, read_spec, read_state
from ridgeway.jobs.waiting import Waiting
from ridgeway.keys.caller import LOCAL, Caller
from ridgeway.keys.owners import owner_of, seen_by
from ridgeway.spec.names import UNPENALISED
from ridgeway.spec.spec import JobSpec
from ridgeway.study import pages, reading
from ridgeway.study.facts import text_of
from ridgeway.views import (
    Job,
    JobPage,
    LambdaRange,
    Links,
    Progress,
    StoredSpec,
    Trial,
    TrialDetail,
    TrialPage,
    TrialState,
)

_Read = TypeVar("_Read")

EVERY_JOB = JobFilter()
NEWEST_FIRST = Keys(FLOAT, ID)  # of jobs: when they were created, and the id
TRIAL_ORDERS: dict[pages.TrialOrder, Keys] = {
    "number": Keys(INTEGER),
    "value": Keys(FLAG, FLOAT, INTEGER),  # without a value or with one, the value, the trial's id
}


def find_submitted(transaction: Connection, request: Request) -> tuple[str, str | None] | None:
    """Find the job of an earlier request with this `Idempotency-Key`: its id and checksum."""
    row = transaction.execute(
        sa.select(jobs.c.id, jobs.c.request_checksum).where(
            jobs.c.idempotency_key == request.stored_key
        )
    ).one_or_none()
    return (row.id, row.request_checksum) if row else None


def find_job(transaction: Connection, job_id: str, caller: Caller = LOCAL) -> Job:
    """Find a job, from its row and its few open leases; another's is none to the caller."""
    if not caller.sees_all:
        owned = owner_of(transaction, job_id)
        if owned is None or owned.owner != caller.key:
            raise NotFound(f"There is no job {job_id}.")
    return _job(Waiting(transaction), read_look(transaction, job_id))


def study_of(transaction: Connection, job_id: str) -> int:
    """Return the id of the job's study."""
    return int(read_job(transaction, job_id).study_id)


def job_of_study(transaction: Connection, study_id: int) -> str | None:
    """Return the id of the job whose study this is; None for a study that was imported."""
    query = sa.select(jobs.c.id).where(jobs.c.study_id == study_id)
    return transaction.execute(query).scalar_one_or_none()


def list_jobs(
    transaction: Connection,
    *,
    wanted: JobFilter = EVERY_JOB,
    cursor: str | None,
    limit: int,
    caller: Caller = LOCAL,
) -> JobPage:
    """List the jobs that are wanted and that the caller sees, newest first."""
    newest = (jobs.c.created_at, jobs.c.id)
    query = select_looks().order_by(*(column.desc() for column in newest)).limit(limit + 1)
    query = wanted.narrow(query).where(seen_by(caller, jobs.c.owner))
    if cursor is not None:
        place = NEWEST_FIRST.place(cursor)
        query = query.where(sa.tuple_(*newest) < sa.tuple_(*map(sa.literal, place)))
    waiting = Waiting(transaction)
    rows = transaction.execute(query).all()
    page = rows[:limit]
    more = len(rows) > limit
    return JobPage(
        jobs=[_job(waiting, row) for row in page],
        next=NEWEST_FIRST.cursor([page[-1].created_at, page[-1].id]) if more else None,
    )


def datasets_of_jobs(transaction: Connection, most: int, caller: Caller = LOCAL) -> list[str]:
    """Return the data sets that the caller's jobs name, in order, at most so many."""
    query = sa.select(jobs.c.dataset).where(seen_by(caller, jobs.c.owner)).distinct()
    query = query.order_by(jobs.c.dataset).limit(most)
    return list(transaction.execute(query).scalars())


def list_trials(
    transaction: Connection,
    job_id: str,
    *,
    state: TrialState | None,
    order: pages.TrialOrder,
    cursor: str | None,
    limit: int,
) -> TrialPage:
    """List the trials of a job's study, by number or from the best value to the worst."""
    row = read_job(transaction, job_id)
    keys = TRIAL_ORDERS[order]
    found, place = pages.trial_page(
        transaction,
        row.study_id,
        state=OptunaState[state.upper()] if state else None,
        order=order,
        after=None if cursor is None else keys.place(cursor),
        limit=limit,
    )
    trials = [Trial(**_trial_fields(trial)) for trial in found]
    return TrialPage(trials=trials, next=keys.cursor(place) if place else None)


def find_trial(transaction: Connection, job_id: str, number: int) -> TrialDetail:
    """Find one trial with its curve."""
    row = read_job(transaction, job_id)
    trial = reading.find_trial(transaction, row.study_id, number)
    if trial is None:
        raise NotFound(f"Job {job_id} has no trial {number}.")
    return TrialDetail(
        **_trial_fields(trial),
        curve=reading.trial_curve(transaction, trial.id),
        fold_values=trial.facts.fold_values,
        fold_nonzero_weights=trial.facts.fold_nonzero_weights,
        attributes=dict(trial.attributes),
    )


def _trial_fields(trial: reading.StudyTrial) -> dict[str, Any]:
    """Return what a trial in a list and a trial by itself show alike."""
    return {
        "number": trial.number,
        "state": trial.state.name.lower(),
        "value": trial.value,
        "params": trial.params,
        "standard_error": trial.facts.standard_error,
        "nonzero_weights": trial.facts.nonzero_weights,
        "reason": text_of(trial.attributes.get("reason")),
        "warm_start": text_of(trial.attributes.get("warm_start")),
        "started_at": trial.started_at,
        "finished_at": trial.finished_at,
    }


def _job(waiting: Waiting, row: Row[Any]) -> Job:
    """Show a job's row; what of it another release wrote so that we can't read it is told."""
    trouble: list[str] = []
    spec = _readable(read_spec, row.spec, trouble)
    plan = _readable(read_plan, row.plan, trouble)
    _readable(read_state, row.state, trouble)
    why = waiting.why(row, spec) if spec else None
    return Job(
        id=row.id,
        name=row.name,
        state=row.state,
        study=row.id,
        spec=spec or StoredSpec(row.spec),
        progress=_progress(row),
        lambda_range=_lambda_range(spec, plan) if spec and plan else None,
        best=_readable(read_best, row.best, trouble),
        recommended=_readable(read_recommended, row.recommended, trouble),
        unreadable=" ".join(trouble) or None,
        error=row.error,
        warnings=[*row.warnings, *([why] if why else [])],
        waiting=why,
        answering=_is_answering(row),
        created_at=_moment(row.created_at),
        started_at=_moment(row.started_at) if row.started_at else None,
        finished_at=_moment(row.finished_at) if row.finished_at else None,
        links=Links(
            self=f"/v1/jobs/{row.id}",
            trials=f"/v1/jobs/{row.id}/trials",
            path=f"/v1/jobs/{row.id}/path",
            features=f"/v1/jobs/{row.id}/features",
            shown=f"/v1/jobs/{row.id}/shown",
            plots=f"/v1/jobs/{row.id}/plots",
            report=f"/v1/jobs/{row.id}/report",
            dashboard=f"/dashboard/studies/{row.study_id}",
        ),
    )


def _readable(read: Callable[[Any], _Read], stored: Any, trouble: list[str]) -> _Read | None:
    """Read what the row keeps; where it is unreadable add why to `trouble`, and return None."""
    try:
        return read(stored)
    except Unreadable as error:
        trouble.append(str(error))
        return None


def _lambda_range(spec: JobSpec, plan: JobPlan) -> LambdaRange | None:
    """Return the plan's range of λ for a job that asks for one; every plan has a range."""
    if spec.search.strength != "auto" or spec.search.penalty == [UNPENALISED]:
        return None
    low, high = plan.strengths
    return LambdaRange(low=low, high=high)


def _is_answering(row: Row[Any]) -> bool:
    ended = row.complete + row.pruned + row.failed
    return row.state == "running" and (row.closed or ended >= row.trials)


def _progress(row: Row[Any]) -> Progress:
    """Show the counts, and how far the job is with the parts of trials in training counted."""
    done = min(row.complete + row.pruned + row.failed + row.trained, row.trials)
    eta = None
    # What a reopened job has spent since its start says nothing about its pace.
    if row.state == "running" and row.recommended is None and not row.closed:
        begun = row.trained_from or row.started_at  # an earlier release's worker did not tell it
        told = max((at for at in (row.told_at, row.trained_told_at) if at), default=row.now)
        eta = seconds_left(done, row.trials, begun, told)
    return Progress(
        trials=row.trials,
        complete=row.complete,
        pruned=row.pruned,
        failed=row.failed,
        running=row.running,
        fraction=done / row.trials,
        eta_seconds=eta,
    )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
