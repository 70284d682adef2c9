"""Columns of texts, settled: numbers written as people do, and which texts are dates.

Nothing is taken for a number or a date unless every text of its column is one. Dates stay the texts
that came, those that stand for no value too: as a category they are told apart by their texts.
"""
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportUnknownLambdaType=false
# pyarrow ships no types.

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute

from ridgeway.data.notes import Notes, with_notes
from ridgeway.data.tables import MAX_MAGNITUDE
from ridgeway.spec.profiles import Notice
from ridgeway.texts.dates import DATE_KINDS, DateKind, days, has_offset
from ridgeway.texts.missing import NO_VALUE
from ridgeway.texts.numbers import NumberFormat, formats_like

pc: Any = pyarrow.compute  # its functions are made when it is imported: unknown to pyright

_GROUPED = r"^[^0-9]*[0-9]{1,3}(?:[,.][0-9]{3})?[^0-9]*$"  # a point or a comma may be either


@dataclass(frozen=True)
class Settled:
    """A column that is kept: numbers with the format that they had, or texts without a format."""

    values: Any
    format: NumberFormat | None = None
    warnings: tuple[Notice, ...] = ()


def settled_table(table: Any) -> Any:
    """Return a table whose columns of texts are settled, with notes of how they were written.

    Texts of plain numbers stay: who has types means them as texts.
    """
    formats: dict[str, NumberFormat] = {}
    told: dict[str, tuple[Notice, ...]] = {}
    columns: list[Any] = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        if not pa.types.is_string(column.type):
            columns.append(column)
            continue
        found = settled(column, comma_first=False, plain=False)
        columns.append(found.values)
        if found.format is not None:
            formats[name] = found.format
        if found.warnings:
            told[name] = found.warnings
    made = pa.table(columns, names=table.column_names)
    return with_notes(made, Notes(formats=formats, columns=told))


def settled(texts: Any, *, comma_first: bool, plain: bool) -> Settled:
    """Settle a column of texts, (n,) with nulls; what is no numbers stays.

    comma_first: whether a comma is likelier a decimal point. plain: take plain numbers, too.
    """
    known = where_known(texts)
    levels = pc.unique(pc.drop_null(known))
    found = number_format(levels, comma_first=comma_first)
    if found is not None and (plain or not found.is_plain):
        return Settled(numbers(known, found), found, ambiguous(levels, found))
    return Settled(texts)


def where_known(texts: Any) -> Any:
    """Return the texts of a column of numbers or dates, null where they stand for no value."""
    texts = pc.utf8_trim_whitespace(texts)
    is_none = pc.is_in(texts, pa.array(sorted(NO_VALUE)))
    return pc.if_else(is_none, pa.scalar(None, pa.string()), texts)


def number_format(levels: Any, *, comma_first: bool = False) -> NumberFormat | None:
    """Return the one format of all these texts; None where some are not of it, or are too large."""
    if not len(levels):
        return None
    for found in formats_like(levels[0].as_py(), comma_first=comma_first):
        if not pc.all(pc.match_substring_regex(levels, found.pattern)).as_py():
            continue
        if pc.all(pc.starts_with(levels, "(")).as_py():  # in accounts some are above 0
            return None
        most = pc.max(pc.abs(numbers(levels, found))).as_py()
        return found if most <= MAX_MAGNITUDE else None
    return None


def numbers(texts: Any, found: NumberFormat) -> Any:
    """Return texts of this format as float64."""
    for old, new in found.replacements:
        if old != new:
            texts = pc.replace_substring(texts, old, new)
    return texts.cast(pa.float64())


def ambiguous(levels: Any, found: NumberFormat) -> tuple[Notice, ...]:
    """Tell where a comma, or a point, may be a decimal point or between thousands: `1,234`."""
    mark = found.thousands or found.decimal
    has_mark = pc.match_substring(levels, mark)
    either = pc.match_substring_regex(levels, _GROUPED)
    if mark not in ",." or not pc.any(has_mark).as_py() or not pc.all(either).as_py():
        return ()
    met = levels[pc.index(has_mark, pa.scalar(True)).as_py()].as_py()
    return (
        Notice(
            code="ambiguous_numbers",
            sentence=f"'{met}' could be read in two ways, and was read as {found.read(met):g}.",
            remedy="If that is wrong, write the column with a decimal point and no thousands.",
        ),
    )


def is_mixed(levels: Any) -> bool:
    """Return whether texts are all numbers, but of more than one convention."""
    either = r"^\(?[+-]?[0-9]{1,3}(?:[.,' ]?[0-9]{3})*(?:[.,][0-9]+)?\)?$"
    return bool(len(levels) and pc.all(pc.match_substring_regex(levels, either)).as_py())


# --- dates --------------------------------------------------------------------------------------


def date_kinds(levels: Sequence[str]) -> list[DateKind]:
    """Return the orders that all these texts are dates of: both where days and months are mixed up.

    [] where some are none, or where only some tell their offset from UTC.
    """
    found: list[DateKind] = [kind for kind in DATE_KINDS if unlike_date(levels, kind) is None]
    if not levels or not found or len({has_offset(text) for text in levels}) > 1:
        return []
    return ["date"] if "date" in found else found


def unlike_date(levels: Sequence[str], kind: DateKind) -> str | None:
    """Return the first text that is no date of this order; None where all are."""
    for text in levels:
        try:
            days(text, kind)
        except ValueError:
            return text
    return None
