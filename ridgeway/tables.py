"""Data files: read, check and profile what people upload; Parquet, CSV (gzip too) and npz.

A table in canonical form has two kinds of columns, and both service and workers see only those:
numbers (float64) and categories (text). Rows count from 1; in a CSV the header is row 1.

- Integers, floats and decimals are numbers; a whole number beyond 2**53 is an id: a category.
- Texts and booleans ("true", "false") are categories.
- Dates, nested and binary columns are refused; so are infinities and numbers beyond 1e30.
- NaN, an empty cell, NA, N/A, null, None and ? in a CSV are missing.
"""
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportUnknownLambdaType=false
# pyarrow ships no types.

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq

from ridgeway.errors import InvalidInput
from ridgeway.profiles import ColumnProfile, DatasetProfile, label_of
from ridgeway.settings import Settings

MAX_NAME = 200  # characters of a column's name
MAX_TEXT = 1000  # characters of a category
MAX_MAGNITUDE = 1e30  # beyond it single precision overflows
LARGEST_EXACT = 2**53  # integers beyond it are not all numbers of float64
BYTES_PER_CELL = 2  # a CSV can't hold a cell in fewer; other formats may not claim to
MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?")
MOSTLY_NUMBERS = 0.95  # of a column's texts: then the others are taken for mistakes
FEW_NUMBERS = 20  # distinct numbers that may stand for categories beside texts


def bad_file(message: str, name: str | None = None) -> InvalidInput:
    """The error for a file that can't be read."""
    return InvalidInput.of("file", name, message)


# --- reading ----------------------------------------------------------------------------------


