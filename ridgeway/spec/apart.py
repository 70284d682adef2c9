"""What columns need that are named in a job and are no inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ridgeway.errors import FieldError
from ridgeway.spec.spec import JobSpec

if TYPE_CHECKING:
    from ridgeway.spec.profiles import ColumnProfile, DatasetProfile


def group_errors(
    spec: JobSpec, profile: DatasetProfile, target: ColumnProfile, columns: str
) -> list[FieldError]:
    """Refuse groups that the splits can't keep together; `columns` says which columns there are."""
    if spec.groups is None:
        return []
    column = profile.column(spec.groups)
    if column is None:
        return [FieldError("groups", spec.groups, f"no such column; {columns}")]
    if column.name == target.name:
        return [FieldError("groups", spec.groups, "is the target; groups need another column")]
    if column.missing:
        message = f"has {column.missing} missing values; every row needs a group"
        return [FieldError("groups", spec.groups, message)]
    needed = spec.validation.parts + 1
    if column.distinct < needed:
        message = f"has {column.distinct} groups; the splits need at least {needed}"
        return [FieldError("groups", spec.groups, message)]
    return []


def drop_errors(
    spec: JobSpec, profile: DatasetProfile, target: ColumnProfile, columns: str
) -> list[FieldError]:
    """Refuse to drop what is not there, or the target."""
    errors: list[FieldError] = []
    for place, name in enumerate(spec.drop):
        if profile.column(name) is None:
            errors.append(FieldError(f"drop.{place}", name, f"no such column; {columns}"))
        elif name == target.name:
            errors.append(FieldError(f"drop.{place}", name, "is the target, which is no input"))
    return errors
