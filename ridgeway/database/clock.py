"""The database's clock, the only one that is read: as a column of a statement, or asked for."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

SECONDS: sa.Double[float] = sa.Double()  # since 1970


class now(FunctionElement[float]):  # noqa: N801 - reads as the SQL function it is
    """Seconds since 1970 by the database's clock, in SQL; it moves within a transaction."""

    type = SECONDS
    inherit_cache = True


@compiles(now, "postgresql")
def _now_postgresql(element: now, compiler: Any, **options: Any) -> str:
    return "extract(epoch from clock_timestamp())::float8"


@compiles(now, "sqlite")
def _now_sqlite(element: now, compiler: Any, **options: Any) -> str:
    # unixepoch(..., 'subsec') is NULL before SQLite 3.42.
    return "((julianday('now') - 2440587.5) * 86400.0)"


def current_time(transaction: Connection) -> float:
    """Return the time by the database's clock, in seconds since 1970."""
    return float(transaction.execute(_CURRENT_TIME).scalar_one())


_CURRENT_TIME = sa.select(now())  # built once: that takes SQLAlchemy longer than to run it
