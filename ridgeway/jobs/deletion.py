"""The end of a job's record: gone for everybody at once; its trials and files go in slices.

    delete_job(transaction, job_id)        # the service: no call finds the job any more
    while delete_some(database, store):    # a sweeper, whichever comes by first
        ...

A study may hold a million trials, and to delete them in one transaction would keep all others from
writing for as long. `deleted_jobs` says what is left to do, so that a process killed at any line
leaves the rest to the next sweep.
"""

from __future__ import annotations

import logging
import time

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from ridgeway.data.store import Store
from ridgeway.database.clock import now
from ridgeway.database.engine import Database
from ridgeway.database.tables import artifacts, deleted_jobs, jobs, leases, notifications
from ridgeway.errors import Conflict
from ridgeway.jobs.datasets import forget_dataset
from ridgeway.jobs.rows import lock_job
from ridgeway.study.deleting import delete_study, delete_trials, hide_study
from ridgeway.views import ENDED

SLICE_SECONDS = 0.05  # of deleting trials in one transaction, while others wait to write
FEW = 50  # trials deleted between two looks at the clock
HIDDEN = "deleted "  # before the name of a study that is being deleted

log = logging.getLogger(__name__)


def delete_job(transaction: Connection, job_id: str) -> None:
    """Delete an ended job, its leases, artifacts and notifications; Conflict before it has ended.

    Its `Idempotency-Key` goes with it: a request repeated after that makes a new job.
    """
    row = lock_job(transaction, job_id)
    if row.state not in ENDED:
        raise Conflict(f"Can't delete a job that is {row.state}; cancel it first.")
    for table in (leases, artifacts, notifications):
        transaction.execute(sa.delete(table).where(table.c.job_id == job_id))
    hide_study(transaction, row.study_id, HIDDEN + job_id)
    left = {"job_id": job_id, "study_id": row.study_id, "deleted_at": now()}
    transaction.execute(sa.insert(deleted_jobs).values(left))
    transaction.execute(sa.delete(jobs).where(jobs.c.id == job_id))
    if row.dataset_id is not None:
        forget_dataset(transaction, row.dataset_id)


def delete_some(database: Database, store: Store) -> bool:
    """Delete a slice of what deleted jobs have left behind; False where nothing is left."""
    with database.reading() as transaction:
        if transaction.execute(_LEFT).first() is None:
            return False
    with database.transaction() as transaction:
        # Another sweeper may be at the oldest: this one takes the next.
        left = transaction.execute(_LEFT.with_for_update(skip_locked=True)).first()
        if left is None:
            return False
        if _has_more(transaction, left.study_id):
            return True
    _delete_files(store, left.job_id)
    with database.transaction() as transaction:
        _finish(transaction, left)
    return True


def _has_more(transaction: Connection, study_id: int) -> bool:
    """Delete trials of the study for a moment; return True where some are left."""
    deadline = time.monotonic() + SLICE_SECONDS
    while delete_trials(transaction, study_id, FEW) == FEW:
        if time.monotonic() > deadline:
            return True
    return False


def _delete_files(store: Store, job_id: str) -> None:
    """Delete all that the job has in the store; what can't be is a leftover, looked for later."""
    try:
        for entry in store.entries(f"jobs/{job_id}"):
            store.delete(entry.key)
    except OSError as error:
        log.warning("files of job %s stay in the store for now: %s", job_id, error)


def _finish(transaction: Connection, left: Row[object]) -> None:
    """Delete the study and the note of it, unless somebody has given it trials since.

    Without a note another sweeper was first, and the study's id may be a new one's: SQLite gives
    it again.
    """
    noted = deleted_jobs.c.job_id == left.job_id
    note = transaction.execute(sa.select(deleted_jobs).where(noted).with_for_update()).first()
    if note is None or _has_more(transaction, left.study_id):
        return
    delete_study(transaction, left.study_id)
    transaction.execute(sa.delete(deleted_jobs).where(noted))


_LEFT = sa.select(deleted_jobs).order_by(deleted_jobs.c.deleted_at, deleted_jobs.c.job_id).limit(1)
