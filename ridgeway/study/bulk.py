"""Many rows in one statement, past SQLAlchemy's handling of each: what populations are written by.

    with Batch(transaction) as batch:  # one trip to PostgreSQL
        batch.insert(trials, ("trial_id", "number"), [(7, 0), (8, 1)])
        batch.insert(params, ("trial_id", "param_name"), [(7, "lambda"), (8, "lambda")])

Values are as the tables keep them: an enum by its name, a moment as text. Both databases take
`moment_text`'s.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection


class Batch:
    """Rows of several tables, sent to PostgreSQL as one statement: while it writes, others wait.

    Its parts see nothing of each other, but for foreign keys, which are checked at its end; no row
    may be touched twice. SQLite, to which there is no way to go, is sent each part at once.
    """

    def __init__(self, transaction: Connection) -> None:
        self._transaction = transaction
        self._parts: list[tuple[str, Sequence[Sequence[Any]]]] = []

    def __enter__(self) -> Batch:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and self._parts:
            *before, last = (statement for statement, _ in self._parts)
            beside = ", ".join(f"part{n} AS ({part})" for n, part in enumerate(before))
            statement = f"WITH {beside} {last}" if before else last
            given = tuple(text for _, rows in self._parts for text in _texts(rows))
            self._transaction.exec_driver_sql(statement, given)

    def insert(
        self, table: sa.Table, columns: tuple[str, ...], rows: Sequence[Sequence[Any]]
    ) -> None:
        """Insert rows, each with a value for each of the columns."""
        self._add(_insert(self._transaction.dialect.name, table, columns), rows)

    def update(
        self, table: sa.Table, columns: tuple[str, ...], rows: Sequence[Sequence[Any]]
    ) -> None:
        """Set columns of the rows that the last column, a key, finds."""
        self._add(_update(self._transaction.dialect.name, table, columns), rows)

    def _add(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        if rows and self._transaction.dialect.name == "sqlite":
            self._transaction.exec_driver_sql(statement, [tuple(row) for row in rows])
        elif rows:
            self._parts.append((statement, rows))


def insert_rows(
    transaction: Connection,
    table: sa.Table,
    columns: tuple[str, ...],
    rows: Sequence[Sequence[Any]],
) -> None:
    """Insert rows, each with a value for each of the columns."""
    with Batch(transaction) as batch:
        batch.insert(table, columns, rows)


def delete_rows(transaction: Connection, table: sa.Table, column: str, keys: list[int]) -> None:
    """Delete the rows that one of the keys finds."""
    if transaction.dialect.name == "sqlite":
        statement = f"DELETE FROM {table.name} WHERE {column} IN (SELECT value FROM json_each(?))"  # nosec B608 # names of ours
        transaction.exec_driver_sql(statement, (json.dumps(keys),))
        return
    statement = f"DELETE FROM {table.name} WHERE {column} = ANY(%s::int4[])"  # nosec B608 # names of ours
    transaction.exec_driver_sql(statement, (keys,))


def copy_rows(
    transaction: Connection,
    table: sa.Table,
    key: str,
    columns: tuple[str, ...],
    pairs: Sequence[tuple[int, int]],
) -> None:
    """Copy columns of the rows whose key is the second of a pair, under the first as their key.

    The rows never leave the database.
    """
    dialect = transaction.dialect.name
    statement = _copy(dialect, table, key, columns)
    if dialect == "sqlite":
        transaction.exec_driver_sql(statement, (json.dumps(pairs),))
        return
    transaction.exec_driver_sql(statement, tuple(map(json.dumps, zip(*pairs, strict=True))))


def moment_text(seconds: float) -> str:
    """Write seconds since 1970 as naive UTC."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S.%f}"


def _texts(rows: Sequence[Sequence[Any]]) -> list[str]:
    """Return a JSON text for each column.

    About as quick as COPY, whose errors and lost connections SQLAlchemy would not know. psycopg
    writes arrays of texts letter by letter.
    """
    return [json.dumps(column) for column in zip(*rows, strict=True)]


@cache
def _insert(dialect: str, table: sa.Table, columns: tuple[str, ...]) -> str:
    into = f"INSERT INTO {table.name} ({', '.join(columns)})"
    if dialect == "sqlite":
        return f"{into} VALUES ({', '.join('?' * len(columns))})"
    return f"{into} SELECT {', '.join(_cast(table, n) for n in columns)} FROM {_given(columns)}"  # nosec B608 # names of ours


@cache
def _update(dialect: str, table: sa.Table, columns: tuple[str, ...]) -> str:
    *changed, key = columns
    if dialect == "sqlite":
        sets = ", ".join(f"{name} = ?" for name in changed)
        return f"UPDATE {table.name} SET {sets} WHERE {key} = ?"  # nosec B608 # names of ours
    sets = ", ".join(f"{name} = {_cast(table, name)}" for name in changed)
    found = f"{table.name}.{key} = {_cast(table, key)}"
    return f"UPDATE {table.name} SET {sets} FROM {_given(columns)} WHERE {found}"  # nosec B608 # names of ours


@cache
def _copy(dialect: str, table: sa.Table, key: str, columns: tuple[str, ...]) -> str:
    into = f"INSERT INTO {table.name} ({', '.join((key, *columns))})"
    copied = ", ".join(f"{table.name}.{name}" for name in columns)
    if dialect == "sqlite":
        new, old = (f"json_extract(given.value, '$[{place}]')" for place in (0, 1))
        given = "json_each(?) AS given"
    else:
        new, old = "given.new::int4", "given.old::int4"
        given = _given(("new", "old"))
    found = f"{table.name} ON {table.name}.{key} = {old}"
    return f"{into} SELECT {new}, {copied} FROM {given} JOIN {found}"  # nosec B608 # names of ours


def _given(columns: tuple[str, ...]) -> str:
    """Return SQL for a row of texts for each place in the columns' JSON arrays."""
    texts = ", ".join(["json_array_elements_text(%s::json)"] * len(columns))
    return f"ROWS FROM ({texts}) AS given ({', '.join(columns)})"


def _cast(table: sa.Table, column: str) -> str:
    return f"given.{column}::{_kind(table.c[column].type)}"


def _kind(kind: sa.types.TypeEngine[Any]) -> str:
    if isinstance(kind, sa.Enum):
        return str(kind.name)
    if isinstance(kind, sa.DateTime):
        return "timestamp"
    if isinstance(kind, sa.Float):
        return "float8"
    return "int4" if isinstance(kind, sa.Integer) else "text"
