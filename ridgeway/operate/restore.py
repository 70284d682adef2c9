"""`ridgeway restore`: what a backup holds, put where nothing is yet.

Every byte is checked before anything is written. The database comes last, so that a restore that
breaks off leaves nothing that would start. Workers of the old place are no more: their leases are
taken back, and whoever works here goes on with the same trials.
"""

from __future__ import annotations

import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import sqlalchemy as sa

from ridgeway.data.store import Store
from ridgeway.database.engine import Database
from ridgeway.database.schema import known_revisions, require_schema
from ridgeway.database.tables import sessions
from ridgeway.errors import Conflict, InvalidInput, SchemaMismatch
from ridgeway.host.locks import locked_database, locked_folder
from ridgeway.jobs.holding import expire_leases
from ridgeway.operate.archives import Manifest, Reader
from ridgeway.operate.dumps import load, require_tool
from ridgeway.settings import Settings


def restore(settings: Settings, file: Path) -> Manifest:
    """Restore a backup to where the settings name; Conflict where anything is there already."""
    with Reader.of(file) as reader, _held(settings):
        database, store = Database.of(settings), Store.of(settings)
        try:
            _require_fit(reader.manifest, database)
            _require_empty(database, store)
            reader.check()
            with _put(reader, store):
                _restore_database(reader, database)
            _end_sessions(database)
            _take_leases_back(database)
        finally:
            database.close()
        return reader.manifest


@contextmanager
def _held(settings: Settings) -> Generator[None]:
    """Keep `ridgeway serve` away from an embedded database until it is whole."""
    if settings.database_url is not None:
        with locked_database(settings.resolved_database_url()):
            yield
        return
    with locked_folder(settings.data), locked_database(settings.resolved_database_url()):
        yield


def _require_fit(manifest: Manifest, database: Database) -> None:
    """Raise InvalidInput for a backup of the other kind of database, or of a later release."""
    kind = "sqlite" if database.embedded else "postgresql"
    if manifest.kind != kind:
        message = f"is a backup of {manifest.kind}, and the database to restore to is {kind}"
        raise InvalidInput.of("FILE", None, message)
    if not database.embedded:
        require_tool("pg_restore")
    if manifest.revision not in known_revisions():
        message = f"is of release {manifest.release}, whose tables this release does not know"
        raise InvalidInput.of("FILE", None, f"{message}; restore it with that release or a later")


def _require_empty(database: Database, store: Store) -> None:
    if database.embedded:
        there = Path(database.url.database or "").exists()
    else:
        with database.reading() as connection:
            there = bool(sa.inspect(connection).get_table_names())
    if there:
        raise Conflict("There is a database already where this would be restored; nothing is done.")
    if any(store.entries(prefix) for prefix in ("jobs", "datasets")):
        raise Conflict("There are files in the store already; nothing is done.")


@contextmanager
def _put(reader: Reader, store: Store) -> Generator[None]:
    """Put the backup's files into the store; take them away again unless the block succeeds."""
    put: list[str] = []
    try:
        with tempfile.TemporaryDirectory(prefix="ridgeway-restore-") as scratch:
            file = Path(scratch) / "file"
            for key in reader.store_keys():
                put.append(key)
                reader.write_kept(key, file)
                try:
                    store.put_file(key, file)
                except ValueError as error:
                    raise InvalidInput.of("FILE", None, str(error)) from None
        yield
    except BaseException:
        for key in put:
            with suppress(OSError, ValueError):
                store.delete(key)
        raise


def _restore_database(reader: Reader, database: Database) -> None:
    """Put the database into its place, whole or not at all."""
    if database.embedded:
        target = Path(database.url.database or "").absolute()
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".restore-") as folder:
            partial = Path(folder) / "database"
            reader.write_database(partial)
            partial.rename(target)
        return
    with tempfile.TemporaryDirectory(prefix="ridgeway-restore-") as folder:
        dump = Path(folder) / "database"
        reader.write_database(dump)
        load(database, dump)


def _end_sessions(database: Database) -> None:
    """Sign everybody out: a key that signed in may have been revoked since the backup."""
    with database.transaction() as transaction:
        if sa.inspect(transaction).has_table(sessions.name):  # earlier releases had none
            transaction.execute(sa.delete(sessions))


def _take_leases_back(database: Database) -> None:
    """Expire what workers of the old place hold; of an older schema it runs out by itself."""
    with suppress(SchemaMismatch):
        require_schema(database)
        with database.transaction() as transaction:
            expire_leases(transaction)
