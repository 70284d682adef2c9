"""The requests that write: apart from those that read, a few at once, none waiting for long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from sqlalchemy.engine import Connection

from ridgeway.database.engine import Database
from service.access.visits import record_change
from service.problems import ServiceUnavailable

T = TypeVar("T")
MOST_WAITING = 200  # requests; one more is told at once to come again
AT_ONCE = 8  # on PostgreSQL; SQLite has one writer at a time
BUSY = "The database is busy: too many changes are waiting; try again."


class Writers:
    """Connections and threads of their own, so that reading never waits for who waits to write.

    Whoever waits for a turn costs neither. Turn and locks together are waited for no longer than
    `wait_seconds`; then the request is a 503.
    """

    def __init__(self, database: Database, wait_seconds: float) -> None:
        self.database = database
        self._wait_seconds = wait_seconds
        at_once = 1 if database.embedded else AT_ONCE
        self._turns = asyncio.Semaphore(at_once)
        self._threads = CapacityLimiter(at_once)
        self._waiting = 0

    async def write(self, change: Callable[[Connection], T]) -> T:
        """Run one transaction in a thread; what `change` returns. The audit log tells of it."""
        deadline = time.monotonic() + self._wait_seconds
        await self._wait_for_turn()
        try:
            return await to_thread.run_sync(self._write, change, deadline, limiter=self._threads)
        finally:
            self._turns.release()

    async def _wait_for_turn(self) -> None:
        if self._waiting == MOST_WAITING:
            raise ServiceUnavailable(BUSY)
        self._waiting += 1
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._turns.acquire()
        except TimeoutError:
            raise ServiceUnavailable(BUSY) from None
        finally:
            self._waiting -= 1

    def _write(self, change: Callable[[Connection], T], deadline: float) -> T:
        left = max(0.0, deadline - time.monotonic())
        with self.database.transaction(wait_seconds=left) as transaction:
            result = change(transaction)
            record_change(transaction, result)
            return result
