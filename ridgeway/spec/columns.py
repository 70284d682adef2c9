"""What a job takes each column as: what was told at upload, or what `columns` says instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from pydantic import Field

from ridgeway.errors import FieldError
from ridgeway.spec.strict import NAMED, Name
from ridgeway.texts.dates import DATE_KINDS, EXAMPLES

if TYPE_CHECKING:
    from ridgeway.spec.profiles import ColumnProfile, DatasetProfile
    from ridgeway.spec.spec import JobSpec

# Each list in full: a union of lists would tell a value that is in none once for each of them.
ColumnKind: TypeAlias = Literal[
    "number",
    "category",
    "date",
    "date_day_first",
    "date_month_first",
    "identifier",
    "text",
    "constant",
]
JobKind: TypeAlias = Literal[
    "number",
    "category",
    "date",
    "date_day_first",
    "date_month_first",
    "identifier",
    "text",
    "constant",
    "drop",
]
NO_INPUT = ("identifier", "text", "constant", "drop")
NUMERIC = ("number", *DATE_KINDS)  # one input each, and one that tells gaps

MAX_NAMED = 1_000_000  # a stored spec names every column that is no plain number or category

Columns: TypeAlias = Annotated[
    dict[Name, JobKind],
    Field(
        max_length=MAX_NAMED,
        # Earlier releases read what is stored, and know no such field.
        exclude_if=lambda named: not named,
        description="by column: what it is taken as, in place of what was told at upload",
    ),
    NAMED,
]


def with_kinds(
    spec: JobSpec, profile: DatasetProfile, target: ColumnProfile, columns: str
) -> tuple[JobSpec, DatasetProfile, list[FieldError]]:
    """Return spec and profile with the kind that this job takes each column as, and what can't be.

    The spec then names each column that is taken as anything but what is stored, so that a worker
    needs no profile, and those that it named before: of what was no such thing at upload, `drop`.
    columns: which columns there are.
    """
    errors = _errors(spec, profile, target, columns)
    apart = {target.name, *spec.apart}
    named: dict[str, JobKind] = {}
    taken: list[ColumnProfile] = []
    for column in profile.columns:
        asked = spec.columns.get(column.name)
        is_order = column.name == spec.order
        if column.name in apart and asked not in NO_INPUT and not is_order:
            taken.append(column)
            continue
        if is_order and asked in NO_INPUT:
            asked = None  # so it is, but which dates order the rows is still to be known
        kind = taken_as(column, asked)
        is_told = asked is not None or kind != column.stored_kind
        if is_told and (not is_order or kind in DATE_KINDS):
            named[column.name] = "drop" if asked in NO_INPUT and asked != column.kind else kind
        taken.append(column if kind == "drop" else column.taken_as(kind))
    spec = spec.model_copy(update={"columns": named})
    return spec, profile.with_columns(profile.rows, taken), errors


def taken_as(column: ColumnProfile, asked: JobKind | None) -> JobKind:
    """Return what a column is taken as: any date where `date` is asked for and one order fits."""
    if asked is None:
        return column.kind
    if asked != "date":
        return asked
    if column.kind in DATE_KINDS:
        return column.kind
    fitting: list[JobKind] = [kind for kind in DATE_KINDS if column.can_be(kind)]
    return fitting[0] if fitting else "date"


def _errors(
    spec: JobSpec, profile: DatasetProfile, target: ColumnProfile, columns: str
) -> list[FieldError]:
    """Refuse kinds of what is no input, and kinds that the column's values can't have."""
    apart = {name for name in spec.apart if spec.columns.get(name) not in NO_INPUT}
    errors: list[FieldError] = []
    for name, kind in spec.columns.items():
        column = profile.column(name)
        field = f"columns.{name}"
        if column is None:
            errors.append(FieldError(field, kind, f"no such column; {columns}"))
        elif name == target.name:
            message = "is the target; `task` says what that is taken as"
            errors.append(FieldError(field, kind, message))
        elif name in apart and not (name == spec.order and kind in DATE_KINDS):
            errors.append(FieldError(field, kind, "is no input of this job"))
        elif not column.can_be(taken_as(column, kind)):
            errors.append(FieldError(field, kind, _why_not(column, kind)))
    return errors


def _why_not(column: ColumnProfile, kind: JobKind) -> str:
    """Say why a column's values can't be of this kind, and what they can be."""
    accepted = ", ".join(column.possible_kinds)
    met = column.unlike.get("number" if kind == "number" else "date")
    if kind == "category":
        from ridgeway.spec.profiles import MAX_LEVELS

        reason = f"has {column.distinct:,} different values, and a category at most {MAX_LEVELS:,}"
    elif column.is_numeric:
        reason = "holds numbers, which are no dates"
    elif column.kind in DATE_KINDS and kind != "number":
        reason = f"holds dates like {EXAMPLES[column.kind]}"
    elif met is not None:
        reason = f"holds {met!r}, which is no {'number' if kind == 'number' else 'such date'}"
    else:
        reason = f"holds texts that are not known to be {'numbers' if kind == 'number' else kind}"
    return f"column '{column.name}' {reason}; accepted: {accepted}"


def left_out(spec: JobSpec) -> list[str]:
    """Return what to say of columns that were left out for what they hold, if there are any."""
    words = {"identifier": "an identifier", "text": "free text", "constant": "one value only"}
    names = [f"`{name}` ({words[kind]})" for name, kind in spec.columns.items() if kind in words]
    if not names:
        return []
    shown = ", ".join(names[:10]) + (f" and {len(names) - 10:,} more" if len(names) > 10 else "")
    example = next(name for name, kind in spec.columns.items() if kind in words)
    return [
        f'Left out, as told at upload: {shown}. `"columns": {{"{example[:50]}": KIND}}` takes '
        "a column as another kind."
    ]
