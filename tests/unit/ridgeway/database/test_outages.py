"""Which errors of a database are worth another try."""

from __future__ import annotations

import sqlite3

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import errors
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ridgeway.database.outages import first_line, will_pass

PASSING = [
    errors.DiskFull,
    errors.OutOfMemory,
    errors.TooManyConnections,
    errors.AdminShutdown,
    errors.CannotConnectNow,
    errors.SerializationFailure,
    errors.DeadlockDetected,
    errors.LockNotAvailable,
    errors.ReadOnlySqlTransaction,
    errors.IdleInTransactionSessionTimeout,
    errors.IoError,
    psycopg.OperationalError,  # no connection, so no SQLSTATE either
]
STAYING = [
    errors.UndefinedTable,
    errors.InsufficientPrivilege,
    errors.UniqueViolation,
    errors.NumericValueOutOfRange,
    errors.DataCorrupted,
    errors.RaiseException,
]


def wrapped(error: Exception) -> DBAPIError:
    """As SQLAlchemy raises it."""
    found = DBAPIError.instance("SELECT 'hidden'", {}, error, psycopg.Error)
    assert isinstance(found, DBAPIError)
    return found


@pytest.mark.parametrize("error", PASSING)
def test_postgresql_s_outages_pass(error):
    assert will_pass(wrapped(error("away")))


@pytest.mark.parametrize("error", STAYING)
def test_postgresql_s_refusals_stay(error):
    assert not will_pass(wrapped(error("no")))


def test_a_pool_without_a_free_connection_passes_and_a_mistake_of_ours_stays():
    assert will_pass(PoolTimeout())
    assert not will_pass(ValueError())


def failure(engine: sa.Engine, statement: str) -> DBAPIError:
    with pytest.raises(DBAPIError) as caught, engine.connect() as connection:
        connection.exec_driver_sql(statement)
    return caught.value


def test_a_locked_sqlite_passes_and_a_missing_table_stays(tmp_path):
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'a.db'}", connect_args={"timeout": 0})
    holder = sqlite3.connect(tmp_path / "a.db")
    holder.execute("CREATE TABLE kept (x)")
    holder.execute("BEGIN EXCLUSIVE")
    locked = failure(engine, "SELECT * FROM kept")
    holder.close()
    assert will_pass(locked)
    missing = failure(engine, "SELECT * FROM nowhere")
    assert not will_pass(missing)
    assert first_line(missing) == "no such table: nowhere"


def test_a_full_sqlite_passes(tmp_path):
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'a.db'}")
    sa.event.listen(engine, "connect", lambda raw, _: raw.execute("PRAGMA max_page_count = 4"))
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE kept (x)")
    assert will_pass(failure(engine, "INSERT INTO kept VALUES (zeroblob(100000))"))


def test_a_folder_that_is_away_passes(tmp_path):
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'away' / 'a.db'}")
    assert will_pass(failure(engine, "SELECT 1"))


def test_a_line_without_the_statement():
    error = wrapped(errors.UndefinedTable('relation "jobs" does not exist\nLINE 1: SELECT'))
    assert first_line(error) == 'relation "jobs" does not exist'
    assert first_line(ValueError()) == "ValueError"
