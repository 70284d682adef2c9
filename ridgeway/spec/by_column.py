"""What a job says of single columns: `penalty_factors`, `feature_groups`; `bounds` has its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import Field
from pydantic_core import PydanticCustomError

from ridgeway.errors import FieldError
from ridgeway.spec.dimensions import DISTINCT
from ridgeway.spec.models import PluginModel
from ridgeway.spec.strict import NAMED, Check, Name

if TYPE_CHECKING:
    from ridgeway.spec.profiles import ColumnProfile, DatasetProfile
    from ridgeway.spec.spec import JobSpec

SMALLEST, LARGEST = 1e-6, 1e6  # of factors that are not 0: λ_max is a gradient over one
MAX_NAMED = 10_000


def _factor(value: float) -> float:
    if value != 0 and not SMALLEST <= value <= LARGEST:
        raise PydanticCustomError(
            "factor",
            "must be 0, for a column that is not penalised, or {low} to {high}; a column that is "
            "to be no input belongs in `drop`",
            {"low": f"{SMALLEST:g}", "high": f"{LARGEST:g}"},
        )
    return value


_Factor: TypeAlias = Annotated[
    float, Check(_factor, {"anyOf": [{"const": 0}, {"minimum": SMALLEST, "maximum": LARGEST}]})
]
_Columns: TypeAlias = Annotated[list[Name], Field(min_length=1, max_length=MAX_NAMED), DISTINCT]

PenaltyFactors: TypeAlias = Annotated[
    dict[Name, _Factor],
    Field(
        max_length=MAX_NAMED,
        description="by column: what multiplies the penalty of its weights, 1 by default; 0: none",
    ),
    NAMED,
]
FeatureGroups: TypeAlias = Annotated[
    dict[Name, _Columns],
    Field(
        max_length=MAX_NAMED,
        description="by any name: columns whose weights are one group of `group_lasso`",
    ),
    NAMED,
]


def model_errors(spec: JobSpec) -> list[FieldError]:
    """Refuse fields by column where no layer tells whose weights are whose, or groups mix them."""
    given: dict[str, Any] = {
        name: value
        for name in ("penalty_factors", "feature_groups", "bounds")
        if (value := getattr(spec, name))
    }
    errors: list[FieldError] = []
    if isinstance(spec.model, PluginModel):
        message = (
            "need a model whose first layer is known, and this one is a plug-in's; accepted: {}, "
            "or a model that is linear or mlp"
        )
        errors += [
            FieldError(name, value, message) for name, value in given.items() if name != "bounds"
        ]
    if given and spec.group_by == "neuron":
        message = (
            f"makes groups of the weights of all columns, which `{next(iter(given))}` tells "
            "apart; accepted: input"
        )
        errors.append(FieldError("group_by", spec.group_by, message))
    return errors


def column_errors(
    spec: JobSpec, profile: DatasetProfile, target: ColumnProfile, columns: str
) -> list[FieldError]:
    """Refuse what is said of columns that are no inputs; `columns` says which columns there are."""
    errors: list[FieldError] = []
    apart = spec.apart
    for path, value, name in _named(spec):
        if profile.column(name) is None:
            errors.append(FieldError(path, value, f"no such column; {columns}"))
        elif name == target.name:
            errors.append(FieldError(path, value, "is the target, which is no input"))
        elif name in apart:
            errors.append(FieldError(path, value, "is no input of this job"))
    return [*errors, *_group_errors(spec)]


def _named(spec: JobSpec) -> Iterator[tuple[str, Any, str]]:
    """Yield the path, the value and the column of all that is said of one."""
    for name, factor in spec.penalty_factors.items():
        yield f"penalty_factors.{name}", factor, name
    for name, bound in spec.bounds.items():
        yield f"bounds.{name}", bound, name
    for group, names in spec.feature_groups.items():
        for place, name in enumerate(names):
            yield f"feature_groups.{group}.{place}", name, name


def _group_errors(spec: JobSpec) -> list[FieldError]:
    """Refuse columns in two groups, and groups whose columns have not one factor."""
    errors: list[FieldError] = []
    met: dict[str, str] = {}
    for group, names in spec.feature_groups.items():
        for place, name in enumerate(names):
            path = f"feature_groups.{group}.{place}"
            if name in met:
                message = f"is in the group '{met[name]}' already; groups have no column in common"
                errors.append(FieldError(path, name, message))
                continue
            met[name] = group
            own, first = (spec.penalty_factors.get(each, 1.0) for each in (name, names[0]))
            if own != first:
                message = (
                    f"has the penalty factor {own:g}, and the group's first column {first:g}; the "
                    "columns of a group have one"
                )
                errors.append(FieldError(path, name, message))
    return errors
