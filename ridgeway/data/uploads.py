"""Files that people upload: Parquet, npz, CSV (gzip too), told by their first bytes.

What a file unpacks to is limited before or while it is unpacked; its own claims are not trusted.
"""
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportUnknownLambdaType=false
# pyarrow ships no types.

from __future__ import annotations

import gzip
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from ridgeway.data.aside import Aside
from ridgeway.data.csv_files import read_csv
from ridgeway.data.headers import Header
from ridgeway.data.notes import Notes, joined, notes_of, with_notes
from ridgeway.data.settling import settled_table
from ridgeway.data.tables import (
    Table,
    bad_file,
    canonical_columns,
    check_names,
    check_type,
    is_text,
    text_bytes,
    too_much_text,
)
from ridgeway.errors import InvalidInput
from ridgeway.settings import Settings

PART_BYTES = 2**25  # of a Parquet file's columns that are read at once; of one that is larger, all
BYTES_PER_CELL = 2  # a CSV can't hold a cell in fewer; other formats may not claim to


def read_upload(path: Path, name: str | None, settings: Settings, header: Header = "auto") -> Table:
    """Read the file as a canonical table, with notes of how it was written.

    InvalidInput (field `file`) says where it is broken. header: of a CSV, whether its first row
    holds names.

    The format is told by the first bytes; the name is only checked against it. The table lies in a
    file: while it is made one column is in memory, or as many as are small; of npz all.
    """
    size = path.stat().st_size
    if size > settings.max_upload_bytes:
        raise bad_file(f"has {size:,} bytes; at most {settings.max_upload_bytes:,}", name)
    with path.open("rb") as file:
        kind = _format_of(file.read(4), name)
    try:
        if kind == "parquet":
            table = _settled(_parts_of_parquet(path, settings))
        elif kind == "npz":
            # numpy is imported only for those who bring it
            from ridgeway.data.arrays import read_npz

            table = read_npz(path, settings)
            check_names(table.column_names)
            table = _settled([table])
        else:
            table = _read_csv(path, kind == "gzip", settings, header)
        _check_shape(table.num_rows, table.num_columns, settings)
    except InvalidInput as error:
        raise bad_file(error.errors[0].message, name) from None
    return table


def _format_of(head: bytes, name: str | None) -> str:
    kinds = {b"PAR1": "parquet", b"PK\x03\x04": "npz", b"\x1f\x8b": "gzip"}
    kind = kinds.get(head) or kinds.get(head[:2]) or "csv"
    ending = (name or "").lower().rpartition(".")[2]
    if ending in ("parquet", "npz") and ending != kind:
        raise bad_file(f"is called .{ending} but does not begin like one", name)
    return kind


def _check_shape(rows: int, columns: int, settings: Settings) -> None:
    if rows == 0:
        raise bad_file("has no rows")
    if rows > settings.max_rows:
        raise bad_file(f"has {rows:,} rows; at most {settings.max_rows:,}")
    if columns > settings.max_columns:
        raise bad_file(f"has {columns:,} columns; at most {settings.max_columns:,}")
    if rows * columns * BYTES_PER_CELL > settings.max_upload_bytes:
        most = settings.max_upload_bytes // BYTES_PER_CELL
        raise bad_file(f"has {rows * columns:,} cells; at most {most:,}")


def _settled(parts: Iterable[Table]) -> Table:
    """Return a canonical table of the columns of these parts, which are let go one by one."""
    notes: list[Notes] = []
    with Aside() as kept:
        for part in parts:
            table = settled_table(canonical_columns(part))  # without the client's metadata
            notes.append(notes_of(table))
            kept.add(table.schema, table.to_batches())
        return with_notes(kept.table(), joined(notes))


