"""A folder with a study database and a store of its own: a temporary one, or one that is kept."""

from __future__ import annotations

import logging
import os
import tempfile
import zlib
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from ridgeway.data.store import Store
from ridgeway.database.engine import Database
from ridgeway.database.schema import migrate
from ridgeway.errors import InvalidInput
from ridgeway.settings import Settings

FILE = "ridgeway.db"  # where settings look for it, too
# No checkpoints: they are for whoever takes over from a worker that died, and here the job dies
# with its process. Renewals often, as they tell how far the job is.
CHOICES = {"poll_seconds": 0.02, "renew_seconds": 0.5, "checkpoint_seconds": 1e9}


@dataclass(frozen=True)
class Place:
    """Where a job of this process lives."""

    settings: Settings
    database: Database
    store: Store

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment of other workers on it: this process's, with no other settings."""
        own = {k: v for k, v in os.environ.items() if not k.startswith("RIDGEWAY_")}
        given = {name: str(value) for name, value in CHOICES.items()}
        given |= {"data": str(self.settings.data), "log_level": "warning"}
        given |= {"log_format": "text"}  # for the person whose process this is
        return own | {f"RIDGEWAY_{name.upper()}": value for name, value in given.items()}


@dataclass(frozen=True)
class Kept:
    """What a job left, to be looked into again: a kept folder, or a copy of a temporary one.

    database: compressed. files: of the store, by key.
    """

    folder: Path | None
    database: bytes = b""
    files: Mapping[str, bytes] = field(default_factory=dict[str, bytes])

    @contextmanager
    def opened(self) -> Generator[Place]:
        """Open the folder, or a temporary one of the same content."""
        if self.folder is not None:
            with opened(self.folder) as place:
                yield place
            return
        with _temporary(zlib.decompress(self.database)) as place:
            for key, data in self.files.items():
                place.store.put(key, data)
            yield place


def keep(place: Place, folder: Path | None, prefix: str) -> Kept:
    """Return what is in the place, of its store the files below the prefix alone."""
    if folder is not None:
        return Kept(folder.absolute())
    copy = place.settings.data / "copy.db"
    with place.database.engine.connect() as connection:
        connection.exec_driver_sql("COMMIT")  # it stands in no transaction
        connection.exec_driver_sql("VACUUM INTO ?", (str(copy),))
    files = {each.key: place.store.get(each.key) for each in place.store.entries(prefix)}
    return Kept(None, zlib.compress(copy.read_bytes(), 1), files)


@contextmanager
def opened(kept: Path | None) -> Generator[Place]:
    """Open the folder, made if need be for this user alone; without one a temporary folder.

    InvalidInput where it can't be made.
    """
    if kept is None:
        with _temporary(_empty_database()) as own:
            yield own
        return
    try:
        kept.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput.of("folder", str(kept), error.strerror or str(error)) from None
    with _place(kept.absolute()) as own:
        with _quietly():
            migrate(own.database)
        yield own


@contextmanager
def _temporary(database: bytes) -> Generator[Place]:
    with tempfile.TemporaryDirectory(prefix="ridgeway-") as name:  # readable for us alone
        (Path(name) / FILE).write_bytes(database)
        with _place(Path(name)) as own:
            yield own


@contextmanager
def _place(folder: Path) -> Generator[Place]:
    # Not from the environment: RIDGEWAY_DATABASE_URL may name a service's database.
    settings = Settings.model_construct(None, data=folder, **CHOICES)
    database = Database.of(settings)
    try:
        yield Place(settings, database, Store.of(settings))
    finally:
        database.close()


@cache
def _empty_database() -> bytes:
    """Return an SQLite file with this release's tables: to make them takes half a second."""
    with tempfile.TemporaryDirectory(prefix="ridgeway-") as folder:
        file = Path(folder) / FILE
        database = Database(f"sqlite:///{file}")
        with _quietly():
            migrate(database)
        database.close()
        return file.read_bytes()


@contextmanager
def _quietly() -> Generator[None]:
    """Log no step of a migration: this is somebody else's process."""
    before = logging.root.manager.disable
    logging.disable(max(before, logging.INFO))
    try:
        yield
    finally:
        logging.disable(before)
