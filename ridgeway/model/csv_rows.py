"""Rows of a CSV for a model: its columns alone, read as its data set's file was.

What is missing, and where a comma is the decimal point, is as in ridgeway/data/csv_files.py, which
needs pyarrow and tells a column's kind from its cells: here the model knows it.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence

import numpy as np

from ridgeway.errors import FieldError, InvalidInput
from ridgeway.model.file import Column
from ridgeway.model.tables import MISSING_COLUMN, Array, number_of, refuse

MISSING = frozenset({"", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?"})
_NOTHING: list[str] = []
_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")


def read_csv(data: bytes, columns: Sequence[Column]) -> dict[str, Array]:
    """Read these columns by the header's names; InvalidInput says which lacks, or where it breaks.

    The delimiter is told from the header. Rows count as a spreadsheet shows them: that is row 1.
    """
    text = _decoded(data)
    delimiter = _delimiter(text)
    rows = _rows(text, delimiter)
    header = [name.strip() for name in next(rows, _NOTHING)]
    places = {name: place for place, name in enumerate(header)}
    refuse([FieldError(c.name, None, MISSING_COLUMN) for c in columns if c.name not in places])
    cells: list[list[str]] = []
    wanted = [places[column.name] for column in columns]
    for number, row in enumerate(rows, 2):
        if len(row) != len(header):
            message = f"row {number} has {len(row)} values, the header {len(header)}"
            raise InvalidInput.of("rows", None, message)
        cells.append([row[place].strip() for place in wanted])
    if not cells:
        raise InvalidInput.of("rows", None, "there is no row below the header")
    errors: list[FieldError] = []
    by_column = zip(columns, zip(*cells, strict=True), strict=True)
    made = {each.name: _column(each, texts, delimiter, errors) for each, texts in by_column}
    refuse(errors)
    return made


def _decoded(data: bytes) -> str:
    try:
        return data.removeprefix(b"\xef\xbb\xbf").decode()
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        message = f"row {row}: byte 0x{data[error.start]:02x} is not UTF-8"
        raise InvalidInput.of("rows", None, message) from None


def _delimiter(text: str) -> str:
    """Return the delimiter that gives the header most columns."""
    header = text.lstrip("\r\n").partition("\n")[0]
    return max(",;\t", key=lambda each: len(next(csv.reader([header], delimiter=each), _NOTHING)))


def _rows(text: str, delimiter: str) -> Iterator[list[str]]:
    """Read the rows that are not blank."""
    number = 0
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True):
            if row:
                number += 1
                yield row
    except csv.Error as error:
        raise InvalidInput.of("rows", None, f"row {number + 1}: {error}") from None


def _column(
    column: Column, texts: Sequence[str], delimiter: str, errors: list[FieldError]
) -> Array:
    """Return numbers (rows,) or texts (rows,); add the first text that is none to `errors`."""
    made = np.empty(len(texts), np.float64 if column.kind == "number" else object)
    for place, text in enumerate(texts):
        known = None if text in MISSING else text
        try:
            made[place] = known if column.kind == "category" else _number(known, delimiter)
        except ValueError as error:
            errors.append(FieldError(column.name, text, f"row {place + 2}: {error}"))
            break
    return made


def _number(text: str | None, delimiter: str) -> float:
    if text is None:
        return number_of(None)
    if delimiter == ";" and _COMMA.fullmatch(text):
        text = text.replace(",", ".")
    try:
        number = float(text.replace("_", "x"))  # Python alone takes 1_000 for a number
    except ValueError:
        raise ValueError(f"{text[:50]!r} is no number; leave a missing value empty") from None
    return number_of(number)
