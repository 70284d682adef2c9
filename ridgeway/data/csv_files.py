"""CSV: the delimiter told, every cell read as text, and each column's kind from all its cells.

Rows count as a spreadsheet shows them: the header is row 1.
"""
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportUnknownLambdaType=false
# pyarrow ships no types.

from __future__ import annotations

import csv
import io
from typing import Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.csv as arrow_csv

from ridgeway.data.tables import LARGEST_EXACT, Table, bad_file, check_names

pc: Any = pyarrow.compute  # its functions are made when it is imported: unknown to pyright

MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?")
MOSTLY_NUMBERS = 0.95  # of a column's texts: then the others are taken for mistakes
FEW_NUMBERS = 20  # distinct numbers that may stand for categories beside texts


def read_csv(data: bytes, max_rows: int, max_columns: int) -> Table:
    """Read a CSV in UTF-8 as columns of numbers or texts.

    The delimiter is told from the header. NaN, NA, N/A, null, None, ? and nothing are missing.
    """
    data = data.removeprefix(b"\xef\xbb\xbf")
    _check_text(data)
    delimiter, header = _header(data)
    names = [name.strip() for name in header]
    check_names(names)
    if len(names) > max_columns:
        raise bad_file(f"has {len(names):,} columns; at most {max_columns:,}")
    if data.count(b"\n") > max_rows + 1:
        raise bad_file(f"has more than {max_rows:,} rows")
    table = _parse(data, delimiter, len(names))
    pairs = zip(names, table.columns, strict=True)
    return pa.table([_typed(name, texts, delimiter) for name, texts in pairs], names=names)


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
    """Find the delimiter that gives the header most columns, and the header."""
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


def _parse(data: bytes, delimiter: str, columns: int) -> pa.Table:
    """Read every cell as text: a column's kind is told from all of it, not from its first rows."""
    broken: list[Any] = []

    def keep(row: Any) -> str:
        broken.append(row)
        return "error"

    names = [str(position) for position in range(columns)]
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
        raise bad_file(f"is a broken CSV file: {str(error)[:300]}") from None
    if data.count(b'"') % 2 and "\n" in (table.column(columns - 1)[-1].as_py() or ""):
        raise bad_file(f"row {len(table)}: a quote is opened and never closed")
    return table.slice(1)  # without the header


def _typed(name: str, texts: pa.ChunkedArray, delimiter: str) -> pa.ChunkedArray:
    """Read numbers where every text is one, else categories; refuse a stray text among numbers."""
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
    """Return True where a comma is the decimal point in every text that has one."""
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
