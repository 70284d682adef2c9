"""Between which numbers a linear model's coefficients are to lie: `bounds`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import Discriminator, Field, JsonValue, Tag
from pydantic_core import PydanticCustomError

from ridgeway.errors import FieldError
from ridgeway.spec.columns import NUMERIC
from ridgeway.spec.models import LinearModel
from ridgeway.spec.names import PENALTY_ROWS, Task, penalty_row
from ridgeway.spec.strict import NAMED, Check, Name

if TYPE_CHECKING:
    from ridgeway.spec.profiles import ColumnProfile, DatasetProfile
    from ridgeway.spec.spec import JobSpec

MAX_NAMED = 10_000


def _around_zero(ends: list[float | None]) -> list[float | None]:
    low, high = limits(ends)
    if not low <= 0 <= high or low == high:
        raise PydanticCustomError(
            "bound",
            "must be [low, high] with low <= 0 <= high, not both 0, null where it is open: a "
            "penalty draws coefficients to 0; a column that is to be no input belongs in `drop`",
        )
    return ends


def _open_or(**limit: JsonValue) -> JsonValue:
    return {"anyOf": [{"type": "null"}, {"type": "number", **limit}]}


def _form(value: Any) -> str | None:
    if isinstance(value, str):
        return "@sign" if value in ("nonnegative", "nonpositive") else None
    return "@ends" if isinstance(value, list) else None


_Sign: TypeAlias = Literal["nonnegative", "nonpositive"]
_Ends: TypeAlias = Annotated[
    list[float | None],
    Field(min_length=2, max_length=2),
    Check(
        _around_zero,
        {
            "anyOf": [
                {"prefixItems": [_open_or(exclusiveMaximum=0), _open_or(minimum=0)]},
                {"prefixItems": [_open_or(maximum=0), _open_or(exclusiveMinimum=0)]},
            ]
        },
    ),
]
Bound: TypeAlias = Annotated[
    Annotated[_Sign, Tag("@sign")] | Annotated[_Ends, Tag("@ends")],
    Discriminator(
        _form,
        custom_error_type="bound",
        custom_error_message="must be nonnegative, nonpositive, or [low, high]",
    ),
]
Bounds: TypeAlias = Annotated[
    dict[Name, Bound],
    Field(
        max_length=MAX_NAMED,
        description="by column of numbers: `nonnegative`, `nonpositive`, or `[low, high]`, "
        "between which a linear model's coefficient lies in the table's units",
    ),
    NAMED,
]


def limits(bound: _Sign | list[float | None]) -> tuple[float, float]:
    """Return the ends of a bound, infinite where it is open."""
    if isinstance(bound, str):
        return (0.0, math.inf) if bound == "nonnegative" else (-math.inf, 0.0)
    low, high = bound
    return -math.inf if low is None else low, math.inf if high is None else high


def bound_combination_errors(spec: JobSpec) -> list[FieldError]:
    """Refuse bounds where no solver has them: all but `exact`, and groups of several weights."""
    if not spec.bounds:
        return []
    errors: list[FieldError] = []
    if not isinstance(spec.model, LinearModel):
        message = f"need a model that is linear, and this one is {spec.model.kind}; accepted: {{}}"
        errors.append(FieldError("bounds", spec.bounds, message))
    elif spec.optimizer != "exact":
        message = "does not keep to `bounds`; accepted: exact"
        errors.append(FieldError("optimizer", spec.optimizer, message))
    if spec.feature_groups:
        message = "makes groups of several weights, which have no bounds; accepted: {}"
        errors.append(FieldError("feature_groups", spec.feature_groups, message))
    return [*errors, *_concave_errors(spec)]


def _concave_errors(spec: JobSpec) -> list[FieldError]:
    """Refuse penalties that are not known to be convex beside bounds."""
    path = spec.kind == "path"  # of one penalty, which has a strength
    possible = [row.name for row in PENALTY_ROWS.values() if row.convex]
    accepted = [name for name in possible if not path or penalty_row(name).parameters]
    message = f"is not known to be convex, as `bounds` need; accepted: {', '.join(accepted)}"
    return [
        FieldError("penalty" if path else f"search.penalty.{place}", name, message)
        for place, name in enumerate(spec.search.penalty)
        if not penalty_row(name).convex
    ]


def bound_errors(
    spec: JobSpec, profile: DatasetProfile, target: ColumnProfile, task: Task
) -> list[FieldError]:
    """Refuse bounds of columns that are no numbers, and of models with several outputs."""
    errors: list[FieldError] = []
    for name, bound in spec.bounds.items():
        column = profile.column(name)
        if column is not None and column.kind not in NUMERIC:
            message = "holds categories, which have a coefficient for each level; accepted: numbers"
            errors.append(FieldError(f"bounds.{name}", bound, message))
    if spec.bounds and task == "classification" and target.distinct > 2:
        message = (
            f"hold for models of one output, and '{target.name}' has {target.distinct} classes; "
            "accepted: {}"
        )
        errors.append(FieldError("bounds", spec.bounds, message))
    return errors
