"""Whether a CSV's first row holds the columns' names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from ridgeway.texts.dates import DATE_KINDS, days
from ridgeway.texts.missing import NO_VALUE
from ridgeway.texts.numbers import formats_like

Header: TypeAlias = Literal["auto", "true", "false"]
LONGEST = 100  # characters of a number or a date
FEWEST = 10  # rows below that tell what recurs


def holds_names(first: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Return whether the first row holds names rather than values; below: some rows after it.

    Numbers and dates are no names, save years and 0, 1, 2, ...; nor are texts that their columns
    hold again.
    """
    cells = [cell.strip() for cell in first]
    rows = [row for row in below if len(row) == len(cells)]
    values = [place for place, cell in enumerate(cells) if cell and _is_value(cell)]
    met = {*values}
    texts = [place for place, cell in enumerate(cells) if cell and place not in met]
    recurring = [at for at in texts if any(row[at].strip() == cells[at] for row in rows)]
    if not values:
        return not (len(rows) >= FEWEST and texts and len(recurring) == len(texts))
    if any(not _is_value_or_none(row[at]) for row in rows for at in values):
        return True
    named = _are_names([cells[at] for at in values])
    return named and not recurring


def _is_value_or_none(cell: str) -> bool:
    return cell.strip() in NO_VALUE or _is_value(cell.strip())


def _is_value(cell: str) -> bool:
    """Return whether a cell is a number or a date."""
    if len(cell) > LONGEST:
        return False
    for found in formats_like(cell, comma_first=False):
        try:
            found.read(cell)
        except ValueError:
            continue
        return True
    return any(_is_date(cell, kind) for kind in DATE_KINDS)


def _is_date(cell: str, kind: str) -> bool:
    try:
        days(cell, kind)  # pyright: ignore[reportArgumentType] - one of DATE_KINDS
    except ValueError:
        return False
    return True


def _are_names(cells: Sequence[str]) -> bool:
    """Return whether these numbers may be names: different years, or 0, 1, 2, ... as pandas has."""
    if not all(cell.isascii() and cell.isdigit() for cell in cells):
        return False
    numbers = [int(cell) for cell in cells]
    if len(numbers) < 2 or len(set(numbers)) < len(numbers):
        return False
    counted = numbers == list(range(numbers[0], numbers[0] + len(numbers))) and numbers[0] < 2
    return counted or all(1800 <= number <= 2200 for number in numbers)
