"""What becomes of lost leases: held by the next worker, split before, or given up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from ridgeway.database.tables import leases
from ridgeway.jobs.leases import update_lease
from ridgeway.jobs.lifecycle import end_as_failed, end_if_hopeless, withdraw_leases
from ridgeway.jobs.queue import CLAIMABLE
from ridgeway.jobs.rows import lock_job, update_job
from ridgeway.study import writing


def first_to_hold(
    transaction: Connection, job_id: str, lost_leases: Sequence[Row[Any]], max_attempts: int
) -> Row[Any] | None:
    """Return the first lost lease of a locked job that the next holder may take over.

    A population that may hold a killer of workers is split first; one that has cost too many
    workers is given up.
    """
    for lost in lost_leases:
        if lost.attempts < max_attempts:
            if _suspect(lost, max_attempts):
                _split(transaction, lost, max_attempts - lost.attempts)
            return lost
        _give_up(transaction, job_id, lost)
        if lock_job(transaction, job_id).state not in CLAIMABLE:
            return None
    return None


def _suspect(lost: Row[Any], max_attempts: int) -> bool:
    """Return True where a trial of the population may kill its workers: two are gone."""
    lost_to_a_death = lost.state != "released" and lost.attempts >= min(2, max_attempts - 1)
    return lost_to_a_death and lost.size > 1 and lost.first_number is not None


def _split(transaction: Connection, lost: Row[Any], attempts_left: int) -> None:
    """Split the population so that by the last attempt left every suspect is trained alone.

    The first part stays in the lease, whose checkpoint fits nobody now and is deleted with it; the
    others are lost leases of their own. Their ordinals are negative: those of populations yet to
    come, which sizes and seeds hang on, stay as they were.
    """
    parts = math.ceil(lost.size ** (1 / attempts_left))
    ends = [lost.size * (part + 1) // parts for part in range(parts)]
    lowest = sa.select(sa.func.min(leases.c.ordinal)).where(
        leases.c.job_id == lost.job_id, leases.c.kind == "population"
    )
    ordinal = min(0, transaction.execute(lowest).scalar_one())
    kept = {c.name: getattr(lost, c.name) for c in leases.columns if c.name != "id"}
    transaction.execute(
        sa.update(leases)
        .where(leases.c.id == lost.id)
        .values(size=ends[0], share=None, told_at=None)
    )
    for index, (start, end) in enumerate(pairwise(ends), start=1):
        part = {
            "ordinal": ordinal - index,
            "state": "expired",
            "first_number": lost.first_number + start,
            "size": end - start,
            "checkpoint": None,
            "share": None,
            "told_at": None,
        }
        transaction.execute(sa.insert(leases).values({**kept, **part}))


def _give_up(transaction: Connection, job_id: str, lost: Row[Any]) -> None:
    row = lock_job(transaction, job_id)
    update_lease(transaction, lost.id, state="cancelled")
    why = f", one of them because {lost.lost_because}" if lost.lost_because else ""
    if lost.first_number is None:
        doing = "refitted the models" if lost.kind == "answer" else "prepared the data"
        failed = withdraw_leases(transaction, row, "the job failed")
        message = (
            f"{lost.attempts} workers were lost while they {doing}{why}; see the workers' log."
        )
        end_as_failed(transaction, row, message, failed)
        return
    trained = "this trial" if lost.size == 1 else "this population"
    reason = f"{lost.attempts} workers were lost while they trained {trained}{why}"
    failed = writing.fail_running(transaction, row.study_id, lost.first_number, lost.size, reason)
    update_job(transaction, job_id, failed=row.failed + failed, running=row.running - failed)
    end_if_hopeless(transaction, job_id)
