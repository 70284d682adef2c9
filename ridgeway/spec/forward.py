"""What rows need so that folds can go forward by a column."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ridgeway.errors import FieldError
from ridgeway.spec.validation import ForwardValidation
from ridgeway.texts.dates import DATE_KINDS

if TYPE_CHECKING:
    from ridgeway.spec.profiles import DatasetProfile

FIELD = "validation.by"
ORDERED = "accepted: a column of numbers, or of dates such as 2024-05-01 or 2024-05-01T12:30"


def forward_errors(
    validation: ForwardValidation, profile: DatasetProfile, target: str, columns: str
) -> list[FieldError]:
    """Refuse a column that puts the rows in no order; `columns` says which there are."""
    by = validation.by
    column = profile.column(by)
    if column is None:
        return [FieldError(FIELD, by, f"no such column; {columns}")]
    if by == target:
        return [FieldError(FIELD, by, "is the target, which orders no rows; accepted: another")]
    if column.missing:
        message = f"has {column.missing} missing values; every row needs a place in the order"
        return [FieldError(FIELD, by, message)]
    if column.dates is False and column.kind not in DATE_KINDS:
        message = (
            f"holds texts that are not all dates of ISO 8601 and put rows in no order; {ORDERED}"
        )
        return [FieldError(FIELD, by, message)]
    needed = validation.parts + 1
    if column.distinct < needed:
        message = (
            f"has {column.distinct} different values, and rows of one value stay together; "
            f"{validation.folds} folds need at least {needed}"
        )
        return [FieldError(FIELD, by, message)]
    return []


def group_errors(groups: str | None) -> list[FieldError]:
    """Refuse groups beside forward folds: rows of one group may lie before and after a cut."""
    if groups is None:
        return []
    message = "has no meaning beside forward folds, which keep to the order of rows; accepted: null"
    return [FieldError("groups", groups, message + ', or {"kind": "folds"}')]
