"""Rows of a CSV for a model: its columns alone, read as its data set's file was.

What is missing, and where a comma is the decimal point, is as in ridgeway/data/csv_files.py, which
needs pyarrow and tells a column's kind from its cells: here the model knows it.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np

from ridgeway.errors import FieldError, InvalidInput, refuse
from ridgeway.model.file import Column
from ridgeway.model.tables import Array, dates_of, number_of, places_of, value_of
from ridgeway.texts.encodings import as_utf8
from ridgeway.texts.missing import MISSING, NO_VALUE

_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")


def read_csv(data: bytes, columns: Sequence[Column], most: int | None = None) -> dict[str, Array]:
    """Read these columns by the header's names; InvalidInput says which lacks, or where it breaks.

    The delimiter is told from the first row, which holds the names unless the data set's file had
    none (`column_1`, ...). Rows count as a spreadsheet shows them, blank ones too: the header is
    row 1. Above `most` rows nothing more is read.
    """
    data, _ = as_utf8(data, "rows")
    delimiter = _delimiter(data.lstrip(b"\r\n"))
    rows = _rows(data, delimiter)
    start, header = next(rows, (1, list[str]()))
    names = _numbered(columns, header)
    if names is not None:
        rows = chain([(start, header)], rows)
    places = places_of(columns, names or [name.strip() for name in header])
    cells = [
        _Cells(column, place, delimiter) for column, place in zip(columns, places, strict=True)
    ]
    count = 0
    for count, (number, row) in enumerate(rows, 1):
        if most is not None and count > most:
            message = f"has more than {most:,} rows, the most that this model predicts at once"
            raise InvalidInput.of("rows", count, message)
        if len(row) != len(header):
            message = f"row {number} has {len(row)} values, the header {len(header)}"
            raise InvalidInput.of("rows", len(row), message)
        for each in cells:
            each.add(number, row)
    if not count:
        raise InvalidInput.of("rows", 0, "there is no row below the header")
    refuse([each.error for each in cells if each.error is not None])
    return {each.column.name: each.array() for each in cells}


def _numbered(columns: Sequence[Column], first: Sequence[str]) -> list[str] | None:
    """Return columns' names by their place, where the first row holds values.

    So it does where the model's columns have no other names, and none of these stands in it.
    """
    places = [f"column_{place}" for place in range(1, len(first) + 1)]
    needed = {column.name for column in columns}
    if needed <= {*places} and not needed & {name.strip() for name in first}:
        return places
    return None


def _lines(data: bytes) -> io.TextIOWrapper:
    """Return the text by lines, whatever ends them."""
    return io.TextIOWrapper(io.BytesIO(data), "utf-8", newline="")


def _delimiter(data: bytes) -> str:
    """Return the delimiter that gives the header most columns."""
    return max(",;\t", key=lambda each: _width(data, each))


def _width(data: bytes, delimiter: str) -> int:
    """Return how many columns the header has by this delimiter.

    A long header may be more than one cell can hold by one that it does not have: then 0.
    """
    try:
        rows = csv.reader(_lines(data), delimiter=delimiter)
        return next((len(row) for row in rows if row), 0)
    except csv.Error:
        return 0


def _rows(data: bytes, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Read the header and the rows below it with their numbers.

    A blank line is no row, but where there is one column alone and another row follows: there its
    value is missing.
    """
    number, blank, width = 0, 0, 0
    try:
        for row in csv.reader(_lines(data), delimiter=delimiter, strict=True):
            number += 1
            if not row:
                blank += 1
                continue
            if width == 1:
                yield from ((place, [""]) for place in range(number - blank, number))
            blank, width = 0, width or len(row)
            yield number, row
    except csv.Error as error:
        raise InvalidInput.of("rows", None, f"row {number + 1}: {error}") from None


class _Cells:
    """A column's cells, converted as they come; `error` is of the first that can't be."""

    def __init__(self, column: Column, place: int, delimiter: str) -> None:
        self.column = column
        self.error: FieldError | None = None
        self._place = place
        self._delimiter = delimiter
        self._values: list[float | str | None] = []

    def add(self, number: int, row: Sequence[str]) -> None:
        """Convert this column's cell of the row with this number."""
        if self.error is not None:
            return
        text = row[self._place].strip()
        is_text = self.column.kind == "category"
        known = None if text in (MISSING if is_text else NO_VALUE) else text
        try:
            self._values.append(self._value(known))
        except ValueError as error:
            self.error = FieldError(self.column.name, text, f"row {number}: {error}")

    def _value(self, text: str | None) -> float | str | None:
        plain = self.column.format is None or self.column.format.is_plain
        if self.column.kind != "number" or not plain:
            return value_of(self.column, text)
        try:
            return _number(text, self._delimiter)
        except ValueError:  # such as `(5)`, which only a column that has a format may hold
            if self.column.format is None:
                raise
            return value_of(self.column, text)

    def array(self) -> Array:
        """Return numbers (rows,), texts (rows,) or dates (rows,)."""
        if self.column.is_date:
            return dates_of(np.array(self._values, np.float64))
        return np.array(self._values, object if self.column.kind == "category" else np.float64)


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
