"""Who is told of a job's end: rows that wait from its submission on, claimed by lease, tried again.

A row that is due and whose job has ended is claimed for LEASE_SECONDS, tried, and settled. A
service that dies meanwhile leaves a row that is due again when its lease runs out: so everybody is
told at least once, each time by the same id, and two services don't tell both.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ridgeway.database.clock import current_time, now
from ridgeway.database.tables import jobs, notifications
from ridgeway.jobs.identity import new_id
from ridgeway.jobs.rows import lock_job, update_job
from ridgeway.spec.notify import Notification
from ridgeway.views import ENDED

LEASE_SECONDS = 60.0
FIRST_PAUSE_SECONDS = 5.0  # after the first try that fails; doubles each time
LONGEST_PAUSE_SECONDS = 3600.0
GIVEN_UP_SECONDS = 86400.0  # after the first try


@dataclass(frozen=True)
class Due:
    """A notification that is claimed. attempts: this one included."""

    id: str
    job_id: str
    url: str
    attempts: int


def expect(transaction: Connection, job_id: str, told: Sequence[Notification]) -> None:
    """Have these told when a job has ended that is new, or locked and reopened.

    A reopened job ends anew, and that is told by other ids, with tries of its own. Of its first end
    nobody is told any more; a try that is under way settles nothing.
    """
    transaction.execute(sa.delete(notifications).where(notifications.c.job_id == job_id))
    for url in dict.fromkeys(each.url for each in told):
        row = {"id": new_id(), "job_id": job_id, "url": url, "state": "waiting", "attempts": 0}
        transaction.execute(sa.insert(notifications).values(**row, due_at=now()))


def any_due(transaction: Connection) -> bool:
    """Return True where a claim would find something; a read that waits for nobody."""
    return transaction.execute(_DUE).first() is not None


def claim_notification(transaction: Connection) -> Due | None:
    """Claim what has been due for longest; None where nothing is, or others are at it."""
    locked = _DUE.with_for_update(skip_locked=True, of=notifications)
    row = transaction.execute(locked).first()
    if row is None:
        return None
    transaction.execute(
        sa.update(notifications)
        .where(notifications.c.id == row.id)
        .values(
            attempts=row.attempts + 1,
            first_at=sa.func.coalesce(notifications.c.first_at, now()),
            due_at=now() + LEASE_SECONDS,
        )
    )
    return Due(row.id, row.job_id, row.url, row.attempts + 1)


def note_sent(transaction: Connection, due: Due) -> None:
    """Note that the receiver has taken it."""
    transaction.execute(sa.update(notifications).where(_claimed(due)).values(state="sent"))


def note_failed(transaction: Connection, due: Due, why: str, final: bool = False) -> bool:
    """Have it tried again after a pause, or give it up and say so on the job; True if given up.

    final: the receiver wants no more of it. Nothing changes where another has claimed it since.
    """
    job = lock_job(transaction, due.job_id)
    row = transaction.execute(sa.select(notifications).where(_claimed(due))).one_or_none()
    if row is None:
        return False
    if not final and current_time(transaction) - row.first_at < GIVEN_UP_SECONDS:
        due_at = now() + pause_after(due.attempts)
        transaction.execute(sa.update(notifications).where(_claimed(due)).values(due_at=due_at))
        return False
    transaction.execute(sa.update(notifications).where(_claimed(due)).values(state="given_up"))
    host = urlsplit(due.url).netloc  # the rest may hold a secret
    tries = "1 try" if due.attempts == 1 else f"{due.attempts} tries"
    warning = f"{host} could not be told of the job's end, in {tries}: {why}"
    update_job(transaction, due.job_id, warnings=[*job.warnings, warning])
    return True


def pause_after(attempts: int) -> float:
    """Return seconds until the next try: doubled each time, and a fifth more or less."""
    pause = FIRST_PAUSE_SECONDS * 2.0 ** min(attempts - 1, 30)
    return min(pause, LONGEST_PAUSE_SECONDS) * random.uniform(0.8, 1.2)  # nosec B311 # no secret


def _claimed(due: Due) -> sa.ColumnElement[bool]:
    """Select the row as long as the claim is the last one."""
    same = (notifications.c.id == due.id) & (notifications.c.attempts == due.attempts)
    return same & (notifications.c.state == "waiting")


_DUE = (
    sa.select(notifications)
    .join(jobs, jobs.c.id == notifications.c.job_id)
    .where(
        notifications.c.state == "waiting",
        notifications.c.due_at <= now(),
        jobs.c.state.in_(sorted(ENDED)),
    )
    .order_by(notifications.c.due_at, notifications.c.id)
    .limit(1)
)
