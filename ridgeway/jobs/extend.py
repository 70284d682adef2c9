"""More trials for a job: a larger budget, also for one that has succeeded."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from ridgeway.database.clock import current_time
from ridgeway.database.tables import leases
from ridgeway.errors import Conflict, InvalidInput
from ridgeway.jobs.datasets import hold_dataset
from ridgeway.jobs.leases import OPEN_LEASE
from ridgeway.jobs.lifecycle import change_job
from ridgeway.jobs.notifications import expect
from ridgeway.jobs.rows import lock_job, require_state
from ridgeway.jobs.stored import read_spec
from ridgeway.keys.caller import LOCAL, Caller
from ridgeway.keys.quotas import require_room_for_job, require_room_for_trials
from ridgeway.spec.grids import grid_size
from ridgeway.spec.names import SAMPLER_ROWS
from ridgeway.spec.resolving import MAX_CURVE_POINTS
from ridgeway.spec.spec import MAX_TRIALS, JobSpec
from ridgeway.views import Job


def extend_job(transaction: Connection, job_id: str, trials: int, caller: Caller = LOCAL) -> Job:
    """Add trials to a job's budget; InvalidInput where that is more than a job may have.

    LimitReached where that, or a job opened again, is more than the caller's key may have;
    Unreadable for a job whose spec another release wrote.

    A succeeded job runs again and keeps its answer until the new one replaces it. An answer that
    is being worked out is withdrawn: one will be given in the end, on all trials. Where the search
    ended early, they are added to the trials that have ended: what was left out stays so.
    """
    row = lock_job(transaction, job_id)
    require_state(row, "extend", "queued", "running", "paused", "succeeded")
    reopened = row.state == "succeeded"
    if reopened and row.dataset_id and not hold_dataset(transaction, row.dataset_id):
        raise Conflict("Can't extend a job whose data set was deleted.")
    spec = read_spec(row.spec)
    ended = row.complete + row.pruned + row.failed
    begun = ended if row.closed else row.trials
    total = _larger_budget(begun, spec, trials)
    if reopened:
        require_room_for_job(transaction, caller, total)
        expect(transaction, job_id, spec.notify)
    else:
        require_room_for_trials(transaction, caller, max(0, total - row.trials))
    _withdraw_answer(transaction, job_id)
    return change_job(
        transaction,
        row,
        state="running" if reopened else row.state,
        spec={**row.spec, "trials": total},
        trials=total,
        # Populations that were withdrawn before they had numbers are carved out of it once more.
        claimed=ended if row.closed else row.claimed,
        closed=False,
        deadline=_deadline(transaction, row, spec),
        finished_at=None,
    )


def _larger_budget(begun: int, spec: JobSpec, trials: int) -> int:
    most = min(MAX_TRIALS, MAX_CURVE_POINTS // spec.epochs)
    if SAMPLER_ROWS[spec.sampler].finite:
        most = min(most, grid_size(spec))
    total = begun + trials
    if total > most:
        left = max(0, most - begun)
        message = (
            f"makes {total:,} trials of {begun:,}, and this job can have {most:,}; accepted: "
            + (f"up to {left:,}" if left else "none")
        )
        raise InvalidInput.of("trials", trials, message)
    return total


def _withdraw_answer(transaction: Connection, job_id: str) -> None:
    """Withdraw an answer in the making, whose holder will find the lease lost."""
    open_ = leases.c.state.in_(OPEN_LEASE) & (leases.c.kind == "answer")
    transaction.execute(
        sa.update(leases).where(leases.c.job_id == job_id, open_).values(state="cancelled")
    )


def _deadline(transaction: Connection, row: Row[Any], spec: JobSpec) -> float | None:
    """Return the deadline; a job that has ended, or whose time is up, gets all of its time anew."""
    if row.deadline is None or spec.timeout_seconds is None:
        return None
    time = current_time(transaction)
    over = row.state == "succeeded" or row.deadline <= time
    return time + spec.timeout_seconds if over else row.deadline
