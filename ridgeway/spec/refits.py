"""What the recommended model's refit minimises: `refit`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from ridgeway.errors import FieldError
from ridgeway.spec.models import LinearModel, MlpModel
from ridgeway.spec.names import RIDGE, UNPENALISED, PenaltyName

if TYPE_CHECKING:
    from ridgeway.spec.spec import JobSpec

WITHOUT_ZEROS = {UNPENALISED, RIDGE}

RefitKind: TypeAlias = Literal["penalised", "debias"]


def refit_beside(kind: RefitKind, penalty: PenaltyName) -> RefitKind:
    """Return how a job's refit is made of another penalty, which may set no zeros."""
    return "penalised" if penalty in WITHOUT_ZEROS else kind


def refit_errors(spec: JobSpec) -> list[FieldError]:
    """Refuse to debias where no columns are left out, or not known."""
    if spec.refit == "penalised":
        return []
    message = ""
    if not isinstance(spec.model, LinearModel | MlpModel):
        message = f"fits the columns of linear or mlp, and those of {spec.model.kind} are not known"
    elif set(spec.search.penalty) <= WITHOUT_ZEROS:
        searched = ", ".join(spec.search.penalty)
        message = f"needs a penalty that sets zeros, and the search has {searched}"
    return [FieldError("refit", spec.refit, f"{message}; accepted: penalised")] if message else []
