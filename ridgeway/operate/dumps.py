"""A database as one file, and back: SQLite by its online backup, PostgreSQL by pg_dump."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection

from ridgeway.database.engine import Database
from ridgeway.database.urls import servers
from ridgeway.errors import InvalidInput, RidgewayError


@contextmanager
def dumped(database: Database, target: Path) -> Generator[Connection]:
    """Write the database into a file; lend a connection that sees what that file holds."""
    if database.embedded:
        _copy(Path(database.url.database or ""), target)
        copy = Database(f"sqlite:///{target}")
        try:
            with copy.reading() as connection:
                yield connection
        finally:
            copy.close()
        return
    engine = database.engine.execution_options(isolation_level="REPEATABLE READ")
    with engine.begin() as connection:
        connection.execute(sa.text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        snapshot = connection.execute(sa.text("SELECT pg_export_snapshot()")).scalar_one()
        arguments = ("--format=custom", "--no-owner", "--no-privileges", f"--snapshot={snapshot}")
        _run("pg_dump", database.url, *arguments, f"--file={target}")
        yield connection


def _copy(source: Path, target: Path) -> None:
    """Copy a database that others write into, as it is at one moment; nobody waits for it."""
    with (
        closing(sqlite3.connect(source)) as read,
        closing(sqlite3.connect(target)) as written,
    ):
        read.backup(written)


def load(database: Database, dump: Path) -> None:
    """Load what pg_dump wrote into an empty database, all or nothing."""
    arguments = ("--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction")
    name = f"--dbname={database.url.database}"
    _run("pg_restore", database.url, *arguments, name, str(dump))


def require_tool(tool: str) -> str:
    """Return a program of PostgreSQL's; InvalidInput with what to do where it is not there."""
    found = shutil.which(tool)
    if found is None:
        message = (
            f"is PostgreSQL's, and {tool} is not installed here: install postgresql-client of the "
            "server's version or a newer one, or take the backup by hand "
            "(docs/operations.md, Backup by hand)"
        )
        raise InvalidInput.of("RIDGEWAY_DATABASE_URL", None, message)
    return found


def _run(tool: str, url: URL, *arguments: str) -> None:
    """Run a program of PostgreSQL's, told by its environment where the database is."""
    done = subprocess.run(
        [require_tool(tool), "--no-password", *arguments],
        env={**os.environ, **_environment(url)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        told = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        # pg_dump tells the two versions that don't fit together in a second line.
        raise RidgewayError(f"{tool} failed: {'; '.join(told[:2])}")


def _environment(url: URL) -> dict[str, str]:
    """Return libpq's variables for a URL: on a command line everybody could read a password."""
    query = {name: str(value) for name, value in url.query.items()}
    hosts, ports = servers(url)
    given = {
        "PGHOST": hosts,
        "PGPORT": ports,
        "PGTARGETSESSIONATTRS": query.get("target_session_attrs"),
        "PGUSER": url.username,
        "PGPASSWORD": str(url.password) if url.password is not None else None,
        "PGDATABASE": url.database,
        "PGSSLMODE": query.get("sslmode"),
        "PGSSLROOTCERT": query.get("sslrootcert"),
    }
    return {name: value for name, value in given.items() if value}
