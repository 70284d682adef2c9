"""A data set as a table in canonical form, and its profile.

Canonical columns are numbers (float64) or categories (text); service and workers see only those.

- Integers, floats and decimals are numbers; a whole number beyond 2**53 is an id: a category.
- Texts and booleans ("true", "false") are categories.
- Dates, with times or without, are texts of ISO 8601.
- Nested and binary columns are refused; so are infinities and numbers beyond 1e30.
"""
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportUnknownLambdaType=false
# pyarrow ships no types.

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from ridgeway.data.dates import microseconds
from ridgeway.errors import InvalidInput
from ridgeway.spec.profiles import ColumnProfile, DatasetProfile, label_of

Table: TypeAlias = Any  # a pyarrow.Table
pc: Any = pyarrow.compute  # its functions are made when it is imported: unknown to pyright

MAX_NAME = 200  # characters of a column's name
MAX_TEXT = 1000  # characters of a category
TOO_LONG = f"a text of more than {MAX_TEXT} characters"
MAX_TEXTS = 2_000_000_000  # bytes of a column's texts: Arrow counts them in 32 bits
MAX_MAGNITUDE = 1e30  # beyond it single precision overflows
LARGEST_EXACT = 2**53  # integers beyond it are not all numbers of float64


def bad_file(message: str, name: str | None = None) -> InvalidInput:
    """Return the error for a file that can't be read."""
    return InvalidInput.of("file", name, message)


def check_names(names: Sequence[str]) -> None:
    """At least two columns, each with a name of its own that both databases can keep."""
    seen: dict[str, int] = {}
    for position, name in enumerate(names, 1):
        if not name.strip():
            hint = " (an index? write the file without it)" if position == 1 else ""
            raise bad_file(f"column {position} has no name{hint}")
        if len(name) > MAX_NAME:
            message = (
                f"column {position}: the name has {len(name):,} characters; at most {MAX_NAME}"
            )
            raise bad_file(message)
        if "\x00" in name:
            raise bad_file(f"column {position}: the name holds a NUL character")
        if name in seen:
            raise bad_file(f"columns {seen[name]} and {position} are both called '{name}'")
        seen[name] = position
    if len(names) < 2:
        raise bad_file("has one column only; a data set needs inputs and a target")


def canonical_table(table: Table, first_row: int = 1) -> Table:
    """Make every column float64 or string; InvalidInput names the column and row it can't be."""
    check_names(table.column_names)
    return canonical_columns(table, first_row)


def canonical_columns(table: Table, first_row: int = 1) -> Table:
    """Make the columns of a part of a table canonical, whatever they are called."""
    columns: list[Any] = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        check_text_bytes(name, column)
        columns.append(_canonical_column(name, column, first_row))
        check_text_bytes(name, columns[-1])  # of large whole numbers, and of dates
    return pa.table(columns, names=table.column_names)


def check_text_bytes(name: str, column: pa.ChunkedArray) -> None:
    """Refuse a column of more text than Arrow can decode, count or sort as one."""
    if text_bytes(column) > MAX_TEXTS:
        raise bad_file(f"column '{name}' {too_much_text()}")


def too_much_text() -> str:
    """Say that a column holds too much, and what to do."""
    most = f"at most {MAX_TEXTS:,} bytes are possible"
    return f"holds too much text; {most}: leave the column out, or bring fewer rows"


def text_bytes(column: pa.ChunkedArray) -> int:
    """Return the bytes of a column's texts, each as often as it is there; 0 of what is no text."""
    total = 0
    for chunk in column.chunks:
        if not pa.types.is_dictionary(chunk.type):
            if is_text(chunk.type) or pa.types.is_string_view(chunk.type):
                total += pc.sum(_lengths(chunk)).as_py() or 0
        elif is_text(chunk.type.value_type):
            total += pc.sum(_lengths(chunk.dictionary).take(chunk.indices)).as_py() or 0
    return total


def _lengths(texts: pa.Array) -> pa.Array:
    if pa.types.is_string_view(texts.type):
        texts = texts.cast(pa.large_string())
    return pc.binary_length(texts)


def _canonical_column(name: str, column: pa.ChunkedArray, first_row: int) -> pa.ChunkedArray:
    check_type(name, column.type)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_boolean(column.type):
        return column.cast(pa.string())
    if pa.types.is_integer(column.type) and _beyond_exact(column):
        return column.cast(pa.string())
    if pa.types.is_temporal(column.type):
        return _canonical_dates(name, column)
    if is_text(column.type) or pa.types.is_string_view(column.type):
        return _canonical_texts(name, column.cast(pa.string()), first_row)
    return _canonical_numbers(name, column.cast(pa.float64(), safe=False), first_row)


def _beyond_exact(column: pa.ChunkedArray) -> bool:
    ends = pc.min_max(column).as_py()
    return any(end is not None and abs(end) > LARGEST_EXACT for end in ends.values())


