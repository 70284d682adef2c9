"""The connection to the study database and its transactions; SQLite and PostgreSQL alike."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine, ExceptionContext, make_url
from sqlalchemy.exc import ArgumentError

from ridgeway.database.outages import lies_in_the_connection
from ridgeway.errors import InvalidInput
from ridgeway.settings import Settings

NAPS_MILLISECONDS = 18  # four naps of 1 to 10 ms: shorter ones only take the writer's core


class Database:
    """The engine and its transactions. Close it with `close`."""

    def __init__(self, url: str, busy_timeout_seconds: float = 30.0) -> None:
        self.url = _checked_url(url)
        self.engine = _engine(self.url, busy_timeout_seconds)
        self._writer = self.engine.execution_options(ridgeway_writes=True)
        self._reader = (
            self.engine
            if self.embedded
            else self.engine.execution_options(isolation_level="AUTOCOMMIT")
        )

    @classmethod
    def of(cls, settings: Settings) -> Database:
        """Open the database that the settings name."""
        return cls(settings.resolved_database_url(), settings.busy_timeout_seconds)

    @property
    def embedded(self) -> bool:
        """SQLite: one machine, one folder."""
        return self.url.get_backend_name() == "sqlite"

    @contextmanager
    def transaction(self) -> Generator[Connection]:
        """Begin a transaction that may write; it commits unless the block raises."""
        with self._writer.begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Generator[Connection]:
        """Lend a connection to read with; on SQLite one transaction, which waits for no writer.

        On PostgreSQL each statement is its own: under READ COMMITTED it would see no less, and
        `BEGIN` and `COMMIT` would be two trips more.
        """
        with self._reader.begin() as connection:
            yield connection

    def close(self) -> None:
        """Give every connection back."""
        self.engine.dispose()


def _checked_url(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        # The URL itself may hold a password: it is never repeated.
        raise InvalidInput.of("RIDGEWAY_DATABASE_URL", None, "is no database URL") from None
    backend = parsed.get_backend_name()
    if backend in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    if backend == "sqlite" and parsed.database not in (None, "", ":memory:"):
        return parsed
    message = "must be sqlite:///FILE or postgresql://USER@HOST/NAME"
    raise InvalidInput.of("RIDGEWAY_DATABASE_URL", backend, message)


def _engine(url: URL, busy_timeout_seconds: float) -> Engine:
    if url.get_backend_name() == "sqlite":
        engine = sa.create_engine(
            url, connect_args={"timeout": busy_timeout_seconds, "isolation_level": None}
        )
        event.listen(engine, "connect", _set_pragmas)
        event.listen(engine, "begin", _begin_sqlite)
        event.listen(engine, "handle_error", _give_up_connection)
        return engine
    milliseconds = int(busy_timeout_seconds * 1000)
    # A process stopped inside a transaction must not hold everybody else up for ever.
    options = (
        f"-c lock_timeout={milliseconds} -c idle_in_transaction_session_timeout={milliseconds}"
    )
    # Every write first locks its job's row, so READ COMMITTED is enough.
    return sa.create_engine(
        url,
        pool_pre_ping=True,
        isolation_level="READ COMMITTED",
        connect_args={"options": options, "connect_timeout": 10},
    )


def _set_pragmas(connection: Any, record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _give_up_connection(context: ExceptionContext) -> None:
    """Have SQLAlchemy open all connections anew where the file is at fault as they opened it."""
    if lies_in_the_connection(context.original_exception):
        context.is_disconnect = True


def _begin_sqlite(connection: Connection) -> None:
    if not connection.get_execution_options().get("ridgeway_writes", False):
        connection.exec_driver_sql("BEGIN")
        return
    # SQLite waits in naps that grow to 100 ms, far longer than our transactions: nap shorter.
    driver: Any = connection.connection.driver_connection
    given = driver.execute("PRAGMA busy_timeout").fetchone()[0]
    deadline = time.monotonic() + given / 1000
    driver.execute(f"PRAGMA busy_timeout = {min(given, NAPS_MILLISECONDS)}")
    try:
        while time.monotonic() < deadline:
            try:
                driver.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    break
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # raises what SQLAlchemy's users expect
    finally:
        if not connection.invalidated:
            driver.execute(f"PRAGMA busy_timeout = {given}")
