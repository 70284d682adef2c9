"""What a linear model's refit minimises: `refit`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from ridgeway.errors import FieldError
from ridgeway.spec.models import LinearModel
from ridgeway.spec.names import RIDGE, UNPENALISED

if TYPE_CHECKING:
    from ridgeway.spec.spec import JobSpec

RefitKind: TypeAlias = Literal["penalised", "debias"]


def refit_errors(spec: JobSpec) -> list[FieldError]:
    """Refuse to debias where no columns are left out, or not known, or not solved for exactly."""
    if spec.refit == "penalised":
        return []
    message = ""
    if not isinstance(spec.model, LinearModel):
        message = f"fits the columns of a linear model, and this one is {spec.model.kind}"
    elif spec.optimizer != "exact":
        message = f"solves to the optimum, and the optimizer {spec.optimizer} takes steps"
    elif set(spec.search.penalty) <= {UNPENALISED, RIDGE}:
        searched = ", ".join(spec.search.penalty)
        message = f"needs a penalty that sets zeros, and the search has {searched}"
    return [FieldError("refit", spec.refit, f"{message}; accepted: penalised")] if message else []