def _canonical_texts(name: str, texts: pa.ChunkedArray, first_row: int) -> pa.ChunkedArray:
    for broken, message in (
        (pc.match_substring(texts, "\x00"), "a text with a NUL character"),
        (pc.greater(pc.utf8_length(texts), MAX_TEXT), TOO_LONG),
    ):
        row = pc.index(broken, pa.scalar(True)).as_py()
        if row >= 0:
            raise bad_file(f"column '{name}', row {row + first_row}: {message}")
    return texts


def _canonical_dates(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return dates and times as ISO 8601 in UTC."""
    if pa.types.is_date(column.type):
        return column.cast(pa.date32()).cast(pa.string())
    try:
        rounded = column.cast(pa.timestamp("us", tz=column.type.tz), safe=False)
        # Arrow needs a data base of zones for others, which not every system has.
        texts = rounded.cast(pa.int64()).cast(pa.timestamp("us")).cast(pa.string())
    except (pa.ArrowException, OverflowError, ValueError) as error:
        raise bad_file(f"column '{name}': a time is out of range ({error})"[:300]) from None
    return pc.binary_join_element_wise(texts, "Z", "") if column.type.tz else texts


def _canonical_numbers(name: str, numbers: pa.ChunkedArray, first_row: int) -> pa.ChunkedArray:
    numbers = pc.if_else(pc.is_nan(numbers), pa.scalar(None, pa.float64()), numbers)
    row = pc.index(pc.greater(pc.abs(numbers), MAX_MAGNITUDE), pa.scalar(True)).as_py()
    if row >= 0:
        met = numbers[row].as_py()
        what = "is infinite" if met in (float("inf"), float("-inf")) else "is too large"
        message = f"column '{name}', row {row + first_row}: {met} {what}"
        raise bad_file(f"{message}; at most {MAX_MAGNITUDE:g} in size")
    return pc.add(numbers, 0.0)  # -0.0 and 0.0 are one value


def check_type(name: str, kind: Any) -> None:
    types = pa.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    known = (types.is_integer, types.is_floating, types.is_decimal, types.is_boolean, types.is_null)
    if any(is_kind(kind) for is_kind in known) or is_text(kind) or types.is_string_view(kind):
        return
    if types.is_date(kind) or types.is_timestamp(kind):
        return
    accepted = "accepted: numbers, texts, booleans, dates with or without times"
    raise bad_file(f"column '{name}' holds values of type {kind}; {accepted}")


def is_text(kind: Any) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def to_parquet(table: Table) -> bytes:
    """Write a canonical table as the file that workers read."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def write_parquet(table: Table, path: Path) -> None:
    """Write a canonical table, however large, as the file that workers read."""
    pq.write_table(table, path, compression="zstd")


def from_parquet(data: bytes) -> Table:
    """Read the canonical table that `to_parquet` wrote."""
    return pq.read_table(pa.BufferReader(data), use_threads=False)


def profile_table(table: Table) -> DatasetProfile:
    """Profile a canonical table, column by column."""
    pairs = zip(table.column_names, table.columns, strict=True)
    return DatasetProfile(
        rows=table.num_rows, columns=[_profile_column(name, column) for name, column in pairs]
    )


def _counted_numbers(column: pa.ChunkedArray) -> tuple[Any, Any]:
    """Return each value once, and how often it is there.

    By sorting: Arrow's hash table takes 200 bytes for each value, this 20.
    """
    known = pc.drop_null(column)
    ordered = known.take(pc.sort_indices(known)).combine_chunks()
    runs = pc.run_end_encode(ordered, run_end_type=pa.int64())
    ends = runs.run_ends
    return runs.values, pc.subtract(ends, pa.concat_arrays([pa.array([0]), ends])[: len(ends)])


def _counted_texts(column: pa.ChunkedArray) -> tuple[Any, Any]:
    """Return each text once, and how often it is there."""
    counts = pc.value_counts(pc.drop_null(column))
    return counts.field("values"), counts.field("counts")


def _profile_column(name: str, column: pa.ChunkedArray) -> ColumnProfile:
    is_number = pa.types.is_floating(column.type)
    values, repeats = _counted_numbers(column) if is_number else _counted_texts(column)
    least = pc.min(repeats).as_py() or 0
    # Of several rarest values the first in order: the order of rows plays no part.
    rarest = pc.min(pc.filter(values, pc.equal(repeats, least))).as_py() if least else None
    ends = pc.min_max(column).as_py() if is_number else {"min": None, "max": None}
    return ColumnProfile(
        name=name,
        kind="number" if is_number else "category",
        missing=column.null_count,
        distinct=len(values),
        integral=bool(is_number and least and pc.all(pc.equal(pc.round(values), values)).as_py()),
        minimum=ends["min"],
        maximum=ends["max"],
        rarest=None if rarest is None else label_of(rarest)[:MAX_NAME],
        rarest_count=least,
        dates=None if is_number else microseconds(values) is not None,
    )