def read_upload(path: Path, name: str | None, settings: Settings) -> pa.Table:
    """The file as a canonical table; InvalidInput (field `file`) says where it is broken.

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
        elif kind == "npz":
            from ridgeway.arrays import read_npz  # numpy is imported only for those who bring it

            table, first_row = read_npz(path, settings), 1
        else:
            table, first_row = _read_csv(path, kind == "gzip", settings), 2
        table = canonical_table(table, first_row)
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


def _read_parquet(path: Path, settings: Settings) -> pa.Table:
    try:
        with pq.ParquetFile(path) as file:
            schema, claims = file.schema_arrow, file.metadata
            check_names(schema.names)
            for field in schema:
                _check_type(field.name, field.type)
            _check_shape(claims.num_rows, claims.num_columns, settings)
            groups = (claims.row_group(index) for index in range(claims.num_row_groups))
            unpacked = sum(group.total_byte_size for group in groups)
            if not 0 <= unpacked <= settings.max_upload_bytes:
                raise bad_file(
                    f"unpacks to {unpacked:,} bytes; at most {settings.max_upload_bytes:,}"
                )
        # Repeated texts stay in a dictionary until their decoded size is known.
        texts = [field.name for field in schema if _is_text(field.type)]
        table = pq.ParquetFile(path, read_dictionary=texts).read(use_threads=False)
        table.validate(full=True)
        _check_decoded(table, settings)
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        raise bad_file(f"is a broken Parquet file: {_first_line(error)}") from None
    return table


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return (lines[0] if lines else type(error).__name__)[:300]


def _is_text(kind: Any) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _check_type(name: str, kind: Any) -> None:
    types = pa.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    known = (types.is_integer, types.is_floating, types.is_decimal, types.is_boolean, types.is_null)
    if any(is_kind(kind) for is_kind in known) or _is_text(kind) or types.is_string_view(kind):
        return
    if types.is_temporal(kind):
        message = f"column '{name}' holds dates or times ({kind}); write them as numbers"
        raise bad_file(f"{message}, for example as days since the first one, or leave them out")
    accepted = "accepted: numbers, texts and booleans"
    raise bad_file(f"column '{name}' holds values of type {kind}; {accepted}")


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


# --- CSV --------------------------------------------------------------------------------------


def _read_csv(path: Path, zipped: bool, settings: Settings) -> pa.Table:
    with path.open("rb") as file:
        data = _unzipped(file, settings.max_upload_bytes) if zipped else file.read()
    data = data.removeprefix(b"\xef\xbb\xbf")
    _check_text(data)
    delimiter, header = _header(data)
    names = [name.strip() for name in header]
    check_names(names)
    _check_shape(1, len(names), settings)
    if data.count(b"\n") > settings.max_rows + 1:
        raise bad_file(f"has more than {settings.max_rows:,} rows")
    table = _parse_csv(data, delimiter, header)
    if data.count(b'"') % 2 and "\n" in (table.column(-1)[-1].as_py() or "" if len(table) else ""):
        raise bad_file(f"row {len(table) + 1}: a quote is opened and never closed")
    columns = [
        _typed(name, column, delimiter) for name, column in zip(names, table.columns, strict=True)
    ]
    return pa.table(columns, names=names)


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


def _check_text(data: bytes) -> None:
    if not data.strip():
        raise bad_file("is empty")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise bad_file("is UTF-16; save it as UTF-8")
    nul = data.find(b"\x00")
    if nul >= 0:
        row = data.count(b"\n", 0, nul) + 1
        raise bad_file(f"row {row}: met a NUL byte; accepted: CSV (UTF-8, gzip too), Parquet, npz")
    try:
        data.decode()
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        message = f"row {row}: byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8"
        raise bad_file(message) from None


def _header(data: bytes) -> tuple[str, list[str]]:
    """The delimiter that gives the header most columns, and the header."""
    best = (",", [""])
    # A header longer than this is no header.
    text = data.lstrip(b"\r\n")[: 2**22].decode(errors="ignore")
    for delimiter in (",", ";", "\t"):
        try:
            names = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), [""])
        except csv.Error as error:
            raise bad_file(f"row 1: {error}") from None
        if len(names) > len(best[1]):
            best = (delimiter, names)
    delimiter, names = best
    if len(names) == 1:
        raise bad_file(
            "row 1: no comma, semicolon or tab between columns; needs two columns or more"
        )
    if all(_is_number(name) for name in names):
        raise bad_file("row 1 holds numbers only; the first row must hold the columns' names")
    return delimiter, names


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _parse_csv(data: bytes, delimiter: str, header: list[str]) -> pa.Table:
    """Every cell as text: the kind of a column is told from all of it, not from its first rows."""
    broken: list[Any] = []

    def keep(row: Any) -> str:
        broken.append(row)
        return "error"

    names = [str(position) for position in range(len(header))]
    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(data),
            read_options=arrow_csv.ReadOptions(
                use_threads=False,
                block_size=min(len(data) + 1, 2**31 - 1),
                column_names=names,
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=delimiter, newlines_in_values=True, invalid_row_handler=keep
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                strings_can_be_null=True,
                null_values=list(MISSING),
            ),
        )
    except (pa.ArrowException, OverflowError) as error:
        if broken:
            row = broken[0]
            met, wanted = row.actual_columns, row.expected_columns
            values = "value" if met == 1 else "values"
            raise bad_file(f"row {row.number} has {met} {values}, the header {wanted}") from None
        raise bad_file(f"is a broken CSV file: {_first_line(error)}") from None
    return table.slice(1)  # without the header


def _typed(name: str, texts: pa.ChunkedArray, delimiter: str) -> pa.ChunkedArray:
    """Numbers where every text is one, else categories; a stray text among numbers is refused."""
    texts = pc.utf8_trim_whitespace(texts)
    texts = pc.if_else(pc.is_in(texts, pa.array(MISSING)), pa.scalar(None, pa.string()), texts)
    if delimiter == ";" and _looks_decimal(texts):
        texts = pc.replace_substring(texts, ",", ".")
    try:
        numbers = texts.cast(pa.float64())
    except pa.ArrowInvalid:
        _refuse_stray_text(name, texts)
        return texts
    if _is_id(texts):
        return texts
    return numbers


def _looks_decimal(texts: pa.ChunkedArray) -> bool:
    """Whether a comma stands for the decimal point in every text that has one."""
    commas = pc.match_substring(texts, ",")
    decimal = pc.match_substring_regex(texts, r"^[+-]?\d*,?\d+([eE][+-]?\d+)?$")
    return bool(pc.any(commas).as_py() and pc.all(decimal).as_py())


def _is_id(texts: pa.ChunkedArray) -> bool:
    """Whole numbers that float64 would round: 16 digits or more, written without point."""
    long = pc.drop_null(pc.filter(texts, pc.match_substring_regex(texts, r"^[+-]?\d{16,}$")))
    return any(abs(int(text.as_py())) > LARGEST_EXACT for text in pc.unique(long))


def _refuse_stray_text(name: str, texts: pa.ChunkedArray) -> None:
    is_number = pc.match_substring_regex(texts, r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$")
    count = pc.sum(is_number).as_py() or 0
    total = len(texts) - texts.null_count
    if count < MOSTLY_NUMBERS * total:
        return
    if pc.count_distinct(pc.filter(texts, is_number)).as_py() <= FEW_NUMBERS:
        return
    row = pc.index(is_number, pa.scalar(False)).as_py()
    met = texts[row].as_py()[:50]
    raise bad_file(
        f"column '{name}', row {row + 2}: '{met}' is no number, "
        f"as {count:,} of its {total:,} values are; leave a missing value empty"
    )


# --- canonical form ---------------------------------------------------------------------------


def canonical_table(table: pa.Table, first_row: int = 1) -> pa.Table:
    """Every column as float64 or string; InvalidInput names the column and row it can't be."""
    check_names(table.column_names)
    columns = [
        _canonical_column(name, column, first_row)
        for name, column in zip(table.column_names, table.columns, strict=True)
    ]
    return pa.table(columns, names=table.column_names)


