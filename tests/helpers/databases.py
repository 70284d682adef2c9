"""Databases on a PostgreSQL server, each test's or module's own."""

from __future__ import annotations

import itertools
import os

import sqlalchemy as sa

_names = itertools.count()


def create_database(server: str, template: str) -> str:
    """The URL of a new database on the server, copied from a template."""
    name = f"ridgeway_{os.getpid()}_{next(_names)}"
    url = sa.engine.make_url(server).set(drivername="postgresql+psycopg")
    execute(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    return url.set(database=name).render_as_string(hide_password=False)


def drop_database(server: str, url: str) -> None:
    """Drop a database of the server, whoever is still connected."""
    execute(server, f"DROP DATABASE {sa.engine.make_url(url).database} WITH (FORCE)")


def execute(server: str, statement: str) -> None:
    """Run one statement outside any transaction."""
    url = sa.engine.make_url(server).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.execute(sa.text(statement))
