"""Transactions that outlive a database's absence."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeVar

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from ridgeway.database import Database

log = logging.getLogger("ridgeway.worker")
T = TypeVar("T")

SHORTEST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0

# What time or an operator mends while the worker waits, by SQLSTATE and its class.
PASSING_CLASSES = {
    "08",  # the connection
    "40",  # serialisation failures, deadlocks
    "53",  # disk full, out of memory, too many connections
    "57",  # shut down, starting, cancelled
    "58",  # the server's operating system
}
PASSING_STATES = {
    "25006",  # read-only: a standby, or a managed server whose disk is nearly full
    "25P03",  # ended for idling inside a transaction: this process had been stopped
    "25P04",  # ended for the length of its transaction
    "55006",  # object in use
    "55P03",  # a lock was not to be had in time
}
PASSING_SQLITE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_PROTOCOL,  # several processes opened the write-ahead log at once
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_INTERRUPT,
}


class Stopping(Exception):
    """The worker was asked to stop; its lease goes back."""


def passes_by_itself(error: DBAPIError) -> bool:
    """Whether the same transaction may go through later: the database is away, busy or full.

    Whatever keeps us from connecting may pass, a refused password too: the server can mend it, and
    libpq gives no SQLSTATE to tell it by.
    """
    if error.connection_invalidated:
        return True
    if state := getattr(error.orig, "sqlstate", None):
        return state[:2] in PASSING_CLASSES or state in PASSING_STATES
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF in PASSING_SQLITE  # the rest tells kinds of it apart
    return isinstance(error, OperationalError | InterfaceError)


def said(error: DBAPIError) -> str:
    """The database's own words, in a line: no statement, no values, no URL."""
    return str(error.orig).strip().partition("\n")[0]


class Persistence:
    """A worker's way to the database. Whoever waits for it when `stopping` is set gets Stopping.

    What does not pass by itself is raised as it is.
    """

    def __init__(self, database: Database, stopping: threading.Event) -> None:
        self._database = database
        self._stopping = stopping

    def write(self, change: Callable[[Connection], T]) -> T:
        """One transaction, tried again while the database does not answer; nothing is lost."""
        return self._persist(self._database.transaction, change)

    def read(self, look: Callable[[Connection], T]) -> T:
        """The same, changing nothing."""
        return self._persist(self._database.reading, look)

    def attempt(self, change: Callable[[Connection], None]) -> None:
        """One transaction whose failure does no harm: what it says, time says as well."""
        try:
            with self._database.transaction() as transaction:
                change(transaction)
        except DBAPIError as error:
            log.warning("the database does not answer: %s", error.orig)

    def _persist(
        self,
        begin: Callable[[], AbstractContextManager[Connection]],
        work: Callable[[Connection], T],
    ) -> T:
        pause = SHORTEST_PAUSE_SECONDS
        while True:
            try:
                with begin() as transaction:
                    return work(transaction)
            except DBAPIError as error:
                if not passes_by_itself(error):
                    raise
                log.warning("the database does not answer, trying again: %s", error.orig)
                if self._stopping.wait(pause):
                    raise Stopping() from error
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
