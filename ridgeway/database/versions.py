"""Whether anything was committed since, which SQLite tells in microseconds."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TypeAlias

from ridgeway.database.engine import Database

Version: TypeAlias = tuple[int, int]


class Versions:
    """The versions of a database, one for each commit of anybody's; asked for in one thread.

    before = versions.now()  # and then read
    before == versions.now()  # what was read is what a read would find now
    """

    def __init__(self, database: Database) -> None:
        self._path = Path(database.url.database or "") if database.embedded else None
        self._connection: sqlite3.Connection | None = None
        self._file = 0  # that is open: the number that its file system gave it
        self._opened = 0  # how often: each connection counts commits for itself

    def now(self) -> Version | None:
        """Return the version; None where the database tells none, or does not answer at once."""
        if self._path is None:
            return None
        try:
            file = self._path.stat().st_ino  # one that takes another's place is another database
            if self._connection is None or self._file != file:
                self.close()
                self._connection = sqlite3.connect(self._path, timeout=0, isolation_level=None)
                self._file = file
                self._opened += 1
            (commits,) = self._connection.execute("PRAGMA data_version").fetchone()
        except (OSError, sqlite3.Error):
            self.close()
            return None
        return self._opened, commits

    def close(self) -> None:
        """Close the connection that is kept for asking."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