def _canonical_column(name: str, column: pa.ChunkedArray, first_row: int) -> pa.ChunkedArray:
    _check_type(name, column.type)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_boolean(column.type):
        return column.cast(pa.string())
    if pa.types.is_integer(column.type) and _beyond_exact(column):
        return column.cast(pa.string())
    if _is_text(column.type) or pa.types.is_string_view(column.type):
        return _canonical_texts(name, column.cast(pa.string()), first_row)
    return _canonical_numbers(name, column.cast(pa.float64(), safe=False), first_row)


def _beyond_exact(column: pa.ChunkedArray) -> bool:
    ends = pc.min_max(column).as_py()
    return any(end is not None and abs(end) > LARGEST_EXACT for end in ends.values())


def _canonical_texts(name: str, texts: pa.ChunkedArray, first_row: int) -> pa.ChunkedArray:
    for broken, message in (
        (pc.match_substring(texts, "\x00"), "a text with a NUL character"),
        (pc.greater(pc.utf8_length(texts), MAX_TEXT), f"a text of more than {MAX_TEXT} characters"),
    ):
        row = pc.index(broken, pa.scalar(True)).as_py()
        if row >= 0:
            raise bad_file(f"column '{name}', row {row + first_row}: {message}")
    return texts


def _canonical_numbers(name: str, numbers: pa.ChunkedArray, first_row: int) -> pa.ChunkedArray:
    numbers = pc.if_else(pc.is_nan(numbers), pa.scalar(None, pa.float64()), numbers)
    row = pc.index(pc.greater(pc.abs(numbers), MAX_MAGNITUDE), pa.scalar(True)).as_py()
    if row >= 0:
        met = numbers[row].as_py()
        what = "is infinite" if met in (float("inf"), float("-inf")) else "is too large"
        message = f"column '{name}', row {row + first_row}: {met} {what}"
        raise bad_file(f"{message}; at most {MAX_MAGNITUDE:g} in size")
    return pc.add(numbers, 0.0)  # -0.0 and 0.0 are one value


def to_parquet(table: pa.Table) -> bytes:
    """A canonical table as the file that workers read."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def from_parquet(data: bytes) -> pa.Table:
    """The canonical table that `to_parquet` wrote."""
    return pq.read_table(pa.BufferReader(data), use_threads=False)


# --- profile ----------------------------------------------------------------------------------


def profile_table(table: pa.Table) -> DatasetProfile:
    """What a canonical table holds, column by column."""
    pairs = zip(table.column_names, table.columns, strict=True)
    return DatasetProfile(
        rows=table.num_rows, columns=[_profile_column(name, column) for name, column in pairs]
    )


def _profile_column(name: str, column: pa.ChunkedArray) -> ColumnProfile:
    counts = pc.value_counts(pc.drop_null(column))
    values, repeats = counts.field("values"), counts.field("counts")
    is_number = pa.types.is_floating(column.type)
    least = pc.min(repeats).as_py() or 0
    # Of several rarest values the first in order, so that the profile does not depend on rows' order.
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
    )
