"""What reading a file found out beside its table, kept with the table as its schema's metadata."""
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyarrow ships no types.

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from ridgeway.spec.profiles import Notice
from ridgeway.texts.numbers import NumberFormat

_KEY = b"ridgeway"


class Notes(BaseModel):
    """How columns wrote their numbers where not as programs do, and what is to be told.

    header: whether a CSV's first row held the names. columns: what is told of one, by its name.
    """

    model_config = ConfigDict(frozen=True)

    formats: Mapping[str, NumberFormat] = {}
    header: bool | None = None
    file: tuple[Notice, ...] = ()
    columns: Mapping[str, tuple[Notice, ...]] = {}


def joined(parts: Sequence[Notes]) -> Notes:
    """Return the notes of columns that were read apart, of a file that had no header to be told."""
    return Notes(
        formats={name: own for part in parts for name, own in part.formats.items()},
        columns={name: own for part in parts for name, own in part.columns.items()},
    )


def with_notes(table: Any, notes: Notes) -> Any:
    """Return a table with these notes, which a file in the store keeps as well."""
    told = notes.model_dump_json(exclude_defaults=True)
    return table.replace_schema_metadata(None if told == "{}" else {_KEY: told})


def notes_of(table: Any) -> Notes:
    """Return a table's notes; of a table from a client's own Parquet never ask."""
    metadata: dict[bytes, bytes] = table.schema.metadata or {}
    told = metadata.get(_KEY)
    return Notes() if told is None else Notes.model_validate_json(told)
