"""Looks at jobs, the call that clients repeat: one read serves all who ask meanwhile.

    look = await looks.job(job_id)  # of 200 clients at once, one or two go to the database

Nobody is shown what was read before they asked: a client that has paused a job finds it paused.
So whoever asks while a read is under way waits for the next one.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from hashlib import blake2b
from typing import TypeAlias

from anyio import CapacityLimiter, to_thread
from sqlalchemy.exc import SQLAlchemyError

from ridgeway.database.engine import Database
from ridgeway.jobs import lookups


@dataclass(frozen=True)
class Look:
    """A job as JSON, and its entity tag: the same tag, the same bytes."""

    body: bytes
    tag: str


_Asked: TypeAlias = dict[str, asyncio.Future[Look | Exception]]


class Looks:
    """Reads the jobs that are asked for, all at once and one read after the other."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._thread = CapacityLimiter(1)
        self._asked: _Asked = {}
        self._reading: asyncio.Task[None] | None = None

    async def job(self, job_id: str) -> Look:
        """Look at a job; NotFound where there is none."""
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
            asked, self._asked = self._asked, {}
            try:
                found = await to_thread.run_sync(self._find, list(asked), limiter=self._thread)
            except Exception as error:
                # It tells those as much who have asked meanwhile.
                meanwhile, self._asked = self._asked, {}
                for future in (*asked.values(), *meanwhile.values()):
                    future.set_result(error)
            else:
                for job_id, future in asked.items():
                    future.set_result(found[job_id])
        self._reading = None

    def _find(self, job_ids: list[str]) -> dict[str, Look | Exception]:
        with self._database.reading() as transaction:
            found: dict[str, Look | Exception] = {}
            for job_id in job_ids:
                try:
                    job = lookups.find_job(transaction, job_id)
                    body = job.model_dump_json(by_alias=True).encode()
                    found[job_id] = Look(body, f'"{blake2b(body, digest_size=16).hexdigest()}"')
                except SQLAlchemyError:
                    raise
                except Exception as error:  # of this job alone
                    found[job_id] = error
        return found
