"""Errors of a database: an outage that passes, or a fault that stays."""

from __future__ import annotations

import sqlite3

from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

_READ_ONLY = "25006"

# What time or an operator mends while a process waits, by SQLSTATE and by its class
# (https://www.postgresql.org/docs/current/errcodes-appendix.html).
_PASSING_CLASSES = {
    "08",  # the connection
    "40",  # serialisation failures, deadlocks
    "53",  # disk full, out of memory, too many connections
    "57",  # shut down, starting, cancelled
    "58",  # the server's operating system
}
_PASSING_STATES = {
    _READ_ONLY,  # a standby, or a managed server whose disk is nearly full
    "25P03",  # ended for idling inside a transaction: this process had been stopped
    "25P04",  # ended for the length of its transaction
    "55006",  # object in use
    "55P03",  # a lock was not to be had in time
}
_PASSING_SQLITE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_PROTOCOL,  # several processes opened the write-ahead log at once
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_INTERRUPT,
}
# Once met, these stay with the connection: it keeps the file, and the mode, that it began with.
_OF_THE_OPEN_FILE = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}


def lies_in_the_connection(error: BaseException) -> bool:
    """Return True if only a new connection can mend it, once the database is well again.

    SQLite's file that could not be opened for writing stays open for reading alone, whatever
    becomes of its mode. A session of PostgreSQL's that may only read leads to a server that is no
    primary, or no longer: another address or another server behind it takes the writes.
    """
    if getattr(error, "sqlstate", None) == _READ_ONLY:
        return True
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _OF_THE_OPEN_FILE


def give_up_connection(context: ExceptionContext) -> None:
    """Have SQLAlchemy open all connections anew where the fault lies in how they were opened."""
    if lies_in_the_connection(context.original_exception):
        context.is_disconnect = True


def will_pass(error: Exception) -> bool:
    """Return True if the transaction may go through later: the database is away, busy or full.

    Whatever keeps us from connecting may pass, a refused password too: the server can mend it, and
    libpq gives no SQLSTATE to tell it by.
    """
    if isinstance(error, PoolTimeout):
        return True
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated:
        return True
    if state := getattr(error.orig, "sqlstate", None):
        return state[:2] in _PASSING_CLASSES or state in _PASSING_STATES
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF in _PASSING_SQLITE  # the higher bits tell kinds of it apart
    return isinstance(error, OperationalError | InterfaceError)


def first_line(error: Exception) -> str:
    """Return what the driver said, without the statement and its parameters."""
    said = str(getattr(error, "orig", None) or error).strip()
    return said.splitlines()[0] if said else type(error).__name__
