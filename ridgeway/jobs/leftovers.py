"""Files in the store that no row names and none ever will: found now and then, and deleted.

Models of earlier answers, checkpoints of jobs that were cancelled, what a holder wrote who lost its
lease or died, tables of uploads that were cut off, halves of files.

    leftovers = Leftovers(database, store, grace_seconds=3600)
    leftovers.look()  # every few minutes: a part of the store, no more

Nobody who is at work loses a file by it, however slow:

- a holder's files carry its lease and fence. They can be recorded as long as that lease runs under
  that fence, and never again after, since fences only grow; so what runs is left alone;
- a data set's table carries its checksum, and may be brought again at any time. Whoever records it
  looks in the same transaction that it is there still (`catalogue.ingest`), and here it is deleted
  in one that keeps data sets from being recorded meanwhile;
- whatever is younger than the grace period stays, and a file goes at a second look, not the first.

Files under any other name are another release's, and stay.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ridgeway.data.catalogue import is_named, keep_from_recording
from ridgeway.data.s3 import Upload
from ridgeway.data.store import Entry, Store
from ridgeway.database.engine import Database
from ridgeway.database.tables import artifacts, leases
from ridgeway.jobs.leases import OPEN_LEASE

LOOKS = 6  # in a grace period
MOST_FILES = 2000  # looked at in one look, but for those of one job or data sets

_OF_HOLDER = re.compile(r"jobs/([^/]+)/(?:checkpoints/)?(\d+)-(\d+)[-/].+")
_TABLE = re.compile(r"datasets/[0-9a-f]{64}\.parquet")
_UNFINISHED = re.compile(r"(jobs|datasets)/(.+/)?\.[0-9a-f]{32}")

log = logging.getLogger(__name__)


class Leftovers:
    """Looks through the store, a part at a time; remembers what it has seen without a name."""

    def __init__(self, database: Database, store: Store, grace_seconds: float) -> None:
        self._database, self._store = database, store
        self._grace = grace_seconds
        self._place = ""  # the last job's folder that was looked at
        self._before: dict[str, float] = {}  # when what was unnamed in the last round was first so
        self._round: dict[str, float] = {}  # the same of this round

    @property
    def seconds(self) -> float:
        """Return how long to wait between two looks."""
        return self._grace / LOOKS

    def look(self) -> int:
        """Look at the next part of the store, and delete what is due; return how many files."""
        folders = [each for each in self._store.folders("jobs") if each > self._place]
        files: list[Entry] = []
        while folders and len(files) < MOST_FILES:
            self._place = folders.pop(0)
            files += self._store.entries(self._place)
        deleted = self._delete(self._unnamed(files))
        if not folders:
            deleted += self._end_round()
        return deleted

    def overdue(self) -> list[Entry]:
        """Return all in the store that nothing names, and that is older than the grace period.

        Where the store tells no times nothing is.
        """
        tables = self._store.entries("datasets")
        unnamed = [e for e in tables if _TABLE.fullmatch(e.key) and not self._is_table_named(e)]
        unnamed += [each for each in tables if _UNFINISHED.fullmatch(each.key)]
        for folder in self._store.folders("jobs"):
            unnamed += self._unnamed(self._store.entries(folder))
        return [each for each in unnamed if _is_older(each, self._grace)]

    def delete_overdue(self, entry: Entry) -> bool:
        """Delete one of those; return False where somebody has named it meanwhile."""
        if _TABLE.fullmatch(entry.key):
            return bool(self._delete_table(entry))
        if not self._unnamed([entry]):
            return False
        self._store.delete(entry.key)
        return True

    def _end_round(self) -> int:
        """Look at tables and uploads in parts; the next look begins with the first job again."""
        tables = self._store.entries("datasets")
        halves = [each for each in tables if _UNFINISHED.fullmatch(each.key)]
        unnamed = [e for e in tables if _TABLE.fullmatch(e.key) and not self._is_table_named(e)]
        deleted = self._delete(halves)
        for entry in filter(self._is_due, unnamed):
            deleted += self._delete_table(entry)
        self._place, self._before, self._round = "", self._round, {}
        return deleted + len(self.abort_uploads())

    def uploads(self) -> list[Upload]:
        """Return the uploads in parts that began longer ago than the grace period.

        Nobody lists their parts, which take room until they are aborted.
        """
        return [each for each in self._store.uploads() if time.time() - each.begun >= self._grace]

    def abort_uploads(self) -> list[Upload]:
        """Give those up; return them."""
        old = self.uploads()
        for each in old:
            self._store.abort(each)
            log.info("gave up the upload of %s, which nobody has ended", each.path)
        return old

    def _unnamed(self, files: Iterable[Entry]) -> list[Entry]:
        """Return those of jobs' files that no row names, and that nobody can record any more."""
        named: set[str] = set()
        live: set[tuple[str, int, int]] = set()
        held = {each.key: match for each in files if (match := _OF_HOLDER.fullmatch(each.key))}
        job_ids = {match[1] for match in held.values()}
        with self._database.reading() as transaction:
            for job_id in job_ids:
                named |= _named(transaction, job_id)
                live |= _live(transaction, job_id)
        return [
            entry
            for entry in files
            if _UNFINISHED.fullmatch(entry.key)
            or (
                (match := held.get(entry.key)) is not None
                and entry.key not in named
                and (match[1], int(match[2]), int(match[3])) not in live
            )
        ]

    def _is_due(self, entry: Entry) -> bool:
        """Return True for a file that has been without a name for long enough."""
        now = time.monotonic()
        first = self._round[entry.key] = self._before.get(entry.key, now)
        if entry.modified is None:
            return now - first >= self._grace
        return now - first >= self.seconds and _is_older(entry, self._grace)

    def _delete(self, unnamed: Iterable[Entry]) -> int:
        due = [entry for entry in unnamed if self._is_due(entry)]
        for entry in due:
            self._store.delete(entry.key)
            log.info("deleted %s, which nothing names", entry.key)
        return len(due)

    def _is_table_named(self, entry: Entry) -> bool:
        with self._database.reading() as transaction:
            return is_named(transaction, entry.key)

    def _delete_table(self, entry: Entry) -> int:
        """Delete a data set's table unless somebody has brought it meanwhile; return how many."""
        with self._database.transaction() as transaction:
            keep_from_recording(transaction)
            if is_named(transaction, entry.key):
                return 0
            self._store.delete(entry.key)
        log.info("deleted %s, which nothing names", entry.key)
        return 1


def _is_older(entry: Entry, seconds: float) -> bool:
    return entry.modified is not None and time.time() - entry.modified >= seconds


def _named(transaction: Connection, job_id: str) -> set[str]:
    """Return the keys that a job's rows name: artifacts, and checkpoints of unfinished leases."""
    kept = sa.select(artifacts.c.address).where(artifacts.c.job_id == job_id)
    unfinished = sa.select(leases.c.checkpoint).where(
        leases.c.job_id == job_id,
        leases.c.state.in_(OPEN_LEASE),
        leases.c.checkpoint.is_not(None),
    )
    return {key for query in (kept, unfinished) for key in transaction.execute(query).scalars()}


def _live(transaction: Connection, job_id: str) -> set[tuple[str, int, int]]:
    """Return job, id and fence of the job's leases whose holders may still record a file."""
    running = (leases.c.job_id == job_id) & (leases.c.state == "running")
    query = sa.select(leases.c.id, leases.c.fence).where(running)
    return {(job_id, id_, fence) for id_, fence in transaction.execute(query)}
