"""Raw columns, taken as what the job says: numbers, categories, or dates as numbers of days."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ridgeway.data.settling import number_format, numbers, where_known
from ridgeway.errors import JobUnrunnable
from ridgeway.spec.columns import JobKind
from ridgeway.spec.profiles import label_of
from ridgeway.texts.dates import DATE_KINDS, DateKind, days
from ridgeway.texts.missing import NO_VALUE
from ridgeway.texts.numbers import NumberFormat

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
InputKind: TypeAlias = Literal["number", "category"] | DateKind


@dataclass(frozen=True)
class Taken:
    """What a column is taken as. format: how texts of it are read as numbers, where they are."""

    kind: InputKind
    format: NumberFormat | None = None


def taken(
    frame: pd.DataFrame, kinds: Mapping[str, JobKind], formats: Mapping[str, NumberFormat]
) -> tuple[pd.DataFrame, dict[str, Taken]]:
    """Return the frame with columns float64 or texts as the job takes them, and what that is.

    kinds: of columns that are not taken as they are stored. formats: of columns of numbers.
    JobUnrunnable where texts are no numbers or dates, which the door knows of every profile of
    this release.
    """
    found: dict[str, Taken] = {}
    made: dict[str, Any] = {}
    for name, dtype in zip(frame.columns, frame.dtypes, strict=True):
        is_numeric, asked = dtype.kind == "f", kinds.get(name)
        if asked in DATE_KINDS:
            made[name] = days_of(frame[name].to_numpy(), asked, name)
            found[name] = Taken(asked)
        elif asked == "number" and not is_numeric:
            own = _format(frame[name], name)
            made[name], found[name] = _numbers(frame[name], own), Taken("number", own)
        elif asked == "category" and is_numeric:
            made[name] = _labels(frame[name].to_numpy())
            found[name] = Taken("category", formats.get(name, NumberFormat()))
        else:
            found[name] = Taken("number" if is_numeric else "category", formats.get(name))
    return (frame.assign(**made) if made else frame), found


def days_of(values: npt.NDArray[Any], kind: DateKind, name: str) -> Floats:
    """Return texts (n,) that are dates as days since 1970-01-01, NaN where they are missing."""
    levels, places = _levels(values)
    try:
        own = [np.nan if level is None else days(level, kind) for level in levels]
    except ValueError as error:
        raise JobUnrunnable(f"columns.{name}: {error}") from None
    return np.array(own, np.float64)[places]


def _levels(values: npt.NDArray[Any]) -> tuple[list[str | None], npt.NDArray[np.intp]]:
    """Return each text once, None where it stands for no value, and each row's place in them."""
    known: dict[Any, int] = {}
    places = [known.setdefault(value, len(known)) for value in _plain(values)]
    levels = [None if text is None or text.strip() in NO_VALUE else text for text in known]
    return levels, np.array(places, np.intp)


def _plain(values: npt.NDArray[Any]) -> list[str | None]:
    return [value if isinstance(value, str) else None for value in values.tolist()]


def _format(values: Any, name: str) -> NumberFormat:
    levels = where_known(pa.array(_plain(values.to_numpy()), pa.string())).unique().drop_null()
    found = number_format(levels)
    if found is None:
        raise JobUnrunnable(f"columns.{name}: holds texts that are no numbers of one format")
    return found


def _numbers(values: Any, own: NumberFormat) -> Floats:
    texts = where_known(pa.array(_plain(values.to_numpy()), pa.string()))
    return numbers(texts, own).to_numpy(zero_copy_only=False) + 0.0  # -0.0 and 0.0 are one value


def _labels(values: Floats) -> npt.NDArray[Any]:
    """Return numbers (n,) as the texts of categories, None where they are missing."""
    levels, places = np.unique(values, return_inverse=True)
    texts = np.array([None if np.isnan(level) else label_of(level) for level in levels.tolist()])
    return texts.astype(object)[places]
