"""The files of the store that the database names."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ridgeway.database.tables import KEPT, artifacts, datasets


def named_files(connection: Connection, newest: int | None = None) -> list[str]:
    """Return the keys of data sets' tables and of jobs' artifacts, each once, in order.

    newest: so many rows of either kind are looked at, the newest; None for all. Of a deleted data
    set the row alone stays, for the jobs that name it.
    """
    tables = sa.select(datasets.c.address).where(KEPT).order_by(datasets.c.created_at.desc())
    files = sa.select(artifacts.c.address).order_by(artifacts.c.created_at.desc())
    found = (connection.execute(query.limit(newest)).scalars() for query in (tables, files))
    return sorted({key for keys in found for key in keys})