def _parts_of_parquet(path: Path, settings: Settings) -> Iterator[Table]:
    """Yield the table by some columns at a time, each with all of its rows."""
    try:
        with pq.ParquetFile(path) as file:
            _check_claims(file, settings)
            schema, claims = file.schema_arrow, file.metadata
            parts = _parts(schema.names, claims)
        # Repeated texts stay in a dictionary until their decoded size is known.
        texts = [field.name for field in schema if is_text(field.type)]
        decoded = 0
        with pq.ParquetFile(path, read_dictionary=texts) as file:
            for names in parts:
                # The name of a column may be how another's begins, `a` and `a.b`: that comes too.
                try:
                    table = file.read(columns=names, use_threads=False).select(names)
                except pa.ArrowCapacityError:  # of its distinct texts alone; it comes alone
                    raise bad_file(f"column '{names[0]}' {too_much_text()}") from None
                table.validate(full=True)
                if len(table) != claims.num_rows:  # columns of other parts would not fit it
                    met, wanted = f"{len(table):,}", f"{claims.num_rows:,}"
                    raise ValueError(f"column '{names[0]}' has {met} rows, the file {wanted}")
                # Few stored texts can be repeated into a table that fits no memory.
                decoded += sum(map(text_bytes, table.columns))
                if decoded > settings.max_upload_bytes:
                    most = f"at most {settings.max_upload_bytes:,}"
                    raise bad_file(f"holds {decoded:,} bytes of text or more; {most}")
                yield table
    except MemoryError:  # one of pyarrow's own is an ArrowException too
        raise bad_file("could not be read: reading it took more memory than there is") from None
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise bad_file(f"is a broken Parquet file: {_first_line(error)}") from None


def _check_claims(file: pq.ParquetFile, settings: Settings) -> None:
    schema, claims = file.schema_arrow, file.metadata
    check_names(schema.names)
    for field in schema:
        check_type(field.name, field.type)
    _check_shape(claims.num_rows, claims.num_columns, settings)
    groups = (claims.row_group(index) for index in range(claims.num_row_groups))
    unpacked = sum(group.total_byte_size for group in groups)
    if not 0 <= unpacked <= settings.max_upload_bytes:
        raise bad_file(f"unpacks to {unpacked:,} bytes; at most {settings.max_upload_bytes:,}")


def _parts(names: list[str], claims: Any) -> list[list[str]]:
    """Return the names of columns in parts that are read at once."""
    groups = [claims.row_group(index) for index in range(claims.num_row_groups)]
    parts: list[list[str]] = []
    room = 0
    for place, name in enumerate(names):
        unpacked = sum(group.column(place).total_uncompressed_size for group in groups)
        size = max(unpacked, 8 * claims.num_rows)
        if not parts or size > room:
            parts.append([])
            room = PART_BYTES
        parts[-1].append(name)
        room -= size
    return parts


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return (lines[0] if lines else type(error).__name__)[:300]


def _read_csv(path: Path, zipped: bool, settings: Settings, header: Header) -> Table:
    with path.open("rb") as file:
        if not zipped:
            return read_csv(file, settings.max_rows, settings.max_columns, header)
        with tempfile.TemporaryFile() as unzipped:
            _unzip(file, unzipped, settings.max_upload_bytes)
            unzipped.seek(0)
            return read_csv(unzipped, settings.max_rows, settings.max_columns, header)


def _unzip(file: BinaryIO, target: BinaryIO, limit: int) -> None:
    """At most `limit` bytes: reading stops there, whatever the file would unpack to."""
    size = 0
    for part in _unzipped(file):
        size += len(part)
        if size > limit:
            raise bad_file(f"unpacks to more than {limit:,} bytes")
        target.write(part)


def _unzipped(file: BinaryIO) -> Iterator[bytes]:
    size = 0
    try:
        with gzip.GzipFile(fileobj=file) as unzipped:
            while part := unzipped.read(2**20):
                size += len(part)
                yield part
    except (OSError, EOFError, zlib.error) as error:
        raise bad_file(f"is a broken gzip file after {size:,} unpacked bytes: {error}") from None
