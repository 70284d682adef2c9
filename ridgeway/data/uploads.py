"""Files that people upload: Parquet, npz, CSV (gzip too), told by their first bytes.

What a file unpacks to is limited before or while it is unpacked; its own claims are not trusted.
"""
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportUnknownLambdaType=false
# pyarrow ships no types.

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from ridgeway.data.csv_files import read_csv
from ridgeway.data.headers import Header
from ridgeway.data.notes import Notes, notes_of, with_notes
from ridgeway.data.settling import settled_table
from ridgeway.data.tables import Table, bad_file, canonical_table, check_names, check_type, is_text
from ridgeway.errors import InvalidInput
from ridgeway.settings import Settings

pc: Any = pyarrow.compute  # its functions are made when it is imported: unknown to pyright

BYTES_PER_CELL = 2  # a CSV can't hold a cell in fewer; other formats may not claim to


def read_upload(path: Path, name: str | None, settings: Settings, header: Header = "auto") -> Table:
    """Read the file as a canonical table, with notes of how it was written.

    InvalidInput (field `file`) says where it is broken. header: of a CSV, whether its first row
    holds names.

    The format is told by the first bytes; the name is only checked against it.
    """
    size = path.stat().st_size
    if size > settings.max_upload_bytes:
        raise bad_file(f"has {size:,} bytes; at most {settings.max_upload_bytes:,}", name)
    with path.open("rb") as file:
        kind = _format_of(file.read(4), name)
    try:
        if kind == "parquet":
            table, first_row = _read_parquet(path, settings), 1
            notes = Notes()  # its own metadata are the client's
        elif kind == "npz":
            from ridgeway.data.arrays import (
                read_npz,  # numpy is imported only for those who bring it
            )

            table, first_row, notes = read_npz(path, settings), 1, Notes()
        else:
            table = _read_csv(path, kind == "gzip", settings, header)
            notes = notes_of(table)
            first_row = 2 if notes.header is None else 1
        table = canonical_table(table, first_row)
        table = with_notes(table, notes) if kind in ("csv", "gzip") else settled_table(table)
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


def _read_parquet(path: Path, settings: Settings) -> Table:
    try:
        with pq.ParquetFile(path) as file:
            schema, claims = file.schema_arrow, file.metadata
            check_names(schema.names)
            for field in schema:
                check_type(field.name, field.type)
            _check_shape(claims.num_rows, claims.num_columns, settings)
            groups = (claims.row_group(index) for index in range(claims.num_row_groups))
            unpacked = sum(group.total_byte_size for group in groups)
            if not 0 <= unpacked <= settings.max_upload_bytes:
                raise bad_file(
                    f"unpacks to {unpacked:,} bytes; at most {settings.max_upload_bytes:,}"
                )
        # Repeated texts stay in a dictionary until their decoded size is known.
        texts = [field.name for field in schema if is_text(field.type)]
        table = pq.ParquetFile(path, read_dictionary=texts).read(use_threads=False)
        table.validate(full=True)
        _check_decoded(table, settings)
    except MemoryError:  # one of pyarrow's own is an ArrowException too
        raise bad_file("could not be read: reading it took more memory than there is") from None
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise bad_file(f"is a broken Parquet file: {_first_line(error)}") from None
    return table


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return (lines[0] if lines else type(error).__name__)[:300]


def _check_decoded(table: pa.Table, settings: Settings) -> None:
    """Few stored texts can be repeated into a table that fits no memory."""
    total = 0
    for column in table.columns:
        for chunk in column.chunks:
            if isinstance(chunk, pa.DictionaryArray):
                lengths = pc.binary_length(chunk.dictionary.cast(pa.large_string()))
                total += pc.sum(lengths.take(chunk.indices)).as_py() or 0
    if total > settings.max_upload_bytes:
        raise bad_file(f"holds {total:,} bytes of text; at most {settings.max_upload_bytes:,}")


def _read_csv(path: Path, zipped: bool, settings: Settings, header: Header) -> Table:
    with path.open("rb") as file:
        data = _unzipped(file, settings.max_upload_bytes) if zipped else file.read()
    return read_csv(data, settings.max_rows, settings.max_columns, header)


def _unzipped(file: BinaryIO, limit: int) -> bytes:
    """At most `limit` bytes: reading stops there, whatever the file would unpack to."""
    parts: list[bytes] = []
    size = 0
    try:
        with gzip.GzipFile(fileobj=file) as unzipped:
            while part := unzipped.read(2**20):
                size += len(part)
                if size > limit:
                    raise bad_file(f"unpacks to more than {limit:,} bytes")
                parts.append(part)
    except (OSError, EOFError, zlib.error) as error:
        raise bad_file(f"is a broken gzip file after {size:,} unpacked bytes: {error}") from None
    return b"".join(parts)
