"""Jobs around the one that is soaked: one that nobody can read, and small ones that come and go."""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import dataclass, field

import sqlalchemy as sa
from invariants import check, check_deleted, handed_out, objective
from strange import submit_strange
from submitting import submit
from waiting import wait_until

from ridgeway.data.store import Store
from ridgeway.database.engine import Database
from ridgeway.database.tables import deleted_jobs
from ridgeway.errors import Conflict
from ridgeway.jobs import deletion, lifecycle, lookups
from ridgeway.jobs.extend import extend_job
from ridgeway.views import ENDED

SMALL = 2000  # trials: a second's work, and many slices to delete
IN_FRONT = 1  # their priority: whoever looks for work meets them first


@dataclass
class Others:
    """An unreadable job in front of the queue, and small jobs, one at a time."""

    unreadable: str
    deleted: list[str] = field(default_factory=list)
    small: str | None = None

    @classmethod
    def begin(cls, database: Database) -> Others:
        """Put the unreadable job into the queue."""
        return cls(submit_strange(database, dataset="digits", priority=IN_FRONT))

    def step(self, database: Database) -> str:
        """Submit, extend, cancel or delete a small job; what was done. Conflict where it can't."""
        if self.small is None:
            self.small = submit(database, SMALL, priority=IN_FRONT)
            return "submitted"
        deed = random.choice((self._extend, self._cancel, self._delete, self._delete))
        return deed(database, self.small)

    def end(self, database: Database, store: Store) -> None:
        """Delete all of them, and sweep until nothing is left of them."""
        if self.small is not None:
            with suppress(Conflict):  # it has ended
                self._cancel(database, self.small)
            self._delete(database, self.small)
        with database.transaction() as transaction:
            assert handed_out(transaction, self.unreadable) == 0, "an unreadable job was claimed"
            lifecycle.cancel_job(transaction, self.unreadable)
            deletion.delete_job(transaction, self.unreadable)
        self.deleted.append(self.unreadable)
        wait_until(lambda: _is_swept(database, store), 60.0)
        check_deleted(database, self.deleted)

    def _extend(self, database: Database, job_id: str) -> str:
        with database.transaction() as transaction:
            extend_job(transaction, job_id, SMALL // 10)
        return "extended"

    def _cancel(self, database: Database, job_id: str) -> str:
        with database.transaction() as transaction:
            lifecycle.cancel_job(transaction, job_id)
        return "cancelled"

    def _delete(self, database: Database, job_id: str) -> str:
        with database.reading() as transaction:
            state = lookups.find_job(transaction, job_id).state
        if state in ENDED:
            check(database, job_id, expected=objective, state=state, extended=True)
        with database.transaction() as transaction:
            deletion.delete_job(transaction, job_id)
        self.deleted.append(job_id)
        self.small = None
        return "deleted"


def _is_swept(database: Database, store: Store) -> bool:
    """Delete what deleted jobs have left; False while other sweepers are still at it."""
    while deletion.delete_some(database, store):
        pass
    with database.reading() as transaction:
        return transaction.execute(sa.select(deleted_jobs)).first() is None
