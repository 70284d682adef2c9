"""Looks at jobs, the call that clients repeat: one read serves all who ask meanwhile.

    look = await looks.job(job_id)  # of 200 clients at once, one or two go to the database

Nobody is shown what was read before they asked: a client that has paused a job finds it paused.
So whoever asks while a read is under way waits for the next one. Where the database tells that
nothing was committed since a job was read (SQLite does), that is still what a read would find.
Where it does not, reads begin some time after each other, so that a crowd gathers for each.
"""

from __future__ import annotations

import asyncio
import gzip
import math
import time
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from anyio import CapacityLimiter, to_thread
from sqlalchemy.exc import SQLAlchemyError

from ridgeway.database.engine import Database
from ridgeway.database.versions import Version, Versions
from ridgeway.jobs import lookups
from ridgeway.jobs.waiting import may_wait
from ridgeway.views import Job
from service.compression import LEVEL
from service.tags import tag_of

MOST_KEPT = 1000  # looks, some 3 kB each
WAITING_SECONDS = 5.0  # that a look is kept which tells whether a worker is there for the job
GOING_SECONDS = 1.0  # that a look is kept which tells how long the job still takes
APART_SECONDS = 0.02  # from the beginning of a read to that of the next one


@dataclass(frozen=True)
class Look:
    """A job as JSON, and its entity tag: the same tag, the same bytes."""

    body: bytes
    tag: str
    until: float  # by the monotonic clock: what else but commits it tells of may have changed then

    @cached_property
    def compressed(self) -> bytes:
        """Return the body compressed by gzip, once for all who take that."""
        return gzip.compress(self.body, LEVEL, mtime=0)


_Asked: TypeAlias = dict[str, asyncio.Future[Look | Exception]]


class Looks:
    """Reads the jobs that are asked for, all at once and one read after the other."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._thread = CapacityLimiter(1)
        self._asked: _Asked = {}
        self._reading: asyncio.Task[None] | None = None
        self._next_read = -math.inf  # by the monotonic clock
        self._versions = Versions(database)
        self._kept: dict[str, Look] = {}
        self._kept_version: Version | None = None

    def close(self) -> None:
        """Give back what is kept of the database."""
        self._versions.close()

    async def job(self, job_id: str) -> Look:
        """Look at a job; NotFound where there is none."""
        kept = self._kept.get(job_id)
        if kept and time.monotonic() < kept.until and self._kept_version == self._versions.now():
            return kept
        if (future := self._asked.get(job_id)) is None:
            future = self._asked[job_id] = asyncio.get_running_loop().create_future()
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())
        found = await asyncio.shield(future)  # others wait for it, whatever becomes of this one
        if isinstance(found, Exception):
            raise found
        return found

    async def _read(self) -> None:
        while self._asked:
            await asyncio.sleep(self._next_read - time.monotonic())
            self._next_read = time.monotonic() + APART_SECONDS
            asked, self._asked = self._asked, {}
            version = self._versions.now()
            try:
                found = await to_thread.run_sync(self._find, list(asked), limiter=self._thread)
            except Exception as error:
                # It tells those as much who have asked meanwhile.
                meanwhile, self._asked = self._asked, {}
                for future in (*asked.values(), *meanwhile.values()):
                    future.set_result(error)
            else:
                self._keep(version, found)
                for job_id, future in asked.items():
                    future.set_result(found[job_id])
        self._reading = None

    def _keep(self, version: Version | None, found: dict[str, Look | Exception]) -> None:
        """Keep what was read when the database had come to this version, or a later one."""
        if version != self._kept_version or len(self._kept) + len(found) > MOST_KEPT:
            self._kept = {}
        self._kept_version = version
        for job_id, look in found.items():
            if version is not None and isinstance(look, Look):
                self._kept[job_id] = look

    def _find(self, job_ids: list[str]) -> dict[str, Look | Exception]:
        with self._database.reading() as transaction:
            found: dict[str, Look | Exception] = {}
            for job_id in job_ids:
                try:
                    found[job_id] = _look(lookups.find_job(transaction, job_id))
                except SQLAlchemyError:
                    raise
                except Exception as error:  # of this job alone
                    found[job_id] = error
        return found


def _look(job: Job) -> Look:
    body = job.model_dump_json(by_alias=True).encode()
    return Look(body, tag_of(body), time.monotonic() + _lasts_seconds(job))


def _lasts_seconds(job: Job) -> float:
    """Return how long the look holds if nothing is committed."""
    if job.progress.eta_seconds is not None:  # from what workers told, or else from the clock
        return GOING_SECONDS
    # Workers come and go without a commit.
    return WAITING_SECONDS if may_wait(job.state, job.progress.running) else math.inf
