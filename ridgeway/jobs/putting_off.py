"""Leases whose worker can't read what they need, from a store that answers otherwise: put off.

Each time costs an attempt, and the pauses between grow, whichever worker comes next. After the last
attempt the job fails with what the store said. While another worker trains the job, the fault may
be one machine's: then nothing is spent.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ridgeway.database.clock import current_time, now
from ridgeway.database.tables import leases
from ridgeway.jobs.holding import fail_job, release, require_held, with_warnings
from ridgeway.jobs.leases import Lease, update_lease
from ridgeway.jobs.rows import update_job

FIRST_SECONDS = 2.0  # until the second attempt; twice as long after each
LONGEST_SECONDS = 30.0
REMEDY = (
    "Let the workers read that file, or restore it from a backup, then submit the job again: the "
    "store answers otherwise."
)


def put_off(transaction: Connection, lease: Lease, why: str, max_attempts: int) -> float | None:
    """Hand the lease back, not to be held before a while has passed; return that, in seconds.

    why: a sentence. None where that was the last attempt, and the job has failed.
    """
    row, held = require_held(transaction, lease)
    told = f"{why} The store answers otherwise; it is tried again."
    update_job(transaction, row.id, warnings=with_warnings(row.warnings, [told]))
    if _others_train(transaction, lease):
        release(transaction, lease)
        return LONGEST_SECONDS
    if held.attempts >= max_attempts:
        tries = "1 attempt" if held.attempts == 1 else f"{held.attempts} attempts"
        fail_job(transaction, lease, f"{why} The job was given up after {tries}. {REMEDY}")
        return None
    seconds = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** (held.attempts - 1))
    until = current_time(transaction) + seconds
    update_lease(transaction, lease.id, state="released", expires_at=until)
    return seconds


def _others_train(transaction: Connection, lease: Lease) -> bool:
    """Return whether another worker has trained what it holds of the job: it can read the data."""
    query = sa.select(leases.c.id).where(
        leases.c.job_id == lease.job_id,
        leases.c.id != lease.id,
        leases.c.state == "running",
        leases.c.expires_at > now(),
        leases.c.told_at >= leases.c.held_from,
    )
    return transaction.execute(query.limit(1)).first() is not None
