"""Tells of jobs' ends, as long as the service lives: every so many seconds what is due is tried."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import TypeVar

from anyio import to_thread
from prometheus_client import Counter
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from ridgeway.database.engine import Database
from ridgeway.database.outages import first_line
from ridgeway.errors import NotFound
from ridgeway.jobs.lookups import find_job
from ridgeway.jobs.notifications import (
    Due,
    any_due,
    claim_notification,
    note_failed,
    note_sent,
)
from ridgeway.logs import about
from ridgeway.settings import Settings
from ridgeway.views import ENDED, Job
from service.notify.allowlist import Allowlist, webhook_of
from service.notify.posting import NotTold, post

T = TypeVar("T")
AT_ONCE = 8  # so that one that is slow holds up no more than a few
GONE = 410  # a receiver's word for: never again

log = logging.getLogger(__name__)


class Sender:
    """Claims what is due, and tries it. Without hosts that may be told it does nothing."""

    def __init__(
        self, database: Database, settings: Settings, allowlist: Allowlist, tries: Counter
    ) -> None:
        """tries: counts how they went."""
        self._database = database
        self._seconds = settings.sweep_seconds
        self._base = settings.url.rstrip("/") if "url" in settings.model_fields_set else ""
        self._allowlist = allowlist
        self._webhook = webhook_of(settings) if settings.notify_hosts else None
        self._tries = tries
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Tell now and from now on."""
        if self._webhook is not None:
            self._task = asyncio.create_task(self._run(), name="sender")

    async def stop(self) -> None:
        """End, in the midst of a try too: it is tried again by the next service."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            try:
                while await self.send_some():
                    pass
            except SQLAlchemyError as error:
                log.warning("Can't tell of jobs' ends: %s", first_line(error))
            except Exception:  # whatever it is, others wait to be told
                log.exception("Can't tell of jobs' ends")
            await asyncio.sleep(self._seconds)

    async def send_some(self) -> bool:
        """Try what is due, a few at once; False where nothing was."""
        found = await to_thread.run_sync(self._claim)
        await asyncio.gather(*(self._tell(due) for due in found))
        return bool(found)

    def _claim(self) -> list[Due]:
        claimed: list[Due] = []
        while len(claimed) < AT_ONCE:
            with self._database.reading() as look:
                if not any_due(look):
                    break
            with self._database.transaction() as transaction:
                due = claim_notification(transaction)
            if due is None:
                break
            claimed.append(due)
        return claimed

    async def _tell(self, due: Due) -> None:
        with about(job=due.job_id, notification=due.id):
            try:
                job = await to_thread.run_sync(self._look, due)
                if job.state not in ENDED:  # it was reopened, and others tell of its next end
                    return
                status = await self._post(due, job)
            except NotFound:  # the job was deleted, and its notifications with it
                return
            except NotTold as error:
                await self._failed(due, str(error))
                return
            if 200 <= status < 300:
                await self._write(lambda transaction: note_sent(transaction, due))
                self._tries.labels("sent").inc()
            else:
                await self._failed(due, f"it answered {status}", final=status == GONE)

    async def _post(self, due: Due, job: Job) -> int:
        """Return the receiver's status; NotTold where it can't be asked."""
        allowed = self._allowlist.entry_of(due.url)
        if allowed is None:
            raise NotTold("its host may not be told any more")
        body = json.dumps(payload(job, self._base))
        time = datetime.now(UTC)
        assert self._webhook is not None, "only a sender that signs is started"
        signed = {
            "webhook-id": due.id,
            "webhook-timestamp": str(int(time.timestamp())),
            "webhook-signature": self._webhook.sign(due.id, time, body),
        }
        return await post(due.url, allowed, body, signed)

    async def _failed(self, due: Due, why: str, final: bool = False) -> None:
        log.warning("A job's end could not be told (try %d): %s", due.attempts, why)
        with suppress(NotFound):
            given_up = await self._write(
                lambda transaction: note_failed(transaction, due, why, final)
            )
            self._tries.labels("given_up" if given_up else "failed").inc()

    def _look(self, due: Due) -> Job:
        with self._database.reading() as look:
            return find_job(look, due.job_id)

    async def _write(self, change: Callable[[Connection], T]) -> T:
        def write() -> T:
            with self._database.transaction() as transaction:
                return change(transaction)

        return await to_thread.run_sync(write)


def payload(job: Job, base: str) -> dict[str, object]:
    """Return what a receiver is told of a job; base: the service's address, before its links."""
    verdict = None if job.recommended is None else job.recommended.verdict
    links = {"job": job.links.self, "report": job.links.report, "trials": job.links.trials}
    ended = job.finished_at or job.created_at
    return {
        "type": f"job.{job.state}",
        "timestamp": ended.isoformat(),
        "data": {
            "id": job.id,
            "name": job.name,
            "state": job.state,
            "verdict": None if verdict is None else verdict.sentence,
            "error": job.error,
            "links": {name: base + link for name, link in links.items()},
        },
    }
