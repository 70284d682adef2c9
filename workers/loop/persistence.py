"""Transactions that outlive a database's absence."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeVar

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from ridgeway.database.engine import Database
from ridgeway.database.outages import first_line, will_pass
from workers.heeding import heed
from workers.loop.control import Stopping

log = logging.getLogger("ridgeway.worker")
T = TypeVar("T")

SHORTEST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0


class Persistence:
    """A worker's way to the database. Whoever waits for it when `stopping` is set gets Stopping.

    What does not pass by itself is raised as it is.
    """

    def __init__(self, database: Database, stopping: threading.Event) -> None:
        self._database = database
        self._stopping = stopping

    def write(self, change: Callable[[Connection], T]) -> T:
        """Run one transaction, again while the database does not answer; nothing is lost."""
        return self._persist(self._database.transaction, change)

    def read(self, look: Callable[[Connection], T]) -> T:
        """Look in a transaction that changes nothing, again while the database does not answer."""
        return self._persist(self._database.reading, look)

    def attempt(self, change: Callable[[Connection], T]) -> T | None:
        """Try one transaction whose failure does no harm; None where the database is away."""
        try:
            with self._database.transaction() as transaction:
                return change(transaction)
        except DBAPIError as error:
            log.warning("the database does not answer: %s", first_line(error))
            return None

    def _persist(
        self,
        begin: Callable[[], AbstractContextManager[Connection]],
        work: Callable[[Connection], T],
    ) -> T:
        pause = SHORTEST_PAUSE_SECONDS
        while True:
            heed()
            try:
                with begin() as transaction:
                    return work(transaction)
            except DBAPIError as error:
                if not will_pass(error):
                    raise
                log.warning("the database does not answer, trying again: %s", first_line(error))
                if self._stopping.wait(pause):
                    raise Stopping() from error
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
