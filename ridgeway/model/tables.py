"""Rows as people have them, made columns: DataFrames, Arrow tables, arrays, lists of objects.

Columns are found by name, in any order, beside others; an array's by the position of its features.
A frame and a table are known by what they can do, so that pandas and pyarrow need not be there.
"""

from __future__ import annotations

import math
import numbers
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from ridgeway.errors import FieldError, InvalidInput, refuse
from ridgeway.model.file import Column
from ridgeway.spec.profiles import label_of
from ridgeway.texts.dates import days
from ridgeway.texts.missing import NO_VALUE

Rows: TypeAlias = Any  # a pandas DataFrame, pyarrow Table, array (rows, features), list of objects
Array: TypeAlias = npt.NDArray[Any]

MAX_MAGNITUDE = 1e30  # of a number, as of those in a data set
MICROSECONDS = 24 * 60 * 60 * 10**6  # of a day
MISSING_COLUMN = "is missing: the model needs this column"
TWICE = "stands in the table more than once: the model needs one column of this name"


def columns_of(rows: Rows, columns: Sequence[Column]) -> dict[str, Array]:
    """Return each column as numbers or texts; InvalidInput names those that lack or don't fit."""
    found = _read(rows, columns)
    errors: list[FieldError] = []
    made = {column.name: _converted(column, found[column.name], errors) for column in columns}
    refuse(errors)
    if len({len(values) for values in made.values()}) > 1:
        raise InvalidInput.of("rows", None, "must have the same number of rows in each column")
    return made


def _read(rows: Rows, columns: Sequence[Column]) -> dict[str, Array]:
    if hasattr(rows, "iloc") and hasattr(rows, "columns"):
        names = [str(name) for name in rows.columns]
        return _by_name(columns, names, lambda place: _series(rows.iloc[:, place]))
    if hasattr(rows, "column_names"):
        return _by_name(columns, rows.column_names, lambda place: _arrow(rows.column(place)))
    if isinstance(rows, Mapping):
        given = list(cast("Mapping[str, Any]", rows).items())
        return _by_name(columns, [name for name, _ in given], lambda place: _given(*given[place]))
    if isinstance(rows, Sequence) and not isinstance(rows, str | bytes):
        objects = cast("Sequence[Any]", rows)
        if objects and all(isinstance(row, Mapping) for row in objects):
            return _objects(objects, columns)
    array: Array = np.asarray(cast("Any", rows))
    if array.ndim != 2 or array.shape[1] != len(columns):
        message = (
            f"must be a DataFrame, an Arrow table, a list of objects or an array of shape "
            f"(rows, {len(columns)}); met {type(cast('Any', rows)).__name__} of shape {array.shape}"
        )
        raise InvalidInput.of("rows", None, message)
    return {column.name: array[:, place] for place, column in enumerate(columns)}


def places_of(columns: Sequence[Column], names: Sequence[str]) -> list[int]:
    """Return where each column stands; InvalidInput names those that lack or stand twice."""
    counts = Counter(names)
    refuse(
        [
            FieldError(
                c.name, counts[c.name] or None, TWICE if c.name in counts else MISSING_COLUMN
            )
            for c in columns
            if counts[c.name] != 1
        ]
    )
    places = {name: place for place, name in enumerate(names)}
    return [places[column.name] for column in columns]


def _by_name(
    columns: Sequence[Column], names: Sequence[str], read: Callable[[int], Array]
) -> dict[str, Array]:
    """Read the columns that are needed, by their place among these names."""
    places = zip(columns, places_of(columns, names), strict=True)
    return {column.name: read(place) for column, place in places}


def _series(series: Any) -> Array:
    """Return a pandas Series as an array; as objects where it is no plain array of numbers."""
    if type(series.dtype).__module__.startswith("numpy") and series.dtype.kind != "O":
        return series.to_numpy()
    objects: Array = series.to_numpy(dtype=object)
    return np.where(series.isna().to_numpy(), np.array(None, object), objects)


def _arrow(column: Any) -> Array:
    return _array(column.to_pylist() if column.null_count else column.to_numpy())


