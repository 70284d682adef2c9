"""Tables of a program, a DataFrame's or Arrow's, as what is sent."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, cast

from ridgeway.errors import InvalidInput, RidgewayError

_TABLES = "must be a DataFrame or an Arrow table: pandas', polars' or pyarrow's"


def is_table(given: Any) -> bool:
    """Return True for what Arrow can take over: pandas', polars' and pyarrow's tables."""
    return hasattr(given, "__arrow_c_stream__")


def parquet_of(table: Any, field: str) -> bytes:
    """Write a table as Parquet; InvalidInput by the `field` for what has no columns of one kind.

    A DataFrame's index is left out: it is seldom what a model may know of a row.
    """
    if not is_table(table):
        raise InvalidInput.of(field, None, f"{_TABLES}; met a {type(table).__name__}")
    try:
        pa: Any = import_module("pyarrow")
        parquet: Any = import_module("pyarrow.parquet")
    except ModuleNotFoundError:
        raise RidgewayError("To send a table takes pyarrow: pip install pyarrow.") from None
    try:
        arrow = pa.table(table)
        if hasattr(table, "index"):
            arrow = pa.Table.from_pandas(table, preserve_index=False)
        written = io.BytesIO()
        # Without what pandas adds about itself, equal tables are equal bytes.
        parquet.write_table(arrow.replace_schema_metadata(None), written)
    except (pa.ArrowException, TypeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InvalidInput.of(field, None, f"can't be written as Parquet: {reason}") from None
    return written.getvalue()


def name_of(data: bytes) -> str:
    """Return the name of a data set that has none: the same for the same table."""
    return f"table-{hashlib.sha256(data).hexdigest()[:16]}"


def rows_of(table: Any) -> Sequence[Mapping[str, Any]]:
    """Return a table's rows as mappings by column; anything else as it is.

    InvalidInput where two columns have one name, or for what Arrow takes over but is no table.
    """
    if not is_table(table):
        return table
    if hasattr(table, "iloc") and hasattr(table, "columns"):  # pandas', with names of any type
        named = table.set_axis(_names([str(name) for name in table.columns]), axis=1)
        return cast("Sequence[Mapping[str, Any]]", named.to_dict("records"))
    if hasattr(table, "to_dicts"):  # polars', whose names are texts, each once
        return cast("Sequence[Mapping[str, Any]]", table.to_dicts())
    try:
        arrow = import_module("pyarrow").table(table)
    except (TypeError, ValueError) as error:  # a column alone
        raise InvalidInput.of("rows", None, f"{_TABLES}; {error}") from None
    _names(arrow.column_names)
    return cast("Sequence[Mapping[str, Any]]", arrow.to_pylist())


def _names(names: Sequence[str]) -> Sequence[str]:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InvalidInput.of("rows", twice, "is the name of two columns")
    return names
