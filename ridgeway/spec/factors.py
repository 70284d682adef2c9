"""How strongly each column is penalised beside the others: `penalty_factors`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

from pydantic import Field
from pydantic_core import PydanticCustomError

from ridgeway.errors import FieldError
from ridgeway.spec.models import PluginModel
from ridgeway.spec.strict import Check, Name

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
PenaltyFactors: TypeAlias = Annotated[dict[Name, _Factor], Field(max_length=MAX_NAMED)]


def model_errors(spec: JobSpec) -> list[FieldError]:
    """Refuse factors where no layer tells whose weights they are, or groups have several."""
    if not spec.penalty_factors:
        return []
    errors: list[FieldError] = []
    if isinstance(spec.model, PluginModel):
        message = (
            "need a model whose first layer is known, and this one is a plug-in's; accepted: {}, "
            "or a model that is linear or mlp"
        )
        errors.append(FieldError("penalty_factors", spec.penalty_factors, message))
    if spec.group_by == "neuron":
        message = (
            "makes groups of the weights of all columns, which `penalty_factors` tell apart; "
            "accepted: input"
        )
        errors.append(FieldError("group_by", spec.group_by, message))
    return errors


def factor_errors(
    spec: JobSpec, profile: DatasetProfile, target: ColumnProfile, columns: str
) -> list[FieldError]:
    """Refuse factors of what is no input; `columns` says which columns there are."""
    errors: list[FieldError] = []
    for name, factor in spec.penalty_factors.items():
        if profile.column(name) is None:
            message = f"no such column; {columns}"
        elif name == target.name:
            message = "is the target, which is no input"
        elif name in spec.apart:
            message = "is no input of this job; factors are those of inputs"
        else:
            continue
        errors.append(FieldError(f"penalty_factors.{name}", factor, message))
    return errors
