"""What has to be done from time to time, as long as the service lives, in a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from ridgeway.data.store import Store
from ridgeway.database.engine import Database
from ridgeway.database.outages import first_line
from ridgeway.jobs.deletion import delete_some
from ridgeway.jobs.leftovers import Leftovers
from ridgeway.jobs.lifecycle import sweep
from ridgeway.jobs.retention import delete_if_old, old_jobs
from ridgeway.keys.audit import delete_old_lines, has_old_lines
from ridgeway.settings import Settings
from ridgeway.words import DAY_SECONDS

log = logging.getLogger(__name__)


class Sweeper:
    """Ends jobs that are out of time; deletes old ones, what those have left, what nothing names.

    And old lines of the audit log.

    Every so many seconds and when it is woken; a database or a store that is away is asked again.
    """

    def __init__(self, database: Database, store: Store, settings: Settings) -> None:
        self._database, self._store = database, store
        self._seconds = settings.sweep_seconds
        self._keep_days = settings.keep_jobs_days
        self._keep_audit_seconds = settings.keep_audit_days * DAY_SECONDS
        self._leftovers = Leftovers(database, store, settings.leftover_seconds)
        self._looked_at = time.monotonic()
        self._stopping = threading.Event()
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)

    def start(self) -> None:
        """Sweep now and from now on."""
        self._thread.start()

    def wake(self) -> None:
        """Sweep soon: there is something to do."""
        self._woken.set()

    def stop(self) -> None:
        """Return when the last sweep has ended, but wait for no stuck database."""
        self._stopping.set()
        self._woken.set()
        self._thread.join(5)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._woken.clear()
            self._try("look for jobs out of time", self._end_overdue)
            self._try("delete jobs that ended long ago", self._delete_old)
            self._try("delete what deleted jobs have left", self._delete)
            self._try("delete old lines of the audit log", self._delete_old_lines)
            self._try("look for files that nothing names", self._look_for_leftovers)
            self._woken.wait(self._seconds)

    def _try(self, what: str, work: Callable[[], None]) -> None:
        try:
            work()
        except (SQLAlchemyError, OSError) as error:
            log.warning("Can't %s: %s", what, first_line(error))

    def _end_overdue(self) -> None:
        while not self._stopping.is_set():
            with self._database.transaction() as transaction:
                if not sweep(transaction):
                    return

    def _delete_old(self) -> None:
        if self._keep_days is None:
            return
        seconds = self._keep_days * DAY_SECONDS
        with self._database.reading() as transaction:
            found = old_jobs(transaction, seconds)
        for job in found:
            if self._stopping.is_set():
                return
            if delete_if_old(self._database, job.id, seconds):
                log.info("deleted job %s, which ended %g days ago or more", job.id, self._keep_days)

    def _delete_old_lines(self) -> None:
        while not self._stopping.is_set():
            with self._database.reading() as transaction:  # which holds up nobody
                if not has_old_lines(transaction, self._keep_audit_seconds):
                    return
            with self._database.transaction() as transaction:
                count = delete_old_lines(transaction, self._keep_audit_seconds)
            log.info("deleted %d old lines of the audit log", count)

    def _look_for_leftovers(self) -> None:
        if time.monotonic() - self._looked_at >= self._leftovers.seconds:
            self._looked_at = time.monotonic()
            self._leftovers.look()

    def _delete(self) -> None:
        while not self._stopping.is_set():
            begun = time.monotonic()
            if not delete_some(self._database, self._store):
                return
            # Others get as long to write in as we took, and jobs end in time.
            self._stopping.wait(time.monotonic() - begun)
            self._end_overdue()
