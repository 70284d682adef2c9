"""What a column of sample weights needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ridgeway.errors import FieldError
from ridgeway.spec.spec import JobSpec

if TYPE_CHECKING:
    from ridgeway.spec.profiles import ColumnProfile, DatasetProfile

FIELD = "weights"
ACCEPTED = "accepted: a column of numbers >= 0"


def weights_used_twice(spec: JobSpec) -> list[FieldError]:
    """Refuse weights that the spec names as something else too."""
    name = spec.weights
    if name is None:
        return []
    by = spec.order
    uses = {
        "is the target": name == spec.target,
        "names the groups": name == spec.groups,
        "orders the rows (`validation.by`)": name == by,
        "is named in `drop`": name in spec.drop,
    }
    met = next((use for use, holds in uses.items() if holds), None)
    if met is None:
        return []
    return [FieldError(FIELD, name, f"{met} too; weights need a column of their own")]


def weight_errors(
    spec: JobSpec, profile: DatasetProfile, target: ColumnProfile, columns: str
) -> list[FieldError]:
    """Refuse a column that weighs no rows; `columns` says which columns there are.

    What a profile does not tell, as one of an earlier release its minimum, workers find out.
    """
    if spec.weights is None:
        return []
    column = profile.column(spec.weights)
    if column is None:
        message = f"no such column; {columns}"
    elif column.name == target.name:
        message = "is the target; weights need a column of their own"
    elif not column.is_numeric:
        message = f"holds texts, which weigh nothing; {ACCEPTED}"
    elif column.missing:
        message = f"has {column.missing} missing values; every row needs a weight"
    elif column.minimum is not None and column.minimum < 0:
        message = f"holds {column.minimum:g}, a weight below 0; {ACCEPTED}"
    elif column.maximum == 0:
        message = "holds zeros only: no row would count; some weights must be above 0"
    else:
        return []
    return [FieldError(FIELD, spec.weights, message)]
