"""PostgreSQL's engine: no wait without an end, whether the server is busy, stopped or gone."""

from __future__ import annotations

from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg.abc import RV, PQGen
from psycopg.pq import TransactionStatus
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine

from ridgeway.database.options import WAIT

CONNECT_SECONDS = 10
HURRIED_CONNECT_SECONDS = 3  # of a process that has to answer
NEARLY_ALL = 0.9  # of the time for a lock: to say so would be one trip more
GRACE_SECONDS = 1.0  # in which the server tells that a statement has taken too long
# What tells that packets are dropped: 10 s without a word, then three questions without an answer.
KEEPALIVES = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
UNACKNOWLEDGED_MILLISECONDS = 25_000


class _TimedConnection(psycopg.Connection[Any]):
    """A connection that is closed where the server does not answer a statement in time.

    A server that was stopped, or a proxy before one that is gone, acknowledges what it is sent:
    neither TCP nor the server's own `statement_timeout` ends such a wait.
    """

    answer_seconds: float | None = None

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """Wait for the server as psycopg does, for `answer_seconds` at most."""
        try:
            return super().wait(gen, interval, timeout or self.answer_seconds)
        except psycopg.OperationalError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.pgconn.finish()  # an answer that comes now would be taken for the next one's
            raise


def postgresql_engine(url: URL, wait_seconds: float, hurried: bool) -> Engine:
    """Return an engine whose waits for locks and for a free connection are bounded.

    hurried: and the wait for any answer, which a worker leaves to the server and to TCP.
    """
    milliseconds = int(wait_seconds * 1000)
    # A process stopped inside a transaction must not hold everybody else up for ever.
    limits = {"lock_timeout": milliseconds, "idle_in_transaction_session_timeout": milliseconds}
    if hurried:
        limits["statement_timeout"] = milliseconds
    # Every write first locks its job's row, so READ COMMITTED is enough.
    engine = sa.create_engine(
        url,
        pool_pre_ping=True,
        pool_timeout=wait_seconds,
        isolation_level="READ COMMITTED",
        connect_args={
            "options": " ".join(f"-c {name}={value}" for name, value in limits.items()),
            "connect_timeout": HURRIED_CONNECT_SECONDS if hurried else CONNECT_SECONDS,
            "tcp_user_timeout": UNACKNOWLEDGED_MILLISECONDS,
            **KEEPALIVES,
        },
    )

    def begin(connection: Connection) -> None:
        wait = connection.get_execution_options().get(WAIT, wait_seconds)
        if wait < NEARLY_ALL * wait_seconds:
            milliseconds = max(1, int(wait * 1000))  # 0 would be for ever
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {milliseconds}")

    event.listen(engine, "begin", begin)
    if hurried:

        def connect(dialect: Any, record: Any, arguments: Any, options: Any) -> _TimedConnection:
            connection = _TimedConnection.connect(*arguments, **options)
            connection.answer_seconds = wait_seconds + GRACE_SECONDS
            return connection

        event.listen(engine, "do_connect", connect)
    return engine
