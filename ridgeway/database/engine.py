"""The study database and its transactions; SQLite and PostgreSQL alike."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from sqlalchemy.engine import URL, Connection, Engine

from ridgeway.database.options import WAIT, Manner
from ridgeway.database.sqlite import sqlite_engine
from ridgeway.database.urls import checked_url
from ridgeway.settings import Settings


class Database:
    """The engine and its transactions. Close it with `close`.

    Nobody waits longer than `wait_seconds` for a lock or a free connection. hurried: nor for
    PostgreSQL to answer one statement. connections: so many stay open to PostgreSQL when nobody
    needs them. pooled: a pooler stands before it, which gives a session to each transaction anew.
    """

    def __init__(
        self,
        url: str,
        wait_seconds: float = 30.0,
        hurried: bool = False,
        connections: int = 5,
        pooled: bool = False,
    ) -> None:
        self.url, self.pooled = checked_url(url), pooled
        manner = Manner(wait_seconds, hurried, connections, pooled)
        self.engine = _engine(self.url, manner)
        self._writer = self.engine.execution_options(**{WAIT: wait_seconds})
        self._reader = (
            self.engine
            if self.embedded
            else self.engine.execution_options(isolation_level="AUTOCOMMIT")
        )

    @classmethod
    def of(cls, settings: Settings) -> Database:
        """Open the database that the settings name."""
        url, pooled = settings.resolved_database_url(), settings.database_pooled
        return cls(url, settings.busy_timeout_seconds, pooled=pooled)

    @classmethod
    def for_worker(cls, settings: Settings) -> Database:
        """Open the database that the settings name, for one of what may be thousands.

        A worker's two threads seldom need a connection at the same moment: one stays open.
        """
        url, pooled = settings.resolved_database_url(), settings.database_pooled
        return cls(url, settings.busy_timeout_seconds, connections=1, pooled=pooled)

    @classmethod
    def for_requests(cls, settings: Settings) -> Database:
        """Open the database that the settings name, for somebody who has to answer soon."""
        url, pooled = settings.resolved_database_url(), settings.database_pooled
        return cls(url, settings.request_wait_seconds, hurried=True, pooled=pooled)

    @property
    def embedded(self) -> bool:
        """SQLite: one machine, one folder."""
        return self.url.get_backend_name() == "sqlite"

    @property
    def of_other_engines(self) -> dict[str, Any]:
        """Arguments for whoever makes an engine of the same URL: Optuna."""
        return {"connect_args": {"prepare_threshold": None}} if self.pooled else {}

    @contextmanager
    def transaction(self, wait_seconds: float | None = None) -> Generator[Connection]:
        """Begin a transaction that may write; it commits unless the block raises.

        wait_seconds: for each lock, instead of the database's own.
        """
        writer = self._writer
        if wait_seconds is not None:
            writer = writer.execution_options(**{WAIT: wait_seconds})
        with writer.begin() as connection:
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


def _engine(url: URL, manner: Manner) -> Engine:
    if url.get_backend_name() == "sqlite":
        return sqlite_engine(url, manner.wait_seconds)
    from ridgeway.database.postgresql import postgresql_engine  # psycopg: not for SQLite's users

    return postgresql_engine(url, manner)
