"""`ridgeway backup`: database and store as one file, while everything goes on.

The database is copied as it is at one moment, and then the files that this copy names. A file that
is gone by then has lost its row meanwhile, as when a job was deleted: a new copy is taken. Only a
checkpoint may be missing: whoever takes its lease trains anew.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ridgeway.data.store import Store
from ridgeway.database.clock import current_time
from ridgeway.database.engine import Database
from ridgeway.database.schema import VERSION_TABLE, require_schema
from ridgeway.database.tables import leases
from ridgeway.errors import InvalidInput, NotFound
from ridgeway.jobs.leases import OPEN_LEASE
from ridgeway.operate.archives import DATABASE, STORE, Manifest, Writer
from ridgeway.operate.dumps import dumped, require_tool
from ridgeway.operate.named import named_files
from ridgeway.settings import Settings

COPIES = 3  # of the database, before a file that is missing is taken for lost


@dataclass(frozen=True)
class _Named:
    """What a copy of the database says: its revision, its moment, the keys that it names."""

    revision: str
    created_at: float
    kept: list[str]
    checkpoints: list[str]


def back_up(settings: Settings, file: Path) -> Manifest:
    """Write database and store into a new file; InvalidInput where it is there already."""
    _require_new(file)
    if not file.absolute().parent.is_dir():
        raise InvalidInput.of("FILE", str(file), "lies in no folder that there is")
    database, store = Database.of(settings), Store.of(settings)
    try:
        require_schema(database)
        if not database.embedded:
            require_tool("pg_dump")
        with tempfile.TemporaryDirectory(dir=file.absolute().parent, prefix=".backup-") as folder:
            partial = Path(folder) / "archive"
            manifest = _written(database, store, partial)
            partial.chmod(0o600)
            _require_new(file)
            partial.rename(file)
    finally:
        database.close()
    return manifest


def _require_new(file: Path) -> None:
    if file.exists():
        raise InvalidInput.of("FILE", str(file), "is there already; choose another name")


def _written(database: Database, store: Store, target: Path) -> Manifest:
    """Write the archive; begin anew, a few times, where a file has gone meanwhile."""
    for copy in range(1, COPIES + 1):
        dump = target.with_name(f"database-{copy}")
        with dumped(database, dump) as connection, target.open("wb") as file:
            named = _named(connection)
            writer = Writer(file)
            writer.add_file(DATABASE, dump)
            missing = _add_files(writer, store, named.kept)
            if missing and copy < COPIES:
                continue
            _add_files(writer, store, named.checkpoints)
            manifest = Manifest(
                release=version("ridgeway"),
                revision=named.revision,
                kind="sqlite" if database.embedded else "postgresql",
                created_at=named.created_at,
                files=writer.files,
                missing=missing,
            )
            writer.close(manifest)
            return manifest
    raise AssertionError("the last copy is written")


def _add_files(writer: Writer, store: Store, keys: Iterable[str]) -> list[str]:
    """Add the store's files of these keys; return the keys that have none."""
    missing: list[str] = []
    for key in keys:
        try:
            with store.copied(key) as path:
                writer.add_file(f"{STORE}{key}", path)
        except NotFound:
            missing.append(key)
    return missing


def _named(connection: Connection) -> _Named:
    open_ = leases.c.state.in_(OPEN_LEASE) & leases.c.checkpoint.is_not(None)
    found = named_files(connection)
    checkpoints = {*connection.execute(sa.select(leases.c.checkpoint).where(open_)).scalars()}
    version = f"SELECT version_num FROM {VERSION_TABLE}"  # nosec B608 # names of ours
    revision = connection.execute(sa.text(version)).scalar_one()
    checkpoints -= {*found}
    return _Named(revision, current_time(connection), found, sorted(map(str, checkpoints)))
