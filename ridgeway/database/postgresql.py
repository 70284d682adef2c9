"""PostgreSQL's engine: no wait without an end, whether the server is busy, stopped or gone."""

from __future__ import annotations

import time
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg.abc import RV, PQGen
from psycopg.pq import TransactionStatus
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.exc import InvalidatePoolError

from ridgeway.database.options import WAIT, Manner
from ridgeway.database.outages import give_up_connection

CONNECT_SECONDS = 10
HURRIED_CONNECT_SECONDS = 3  # of a process that has to answer
NEARLY_ALL = 0.9  # of the time for a lock: to say so would be one trip more
GRACE_SECONDS = 1.0  # in which the server tells that a statement has taken too long
# What tells that packets are dropped: 10 s without a word, then three questions without an answer.
KEEPALIVES = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
UNACKNOWLEDGED_MILLISECONDS = 25_000
FRESH_SECONDS = 2.0  # after its last use a connection is taken for alive
USED = "ridgeway_used"  # of a pool's record: when that was, by the monotonic clock
LIMITS = "ridgeway_limits"  # of an engine's connections: its manner


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


def postgresql_engine(url: URL, manner: Manner) -> Engine:
    """Return an engine whose waits for locks and for a free connection are bounded.

    hurried: and the wait for any answer, which a worker leaves to the server and to TCP.
    """
    wait_seconds, hurried = manner.wait_seconds, manner.hurried
    # Every write first locks its job's row, so READ COMMITTED is enough.
    engine = sa.create_engine(
        url,
        pool_pre_ping=hurried,
        pool_size=manner.connections,
        pool_timeout=wait_seconds,
        isolation_level="READ COMMITTED",
        connect_args={
            **_of_the_session(manner),
            "connect_timeout": HURRIED_CONNECT_SECONDS if hurried else CONNECT_SECONDS,
            "tcp_user_timeout": UNACKNOWLEDGED_MILLISECONDS,
            **KEEPALIVES,
        },
    )
    event.listen(engine, "begin", _limit_by_transaction if manner.pooled else _limit_locks)
    event.listen(engine, "handle_error", give_up_connection)
    engine.update_execution_options(**{LIMITS: manner})
    if hurried:
        _wait_no_longer(engine, wait_seconds + GRACE_SECONDS)
    else:
        _ask_after_a_rest(engine)
    return engine


def _wait_no_longer(engine: Engine, seconds: float) -> None:
    """Let no connection of the engine wait longer than that for an answer."""

    def connect(dialect: Any, record: Any, arguments: Any, options: Any) -> _TimedConnection:
        connection = _TimedConnection.connect(*arguments, **options)
        connection.answer_seconds = seconds
        return connection

    event.listen(engine, "do_connect", connect)


def _limits(manner: Manner) -> dict[str, int]:
    """Return the server's settings that bound its waits, in milliseconds."""
    milliseconds = int(manner.wait_seconds * 1000)
    # A process stopped inside a transaction must not hold everybody else up for ever.
    limits = {"lock_timeout": milliseconds, "idle_in_transaction_session_timeout": milliseconds}
    if manner.hurried:
        limits["statement_timeout"] = milliseconds
    return limits


def _of_the_session(manner: Manner) -> dict[str, Any]:
    """Return what a session begins with; behind a pooler it is another's with the next commit."""
    if manner.pooled:
        return {"prepare_threshold": None}
    return {"options": " ".join(f"-c {name}={value}" for name, value in _limits(manner).items())}


def _limit_locks(connection: Connection) -> None:
    """Shorten the wait for locks where this transaction's is to be shorter than the session's."""
    options = connection.get_execution_options()
    usual = options[LIMITS].wait_seconds
    wait = options.get(WAIT, usual)
    if wait < NEARLY_ALL * usual:
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {_milliseconds(wait)}")


def _limit_by_transaction(connection: Connection) -> None:
    """Set the limits for this transaction alone; a read, without one, waits for no lock."""
    options = connection.get_execution_options()
    if options.get("isolation_level") == "AUTOCOMMIT":
        return
    limits = _limits(options[LIMITS])
    if WAIT in options:
        limits["lock_timeout"] = _milliseconds(options[WAIT])
    settings = ", ".join(f"set_config('{name}', '{limits[name]}', true)" for name in limits)
    connection.exec_driver_sql(f"SELECT {settings}")  # one trip for all


def _milliseconds(seconds: float) -> int:
    return max(1, int(seconds * 1000))  # 0 would be for ever


def _ask_after_a_rest(engine: Engine) -> None:
    """Ask whether a connection is alive only where it has rested, not before each transaction.

    One that died since it was last used costs its borrower one more try, as a death within a
    transaction does.
    """

    def note(connection: Any, record: Any, *_: Any) -> None:
        record.info[USED] = time.monotonic()

    def ask(connection: Any, record: Any, *_: Any) -> None:
        if time.monotonic() - record.info[USED] < FRESH_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except psycopg.Error as error:
            raise InvalidatePoolError() from error

    event.listen(engine, "connect", note)
    event.listen(engine, "checkin", note)
    event.listen(engine, "checkout", ask)