def _given(name: str, values: Any) -> Array:
    """Return a column that was given by its name; InvalidInput where it is no list of values."""
    if (
        isinstance(values, str | bytes | Mapping)
        or not isinstance(values, Iterable)
        or getattr(cast("Any", values), "ndim", 1) != 1
    ):
        message = "must be a list of values, one for each row; accepted for one row: [{...}]"
        raise InvalidInput.of(name, values, f"{message}; met {_met(values)}")
    return _array(cast("Iterable[Any]", values))


def _array(values: Iterable[Any]) -> Array:
    """Return a plain array as it is, anything else as objects."""
    if isinstance(values, np.ndarray):
        return cast("Array", values)
    return np.fromiter(values, object)


def _objects(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> dict[str, Array]:
    errors: list[FieldError] = []
    made: dict[str, Array] = {}
    for column in columns:
        made[column.name] = values = np.empty(len(rows), object)
        for place, row in enumerate(rows):
            if column.name not in row:
                field = f"rows.{place}.{column.name}"
                errors.append(FieldError(field, None, f"{MISSING_COLUMN}; null where unknown"))
                break
            values[place] = row[column.name]
    refuse(errors)
    return made


# --- values -----------------------------------------------------------------------------------


def value_of(column: Column, value: Any) -> float | str | None:
    """Return a value as the column holds it: a number, NaN where missing, or a text, or None.

    Dates are days since 1970-01-01; ValueError says what is none.
    """
    if column.is_date:
        return _days(value, column.kind)
    if isinstance(value, str) and column.format is not None:
        value = None if value.strip() in NO_VALUE else column.format.read(value)
    return number_of(value) if column.kind == "number" else text_of(value)


def _days(value: Any, kind: Any) -> float:
    is_none = value is None or value != value  # NaN, NaT
    if is_none or (isinstance(value, str) and value.strip() in NO_VALUE):
        return math.nan
    return days(value, kind)


def number_of(value: Any) -> float:
    """Return a value of a column of numbers, NaN where it is missing; ValueError says what not."""
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, numbers.Real | Decimal):
        raise ValueError(f"must be a number, or null where unknown; met {_met(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if abs(number) > MAX_MAGNITUDE:
        raise ValueError(f"must be at most {MAX_MAGNITUDE:g} in size")
    return number


def text_of(value: Any) -> str | None:
    """Return a value of a category as data sets write it, None where it is missing.

    Whole numbers have no point, booleans are `true` and `false`; ValueError for all else.
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, numbers.Integral):
        return str(int(value))
    if isinstance(value, numbers.Real | Decimal) and not math.isinf(value):
        return None if math.isnan(value) else label_of(float(value))
    raise ValueError(f"must be a text, a number or a boolean, or null; met {_met(value)}")


def _converted(column: Column, values: Array, errors: list[FieldError]) -> Array:
    """Return numbers (rows,) or texts (rows,); add the first value that is none to `errors`."""
    if column.kind == "number" and values.dtype.kind in "iuf":
        made = values.astype(np.float64)
        if not (np.abs(made) > MAX_MAGNITUDE).any():
            return made
    if column.is_date and values.dtype.kind == "M":
        return _from_epoch(values)
    if values.dtype.kind in "mM":  # else taken for numbers: of nanoseconds
        message = f"holds dates or times ({values.dtype}), and was no date in training"
        errors.append(FieldError(column.name, None, message))
        return values
    made = np.empty(len(values), object if column.kind == "category" else np.float64)
    for place, value in enumerate(values.tolist()):
        try:
            made[place] = value_of(column, value)
        except ValueError as error:
            errors.append(FieldError(f"rows.{place}.{column.name}", value, str(error)))
            break
    return made


def dates_of(own: Array) -> Array:
    """Return days since 1970-01-01 (rows,), NaN where missing, as datetime64."""
    known = np.where(np.isnan(own), 0.0, own) * MICROSECONDS
    moments = np.rint(known).astype(np.int64).astype("datetime64[us]")
    return np.where(np.isnan(own), np.datetime64("NaT", "us"), moments)


def _from_epoch(values: Array) -> Array:
    """Return datetime64 (rows,) as days since 1970-01-01, NaN where there is none."""
    moments = values.astype("datetime64[us]")
    return np.where(np.isnat(moments), np.nan, moments.astype(np.int64) / MICROSECONDS)


def _met(value: Any) -> str:
    return f"{str(value)[:50]!r}" if isinstance(value, str) else f"a {type(value).__name__}"
