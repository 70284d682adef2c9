"""What may stand between workers and PostgreSQL: a pooler by transactions, and dead connections."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from databases import create_database, drop_database
from sqlalchemy.exc import DBAPIError

from ridgeway.database import postgresql
from ridgeway.database.engine import Database
from ridgeway.database.schema import migrate

LIMITS = ("lock_timeout", "idle_in_transaction_session_timeout", "statement_timeout")


@pytest.fixture
def url(postgres_server: str, postgres_template: str) -> Iterator[str]:
    """A migrated PostgreSQL database's."""
    made = create_database(postgres_server, postgres_template)
    yield made
    drop_database(postgres_server, made)


def limits(connection: sa.Connection) -> list[str]:
    """What bounds the server's waits, as it is now."""
    return [connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in LIMITS]


@pytest.mark.parametrize("hurried", [False, True])
def test_behind_a_pooler_nothing_stays_with_the_session(url: str, hurried: bool) -> None:
    pooled = Database(url, 7.0, hurried, connections=1, pooled=True)
    with pooled.reading() as connection:
        untouched = limits(connection)
    assert untouched == ["0", "0", "0"]
    for _ in range(8):  # psycopg prepares what it has run five times
        with pooled.transaction() as connection:
            assert limits(connection) == ["7s", "7s", "7s" if hurried else "0"]
    with pooled.transaction(wait_seconds=0.2) as connection:
        assert limits(connection)[0] == "200ms"
    with pooled.reading() as connection:
        assert limits(connection) == untouched
        kept = connection.exec_driver_sql("SELECT count(*) FROM pg_prepared_statements")
        assert kept.scalar_one() == 0
    pooled.close()


def test_the_usual_limits_are_the_same(url: str) -> None:
    database = Database(url, 7.0)
    with database.transaction() as connection:
        assert limits(connection) == ["7s", "7s", "0"]
    with database.transaction(wait_seconds=0.2) as connection:
        assert limits(connection)[0] == "200ms"
    database.close()


def test_who_migrates_behind_a_pooler_holds_no_lock_afterwards(empty_postgres_url: str) -> None:
    database = Database(empty_postgres_url, pooled=True)
    migrate(database)
    migrate(database)
    with database.reading() as connection:
        held = connection.exec_driver_sql("SELECT count(*) FROM pg_locks WHERE locktype='advisory'")
        assert held.scalar_one() == 0
    database.close()


def end_others(url: str) -> None:
    """End every other connection to the database."""
    other = Database(url)
    with other.transaction() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    other.close()


def pid(database: Database) -> int:
    """The server's process for the database's connection."""
    with database.transaction() as connection:
        return connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()


def test_a_connection_that_died_at_rest_is_replaced(url: str, monkeypatch) -> None:
    database = Database.for_worker(_settings(url))
    before = pid(database)
    assert pid(database) == before  # one stays open
    end_others(url)
    monkeypatch.setattr(postgresql, "FRESH_SECONDS", -1.0)
    assert pid(database) != before
    database.close()


def test_one_that_dies_between_two_uses_costs_one_error_that_passes(url: str) -> None:
    database = Database.for_worker(_settings(url))
    before = pid(database)
    end_others(url)
    with pytest.raises(DBAPIError) as raised:
        pid(database)
    assert raised.value.connection_invalidated
    assert pid(database) != before
    database.close()


def _settings(url: str):
    from pydantic import SecretStr

    from ridgeway.settings import Settings

    return Settings(database_url=SecretStr(url))
