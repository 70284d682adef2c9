"""SQLite's engine: write-ahead log, short naps at a lock, files opened anew after a fault."""

from __future__ import annotations

import json
import sqlite3
import time
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine

from ridgeway.database.options import WAIT
from ridgeway.database.outages import give_up_connection

NAPS_MILLISECONDS = 18  # four naps of 1 to 10 ms: shorter ones only take the writer's core


def sqlite_engine(url: URL, wait_seconds: float) -> Engine:
    """Return an engine whose every wait, for a lock or a free connection, is bounded."""
    engine = sa.create_engine(
        url,
        pool_timeout=wait_seconds,
        connect_args={"timeout": wait_seconds, "isolation_level": None},
        json_deserializer=_read_json,
    )
    event.listen(engine, "connect", _set_pragmas)
    event.listen(engine, "begin", _begin)
    event.listen(engine, "handle_error", give_up_connection)
    return engine


def _read_json(text: str) -> Any:
    """Read a column's JSON; SQLite keeps any text there, and one that is none stands for itself."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _set_pragmas(connection: Any, record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin(connection: Connection) -> None:
    wait_seconds = connection.get_execution_options().get(WAIT)
    if wait_seconds is None:
        connection.exec_driver_sql("BEGIN")
        return
    # SQLite waits in naps that grow to 100 ms, far longer than our transactions: nap shorter.
    driver: Any = connection.connection.driver_connection
    given = driver.execute("PRAGMA busy_timeout").fetchone()[0]
    deadline = time.monotonic() + wait_seconds
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
